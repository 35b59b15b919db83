"""Systems x measures: mean, mean + 95 % CI, or mean + letters of the systems that are significantly worse."""

from typing import cast

import pandas as pd
import streamlit as st

from core.evaluation import comparison_tables
from core.evaluation.comparison_tables import SHOW, TESTS, means_table, older_latencies, significance_note
from core.evaluation.published import Published, published_figures
from core.evaluation.significance import BOOTSTRAP_RESAMPLES, Test
from core.evaluation.table_formats import MISSING
from core.workspace.artifacts import Manifest
from dashboard.shared import data, state
from dashboard.shared.escaping import error_markdown
from dashboard.shared.provenance import downloads_and_provenance
from dashboard.shared.widgets import FOUR


def draw_measures(opened: data.Opened, tidy: pd.DataFrame, manifests: dict[str, Manifest]) -> None:
    """Draw the table with its exports and provenance."""
    systems, topics = list(dict.fromkeys(tidy["system"])), tidy["topic"].nunique()
    measures = comparison_tables.evaluated_measures(tidy, opened.profile.measures)
    with st.container(horizontal=True):
        offered = list(SHOW) if topics > 1 else ["means"]  # a single topic has no variance
        cells = state.choose("Show", offered, "cells", "means", SHOW, width=260)
        test: Test = "randomisation"
        if cells == "letters":
            # Over hundreds of pairs of systems the randomisation test takes minutes.
            default = "randomisation" if comparison_tables.has_letters(len(systems)) else "t-test"
            labels = {str(name): label for name, label in TESTS.items()}
            test = cast("Test", state.choose("Test", list(labels), "test", default, labels, width=220))
    known = published_figures(data.collection_manifest(opened).facts)
    about = comparison_tables.means_caption(opened.folder.name, cells, len(systems), topics, test)
    latencies = comparison_tables.latencies(systems, manifests)
    table = means_table(_cells(tidy, measures, cells, test), about, latencies, opened.labels, known, measures)
    config = {name: FOUR for name in measures} if cells == "means" else {}
    st.dataframe(table.shown, column_config=config, placeholder=MISSING, alt="Mean of each measure for each system")
    marks = significance_note(len(systems), topics, test) if cells == "letters" else ""
    st.caption(f"Mean over {topics} topics. {_explained(cells, marks, known)}")
    if older := older_latencies(manifests, {name: opened.labels[name] for name in systems}):
        st.caption(error_markdown(older))
    name = f"{opened.folder.name}-measures"
    options = {"show": cells, "test": test} if cells == "letters" else {"show": cells}
    about = "mean over topics; a judged topic with no results in a run counts as 0"
    downloads_and_provenance(opened, name, table, "means", options, about)


@st.cache_data(max_entries=20, show_spinner="Computing …")
def _cells(tidy: pd.DataFrame, measures: list[str], cells: str, test: Test) -> pd.DataFrame:
    return comparison_tables.mean_cells(tidy, measures, cells, test)


def _explained(cells: str, marks: str, known: list[Published]) -> str:
    sentences = {
        "means": "Judged@k is shown next to nDCG@k: where it is low, many of the top k documents are unjudged and "
        "count as not relevant.",
        "intervals": f"In parentheses, the 95 % CI: percentile bootstrap over topics, {BOOTSTRAP_RESAMPLES:,} "
        "resamples; undefined where all topics have the same value.",
        "letters": marks,
    }[cells]
    sentences += " Latency: one query at a time, query encoding included, measured when the run was made."
    if known and cells == "means":
        sources = "; ".join(f"{one.system}: {one.source}" for one in known)
        sentences += f" Published results are given for context and are not part of the tests. {sources}."
    return sentences
