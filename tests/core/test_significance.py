"""The paired comparison, against scipy."""

import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from core.errors import UserError
from core.significance import compare

values = st.floats(0, 1).map(lambda value: round(value, 4))
pairs = st.lists(st.tuples(values, values), min_size=2, max_size=30)


def tables(pairs):
    return ({str(i): a for i, (a, _) in enumerate(pairs)}, {str(i): b for i, (_, b) in enumerate(pairs)})


def random_pairs(topics, seed, gain=0.05):
    generator = np.random.default_rng(seed)
    a = generator.random(topics)
    return list(zip(a, np.clip(a - gain + generator.normal(0, 0.1, topics), 0, 1), strict=True))


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("topics", [2, 10, 50])
def test_t_test_and_interval_are_scipys(topics, seed):
    a, b = tables(random_pairs(topics, seed))
    expected = stats.ttest_rel(list(a.values()), list(b.values()))
    found = compare(a, b)
    assert found.p_t_test == pytest.approx(expected.pvalue, rel=1e-9)
    assert found.interval == pytest.approx(tuple(expected.confidence_interval(0.95)), abs=1e-12)
    assert found.difference == pytest.approx(np.mean(list(a.values())) - np.mean(list(b.values())))


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("topics", [3, 8, 12])
def test_randomisation_is_scipys_exact_permutation_test_but_for_chance(topics, seed):
    a, b = tables(random_pairs(topics, seed))
    exact = stats.permutation_test(
        (list(a.values()), list(b.values())),
        lambda x, y, axis: np.mean(x - y, axis=axis),
        permutation_type="samples",
        n_resamples=np.inf,
        vectorized=True,
    ).pvalue
    chance = np.sqrt(exact * (1 - exact) / 9999)
    assert compare(a, b).p_randomisation == pytest.approx(exact, abs=4.5 * chance + 2e-4)


@given(pairs=pairs, seed=st.integers(0, 99))
def test_the_order_of_the_topics_changes_nothing(pairs, seed):
    a, b = tables(pairs)
    order = list(a)
    random.Random(seed).shuffle(order)
    assert compare({t: a[t] for t in order}, {t: b[t] for t in reversed(order)}) == compare(a, b)


@given(pairs=pairs)
def test_swapping_the_systems_turns_the_signs_and_nothing_else(pairs):
    a, b = tables(pairs)
    there, back = compare(a, b), compare(b, a)
    assert back.difference == -there.difference
    assert back.interval == (-there.interval[1], -there.interval[0])
    assert (back.wins, back.ties, back.losses) == (there.losses, there.ties, there.wins)
    assert (back.p_randomisation, back.p_t_test) == (there.p_randomisation, there.p_t_test)


@given(pairs=pairs)
def test_the_figures_fit_together(pairs):
    a, b = tables(pairs)
    found = compare(a, b)
    assert found.topics == found.wins + found.ties + found.losses == len(pairs)
    assert 0 < found.p_randomisation <= 1
    assert found.interval[0] <= found.difference <= found.interval[1]
    assert compare(a, b) == found


def test_the_smallest_p_is_one_over_the_number_of_resamples():
    a, b = {str(i): 0.9 + i / 1000 for i in range(50)}, {str(i): 0.1 for i in range(50)}
    assert compare(a, b).p_randomisation == 1 / 10_000


def test_equal_systems_differ_by_nothing():
    same = {"1": 0.3, "2": 0.7, "3": 0.1}
    found = compare(same, dict(same))
    assert (found.difference, found.p_randomisation, found.p_t_test, found.ties) == (0, 1, 1, 3)


def test_small_differences_can_be_ties():
    found = compare({"1": 0.50, "2": 0.5, "3": 0.1}, {"1": 0.49, "2": 0.3, "3": 0.4}, tie=0.02)
    assert (found.wins, found.ties, found.losses) == (1, 1, 1)


def test_topics_are_paired_by_id_not_by_place():
    found = compare({"1": 0.1, "2": 0.9}, {"2": 0.9, "1": 0.1})
    assert (found.difference, found.ties) == (0, 2)


def test_different_topics_are_refused():
    with pytest.raises(UserError, match="different topics"):
        compare({"1": 0.1, "2": 0.2}, {"1": 0.1, "3": 0.2})


def test_one_topic_is_refused():
    with pytest.raises(UserError, match="two topics"):
        compare({"1": 0.1}, {"1": 0.2})
