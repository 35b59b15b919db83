"""Robustness of the ranking: the winner, and whether one topic decides it."""

import random

import pandas as pd
import pytest

from core.evaluation.figures import robustness
from core.evaluation.results import Results, saved_profile
from core.evaluation.robustness import Winner, leave_one_out, winner
from core.evaluation.stored_measures import VARIATIONS_FILE, Variations, read_variations
from core.import_runs import import_runs
from core.workspace.errors import UserError

A = {"1": 0.9, "2": 0.1, "3": 0.2}
B = {"3": 0.3, "1": 0.2, "2": 0.2}


def test_the_winner_has_the_highest_mean_and_a_lead():
    assert winner({"b": B, "a": A}) == Winner(("a",), pytest.approx(0.5 / 3), "b")
    assert winner({"a": A}) == Winner(("a",), 0.0, "")


def test_equal_systems_win_together_whatever_the_order_of_their_additions():
    c = {"1": 0.2, "2": 0.9, "3": 0.1}
    assert winner({"a": A, "b": B, "c": c}).systems == ("a", "c")
    assert winner({"a": A, "c": c}).lead == 0


def test_leaving_out_the_one_topic_that_decides_changes_the_winner():
    assert {topic: found.systems for topic, found in leave_one_out({"a": A, "b": B}).items()} == {
        "1": ("b",),
        "2": ("a",),
        "3": ("a",),
    }


def test_each_winner_without_a_topic_is_that_of_the_other_topics():
    generator = random.Random(1)
    values = {s: {t: generator.choice([0.0, 0.1, 0.5, 1.0]) for t in "123456"} for s in "abc"}
    for topic, found in leave_one_out(values).items():
        others = {s: {t: value for t, value in by_topic.items() if t != topic} for s, by_topic in values.items()}
        slow = winner(others)
        assert (found.systems, found.second) == (slow.systems, slow.second)
        assert found.lead == pytest.approx(slow.lead)


def test_different_topics_are_refused():
    with pytest.raises(UserError, match="different topics"):
        winner({"a": A, "b": {"1": 0.1, "2": 0.1, "4": 0.1}})


@pytest.fixture
def imported(tmp_path, workspace):
    """Two systems on three topics with grades up to 2, imported."""
    generator = random.Random(4)
    lines = [f"{t} 0 d{d} {generator.choice([0, 0, 1, 2])}\n" for t in range(3) for d in range(0, 40, 2)]
    (tmp_path / "qrels.txt").write_text("".join(lines))
    for name in ("a.run", "b.run"):
        order = {topic: generator.sample(range(40), 30) for topic in range(3)}
        lines = [f"{t} Q0 d{d} {rank} {-rank} x\n" for t, docs in order.items() for rank, d in enumerate(docs, 1)]
        (tmp_path / name).write_text("".join(lines))
    for name in ("a.run", "b.run"):  # one after the other, so that the values of the first are kept
        import_runs(workspace.collection("mine"), [tmp_path / name], tmp_path / "qrels.txt")
    return workspace.collection("mine")


def test_stored_variations_are_what_the_runs_give(imported, monkeypatch):
    stored = robustness(Results(*saved_profile(imported.workspace, "mine")), "P@5")
    monkeypatch.setattr("core.evaluation.results.read_variations", lambda _: Variations())
    computed = robustness(Results(*saved_profile(imported.workspace, "mine")), "P@5")
    pd.testing.assert_frame_equal(stored.figures, computed.figures)
    assert len(stored.figures) > 10


def test_robustness_reads_no_run_if_the_variations_are_stored(imported, monkeypatch):
    monkeypatch.setattr(Results, "run", lambda *_: pytest.fail("a run was read"))
    results = Results(*saved_profile(imported.workspace, "mine"))
    for measure in ("nDCG@10", "P@20", "AP"):
        assert robustness(results, measure).sentences


def test_damaged_variations_are_refused(imported):
    (imported.measures / VARIATIONS_FILE).write_bytes(b"PK damaged")
    with pytest.raises(UserError, match=r"variations.npy: damaged"):
        read_variations(imported.measures.path)
