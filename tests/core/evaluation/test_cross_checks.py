"""The second opinion: other libraries on the same runs, and that it would see a difference."""

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from core.evaluation.cross_checks import checkable, ir_measures_values, sklearn_ndcg
from core.evaluation.measures import evaluate

documents = st.sampled_from("abcdefghijkl")
runs = st.dictionaries(st.sampled_from("123"), st.dictionaries(documents, st.sampled_from([2.0, 1.0, 0.5])), min_size=1)
judgments = st.dictionaries(documents, st.sampled_from([0, 0, 1, 2, -1]), min_size=2)
qrels_of_some = st.dictionaries(st.sampled_from("123"), judgments, min_size=1)


@given(run=runs, qrels=qrels_of_some, k=st.sampled_from([1, 3, 10]))
def test_scikit_learns_ndcg_is_trec_evals(run, qrels, k):
    assume(run.keys() & qrels.keys())
    assert sklearn_ndcg(run, qrels, k) == pytest.approx(evaluate(run, qrels, [f"nDCG@{k}"])[f"nDCG@{k}"], abs=1e-9)


def test_a_topic_missing_in_the_run_counts_0_there_too():
    run, qrels = {"1": {"a": 1.0}, "9": {"a": 1.0}}, {"1": {"a": 1}, "2": {"a": 1}, "3": {"a": -1}}
    measures = ["nDCG@10", "AP", "P(rel=2)@5"]
    assert ir_measures_values(run, qrels, measures) == evaluate(run, qrels, measures)
    assert ir_measures_values(run, qrels, ["AP"])["AP"] == {"1": 1, "2": 0, "3": 0}
    assert sklearn_ndcg(run, qrels, 10) == {"1": 1, "2": 0, "3": 0}


def test_judged_is_left_out():
    assert checkable(["nDCG@10", "Judged@10", "AP(rel=2)"]) == ["nDCG@10", "AP(rel=2)"]
