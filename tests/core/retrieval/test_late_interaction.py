"""Late interaction: the scores of `MultiVectorEncoder.similarity`, explanations by brute force, refused models."""

import numpy as np
import pytest
from pydantic import ValidationError
from sentence_transformers import MultiVectorEncoder
from tiny_models import make_multi_vector_encoder

from core.formats.documents import Document
from core.retrieval import openvino_encoder
from core.retrieval.bm25 import Bm25Index
from core.retrieval.late_interaction import LateInteractionSystem
from core.retrieval.rerank import load_reranker
from core.retrieval.systems import Bm25System
from core.workspace.errors import UserError
from core.workspace.profile import AnalyzerSettings, Bm25Settings, SystemSettings
from core.workspace.workspace import Workspace

DEPTH = 8
EXPANDED = {"query_expansion": {"strategy": "fixed", "attend": False, "length": 12}}


@pytest.fixture(scope="module")
def model(tmp_path_factory, tiny_bert):
    return make_multi_vector_encoder(tmp_path_factory.mktemp("models") / "plain", tiny_bert)


@pytest.fixture(scope="module")
def expanding(tmp_path_factory, tiny_bert):
    return make_multi_vector_encoder(tmp_path_factory.mktemp("models") / "expanding", tiny_bert, **EXPANDED)


def settings(model, **others):
    chosen = {"name": "late", "kind": "rerank", "architecture": "multi-vector", "of": ["bm25"], "depth": DEPTH}
    return SystemSettings.model_validate(chosen | {"model": str(model)} | others)


def over(first, documents, model, **others):
    chosen = settings(model, **others)
    by_id = {document.id: document for document in documents}
    return LateInteractionSystem(chosen, first, by_id, lambda: load_reranker(Workspace.default(), chosen, "cpu"))


def similarities(library, query, texts):
    """Return the library's similarity of a query and texts, each encoded in a batch of its own."""
    return library.similarity(library.encode_query([query]), library.encode_document(texts, batch_size=1))[0].tolist()


@pytest.mark.parametrize(("kind", "runtime"), [("expanding", "openvino"), ("model", "torch")])
def test_scores_are_those_of_the_librarys_similarity(kind, runtime, bm25, documents, queries, request, monkeypatch):
    def missing(*_):
        raise openvino_encoder.NotConverted("OpenVINO is not installed")

    if runtime == "torch":
        monkeypatch.setattr("core.retrieval.openvino_encoder.use_openvino", missing)
    else:
        pytest.importorskip("openvino")
    folder = request.getfixturevalue(kind)
    system, library = over(bm25, documents, folder), MultiVectorEncoder(str(folder), device="cpu")
    assert system.model.runtime["runtime"].startswith(runtime)
    texts = {document.id: document.full_text for document in documents}
    asked = queries[1:4]
    for query, answer in zip(asked, system.search(asked, DEPTH), strict=True):
        first = bm25.search([query], DEPTH)[0].ranking
        expected = dict(zip(first, similarities(library, query, [texts[name] for name in first]), strict=True))
        assert dict(answer.hits) == pytest.approx(expected, abs=1e-4)
        assert sorted(expected, key=lambda name: -round(expected[name], 4)) == answer.ranking


def test_a_query_is_answered_in_a_batch_as_alone(bm25, documents, queries, model):
    system = over(bm25, documents, model)
    together = system.search(queries, 30)
    assert [answer.hits for answer in together] == [system.search([query], 30)[0].hits for query in queries]
    assert all(set(answer.seconds) == {"search", "rerank"} for answer in together)


@pytest.mark.parametrize("similarity", ["maxsim", "meanmaxsim"])
@pytest.mark.parametrize("kind", ["model", "expanding"])
def test_tokens_match_as_by_brute_force_and_add_up_to_the_score(kind, similarity, bm25, documents, queries, request):
    folder = request.getfixturevalue(kind)
    system, library = over(bm25, documents, folder), MultiVectorEncoder(str(folder), device="cpu")
    system.model.similarity_fn_name = library.similarity_fn_name = similarity
    query = queries[4]
    (answer,) = system.search([query], 3)
    for name, score in answer.hits:
        document = system.documents[name]
        found = system.explain(query, name)
        assert sum(value for _, value in found) == pytest.approx(score, abs=1e-4)
        assert sum(value for _, value in system.explain_words(query, document)) == pytest.approx(score, abs=1e-4)
        asked, read = library.encode_query(query).numpy(), library.encode_document(document.full_text).numpy()
        best = (asked @ read.T).max(axis=1) / (len(asked) if similarity == "meanmaxsim" else 1)
        np.testing.assert_allclose([value for _, value in found], np.sort(best)[::-1], atol=1e-4)


def test_explanations_name_the_tokens_that_match(bm25, words, model):
    """The same text is a query and a document, with the same prefix: each token is the most similar to itself."""
    text = "den fes gar"
    own = Document("own", "", text)
    index = Bm25Index.build([own], Bm25Settings(), AnalyzerSettings(stemmer="none", stop_words="none"))
    first = Bm25System(SystemSettings(name="bm25", kind="bm25", label="BM25"), index)
    system = over(first, [own], model, query_prefix="kor ", document_prefix="kor ")
    tokens = ["[CLS]", "kor", "den", "fes", "gar", "[SEP]"]
    assert {name for name, _ in system.explain(text, "own")} == {f"{token} → {token}" for token in tokens}
    assert [word for word, _ in system.explain_words(text, own)] == tokens
    assert [value for _, value in system.explain_words(text, own)] == pytest.approx([1] * 6, abs=1e-4)
    assert system.rank_before(text, "own") == "rank 1 in BM25"
    assert system.rank_before("bar", "own") == "" and system.explain("bar", "own") == []


def test_documents_are_read_up_to_max_tokens(bm25, documents, model):
    long = Document("long", "", " ".join(["den"] * 40))
    assert len(over(bm25, documents, model).explain_words("den", long)) == 24
    assert len(over(bm25, documents, model, max_tokens=10).explain_words("den", long)) == 10


def test_other_models_are_refused(workspace, encoder, tiny_bert, tiny_cross_encoder, model):
    for other in (encoder, tiny_bert, tiny_cross_encoder):
        with pytest.raises(UserError, match="is no multi-vector encoder; use one such as"):
            load_reranker(workspace, settings(other), "cpu")
    with pytest.raises(UserError, match="no cross-encoder"):
        load_reranker(workspace, settings(model, architecture="cross-encoder"), "cpu")


def test_settings_that_do_not_fit_are_refused():
    with pytest.raises(ValidationError, match="late: a multi-vector re-ranker needs a model"):
        settings("")
    with pytest.raises(ValidationError, match="a bm25 system has no setting architecture"):
        SystemSettings(name="bm25", kind="bm25", architecture="multi-vector")
