"""The paired comparison, against scipy."""

import json
import random
import tracemalloc
from collections import Counter
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from core.evaluation.measures import evaluate
from core.evaluation.significance import (
    BOOTSTRAP_RESAMPLES,
    RESAMPLES,
    SEED,
    attainable,
    beaten,
    bootstrap_intervals,
    compare,
    compare_all,
    corrected,
    equivalence,
    holm,
    p_values,
    randomisation_test,
    smallest_detectable,
    t_test,
    topics_needed,
)
from core.formats.qrels import read_qrels
from core.formats.runs import read_run
from core.significance import main
from core.workspace.errors import UserError

TESTS = ("randomisation", "t-test")
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
@pytest.mark.parametrize("topics", [2, 3, 8, 13])
def test_randomisation_over_few_topics_is_scipys_exact_permutation_test(topics, seed):
    a, b = tables(random_pairs(topics, seed))
    exact = stats.permutation_test(
        (list(a.values()), list(b.values())),
        lambda x, y, axis: np.mean(x - y, axis=axis),
        permutation_type="samples",
        n_resamples=np.inf,
        vectorized=True,
    ).pvalue
    found = compare(a, b)
    assert found.p_randomisation == pytest.approx(exact, rel=1e-12)
    assert (found.resamples, found.undecided) == (2**topics, False)


def exact_p(tenths):
    """Count over all 2 ** n assignments of signs, by the sums that whole numbers can make."""
    ways = Counter({0: 1})
    for size in map(abs, tenths):
        ways = sum((Counter({total + step: n for total, n in ways.items()}) for step in (size, -size)), Counter())
    return sum(n for total, n in ways.items() if abs(total) >= abs(sum(tenths))) / 2 ** len(tenths)


@pytest.mark.parametrize("topics", [17, 50, 300])
@pytest.mark.parametrize("seed", range(4))
def test_randomisation_over_many_topics_is_near_the_exact_p_however_small_it_is(topics, seed):
    generator = np.random.default_rng(seed)
    tenths = generator.integers(-6, 7 + seed, topics).tolist()
    exact = exact_p(tenths)
    a, b = tables([(tenth / 10, 0.0) for tenth in tenths])
    assert compare(a, b).p_randomisation == pytest.approx(exact, rel=0.06)


SHAPES = {
    "heavy tails": lambda generator: generator.standard_cauchy(16) / 10 + 0.05,
    "many ties": lambda generator: generator.normal(0.1, 0.3, 16) * (generator.random(16) < 0.4),
    "one sign": lambda generator: generator.random(16) ** 6,
    "one large": lambda generator: np.append(generator.normal(0.02, 0.02, 15), 0.9),
    "two large, others tiny": lambda generator: np.append(generator.random(14) * 1e-9, [0.5, 0.3]),
    "all tiny": lambda generator: generator.normal(1e-6, 1e-6, 16),
    "reciprocal ranks": lambda generator: 1 / generator.integers(1, 5, 16) - 1 / generator.integers(1, 9, 16),
}


@pytest.mark.parametrize("shape", SHAPES)
def test_estimated_and_exact_p_agree_whatever_the_differences(shape, monkeypatch):
    generator = np.random.default_rng(3)
    values = np.column_stack([SHAPES[shape](generator) for _ in range(12)] + [np.zeros(16)])
    pairs = np.array([(column, 12) for column in range(12)])
    exact = randomisation_test(values, pairs).p
    monkeypatch.setattr("core.evaluation.significance.EXACT_TOPICS", 0)
    assert randomisation_test(values, pairs).p == pytest.approx(exact, rel=0.06)


CLOSE = [
    [-18, 33, 13, -12, -25, 26, 24, 10, 13, 17, 35, 20, 8, 40, -21, 38, -25, -6, 27, 2, -18, -7, 18, 22],
    [-6, 5, 31, 5, 32, 24, -1, -2, -1, -21, 21, -24, 26, -16, 18, 38, -25, 26, 32, -18, 39, 14, -9, 26],
    [30, 18, -12, 15, 10, -21, 14, 0, 18, 34, -28, 36, -7, 29, -11, 26, -3, 21, 18, 7, -17, 37, -29, 26],
]
"""Differences whose exact p is 0.04967, 0.04995 and 0.04968."""


def test_no_verdict_at_0_05_hangs_on_chance(monkeypatch):
    undecided = []
    for differences in CLOSE:
        a, b = tables([(difference / 100, 0.0) for difference in differences])
        found = compare(a, b)
        assert found.p_randomisation == pytest.approx(exact_p(differences), rel=0.005)
        assert found.resamples > RESAMPLES, "the first look could not tell"
        undecided.append(found.undecided)
        assert beaten({"a": a, "b": b}, "randomisation")["a"] == ([] if found.undecided else ["b"])
    assert undecided == [False, True, False]
    monkeypatch.setattr("core.evaluation.significance.DOUBLINGS", 0)
    a, b = tables([(difference / 100, 0.0) for difference in CLOSE[0]])
    assert compare(a, b).undecided, "and says so"


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
    assert back.interval == (there.interval and (-there.interval[1], -there.interval[0]))
    assert (back.wins, back.ties, back.losses) == (there.losses, there.ties, there.wins)
    assert (back.p_randomisation, back.p_t_test) == (there.p_randomisation, there.p_t_test)


@given(pairs=pairs)
def test_the_figures_fit_together(pairs):
    a, b = tables(pairs)
    found = compare(a, b)
    assert found.topics == found.wins + found.ties + found.losses == len(pairs)
    assert 0 < found.p_randomisation <= 1
    assert compare(a, b) == found
    if found.interval is None:
        assert len({round(a[t] - b[t], 9) for t in a}) == 1
        return
    assert found.interval[0] <= found.difference <= found.interval[1]


def test_the_smallest_p_is_that_of_all_signs_or_none_turned():
    for topics in (5, 16, 17, 50):
        a, b = {str(i): 0.5 + i / 1000 for i in range(topics)}, {str(i): 0.1 for i in range(topics)}
        assert compare(a, b).p_randomisation == pytest.approx(2 / 2**topics, rel=1e-6)


# No variance


def test_equal_systems_differ_by_nothing():
    same = {"1": 0.3, "2": 0.7, "3": 0.1}
    found = compare(same, dict(same))
    assert (found.difference, found.p_randomisation, found.ties) == (0, 1, 3)
    assert (found.interval, found.smallest_detectable, found.p_t_test) == (None, None, None)
    assert np.isnan(stats.ttest_rel(list(same.values()), list(same.values())).pvalue), "scipy has no p either"


# 0.9 - 0.6 and 0.4 - 0.1 differ in their last bits
@pytest.mark.parametrize("lower", [(0.1, 0.1, 0.1), (0.6, 0.1, 0.2)])
def test_one_difference_on_every_topic_has_no_t_test_and_a_randomisation_test(lower):
    a, b = tables([(value + 0.3, value) for value in lower])
    found = compare(a, b)
    assert found.p_randomisation == 2 / 8
    assert found.difference == pytest.approx(0.3)
    assert (found.interval, found.smallest_detectable, found.p_t_test) == (None, None, None)
    assert beaten({"a": a, "b": b}, "t-test") == {"a": [], "b": []}


@pytest.mark.parametrize("topics", [6, 40])
def test_one_difference_on_enough_topics_is_significant_by_the_randomisation_test(topics):
    a, b = tables([(0.4, 0.1)] * topics)
    assert compare(a, b).p_randomisation == pytest.approx(2 / 2**topics)
    assert beaten({"a": a, "b": b}, "randomisation") == {"a": ["b"], "b": []}


def test_a_system_of_one_value_has_no_bootstrap_interval():
    found = bootstrap_intervals({"none": {"1": 0.0, "2": 0.0}, "some": {"1": 0.0, "2": 1.0}})
    assert found["none"] == pytest.approx((0, np.nan, np.nan), nan_ok=True)
    assert found["some"] == (0.5, 0, 1)


def test_the_command_prints_null_where_there_is_no_t_test(command, tmp_path):
    for name in "ab":
        (tmp_path / f"{name}.run").write_text("".join(f"{topic} Q0 d 1 1.0 t\n" for topic in "123"))
    (tmp_path / "qrels").write_text("".join(f"{topic} 0 d 1\n" for topic in "123"))
    ended = command(main, tmp_path / "a.run", tmp_path / "b.run", "--qrels", tmp_path / "qrels")
    found = json.loads(ended.out, parse_constant=pytest.fail)
    assert (found["p_t_test"], found["interval"], found["smallest_detectable"]) == (None, None, None)
    assert (found["difference"], found["p_randomisation"]) == (0, 1)
    assert found["sentence"] == "a and b have the same nDCG@10 on all 3 topics."


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
@pytest.mark.parametrize("use", [compare, lambda a, b: beaten({"a": a, "b": b}, "t-test")])
def test_what_is_no_number_is_refused(use, value):
    with pytest.raises(UserError, match="topic 2"):
        use({"1": 0.1, "2": value}, {"1": 0.1, "2": 0.2})


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


def test_holm_leaves_out_what_has_no_p_as_r_does():
    # R: p.adjust(c(0.01, NA, 0.04, 0.03, 0.005), "holm")
    assert holm([0.01, np.nan, 0.04, 0.03, 0.005]) == pytest.approx([0.03, np.nan, 0.06, 0.06, 0.02], nan_ok=True)


@pytest.mark.parametrize("topics", [12, 30])
def test_many_comparisons_at_once_are_the_single_ones(topics):
    systems = {str(seed): tables(random_pairs(topics, seed))[0] for seed in range(4)}
    together = compare_all(systems, "0")
    assert together == {name: compare(systems[name], systems["0"]) for name in "123"}


def many_systems(count, topics=50):
    """Return systems that are each a little better than the one before, on topics of one difficulty or another."""
    generator = np.random.default_rng(7)
    difficulty = generator.random(topics) / 2
    return {
        f"s{number}": {
            str(topic): float(value)
            for topic, value in enumerate(difficulty + number / count / 3 + generator.normal(0, 0.05, topics))
        }
        for number in range(count)
    }


@pytest.mark.parametrize("count", [32, 40])
def test_the_randomisation_test_finds_what_the_t_test_finds_however_many_the_pairs(count):
    systems = many_systems(count, 25)
    randomised, t_tested = ({(a, b) for a, worse in beaten(systems, test).items() for b in worse} for test in TESTS)
    assert len(t_tested) > count
    assert len(randomised ^ t_tested) < 0.03 * len(t_tested)
    assert all(int(a[1:]) > int(b[1:]) for a, b in randomised)


def test_the_memory_of_many_pairs_is_bounded():
    systems = many_systems(118)
    array = np.array([list(by_topic.values()) for by_topic in systems.values()]).T
    pairs = np.array(list(combinations(range(118), 2)))[:100]
    tracemalloc.start()
    randomisation_test(array, pairs)
    t_test(array, np.array(list(combinations(range(118), 2))))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 100e6


def test_compiled_and_plain_resampling_give_the_same_p(monkeypatch):
    systems = many_systems(20, 30)
    array = np.array([list(by_topic.values()) for by_topic in systems.values()]).T.round(2)
    array[:, :4] = array[:, :4].round(1)  # many ties
    pairs = np.array(list(combinations(range(20), 2)))
    compiled = randomisation_test(array, pairs)
    monkeypatch.setattr("core.evaluation.significance.MANY", len(pairs) + 1)
    plain = randomisation_test(array, pairs)
    assert compiled.p == pytest.approx(plain.p, rel=1e-9)
    assert (compiled.resamples == plain.resamples).all()


@pytest.mark.parametrize("correction", ["holm", "bonferroni", "benjamini-hochberg", "none"])
@pytest.mark.parametrize("tenths", [False, True])
def test_fewer_resamples_find_the_same_pairs_significant(correction, tenths):
    systems = many_systems(30, 25)
    array = np.array([list(by_topic.values()) for by_topic in systems.values()]).T.round(1 if tenths else 9)
    pairs = np.array(list(combinations(range(30), 2)))
    slow, fast = (randomisation_test(array, pairs, correction, only) for only in (False, True))
    decided = ~(slow.undecided | fast.undecided)
    assert decided.mean() > 0.98
    significant = [corrected(found.p, correction)[decided] < 0.05 for found in (slow, fast)]
    assert (significant[0] == significant[1]).all()
    assert 0.2 < significant[0].mean() < 0.98
    assert fast.resamples.sum() < slow.resamples.sum() / 3


def test_few_topics_cannot_make_many_comparisons_significant():
    assert attainable(6, 1)
    assert not attainable(5, 1), "2 of 32 assignments: 0.0625"
    low, high = {str(i): 0.1 for i in range(8)}, {str(i): 0.5 + i / 100 for i in range(8)}
    others = {f"o{n}": {t: v + n / 1000 for t, v in low.items()} for n in range(3)}
    assert beaten({"low": low, "high": high}, "randomisation")["high"] == ["low"]
    assert attainable(8, 1)
    assert beaten({"high": high, "low": low, **others}, "randomisation")["high"] == []
    assert not attainable(8, 10), "2 of 256, times the 10 pairs of 5 systems"


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
    found = stats.bootstrap(
        (array,), np.mean, n_resamples=BOOTSTRAP_RESAMPLES, axis=-1, method="percentile", rng=generator
    )
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
    assert both["a"] == pytest.approx(bootstrap_intervals({"a": a})["a"], abs=1e-12, nan_ok=True)
    np.testing.assert_equal(bootstrap_intervals({"a": a, "b": b}), both)
    for mean, low, high in both.values():
        assert np.isnan(low) or low <= mean + 1e-12
        assert np.isnan(high) or mean <= high + 1e-12


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
    assert compare(a, dict(a)).smallest_detectable is None, "no variance, no power"


# Wilcoxon, Benjamini-Hochberg, equivalence, power


def test_corrections_are_those_of_their_definitions():
    p = np.array([0.01, 0.04, 0.03, np.nan, 0.005, 0.8])
    m = 5
    assert corrected(p, "bonferroni") == pytest.approx([0.05, 0.2, 0.15, np.nan, 0.025, 1], nan_ok=True)
    # Benjamini & Hochberg (1995): the smallest p(j) * m / j over ranks j at or above one's own
    ranked = sorted(p[~np.isnan(p)])
    of = {value: min(ranked[j] * m / (j + 1) for j in range(i, m)) for i, value in enumerate(ranked)}
    expected = [np.nan if np.isnan(value) else of[value] for value in p]
    assert corrected(p, "benjamini-hochberg") == pytest.approx(expected, nan_ok=True)
    assert corrected(p, "none").tolist()[:3] == [0.01, 0.04, 0.03]


def test_equivalence_is_two_one_sided_t_tests():
    a, b = tables(random_pairs(40, 3, gain=0.001))
    differences = np.array(list(a.values())) - np.array(list(b.values()))
    for margin in (0.01, 0.03, 0.1):
        found = equivalence(a, b, margin)
        lower = stats.ttest_1samp(differences, -margin, alternative="greater").pvalue
        upper = stats.ttest_1samp(differences, margin, alternative="less").pvalue
        assert found.p == pytest.approx(max(lower, upper), rel=1e-9)
        low, high = stats.ttest_1samp(differences, 0).confidence_interval(0.90)
        assert found.interval == pytest.approx((low, high))
        assert found.equivalent == (-margin < low and high < margin)


def test_systems_without_variance_are_equivalent_if_they_are_within_the_margin():
    a = {"1": 0.5, "2": 0.25}
    assert equivalence(a, a, 0.01).equivalent
    assert not equivalence(a, {"1": 0.4, "2": 0.15}, 0.01).equivalent
    with pytest.raises(UserError, match="margin"):
        equivalence(a, a, 0.0)


@pytest.mark.parametrize("effect", [0.05, 0.3, 1.5])
def test_the_topics_needed_give_the_power_and_one_less_does_not(effect):
    n = topics_needed(1.0, effect)

    def power(topics):
        critical = stats.t.ppf(0.975, topics - 1)
        return stats.nct.sf(critical, topics - 1, effect * np.sqrt(topics))

    assert power(n) >= 0.8 - 1e-6
    assert n == 2 or power(n - 1) < 0.8 + 1e-6


@pytest.mark.data
def test_every_statistic_of_twenty_pairs_of_official_runs_is_that_of_scipy(data_folder):
    folder = data_folder / "trec-covid-runs" / "round5"
    qrels = read_qrels(folder / "qrels.covid-round5.txt.gz")
    paths = sorted(folder.glob("*.run.gz"))
    values = {path.name: evaluate(read_run(path).scores, qrels, ["nDCG@20"])["nDCG@20"] for path in paths}
    pairs = list(combinations(values, 2))[:20]
    assert len(pairs) == 20
    for first, second in pairs:
        a, b = (np.array([values[name][topic] for topic in qrels]) for name in (first, second))
        found = compare(values[first], values[second])
        expected = stats.ttest_rel(a, b)
        assert found.p_t_test == pytest.approx(expected.pvalue, rel=1e-9)
        assert found.interval == pytest.approx(tuple(expected.confidence_interval(0.95)))
        assert found.effect_size == pytest.approx(expected.statistic / np.sqrt(len(a)))
        plain = stats.permutation_test(
            (a, b), lambda x, y, axis: np.mean(x - y, axis=axis), permutation_type="samples", n_resamples=4999, rng=1
        ).pvalue
        assert abs(found.p_randomisation - plain) < 4 * np.sqrt(plain * (1 - plain) / 4999) + 2 / 5000
        both = {"a": values[first], "b": values[second]}
        wilcoxon = p_values(both, "b", "wilcoxon")[0]["a"]
        apart = np.round(a - b, 12)
        apart = apart[apart != 0]  # as R does; with zeros, scipy always takes the normal approximation
        method = "exact" if len(np.unique(np.abs(apart))) == len(apart) else "approx"
        assert wilcoxon == pytest.approx(stats.wilcoxon(apart, method=method).pvalue, rel=1e-9)
        margin = (
            stats.ttest_1samp(a - b, -0.05, alternative="greater"),
            stats.ttest_1samp(a - b, 0.05, alternative="less"),
        )
        assert equivalence(values[first], values[second], 0.05).p == pytest.approx(max(one.pvalue for one in margin))
    statsmodels = pytest.importorskip("statsmodels.stats.multitest")
    names = {"holm": "holm", "bonferroni": "bonferroni", "benjamini-hochberg": "fdr_bh"}
    p = np.array([compare(values[a], values[b]).p_t_test for a, b in pairs])
    for ours, theirs in names.items():
        assert corrected(p, ours) == pytest.approx(statsmodels.multipletests(p, method=theirs)[1], rel=1e-12)
    from statsmodels.stats.power import TTestPower
    from statsmodels.stats.weightstats import ttost_paired

    for first, second in pairs:
        a, b = (np.array([values[name][topic] for topic in qrels]) for name in (first, second))
        assert equivalence(values[first], values[second], 0.05).p == pytest.approx(ttost_paired(a, b, -0.05, 0.05)[0])
        deviation = np.std(a - b, ddof=1)
        needed = TTestPower().solve_power(0.02 / deviation, power=0.8, alpha=0.05, nobs=None)
        assert topics_needed(deviation, 0.02) == np.ceil(needed)
