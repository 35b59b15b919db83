"""Comparisons of systems in words, in one form for pages, reports and commands."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal

import pandas as pd

from core.evaluation.significance import ALPHA, ROUNDING, Comparison, Equivalence, attainable

Outcome = Literal["better", "worse", "not significant", "undecided", "same"]
"""How a system compares with another, at the 0.05 level after correction; "same": equal on every topic."""


@dataclass(frozen=True)
class Verdict:
    """The comparison of two systems, or of all systems with a baseline, in words; plain text without a final stop.

    Attributes:
        headline: who is better and by how much, such as "A beats B by +0.1430 nDCG@10".
        evidence: confidence interval, p, wins on topics; "" if there is nothing to add.
        details: further tests and figures, a sentence each.
        outcome: what the headline says.
    """

    headline: str
    evidence: str = ""
    details: tuple[str, ...] = ()
    outcome: Outcome = "not significant"

    @property
    def sentence(self) -> str:
        """Headline and evidence as one sentence."""
        return f"{self.headline}: {self.evidence}." if self.evidence else f"{self.headline}."


def verdict(
    label_a: str,
    label_b: str,
    measure: str,
    comparison: Comparison,
    adjusted: float | None = None,
    comparisons: int = 1,
    better_first: bool = False,
) -> Verdict:
    """Return the comparison of system a with system b.

    Args:
        adjusted: the p of the randomisation test, Holm-adjusted over the comparisons.
        comparisons: the number of comparisons that it belongs to.
        better_first: whether the better system is named first.
    """
    if better_first and comparison.difference < 0:
        return verdict(label_b, label_a, measure, _reversed(comparison), adjusted, comparisons)
    p = comparison.p_randomisation if adjusted is None else adjusted
    outcome = outcome_of(comparison, p)
    if outcome == "same":
        return Verdict(
            f"{label_a} and {label_b} have the same {measure} on all {comparison.topics} topics", outcome="same"
        )
    amount = f"{comparison.difference:+.4f} {measure}"
    headline = {
        "better": f"{label_a} beats {label_b} by {amount}",
        "worse": f"{label_a} loses to {label_b}: {amount}",
        "undecided": f"{label_a} vs {label_b}: {amount}, significance undecided",
    }.get(outcome, f"{label_a} vs {label_b}: {amount}, not significant")
    correction = f", Holm-adjusted over {comparisons} comparisons" if comparisons > 1 else ""
    wins, ties = counted(comparison.wins, "win"), counted(comparison.ties, "tie")
    evidence = (
        f"{interval_text(comparison)}; p {p_relation(p)} (randomisation test{correction}); "
        f"{wins}, {ties}, {counted(comparison.losses, 'loss', 'es')} on {comparison.topics} topics"
    )
    return Verdict(headline, evidence, tuple(_details(comparison, comparisons)), outcome)


def _reversed(comparison: Comparison) -> Comparison:
    """Return the comparison of b with a."""
    interval = (-comparison.interval[1], -comparison.interval[0]) if comparison.interval else None
    wins, losses = comparison.losses, comparison.wins
    return replace(comparison, difference=-comparison.difference, interval=interval, wins=wins, losses=losses)


def single_verdict(label: str, measure: str, mean: float, low: float, high: float, topics: int) -> Verdict:
    """Return the mean of the only system, with its 95 % CI (NaN if there is none)."""
    interval = "no CI" if pd.isna(low) else f"95 % CI {low:.4f} to {high:.4f}"
    return Verdict(
        f"{label} has {measure} {mean:.4f}",
        f"{interval} over {counted(topics, 'topic')}; only one system is evaluated, a comparison needs two",
    )


def outcome_of(comparison: Comparison, p: float) -> Outcome:
    """Return the outcome of a comparison.

    Args:
        p: the p of the randomisation test after correction.
    """
    if comparison.interval is None and abs(comparison.difference) < ROUNDING:
        return "same"
    if comparison.undecided:
        return "undecided"
    if p >= ALPHA:
        return "not significant"
    return "better" if comparison.difference > 0 else "worse"


def baseline_verdicts(
    table: pd.DataFrame, by_system: Mapping[str, Comparison], labels: Mapping[str, str], measure: str, baseline: str
) -> dict[str, Verdict]:
    """Return the comparison of each system with the baseline, by system.

    Args:
        table, by_system: the table and the comparisons from `core.evaluation.comparison_tables.against_baseline`.
    """
    return {
        system: verdict(
            labels[system],
            labels[baseline],
            measure,
            one,
            float(table.loc[system, "Holm randomisation"]),
            len(by_system),
        )
        for system, one in by_system.items()
    }


def overall_verdict(table: pd.DataFrame, by_system: Mapping[str, Comparison], measure: str, label: str) -> Verdict:
    """Return how many systems are significantly better or worse than the baseline.

    Args:
        table, by_system: the table and the comparisons from `core.evaluation.comparison_tables.against_baseline`.
        label: the label of the baseline.
    """
    outcomes = [outcome_of(one, float(table.loc[system, "Holm randomisation"])) for system, one in by_system.items()]
    better, worse, undecided = (outcomes.count(kind) for kind in ("better", "worse", "undecided"))
    others = len(by_system) - better - worse - undecided
    evidence = f"{worse} significantly worse, {others} not significantly different"
    if undecided:
        evidence += f", {undecided} undecided"
    evidence += f" (randomisation test, p < {ALPHA}, Holm-adjusted over {len(by_system)} comparisons)"
    outcome: Outcome = "better" if better else "worse" if worse == len(by_system) else "not significant"
    return Verdict(
        f"{better} of {len(by_system)} systems are significantly better than {label} in {measure}",
        evidence,
        outcome=outcome,
    )


def equivalence_sentence(label: str, baseline: str, measure: str, found: Equivalence) -> str:
    """Return the result of an equivalence test as a sentence."""
    if found.interval is None:
        evidence = f"the same difference, {found.difference:+.4f}, on all {found.topics} topics"
    else:
        low, high = found.interval
        evidence = (
            f"difference {found.difference:+.4f}, 90 % CI {low:+.4f} to {high:+.4f}; p {p_relation(found.p)} (two "
            f"one-sided paired t-tests, {found.topics} topics)"
        )
    what = "equals" if found.equivalent else "is not shown to equal"
    return f"{label} {what} {baseline} within {found.margin:g} {measure}: {evidence}."


def too_few_topics(topics: int, comparisons: int) -> str:
    """Return a warning if there are too few topics for any comparison to be significant, else ""."""
    if attainable(topics, comparisons):
        return ""
    return (
        f"With {topics} topics, the smallest p that the randomisation test can give is {2.0 ** (1 - topics):.2g}; "
        f"Holm-adjusted for the number of comparisons ({comparisons}), no difference can be significant."
    )


def interval_text(comparison: Comparison) -> str:
    """Return the confidence interval of a difference as text, or why there is none."""
    if comparison.interval is None:
        return f"the same difference on all {comparison.topics} topics (zero variance: CI and t-test are undefined)"
    return f"95 % CI {comparison.interval[0]:+.4f} to {comparison.interval[1]:+.4f}"


def p_text(p: float) -> str:
    """Return a p value as text with two digits, more if it would round to 0.05, or "< 0.001"."""
    if p < 0.001:
        return "< 0.001"
    return f"{p:.2g}" if f"{p:.2g}" != "0.05" else f"{p:.4f}"


def p_relation(p: float) -> str:
    """Return a p value as text with its relation sign: "= 0.03" or "< 0.001"."""
    return p_text(p) if p < 0.001 else f"= {p_text(p)}"


def counted(count: int, noun: str, plural: str = "s") -> str:
    """Return a number with its noun, in the plural unless the number is 1."""
    return f"{count} {noun}{'' if count == 1 else plural}"


def _details(comparison: Comparison, comparisons: int) -> list[str]:
    """Return the other tests and figures of a comparison, a sentence each."""
    how = f"{comparison.resamples:,} sign assignments"
    said = [f"Randomisation test: p {p_relation(comparison.p_randomisation)} before correction, {how}."]
    if comparisons == 1:
        said = [f"Randomisation test: {how}."]
    if comparison.undecided:
        said.append("The p is within Monte Carlo error of the 0.05 level.")
    if comparison.p_t_test is not None:
        disagree = (comparison.p_t_test < ALPHA) != (comparison.p_randomisation < ALPHA)
        but = "; it disagrees with the randomisation test at the 0.05 level" if disagree else ""
        said.append(f"Paired t-test, on which the CI is based: p {p_relation(comparison.p_t_test)}{but}.")
    if comparison.smallest_detectable is not None:
        said.append(f"Minimum detectable effect (MDE) at 80 % power: {comparison.smallest_detectable:.4f}.")
    few = too_few_topics(comparison.topics, comparisons)
    return [*said, few] if few else said
