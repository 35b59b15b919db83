"""Paired comparison of two systems over the same topics."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
from scipy import stats

from core.errors import UserError

RESAMPLES = 9_999
SEED = 13


@dataclass(frozen=True)
class Comparison:
    """System a against system b: `difference` is mean(a) - mean(b), and the interval holds it with 95 % confidence."""

    topics: int
    difference: float
    interval: tuple[float, float]
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
    half = stats.t.ppf(0.975, len(array) - 1) * array.std(ddof=1) / np.sqrt(len(array))
    return float(array.mean()), float(array.mean() - half), float(array.mean() + half)


def compare(a: Mapping[str, float], b: Mapping[str, float], tie: float = 0.0) -> Comparison:
    """Compare the per-topic values of two systems, paired by topic id.

    The randomisation test flips the sign of each topic's difference (Smucker, Allan & Carterette, 2007), two-sided,
    p = (b + 1) / (n + 1) with b of n seeded resamples at least as extreme. The interval is Student's t for the mean of
    paired differences.

    Args:
        tie: differences not larger than this are ties.

    Raises:
        UserError: the systems were not evaluated on the same topics, or on fewer than two.
    """
    if a.keys() != b.keys():
        raise UserError("the two systems were evaluated on different topics and cannot be paired")
    differences = np.array([a[topic] - b[topic] for topic in sorted(a)])
    observed, low, high = mean_interval(differences)
    signs = np.random.default_rng(SEED).choice([-1.0, 1.0], size=(RESAMPLES, len(differences)))
    resampled = np.abs((signs * differences).mean(axis=1))
    # A hair of slack: the same sum in another order may differ in the last bit.
    extreme = int((resampled >= abs(observed) - 1e-12).sum())
    p_t = float(stats.ttest_1samp(differences, 0).pvalue) if differences.std() > 0 else float(observed == 0)
    return Comparison(
        topics=len(differences),
        difference=observed,
        interval=(low, high),
        p_randomisation=(extreme + 1) / (RESAMPLES + 1),
        p_t_test=p_t,
        wins=int((differences > tie).sum()),
        ties=int((np.abs(differences) <= tie).sum()),
        losses=int((differences < -tie).sum()),
    )
