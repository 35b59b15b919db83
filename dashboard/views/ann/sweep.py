"""Parts of the Exact vs ANN page: the sweep at one size, the relevant documents missed, cosine and dot product."""

from collections.abc import Mapping

import pandas as pd
import streamlit as st

from core.evaluation import ann_figures, ann_tables, table_formats
from core.evaluation.ann_figures import at_size, caption
from core.evaluation.ann_sweep import SWEEP, measured_sweeps
from core.evaluation.ann_tables import COSTS, MATCHED, size_label
from core.evaluation.freshness import changes
from core.evaluation.table_formats import Table
from core.workspace.artifacts import Manifest, open_artifact, read_manifest
from core.workspace.errors import UserError
from dashboard.shared import data, export, state
from dashboard.shared.escaping import escape_markdown, show_error
from dashboard.shared.provenance import downloads_and_provenance
from dashboard.views.ann import charts as ann_charts

FORMATS = {
    "recall@10": "%.4f",
    "nDCG@10": "%.4f",
    "nDCG@10 vs exact": "percent",
    "speed-up": "%.1f ×",
    "batch speed-up": "%.1f ×",
    "latency, median (ms)": "%.3f",
    "latency, p95 (ms)": "%.3f",
    "latency, p99 (ms)": "%.3f",
    "queries/s": "%.0f",
    "index size (MB)": "%.2f",
    "index file (MB)": "%.2f",
    "build time (s)": "%.2f",
}
"""How the columns of `core.evaluation.ann_tables.SHOWN` are formatted."""

WHY_MISSED = """
Why no setting finds them. **SQ8** and **binary** store each component of a vector in few bits: documents whose
similarities differ by less than the rounding error change places, and one at rank 10 drops out. In a **graph** a search
continues only from documents that are among the best so far: a document whose neighbours are all farther from the query
is never reached. A larger ef makes that rarer but does not rule it out. **IVF** does not see documents in clusters
beyond the nearest nprobe ones.
"""


def export_name(opened: data.Opened, system: str, what: str) -> str:
    """Return the name of a file with figures of a system's sweeps, which tells where one is older than its inputs."""
    outdated = any(changes(opened.folder, place) for place in measured_sweeps(opened.folder, system))
    return f"{opened.folder.name}-{system}-{what}{'-outdated' if outdated else ''}"


def comparison(opened: data.Opened, system: str, sweeps: pd.DataFrame, manifests: Mapping[int, Manifest]) -> float:
    """Draw recall against cost, and the indexes at one recall, at one size; return the recall that was chosen.

    Args:
        manifests: of the sweeps, by the number of documents.
    """
    every = [str(size) for size in dict.fromkeys(sweeps["documents"])]
    chosen = every[0]
    columns = st.columns(3 if len(every) > 1 else 2)
    with columns[0]:
        cost = state.choose("Cost axis", list(COSTS), "cost", "p50_ms", COSTS)
    with columns[1]:
        values = [f"{recall:.2f}" for recall in MATCHED]
        recall = float(state.choose("Target recall@10", values, "recall", "0.95"))
    if len(every) > 1:
        with columns[2]:
            labels = {size: f"{int(size):,} ({size_label(int(size), int(every[0]))})" for size in every}
            chosen = state.choose("Documents", every, "size", every[0], labels)
    size = int(chosen)
    sweep, about = at_size(sweeps, size), caption(opened.folder, system, size)
    options = {"system": system, "size": "" if chosen == every[0] else size}
    made_from = {size_name(size): manifests[size]}
    name = export_name(opened, system, f"ann-{size}")
    export.chart(ann_charts.recall_against(sweep, cost), f"{name}-{cost}", "Recall at 10 against cost, by index")
    better = "left" if cost == "p50_ms" else "right"
    st.caption(
        f"Each point is one parameter setting; up and to the {better} is better. Grey band: the Pareto-optimal "
        "settings. Every other setting is no better than one of them in recall and in cost."
    )
    with st.expander("Pareto-optimal settings"):
        table = ann_tables.frontier_table(sweep, cost, about)
        draw(opened, f"{name}-{cost}-pareto", table, "ann-pareto", options | {"cost": cost}, made_from)
    st.markdown(f"**Each index at recall@10 of at least {recall:.2f}**")
    matched = ann_tables.matched_table(sweep, recall, about)
    draw(opened, f"{name}-at-{recall:.2f}", matched, "ann-at-recall", options | {"recall": f"{recall:.2f}"}, made_from)
    st.caption(
        f"Each index at its fastest setting that reaches the target recall; {table_formats.MISSING} if none does. "
        "Speed-up: median latency of exact search over that of the index; single queries, one thread. nDCG@10 vs "
        "exact: as a percentage of exact search's nDCG@10; documents of equal similarity count in the order in which "
        "exact search returns them."
    )
    with st.expander("All measurements"):
        draw(opened, name, ann_tables.sweep_table(sweep, about), "ann-sweep", options, made_from)
    return recall


def draw(
    opened: data.Opened,
    name: str,
    table: Table,
    figure: str,
    options: Mapping[str, object],
    made_from: Mapping[str, Manifest],
    formats: Mapping[str, str] = FORMATS,
) -> None:
    """Draw a table, its downloads and its provenance.

    Args:
        name: of the files, without ending.
        figure: what `python -m core.compare` calls it.
        options: of the command.
        made_from: the sweeps that the table shows, by name.
        formats: of columns, see `st.column_config.NumberColumn`.
    """
    shown = table.shown.reset_index()
    config = {column: st.column_config.NumberColumn(format=formats[column]) for column in shown if column in formats}
    st.dataframe(shown, hide_index=True, column_config=config, placeholder=table_formats.MISSING, alt=table.caption)
    downloads_and_provenance(opened, name, table, figure, options, made_from=made_from)


def size_name(size: int) -> str:
    """Return the name of a sweep in its provenance."""
    return f"sweep of {size:,} documents"


def missed(opened: data.Opened, system: str, sweep: pd.DataFrame) -> None:
    """Draw which relevant documents in the top 10 of exact search each setting misses, topic by topic."""
    queries = {name: topic.query for name, topic in data.judged_topics(opened).topics.items()}
    table = ann_tables.missed_table(sweep, queries, caption(opened.folder, system))
    for sentence in table.sentences:
        st.write(escape_markdown(sentence))
    if any(row for row in sweep.groupby("index", sort=False)["missed"].last()):
        st.caption(WHY_MISSED)
    manifest = read_manifest(opened.folder.sweep(system))
    made_from = {size_name(manifest.facts["documents"]): manifest}
    draw(opened, export_name(opened, system, "missed"), table, "ann-missed", {"system": system}, made_from)
    st.caption(
        "Relevant documents in the top 10 of exact search that the index does not return in its top 10. A document is "
        "not missed if another one of equal similarity was returned in its place."
    )


def similarities(opened: data.Opened) -> None:
    """Draw nDCG@10 by cosine and by dot product for every dense system that has a sweep."""
    figures, made_from = {}, {}
    for system in ann_figures.measured_systems(opened.folder, opened.profile):
        try:
            manifest = open_artifact(opened.folder.sweep(system), SWEEP)
        except UserError as error:
            show_error(error)
            continue
        if recorded := manifest.facts.get("similarities"):
            label = opened.labels[system]
            figures[label], made_from[f"sweep of {label}"] = recorded, manifest
    table = ann_tables.similarities_table(figures, opened.folder.name)
    formats = dict.fromkeys(table.figures, "%.4f")
    draw(opened, f"{opened.folder.name}-similarities", table, "ann-similarities", {}, made_from, formats)
    st.caption(
        "Vectors of equal length rank alike by both. If lengths differ and the model was trained with cosine "
        "similarity, length carries no meaning, and dot product favours long vectors."
    )
