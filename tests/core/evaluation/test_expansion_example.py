"""The document that expansion helped most, and which of its predicted queries earned that; worked by hand."""

import math

import pytest

from core.evaluation.expansion_example import Gain, earned, example_table, find_example, gains
from core.formats.documents import Document
from core.retrieval.analyzer import open_analyzer
from core.retrieval.bm25 import Bm25Index, Origin, origins
from core.workspace.profile import AnalyzerSettings, Bm25Settings

ANALYZER = open_analyzer(AnalyzerSettings())


def test_gains_are_the_relevant_documents_that_rise_largest_first() -> None:
    qrels = {"t": {"a": 1, "b": 1, "c": 0}, "u": {"a": 2}, "not retrieved": {"z": 1}}
    before = {"t": {"c": 3.0, "a": 2.0}, "u": {"b": 2.0, "a": 1.0}}
    after = {"t": {"a": 3.0, "c": 2.0, "b": 1.0}, "u": {"a": 2.0, "b": 1.0}}
    ideal = 1 + 1 / math.log2(3)
    assert gains(before, after, qrels) == [
        Gain("u", "a", 2, 2, 1, pytest.approx(1 - 1 / math.log2(3))),
        Gain("t", "b", 1, None, 3, pytest.approx(0.5 / ideal)),
        Gain("t", "a", 1, 2, 1, pytest.approx((1 - 1 / math.log2(3)) / ideal)),
    ]
    assert gains(after, before, {"u": {"a": 2}}) == [], "what falls is no gain"


def test_a_terms_weight_is_shared_by_its_occurrences_in_the_queries() -> None:
    (mask, school) = (ANALYZER.tokens(word)[0] for word in ("masks", "schools"))
    of_score = [Origin(mask, 1.0, 3.0, []), Origin(school, 0.0, 2.0, []), Origin("text", 5.0, 0.0, [])]
    queries = ["masks and masks", "which mask for schools", "text of buses", "which mask for schools"]
    table = earned(of_score, queries, ANALYZER)
    assert dict(table["earned"]) == pytest.approx(
        {"which mask for schools": 2 * 3 / 4 + 2, "masks and masks": 2 * 3 / 4, "text of buses": 0}
    )
    assert list(table["terms"]) == ["mask, schools", "masks", ""]


def test_the_parts_earned_add_up_to_what_bm25_owes_to_the_queries() -> None:
    documents = [
        Document("d1", "", "Buses are crowded."),
        Document("d2", "", "Masks on buses."),
        Document("d3", "", "x"),
    ]
    predicted = {"d1": ["do masks help on buses", "are masks needed"], "d2": [], "d3": []}
    index = Bm25Index.build(documents, Bm25Settings(), AnalyzerSettings(), predicted)
    found = origins(index, Bm25Settings(), "masks on buses", documents[0], predicted["d1"])
    table = earned(found, predicted["d1"], index.analyzer)
    assert table["earned"].sum() == pytest.approx(sum(one.predicted for one in found))
    score = dict(index.search("masks on buses", 3))["d1"]
    assert table["earned"].sum() == pytest.approx(score - sum(one.document for one in found), rel=1e-5)


def test_the_example_is_the_largest_gain_that_a_predicted_query_earned() -> None:
    candidates = [Gain("1", "without", 1, 9, 1, 0.5), Gain("2", "d", 2, None, 3, 0.25)]
    explained = {"without": ([Origin("fever", 4.0, 0.0, [])], ["a cough"])}
    explained["d"] = ([Origin("fever", 1.0, 3.0, [])], ["a cough", "a fever"])
    example = find_example(candidates, lambda topic, document: explained[document], ANALYZER)
    assert example is not None
    assert (example.gain, example.decisive, example.score) == (candidates[1], "a fever", 4.0)
    table = example_table(example, "who?", {"d": Document("d", "", "Hot days.")}, ("BM25+", "BM25"), "c")
    assert table.figures["share of score"].tolist() == [0.75, 0.0]
    assert "“Hot days.” (grade 2) from outside the run to rank 3, which contributes +0.250" in table.sentences[0]
    assert "75 % of its score" in table.sentences[1] and "“a fever”" in table.sentences[1]
    assert find_example(candidates[:1], lambda topic, document: explained[document], ANALYZER) is None
