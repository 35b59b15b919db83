"""Report: the current comparison as one self-contained HTML file."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timezone
from functools import partial

import pandas as pd
import streamlit as st

from core.evaluation import comparison_tables, topic_tables
from core.evaluation.results import Measured, notices
from core.evaluation.significance import Values
from core.formats.runs import ranked
from core.retrieval.highlighting import term_finders
from core.workspace.artifacts import Replaced, read_latest
from core.workspace.errors import UserError
from core.workspace.measure_names import parse_measure
from dashboard.shared import charts, comparison, data, left_out, results, state, widgets
from dashboard.shared.escaping import escape_markdown, shortened
from dashboard.shared.provenance import compare_command
from dashboard.shared.ranked_lists import Hit, grade_badge
from dashboard.views.report.report import Report
from dashboard.views.summary.baseline import WORDS, compared, judged_means
from dashboard.views.summary.configurations import configuration_tables, published_table

DEPTH = 10
PICKED = 3
KEY = "report topics"


def choose_topics(table: pd.DataFrame) -> list[str]:
    """Draw the choice of topics whose lists are included; by default those where the two systems differ most."""
    names = list(table["topic"])
    picked = list(table.loc[table["difference"].abs().sort_values(ascending=False, kind="stable").index, "topic"])
    wanted = state.read("topics").split(",")
    st.session_state[KEY] = [name for name in names if name in wanted] or picked[:PICKED]
    texts = dict(zip(table["topic"], table["query"], strict=True))
    return st.multiselect(
        "Example topics",
        names,
        key=KEY,
        format_func=lambda name: f"{name} · {shortened(texts[name], 60)}",
        on_change=lambda: state.write("topics", ",".join(st.session_state[KEY])),
    )


@dataclass(frozen=True)
class Chosen:
    """The content of the report: systems compared with a baseline, and topics whose lists are shown."""

    opened: data.Opened
    measure: str
    baseline: str
    systems: list[str]
    """The systems, including the baseline."""
    other: str
    """The system compared with the baseline topic by topic, "" if there is none."""
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
            grade_badge(judgments.get(identity), content.highest_grade),
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
        return results.digests(chosen.opened, chosen.systems)

    def made(versions: tuple[str, ...]) -> str:
        text = _report(chosen, results.measured(chosen.opened), results.values(chosen.opened, chosen.measure))
        if now() != versions:
            raise Replaced("a run or the judgments were replaced while the report was being made; try again")
        return text

    return read_latest(now, made)


def commands(chosen: Chosen) -> list[str]:
    """Return the commands that print the report's figures."""
    name, measure = chosen.opened.folder.name, chosen.measure
    options = {"measure": measure, "systems": chosen.systems}
    found = [
        compare_command(name, "means", {"systems": chosen.systems}),
        *(compare_command(name, figure, {}) for figure in ("published", "dense-systems", "bm25-systems")),
        compare_command(name, "baseline", {**options, "baseline": chosen.baseline}),
    ]
    if chosen.other:
        found.append(compare_command(name, "topics", {"measure": measure, "a": chosen.other, "b": chosen.baseline}))
    return found + [compare_command(name, "lists", {**options, "topic": topic}) for topic in chosen.topics]


def _report(chosen: Chosen, measured: Measured, of_all: Values) -> str:
    """Return the report as HTML.

    Args:
        of_all: the chosen measure, system -> topic -> value.
    """
    opened, measure, baseline, other = chosen.opened, chosen.measure, chosen.baseline, chosen.other
    systems = chosen.systems
    content = data.content(opened)
    if gone := [name for name in systems if name not in of_all]:
        raise UserError(f"no longer evaluated: {', '.join(gone)}; reload the page")
    values = {name: of_all[name] for name in systems}
    against, comparisons = compared(values, baseline)
    table = topic_tables.differences(values[other or baseline], values[baseline] if other else None, content.topics)
    tidy = measured.tidy
    facts = data.collection_manifest(opened).facts
    report = Report(f"RankScope: {opened.folder.name}")
    report.paragraph(
        f"{facts.get('documents', 0):,} documents, {facts.get('topics', 0):,} topics, {facts.get('judgments', 0):,} "
        f"judgments. {len(systems)} systems. Created {datetime.now(timezone.utc):%Y-%m-%d %H:%M} UTC."
    )
    if opened.is_sample:
        report.paragraph("This is the embedded sample: written as a demonstration, not medical evidence.")
    if said := left_out.of_collection(facts):
        report.paragraph(said)
    for sentence in notices(opened.folder, opened.labels, measured):
        report.paragraph(f"Note: {sentence}.")
    report.heading("Measures")
    known = comparison_tables.evaluated_measures(tidy, opened.profile.measures)
    report.table(comparison_tables.means(tidy[tidy["system"].isin(systems)], known).rename(index=opened.labels))
    manifests = results.manifests(opened)
    against_published = published_table(opened, systems, manifests)
    for sentence in against_published.sentences:
        report.paragraph(sentence)
    if len(against_published.figures):
        report.table(against_published.shown)
    report.heading("Configuration of the systems")
    for configured in configuration_tables(opened, systems, manifests).values():
        report.table(configured.shown)
    report.heading(f"{measure}: comparison with the baseline {opened.labels[baseline]}")
    report.chart(charts.mean_bars(against, opened.labels, measure, baseline))
    compared_table = comparison_tables.baseline_table(
        against,
        comparisons,
        opened.labels,
        measure,
        baseline,
        opened.folder.name,
        judged_means(opened, measure, systems),
    )
    for sentence in compared_table.sentences:
        report.paragraph(sentence)
    report.table(compared_table.shown)
    report.paragraph(" ".join(WORDS.split()), note=True)
    if other:
        report.heading(f"{measure}: difference by topic ({opened.labels[other]} - {opened.labels[baseline]})")
        report.chart(charts.difference_bars(table, opened.labels[other], opened.labels[baseline], measure, ""))
        shown = table.drop(columns="kind").rename(columns={"a": opened.labels[other], "b": opened.labels[baseline]})
        columns = [opened.labels[other], opened.labels[baseline], "difference", "query"]
        report.table(shown.set_index("topic")[columns], folded="Table of differences")
    # Each run is read once, and not all runs are in memory together.
    retrieved = {system: chosen_hits(chosen, content, system) for system in systems}
    for topic in [name for name in chosen.topics if name in content.topics]:
        about = content.topics[topic]
        report.heading(f"Topic {topic}: {about.query}")
        report.paragraph(about.question)
        if about.narrative:
            report.paragraph(about.narrative, note=True)
        held = {name for by_topic in retrieved.values() for name in by_topic[topic][1]}
        if said := left_out.sentence(content, topic, held):
            report.paragraph(said, note=True)
        spans = term_finders(opened.profile, about.text(opened.profile.collection.topic_field))
        report.lists(
            [
                (f"{opened.labels[s]}: {measure} {values[s][topic]:.4f}", retrieved[s][topic][0], spans(s))
                for s in systems
            ]
        )
    report.heading("Definitions of the measures")
    for name in dict.fromkeys([*known, measure]):
        report.paragraph(f"{name}: {parse_measure(name)[0].description}.", note=True)
    report.heading("Provenance")
    runs = {f"runs/{name}" for name in systems}
    rows = {
        place: {"SHA-256": manifest.digest, "made": manifest.finished, "command": manifest.command}
        for place, manifest in manifests.items()
        if place == "collection" or (place == "measures" and not measured.computed) or place in runs
    }
    report.table(pd.DataFrame.from_dict(rows, orient="index"))
    report.paragraph("Commands that print these tables:")
    for command in commands(chosen):
        report.paragraph(command, note=True)
    return report.html()


def page(opened: data.Opened) -> None:
    """Draw the Report page of a collection.

    Raises:
        UserError: no system is evaluated, or what the report needs is missing or damaged.
    """
    content = data.content(opened)
    tidy = widgets.evaluated(opened)
    every = list(dict.fromkeys(tidy["system"]))
    wanted = state.choose_several("Systems", every, "systems", {name: opened.labels[name] for name in every})
    view = comparison.choose(opened, tidy)
    measure, baseline = view.measure, view.baseline
    other = view.a
    systems = [name for name in every if name in wanted or name in (baseline, other)]
    values = {name: view.values[name] for name in systems}
    table = topic_tables.differences(values[other or baseline], values[baseline] if other else None, content.topics)
    topics = choose_topics(table)
    chosen = Chosen(opened, measure, baseline, systems, other, topics)
    compared(values, baseline)  # raises now, not at download, if there is too little to compare
    st.write(
        escape_markdown(
            f"The report is one HTML file with the measures of {len(systems)} systems, the comparison with "
            f"{opened.labels[baseline]}, the top {DEPTH} documents for {len(topics)} topics, and their provenance. It "
            "opens in any browser without a network connection (5 MB, the charting library included)."
        )
    )
    name = f"{opened.folder.name}-report.html"
    st.download_button(
        "Download the report", partial(make_report, chosen), name, "text/html", type="primary", on_click="ignore"
    )
    if opened.has_texts and not opened.is_sample:
        st.caption("The report contains document texts: check the corpus licence before sharing it.")
