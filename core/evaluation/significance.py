"""Paired comparison of systems over the same topics: randomisation test, t-test, Holm's correction, bootstrap."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Literal

import numpy as np
from scipy import special  # scipy.stats takes half a second to import, and a page would wait for it

from core.workspace.errors import UserError

BOOTSTRAP_RESAMPLES = 9_999


EXACT_TOPICS = 16
"""Up to this many topics the randomisation test looks at every assignment of signs, 2 ** 16 at most."""


RESAMPLES = 2**14
"""Resamples of the randomisation test with more topics, before the first look at its verdicts."""


SIGNS = 2**24
"""Largest number of these resamples times that of the topics: beyond 1,024 topics they become fewer."""


DOUBLINGS = 6
"""How often the resamples are doubled where a verdict stays open."""


BLOCK = 2**20
"""Largest number of values in one block of resamples: 8 MB."""


ERRORS = 3
"""Standard errors that the limits of an estimated p are away from it."""


ROUNDING = 1e-12
"""Means that differ by less are equal."""


SEED = 13


ALPHA, POWER = 0.05, 0.8


Test = Literal["randomisation", "t-test"]


Values = Mapping[str, Mapping[str, float]]
"""system -> topic -> value."""


@dataclass(frozen=True)
class Comparison:
    """System a against system b: `difference` is mean(a) - mean(b), and the interval holds it with 95 % confidence.

    Where the difference is the same on every topic it has no variance: the t-test, its interval and its power are
    undefined, and None.
    """

    topics: int
    difference: float
    interval: tuple[float, float] | None
    smallest_detectable: float | None
    p_randomisation: float
    resamples: int
    """Assignments of signs that the randomisation test looked at: all 2 ** topics, or a seeded sample; none where the
    means are equal and p is 1."""
    undecided: bool
    """Whether the verdict of the randomisation test (at 0.05, after Holm) is within its Monte Carlo error."""
    p_t_test: float | None
    wins: int
    ties: int
    losses: int


@dataclass(frozen=True)
class Randomisation:
    """Results of the randomisation test, for each comparison: p (float), resamples (int), undecided (bool)."""

    p: np.ndarray
    resamples: np.ndarray
    undecided: np.ndarray


def bootstrap_intervals(values: Values) -> dict[str, tuple[float, float, float]]:
    """Return each system's mean over topics and the two ends of its 95 % interval by the percentile bootstrap.

    Topics are drawn with replacement (Efron & Tibshirani, 1993; for IR Sakai, 2006), with one seed, so that every
    system has the same draws; the interval holds the middle 95 % of the means. A system with the same value on every
    topic has no variance to resample: its ends are NaN.

    Raises:
        UserError: if the systems were not evaluated on the same topics, or on fewer than two, or a value is no number.
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
    found = zip(values, array.mean(axis=0), *ends, strict=True)
    return {system: (float(mean), float(low), float(high)) for system, mean, low, high in found}


def same_topics(values: Values) -> list[str]:
    """Return the topics that all systems were evaluated on, sorted.

    Raises:
        UserError: if they differ between systems, or there are fewer than two.
    """
    all_topics = [by_topic.keys() for by_topic in values.values()]
    if any(topics != all_topics[0] for topics in all_topics):
        raise UserError("the systems were evaluated on different topics and cannot be paired")
    if not all_topics or len(all_topics[0]) < 2:
        raise UserError("at least two topics are needed to compare systems")
    return sorted(all_topics[0])


def _array(values: Values) -> np.ndarray:
    """Return the values as float64 [n_topics, n_systems], topics sorted.

    Raises:
        UserError: if as `same_topics`, or a value is no finite number.
    """
    topics = same_topics(values)
    array = np.array([[by_topic[topic] for by_topic in values.values()] for topic in topics], dtype=float)
    for row, column in np.argwhere(~np.isfinite(array)):
        raise UserError(
            f"the value of {list(values)[column]} for topic {topics[row]} is {array[row, column]}, no number"
        )
    return array


def compare(a: Mapping[str, float], b: Mapping[str, float], tie: float = 0.0) -> Comparison:
    """Compare the per-topic values of two systems, paired by topic id; see `compare_all`.

    Raises:
        UserError: if the systems were not evaluated on the same topics, or on fewer than two, or a value is no number.
    """
    return compare_all({"a": a, "b": b}, "b", tie)["a"]


def compare_all(values: Values, baseline: str, tie: float = 0.0) -> dict[str, Comparison]:
    """Compare the per-topic values of every other system with the baseline's, paired by topic id.

    Both tests are two-sided, see `randomisation_test` and `t_test`; the p values are not adjusted, but the resamples
    are enough for the verdicts after Holm over these comparisons. The interval is Student's t for the mean of paired
    differences, which is the interval that goes with the t-test.

    Args:
        tie: differences not larger than this are ties.

    Raises:
        UserError: if the systems were not evaluated on the same topics, or on fewer than two, or a value is no number.
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
        mean, deviation = float(own.mean()), float(own.std(ddof=1))
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
        )
    return found


def t_test(values: np.ndarray, pairs: np.ndarray) -> np.ndarray:
    """Return the two-sided p of Student's paired t-test for pairs of systems.

    It is NaN where all differences are equal: t divides by their deviation, which is 0.

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


def randomisation_test(values: np.ndarray, pairs: np.ndarray) -> Randomisation:
    """Test pairs of systems by Fisher's randomisation test, two-sided (Smucker, Allan & Carterette, 2007).

    Under the null hypothesis the two values of a topic could be exchanged: each topic's difference has either sign.
    p is the share of all assignments of signs whose mean is at least as extreme as the observed one. It is exact with
    up to 16 topics. With more it is estimated by importance sampling with exponentially tilted signs (Johns, 1988),
    seeded, so it is the same on every call: p of any size has a standard error of 1 or 2 % of itself, where a count of
    plain resamples tells nothing below one over their number. The resamples (16,384, fewer with more than 1,024 topics)
    are doubled up to six times for the comparisons whose verdict at 0.05, alone or after Holm over all pairs, is not
    the same three standard errors below and above the p values. Those whose verdict after Holm is still open then are
    undecided.

    Args:
        values: float [n_topics, n_systems].
        pairs: int [n_pairs, 2], columns of `values`.
    """
    means = values.mean(axis=0)
    # Sums in another order may differ in the last bits.
    observed = len(values) * (np.abs(means[pairs[:, 0]] - means[pairs[:, 1]]) - ROUNDING)
    return (_all_signs if len(values) <= EXACT_TOPICS else _tilted_signs)(values, pairs, observed)


def _all_signs(values: np.ndarray, pairs: np.ndarray, observed: np.ndarray) -> Randomisation:
    """Count over all assignments of signs; of each and its opposite, which are alike, over the one that begins with +.

    Args:
        observed: float [n_pairs], the absolute sums of the differences.
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


def _tilted_signs(values: np.ndarray, pairs: np.ndarray, observed: np.ndarray) -> Randomisation:
    """Estimate p from signs that are + with a probability that puts the mean of their sums at the observed sum.

    A sum x stands for exp(K - tilt * x) sums of fair signs, with K = sum of log cosh(tilt * size), a size being the
    absolute difference of a topic. Sums are symmetric about 0, so p is twice the share of those at or above the
    observed one.

    Args:
        observed: float [n_pairs], the absolute sums of the differences.
    """
    topics, generator = len(values), np.random.default_rng(SEED)
    tilt = _tilt(values, pairs, observed)
    wanted = min(RESAMPLES, _power_of_2(SIGNS // topics))
    rows = min(wanted, _power_of_2(BLOCK // topics))
    p, error, sums, squares = np.ones(len(pairs)), *np.zeros((3, len(pairs)))
    resamples, done = np.zeros(len(pairs), dtype=int), 0
    undecided = unsettled = observed > 0
    for _ in range(1 + DOUBLINGS):
        chosen = np.flatnonzero(unsettled)
        while done < wanted:
            uniform = generator.random((rows, topics))
            for pair in chosen.tolist():
                sizes = np.abs(values[:, pairs[pair, 0]] - values[:, pairs[pair, 1]])
                tilted = tilt[pair] * sizes
                found = (uniform < special.expit(2 * tilted)) @ (2 * sizes) - sizes.sum()
                log_cosh = np.logaddexp(tilted, -tilted) - np.log(2)
                weights = np.exp(log_cosh.sum() - tilt[pair] * found[found >= observed[pair]])
                sums[pair] += weights.sum()
                squares[pair] += weights @ weights
            done += rows
        resamples[chosen] = done
        mean = sums[chosen] / done
        p[chosen] = np.clip(2 * mean, 2.0 ** (1 - topics), 1)  # the observed signs and their opposites always count
        error[chosen] = 2 * np.sqrt(np.maximum(squares[chosen] / done - mean**2, 0) / done)
        low, high = np.maximum(p - ERRORS * error, 0), np.minimum(p + ERRORS * error, 1)
        undecided = (np.array(holm(low)) < ALPHA) != (np.array(holm(high)) < ALPHA)
        unsettled = unsettled & (undecided | (low < ALPHA) & (high >= ALPHA))
        if not unsettled.any():
            break
        wanted *= 2
    return Randomisation(p, resamples, undecided)


def _power_of_2(number: int) -> int:
    """Return the largest power of 2 that is not larger than a number, at least 1."""
    return 1 << max(number.bit_length() - 1, 0)


def _tilt(values: np.ndarray, pairs: np.ndarray, observed: np.ndarray) -> np.ndarray:
    """Return the tilt of each pair, for which the mean of the sums is the observed: sum of size * tanh(tilt * size).

    It is found by bisection of its logarithm. The mean cannot reach the sum of all sizes, which is observed where all
    differences have one sign; the largest tilt comes near enough.

    Args:
        observed: float [n_pairs].
    """
    found = np.zeros(len(pairs))
    step = max(BLOCK // len(values), 1)
    for start in range(0, len(pairs), step):
        part = slice(start, start + step)
        sizes = np.abs(values[:, pairs[part, 0]] - values[:, pairs[part, 1]])
        scale = np.maximum(sizes.max(axis=0), np.finfo(float).tiny)
        low, high = np.full(sizes.shape[1], -12.0), np.full(sizes.shape[1], 23.0)
        for _ in range(50):
            middle = (low + high) / 2
            below = (sizes * np.tanh(np.exp(middle) * sizes / scale)).sum(axis=0) < observed[part]
            low, high = np.where(below, middle, low), np.where(below, high, middle)
        found[part] = np.exp(low) / scale
    return found


def holm(p: Sequence[float] | np.ndarray) -> list[float]:
    """Return the p values adjusted for their number (Holm, 1979), in the order given.

    The smallest is multiplied by their number m, the next by m - 1 and so on; none falls below the one before it or
    rises above 1. As in R, NaN stays NaN and is not counted.
    """
    array = np.array(p, dtype=float)
    order = np.argsort(array, kind="stable")[: np.count_nonzero(~np.isnan(array))]  # NaN is sorted last
    adjusted = np.full_like(array, np.nan)
    adjusted[order] = np.minimum(np.maximum.accumulate(array[order] * np.arange(len(order), 0, -1)), 1)
    return [float(value) for value in adjusted]


def attainable(topics: int, comparisons: int) -> bool:
    """Return whether any difference over these topics can be significant by the randomisation test, after Holm.

    The smallest p there is has both all signs and none turned, 2 of 2 ** topics, and is multiplied by the number of
    comparisons.
    """
    return 2.0 ** (1 - topics) * comparisons < ALPHA


def smallest_detectable(deviation: float, topics: int) -> float:
    """Return the smallest true difference that a t-test over these topics would find with a power of 0.8.

    It is lambda * s / sqrt(n), with s the deviation of the n paired differences and lambda the noncentrality at which
    P(T > t) = 0.8 for T of the noncentral t distribution with n - 1 degrees of freedom and t = t(0.975, n - 1): the
    power of the two-sided paired t-test at alpha 0.05 (Cohen, 1988, chapter 2; for IR Sakai, 2018, chapter 6), but for
    the chance of being significant in the wrong direction.

    Args:
        deviation: standard deviation of the paired differences, with n - 1 below.
        topics: n, at least 2.
    """
    critical = special.stdtrit(topics - 1, 1 - ALPHA / 2)
    return float(special.nctdtrinc(topics - 1, 1 - POWER, critical)) * deviation / float(np.sqrt(topics))


def beaten(values: Values, test: Test) -> dict[str, list[str]]:
    """Return, for each system, those it is significantly better than: p < 0.05 after Holm over all pairs of systems.

    A pair that the randomisation test leaves undecided is not significant; nor is one whose t-test is undefined.

    Raises:
        UserError: if the systems were not evaluated on the same topics, or on fewer than two, or a value is no number.
    """
    array, names = _array(values), list(values)
    pairs = np.array(list(combinations(range(len(names)), 2)), dtype=int).reshape(-1, 2)
    if test == "randomisation":
        found = randomisation_test(array, pairs)
        significant = (np.array(holm(found.p)) < ALPHA) & ~found.undecided
    else:
        significant = np.array(holm(t_test(array, pairs))) < ALPHA
    means = array.mean(axis=0)
    worse: dict[str, list[str]] = {system: [] for system in names}
    for first, second in pairs[significant].tolist():
        better, other = (first, second) if means[first] > means[second] else (second, first)
        worse[names[better]].append(names[other])
    return {system: [other for other in names if other in worse[system]] for system in names}
