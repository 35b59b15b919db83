"""The tables that compare systems, against scipy, exact enumeration and Holm's procedure written out."""

import itertools

import numpy as np
import pytest
import scipy.stats

from core.evaluation.comparison_tables import against_baseline, readable
from core.evaluation.verdicts import p_text

TOPICS = "abcdefghij"


def holm(p: dict[str, float]) -> dict[str, float]:
    """Adjust p values by Holm (1979): the i-th smallest of m times m - i + 1, at least the one before, at most 1."""
    adjusted, largest = {}, 0.0
    for place, name in enumerate(sorted(p, key=lambda name: p[name])):
        adjusted[name] = largest = max(largest, min(1.0, (len(p) - place) * p[name]))
    return adjusted


def test_the_p_values_of_both_tests_are_adjusted_by_holm_over_the_systems():
    generator = np.random.default_rng(4)
    base = generator.random(len(TOPICS))
    shifts = {"first": 0.25, "second": 0.2, "third": 0.1, "fourth": 0.02}
    values = {name: base + shift + generator.normal(0, 0.15, len(base)) for name, shift in shifts.items()}
    by_topic = {name: dict(zip(TOPICS, own.tolist(), strict=True)) for name, own in (values | {"base": base}).items()}
    table, _ = against_baseline(by_topic, "base")

    for name, own in values.items():
        interval = scipy.stats.ttest_rel(own, base).confidence_interval(0.95)
        assert table.loc[name, ["difference low", "difference high"]].tolist() == pytest.approx(list(interval))

    signs = np.array(list(itertools.product([1, -1], repeat=len(base))))
    differences = {name: own - base for name, own in values.items()}
    raw = {
        "randomisation": {
            name: float(np.mean(np.abs(signs @ own) >= abs(own.sum()) - 1e-9)) for name, own in differences.items()
        },
        "t-test": {name: float(scipy.stats.ttest_rel(own, base).pvalue) for name, own in values.items()},
    }
    for test, p in raw.items():
        adjusted = holm(p)
        assert any(adjusted[name] > 2 * p[name] for name in p)
        assert table.loc[list(p), f"p {test}"].to_dict() == pytest.approx(p, rel=1e-6)
        assert table.loc[list(p), f"Holm {test}"].to_dict() == pytest.approx(adjusted, rel=1e-6)
        name = {"randomisation": "randomisation test", "t-test": "paired t-test"}[test]
        shown = readable(table)[f"p, {name} (Holm-adjusted)"]
        assert all(shown[name] == f"{p_text(p[name])} ({p_text(adjusted[name])})" for name in p)
