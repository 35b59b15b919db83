"""Fusion against the papers' formulas by hand and in exact fractions, and against ranx."""

from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.retrieval.fusion import contributions, fuse, lowest_score, reciprocal_rank_fusion
from core.retrieval.imported import RunSystem
from core.retrieval.kinds import open_system
from core.workspace.errors import UserError
from core.workspace.profile import FusionSettings, Profile, SystemSettings
from core.workspace.workspace import Workspace

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


# By normalised scores

LISTS = [[("a", 3.0), ("b", 2.5), ("c", 1.0)], [("b", 0.9), ("d", 0.8), ("a", 0.1)]]


def fused(lists=LISTS, lowest=(), **settings):
    return dict(fuse(lists, FusionSettings(**settings), lowest))


def test_ranx_gives_the_same_scores():
    """The expected scores are those of ranx 0.3.21: fuse(runs, norm, method, params)."""
    rrf = {"b": 0.03252247488101534, "a": 0.032266458495966696, "d": 0.016129032258064516, "c": 0.015873015873015872}
    assert fused() == pytest.approx(rrf)  # norm=None, method="rrf", params={"k": 60}
    # norm="min-max", method="wsum", params={"weights": (0.3, 0.7)}
    assert fused(by="min-max", weights=[3, 7]) == pytest.approx({"b": 0.925, "d": 0.6125, "a": 0.3, "c": 0.0})
    by_z = fused(by="z-score", weights=[0.3, 0.7])  # norm="zmuv"; only for documents that are in both lists
    assert by_z["b"] == pytest.approx(0.7077187423793775) and by_z["a"] == pytest.approx(-0.6892408994535026)


def test_by_z_score_a_document_that_a_list_lacks_counts_as_its_last():
    lists = [[("a", 3.0), ("b", 1.0)], [("b", 5.0)]]
    assert fused(lists, by="z-score") == {"a": 0.5 * 1.0 + 0.5 * 0.0, "b": 0.5 * -1.0 + 0.5 * 0.0}


def test_the_theoretical_lowest_score_is_0_after_normalisation():
    lists = [[("a", 4.0), ("b", 2.0)], [("b", 0.5), ("a", 0.25)]]
    found = fused(lists, [0.0, -1.0], by="theoretical", weights=[1, 3])
    assert found == pytest.approx({"a": 0.25 * 1 + 0.75 * 1.25 / 1.5, "b": 0.25 * 0.5 + 0.75})


@given(
    st.lists(st.dictionaries(st.sampled_from("abcdefgh"), st.floats(-9, 9, width=32)), min_size=1, max_size=3),
    st.sampled_from(["min-max", "z-score", "theoretical"]),
)
def test_scores_of_another_unit_and_zero_fuse_to_the_same(scores, by):
    lists = [sorted(by_document.items(), key=lambda hit: -hit[1]) for by_document in scores]
    moved = [[(document, 4 * score + 8) for document, score in hits] for hits in lists]
    bounds = ([-9.0] * 3, [-28.0] * 3)
    settings = FusionSettings(by=by)
    there, here = (contributions(one, settings, bound) for one, bound in zip((moved, lists), bounds[::-1], strict=True))
    assert there.keys() == here.keys()
    assert all(there[document] == pytest.approx(here[document], abs=1e-5) for document in there)


def test_a_list_of_one_score_counts_whole():
    assert fused([[("a", 2.0)], [("b", 0.5), ("a", 0.5)]], by="min-max") == {"a": 1.0, "b": 0.5}


def test_weights_of_0_leave_the_other_list():
    assert list(fused(by="min-max", weights=[0, 1]))[:2] == ["b", "d"]
    assert fused(weights=[1, 0]) == pytest.approx({"a": 1 / 61, "b": 1 / 62, "c": 1 / 63, "d": 0})


def test_lowest_scores_that_are_not_known_are_refused():
    assert lowest_score(SystemSettings(name="b", kind="bm25")) == 0
    assert lowest_score(SystemSettings(name="d", kind="dense", model="m")) == -1
    with pytest.raises(UserError, match='the scores of r have no known lower bound.*use "min-max"'):
        lowest_score(SystemSettings(name="r", kind="run"))
    with pytest.raises(UserError, match="no known lower bound"):
        lowest_score(SystemSettings(name="d", kind="dense", model="m", similarity="dot"))


# Of imported runs


def open_fusion_of(*runs):
    """Open a fusion of runs, topic -> document -> score, over the topics 1 and 2."""
    texts = {"1": "masks", "2": "fever"}
    settings = [SystemSettings(name=f"run{number}", kind="run") for number in range(len(runs))]
    systems = [RunSystem(one, run, texts) for one, run in zip(settings, runs, strict=True)]
    fusion = SystemSettings(name="f", kind="fusion", of=[one.name for one in settings])
    profile = Profile(collection={"name": "tiny"}, system=[*settings, fusion])
    opened = {one.name: system for one, system in zip(settings, systems, strict=True)}
    return open_system(profile, fusion, Workspace(Path("none")).collection("tiny"), opened=opened)


def test_runs_that_share_a_topic_are_fused():
    fusion = open_fusion_of({"1": {"a": 1.0}, "2": {"b": 1.0}}, {"1": {"b": 9.0, "a": 8.0}})
    masks, fever = fusion.search(["masks", "fever"], 10)
    assert masks.hits == [("a", pytest.approx(1 / 61 + 1 / 62)), ("b", pytest.approx(1 / 61))]
    assert fever.hits == [("b", pytest.approx(1 / 61))]
    with pytest.raises(UserError, match="cannot answer new queries"):
        fusion.search(["cough"], 10)


def test_runs_that_share_no_topic_are_refused():
    with pytest.raises(UserError, match="run0 and run1 share no topic"):
        open_fusion_of({"1": {"a": 1.0}}, {"2": {"a": 1.0}})
