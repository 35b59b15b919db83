"""The tables of the Overview page, without Streamlit: figures in full precision, and the same as they are printed."""

from collections.abc import Mapping, Sequence

import pandas as pd

from core.measures import mean
from core.reference import Published
from core.significance import ALPHA, Comparison, Test, Values, beaten, bootstrap_intervals, compare, holm
from dashboard.comparison.export import LETTERS, MISSING, SUPERSCRIPTS

ByMeasure = Mapping[str, Values]
"""measure -> system -> topic -> value."""


def with_letters(by_measure: ByMeasure, test: Test) -> pd.DataFrame:
    """Return systems x measures as texts: the mean, and in superscript the letters of the systems it is better than.

    Better is p < 0.05 after Holm over all pairs of systems of that measure. As in ranx (Bassani, 2022) every system has
    a letter; where there are more systems than letters, none is given.
    """
    systems = list(next(iter(by_measure.values())))
    if len(systems) > len(LETTERS):
        return pd.DataFrame({m: {s: f"{mean(dict(v[s])):.4f}" for s in systems} for m, v in by_measure.items()})
    superscript = dict(zip(systems, SUPERSCRIPTS, strict=False))
    columns: dict[str, dict[str, str]] = {"letter": dict(zip(systems, LETTERS, strict=False))}
    for measure, values in by_measure.items():
        worse = beaten(values, test)
        columns[measure] = {
            system: f"{mean(dict(values[system])):.4f}" + "".join(superscript[other] for other in worse[system])
            for system in systems
        }
    return pd.DataFrame(columns)


def with_intervals(by_measure: ByMeasure) -> pd.DataFrame:
    """Return systems x measures as texts: the mean and its 95 % bootstrap interval."""
    return pd.DataFrame(
        {
            measure: {
                system: f"{middle:.4f} ({low:.3f} to {high:.3f})"
                for system, (middle, low, high) in bootstrap_intervals(values).items()
            }
            for measure, values in by_measure.items()
        }
    )


def published_rows(published: Sequence[Published], columns: Sequence[str]) -> pd.DataFrame:
    """Return published figures as rows of context, under names that say so; what was not published is empty."""
    rows = {f"published: {one.system}": one.measures for one in published}
    return pd.DataFrame.from_dict(rows, orient="index", dtype=float).reindex(columns=list(columns))


def against_baseline(values: Values, baseline: str) -> tuple[pd.DataFrame, dict[str, Comparison]]:
    """Compare every system with the baseline.

    Returns:
        A table with one row a system, its p values adjusted by Holm over the rows; the baseline's own comparison is
        empty. And the comparisons by system.

    Raises:
        UserError: the systems were evaluated on different topics, or on fewer than two.
    """
    found = {system: compare(by_topic, values[baseline]) for system, by_topic in values.items() if system != baseline}
    compared = pd.DataFrame(
        {
            "difference": {system: one.difference for system, one in found.items()},
            "difference low": {system: one.interval[0] for system, one in found.items()},
            "difference high": {system: one.interval[1] for system, one in found.items()},
            "detectable": {system: one.smallest_detectable for system, one in found.items()},
            "p randomisation": {system: one.p_randomisation for system, one in found.items()},
            "Holm randomisation": dict(zip(found, holm([one.p_randomisation for one in found.values()]), strict=True)),
            "p t-test": {system: one.p_t_test for system, one in found.items()},
            "Holm t-test": dict(zip(found, holm([one.p_t_test for one in found.values()]), strict=True)),
            "wins": {system: one.wins for system, one in found.items()},
            "ties": {system: one.ties for system, one in found.items()},
            "losses": {system: one.losses for system, one in found.items()},
        },
        dtype=float,
    )
    intervals = pd.DataFrame.from_dict(bootstrap_intervals(values), orient="index", columns=["mean", "low", "high"])
    return intervals.join(compared).rename_axis("system"), found


def readable(table: pd.DataFrame) -> pd.DataFrame:
    """Return the table of `against_baseline` with each interval, p with its Holm, and the counts in one column."""

    def together(form: str, *columns: str) -> list[str]:
        rows = table[list(columns)].itertuples(index=False)
        return [MISSING if pd.isna(row[0]) else form.format(*row) for row in rows]

    return pd.DataFrame(
        {
            "mean": table["mean"],
            "95 % interval": together("{:.3f} to {:.3f}", "low", "high"),
            "difference": table["difference"],
            "95 % of difference": together("{:+.3f} to {:+.3f}", "difference low", "difference high"),
            "detectable": together("{:.3f}", "detectable"),
            "p randomisation (Holm)": together("{:.2g} ({:.2g})", "p randomisation", "Holm randomisation"),
            "p t-test (Holm)": together("{:.2g} ({:.2g})", "p t-test", "Holm t-test"),
            "wins/ties/losses": together("{:.0f}/{:.0f}/{:.0f}", "wins", "ties", "losses"),
        },
        index=table.index,
    )


def verdict(label: str, baseline: str, measure: str, found: Comparison, adjusted: float) -> str:
    """Say in a sentence how a system compares with the baseline, and what these topics could have shown.

    Args:
        adjusted: the randomisation test's p after Holm.
    """
    interval = f"{found.difference:+.4f} {measure} (95 % interval {found.interval[0]:+.3f} to {found.interval[1]:+.3f})"
    power = (
        f"with these {found.topics} topics a true difference of {found.smallest_detectable:.3f} would show 4 times in 5"
    )
    p = f"p = {found.p_randomisation:.2g}, {adjusted:.2g} after Holm"
    if adjusted >= ALPHA:
        return f"{label} against {baseline}: {interval}, not significant ({p}); {power}."
    better = "better" if found.difference > 0 else "worse"
    return f"{label} is significantly {better} than {baseline}: {interval}; {p}; {power}."
