"""Cost beside quality: the latency of a query and the size of the index against the chosen measure."""

import streamlit as st

from core.evaluation.comparison_tables import cost_rows, older_latencies
from core.evaluation.table_formats import MISSING, Table
from core.workspace.artifacts import Manifest
from dashboard.shared import export
from dashboard.shared.comparison import View
from dashboard.shared.escaping import error_markdown, escape_markdown
from dashboard.shared.provenance import downloads_and_provenance
from dashboard.shared.widgets import FOUR
from dashboard.views.overview import charts
from dashboard.views.overview.baseline import compared


def draw_cost(view: View, manifests: dict[str, Manifest]) -> None:
    """Draw both panels and the table."""
    means, _ = compared(view.values, view.baseline)
    rows = cost_rows(means, manifests)
    name = f"{view.opened.folder.name}-{view.measure}-cost"
    export.chart(charts.cost(rows, view.labels, view.measure), name, f"{view.measure} against latency and index size")
    table = Table(rows.rename(index=view.labels), f"{view.measure} and cost")
    config = dict.fromkeys(["mean", "low", "high"], FOUR) | {"index MB": st.column_config.NumberColumn(format="%.2f")}
    st.dataframe(table.shown, column_config=config, placeholder=MISSING, alt="Quality and cost of each system")
    builds = sorted({manifest.command for manifest in manifests.values()})
    about = f"latency, size and build seconds: measured by {', '.join(builds)}"
    downloads_and_provenance(view.opened, name, table, "cost", {"measure": view.measure}, about)
    if older := older_latencies(manifests, {system: view.labels[system] for system in view.values}):
        st.write(error_markdown(older))
    if unknown := [view.labels[str(name)] for name in rows.index[rows["median ms"].isna() & rows["index MB"].isna()]]:
        st.write(escape_markdown(f"No cost is known of {', '.join(unknown)}: the run was made elsewhere."))
    st.caption(
        "Latency: median of single queries, encoding included, measured after a warm-up when the run was made, on one "
        "thread unless its manifest says otherwise. Size: the files of the BM25 "
        "index, or of the vectors that exact search reads, without the model. Build seconds: indexing or encoding, on "
        "the machine that did it. What approximate search costs and saves is on the page Exact vs ANN."
    )
