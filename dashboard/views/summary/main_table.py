"""Systems x measures: mean, mean + 95 % CI, or mean + letters of the systems that are significantly worse."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple, cast

import pandas as pd
import streamlit as st

from core.evaluation import comparison_tables
from core.evaluation.comparison_tables import LATENCY, SHOW, TESTS, means_table, older_latencies, significance_note
from core.evaluation.results import left_out_sentence
from core.evaluation.significance import BOOTSTRAP_RESAMPLES, Test
from core.evaluation.table_formats import MISSING, Table, milliseconds
from core.workspace.artifacts import Manifest
from core.workspace.measure_names import parse_measure
from dashboard.shared import links, results, state
from dashboard.shared.comparison import View
from dashboard.shared.escaping import error_markdown, escape_markdown
from dashboard.shared.provenance import downloads_and_provenance
from dashboard.shared.widgets import height
from dashboard.views.summary.baseline import draw_missing


class Cells(NamedTuple):
    """What the cells show, one of `SHOW`, and the test for letters."""

    show: str
    test: Test


def draw_main(view: View, manifests: Mapping[str, Manifest]) -> Cells:
    """Draw the table of the main measures with its exports folded; return what its cells show."""
    systems, topics = len(view.systems), view.tidy["topic"].nunique()
    with st.container(horizontal=True, vertical_alignment="bottom"):
        st.subheader("Systems", anchor=False, width="stretch")
        cells = _choose_cells(systems, topics)
    measures = comparison_tables.main_measures(view.tidy, view.opened.profile.measures, view.measure)
    table = _draw(view, manifests, measures, cells)
    marks = significance_note(systems, topics, cells.test) if cells.show == "letters" else ""
    st.caption(
        f"Mean over {topics} topics, the highest in bold. {_explained(cells.show, marks)} {_judged(view)}".strip()
    )
    if said := left_out_sentence(results.measured(view.opened), view.labels):
        st.caption(escape_markdown(said))
    draw_missing(view)
    if older := older_latencies(manifests, {name: view.labels[name] for name in view.systems}):
        st.caption(error_markdown(older))
    with st.expander("Export"):
        _exports(view, table, measures, cells, f"{view.opened.folder.name}-measures")
        links.page_link("report", "Table for a paper", ":material/description:")
    return cells


def draw_all(view: View, manifests: Mapping[str, Manifest], cells: Cells) -> None:
    """Draw the table of all measures."""
    known = comparison_tables.evaluated_measures(view.tidy, view.opened.profile.measures)
    measures = list(dict.fromkeys([view.measure, *known]))
    table = _draw(view, manifests, measures, cells)
    _exports(view, table, measures, cells, f"{view.opened.folder.name}-all-measures")


def _choose_cells(systems: int, topics: int) -> Cells:
    offered = list(SHOW) if topics > 1 else ["means"]  # a single topic has no variance
    show = state.choose("Show", offered, "cells", "means", SHOW, width=260)
    # Over hundreds of pairs of systems the randomisation test takes minutes.
    default: Test = "randomisation" if comparison_tables.has_letters(systems) else "t-test"
    if show != "letters":
        return Cells(show, default)
    labels = {str(name): label for name, label in TESTS.items()}
    return Cells(show, cast("Test", state.choose("Test", list(labels), "test", default, labels, width=220)))


def _draw(view: View, manifests: Mapping[str, Manifest], measures: Sequence[str], cells: Cells) -> Table:
    tidy = view.tidy[view.tidy["measure"].isin(measures)]
    for measure in measures:
        tidy = comparison_tables.with_measure(tidy, measure, lambda: view.values)
    tidy = comparison_tables.by_mean(tidy, measures[0])
    systems = list(tidy["system"].unique())
    latencies = comparison_tables.latencies(systems, manifests)
    about = comparison_tables.means_caption(
        view.opened.folder.name, cells.show, len(systems), tidy["topic"].nunique(), cells.test
    )
    if not any(latencies.values()):
        latencies = {}
    means = _cells(tidy, list(measures), "means", cells.test)
    shown = means if cells.show == "means" else _cells(tidy, list(measures), *cells)
    table = means_table(shown, about, latencies, view.labels, [], measures)
    alt = f"Mean of {', '.join(measures)} for each system, the highest {measures[0]} first"
    config = {name: st.column_config.Column(alignment="right") for name in measures}
    config[LATENCY] = st.column_config.Column("Latency (ms)", help="Median of single queries, query encoding included")
    rows = _styled(table.figures, means)
    st.dataframe(rows, column_config=config, placeholder=MISSING, alt=alt, height=height(len(means)))
    return table


def _styled(rows: pd.DataFrame, means: pd.DataFrame) -> object:
    """Return the table with the highest mean of each measure in bold; rows are in the same order in both."""
    if not rows.index.is_unique:  # pandas styles no table with equal labels
        return rows
    bold = pd.DataFrame("", index=rows.index, columns=rows.columns)
    for measure in means.columns:
        best = (means[measure] == means[measure].max()).to_numpy()
        if parse_measure(measure).name != "Judged" and not best.all():
            bold.loc[best, measure] = "font-weight: bold"
    numbers = {name: "{:.4f}" for name in means.columns if rows[name].dtype.kind == "f"}
    form = numbers | ({LATENCY: lambda value: milliseconds(value, "")} if LATENCY in rows else {})
    return rows.style.apply(lambda _: bold, axis=None).format(form, na_rep=MISSING)


def _exports(view: View, table: Table, measures: Sequence[str], cells: Cells, name: str) -> None:
    options = {"measures": list(measures), "show": cells.show}
    if cells.show == "letters":
        options["test"] = cells.test
    about = "mean over topics; a judged topic with no results in a run counts as 0"
    downloads_and_provenance(view.opened, name, table, "means", options, about)


@st.cache_data(max_entries=20, show_spinner="Computing …")
def _cells(tidy: pd.DataFrame, measures: list[str], cells: str, test: Test) -> pd.DataFrame:
    return comparison_tables.mean_cells(tidy, measures, cells, test)


def _judged(view: View) -> str:
    """Return how much of the top k is judged, which nDCG@k should not be read without, if that is stored."""
    partner = comparison_tables.judged_partner(view.measure)
    rows = view.tidy[view.tidy["measure"] == partner]
    if rows.empty:
        return ""
    shares = rows.groupby("system")["value"].mean()
    return f"{partner}: {shares.min():.2f} to {shares.max():.2f}; unjudged documents count as not relevant."


def _explained(show: str, marks: str) -> str:
    return {
        "means": "",
        "intervals": f"In parentheses, the 95 % CI: percentile bootstrap over topics, {BOOTSTRAP_RESAMPLES:,} "
        "resamples; undefined where all topics have the same value.",
        "letters": marks,
    }[show]
