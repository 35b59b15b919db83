"""Systems: a batch of queries is answered as each query alone, and the committed runs are reproduced."""

import random

import numpy as np
import pytest

from core.formats.collections import read_built_topics
from core.formats.documents import Document
from core.formats.runs import built_run, ranked
from core.indexes.exact import ExactIndex
from core.retrieval.answer import Answer
from core.retrieval.bm25 import Bm25Index
from core.retrieval.encoder import encode_texts, load_encoder
from core.retrieval.fusion import FusionSystem, fuse_answers
from core.retrieval.kinds import open_system
from core.retrieval.systems import Bm25System, DenseSystem, search_without
from core.workspace.profile import (
    AnalyzerSettings,
    Bm25Settings,
    ExpansionSettings,
    SystemSettings,
    find_settings,
    read_profile,
)
from core.workspace.workspace import CHECKOUT, Workspace

SAMPLE = Workspace(CHECKOUT / "artifacts").collection("sample")
TOLERANCE = 1e-6
LEXICAL = ["bm25s", "bm25s, two fields", "rank_bm25", "predicted queries"]
DENSE = ["cosine", "dot"]
FUSED = ["fusion", "fusion of a fusion"]


@pytest.fixture(scope="module")
def texts(words):
    """Two hundred texts of different lengths, every fourth one three times: many scores are tied."""
    generator = random.Random(5)
    once = [" ".join(generator.sample(words, generator.randint(1, 14))) for _ in range(200)]
    return [*once, *once[::4], *once[::4]]


@pytest.fixture(scope="module")
def documents(texts):
    return [Document(f"d{number}", "", text) for number, text in enumerate(texts)]


@pytest.fixture(scope="module")
def queries(words):
    generator = random.Random(6)
    return ["", "zzz", *(" ".join(generator.sample(words, generator.randint(1, 12))) for _ in range(40))]


@pytest.fixture(scope="module")
def systems(documents, encoder):
    def lexical(predicted=None, **settings):
        expansion = ExpansionSettings(field="own", weight=0.5)
        index = Bm25Index.build(documents, Bm25Settings(**settings), AnalyzerSettings(), predicted, expansion)
        return Bm25System(SystemSettings(name="bm25", kind="bm25"), index)

    def dense(similarity):
        settings = SystemSettings(name=similarity, kind="dense", model=str(encoder), similarity=similarity)
        loaded, index = load_encoder(Workspace.default(), settings, "cpu"), ExactIndex(similarity)
        index.build(encode_texts(loaded, [document.full_text for document in documents], "document"))
        return DenseSystem(settings, lambda: loaded, index, index.vectors, [document.id for document in documents])

    made = [
        lexical(),
        lexical(fields="two"),
        lexical(engine="rank_bm25"),
        lexical({document.id: [document.text[:20]] for document in documents[::2]}),
    ]
    found = dict(zip([*LEXICAL, *DENSE], [*made, *map(dense, DENSE)], strict=True))
    settings = SystemSettings(name="fusion", kind="fusion", of=["bm25s", "cosine"])
    fusion = FusionSystem(settings, [found["bm25s"], found["cosine"]], 50)
    outer = SystemSettings(name="outer", kind="fusion", of=["fusion", "dot"], fusion={"by": "z-score"})
    return found | {"fusion": fusion, "fusion of a fusion": FusionSystem(outer, [fusion, found["dot"]], 40)}


@pytest.mark.parametrize("name", [*LEXICAL, *DENSE, *FUSED])
@pytest.mark.parametrize("k", [1, 10, 1000])
def test_a_query_is_answered_in_a_batch_as_alone(name, k, systems, queries):
    system = systems[name]
    batch = system.search(queries, k)
    assert len(batch) == len(queries)
    for query, answer in zip(queries, batch, strict=True):
        (alone,) = system.search([query], k)
        assert answer.ranking == alone.ranking
        assert [score for _, score in answer.hits] == pytest.approx([score for _, score in alone.hits], rel=1e-6)
        assert answer.seconds.keys() == alone.seconds.keys()
        assert all(seconds > 0 for seconds in answer.seconds.values())


@pytest.mark.parametrize("name", [*LEXICAL, *DENSE])
def test_documents_of_equal_score_stand_in_the_collections_order(name, systems, queries):
    for answer in systems[name].search(queries, 1000):
        tied: dict[float, list[int]] = {}
        for document, score in answer.hits:
            tied.setdefault(score, []).append(int(document[1:]))
        assert all(positions == sorted(positions) for positions in tied.values())
    assert any(len(positions) > 1 for positions in tied.values())


@pytest.mark.parametrize("name", [*LEXICAL, *DENSE, *FUSED])
def test_each_query_may_have_a_k_of_its_own(name, systems, queries):
    depths = [1 + 7 * number % 40 for number in range(len(queries))]
    deepest = systems[name].search(queries, 1000)
    for depth, answer, whole in zip(depths, systems[name].search(queries, depths), deepest, strict=True):
        assert answer.hits == whole.hits[:depth]


@pytest.mark.parametrize("name", [*LEXICAL, *DENSE])
def test_the_best_documents_that_are_not_excluded(name, systems, queries):
    generator = random.Random(7)
    everything = systems[name].search(queries, 1000)
    excluded = [
        {*answer.ranking[: number % 3], *generator.sample(answer.ranking, min(3, len(answer.hits)))}
        for number, answer in enumerate(everything)
    ]
    answers = search_without(systems[name], queries, 8, excluded)
    for answer, own, whole in zip(answers, excluded, everything, strict=True):
        assert answer.hits == [hit for hit in whole.hits if hit[0] not in own][:8]


def test_no_queries_have_no_answers(systems):
    assert [system.search([], 10) for system in systems.values()] == [[]] * len(systems)


def test_a_query_has_one_vector_whatever_is_encoded_beside_it(systems, queries):
    system = systems["cosine"]
    assert np.array_equal(system.encode(queries), np.concatenate([system.encode([query]) for query in queries]))


def test_fused_answers_by_hand():
    answers = {"a": Answer([("x", 3.0), ("y", 1.0)]), "b": Answer([("y", 0.5)])}
    assert fuse_answers(answers).hits == [("y", pytest.approx(1 / 62 + 1 / 61)), ("x", pytest.approx(1 / 61))]


@pytest.mark.parametrize("name", FUSED)
def test_what_the_fused_systems_contribute_adds_up_to_the_score(name, systems, queries):
    system = systems[name]
    for query in queries[2:6]:
        (answer,) = system.search([query], 30)
        for document, score in answer.hits:
            parts = system.explain(query, document)
            assert sum(value for _, value in parts) == pytest.approx(score)
            for (label, _), part in zip(parts, system.parts, strict=True):
                (theirs,) = part.search([query], system.depth)
                ranks = {name: f"rank {rank}" for rank, name in enumerate(theirs.ranking, 1)}
                assert label.rpartition(", ")[2] == ranks.get(document, f"not in its first {system.depth}")
    assert system.explain(queries[2], "no such document") == []


def test_the_committed_hybrid_is_the_fusion_of_the_committed_runs():
    bm25, dense, hybrid = (built_run(SAMPLE, name).scores for name in ("bm25", "fine-tuned", "hybrid"))
    same = []
    for topic, found in hybrid.items():
        expected: dict[str, float] = {}
        for run in (bm25, dense):
            for rank, (document, _) in enumerate(ranked(run.get(topic, {})), 1):
                expected[document] = expected.get(document, 0) + 1 / (60 + rank)
        same += [mine == theirs for (mine, _), (theirs, _) in zip(ranked(found), ranked(expected), strict=False)]
    assert sum(same) > 0.999 * len(same), "another processor may exchange two documents of a dense system"


@pytest.mark.parametrize("name", ["bm25", "bm25-doc2query", "all-MiniLM-L6-v2", "fine-tuned"])
def test_the_committed_runs_are_reproduced(name):
    profile = read_profile(str(SAMPLE / "profile.json"))
    topics, _ = read_built_topics(SAMPLE)
    system = open_system(profile, find_settings(profile, name), SAMPLE, "cpu")
    committed = built_run(SAMPLE, name).scores
    answers = system.search([topic.text(profile.collection.topic_field) for topic in topics], profile.depth)
    for topic, answer in zip(topics, answers, strict=True):
        expected = ranked(committed[topic.id])
        assert [score for _, score in answer.hits] == pytest.approx([score for _, score in expected], abs=TOLERANCE)
        # Two documents whose scores are that close may change places: another processor adds in another order.
        for (document, score), (there, _) in zip(answer.hits, expected, strict=True):
            assert document == there or committed[topic.id].get(document, score) == pytest.approx(score, abs=TOLERANCE)
