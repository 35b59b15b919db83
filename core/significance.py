"""Paired comparison of systems over the same topics.

python -m core.significance RUN BASELINE --qrels QRELS --measure nDCG@10
"""

import argparse
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import combinations
from pathlib import Path
from typing import Literal

import numpy as np
from scipy import special  # scipy.stats takes half a second to import, and a page would wait for it

from core import cli
from core.errors import UserError
from core.given_runs import read_given_run
from core.measures import evaluate
from core.qrels import read_qrels

RESAMPLES = 9_999
SEED = 13
ALPHA, POWER = 0.05, 0.8
Test = Literal["randomisation", "t-test"]
Values = Mapping[str, Mapping[str, float]]
"""system -> topic -> value."""


@dataclass(frozen=True)
class Comparison:
    """System a against system b: `difference` is mean(a) - mean(b), and the interval holds it with 95 % confidence."""

    topics: int
    difference: float
    interval: tuple[float, float]
    smallest_detectable: float
    p_randomisation: float
    p_t_test: float
    wins: int
    ties: int
    losses: int


def mean_interval(values: Iterable[float]) -> tuple[float, float, float]:
    """Return the mean over topics, and the two ends of its 95 % interval by Student's t.

    Raises:
        UserError: there are fewer than two values.
    """
    array = np.array(list(values))
    if len(array) < 2:
        raise UserError("at least two topics are needed to compare systems")
    half = special.stdtrit(len(array) - 1, 0.975) * array.std(ddof=1) / np.sqrt(len(array))
    return float(array.mean()), float(array.mean() - half), float(array.mean() + half)


def bootstrap_intervals(values: Values) -> dict[str, tuple[float, float, float]]:
    """Return each system's mean over topics and the two ends of its 95 % interval by the percentile bootstrap.

    Topics are drawn with replacement (Efron & Tibshirani, 1993; for IR Sakai, 2006), with one seed, so that every
    system has the same draws; the interval holds the middle 95 % of the means.

    Raises:
        UserError: the systems were not evaluated on the same topics, or on fewer than two.
    """
    topics = same_topics(values)
    array = np.array([[by_topic[topic] for topic in topics] for by_topic in values.values()])
    draws = np.random.default_rng(SEED).integers(0, len(topics), (RESAMPLES, len(topics)))
    lows, highs = np.percentile([row[draws].mean(axis=1) for row in array], [2.5, 97.5], axis=1)
    ends = zip(values, array.mean(axis=1), lows, highs, strict=True)
    return {system: (float(mean), float(low), float(high)) for system, mean, low, high in ends}


def same_topics(values: Values) -> list[str]:
    """Return the topics that all systems were evaluated on, sorted.

    Raises:
        UserError: they differ between systems, or there are fewer than two.
    """
    all_topics = [by_topic.keys() for by_topic in values.values()]
    if any(topics != all_topics[0] for topics in all_topics):
        raise UserError("the systems were evaluated on different topics and cannot be paired")
    if not all_topics or len(all_topics[0]) < 2:
        raise UserError("at least two topics are needed to compare systems")
    return sorted(all_topics[0])


def compare(a: Mapping[str, float], b: Mapping[str, float], tie: float = 0.0) -> Comparison:
    """Compare the per-topic values of two systems, paired by topic id.

    Both tests are two-sided, see `p_values`. The interval is Student's t for the mean of paired differences, which is
    the interval that goes with the t-test.

    Args:
        tie: differences not larger than this are ties.

    Raises:
        UserError: the systems were not evaluated on the same topics, or on fewer than two.
    """
    differences = np.array([a[topic] - b[topic] for topic in same_topics({"a": a, "b": b})])
    observed, low, high = mean_interval(differences)
    return Comparison(
        topics=len(differences),
        difference=observed,
        interval=(low, high),
        smallest_detectable=smallest_detectable(float(differences.std(ddof=1)), len(differences)),
        p_randomisation=float(p_values(differences[:, None], "randomisation")[0]),
        p_t_test=float(p_values(differences[:, None], "t-test")[0]),
        wins=int((differences > tie).sum()),
        ties=int((np.abs(differences) <= tie).sum()),
        losses=int((differences < -tie).sum()),
    )


def p_values(differences: np.ndarray, test: Test) -> np.ndarray:
    """Return the two-sided p of each comparison.

    "randomisation" flips the sign of each topic's difference (Smucker, Allan & Carterette, 2007): p = (b + 1) / (n + 1)
    with b of n seeded resamples at least as extreme, so it is the same on every call and never 0. "t-test" is Student's
    paired t-test.

    Args:
        differences: float [n_topics, n_comparisons].

    Returns:
        float [n_comparisons].
    """
    observed = differences.mean(axis=0)
    if test == "t-test":
        varying = differences.std(axis=0) > 0
        p = (observed == 0).astype(float)  # differences that are all the same have no t
        error = differences[:, varying].std(axis=0, ddof=1) / np.sqrt(len(differences))
        p[varying] = 2 * special.stdtr(len(differences) - 1, -np.abs(observed[varying] / error))
        return p
    signs = np.random.default_rng(SEED).choice([-1.0, 1.0], size=(RESAMPLES, len(differences)))
    resampled = np.abs(signs @ differences) / len(differences)
    # A hair of slack: the same sum in another order may differ in the last bit.
    extreme = (resampled >= np.abs(observed) - 1e-12).sum(axis=0)
    return (extreme + 1) / (RESAMPLES + 1)


def holm(p: Sequence[float]) -> list[float]:
    """Return the p values adjusted for their number (Holm, 1979), in the order given.

    The smallest is multiplied by their number m, the next by m - 1 and so on; none falls below the one before it or
    rises above 1.
    """
    array = np.array(p, dtype=float)
    order = np.argsort(array, kind="stable")
    adjusted = np.empty_like(array)
    adjusted[order] = np.minimum(np.maximum.accumulate(array[order] * np.arange(len(array), 0, -1)), 1)
    return adjusted.tolist()


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

    Raises:
        UserError: the systems were not evaluated on the same topics, or on fewer than two.
    """
    topics = same_topics(values)
    pairs = list(combinations(values, 2))
    found: dict[str, list[str]] = {system: [] for system in values}
    if not pairs:
        return found
    differences = np.array([[values[a][topic] - values[b][topic] for a, b in pairs] for topic in topics])
    adjusted = holm(p_values(differences, test).tolist())
    for (a, b), p, difference in zip(pairs, adjusted, differences.mean(axis=0), strict=True):
        if p < ALPHA:
            better, worse = (a, b) if difference > 0 else (b, a)
            found[better].append(worse)
    return {system: [other for other in values if other in found[system]] for system in values}


def main(arguments: list[str] | None = None) -> None:
    """Run `python -m core.significance`: print the comparison of two runs as JSON."""
    parser = argparse.ArgumentParser(prog="python -m core.significance", description=__doc__)
    parser.add_argument("a", type=Path, metavar="RUN", help="a TREC run, plain or .gz")
    parser.add_argument("b", type=Path, metavar="BASELINE", help="the run it is compared with")
    parser.add_argument("--qrels", type=Path, required=True, help="TREC or BEIR form, plain or .gz")
    parser.add_argument("--measure", default="nDCG@10", help="e.g. nDCG@10 or P(rel=2)@20")
    options = parser.parse_args(arguments)
    qrels = read_qrels(options.qrels)
    runs = [read_given_run(path, qrels) for path in (options.a, options.b)]
    a, b = (evaluate(run.scores, qrels, [options.measure])[options.measure] for run in runs)
    print(json.dumps(asdict(compare(a, b))))


if __name__ == "__main__":
    cli.run(main)
