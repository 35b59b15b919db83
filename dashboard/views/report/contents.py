"""The content of the report, assembled from the artifacts."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone

import pandas as pd

from core.evaluation import comparison_tables, topic_tables
from core.evaluation.measures import mean
from core.evaluation.results import Measured, notices
from core.evaluation.significance import Comparison, Values
from core.evaluation.verdicts import baseline_verdicts
from core.formats.runs import ranked
from core.retrieval.highlighting import term_finders
from core.workspace.artifacts import Manifest, Replaced, read_latest
from core.workspace.errors import UserError
from core.workspace.measure_names import parse_measure
from dashboard.shared import charts, data, left_out, results
from dashboard.shared.provenance import compare_command
from dashboard.shared.ranked_lists import Hit, grade_dot
from dashboard.views.report.report import Report
from dashboard.views.summary.baseline import WORDS, compared, judged_means
from dashboard.views.summary.configurations import configuration_tables, published_table

DEPTH = 10


@dataclass(frozen=True)
class Chosen:
    """The content of the report.

    Attributes:
        baseline: the system that the others are compared with.
        other: the system compared with the baseline topic by topic, "" if there is none.
        systems: the systems of charts and ranked lists, with the baseline and the other.
        tabled: the systems of the tables, with those of the charts.
        topics: the topics whose lists are shown.
    """

    opened: data.Opened
    measure: str
    baseline: str
    other: str
    systems: list[str]
    tabled: list[str]
    topics: list[str]


def chosen_hits(chosen: Chosen, content: data.Content, system: str) -> dict[str, tuple[list[Hit], Iterable[str]]]:
    """Return for each chosen topic the first documents of a system's list, and the documents left out of it."""
    run = results.run(chosen.opened, system)
    return {
        topic: (first_hits(content, topic, run.scores.get(topic, {})), run.left_out.get(topic, ()))
        for topic in chosen.topics
    }


def first_hits(content: data.Content, topic: str, by_document: dict[str, float]) -> list[Hit]:
    """Return the first documents of one list."""
    judgments = content.qrels.get(topic, {})
    return [
        Hit(
            identity,
            content.documents.get(identity),
            rank,
            grade_dot(judgments.get(identity), content.highest_grade),
            score,
        )
        for rank, (identity, score) in enumerate(ranked(by_document)[:DEPTH], 1)
    ]


def make_report(chosen: Chosen) -> str:
    """Make the report from the artifacts at the time of the request, as a build may run while the page is open.

    Raises:
        UserError: an artifact is missing or damaged, or a chosen system has no measures any more.
    """

    def now() -> tuple[str, ...]:
        return results.digests(chosen.opened, chosen.tabled)

    def made(versions: tuple[str, ...]) -> str:
        text = _report(chosen, results.measured(chosen.opened), results.values(chosen.opened, chosen.measure))
        if now() != versions:
            raise Replaced("a run or the judgments were replaced while the report was being made; try again")
        return text

    return read_latest(now, made)


def commands(chosen: Chosen) -> list[str]:
    """Return the commands that print the report's figures."""
    name, measure = chosen.opened.folder.name, chosen.measure
    tabled = [] if len(chosen.tabled) == len(results.measured(chosen.opened).systems) else chosen.tabled
    tabled_by = {"measures": measure, "systems": ",".join(tabled)}
    configured = configuration_tables(chosen.opened, chosen.tabled, results.manifests(chosen.opened))
    printed = [
        compare_command(name, "means", {"systems": ",".join(tabled)}),
        *(compare_command(name, figure, {}) for figure in ("published", *configured)),
        compare_command(name, "table", {**tabled_by, "baseline": chosen.baseline}),
    ]
    if chosen.other:
        printed.append(compare_command(name, "topics", {"measure": measure, "a": chosen.other, "b": chosen.baseline}))
    listed = {"measure": measure, "systems": chosen.systems}
    return printed + [compare_command(name, "lists", {**listed, "topic": topic}) for topic in chosen.topics]


def _report(chosen: Chosen, measured: Measured, of_all: Values) -> str:
    """Return the report as HTML.

    Args:
        of_all: the chosen measure, system -> topic -> value.
    """
    opened, content = chosen.opened, data.content(chosen.opened)
    if gone := [name for name in chosen.tabled if name not in of_all]:
        raise UserError(f"no longer evaluated: {', '.join(gone)}; reload the page")
    # The best system first.
    ordered = sorted(chosen.tabled, key=lambda name: -mean(of_all[name]))
    values = {name: of_all[name] for name in ordered}
    against, comparisons = compared(values, chosen.baseline)
    manifests = results.manifests(opened)
    report = Report(f"RankScope: {opened.folder.name}")
    _collection(report, chosen, measured)
    if chosen.other:
        labels, name = opened.labels, chosen.other
        report.verdict(baseline_verdicts(against, comparisons, labels, chosen.measure, chosen.baseline)[name])
    _measures(report, chosen, measured, list(values), manifests)
    _comparison(report, chosen, against, comparisons)
    if chosen.other:
        by_topic = topic_tables.differences(values[chosen.other], values[chosen.baseline], content.topics)
        _differences(report, chosen, by_topic)
    _lists(report, chosen, content, values)
    _provenance(report, chosen, measured, manifests)
    return report.html()


def _collection(report: Report, chosen: Chosen, measured: Measured) -> None:
    """Add what the collection is, and warnings."""
    opened = chosen.opened
    facts = data.collection_manifest(opened).facts
    counts = data.counts(opened)
    report.paragraph(
        f"{counts[0].upper()}{counts[1:]}. {len(chosen.tabled)} systems. "
        f"Created {datetime.now(timezone.utc):%Y-%m-%d %H:%M} UTC."
    )
    if opened.is_sample:
        report.paragraph("This is the embedded sample: written as a demonstration, not medical evidence.")
    if said := left_out.of_collection(facts):
        report.paragraph(said)
    for sentence in notices(opened.folder, opened.labels, measured):
        report.paragraph(f"Note: {sentence}.")


def _measures(
    report: Report, chosen: Chosen, measured: Measured, systems: Sequence[str], manifests: dict[str, Manifest]
) -> None:
    """Add the means of all systems by all measures, published figures, and how the systems are configured."""
    opened = chosen.opened
    report.heading("Measures")
    known = comparison_tables.evaluated_measures(measured.tidy, opened.profile.measures)
    report.table(comparison_tables.means(measured.tidy, known).loc[list(systems)].rename(index=opened.labels))
    published = published_table(opened, systems, manifests)
    for sentence in published.sentences:
        report.paragraph(sentence)
    if len(published.figures):
        report.table(published.shown)
    configured = configuration_tables(opened, systems, manifests).values()
    if configured:
        report.heading("Configuration of the systems")
    for table in configured:
        report.table(table.shown)


def _comparison(report: Report, chosen: Chosen, against: pd.DataFrame, comparisons: Mapping[str, Comparison]) -> None:
    """Add the comparison with the baseline: a chart of the chosen systems, one table of all."""
    opened, measure, baseline = chosen.opened, chosen.measure, chosen.baseline
    report.heading(f"{measure}: comparison with the baseline {opened.labels[baseline]}")
    drawn = against.loc[[system for system in against.index if system in chosen.systems]]
    report.chart(charts.mean_bars(drawn, opened.labels, measure, baseline))
    judged = judged_means(opened, measure, list(against.index))
    table = comparison_tables.baseline_table(
        against, comparisons, opened.labels, measure, baseline, opened.folder.name, judged
    )
    for sentence in table.sentences:
        report.paragraph(sentence)
    report.table(table.shown)
    report.paragraph(" ".join(WORDS.split()), note=True)


def _differences(report: Report, chosen: Chosen, table: pd.DataFrame) -> None:
    """Add the difference on each topic of the two systems."""
    labels, measure = chosen.opened.labels, chosen.measure
    a, b = labels[chosen.other], labels[chosen.baseline]
    report.heading(f"{measure}: difference by topic ({a} - {b})")
    report.chart(charts.difference_bars(table, a, b, measure, ""))
    shown = table.drop(columns="kind").rename(columns={"a": a, "b": b})
    report.table(shown.set_index("topic")[[a, b, "difference", "query"]], folded="Table of differences")


def _lists(report: Report, chosen: Chosen, content: data.Content, values: Values) -> None:
    """Add the lists of the chosen systems for the chosen topics."""
    opened = chosen.opened
    # Each run is read once, and not all runs are in memory together.
    retrieved = {system: chosen_hits(chosen, content, system) for system in chosen.systems}
    hits = [of_topic for by_topic in retrieved.values() for of_topic, _ in by_topic.values()]
    report.link([hit.identity for hit in of_topic] for of_topic in hits)
    for topic in [name for name in chosen.topics if name in content.topics]:
        about = content.topics[topic]
        report.heading(f"Topic {topic}: {about.query}" if about.query != topic else f"Topic {topic}")
        if about.query != topic:  # imported runs may come without the texts of topics
            report.paragraph(about.question)
        if about.narrative:
            report.paragraph(about.narrative, note=True)
        held = {name for by_topic in retrieved.values() for name in by_topic[topic][1]}
        if said := left_out.sentence(content, topic, held):
            report.paragraph(said, note=True)
        spans = term_finders(opened.profile, about.text(opened.profile.collection.topic_field))
        report.lists(
            [
                (f"{opened.labels[s]}: {chosen.measure} {values[s][topic]:.4f}", retrieved[s][topic][0], spans(s))
                for s in chosen.systems
            ]
        )


def _provenance(report: Report, chosen: Chosen, measured: Measured, manifests: dict[str, Manifest]) -> None:
    """Add the definitions of the measures, digests of what the report was made from, and commands."""
    report.heading("Definitions of the measures")
    known = comparison_tables.evaluated_measures(measured.tidy, chosen.opened.profile.measures)
    for name in dict.fromkeys([*known, chosen.measure]):
        report.paragraph(f"{name}: {parse_measure(name).family.description}.", note=True)
    report.heading("Provenance")
    runs = {f"runs/{name}" for name in chosen.tabled}
    rows = {
        place: {"SHA-256": manifest.digest, "made": manifest.finished, "command": manifest.command}
        for place, manifest in manifests.items()
        if place == "collection" or (place == "measures" and not measured.computed) or place in runs
    }
    report.table(pd.DataFrame.from_dict(rows, orient="index"), folded=f"{len(rows)} artifacts")
    report.paragraph("Commands that print these tables:")
    for command in commands(chosen):
        report.paragraph(command, note=True)
