"""Systems x measures: means, means with intervals, or means with the letters of the systems that are worse."""

from typing import cast

import pandas as pd
import streamlit as st

from core.evaluation import comparison_tables, table_formats
from core.evaluation.published import Published, published_figures
from core.evaluation.significance import Test
from core.workspace.artifacts import Manifest
from dashboard.shared import data, export, state
from dashboard.shared.provenance import command, provenance
from dashboard.shared.widgets import FOUR
from dashboard.views.overview import cost

CELLS = {"means": "means", "intervals": "means and 95 % intervals", "letters": "means and significance"}
TESTS = {"randomisation": "randomisation test", "t-test": "paired t-test"}


def draw(opened: data.Opened, tidy: pd.DataFrame, manifests: dict[str, Manifest]) -> None:
    """Draw the table with its exports and provenance."""
    evaluated, topics = set(tidy["measure"]), tidy["topic"].nunique()
    measures = [measure for measure in comparison_tables.measure_order(opened.profile.measures) if measure in evaluated]
    with st.container(horizontal=True):
        offered = list(CELLS) if topics > 1 else ["means"]  # a single topic has no variance
        cells = state.choose("Cells", offered, "cells", "means", CELLS, width=260)
        test: Test = "randomisation"
        if cells == "letters":
            # Over hundreds of pairs of systems the randomisation test takes minutes.
            default = "randomisation" if comparison_tables.has_letters(tidy["system"].nunique()) else "t-test"
            test = cast("Test", state.choose("Test", list(TESTS), "test", default, TESTS, width=220))
    means = comparison_tables.means(tidy, measures)
    shown = means if cells == "means" else _texts(tidy, measures, cells, test)
    milliseconds = [_fact(manifests, f"runs/{system}", "median_milliseconds") for system in means.index]
    shown = shown.assign(**{"median ms": milliseconds})
    known = published_figures(data.collection_manifest(opened).facts)
    published = comparison_tables.published_rows(known, measures)
    shown = shown.rename(index=opened.labels).rename_axis("system")
    if not published.empty:
        shown = pd.concat([shown, published if cells == "means" else table_formats.texts(published)]).rename_axis(
            "system"
        )
    config = {name: FOUR for name in measures} if cells == "means" else {}
    st.dataframe(shown, column_config=config, placeholder=table_formats.MISSING, alt="Each measure for each system")
    marks = _marks(len(means), topics, test) if cells == "letters" else ""
    st.caption(f"Means over {topics} topics. {_explained(cells, marks, known)}")
    if older := cost.older_latencies(manifests, {name: opened.labels[name] for name in means.index}):
        st.caption(older)
    name = f"{opened.folder.name}-measures"
    with st.container(horizontal=True, vertical_alignment="center"):
        about = f"{opened.folder.name}: {CELLS[cells]}, {topics} topics. {marks}".strip()
        export.downloads(shown, name, about)
        names = ",".join(measures)
        commands = {system: command(opened, "evaluate", [system], f'--measures "{names}"') for system in means.index}
        provenance(opened, "measures", names, commands, "means over topics; a topic that a run lacks counts 0")


@st.cache_data(max_entries=20, show_spinner="Computing …")
def _texts(tidy: pd.DataFrame, measures: list[str], cells: str, test: Test) -> pd.DataFrame:
    by_measure = {measure: comparison_tables.per_topic(tidy, measure) for measure in measures}
    return (
        comparison_tables.with_intervals(by_measure)
        if cells == "intervals"
        else comparison_tables.with_letters(by_measure, test)
    )


def _fact(manifests: dict[str, Manifest], place: str, name: str) -> float | None:
    return manifests[place].facts.get(name) if place in manifests else None


def _marks(systems: int, topics: int, test: Test) -> str:
    """Say what stands after a mean where significance is shown."""
    pairs = systems * (systems - 1) // 2
    what = "A superscript letter: significantly better than the system of that letter"
    if not comparison_tables.has_letters(systems):
        what = f"In brackets: how many of the {systems - 1} other systems it is significantly better than"
    said = f"{what} ({TESTS[test]}, p < 0.05 after Holm over all {pairs} pairs of systems of a measure)."
    few = comparison_tables.too_few_topics(topics, pairs) if pairs and test == "randomisation" else ""
    return f"{said} {few}".strip()


def _explained(cells: str, marks: str, known: list[Published]) -> str:
    sentences = {
        "means": "Judged@k beside nDCG@k: where it is low, many of the first k documents were never judged and count "
        "as not relevant.",
        "intervals": "In brackets the 95 % interval: percentile bootstrap over topics, 9,999 resamples; none where all "
        "topics have the same value.",
        "letters": marks,
    }[cells]
    sentences += " Median ms: one query, encoding included, when the run was made."
    if known:
        sources = "; ".join(f"{one.system}: {one.source}" for one in known)
        sentences += f" Published figures are context, not tested against. {sources}."
    return sentences
