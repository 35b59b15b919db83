"""Tables that compare systems over all topics: means, intervals, significance, differences from a baseline."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from math import inf, isnan

import numpy as np
import pandas as pd

from core.evaluation.measures import mean
from core.evaluation.published import Published
from core.evaluation.significance import (
    BOOTSTRAP_RESAMPLES,
    Comparison,
    Correction,
    Equivalence,
    Test,
    Values,
    beaten,
    bootstrap_intervals,
    compare_all,
    corrected,
    p_values,
    topics_needed,
)
from core.evaluation.table_formats import LETTERS, MISSING, SUPERSCRIPTS, Table, milliseconds
from core.evaluation.verdicts import baseline_verdicts, equivalence_sentence, overall_verdict, p_text, too_few_topics
from core.workspace.artifacts import Manifest
from core.workspace.errors import UserError
from core.workspace.measure_names import COUNTS, judged_cutoff, parse_measure
from core.workspace.timing import OLDER_TIMING, is_comparable

ByMeasure = Mapping[str, Values]
"""measure -> system -> topic -> value."""
SHOW = {"means": "mean", "intervals": "mean + 95 % CI", "letters": "mean + significance"}
"""What the cells of the table of means show."""
LATENCY, INDEX_SIZE, BUILD_TIME = "Latency, median (ms)", "Index size (MB)", "Build time (s)"
"""Columns of costs."""
BASELINE_COLUMNS = {
    "low": "95 % CI, lower bound",
    "high": "95 % CI, upper bound",
    "difference low": "95 % CI of difference, lower bound",
    "difference high": "95 % CI of difference, upper bound",
    "detectable": "MDE at 80 % power",
}
"""Columns of `against_baseline` -> their names where they are shown or exported."""
TESTS: dict[Test, str] = {
    "randomisation": "randomisation test",
    "t-test": "paired t-test",
    "wilcoxon": "Wilcoxon signed-rank test",
}
BOTH: tuple[Test, ...] = ("randomisation", "t-test")
"""The tests of a comparison with a baseline where none is chosen."""
CORRECTIONS: dict[Correction, str] = {
    "holm": "Holm",
    "bonferroni": "Bonferroni",
    "benjamini-hochberg": "Benjamini-Hochberg",
    "none": "none",
}
SHORT = {
    "95 % CI of difference": "CI of diff.",
    "difference": "diff.",
    "effect size (d)": "d",
    "MDE at 80 % power": "MDE",
    "wins/ties/losses": "W/T/L",
}
"""Columns of a comparison with a baseline -> their names in LaTeX."""
SHORT_TESTS: dict[Test, str] = {"randomisation": "p (rand.)", "t-test": "p (t)", "wilcoxon": "p (Wilcoxon)"}
BEST = 10
"""Number of systems in charts and chosen tables where none are chosen."""
MAIN_MEASURES = 4
"""Number of measures of a short table."""
SENTENCES = 10
"""Maximum number of comparisons for which each gets its own sentence."""


def measure_order(measures: Sequence[str]) -> list[str]:
    """Return the measures with each Judged@k right after nDCG@k, since nDCG should not be read without it."""
    ordered: list[str] = []
    for measure in measures:
        partner = measure.replace("nDCG@", "Judged@")
        ordered += [measure, partner] if partner != measure and partner in measures else [measure]
    return list(dict.fromkeys(ordered))


def evaluated_measures(tidy: pd.DataFrame, wanted: Sequence[str]) -> list[str]:
    """Return the wanted measures that were evaluated, in the order of `measure_order`."""
    known = set(tidy["measure"].unique())
    return measure_order([measure for measure in wanted if measure in known])


def per_topic(tidy: pd.DataFrame, measure: str) -> dict[str, dict[str, float]]:
    """Return a measure's values, system -> topic -> value, of the systems evaluated by it."""
    rows = tidy[tidy["measure"] == measure]
    return {
        str(system): dict(zip(group["topic"], group["value"], strict=True))
        for system, group in rows.groupby("system", sort=False)
    }


def best_systems(values: Values, keep: Sequence[str] = (), count: int = BEST) -> list[str]:
    """Return the systems to show where not all can be: those with the highest means, in the order of `values`.

    Args:
        keep: systems that are among them whatever their mean.
    """
    by_mean = sorted(values, key=lambda system: (system not in keep, -mean(values[system])))
    chosen = set(by_mean[:count])
    return [system for system in values if system in chosen]


def means(tidy: pd.DataFrame, measures: Sequence[str]) -> pd.DataFrame:
    """Return the means over topics, one row per system and one column per measure."""
    columns = {
        measure: {system: mean(by_topic) for system, by_topic in per_topic(tidy, measure).items()}
        for measure in measures
    }
    table = pd.DataFrame({measure: column for measure, column in columns.items() if column})
    return table.reindex(list(tidy["system"].unique())).rename_axis("system")


def with_measure(tidy: pd.DataFrame, measure: str, values: Callable[[], Values]) -> pd.DataFrame:
    """Return the tidy table with the values of a measure added where they are not stored.

    Args:
        values: returns the values of the measure; called only if they are needed.
    """
    if measure in tidy["measure"].unique():
        return tidy
    systems, collection = set(tidy["system"].unique()), tidy["collection"].iloc[0]
    rows = [
        (collection, system, topic, measure, value)
        for system, by_topic in values().items()
        if system in systems
        for topic, value in by_topic.items()
    ]
    added = pd.DataFrame(rows, columns=["collection", "system", "topic", "measure", "value"])
    return pd.concat([tidy, added], ignore_index=True)


def by_mean(tidy: pd.DataFrame, measure: str) -> pd.DataFrame:
    """Return the tidy table with the systems in descending order of their mean."""
    found = {system: mean(values) for system, values in per_topic(tidy, measure).items()}
    order = sorted(tidy["system"].unique(), key=lambda system: -found.get(system, -1.0))
    place = {system: number for number, system in enumerate(order)}
    return tidy.sort_values("system", key=lambda names: names.map(place), kind="stable", ignore_index=True)


def main_measures(tidy: pd.DataFrame, wanted: Sequence[str], measure: str) -> list[str]:
    """Return the measures of a short table: the chosen one, then the first wanted one of each other family."""
    families = {parse_measure(measure).name: measure}
    for name in evaluated_measures(tidy, wanted):
        if is_tested(name):
            families.setdefault(parse_measure(name).name, name)
    return list(families.values())[:MAIN_MEASURES]


def mean_cells(tidy: pd.DataFrame, measures: Sequence[str], show: str, test: Test) -> pd.DataFrame:
    """Return a table of systems by measures, with numbers for "means" and texts for the other values of `SHOW`.

    Args:
        test: the significance test for "letters".
    """
    if show == "means":
        return means(tidy, measures)
    by_measure = {measure: per_topic(tidy, measure) for measure in measures}
    systems = list(tidy["system"].unique())
    cells = with_intervals(by_measure) if show == "intervals" else with_letters(by_measure, test, systems)
    return cells.reindex(systems)


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
        cells: the table from `mean_cells`.
        about: a description of the cells.
        latencies: the latencies of single queries, in milliseconds; without any, there is no such column.
    """
    table = cells
    if latencies:
        table = cells.assign(**{LATENCY: [latencies.get(str(system)) for system in cells.index]})
    table = table.rename(index=labels).rename_axis("system")
    context = published_rows(published, measures)
    # Published figures have no values by topic, so that they are no part of a table with intervals or tests.
    if not context.empty and all(cells[measure].dtype.kind == "f" for measure in measures):
        table = pd.concat([table, context]).rename_axis("system")
    return Table(table, about, _readable_latencies(table) if latencies else None)


def _readable_latencies(table: pd.DataFrame) -> pd.DataFrame:
    return table.assign(**{LATENCY: [MISSING if pd.isna(one) else milliseconds(one, "") for one in table[LATENCY]]})


def means_caption(collection: str, show: str, systems: int, topics: int, test: Test) -> str:
    """Return a caption for the cells of `mean_cells`."""
    added = {
        "means": ".",
        "intervals": f" with 95 % CI (percentile bootstrap over topics, {BOOTSTRAP_RESAMPLES:,} resamples).",
        "letters": f". {significance_note(systems, topics, test)}",
    }
    return f"{collection}: means over {topics} topics{added[show]}"


def latencies(systems: Sequence[str], manifests: Mapping[str, Manifest]) -> dict[str, float | None]:
    """Return each system's median query latency in milliseconds, None if it was not measured.

    Args:
        manifests: manifests keyed by the artifact's place.
    """
    runs = {system: manifests.get(f"runs/{system}") for system in systems}
    return {system: run.facts.get("median_milliseconds") if run else None for system, run in runs.items()}


def significance_note(systems: int, topics: int, test: Test) -> str:
    """Explain the significance marks that follow the means."""
    pairs = systems * (systems - 1) // 2
    what = "Superscript letters: the system is significantly better than the systems with these letters"
    if not has_letters(systems):
        what = f"In parentheses: the number of the other {systems - 1} systems that it is significantly better than"
    said = f"{what} ({TESTS[test]}, p < 0.05, Holm-adjusted over all {pairs} pairs of systems for each measure)."
    few = too_few_topics(topics, pairs) if pairs and test == "randomisation" else ""
    return f"{said} {few}".strip()


def with_letters(by_measure: ByMeasure, test: Test, systems: Sequence[str] = ()) -> pd.DataFrame:
    """Return a table of texts: each mean with the superscript letters of the systems that are significantly worse.

    Significant means p < 0.05 after Holm over all pairs of systems of a measure. As in ranx (Bassani, 2022), every
    system has a letter; with more systems than letters, the number of significantly worse systems follows in brackets.

    Args:
        systems: all systems, in order, where the first measure lacks some.
    """
    systems = systems or list(next(iter(by_measure.values())))
    lettered = has_letters(len(systems))
    superscript = dict(zip(systems, SUPERSCRIPTS, strict=False))
    columns = {"letter": dict(zip(systems, LETTERS, strict=False))} if lettered else {}
    for measure, values in by_measure.items():
        worse = beaten(values, test) if is_tested(measure) else {}
        columns[measure] = {}
        for system in values:
            if not worse:
                columns[measure][system] = f"{mean(values[system]):.4f}"
                continue
            marks = "".join(superscript[other] for other in worse[system]) if lettered else f" ({len(worse[system])})"
            columns[measure][system] = f"{mean(values[system]):.4f}{marks}"
    return pd.DataFrame(columns)


def is_tested(measure: str) -> bool:
    """Tell whether systems are tested by a measure; counts such as Judged@k do not say how good a system is."""
    return parse_measure(measure).name not in COUNTS


def has_letters(systems: int) -> bool:
    """Tell whether there are enough letters for this number of systems."""
    return systems <= len(LETTERS)


def with_intervals(by_measure: ByMeasure) -> pd.DataFrame:
    """Return a table of texts: each mean with its 95 % bootstrap confidence interval."""
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
    """Return published figures as rows labelled "published: ..."; unpublished measures are empty."""
    rows = {f"published: {one.system}": one.measures for one in published}
    return pd.DataFrame.from_dict(rows, orient="index", dtype=float).reindex(columns=list(columns))


def against_baseline(
    values: Values,
    baseline: str,
    tests: Sequence[Test] = BOTH,
    correction: Correction = "holm",
    detect: float | None = None,
) -> tuple[pd.DataFrame, dict[str, Comparison]]:
    """Compare every system with the baseline.

    Args:
        tests: the significance tests; the t-test and the randomisation test where none is chosen.
        correction: the correction of p over the rows.
        detect: also return the number of topics with which a t-test detects this difference.

    Returns:
        A table with one row per system, in which the baseline has no comparison, and the comparisons by system. Of each
        test it has the p ("p t-test") and the corrected p ("Holm t-test").

    Raises:
        UserError: if the systems were evaluated on different topics, or on fewer than two.
    """
    found = compare_all(values, baseline)
    p_t_test = {system: np.nan if one.p_t_test is None else one.p_t_test for system, one in found.items()}
    by_test = {"randomisation": {system: one.p_randomisation for system, one in found.items()}, "t-test": p_t_test}
    p_columns: dict[str, dict[str, float]] = {}
    for test in tests:
        p = by_test.get(test)
        if p is None or (test == "randomisation" and correction != "holm"):
            p = p_values(values, baseline, test, correction)[0]
        p_columns[f"p {test}"] = p
        if correction != "none":
            adjusted = corrected(np.array(list(p.values()), dtype=float), correction).tolist()
            p_columns[f"{CORRECTIONS[correction]} {test}"] = dict(zip(p, adjusted, strict=True))
    compared = pd.DataFrame(
        {
            "difference": {system: one.difference for system, one in found.items()},
            "difference low": {system: one.interval[0] for system, one in found.items() if one.interval},
            "difference high": {system: one.interval[1] for system, one in found.items() if one.interval},
            "effect size": {system: one.effect_size for system, one in found.items()},
            "detectable": {system: one.smallest_detectable for system, one in found.items()},
            **p_columns,
            "wins": {system: one.wins for system, one in found.items()},
            "ties": {system: one.ties for system, one in found.items()},
            "losses": {system: one.losses for system, one in found.items()},
        },
        dtype=float,
    )
    if detect is not None:
        if not 0 < detect < inf:
            raise UserError(f"a difference to detect is a positive number, not {detect}")
        deviations = {system: one.deviation for system, one in found.items() if one.deviation}
        needed = {system: float(topics_needed(abs(deviation), detect)) for system, deviation in deviations.items()}
        compared[f"topics for {detect:g}"] = pd.Series(needed, dtype=float)
    intervals = pd.DataFrame.from_dict(bootstrap_intervals(values), orient="index", columns=["mean", "low", "high"])
    return intervals.join(compared).rename_axis("system"), found


def joined_tables(tables: Mapping[str, Table], caption: str) -> Table:
    """Return the comparisons with a baseline by several measures as one table, measure after measure.

    Args:
        tables: measure -> its table from `baseline_table`.
    """
    if len(tables) == 1:
        return replace(next(iter(tables.values())), caption=caption)

    def joined(parts: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
        for measure, part in parts.items():
            part.insert(0, "measure", measure)
        return pd.concat(parts.values()).rename_axis("system")

    figures = joined({name: table.figures.copy() for name, table in tables.items()})
    judged = {judged_partner(name): "Judged@k" for name in tables if judged_partner(name)}
    shown = joined({name: table.shown.rename(columns=judged) for name, table in tables.items()})
    sentences = [sentence for table in tables.values() for sentence in table.sentences]
    return Table(figures, caption, shown, sentences, short=next(iter(tables.values())).short)


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
        table, found: the table and the comparisons from `against_baseline`.
        judged: each system's mean Judged@k if the measure is nDCG@k.
    """
    shown = readable(table)
    if judged is not None:
        shown.insert(2, judged_partner(measure), [judged[str(system)] for system in shown.index])
    return Table(
        table.rename(index=labels, columns=BASELINE_COLUMNS | p_names(table)),
        baseline_caption(collection, [measure], labels[baseline]),
        shown.rename(index=labels),
        baseline_sentences(table, found, labels, measure, baseline),
        short=SHORT | {name: SHORT_TESTS[test] for test in TESTS for name in shown if f"p, {TESTS[test]}" in str(name)},
    )


def baseline_caption(collection: str, measures: Sequence[str], baseline: str) -> str:
    """Return the caption of a comparison with a baseline."""
    return f"{collection}: {', '.join(measures)}, comparison with the baseline {baseline}"


def p_names(table: pd.DataFrame) -> dict[str, str]:
    """Return the columns of p of a table of `against_baseline`, and their names where they are shown or exported."""
    names = {}
    for test, label in TESTS.items():
        for column in table.columns:
            kind, _, of = str(column).partition(" ")
            if of == test:
                names[str(column)] = f"p, {label}" if kind == "p" else f"p, {label} ({kind}-adjusted)"
    return names


def judged_partner(measure: str) -> str:
    """Return Judged@k for the measure nDCG@k, "" for other measures."""
    cutoff = judged_cutoff(measure)
    return f"Judged@{cutoff}" if cutoff else ""


def baseline_sentences(
    table: pd.DataFrame, found: Mapping[str, Comparison], labels: Mapping[str, str], measure: str, baseline: str
) -> list[str]:
    """Return one sentence per comparison, or one for all if there are many, and a warning if there are too few topics.

    Args:
        table, found: the table and the comparisons from `against_baseline`.
    """
    if not found:
        return []
    if "Holm randomisation" not in table:  # which the other sentences are about
        return [
            f"{labels[system]} and {labels[baseline]} have the same {measure} on all {one.topics} topics."
            for system, one in found.items()
            if one.wins == one.losses == 0
        ]
    if len(found) > SENTENCES:
        said = [overall_verdict(table, found, measure, labels[baseline]).sentence]
    else:
        verdicts = baseline_verdicts(table, found, labels, measure, baseline)
        ordered = table["mean"].sort_values(ascending=False, kind="stable").index
        said = [verdicts[system].sentence for system in ordered if system in verdicts]
    few = too_few_topics(next(iter(found.values())).topics, len(found))
    return [*said, few] if few else said


def readable(table: pd.DataFrame) -> pd.DataFrame:
    """Return the table of `against_baseline` with each interval, the p of each test and the counts in one column."""
    names = p_names(table)

    def together(form: str, *columns: str) -> list[str]:
        rows = table[list(columns)].itertuples(index=False)
        return [MISSING if any(map(pd.isna, row)) else form.format(*row) for row in rows]

    def p_columns() -> dict[str, list[str]]:
        """Return, of each test, p with the corrected p in brackets."""
        columns = {}
        for test in TESTS:
            own = [name for name in names if name.partition(" ")[2] == test]
            if own:
                rows = table[own].itertuples(index=False)
                columns[names[own[-1]]] = [
                    MISSING if pd.isna(p) else p_text(p) + "".join(f" ({p_text(q)})" for q in rest) for p, *rest in rows
                ]
        return columns

    needed = {
        name: table[name].map(lambda n: MISSING if pd.isna(n) else f"{n:,.0f}")
        for name in table
        if str(name).startswith("topics for ")
    }
    return pd.DataFrame(
        {
            "mean": table["mean"],
            "95 % CI": together("{:.3f} to {:.3f}", "low", "high"),
            "difference": table["difference"],
            "95 % CI of difference": together("{:+.3f} to {:+.3f}", "difference low", "difference high"),
            "effect size (d)": together("{:+.2f}", "effect size"),
            "MDE at 80 % power": together("{:.3f}", "detectable"),
            **p_columns(),
            **needed,
            "wins/ties/losses": together("{:.0f}/{:.0f}/{:.0f}", "wins", "ties", "losses"),
        },
        index=table.index,
    )


def equivalence_table(
    found: Mapping[str, Equivalence], baseline: str, measure: str, margin: float, collection: str
) -> Table:
    """Return the equivalence of systems with a baseline, a row and a sentence each.

    Args:
        found: the results of the tests, by the system's label.
    """
    rows = {
        label: (one.difference, *(one.interval or (None, None)), one.p, "yes" if one.equivalent else "no")
        for label, one in found.items()
    }
    columns = ["difference", "90 % CI, lower bound", "90 % CI, upper bound", "p, TOST", "equivalent"]
    table = pd.DataFrame.from_dict(rows, orient="index", columns=columns).rename_axis("system")
    shown = table.assign(**{"p, TOST": [p_text(one.p) for one in found.values()]})
    caption = f"{collection}: {measure}, equivalence with {baseline} within {margin:g} (two one-sided paired t-tests)"
    sentences = [equivalence_sentence(label, baseline, measure, one) for label, one in found.items()]
    return Table(table, caption, shown, sentences if len(sentences) <= SENTENCES else ())


def curve_table(curves: pd.DataFrame, labels: Mapping[str, str], relevance: int) -> Table:
    """Return the precision-recall curves as a table.

    Args:
        curves: precision indexed by recall level, one column per system.
    """
    about = f"Interpolated precision at eleven recall levels, relevance threshold: grade >= {relevance}"
    return Table(curves.rename_axis("recall").rename(columns=dict(labels)), about)


def unjudged_table(rows: Mapping[str, Mapping[str, float]], baseline: str, labels: Mapping[str, str], k: int) -> Table:
    """Return nDCG@k and its difference from the baseline, each with bounds over all possible judgments.

    Args:
        rows: system -> the figures of `core.evaluation.unjudged.figures`.
    """
    measure = f"nDCG@{k}"
    table = pd.DataFrame.from_dict(rows, orient="index").rename_axis("system")
    turns = (table["difference lowest"] < 0) & (table["difference highest"] > 0)
    table["ranking could flip"] = turns.map({True: "yes", False: "no"})
    table.loc[baseline, ["difference", "difference lowest", "difference highest"]] = None
    table.loc[baseline, "ranking could flip"] = MISSING
    columns = {
        "nDCG": measure,
        "condensed": f"condensed-list {measure}",
        "lowest": "lower bound",
        "highest": "upper bound",
        "difference lowest": "difference, lower bound",
        "difference highest": "difference, upper bound",
    }
    shown = table.rename(columns=columns).rename(index=dict(labels))
    return Table(shown, f"{measure} and its range over possible judgments of the unjudged documents")


def older_latencies(manifests: Mapping[str, Manifest], labels: Mapping[str, str]) -> str:
    """Return a note on the systems whose latencies were measured by an older procedure, "" if there are none.

    Args:
        manifests: manifests keyed by the artifact's place.
        labels: the labels of the systems shown.
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
    return f"Latency of {', '.join(older)}: {OLDER_TIMING}; measure it again with {command}"
