"""Robustness of the ranking: the winner, and whether one topic decides it."""

import pytest

from core.evaluation.robustness import Winner, leave_one_out, winner
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


def test_different_topics_are_refused():
    with pytest.raises(UserError, match="different topics"):
        winner({"a": A, "b": {"1": 0.1, "2": 0.1, "4": 0.1}})
