"""Relevance grades as words and symbols, so that they can be told apart without colour."""

from typing import Any

import pandas as pd


def grade_words(grade: Any, highest: int) -> str:
    """Return a grade in words, without its symbol and number.

    Args:
        grade: an integer, or None or NA for unjudged, which differs from not relevant.
        highest: the collection's highest grade; lower positive grades are "partly relevant".
    """
    if grade is None or pd.isna(grade):
        return "unjudged"
    if grade <= 0:
        return "not relevant"
    return "partly relevant" if grade < highest else "relevant"


def grade_text(grade: int | None, highest: int) -> str:
    """Return a grade as symbol, words and number; arguments as in `grade_words`."""
    words = grade_words(grade, highest)
    if grade is None:
        return f"? {words}"
    return f"{'●' * min(max(grade, 0), 5) or '○'} {words} ({grade})"
