"""Filtering of predicted queries: scores against their documents, and which queries an index then holds."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sentence_transformers import SentenceTransformer
from stages import make

from core import doc2query
from core.build import run_build
from core.formats.collections import read_built_collection
from core.formats.predicted_queries import kept_queries, read_scores, write_expansions
from core.retrieval.bm25 import searched_queries, stored_predicted
from core.retrieval.kinds import open_system
from core.training import query_scores
from core.workspace.artifacts import writing
from core.workspace.errors import UserError
from core.workspace.profile import ExpansionSettings, Profile
from core.workspace.stage import Build

QUERIES = {"a": ["a0", "a1", "a2", "a3"], "b": ["b0", "b1", "b2", "b3"], "c": []}
SCORES = {"a": [0.9, 0.1, 0.5, 0.7], "b": [0.2, 0.8, 0.3, 0.4], "c": []}


def test_without_a_filter_the_first_queries_are_kept():
    assert kept_queries(QUERIES, None, ExpansionSettings()) == QUERIES
    assert kept_queries(QUERIES, None, ExpansionSettings(queries=2)) == {"a": ["a0", "a1"], "b": ["b0", "b1"], "c": []}


def test_the_filter_keeps_the_best_of_the_collection_in_their_order():
    assert kept_queries(QUERIES, SCORES, ExpansionSettings(keep=0.5)) == {"a": ["a0", "a2", "a3"], "b": ["b1"], "c": []}
    # of the first two of each document: 0.9, 0.1, 0.2, 0.8
    assert kept_queries(QUERIES, SCORES, ExpansionSettings(keep=0.5, queries=2)) == {"a": ["a0"], "b": ["b1"], "c": []}


@given(
    scores=st.lists(st.lists(st.integers(0, 10**6), max_size=6, unique=True), min_size=1, max_size=8),
    keep=st.floats(0.01, 0.99),
)
def test_the_filter_keeps_its_share_and_nothing_worse_than_what_it_drops(scores, keep):
    by_document = {str(d): [value + d / 10 for value in own] for d, own in enumerate(scores)}
    queries = {name: [f"{name} {score}" for score in own] for name, own in by_document.items()}
    kept = {q for own in kept_queries(queries, by_document, ExpansionSettings(keep=keep)).values() for q in own}
    everything = {f"{name} {score}": score for name, own in by_document.items() for score in own}
    assert abs(len(kept) - keep * len(everything)) <= 1
    dropped = everything.keys() - kept
    if kept and dropped:
        assert min(everything[q] for q in kept) > max(everything[q] for q in dropped)


@pytest.fixture
def built(encoder, words, beir_folder, workspace):
    """A profile with a filtered system, and the folder of its collection with predicted queries."""
    corpus = "".join(json.dumps({"_id": f"d{n}", "text": " ".join(words[n : n + 6])}) + "\n" for n in range(20))
    profile = Profile(
        collection={"name": "tiny", "source": str(beir_folder({"corpus.jsonl": corpus}))},
        doc2query={"scorer": "dense"},
        system=[
            {"name": "bm25", "kind": "bm25"},
            {"name": "filtered", "kind": "bm25", "expanded": True, "expansion": {"queries": 3, "keep": 0.4}},
            {"name": "dense", "kind": "dense", "model": str(encoder), "similarity": "dot", "query_prefix": "ban "},
        ],
    )
    folder = workspace.collection("tiny")
    run_build(Build(profile, folder, "cpu"), only="collection", say=lambda _: None)
    documents = read_built_collection(folder).documents
    queries = {d.id: [" ".join(words[n + i : n + i + 2]) for i in (0, 30, 60, 90)] for n, d in enumerate(documents)}
    with writing(folder / "doc2query", "doc2query generate", {"queries": 4}, {}) as partial:
        write_expansions(partial, queries)
    return profile, folder, queries


def quiet_build(profile, folder):
    """Build everything but the predicted queries, which are given."""
    results = {}
    for stage in ("encode", "query-scores", "bm25"):
        for outcome in run_build(Build(profile, folder, "cpu"), only=stage, say=lambda _: None):
            results[f"{stage}/{outcome.step.artifact.name}"] = outcome.result
    return results


def test_scores_are_the_similarities_of_sentence_transformers(built, encoder):
    profile, folder, queries = built
    quiet_build(profile, folder)
    found = read_scores(folder)
    model = SentenceTransformer(str(encoder), device="cpu")
    for document in read_built_collection(folder).documents:
        expected = model.encode([f"ban {q}" for q in queries[document.id]]) @ model.encode(document.full_text)
        assert found[document.id] == pytest.approx(expected.tolist(), abs=2e-5)


def test_a_margin_is_the_distance_to_the_nearest_other_document(built, encoder):
    profile, folder, queries = built
    quiet_build(profile, folder)
    profile = profile.model_copy(update={"doc2query": profile.doc2query.model_copy(update={"score_by": "margin"})})
    make(doc2query.SCORE, profile, folder)
    found = read_scores(folder)
    model = SentenceTransformer(str(encoder), device="cpu")
    documents = read_built_collection(folder).documents
    vectors = model.encode([document.full_text for document in documents])
    for row, document in enumerate(documents):
        similarities = model.encode([f"ban {q}" for q in queries[document.id]]) @ vectors.T
        expected = similarities[:, row] - np.delete(similarities, row, axis=1).max(axis=1)
        assert found[document.id] == pytest.approx(expected.tolist(), abs=2e-5)
    assert min(map(min, found.values())) < 0 < max(map(max, found.values()))


def test_an_interrupted_scoring_goes_on_and_ends_the_same(built, monkeypatch):
    profile, folder, _ = built
    quiet_build(profile, folder)
    expected = (folder / "doc2query-scores" / "scores.jsonl").read_bytes()
    scores_of, calls = query_scores.scores_of, []

    def interrupted(*arguments):
        if len(calls) == 2:
            raise KeyboardInterrupt
        calls.append(1)
        return scores_of(*arguments)

    monkeypatch.setattr(query_scores, "SHARD", 6)
    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(query_scores, "scores_of", interrupted)
        make(doc2query.SCORE, profile, folder)
    with (folder / ".doc2query-scores.partial" / "progress.log").open("a") as file:
        file.write('{"d12": [0.1')  # what a computer that stopped in the middle of a line leaves
    monkeypatch.setattr(query_scores, "scores_of", lambda *a: calls.append(1) or scores_of(*a))
    make(doc2query.SCORE, profile, folder)
    assert len(calls) == 4, "of four shards, two are done once more"
    assert (folder / "doc2query-scores" / "scores.jsonl").read_bytes() == expected


def test_a_filtered_system_searches_the_queries_that_are_kept_and_no_others(built):
    profile, folder, queries = built
    assert set(quiet_build(profile, folder).values()) == {"made"}
    scores = read_scores(folder)
    limit = np.quantile([score for own in scores.values() for score in own[:3]], 0.6)
    expected = {
        name: [query for query, score in zip(own[:3], scores[name][:3], strict=True) if score >= limit]
        for name, own in queries.items()
    }
    assert 0 < sum(map(len, expected.values())) < 60
    assert stored_predicted(folder, "filtered") == expected
    system = open_system(profile, profile.system[1], folder)
    for name, own in queries.items():
        for query in own[1:3]:  # words that the document itself has not
            assert (name in dict(system.search([query], 20)[0].hits)) == (query in expected[name])


def test_other_filters_make_the_index_again_and_not_the_scores(built):
    profile, folder, _ = built
    quiet_build(profile, folder)
    systems = [s.model_copy(update={"expansion": ExpansionSettings(keep=0.9)}) for s in profile.system]
    again = quiet_build(profile.model_copy(update={"system": systems}), folder)
    made = {name for name, result in again.items() if result == "made"}
    assert made == {"bm25/filtered"}, "a system that is not expanded does not depend on the filter"


def test_more_queries_than_were_predicted_are_refused(built):
    profile, folder, _ = built
    quiet_build(profile, folder)
    systems = [s.model_copy(update={"expansion": ExpansionSettings(queries=4)}) for s in profile.system]
    assert "failed" not in quiet_build(profile.model_copy(update={"system": systems}), folder).values()
    systems = [s.model_copy(update={"expansion": ExpansionSettings(queries=9)}) for s in profile.system]
    outcomes = run_build(
        Build(profile.model_copy(update={"system": systems}), folder, "cpu"), only="bm25", say=lambda _: None
    )
    (failed,) = [outcome.reason for outcome in outcomes if outcome.result == "failed"]
    assert failed == (
        "filtered: expansion.queries is 9, but only 4 were predicted for a document; "
        "lower expansion.queries or predict more (doc2query.queries)"
    )


def test_scores_of_other_queries_filter_nothing(built):
    """Between two stages of a rebuild the scores are older than the queries: as many, or of other documents."""
    profile, folder, queries = built
    quiet_build(profile, folder)
    for other in ({name: own[::-1] for name, own in queries.items()}, {"new": ["ban"]} | queries):
        with writing(folder / "doc2query", "doc2query generate", {"queries": 4}, {}) as partial:
            write_expansions(partial, other)
        outcomes = run_build(Build(profile, folder, "cpu"), only="bm25", say=lambda _: None)
        (reason,) = [outcome.reason for outcome in outcomes if outcome.result == "failed"]
        assert reason.startswith("artifacts/tiny/doc2query-scores has scores of other predicted queries; rebuild it")
        with pytest.raises(UserError, match="other predicted queries"):
            searched_queries(profile.system[1], folder)
    (outcome,) = run_build(Build(profile, folder, "cpu"), only="query-scores", say=lambda _: None)
    assert "no vector for 1 of the documents that have predicted queries, such as new;" in outcome.reason
    with writing(folder / "doc2query", "doc2query generate", {"queries": 4}, {}) as partial:
        write_expansions(partial, queries)
    assert set(quiet_build(profile, folder).values()) <= {"made", "up to date"}


def test_an_index_without_predicted_queries_says_so(built):
    profile, folder, _ = built
    quiet_build(profile, folder)
    with pytest.raises(UserError, match="holds no predicted queries"):
        stored_predicted(folder, "bm25")
