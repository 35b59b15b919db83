"""Paired comparison of systems over the same topics: tests, corrections, effect size, power, equivalence, bootstrap."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from math import fsum
from typing import Literal

import numpy as np
from scipy import special  # scipy.stats would take half a second to import and delay every page

from core.workspace.errors import UserError

BOOTSTRAP_RESAMPLES = 9_999


EXACT_TOPICS = 16
"""Maximum number of topics for the exact randomisation test, which enumerates up to 2 ** 16 sign assignments."""


RESAMPLES = 2**14
"""Initial number of resamples of the randomisation test with more topics."""


SIGNS = 2**24
"""Maximum product of initial resamples and topics; beyond 1,024 topics there are fewer resamples."""


DOUBLINGS = 6
"""Maximum number of times the resamples are doubled for an undecided comparison."""


FEWER = 5
"""Doublings that the first resamples are fewer by where only significance is asked for."""


MANY = 64
"""Number of pairs from which on compiled code draws the resamples."""


NEWTON_STEPS = 100
"""Maximum number of steps to a tilt."""


NEAR = 1e-9
"""Relative error of the expected sum at which a tilt is accepted."""


BLOCK = 2**20
"""Maximum number of values in a block of resamples (8 MB)."""


ERRORS = 3
"""Half-width of the interval around an estimated p, in standard errors."""


ROUNDED = 12
"""Number of decimals to which differences are rounded before they are ranked."""


ROUNDING = 1e-12
"""Tolerance below which means count as equal."""


SEED = 13


ALPHA, POWER = 0.05, 0.8


Test = Literal["randomisation", "t-test", "wilcoxon"]
Correction = Literal["holm", "bonferroni", "benjamini-hochberg", "none"]
MOST_TOPICS = 10_000_000
"""Number of topics beyond which a difference is not worth detecting."""


Values = Mapping[str, Mapping[str, float]]
"""system -> topic -> value."""


@dataclass(frozen=True)
class Comparison:
    """Comparison of systems a and b: `difference` is mean(a) - mean(b), `interval` its 95 % confidence interval.

    If the difference is the same on every topic, it has no variance: the t-test, its interval and its power are
    undefined and None.
    """

    topics: int
    difference: float
    interval: tuple[float, float] | None
    smallest_detectable: float | None
    p_randomisation: float
    resamples: int
    """Number of sign assignments in the randomisation test: all 2 ** topics, or a seeded sample; 0 if the means are
    equal and p is 1."""
    undecided: bool
    """Whether Monte Carlo error leaves the significance at 0.05, after Holm, undecided."""
    p_t_test: float | None
    wins: int
    ties: int
    losses: int
    effect_size: float | None = None
    """Cohen's d of paired differences: their mean over their standard deviation (Cohen, 1988; for IR Sakai, 2018)."""

    @property
    def deviation(self) -> float | None:
        """The standard deviation of the differences; None if they are all equal."""
        return self.difference / self.effect_size if self.effect_size else None


@dataclass(frozen=True)
class Equivalence:
    """Two one-sided t-tests (TOST; Schuirmann, 1987) of whether two systems differ by less than a margin.

    Attributes:
        difference: the mean of a - b.
        interval: its 90 % confidence interval, which lies within the margin exactly if p < 0.05; None if the
            difference is the same on every topic, so that it has no variance.
        p: the larger p of the two tests; 0 or 1 without variance.
    """

    topics: int
    margin: float
    difference: float
    interval: tuple[float, float] | None
    p: float

    @property
    def equivalent(self) -> bool:
        """Whether the systems are equivalent within the margin at the 0.05 level."""
        return self.p < ALPHA


@dataclass(frozen=True)
class Randomisation:
    """Results of the randomisation test, one element per comparison: p (float), resamples (int), undecided (bool)."""

    p: np.ndarray
    resamples: np.ndarray
    undecided: np.ndarray


def bootstrap_intervals(values: Values) -> dict[str, tuple[float, float, float]]:
    """Return each system's mean over topics and its 95 % percentile bootstrap interval, (mean, low, high).

    Topics are resampled with replacement (Efron & Tibshirani, 1993; for IR Sakai, 2006), with a fixed seed, so that all
    systems share the resamples. The interval of a system with the same value on every topic is NaN.

    Raises:
        UserError: if the systems were not evaluated on the same topics, or on fewer than two, or a value is not finite.
    """
    array = _array(values)
    topics = len(array)
    generator = np.random.default_rng(SEED)
    means = []
    rows = max(BLOCK // topics, 1)
    for start in range(0, BOOTSTRAP_RESAMPLES, rows):
        size = min(rows, BOOTSTRAP_RESAMPLES - start)
        draws = generator.integers(0, topics, (size, topics)) + topics * np.arange(size)[:, None]
        counts = np.bincount(draws.ravel(), minlength=size * topics).reshape(size, topics)
        means.append(counts @ array / topics)
    ends = np.percentile(np.concatenate(means), [2.5, 97.5], axis=0)
    ends[:, np.ptp(array, axis=0) < ROUNDING] = np.nan
    found = zip(values, array.T.tolist(), *ends, strict=True)
    return {system: (fsum(own) / topics, float(low), float(high)) for system, own, low, high in found}


def same_topics(values: Values) -> list[str]:
    """Return the sorted topics that all systems were evaluated on.

    Raises:
        UserError: if the topics differ between systems, or there are fewer than two.
    """
    all_topics = [by_topic.keys() for by_topic in values.values()]
    if any(topics != all_topics[0] for topics in all_topics):
        raise UserError("the systems were evaluated on different topics, so they cannot be compared in pairs")
    if not all_topics or len(all_topics[0]) < 2:
        raise UserError("comparing systems needs at least two topics")
    return sorted(all_topics[0])


def _array(values: Values) -> np.ndarray:
    """Return the values as float64 [n_topics, n_systems], topics sorted.

    Raises:
        UserError: if `same_topics` fails, or a value is not finite.
    """
    topics = same_topics(values)
    array = np.array([[by_topic[topic] for by_topic in values.values()] for topic in topics], dtype=float)
    for row, column in np.argwhere(~np.isfinite(array)):
        raise UserError(
            f"the value of {list(values)[column]} for topic {topics[row]} is {array[row, column]}, not a finite number"
        )
    return array


def compare(a: Mapping[str, float], b: Mapping[str, float], tie: float = 0.0) -> Comparison:
    """Compare the per-topic values of two systems, paired by topic id; see `compare_all`.

    Raises:
        UserError: if the systems were not evaluated on the same topics, or on fewer than two, or a value is not finite.
    """
    return compare_all({"a": a, "b": b}, "b", tie)["a"]


Corrected = tuple[Comparison, float, int]
"""A comparison of two systems, its Holm-adjusted p of the randomisation test, and the number of comparisons."""


def compare_corrected(values: Values, a: str, b: str, tie: float = 0.0) -> Corrected:
    """Compare system a with b, with p Holm-adjusted over the comparisons of all systems with b; see `compare_all`.

    Raises:
        UserError: if the systems were not evaluated on the same topics, or on fewer than two, or a value is not finite.
    """
    found = compare_all(values, b, tie)
    adjusted = dict(zip(found, holm([one.p_randomisation for one in found.values()]), strict=True))
    return found[a], adjusted[a], len(found)


def compare_all(values: Values, baseline: str, tie: float = 0.0) -> dict[str, Comparison]:
    """Compare the per-topic values of every other system with the baseline's, paired by topic id.

    Both tests are two-sided; see `randomisation_test` and `t_test`. The p values are not adjusted, but there are enough
    resamples to decide significance after Holm over these comparisons. The interval is Student's t interval for the
    mean of paired differences, which corresponds to the t-test.

    Args:
        tie: the largest absolute difference that counts as a tie.

    Raises:
        UserError: if the systems were not evaluated on the same topics, or on fewer than two, or a value is not finite.
    """
    array, names = _array(values), list(values)
    place = names.index(baseline)
    others = [column for column in range(len(names)) if column != place]
    pairs = np.array([(column, place) for column in others], dtype=int).reshape(-1, 2)
    randomised = randomisation_test(array, pairs)
    differences = array[:, others] - array[:, [place]]
    p_t_test = t_test(array, pairs)
    topics = len(array)
    critical = special.stdtrit(topics - 1, 1 - ALPHA / 2)
    found = {}
    for number, column in enumerate(others):
        own = differences[:, number]
        mean, deviation = fsum(own.tolist()) / topics, float(own.std(ddof=1))
        half = float(critical * deviation / np.sqrt(topics))
        varies = not np.isnan(p_t_test[number])
        found[names[column]] = Comparison(
            topics=topics,
            difference=mean,
            interval=(mean - half, mean + half) if varies else None,
            smallest_detectable=smallest_detectable(deviation, topics) if varies else None,
            p_randomisation=float(randomised.p[number]),
            resamples=int(randomised.resamples[number]),
            undecided=bool(randomised.undecided[number]),
            p_t_test=float(p_t_test[number]) if varies else None,
            wins=int((own > tie).sum()),
            ties=int((np.abs(own) <= tie).sum()),
            losses=int((own < -tie).sum()),
            effect_size=mean / deviation if varies else None,
        )
    return found


def t_test(values: np.ndarray, pairs: np.ndarray) -> np.ndarray:
    """Return the two-sided p of Student's paired t-test for pairs of systems.

    The result is NaN if all differences are equal, since t divides by their standard deviation.

    Args:
        values: float [n_topics, n_systems].
        pairs: int [n_pairs, 2], columns of `values`.

    Returns:
        float [n_pairs].
    """
    topics = len(values)
    p = np.full(len(pairs), np.nan)
    step = max(BLOCK // topics, 1)
    for start in range(0, len(pairs), step):
        part = np.arange(start, min(start + step, len(pairs)))
        differences = values[:, pairs[part, 0]] - values[:, pairs[part, 1]]
        varying = np.ptp(differences, axis=0) > ROUNDING
        error = differences[:, varying].std(axis=0, ddof=1) / np.sqrt(topics)
        t = differences[:, varying].mean(axis=0) / error
        p[part[varying]] = 2 * special.stdtr(topics - 1, -np.abs(t))
    return p


def wilcoxon_test(values: np.ndarray, pairs: np.ndarray) -> np.ndarray:
    """Return the two-sided p of Wilcoxon's signed-rank test for pairs of systems, by scipy.

    Topics without a difference are left out, as in R; the result is NaN if there are no others. p is exact for up to 50
    topics without ties, and a normal approximation otherwise.

    Args:
        values: float [n_topics, n_systems].
        pairs: int [n_pairs, 2], columns of `values`.

    Returns:
        float [n_pairs].
    """
    from scipy import stats  # takes half a second to import, and only this test needs it

    p = np.full(len(pairs), np.nan)
    for number, (first, second) in enumerate(pairs.tolist()):
        differences = np.round(values[:, first] - values[:, second], ROUNDED)  # so that equal ones are tied
        differences = differences[differences != 0]
        if len(differences):
            p[number] = stats.wilcoxon(differences).pvalue
    return p


def equivalence(a: Mapping[str, float], b: Mapping[str, float], margin: float) -> Equivalence:
    """Test whether two systems differ by less than a margin, by two one-sided paired t-tests.

    Raises:
        UserError: if the systems were not evaluated on the same topics, or on fewer than two, a value is not finite, or
            the margin is not positive.
    """
    if not 0 < margin < float("inf"):
        raise UserError(f"the margin of an equivalence test is a positive number, not {margin}")
    array = _array({"a": a, "b": b})
    differences, topics = array[:, 0] - array[:, 1], len(array)
    mean = fsum(differences.tolist()) / topics
    if float(np.ptp(differences)) <= ROUNDING:
        return Equivalence(topics, margin, mean, None, 0.0 if abs(mean) < margin else 1.0)
    error = float(differences.std(ddof=1)) / float(np.sqrt(topics))
    p = max(float(special.stdtr(topics - 1, -(margin + sign * mean) / error)) for sign in (1, -1))
    half = float(special.stdtrit(topics - 1, 1 - ALPHA)) * error
    return Equivalence(topics, margin, mean, (mean - half, mean + half), p)


def randomisation_test(
    values: np.ndarray, pairs: np.ndarray, correction: Correction = "holm", only_significance: bool = False
) -> Randomisation:
    """Test pairs of systems by Fisher's randomisation test, two-sided (Smucker, Allan & Carterette, 2007).

    Under the null hypothesis the two values of a topic are exchangeable, so that each topic's difference has either
    sign. p is the share of sign assignments whose mean is at least as extreme as the observed one. It is exact for up
    to 16 topics. For more it is estimated by importance sampling with exponentially tilted signs (Johns, 1988) and a
    fixed seed: the standard error is 1 or 2 % of p, however small, while plain resampling cannot resolve p below one
    over the number of resamples. The resamples (16,384; fewer beyond 1,024 topics) are doubled up to six times for
    comparisons whose significance at 0.05, unadjusted or after the correction over all pairs, differs within three
    standard errors of the p values. Those that still differ after the correction are undecided.

    Args:
        values: float [n_topics, n_systems].
        pairs: int [n_pairs, 2], columns of `values`.
        only_significance: whether p is only needed to tell which pairs are significant after the correction. There are
            then 512 resamples at first, none for pairs that are significant by Chernoff's upper bound of
            p, and more only where significance after the correction needs them.
    """
    means = values.mean(axis=0)
    # Sums in a different order may differ in the last bits.
    observed = len(values) * (np.abs(means[pairs[:, 0]] - means[pairs[:, 1]]) - ROUNDING)
    if len(values) <= EXACT_TOPICS:
        return _all_signs(values, pairs, observed)
    return _tilted_signs(values, pairs, observed, correction, only_significance)


def _all_signs(values: np.ndarray, pairs: np.ndarray, observed: np.ndarray) -> Randomisation:
    """Compute p exactly over all sign assignments that begin with +; the opposite assignments are equally extreme.

    Args:
        observed: the absolute sums of the differences, float [n_pairs].
    """
    topics = len(values)
    extreme = np.zeros(len(pairs), dtype=int)
    rows = max(BLOCK // max(topics, len(pairs)), 1)
    for start in range(0, 2 ** (topics - 1), rows):
        codes = np.arange(start, min(start + rows, 2 ** (topics - 1)))
        sums = (1.0 - 2.0 * (codes[:, None] >> np.arange(topics) & 1)) @ values
        extreme += (np.abs(sums[:, pairs[:, 0]] - sums[:, pairs[:, 1]]) >= observed).sum(axis=0)
    every = np.full(len(pairs), 2**topics)
    return Randomisation(2 * extreme / every, every, np.zeros(len(pairs), dtype=bool))


def _tilted_signs(
    values: np.ndarray, pairs: np.ndarray, observed: np.ndarray, correction: Correction, only_significance: bool
) -> Randomisation:
    """Estimate p by importance sampling, with sign probabilities for which the expected sum is the observed sum.

    A sum x has the weight exp(K - tilt * x), where K = sum of log cosh(tilt * size) and a size is the absolute
    difference of a topic. Sums are symmetric about 0, so p is twice the weighted share at or above the observed sum.
    By Chernoff's bound it is at most twice the weight of the observed sum.

    Args:
        observed: the absolute sums of the differences, float [n_pairs].
    """
    topics, generator = len(values), np.random.default_rng(SEED)
    wanted = min(RESAMPLES, _power_of_2(SIGNS // topics))
    p, error, sums, squares = np.ones(len(pairs)), *np.zeros((3, len(pairs)))
    tilt, log_cosh = _tilt(values, pairs, observed)
    undecided = unsettled = observed > 0
    doublings, weights_of = DOUBLINGS, _compiled_weights if len(pairs) >= MANY else _weights
    if only_significance:
        p[unsettled] = np.minimum(2 * np.exp(log_cosh - tilt * observed), 1)[unsettled]
        # Significant under every correction, as Bonferroni's is the strictest.
        unsettled = unsettled & (p * len(pairs) >= ALPHA)
        wanted, doublings = max(wanted >> FEWER, 1), DOUBLINGS + FEWER
    resamples, done = np.zeros(len(pairs), dtype=int), 0
    for _ in range(1 + doublings):
        chosen = np.flatnonzero(unsettled)
        while done < wanted:
            rows = min(wanted - done, _power_of_2(BLOCK // topics))
            uniform = generator.random((rows, topics))
            for part in _parts(len(chosen), topics):
                of_part = chosen[part]
                sizes = np.abs(values[:, pairs[of_part, 0]] - values[:, pairs[of_part, 1]]).T
                added = weights_of(uniform, sizes, tilt[of_part], log_cosh[of_part], observed[of_part])
                sums[of_part] += added[0]
                squares[of_part] += added[1]
            done += rows
        resamples[chosen] = done
        mean = sums[chosen] / done
        p[chosen] = np.clip(2 * mean, 2.0 ** (1 - topics), 1)  # the observed assignment and its opposite always count
        error[chosen] = 2 * np.sqrt(np.maximum(squares[chosen] / done - mean**2, 0) / done)
        low, high = np.maximum(p - ERRORS * error, 0), np.minimum(p + ERRORS * error, 1)
        undecided = (corrected(low, correction) < ALPHA) != (corrected(high, correction) < ALPHA)
        unsettled = unsettled & (undecided | (not only_significance) & (low < ALPHA) & (high >= ALPHA))
        if not unsettled.any():
            break
        wanted *= 2
    return Randomisation(p, resamples, undecided)


def _parts(pairs: int, topics: int) -> Iterator[slice]:
    """Yield consecutive slices of pairs with at most `BLOCK` differences each."""
    step = max(BLOCK // topics, 1)
    return (slice(start, start + step) for start in range(0, pairs, step))


def _weights(
    uniform: np.ndarray, sizes: np.ndarray, tilt: np.ndarray, log_cosh: np.ndarray, observed: np.ndarray
) -> np.ndarray:
    """Return the summed weights, and squared weights, of the resamples whose sum is at least the observed one.

    Args:
        uniform: uniform random numbers, float [n_resamples, n_topics].
        sizes: the absolute differences, float [n_pairs, n_topics].

    Returns:
        float [2, n_pairs].
    """
    added = np.zeros((2, len(sizes)))
    for pair, own in enumerate(sizes):
        draws = (uniform < special.expit(2 * tilt[pair] * own)) @ (2 * own) - own.sum()
        weights = np.exp(log_cosh[pair] - tilt[pair] * draws[draws >= observed[pair]])
        added[:, pair] = weights.sum(), weights @ weights
    return added


def _compiled_weights(
    uniform: np.ndarray, sizes: np.ndarray, tilt: np.ndarray, log_cosh: np.ndarray, observed: np.ndarray
) -> np.ndarray:
    """Return what `_weights` returns, from compiled code."""
    from core.evaluation.sign_sampling import add_weights  # takes a while to load, and few pairs do not need it

    added = np.zeros((2, len(sizes)))
    positive = special.expit(2 * tilt[:, None] * sizes)
    add_weights(np.ascontiguousarray(uniform.T), np.ascontiguousarray(sizes), positive, tilt, log_cosh, observed, added)
    return added


def _power_of_2(number: int) -> int:
    """Return the largest power of 2 up to a number, at least 1."""
    return 1 << max(number.bit_length() - 1, 0)


def _tilt(values: np.ndarray, pairs: np.ndarray, observed: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the tilt of each pair at which the expected sum is the observed one, and sum of log cosh(tilt * size).

    The expected sum, the sum of size * tanh(tilt * size), is concave, so that Newton's steps from 0 never pass the
    solution. If all differences have the same sign, it can only approach the observed sum; the last tilt is close
    enough.

    Args:
        observed: the absolute sums of the differences, float [n_pairs].
    """
    tilts, log_cosh = np.zeros((2, len(pairs)))
    for part in _parts(len(pairs), len(values)):
        sizes = np.abs(values[:, pairs[part, 0]] - values[:, pairs[part, 1]])
        scale = np.maximum(sizes.max(axis=0), np.finfo(float).tiny)
        scaled, goal, tilt = sizes / scale, observed[part] / scale, np.zeros(sizes.shape[1])
        left = np.arange(len(tilt))
        for _ in range(NEWTON_STEPS):
            own = scaled[:, left]
            tanh = np.tanh(tilt[left] * own)
            missing, slope = goal[left] - (own * tanh).sum(axis=0), (own**2 * (1 - tanh**2)).sum(axis=0)
            far = (missing > NEAR * goal[left]) & (slope > np.finfo(float).tiny)
            if not far.any():
                break
            left = left[far]
            tilt[left] += missing[far] / slope[far]
        tilts[part] = tilt / scale
        log_cosh[part] = (np.logaddexp(tilt * scaled, -tilt * scaled) - np.log(2)).sum(axis=0)
    return tilts, log_cosh


def holm(p: Sequence[float] | np.ndarray) -> list[float]:
    """Return the Holm-adjusted p values (Holm, 1979), in the order given.

    The smallest of m values is multiplied by m, the next by m - 1 and so on; adjusted values are kept monotone and at
    most 1. As in R, NaN stays NaN and is not counted.
    """
    array = np.array(p, dtype=float)
    order = np.argsort(array, kind="stable")[: np.count_nonzero(~np.isnan(array))]  # NaN is sorted last
    adjusted = np.full_like(array, np.nan)
    adjusted[order] = np.minimum(np.maximum.accumulate(array[order] * np.arange(len(order), 0, -1)), 1)
    return [float(value) for value in adjusted]


def corrected(p: np.ndarray, correction: Correction) -> np.ndarray:
    """Return the p values corrected for the number of comparisons; as with `holm`, NaN stays NaN and is not counted.

    Args:
        p: float [n_comparisons].
    """
    if correction == "holm":
        return np.array(holm(p))
    if correction == "benjamini-hochberg":
        from scipy import stats  # takes half a second to import, and only this correction needs it

        adjusted, given = np.full(len(p), np.nan), ~np.isnan(p)
        adjusted[given] = stats.false_discovery_control(p[given]) if given.any() else p[given]
        return adjusted
    return np.minimum(p * np.count_nonzero(~np.isnan(p)), 1) if correction == "bonferroni" else p


def attainable(topics: int, comparisons: int) -> bool:
    """Tell whether any difference over these topics can be significant by the randomisation test after Holm.

    The smallest possible p is 2 / 2 ** topics, which Holm multiplies by the number of comparisons.
    """
    return 2.0 ** (1 - topics) * comparisons < ALPHA


def smallest_detectable(deviation: float, topics: int) -> float:
    """Return the minimum detectable effect: the smallest true difference that a t-test detects with a power of 0.8.

    It is lambda * s / sqrt(n), with s the deviation of the n paired differences and lambda the noncentrality at which
    P(T > t) = 0.8 for T of the noncentral t distribution with n - 1 degrees of freedom and t = t(0.975, n - 1): the
    power of the two-sided paired t-test at alpha 0.05 (Cohen, 1988, chapter 2; for IR Sakai, 2018, chapter 6),
    neglecting the chance of significance in the wrong direction.

    Args:
        deviation: the sample standard deviation (n - 1) of the paired differences.
        topics: n, at least 2.
    """
    critical = special.stdtrit(topics - 1, 1 - ALPHA / 2)
    return float(special.nctdtrinc(topics - 1, 1 - POWER, critical)) * deviation / float(np.sqrt(topics))


def topics_needed(deviation: float, difference: float) -> int:
    """Return the number of topics with which a t-test detects a true difference with a power of 0.8 at alpha 0.05.

    It is the smallest n whose `smallest_detectable` is at most the difference; `MOST_TOPICS` if that has more.

    Args:
        deviation: the standard deviation of the paired differences.
        difference: the true difference of the means, not 0.
    """
    low, high = 1, 2  # `high` may suffice, `low` does not
    while high < MOST_TOPICS and smallest_detectable(deviation, high) > abs(difference):
        low, high = high, high * 2
    if high >= MOST_TOPICS:
        return MOST_TOPICS
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if smallest_detectable(deviation, middle) > abs(difference) else (low, middle)
    return high


def tested(
    values: np.ndarray,
    pairs: np.ndarray,
    test: Test,
    correction: Correction = "holm",
    only_significance: bool = False,
) -> Randomisation:
    """Return the p of a test for pairs of systems; only the randomisation test can be undecided.

    Args:
        values: float [n_topics, n_systems].
        pairs: int [n_pairs, 2], columns of `values`.
        correction: the correction after which the randomisation test is to be decided.
        only_significance: whether p is only needed to tell which pairs are significant after the correction.
    """
    if test == "randomisation":
        return randomisation_test(values, pairs, correction, only_significance)
    p = t_test(values, pairs) if test == "t-test" else wilcoxon_test(values, pairs)
    return Randomisation(p, np.zeros(len(pairs), dtype=int), np.zeros(len(pairs), dtype=bool))


def p_values(
    values: Values, baseline: str, test: Test, correction: Correction = "holm"
) -> tuple[dict[str, float], dict[str, float]]:
    """Return the p of each other system's comparison with the baseline, as tested and as corrected.

    Raises:
        UserError: if the systems were not evaluated on the same topics, or on fewer than two, or a value is not finite.
    """
    array, names = _array(values), list(values)
    others = [name for name in names if name != baseline]
    pairs = np.array([(names.index(name), names.index(baseline)) for name in others], dtype=int).reshape(-1, 2)
    p = tested(array, pairs, test, correction).p
    return dict(zip(others, p.tolist(), strict=True)), dict(zip(others, corrected(p, correction).tolist(), strict=True))


@dataclass(frozen=True)
class SignificantPairs:
    """The pairs of systems that differ significantly by a measure, after a correction over all pairs compared.

    Attributes:
        better: (better system, worse system).
        undecided: pairs that Monte Carlo error leaves undecided.
    """

    better: list[tuple[str, str]]
    undecided: list[tuple[str, str]]


def significant_pairs(
    values: Values, test: Test, correction: Correction = "holm", baseline: str = ""
) -> SignificantPairs:
    """Return the pairs with p < 0.05 after the correction, of all pairs of systems or of those with the baseline.

    A pair is not significant if the randomisation test is undecided or another test undefined.

    Raises:
        UserError: if the systems were not evaluated on the same topics, or on fewer than two, or a value is not finite.
    """
    array, names = _array(values), list(values)
    compared = [pair for pair in combinations(names, 2) if not baseline or baseline in pair]
    pairs = np.array([(names.index(a), names.index(b)) for a, b in compared], dtype=int).reshape(-1, 2)
    found = tested(array, pairs, test, correction, only_significance=True)
    undecided = found.undecided
    significant = (corrected(found.p, correction) < ALPHA) & ~undecided
    means = array.mean(axis=0)
    better = [
        (names[first], names[second]) if means[first] > means[second] else (names[second], names[first])
        for first, second in pairs[significant].tolist()
    ]
    return SignificantPairs(better, [(names[first], names[second]) for first, second in pairs[undecided].tolist()])


def beaten(values: Values, test: Test) -> dict[str, list[str]]:
    """Return, for each system, the significantly worse ones: p < 0.05 after Holm over all pairs of systems.

    A pair is not significant if the randomisation test is undecided or the t-test undefined.

    Raises:
        UserError: if the systems were not evaluated on the same topics, or on fewer than two, or a value is not finite.
    """
    worse: dict[str, set[str]] = {system: set() for system in values}
    for better, other in significant_pairs(values, test).better:
        worse[better].add(other)
    return {system: [other for other in values if other in worse[system]] for system in values}
