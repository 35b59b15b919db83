"""Cost beside quality: the latency of a query and the size of the index against the chosen measure."""

from collections.abc import Mapping

import pandas as pd
import streamlit as st

from core.evaluation import table_formats
from core.workspace.artifacts import Manifest
from core.workspace.timing import OLDER_TIMING, is_comparable
from dashboard.shared import export
from dashboard.shared.escaping import error_markdown, escape_markdown
from dashboard.shared.provenance import command, provenance
from dashboard.shared.widgets import FOUR
from dashboard.views.overview import charts
from dashboard.views.overview.baseline import compared
from dashboard.views.overview.view import View


def table(view: View, manifests: dict[str, Manifest]) -> pd.DataFrame:
    """Return one row a system: its mean with interval, and what a query and its index cost."""
    means, _ = compared(view.values, view.baseline)
    rows = {}
    for system in view.values:
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
    """Say, as escaped Markdown, whose latencies were measured by an older procedure, "" where none were.

    Args:
        manifests: by the artifact's place, from `results.manifests`.
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
    return error_markdown(f"Latency of {', '.join(older)}: {OLDER_TIMING}; measure again with {command}")


def draw(view: View, manifests: dict[str, Manifest]) -> None:
    """Draw both panels and the table."""
    found = table(view, manifests)
    unknown = [view.labels[system] for system in found.index[found["median ms"].isna() & found["index MB"].isna()]]
    name = f"{view.opened.folder.name}-{view.measure}-cost"
    export.chart(charts.cost(found, view.labels, view.measure), name, f"{view.measure} against latency and index size")
    found = found.rename(index=view.labels)
    config = dict.fromkeys(["mean", "low", "high"], FOUR) | {"index MB": st.column_config.NumberColumn(format="%.2f")}
    st.dataframe(found, column_config=config, placeholder=table_formats.MISSING, alt="Quality and cost of each system")
    with st.container(horizontal=True, vertical_alignment="center"):
        export.downloads(found, name, f"{view.measure} and cost")
        option = f'--measures "{view.measure}"'
        commands = {system: command(view.opened, "evaluate", [system], option) for system in view.systems}
        builds = sorted({manifest.command for manifest in manifests.values()})
        about = f"latency, size and build seconds: measured by {', '.join(builds)}"
        provenance(view.opened, "cost", view.measure, commands, about)
    if older := older_latencies(manifests, {system: view.labels[system] for system in view.values}):
        st.write(older)
    if unknown:
        st.write(escape_markdown(f"No cost is known of {', '.join(unknown)}: the run was made elsewhere."))
    st.caption(
        "Latency: median of single queries, encoding included, measured after a warm-up when the run was made, on one "
        "thread unless its manifest says otherwise. Size: the files of the BM25 "
        "index, or of the vectors that exact search reads, without the model. Build seconds: indexing or encoding, on "
        "the machine that did it. What approximate search costs and saves is on the page Exact vs ANN."
    )
