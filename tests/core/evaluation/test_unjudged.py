"""Unjudged documents: condensed lists against ir_measures, the bounds against every possible judgment."""

import math
from itertools import product

import ir_measures
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.evaluation.measures import evaluate
from core.evaluation.unjudged import condensed, figures, ndcg_range

DOCUMENTS = "abcdef"
lists = st.permutations(DOCUMENTS).flatmap(lambda order: st.integers(0, 5).map(lambda n: order[:n]))
judged = st.dictionaries(st.sampled_from("abcxyz"), st.sampled_from([-1, 0, 1, 2]), min_size=1, max_size=5)


def run_of(order):
    return {"1": {document: float(-rank) for rank, document in enumerate(order)}}


def ndcg(run, judgments, k):
    if max(judgments.values()) < 0:
        return 0.0
    return evaluate(run, {"1": judgments}, [f"nDCG@{k}"])[f"nDCG@{k}"]["1"] if run["1"] else 0.0


def every_difference(first, second, judgments, k, highest):
    """Judge the unjudged documents in every way there is, and let trec_eval say what each gives."""
    free = sorted({d for order in (first, second) for d in order[:k]} - judgments.keys())
    a, b = run_of(first), run_of(second)
    for grades in product(range(highest + 1), repeat=len(free)):
        now = judgments | dict(zip(free, grades, strict=True))
        yield ndcg(a, now, k) - ndcg(b, now, k)


@given(first=lists, second=lists | st.just([]), judgments=judged, k=st.integers(1, 4), highest=st.integers(2, 3))
def test_the_bounds_are_those_of_every_possible_judgment(first, second, judgments, k, highest):
    differences = list(every_difference(first, second, judgments, k, highest))
    found = ndcg_range(run_of(first), run_of(second), {"1": judgments}, k, highest)["1"]
    assert found == pytest.approx((min(differences), max(differences)), abs=1e-9)


def test_judging_an_unjudged_document_can_lower_ndcg_worked_by_hand():
    # The one relevant document stands first: nDCG 1. Another that is relevant at rank 3 makes the list less than ideal:
    # (1 + 1/2) / (1 + 1/log2(3)) = 0.9197; the documents that were not retrieved are left alone.
    run, qrels = {"1": {"a": 3.0, "b": 2.0, "c": 1.0}}, {"1": {"a": 1, "b": 0}}
    (low, high) = ndcg_range(run, {}, qrels, 10, 1)["1"]
    assert high == 1
    assert low == pytest.approx(1.5 / (1 + 1 / math.log2(3)))


def test_a_grade_in_between_can_be_the_best_worked_by_hand():
    # Ten of grade 1 are judged, rank 1 and 2 hold two of them, rank 3 an unjudged document. Grade 1 for it leaves the
    # ideal (ten of grade 1 already) as it is; grade 2 raises the ideal by a whole 1.
    run = {"1": {"r0": 3.0, "r1": 2.0, "new": 1.0}}
    qrels = {"1": {f"r{i}": 1 for i in range(10)} | {"elsewhere": 2}}
    ideal = 2 + sum(1 / math.log2(rank + 1) for rank in range(2, 11))
    two = 1 + 1 / math.log2(3)
    low, high = ndcg_range(run, {}, qrels, 10, 2)["1"]
    assert low == pytest.approx(two / ideal)
    # second 2 in the ideal: 1/log2(3) more below the line, 1/2 more above it
    assert high == pytest.approx(max((two + 0.5) / ideal, (two + 1) / (ideal + 1 / math.log2(3))))


def test_nothing_unjudged_leaves_ndcg_as_it_is_and_a_missing_topic_is_0():
    run, qrels = {"1": {"a": 2.0, "b": 1.0}}, {"1": {"a": 0, "b": 2, "c": 1}, "2": {"a": 1}}
    value = evaluate(run, qrels, ["nDCG@10"])["nDCG@10"]["1"]
    assert ndcg_range(run, {}, qrels, 10, 2) == {"1": pytest.approx((value, value)), "2": (0, 0)}


def test_a_document_of_both_lists_gets_one_grade():
    # the only unjudged document stands at the same place in both lists: it cannot make a difference
    a, b = {"1": {"new": 2.0, "a": 1.0}}, {"1": {"new": 2.0, "b": 1.0}}
    low, high = ndcg_range(a, b, {"1": {"a": 0, "b": 0, "c": 1}}, 10, 2)["1"]
    assert (low, high) == (0, 0)


runs = st.dictionaries(
    st.sampled_from("123"), st.dictionaries(st.sampled_from(DOCUMENTS), st.floats(-9, 9), min_size=1), min_size=1
)
qrels_of_some = st.dictionaries(
    st.sampled_from("123"),
    st.dictionaries(st.sampled_from("abcxyz"), st.sampled_from([0, 1, 2]), min_size=1),
    min_size=1,
)


@given(run=runs, qrels=qrels_of_some)
def test_condensed_ndcg_is_ir_measures_on_judged_documents_only(run, qrels):
    left = condensed(run, qrels)
    theirs = dict.fromkeys(qrels, 0.0)
    if left:  # an empty run can end Python in pytrec_eval, which ir_measures calls
        measure = ir_measures.parse_measure("nDCG(judged_only=True)@3")
        answered = {topic: run[topic] for topic in left}
        theirs |= {found.query_id: found.value for found in ir_measures.iter_calc([measure], qrels, answered)}
        assert evaluate(left, qrels, ["nDCG@3"])["nDCG@3"] == pytest.approx(theirs, abs=1e-9)
    assert all(document in qrels[topic] for topic, by_document in left.items() for document in by_document)


def test_condensed_lists_worked_by_hand():
    run, qrels = (
        {"1": {"x": 3.0, "a": 2.0, "y": 1.5, "b": 1.0}, "2": {"x": 1.0}},
        {"1": {"a": 0, "b": 1}, "2": {"a": 1}},
    )
    assert condensed(run, qrels) == {"1": {"a": 2.0, "b": 1.0}}
    # relevant at rank 4, at rank 2 of the condensed list
    assert evaluate(condensed(run, qrels), qrels, ["RR"])["RR"] == {"1": 0.5, "2": 0.0}


def test_the_figures_of_two_runs_worked_by_hand():
    # d1 is relevant: at rank 1 for a, at rank 2 for b, where "new" is unjudged at rank 1.
    a, b = run_of(["d1", "d2"]), run_of(["new", "d1"])
    found = figures(["a"], {"a": a, "b": b}.__getitem__, "b", {"1": {"d1": 1, "d2": 0}}, 2)["a"]
    assert (found["nDCG"], found["condensed"], found["Judged@2"]) == (1, 1, 1)
    assert found["lowest"] == found["highest"] == 1
    assert found["difference"] == pytest.approx(1 - 1 / math.log2(3))
    assert found["difference highest"] == pytest.approx(1 - 1 / math.log2(3)), '"new" is not relevant'
    assert found["difference lowest"] == pytest.approx(1 / (1 + 1 / math.log2(3)) - 1), '"new" is relevant, b is ideal'
