"""Systems x measures: means, means with intervals, or means with the letters of the systems that are worse."""

import pandas as pd
import streamlit as st

from core.artifacts import Manifest
from core.reference import Published, published_figures
from core.significance import Test
from dashboard import data, state, tables
from dashboard.comparison import export
from dashboard.comparison import tables as own
from dashboard.comparison.provenance import command, provenance
from dashboard.parts import FOUR

CELLS = {"means": "means", "intervals": "means and 95 % intervals", "letters": "means and significance"}
TESTS = {"randomisation": "randomisation test", "t-test": "paired t-test"}


def draw(opened: data.Opened, tidy: pd.DataFrame, manifests: dict[str, Manifest]) -> None:
    """Draw the table with its exports and provenance."""
    evaluated = set(tidy["measure"])
    measures = [measure for measure in tables.measure_order(opened.profile.measures) if measure in evaluated]
    with st.container(horizontal=True):
        cells = state.choose("Cells", list(CELLS), "cells", "means", CELLS, width=260)
        test: Test = "randomisation"
        if cells == "letters" and state.choose("Test", list(TESTS), "test", test, TESTS, width=220) == "t-test":
            test = "t-test"
    means = tables.means(tidy, measures)
    shown = means if cells == "means" else _texts(tidy, measures, cells, test)
    milliseconds = [_fact(manifests, f"runs/{system}", "median_milliseconds") for system in means.index]
    shown = shown.assign(**{"median ms": milliseconds})
    known = published_figures(data.collection_manifest(opened).facts)
    published = own.published_rows(known, measures)
    shown = shown.rename(index=opened.labels).rename_axis("system")
    if not published.empty:
        shown = pd.concat([shown, published if cells == "means" else export.texts(published)]).rename_axis("system")
    config = {name: FOUR for name in measures} if cells == "means" else {}
    st.dataframe(shown, column_config=config, placeholder=export.MISSING, alt="Each measure for each system")
    st.caption(f"Means over {tidy['topic'].nunique()} topics. " + _explained(cells, test, known))
    name = f"{opened.folder.name}-measures"
    with st.container(horizontal=True, vertical_alignment="center"):
        about = f"{opened.folder.name}: {CELLS[cells]}, {tidy['topic'].nunique()} topics"
        export.downloads(shown, name, about)
        names = ",".join(measures)
        commands = {system: command(opened, "evaluate", [system], f'--measures "{names}"') for system in means.index}
        provenance(opened, "measures", names, commands, "means over topics; a topic that a run lacks counts 0")


@st.cache_data(max_entries=20, show_spinner="Computing …")
def _texts(tidy: pd.DataFrame, measures: list[str], cells: str, test: Test) -> pd.DataFrame:
    by_measure = {measure: tables.per_topic(tidy, measure) for measure in measures}
    return own.with_intervals(by_measure) if cells == "intervals" else own.with_letters(by_measure, test)


def _fact(manifests: dict[str, Manifest], place: str, name: str) -> float | None:
    return manifests[place].facts.get(name) if place in manifests else None


def _explained(cells: str, test: Test, known: list[Published]) -> str:
    sentences = {
        "means": "Judged@k beside nDCG@k: where it is low, many of the first k documents were never judged and count "
        "as not relevant.",
        "intervals": "In brackets the 95 % interval: topics drawn anew 9,999 times, the middle 95 % of the means.",
        "letters": "A superscript letter: significantly better than the system of that letter "
        f"({TESTS[test]}, p < 0.05 after Holm over all pairs of systems of a measure).",
    }[cells]
    sentences += " Median ms: one query, encoding included, when the run was made."
    if known:
        sources = "; ".join(f"{one.system}: {one.source}" for one in known)
        sentences += f" Published figures are context, not tested against. {sources}."
    return sentences
