"""Effectiveness vs cost: the selected measure against query latency and index size."""

from typing import Any

import streamlit as st

from core.evaluation.comparison_tables import (
    BASELINE_COLUMNS,
    BEST,
    BUILD_TIME,
    INDEX_SIZE,
    LATENCY,
    best_systems,
    older_latencies,
)
from core.evaluation.costs import MEMORY, OPTIMAL, P95, PRICE, STEPS, cost_rows, cost_table
from core.evaluation.table_formats import MISSING, milliseconds
from core.workspace.artifacts import Manifest
from dashboard.shared import export
from dashboard.shared.comparison import View
from dashboard.shared.escaping import error_markdown, escape_markdown
from dashboard.shared.provenance import compare_command, downloads_and_provenance
from dashboard.shared.widgets import height
from dashboard.views.summary import charts
from dashboard.views.summary.baseline import compared

SHORT = {
    BASELINE_COLUMNS["low"]: "CI low",
    BASELINE_COLUMNS["high"]: "CI high",
    LATENCY: "Latency (ms)",
    P95: "p95 (ms)",
    INDEX_SIZE: "Index (MB)",
    MEMORY: "Memory (MB)",
    BUILD_TIME: "Build (s)",
    OPTIMAL: "Pareto",
    PRICE: "Million queries",
}
"""Columns with shorter names where the table has to fit the page."""


def draw_cost(view: View, manifests: dict[str, Manifest]) -> None:
    """Draw both charts and the table."""
    means, _ = compared(view.values, view.baseline)
    hourly = float(view.opened.profile.price_per_hour)
    rows = cost_rows(means, view.opened.profile, view.opened.folder, manifests, hourly)
    unknown = [view.labels[str(name)] for name in rows.index[rows[LATENCY].isna() & rows[INDEX_SIZE].isna()]]
    if len(unknown) == len(rows):
        st.write("Cost is not available: the runs were not made here.")
        return
    name = f"{view.opened.folder.name}-{view.measure}-cost"
    best = rows.loc[best_systems(view.values, view.pair)]
    for column, short, cost in zip(st.columns(2), ("latency", "size"), (LATENCY, INDEX_SIZE), strict=True):
        with column:
            figure = charts.cost(best, view.labels, view.measure, cost)
            export.chart(figure, f"{name}-{short}", f"{view.measure} against {cost}")
    price = st.number_input("Price of a machine per hour", min_value=0.0, value=hourly, step=0.1, width=260)
    rows = cost_rows(means, view.opened.profile, view.opened.folder, manifests, price)
    table = cost_table(rows, view.labels, view.measure)
    form: dict[str, Any] = dict.fromkeys(table.figures.columns[:3], "{:.4f}")
    form |= {INDEX_SIZE: "{:.2f}", MEMORY: "{:.1f}", BUILD_TIME: "{:.1f}", PRICE: "{:.2f}"}
    form |= dict.fromkeys((LATENCY, P95, *STEPS.values()), lambda value: milliseconds(value, ""))
    form = {name: look for name, look in form.items() if name in table.figures}
    # pandas styles no table with equal labels
    shown = table.figures.style.format(form, na_rep=MISSING) if table.figures.index.is_unique else table.figures
    config = {name: st.column_config.Column(short, help=name) for name, short in SHORT.items()}
    alt = "Effectiveness and cost of each system"
    st.dataframe(shown, column_config=config, placeholder=MISSING, alt=alt, height=height(len(rows)))
    if any(system.kind == "rerank" for system in view.opened.profile.system):
        command = compare_command(view.opened.folder.name, "rerank-depths", {})
        st.caption(f"The re-rankers by the number of documents that they read: `{command}`")
    builds = sorted({manifest.command for manifest in manifests.values()})
    about = f"latency, index size and build time as measured by {', '.join(builds)}"
    downloads_and_provenance(view.opened, name, table, "cost", {"measure": view.measure, "price": str(price)}, about)
    if older := older_latencies(manifests, {system: view.labels[system] for system in view.values}):
        st.write(error_markdown(older))
    if unknown:
        named = ", ".join(unknown) if len(unknown) <= BEST else f"{len(unknown)} systems"
        st.write(escape_markdown(f"Cost is not available for {named}: the runs were not made here."))
    st.caption(
        "Latency: one query at a time, query encoding included, measured after a warm-up when the run was made, on one "
        "thread unless the manifest says otherwise; its steps are medians, too. Index size: the files of the BM25 or "
        "sparse index, the vectors for exact search, or an approximate index in memory. Build time: indexing and "
        "encoding, on the machine where it was done. On the Pareto front is each system that none beats at its latency "
        "or below. A million queries cost the price of the hours that they take, one after the other on one machine. "
        "More indexes and sizes: Exact vs ANN."
    )
