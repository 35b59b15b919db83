"""Comparisons of systems in words, in one form for pages, reports and commands."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import pandas as pd

from core.evaluation.significance import ALPHA, ROUNDING, Comparison, attainable

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
    label_a: str, label_b: str, measure: str, found: Comparison, adjusted: float | None = None, comparisons: int = 1
) -> Verdict:
    """Return the comparison of system a with system b.

    Args:
        adjusted: the p of the randomisation test, Holm-adjusted over the comparisons.
        comparisons: the number of comparisons that it belongs to.
    """
    p = found.p_randomisation if adjusted is None else adjusted
    outcome = outcome_of(found, p)
    if outcome == "same":
        return Verdict(f"{label_a} and {label_b} have the same {measure} on all {found.topics} topics", outcome="same")
    amount = f"{found.difference:+.4f} {measure}"
    headline = {
        "better": f"{label_a} beats {label_b} by {amount}",
        "worse": f"{label_a} loses to {label_b}: {amount}",
        "undecided": f"{label_a} vs {label_b}: {amount}, significance undecided",
    }.get(outcome, f"{label_a} vs {label_b}: {amount}, not significant")
    correction = f", Holm-adjusted over {comparisons} comparisons" if comparisons > 1 else ""
    evidence = (
        f"{interval_text(found)}; p {p_relation(p)} (randomisation test{correction}); "
        f"{counted(found.wins, 'win')}, {counted(found.ties, 'tie')}, {counted(found.losses, 'loss', 'es')} on "
        f"{found.topics} topics"
    )
    return Verdict(headline, evidence, tuple(_details(found, comparisons)), outcome)


def outcome_of(found: Comparison, p: float) -> Outcome:
    """Return the outcome of a comparison.

    Args:
        p: the p of the randomisation test after correction.
    """
    if found.interval is None and abs(found.difference) < ROUNDING:
        return "same"
    if found.undecided:
        return "undecided"
    if p >= ALPHA:
        return "not significant"
    return "better" if found.difference > 0 else "worse"


def baseline_verdicts(
    table: pd.DataFrame, found: Mapping[str, Comparison], labels: Mapping[str, str], measure: str, baseline: str
) -> dict[str, Verdict]:
    """Return the comparison of each system with the baseline, by system.

    Args:
        table, found: the table and the comparisons from `core.evaluation.comparison_tables.against_baseline`.
    """
    return {
        system: verdict(
            labels[system], labels[baseline], measure, one, float(table.loc[system, "Holm randomisation"]), len(found)
        )
        for system, one in found.items()
    }


def overall_verdict(table: pd.DataFrame, found: Mapping[str, Comparison], measure: str, label: str) -> Verdict:
    """Return how many systems are significantly better or worse than the baseline.

    Args:
        table, found: the table and the comparisons from `core.evaluation.comparison_tables.against_baseline`.
        label: the label of the baseline.
    """
    outcomes = [outcome_of(one, float(table.loc[system, "Holm randomisation"])) for system, one in found.items()]
    better, worse, undecided = (outcomes.count(kind) for kind in ("better", "worse", "undecided"))
    others = len(found) - better - worse - undecided
    evidence = f"{worse} significantly worse, {others} not significantly different"
    if undecided:
        evidence += f", {undecided} undecided"
    evidence += f" (randomisation test, p < {ALPHA}, Holm-adjusted over {len(found)} comparisons)"
    outcome: Outcome = "better" if better else "worse" if worse == len(found) else "not significant"
    return Verdict(
        f"{better} of {len(found)} systems are significantly better than {label} in {measure}",
        evidence,
        outcome=outcome,
    )


def too_few_topics(topics: int, comparisons: int) -> str:
    """Return a warning if there are too few topics for any comparison to be significant, else ""."""
    if attainable(topics, comparisons):
        return ""
    return (
        f"With {topics} topics, the smallest p that the randomisation test can give is {2.0 ** (1 - topics):.2g}; "
        f"Holm-adjusted for the number of comparisons ({comparisons}), no difference can be significant."
    )


def interval_text(found: Comparison) -> str:
    """Return the confidence interval of a difference as text, or why there is none."""
    if found.interval is None:
        return f"the same difference on all {found.topics} topics (zero variance: CI and t-test are undefined)"
    return f"95 % CI {found.interval[0]:+.4f} to {found.interval[1]:+.4f}"


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


def _details(found: Comparison, comparisons: int) -> list[str]:
    """Return the other tests and figures of a comparison, a sentence each."""
    how = f"{found.resamples:,} sign assignments"
    said = [f"Randomisation test: p {p_relation(found.p_randomisation)} before correction, {how}."]
    if comparisons == 1:
        said = [f"Randomisation test: {how}."]
    if found.undecided:
        said.append("The p is within Monte Carlo error of the 0.05 level.")
    if found.p_t_test is not None:
        disagree = (found.p_t_test < ALPHA) != (found.p_randomisation < ALPHA)
        but = "; it disagrees with the randomisation test at the 0.05 level" if disagree else ""
        said.append(f"Paired t-test, on which the CI is based: p {p_relation(found.p_t_test)}{but}.")
    if found.smallest_detectable is not None:
        said.append(f"Minimum detectable effect (MDE) at 80 % power: {found.smallest_detectable:.4f}.")
    few = too_few_topics(found.topics, comparisons)
    return [*said, few] if few else said
