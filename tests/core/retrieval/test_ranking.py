"""The k best, against a full stable sort."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.retrieval.ranking import top_k

few_values = st.lists(st.sampled_from([0.0, -0.0, 1.0, 2.0, -1.0, np.inf, -np.inf]), max_size=40)
any_values = st.lists(st.floats(allow_nan=False, width=32), max_size=40)


@given(scores=few_values | any_values, k=st.integers(1, 50))
def test_it_is_the_beginning_of_a_stable_sort(scores, k):
    expected = sorted(range(len(scores)), key=lambda position: -scores[position])[:k]
    assert top_k(np.array(scores, dtype=np.float32), k).tolist() == expected


@given(scores=few_values | any_values, k=st.integers(1, 50), above=st.sampled_from([-1.0, 0.0, 1.0]))
def test_what_is_not_above_is_left_out(scores, k, above):
    kept = [position for position, score in enumerate(scores) if score > above]
    expected = sorted(kept, key=lambda position: -scores[position])[:k]
    assert top_k(np.array(scores, dtype=np.float32), k, above).tolist() == expected


def test_none_are_the_best_none():
    assert top_k(np.array([1.0, 2.0], dtype=np.float32), 0).tolist() == []


@pytest.mark.parametrize("k", [1, 10, 999, 1000, 1001])
def test_a_long_array_with_many_ties_keeps_positions_in_order(k):
    scores = np.random.default_rng(1).integers(0, 5, 1000).astype(np.float32)
    expected = sorted(range(1000), key=lambda position: -scores[position])[:k]
    assert top_k(scores, k).tolist() == expected


@pytest.mark.parametrize("matching", [0, 3, 40, 2999])
@pytest.mark.parametrize("k", [1, 2, 5, 40])
def test_where_blocks_are_looked_at_first_it_is_still_a_stable_sort(k, matching):
    chance = np.random.default_rng(matching)
    scores = np.zeros(2999, dtype=np.float32)
    scores[chance.permutation(2999)[:matching]] = chance.integers(1, 9, matching)
    order = sorted(range(2999), key=lambda position: -scores[position])
    assert top_k(scores, k).tolist() == order[:k]
    assert top_k(scores, k, above=0).tolist() == [position for position in order[:k] if scores[position] > 0]
