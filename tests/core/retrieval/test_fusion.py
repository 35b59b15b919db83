"""Reciprocal rank fusion against the paper's formula, by hand and in exact fractions."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.retrieval.fusion import reciprocal_rank_fusion

RANKINGS = st.lists(st.lists(st.sampled_from("abcdefgh"), unique=True), max_size=4)


def test_a_case_worked_by_hand():
    fused = reciprocal_rank_fusion([["a", "b", "c"], ["b", "d"]])
    assert [document for document, _ in fused] == ["b", "a", "d", "c"]
    assert dict(fused) == pytest.approx({"b": 1 / 62 + 1 / 61, "a": 1 / 61, "d": 1 / 62, "c": 1 / 63})


def test_ties_go_by_document_id_last_first_as_in_trec_eval():
    assert [document for document, _ in reciprocal_rank_fusion([["a", "b"], ["b", "a"]])] == ["b", "a"]


def test_a_small_k_lets_the_first_rank_win_and_a_large_one_the_agreement():
    rankings = [["a", *"vwxyz", "b"], ["c", *"VWXYZ", "b"]]
    assert reciprocal_rank_fusion(rankings, k=1)[0][0] in ("a", "c")
    assert reciprocal_rank_fusion(rankings, k=1000)[0][0] == "b"


def test_nothing_fused_is_nothing():
    assert reciprocal_rank_fusion([]) == []
    assert reciprocal_rank_fusion([[], []]) == []


@given(RANKINGS, st.integers(0, 100))
def test_scores_are_the_sums_of_the_formula_whatever_the_order_of_the_rankings(rankings, k):
    exact = {
        document: sum(Fraction(1, k + ranking.index(document) + 1) for ranking in rankings if document in ranking)
        for document in {document for ranking in rankings for document in ranking}
    }
    fused = reciprocal_rank_fusion(rankings, k)
    assert {document: pytest.approx(score) for document, score in fused} == {d: float(s) for d, s in exact.items()}
    assert [score for _, score in fused] == sorted((score for _, score in fused), reverse=True)
    assert dict(reciprocal_rank_fusion(rankings[::-1], k)) == pytest.approx(dict(fused))


@given(st.lists(st.sampled_from("abcdefgh"), unique=True))
def test_one_ranking_stays_as_it_is(ranking):
    assert [document for document, _ in reciprocal_rank_fusion([ranking])] == ranking
