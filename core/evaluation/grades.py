"""Grades in words, and with a sign: they are told apart without colour."""

from typing import Any

import pandas as pd


def grade_words(grade: Any, highest: int) -> str:
    """Return a grade in words, without its sign and number.

    Args:
        grade: a whole number, or None or NA for unjudged, which is not the same as not relevant.
        highest: the collection's highest grade; above 1, grade 1 is partly relevant.
    """
    if grade is None or pd.isna(grade):
        return "unjudged"
    if grade <= 0:
        return "not relevant"
    return "partly relevant" if grade < highest else "relevant"


def grade_text(grade: int | None, highest: int) -> str:
    """Return a grade as a sign, in words and as a number; arguments as in `grade_words`."""
    words = grade_words(grade, highest)
    if grade is None:
        return f"? {words}"
    return f"{'●' * min(max(grade, 0), 5) or '○'} {words} ({grade})"
