"""What a score is made of: term weights, words of a dense similarity, and the marks in a text."""

import numpy as np
import pytest
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.modules import Normalize, Pooling, Router, Transformer

from core.formats.documents import Document
from core.indexes.exact import ExactIndex
from core.retrieval.analyzer import Analyzer
from core.retrieval.bm25 import Bm25Index
from core.retrieval.highlighting import term_finder
from core.retrieval.systems import Bm25System, DenseSystem
from core.workspace.errors import UserError
from core.workspace.profile import AnalyzerSettings, Bm25Settings, SystemSettings

DOCUMENTS = [
    Document("d1", "Masks", "Masks slow the spread of COVID-19, and masks are cheap."),
    Document("d2", "Vaccines", "Vaccines protect the old from COVID-19."),
    Document("d3", "", "Nothing of either."),
]


@pytest.mark.parametrize("backend", ["bm25s", "rank_bm25"])
@pytest.mark.parametrize("fields", ["one", "two"])
def test_term_weights_are_what_scoring_every_document_gives(backend: str, fields: str) -> None:
    settings = Bm25Settings(engine=backend, fields=fields)
    index = Bm25Index.build(DOCUMENTS, settings, AnalyzerSettings())
    system = Bm25System(SystemSettings(name="bm25", kind="bm25"), index)
    query = "do masks, masks or vaccines slow covid? unheard"
    for document, score in system.search([query], 3)[0].hits:
        parts = system.explain(query, document)
        assert sum(weight for _, weight in parts) == pytest.approx(score)
        assert [weight for _, weight in parts] == sorted((weight for _, weight in parts), reverse=True)
    for token in index.analyzer.tokens(query):
        for field in index.fields:
            everywhere = field.scores([token])
            assert [field.weight(token, position) for position in range(3)] == pytest.approx(everywhere)
    assert system.explain(query, "d3") == []


def test_marks_follow_the_analyzer() -> None:
    analyzer = Analyzer(AnalyzerSettings())
    text = "The vaccine: SARS-CoV-2 (2019-nCoV) Vaccinating; covid19, Über-Impfung of the"
    found = [text[begin:end] for begin, end in term_finder(analyzer, "vaccines of sarscov2 or COVID, über")(text)]
    assert found == ["vaccine", "SARS-CoV-2", "2019-nCoV", "Vaccinating", "covid19", "Über"]
    assert term_finder(analyzer, "the of")(text) == [], "stop words match nothing"


def encoder(tiny_bert: object, pooling: str, normalise: bool) -> SentenceTransformer:
    transformer = Transformer(str(tiny_bert), max_seq_length=12)
    modules = [transformer, Pooling(transformer.get_embedding_dimension(), pooling_mode=pooling)]
    return SentenceTransformer(modules=[*modules, Normalize()] if normalise else modules, device="cpu")


@pytest.mark.parametrize("similarity", ["cosine", "dot"])
@pytest.mark.parametrize("normalise", [False, True])
def test_shares_of_the_words_add_up_to_the_score(
    tiny_bert: object, words: list[str], similarity: str, normalise: bool
) -> None:
    model = encoder(tiny_bert, "mean", normalise)
    document = Document("d", words[3], f"{words[4]} {words[5]}, {words[3]} unknownword " + " ".join(words[20:40]))
    vectors = model.encode([f"x: {document.full_text}", words[9]])
    settings = SystemSettings(
        name="dense", kind="dense", model="m", similarity=similarity, query_prefix="q: ", document_prefix="x: "
    )
    index = ExactIndex(similarity)
    index.build(vectors)
    system = DenseSystem(settings, lambda: model, index, index.vectors, ["d", "other"])
    query = f"{words[3]} {words[8]}"
    score = dict(system.search([query], 2)[0].hits)["d"]
    shares = system.explain_words(query, document)
    assert sum(share for _, share in shares) == pytest.approx(score, rel=1e-4)
    assert system.explain(query, "d") == [(f"{similarity} similarity", pytest.approx(score, rel=1e-5))]
    assert [word for word, _ in shares][:5] == ["[CLS]", "x", ":", words[3], words[4]]
    assert len(shares) == 12, "what is beyond the model's limit has no share"
    assert np.std([share for _, share in shares]) > 0


def test_two_towers_are_explained_by_that_of_the_documents(tiny_bert: object, words: list[str]) -> None:
    towers = [list(encoder(tiny_bert, "mean", False)) for _ in range(2)]
    model = SentenceTransformer(modules=[Router.for_query_document(*towers)], device="cpu")
    index = ExactIndex("cosine")
    index.build(model.encode_document([" ".join(words[3:8])]))
    system = DenseSystem(
        SystemSettings(name="dense", kind="dense", model="m"), lambda: model, index, index.vectors, ["d"]
    )
    shares = system.explain_words(words[3], Document("d", "", " ".join(words[3:8])))
    assert sum(share for _, share in shares) == pytest.approx(system.search([words[3]], 1)[0].hits[0][1], rel=1e-4)


def test_a_prompt_of_the_model_has_its_share(tiny_bert: object, words: list[str]) -> None:
    model = encoder(tiny_bert, "mean", False)
    model.prompts["document"] = f"{words[1]} {words[2]} "
    index = ExactIndex("cosine")
    index.build(model.encode_document([words[3]]))
    system = DenseSystem(
        SystemSettings(name="dense", kind="dense", model="m"), lambda: model, index, index.vectors, ["d"]
    )
    shares = system.explain_words(words[3], Document("d", "", words[3]))
    assert [word for word, _ in shares] == ["[CLS]", *words[1:4], "[SEP]"]
    assert sum(share for _, share in shares) == pytest.approx(system.search([words[3]], 1)[0].hits[0][1], rel=1e-4)


def test_pieces_of_a_word_are_added_up(tiny_bert: object) -> None:
    from core.retrieval.word_attribution import by_word

    class Batch(dict):
        word_ids = staticmethod(lambda: [None, 0, 0, 1, None])
        tokens = staticmethod(lambda: ["[CLS]", "corona", "##virus", "virus", "[SEP]"])

    text = "Coronavirus virus"
    batch = Batch(offset_mapping=[(0, 0), (0, 6), (6, 11), (12, 17), (0, 0)])
    shares = by_word(batch, text, np.array([1.0, 2.0, 3.0, 4.0, 5.0]))
    assert shares == [("[CLS]", 1.0), ("Coronavirus", 5.0), ("virus", 4.0), ("[SEP]", 5.0)]


def test_another_pooling_is_refused(tiny_bert: object, words: list[str]) -> None:
    model = encoder(tiny_bert, "cls", False)
    index = ExactIndex("cosine")
    index.build(model.encode([words[1]]))
    system = DenseSystem(
        SystemSettings(name="dense", kind="dense", model="m"), lambda: model, index, index.vectors, ["d"]
    )
    with pytest.raises(UserError, match="mean pooling"):
        system.explain_words(words[2], Document("d", "", f"{words[1]} {words[2]}"))
