"""The part of the Exact vs ANN page on collection sizes: how latency grows, and where approximation pays."""

from collections.abc import Mapping

import pandas as pd
import streamlit as st

from core.evaluation import ann_tables, table_formats
from core.evaluation.ann_figures import caption
from core.evaluation.ann_tables import crossings, growth
from core.indexes.simulation import LEAST_DISTINCT
from core.workspace.artifacts import Manifest
from dashboard.shared import data, export
from dashboard.views.ann import charts as ann_charts
from dashboard.views.ann.sweep import draw, export_name, size_name

WORDS = """
Exact search reads every vector, so its latency is proportional to the number of documents: a straight line on
logarithmic axes. The path through a graph grows by only a few steps, and the clusters of IVF grow in number more than
in size. Below the **crossing point** (circled) the overhead of an approximate index costs more than it saves; above it,
the saving grows with the collection.
"""


def sizes(
    opened: data.Opened, system: str, sweeps: pd.DataFrame, manifests: Mapping[int, Manifest], recall: float
) -> None:
    """Draw how latency grows with the collection, where each index overtakes exact search, and all speed-ups.

    Args:
        sweeps: from `core.evaluation.ann_sweep.read_growth`.
        manifests: of the sweeps, by the number of documents.
        recall: the recall@10 that the chart is drawn at.
    """
    about, made_from = caption(opened.folder, system), {size_name(size): m for size, m in manifests.items()}
    name, options = export_name(opened, system, "growth"), {"system": system}
    at = options | {"recall": f"{recall:.2f}"}
    if len(manifests) > 1:
        grown = growth(sweeps, recall)
        chart = ann_charts.growth(grown, crossings(grown))
        export.chart(chart, f"{name}-{recall:.2f}", "Latency against the number of documents, both axes logarithmic")
        st.caption(f"At recall@10 of at least {recall:.2f}; an index that does not reach it has no point.")
        st.markdown(WORDS)
        with st.expander("Latency by collection size"):
            table = ann_tables.growth_table(sweeps, recall, about)
            formats = dict.fromkeys(table.figures, "%.3f")
            draw(opened, f"{name}-latency-{recall:.2f}", table, "ann-latency", at, made_from, formats)
        st.markdown(f"**Faster than exact search, at recall@10 of at least {recall:.2f}**")
        table = ann_tables.crossings_table(sweeps, recall, about)
        formats = {"latency there, median (ms)": "%.3f"}
        draw(opened, f"{name}-crossings-{recall:.2f}", table, "ann-crossings", at, made_from, formats)
    st.markdown("**Speed-up over exact search**")
    table = ann_tables.speed_ups_table(sweeps, about)
    formats = dict.fromkeys(table.figures, "%.1f ×")
    name = export_name(opened, system, "speed-ups")
    draw(opened, name, table, "ann-speed-ups", options, made_from, formats)
    st.caption(
        f"Columns: number of documents and target recall@10; {table_formats.MISSING} if no setting reaches it. All "
        "indexes of a size are measured in one run; their queries are interleaved."
    )


def measured(opened: data.Opened, system: str, manifests: Mapping[int, Manifest]) -> None:
    """Draw the collection sizes that were measured, with the provenance of every sweep.

    Args:
        manifests: of the sweeps, by the number of documents, the collection itself first.
    """
    table = ann_tables.sizes_table(list(manifests.values()), caption(opened.folder, system))
    made_from = {size_name(size): manifest for size, manifest in manifests.items()}
    draw(opened, export_name(opened, system, "sizes"), table, "ann-sizes", {"system": system}, made_from, {})
    st.caption(
        "Intrinsic dimension: the dimension of the space that the vectors locally occupy; the higher, the harder "
        f"approximate search is. {table_formats.MISSING} if fewer than {LEAST_DISTINCT} vectors are distinct, or the "
        "similarity is not cosine. Simulated: the real vectors, and synthetic ones between neighbouring vectors. "
        "`python -m core.simulate` checks the simulation: it simulates half of the collection to full size and "
        "compares that with the whole. To measure another size: "
        f"`{opened.folder.sweep(system, 171332).command}`."
    )
