"""Re-ranking: the order of `CrossEncoder.rank`, the documents below the depth, explanations, and refused models."""

import weakref

import numpy as np
import pytest
from sentence_transformers import CrossEncoder
from tiny_models import make_cross_encoder
from torch.nn import Identity

from core.formats.documents import Document
from core.retrieval import openvino_encoder
from core.retrieval.rerank import REST, RerankSystem, load_reranker
from core.workspace.errors import UserError
from core.workspace.profile import CROSS_ENCODER, SystemSettings
from core.workspace.workspace import Workspace

DEPTH = 12


def settings(model, **others):
    chosen = {"name": "reranked", "kind": "rerank", "of": ["bm25"], "model": str(model), "depth": DEPTH}
    return SystemSettings.model_validate(chosen | others)


def over(first, documents, model, **others):
    chosen = settings(model, **others)
    by_id = {document.id: document for document in documents}
    return RerankSystem(chosen, first, by_id, lambda: load_reranker(Workspace.default(), chosen, "cpu"))


@pytest.fixture(scope="module")
def reranked(bm25, documents, tiny_cross_encoder):
    return over(bm25, documents, tiny_cross_encoder)


def test_the_order_is_that_of_the_librarys_rank(reranked, bm25, documents, queries, tiny_cross_encoder):
    library = CrossEncoder(str(tiny_cross_encoder), device="cpu")
    texts = {document.id: document.full_text for document in documents}
    for query, answer in zip(queries, reranked.search(queries, DEPTH), strict=True):
        first = bm25.search([query], DEPTH)[0].ranking
        ranked = library.rank(query, [texts[name] for name in first], activation_fn=Identity())
        assert answer.ranking == [first[row["corpus_id"]] for row in ranked]
        expected = [row["score"] for row in ranked]
        np.testing.assert_allclose([score for _, score in answer.hits], expected, atol=1e-4)


def test_a_query_is_answered_in_a_batch_as_alone(reranked, queries):
    together = reranked.search(queries, 30)
    assert [answer.hits for answer in together] == [reranked.search([query], 30)[0].hits for query in queries]
    assert all(set(answer.seconds) == {"search", "rerank"} for answer in together)


@pytest.mark.parametrize("depth", [1, 5, DEPTH])
def test_below_the_depth_the_first_systems_order_is_kept(depth, bm25, documents, queries, tiny_cross_encoder):
    system = over(bm25, documents, tiny_cross_encoder, depth=depth)
    for query, answer in zip(queries, system.search(queries, 40), strict=True):
        first = bm25.search([query], 40)[0].ranking
        assert answer.ranking[depth:] == first[depth:]
        assert set(answer.ranking[:depth]) == set(first[:depth])
        scores = [score for _, score in answer.hits]
        assert scores == sorted(scores, reverse=True)


def test_fewer_documents_than_the_depth_are_the_first_of_all(reranked, queries):
    for few, more in zip(reranked.search(queries, 3), reranked.search(queries, 30), strict=True):
        assert few.hits == more.hits[:3]


def test_openvino_gives_the_scores_of_torch(reranked, queries, documents, tiny_cross_encoder, monkeypatch):
    pytest.importorskip("openvino")
    assert reranked.model.runtime["runtime"].startswith("openvino")
    texts = [document.full_text for document in documents[:20]]
    found = reranked.scores(queries[3], texts)

    def missing(*_):
        raise openvino_encoder.NotConverted("OpenVINO is not installed")

    monkeypatch.setattr("core.retrieval.openvino_encoder.use_openvino", missing)
    plain = load_reranker(Workspace.default(), reranked.settings, "cpu")
    assert plain.runtime["runtime"].startswith("torch")
    pairs = [(queries[3], text) for text in texts]
    np.testing.assert_allclose(found, plain.predict(pairs, activation_fn=Identity()), atol=1e-4)
    freed = weakref.ref(plain)
    del plain
    assert freed() is None, "with the last reference: a build opens one re-ranker after the other"


def test_an_explanation_adds_up_and_its_losses_are_those_of_left_out_words(reranked, queries, documents):
    query = queries[4]
    document = next(one for one in documents if one.id == reranked.search([query], 1)[0].ranking[0])
    *losses, (_, remaining) = reranked.explain(query, document.id)
    score = float(reranked.scores(query, [document.full_text])[0])
    assert remaining + sum(loss for _, loss in losses) == pytest.approx(score, abs=1e-5)
    for word, loss in losses:
        without = " ".join(other for other in query.split() if other != word)
        assert loss == pytest.approx(score - reranked.scores(without, [document.full_text])[0], abs=1e-5)


def test_the_loss_of_a_documents_word_is_that_of_all_its_occurrences(reranked, queries):
    document = Document("own", "", "ban bar, Ban den fes")
    losses = reranked.explain_words(queries[4], document)
    assert [word for word, _ in losses] == ["ban", "bar", "Ban", "den", "fes"]
    assert losses[0][1] == losses[2][1]
    score, without = reranked.scores(queries[4], [document.text, " bar,  den fes"])
    assert losses[0][1] == pytest.approx(score - without, abs=1e-4)


def test_words_that_the_model_does_not_read_have_no_loss(bm25, documents, queries, tiny_cross_encoder):
    system = over(bm25, documents, tiny_cross_encoder, max_tokens=16)
    losses = system.explain_words("ban bar", Document("long", "", " ".join(["den"] * 40)))
    assert len(losses) == 16 - 3 - 2  # [CLS] ban bar [SEP] ... [SEP]


def test_answers_and_explanations_name_the_rank_before(reranked, bm25, queries):
    ranking = bm25.search([queries[5]], DEPTH + 1)[0].ranking
    (answer,) = reranked.search([queries[5]], 30)
    for rank, name in enumerate(ranking[:DEPTH], 1):
        assert answer.parts[name] == [(f"rank {rank} in bm25", dict(answer.hits)[name])]
    assert reranked.explain(queries[5], ranking[2])[-1][0] == f"{REST} (rank 3 in bm25)"
    below = ranking[DEPTH]
    assert below not in answer.parts and reranked.explain(queries[5], below) == []


# What is refused


def refusal(action):
    with pytest.raises(UserError) as caught:
        action()
    sentence = str(caught.value)
    assert "\n" not in sentence
    return sentence


def test_a_collection_without_texts_is_refused(bm25, tiny_cross_encoder):
    assert "has none" in refusal(lambda: over(bm25, [], tiny_cross_encoder))


def test_a_document_that_the_collection_lacks_is_named(bm25, documents, queries, tiny_cross_encoder):
    missing = bm25.search([queries[3]], 1)[0].ranking[0]
    fewer = [document for document in documents if document.id != missing]
    system = over(bm25, fewer, tiny_cross_encoder)
    assert missing in refusal(lambda: system.search([queries[3]], 5))


def test_models_that_give_no_score_of_a_pair_are_refused(tiny_bert, tiny_t5, workspace, tmp_path):
    several = make_cross_encoder(tmp_path / "three", tiny_bert, labels=3)
    refused = {
        several: "3 labels",
        tiny_bert: f"no cross-encoder but a BertModel; use one such as {CROSS_ENCODER}",
        tiny_t5: "no cross-encoder but a T5ForConditionalGeneration",
        tmp_path / "nothing": "no model in the folder",
    }
    for model, part in refused.items():
        assert part in refusal(lambda model=model: load_reranker(workspace, settings(model), "cpu"))


def test_a_score_that_is_no_number_is_refused(bm25, documents, queries, tiny_cross_encoder):
    class Broken:
        def predict(self, pairs, **_):
            return np.full(len(pairs), np.nan)

    by_id = {document.id: document for document in documents}
    system = RerankSystem(settings(tiny_cross_encoder), bm25, by_id, Broken)
    assert "NaN or infinite" in refusal(lambda: system.search([queries[3]], 5))
