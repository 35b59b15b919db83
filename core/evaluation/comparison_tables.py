"""Tables that compare systems over all topics: means, intervals, significance, and the difference to a baseline."""

from collections.abc import Mapping, Sequence
from math import isnan

import numpy as np
import pandas as pd

from core.evaluation.measures import mean
from core.evaluation.published import Published
from core.evaluation.significance import (
    ALPHA,
    ROUNDING,
    Comparison,
    Test,
    Values,
    attainable,
    beaten,
    bootstrap_intervals,
    compare_all,
    holm,
)
from core.evaluation.table_formats import LETTERS, MISSING, SUPERSCRIPTS, Table, texts
from core.workspace.artifacts import Manifest
from core.workspace.measure_names import parse_measure
from core.workspace.timing import OLDER_TIMING, is_comparable

ByMeasure = Mapping[str, Values]
"""measure -> system -> topic -> value."""
SHOW = {"means": "means", "intervals": "means and 95 % intervals", "letters": "means and significance"}
"""What the cells of the table of means hold."""
TESTS: dict[Test, str] = {"randomisation": "randomisation test", "t-test": "paired t-test"}
SENTENCES = 10
"""Number of comparisons up to which each has its sentence."""


def measure_order(measures: Sequence[str]) -> list[str]:
    """Return the measures with the judged share first after the nDCG of the same cut-off: one is not read alone."""
    ordered: list[str] = []
    for measure in measures:
        partner = measure.replace("nDCG@", "Judged@")
        ordered += [measure, partner] if partner != measure and partner in measures else [measure]
    return list(dict.fromkeys(ordered))


def evaluated_measures(tidy: pd.DataFrame, wanted: Sequence[str]) -> list[str]:
    """Return those of the measures that were evaluated, as `measure_order` has them."""
    known = set(tidy["measure"])
    return measure_order([measure for measure in wanted if measure in known])


def per_topic(tidy: pd.DataFrame, measure: str) -> dict[str, dict[str, float]]:
    """Return a measure's values, system -> topic -> value; a system that was not evaluated is absent."""
    rows = tidy[tidy["measure"] == measure]
    return {
        str(system): dict(zip(group["topic"], group["value"], strict=True))
        for system, group in rows.groupby("system", sort=False)
    }


def means(tidy: pd.DataFrame, measures: Sequence[str]) -> pd.DataFrame:
    """Return the mean over topics, one row a system, one column a measure."""
    table = tidy.pivot_table(index="system", columns="measure", values="value", aggfunc="mean", sort=False)
    return table[[measure for measure in measures if measure in table]]


def mean_cells(tidy: pd.DataFrame, measures: Sequence[str], show: str, test: Test) -> pd.DataFrame:
    """Return systems x measures: figures for "means", texts for the other two of `SHOW`.

    Args:
        test: for "letters".
    """
    if show == "means":
        return means(tidy, measures)
    by_measure = {measure: per_topic(tidy, measure) for measure in measures}
    return with_intervals(by_measure) if show == "intervals" else with_letters(by_measure, test)


def means_table(
    cells: pd.DataFrame,
    about: str,
    latencies: Mapping[str, float | None],
    labels: Mapping[str, str],
    published: Sequence[Published],
    measures: Sequence[str],
) -> Table:
    """Return the table of all systems and measures, with the latency of a query and published figures as context.

    Args:
        cells: from `mean_cells`.
        about: what the cells are.
        latencies: of single queries, in milliseconds.
    """
    table = cells.assign(**{"median ms": [latencies.get(str(system)) for system in cells.index]})
    table = table.rename(index=labels).rename_axis("system")
    context = published_rows(published, measures)
    if not context.empty:
        figures = all(cells[measure].dtype.kind == "f" for measure in measures)
        table = pd.concat([table, context if figures else texts(context)]).rename_axis("system")
    return Table(table, about)


def means_caption(collection: str, show: str, systems: int, topics: int, test: Test) -> str:
    """Say what the cells of `mean_cells` are."""
    marks = f" {significance_note(systems, topics, test)}" if show == "letters" else ""
    return f"{collection}: {SHOW[show]}, {topics} topics.{marks}"


def latencies(systems: Sequence[str], manifests: Mapping[str, Manifest]) -> dict[str, float | None]:
    """Return the median milliseconds of a query by each system, None where they were not measured.

    Args:
        manifests: by the artifact's place.
    """
    runs = {system: manifests.get(f"runs/{system}") for system in systems}
    return {system: run.facts.get("median_milliseconds") if run else None for system, run in runs.items()}


def significance_note(systems: int, topics: int, test: Test) -> str:
    """Say what stands after a mean where significance is shown."""
    pairs = systems * (systems - 1) // 2
    what = "A superscript letter: significantly better than the system of that letter"
    if not has_letters(systems):
        what = f"In brackets: how many of the {systems - 1} other systems it is significantly better than"
    said = f"{what} ({TESTS[test]}, p < 0.05 after Holm over all {pairs} pairs of systems of a measure)."
    few = too_few_topics(topics, pairs) if pairs and test == "randomisation" else ""
    return f"{said} {few}".strip()


def with_letters(by_measure: ByMeasure, test: Test) -> pd.DataFrame:
    """Return systems x measures as texts: the mean, and in superscript the letters of the systems it is better than.

    Better is p < 0.05 after Holm over all pairs of systems of that measure. As in ranx (Bassani, 2022) every system has
    a letter; where there are more systems than letters, the number of systems it is better than stands in brackets.
    """
    systems = list(next(iter(by_measure.values())))
    lettered = has_letters(len(systems))
    superscript = dict(zip(systems, SUPERSCRIPTS, strict=False))
    columns = {"letter": dict(zip(systems, LETTERS, strict=False))} if lettered else {}
    for measure, values in by_measure.items():
        worse = beaten(values, test)
        columns[measure] = {}
        for system in systems:
            marks = "".join(superscript[other] for other in worse[system]) if lettered else f" ({len(worse[system])})"
            columns[measure][system] = f"{mean(dict(values[system])):.4f}{marks}"
    return pd.DataFrame(columns)


def has_letters(systems: int) -> bool:
    """Return whether there is a letter for each of this number of systems."""
    return systems <= len(LETTERS)


def too_few_topics(topics: int, comparisons: int) -> str:
    """Return a sentence where so few topics cannot make any of so many comparisons significant, else ""."""
    if attainable(topics, comparisons):
        return ""
    return (
        f"With {topics} topics no p of the randomisation test is below {2.0 ** (1 - topics):.2g}, so that after Holm "
        f"no difference can be significant (comparisons: {comparisons})."
    )


def with_intervals(by_measure: ByMeasure) -> pd.DataFrame:
    """Return systems x measures as texts: the mean and its 95 % bootstrap interval."""
    return pd.DataFrame(
        {
            measure: {
                system: f"{middle:.4f} ({MISSING if isnan(low) else f'{low:.3f} to {high:.3f}'})"
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
        UserError: if the systems were evaluated on different topics, or on fewer than two.
    """
    found = compare_all(values, baseline)
    p_t_test = np.array([one.p_t_test for one in found.values()], dtype=float)  # None is NaN
    compared = pd.DataFrame(
        {
            "difference": {system: one.difference for system, one in found.items()},
            "difference low": {system: one.interval[0] for system, one in found.items() if one.interval},
            "difference high": {system: one.interval[1] for system, one in found.items() if one.interval},
            "detectable": {system: one.smallest_detectable for system, one in found.items()},
            "p randomisation": {system: one.p_randomisation for system, one in found.items()},
            "Holm randomisation": dict(zip(found, holm([one.p_randomisation for one in found.values()]), strict=True)),
            "p t-test": {system: one.p_t_test for system, one in found.items()},
            "Holm t-test": dict(zip(found, holm(p_t_test), strict=True)),
            "wins": {system: one.wins for system, one in found.items()},
            "ties": {system: one.ties for system, one in found.items()},
            "losses": {system: one.losses for system, one in found.items()},
        },
        dtype=float,
    )
    intervals = pd.DataFrame.from_dict(bootstrap_intervals(values), orient="index", columns=["mean", "low", "high"])
    return intervals.join(compared).rename_axis("system"), found


def baseline_table(
    table: pd.DataFrame,
    found: Mapping[str, Comparison],
    labels: Mapping[str, str],
    measure: str,
    baseline: str,
    collection: str,
    judged: Mapping[str, float] | None = None,
) -> Table:
    """Return every system's comparison with the baseline by one measure.

    Args:
        table, found: from `against_baseline`.
        judged: the mean of Judged@k of each system, where the measure is nDCG@k.
    """
    shown = readable(table)
    if judged is not None:
        shown.insert(2, judged_partner(measure), [judged[str(system)] for system in shown.index])
    return Table(
        table.rename(index=labels),
        f"{collection}: {measure} against {labels[baseline]}",
        shown.rename(index=labels),
        baseline_sentences(table, found, labels, measure, baseline),
    )


def judged_partner(measure: str) -> str:
    """Return the Judged@k that is read beside a measure nDCG@k, "" for any other."""
    parsed = parse_measure(measure)
    return f"Judged@{parsed.cutoff}" if parsed.name == "nDCG" else ""


def baseline_sentences(
    table: pd.DataFrame, found: Mapping[str, Comparison], labels: Mapping[str, str], measure: str, baseline: str
) -> list[str]:
    """Return a sentence for each comparison, one for all where they are many; and whether there are too few topics.

    Args:
        table, found: from `against_baseline`.
    """
    if not found:
        return []
    if len(found) > SENTENCES:
        said = [summary_sentence(labels[baseline], measure, table, found)]
    else:
        said = [
            baseline_sentence(
                labels[system], labels[baseline], measure, one, float(table.loc[system, "Holm randomisation"])
            )
            for system, one in found.items()
        ]
    few = too_few_topics(next(iter(found.values())).topics, len(found))
    return [*said, few] if few else said


def readable(table: pd.DataFrame) -> pd.DataFrame:
    """Return the table of `against_baseline` with each interval, p with its Holm, and the counts in one column."""

    def together(form: str, *columns: str) -> list[str]:
        rows = table[list(columns)].itertuples(index=False)
        return [MISSING if any(map(pd.isna, row)) else form.format(*row) for row in rows]

    def p_and_holm(test: str) -> list[str]:
        """Return p and in brackets p after Holm."""
        rows = table[[f"p {test}", f"Holm {test}"]].itertuples(index=False)
        return [MISSING if pd.isna(p) else f"{p_text(p)} ({p_text(adjusted)})" for p, adjusted in rows]

    return pd.DataFrame(
        {
            "mean": table["mean"],
            "95 % interval": together("{:.3f} to {:.3f}", "low", "high"),
            "difference": table["difference"],
            "95 % of difference": together("{:+.3f} to {:+.3f}", "difference low", "difference high"),
            "detectable": together("{:.3f}", "detectable"),
            "p randomisation (Holm)": p_and_holm("randomisation"),
            "p t-test (Holm)": p_and_holm("t-test"),
            "wins/ties/losses": together("{:.0f}/{:.0f}/{:.0f}", "wins", "ties", "losses"),
        },
        index=table.index,
    )


def baseline_sentence(label: str, baseline: str, measure: str, found: Comparison, adjusted: float) -> str:
    """Say in a sentence how a system compares with the baseline, and what these topics could have shown.

    Args:
        adjusted: the randomisation test's p after Holm.
    """
    if found.interval is None and abs(found.difference) < ROUNDING:
        return f"{label} and {baseline} have the same {measure} on all {found.topics} topics."
    p = f"randomisation test: p {p_relation(found.p_randomisation)}, Holm-adjusted {p_text(adjusted)}"
    amount = f"{found.difference:+.4f} {measure}{interval_text(found)}"
    if found.undecided:
        return f"{label} against {baseline}: {amount}, too close to call at 0.05 ({p}, within its Monte Carlo error)."
    if found.smallest_detectable is not None:
        p += f"; minimum detectable effect at 80 % power: {found.smallest_detectable:.3f}"
    if found.p_t_test is not None and (found.p_t_test < ALPHA) != (found.p_randomisation < ALPHA):
        p += f"; the t-test, which the interval goes with, gives p {p_relation(found.p_t_test)}"
    if adjusted >= ALPHA:
        return f"{label} against {baseline}: {amount}, not significant ({p})."
    better = "better" if found.difference > 0 else "worse"
    return f"{label} is significantly {better} than {baseline}: {amount} ({p})."


def summary_sentence(baseline: str, measure: str, table: pd.DataFrame, found: Mapping[str, Comparison]) -> str:
    """Say how many systems are significantly better and worse than the baseline.

    Args:
        table: from `against_baseline`, as `found`.
    """
    kinds = {"better": 0, "worse": 0, "without a significant difference": 0, "too close to call": 0}
    for system, one in found.items():
        significant = table.loc[system, "Holm randomisation"] < ALPHA
        better = "better" if one.difference > 0 else "worse"
        kind = "too close to call" if one.undecided else better if significant else "without a significant difference"
        kinds[kind] += 1
    close = f", {kinds['too close to call']} too close to call" if kinds["too close to call"] else ""
    return (
        f"Of {len(found)} systems, {kinds['better']} are significantly better than {baseline} by {measure}, "
        f"{kinds['worse']} significantly worse, {kinds['without a significant difference']} not significantly different"
        f"{close} (randomisation test, p < {ALPHA} after Holm over the {len(found)} comparisons)."
    )


def comparison_sentence(label_a: str, label_b: str, measure: str, found: Comparison) -> str:
    """Say in a sentence how two systems compare."""
    if found.interval is None and abs(found.difference) < ROUNDING:
        return f"Over {found.topics} topics, {label_a} and {label_b} have the same {measure} on each."
    t_test = "" if found.p_t_test is None else f", {p_text(found.p_t_test)} by t-test"
    return (
        f"Over {found.topics} topics, {label_a} minus {label_b} is {found.difference:+.4f} {measure}"
        f"{interval_text(found)}; {found.wins} wins, {found.ties} ties, {found.losses} losses; "
        f"p {p_relation(found.p_randomisation)} by randomisation test{t_test}."
    )


def interval_text(found: Comparison) -> str:
    """Return what follows a difference: its interval, or why there is none."""
    if found.interval is None:
        return f" on each of the {found.topics} topics: without variance there is no t-test and no interval"
    return f", 95 % CI {found.interval[0]:+.4f} to {found.interval[1]:+.4f}"


def p_text(p: float) -> str:
    """Return a p value with two digits, and more where these would be 0.05; "< 0.001" where it is."""
    if p < 0.001:
        return "< 0.001"
    return f"{p:.2g}" if f"{p:.2g}" != "0.05" else f"{p:.4f}"


def p_relation(p: float) -> str:
    """Return what stands after a p: "= 0.03", or "< 0.001"."""
    return p_text(p) if p < 0.001 else f"= {p_text(p)}"


def curve_table(curves: pd.DataFrame, labels: Mapping[str, str], relevance: int) -> Table:
    """Return the precision-recall curves as a table.

    Args:
        curves: index recall level, one column a system.
    """
    about = f"Interpolated precision at eleven recall levels, relevant from grade {relevance}"
    return Table(curves.rename_axis("recall").rename(columns=dict(labels)), about)


def unjudged_table(rows: Mapping[str, Mapping[str, float]], baseline: str, labels: Mapping[str, str], k: int) -> Table:
    """Return nDCG@k, its bounds over all possible judgments, and those of the difference to the baseline.

    Args:
        rows: system -> the figures of `core.evaluation.unjudged.figures`.
    """
    measure = f"nDCG@{k}"
    table = pd.DataFrame.from_dict(rows, orient="index").rename_axis("system")
    turns = (table["difference lowest"] < 0) & (table["difference highest"] > 0)
    table["order could turn"] = turns.map({True: "yes", False: "no"})
    table.loc[baseline, ["difference", "difference lowest", "difference highest"]] = None
    table.loc[baseline, "order could turn"] = MISSING
    table = table.rename(columns={"nDCG": measure, "condensed": f"condensed {measure}"}).rename(index=dict(labels))
    return Table(table, f"{measure} and what the unjudged documents could make of it")


def cost_rows(means: pd.DataFrame, manifests: Mapping[str, Manifest]) -> pd.DataFrame:
    """Return one row a system: its mean with interval, and what a query and its index cost.

    Args:
        means: index system; columns mean, low, high.
        manifests: by the artifact's place.
    """
    rows = {}
    for system in means.index:
        run = manifests.get(f"runs/{system}")
        index = manifests.get(f"bm25/{system}") or manifests.get(f"vectors/{system}")
        rows[system] = {
            "median ms": run.facts.get("median_milliseconds") if run else None,
            "index MB": sum(file["bytes"] for file in index.files.values()) / 1e6 if index else None,
            "build seconds": index.seconds if index else None,
        }
    costs = pd.DataFrame.from_dict(rows, orient="index", dtype=float)
    return means[["mean", "low", "high"]].join(costs)


def older_latencies(manifests: Mapping[str, Manifest], labels: Mapping[str, str]) -> str:
    """Say whose latencies were measured by an older procedure, "" where none were.

    Args:
        manifests: by the artifact's place.
        labels: of the systems that are shown.
    """
    runs = {system: manifests.get(f"runs/{system}") for system in labels}
    older = {
        labels[system]: run.command
        for system, run in runs.items()
        if run and "median_milliseconds" in run.facts and not is_comparable(run.settings)
    }
    if not older:
        return ""
    command = next(iter(older.values()))
    return f"Latency of {', '.join(older)}: {OLDER_TIMING}; measure again with {command}"
