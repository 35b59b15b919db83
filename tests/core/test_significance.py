"""The paired comparison, against scipy."""

import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from core.errors import UserError
from core.significance import (
    RESAMPLES,
    SEED,
    beaten,
    bootstrap_intervals,
    compare,
    holm,
    p_values,
    smallest_detectable,
)

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


# Several comparisons


def test_holm_is_as_r_and_statsmodels_have_it():
    # statsmodels.stats.multitest.multipletests(method="holm") 0.14; R's p.adjust gives the same
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.02, 0.02, 0.6, 0.9, 0.001]) == pytest.approx([0.08, 0.08, 1, 1, 0.005])
    assert holm([0.2]) == [0.2]
    assert holm([]) == []


def test_many_comparisons_at_once_are_the_single_ones():
    systems = [tables(random_pairs(30, seed))[0] for seed in range(4)]
    topics = sorted(systems[0])
    differences = np.array([[system[t] - systems[0][t] for system in systems[1:]] for t in topics])
    singly = [compare(system, systems[0]) for system in systems[1:]]
    assert p_values(differences, "randomisation").tolist() == [found.p_randomisation for found in singly]
    assert p_values(differences, "t-test").tolist() == pytest.approx([found.p_t_test for found in singly], rel=1e-9)


@pytest.mark.parametrize("test", ["randomisation", "t-test"])
def test_beaten_names_what_is_significantly_worse_after_holm(test):
    low = dict(zip("abcdefghijkl", np.random.default_rng(1).random(12) / 4, strict=True))
    high = {topic: value + 0.5 + 0.01 * i for i, (topic, value) in enumerate(low.items())}
    near = {topic: value + (0.002 if i % 2 else -0.001) for i, (topic, value) in enumerate(low.items())}
    assert beaten({"low": low, "high": high, "near": near}, test) == {"low": [], "high": ["low", "near"], "near": []}
    assert beaten({"low": low}, test) == {"low": []}


def test_more_comparisons_need_a_smaller_p():
    # a minus b is 0.0108 with a deviation of 0.02: significant as the only pair, and not as one of three
    a = {str(i): i / 40 for i in range(20)}
    b = {topic: value - 0.0108 + (0.02 if i % 2 else -0.02) for i, (topic, value) in enumerate(a.items())}
    c = {topic: value + (0.03 if i % 4 > 1 else -0.03) for i, (topic, value) in enumerate(a.items())}
    assert 0.05 / 3 < compare(a, b).p_t_test < 0.05
    assert beaten({"a": a, "b": b}, "t-test")["a"] == ["b"]
    assert beaten({"a": a, "b": b, "c": c}, "t-test")["a"] == []


# Bootstrap


def test_the_bootstrap_interval_is_near_the_t_interval_on_many_topics():
    values = {str(i): float(v) for i, v in enumerate(np.random.default_rng(4).random(300))}
    mean, low, high = bootstrap_intervals({"a": values})["a"]
    expected = stats.ttest_1samp(list(values.values()), 0).confidence_interval(0.95)
    assert mean == pytest.approx(np.mean(list(values.values())))
    assert (low, high) == pytest.approx((expected.low, expected.high), abs=0.003)


@pytest.mark.parametrize("topics", [2, 7, 50])
def test_the_bootstrap_interval_is_scipys_on_the_same_draws(topics):
    a, b = tables(random_pairs(topics, seed=topics))
    array = np.array([[by_topic[topic] for topic in sorted(a)] for by_topic in (a, b)])
    generator = np.random.default_rng(SEED)
    found = stats.bootstrap((array,), np.mean, n_resamples=RESAMPLES, axis=-1, method="percentile", rng=generator)
    expected = np.transpose(found.confidence_interval)
    ours = bootstrap_intervals({"a": a, "b": b}).values()
    assert [interval[1:] for interval in ours] == pytest.approx(expected, abs=1e-12)


def test_the_bootstrap_interval_of_two_topics_is_their_range():
    # a quarter of all draws takes one of them twice, so the outer 2.5 % on each side are the two values
    assert bootstrap_intervals({"a": {"1": 0.2, "2": 0.6}})["a"] == pytest.approx((0.4, 0.2, 0.6))


@settings(max_examples=8)
@given(pairs=pairs, seed=st.integers(0, 99))
def test_the_bootstrap_interval_does_not_change_between_calls_nor_with_the_order_or_other_systems(pairs, seed):
    a, b = tables(pairs)
    order = list(a)
    random.Random(seed).shuffle(order)
    both = bootstrap_intervals({"a": {t: a[t] for t in order}, "b": b})
    assert both["a"] == pytest.approx(bootstrap_intervals({"a": a})["a"], abs=1e-12)
    assert both == bootstrap_intervals({"a": a, "b": b})
    for mean, low, high in both.values():
        assert low <= mean + 1e-12
        assert mean <= high + 1e-12


# Power


@pytest.mark.parametrize(
    ("topics", "expected"),
    # statsmodels.stats.power.TTestPower().solve_power(nobs=topics, alpha=0.05, power=0.8) 0.14
    [(3, 3.264043552819638), (10, 0.9960019107624178), (34, 0.4950291315285059), (50, 0.4041829997377859)],
)
def test_the_smallest_detectable_difference_is_statsmodels(topics, expected):
    assert smallest_detectable(1, topics) == pytest.approx(expected, rel=1e-5)
    assert smallest_detectable(0.25, topics) == pytest.approx(expected / 4, rel=1e-5)


def test_the_smallest_detectable_difference_is_found_four_times_in_five():
    topics, deviation = 20, 0.2
    true = smallest_detectable(deviation, topics)
    samples = np.random.default_rng(2).normal(true, deviation, (20_000, topics))
    assert (stats.ttest_1samp(samples, 0, axis=1).pvalue < 0.05).mean() == pytest.approx(0.8, abs=0.012)


def test_a_comparison_knows_what_it_could_have_seen():
    a, b = tables(random_pairs(25, 3))
    deviation = np.std([a[t] - b[t] for t in a], ddof=1)
    assert compare(a, b).smallest_detectable == pytest.approx(smallest_detectable(deviation, 25))
    assert compare(a, dict(a)).smallest_detectable == 0
