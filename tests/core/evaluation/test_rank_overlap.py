"""Rank-biased overlap and Jaccard's coefficient against published figures, the definition, and cases worked by hand."""

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.evaluation.rank_overlap import PERSISTENCE, jaccard, rank_biased_overlap

ORIGINAL = [
    ("karfvodcjmwgzlypebunq", 0.9, 0.468431),
    ("sozxjfdenvqkbgryapc", 0.9, 0.307626),
    ("zclx", 0.9, 0.233312),
    ("nxqyk", 0.9, 0.049050),
    ("f", 0.9, 0.053090),
    ("afdqwtvehcpubinloygrs", 0.4, 0.782330),
    ("ma", 0.4, 0.200001),
    ("aptkn", 0.2, 0.892587),
]
"""Against the alphabet, by the authors' own rbo_ext (test data of github.com/mpetri/rbo)."""
lists = st.lists(st.integers(0, 12), unique=True, min_size=1, max_size=10)


@pytest.mark.parametrize(("other", "p", "expected"), ORIGINAL)
def test_the_authors_own_figures(other: str, p: float, expected: float) -> None:
    assert rank_biased_overlap(string.ascii_lowercase, other, p) == pytest.approx(expected, abs=6e-7)


def test_by_hand() -> None:
    # Overlaps at depths 1 to 3: 0, 1, 2 of 1, 2, 3; below it the agreement stays 2/3.
    p = 0.5
    expected = (1 - p) * (0 + 1 / 2 * p + 2 / 3 * p**2) + 2 / 3 * p**3
    assert rank_biased_overlap("abc", "bcd", p) == pytest.approx(0.5 * (0.25 + 1 / 6) + 1 / 12) == expected


@given(lists, lists, st.sampled_from([0.3, 0.9]))
def test_it_is_the_infinite_sum_where_the_rest_agrees_as_what_was_seen(a: list[int], b: list[int], p: float) -> None:
    short, long = sorted((a, b), key=len)
    s, n = len(short), len(long)
    total = 0.0
    for depth in range(1, 600):
        # What the short list would have in common below its end, were its agreement at the end to stay.
        more = len(set(short) & set(long[:s])) / s * max(min(depth, n) - s, 0)
        agreement = (len(set(short[:depth]) & set(long[:depth])) + more) / min(depth, n)
        total += (1 - p) * p ** (depth - 1) * agreement
    assert rank_biased_overlap(a, b, p) == pytest.approx(total)
    assert rank_biased_overlap(b, a, p) == pytest.approx(total)


def test_same_disjoint_and_empty() -> None:
    assert rank_biased_overlap("abc", "abc") == pytest.approx(1)
    assert rank_biased_overlap("abc", "de") == 0
    assert rank_biased_overlap("", "abc") == 0
    assert rank_biased_overlap("", "") == 1


def test_the_top_weighs_most() -> None:
    assert rank_biased_overlap("abcdef", "abcxyz") > rank_biased_overlap("abcdef", "xyzdef")
    first_ten = (
        1
        - PERSISTENCE**9
        + (1 - PERSISTENCE) / PERSISTENCE * 10 * (2.302585093 - sum(PERSISTENCE**i / i for i in range(1, 10)))
    )
    assert first_ten == pytest.approx(0.8556, abs=1e-4)  # equation 21, with ln(1 / (1 - p)) = ln 10


def test_jaccard_by_hand() -> None:
    assert jaccard("abcd", "bcxa", 2) == pytest.approx(1 / 3)
    assert jaccard("abcd", "bcxa", 4) == pytest.approx(3 / 5)
    assert jaccard("ab", "ab", 10) == 1
    assert jaccard("ab", "cd", 10) == jaccard("", "cd", 10) == 0
    assert jaccard("", "", 10) == 1
