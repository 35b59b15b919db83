"""Charts of exact against approximate search: a table in, a Plotly figure out."""

import pandas as pd
import plotly.graph_objects as go

from core.evaluation.ann_tables import COSTS, frontier
from core.indexes.registry import LABELS, PARAMETER_LABELS
from dashboard.shared.charts import DARK_GREY, finish

# Okabe & Ito's colours, each with a mark of its own.
STYLES = {
    "exact": ("#6E7986", "star"),
    "hnsw": ("#2F86C9", "circle"),
    "hnswlib": ("#D55E00", "square"),
    "faiss-hnsw": ("#009E73", "diamond"),
    "faiss-ivf": ("#CC79A7", "triangle-up"),
    "faiss-ivf-pq": ("#E69F00", "triangle-down"),
    "faiss-sq8": ("#56B4E9", "cross"),
    "faiss-binary": ("#8A6D3B", "x"),
    "milvus": ("#B5A400", "hexagon"),
}
OTHER_STYLE = ("#000000", "circle-open")
"""The style of an index that has none above."""


def recall_against(sweep: pd.DataFrame, cost: str) -> go.Figure:
    """Draw recall@10 against a cost, a line for each index, and the Pareto frontier as a band behind.

    Args:
        sweep: rows of one collection size.
        cost: a key of COSTS.
    """
    figure = go.Figure()
    best = frontier(sweep, cost)
    figure.add_scatter(
        x=best[cost],
        y=best["recall"],
        mode="lines",
        line={"color": DARK_GREY, "width": 10, "shape": "hv"},
        opacity=0.25,
        name="Pareto-optimal",
        hoverinfo="skip",
    )
    for kind, rows in sweep.groupby("index", sort=False):
        colour, symbol = STYLES.get(str(kind), OTHER_STYLE)
        parameter = rows["parameter"].fillna("").iloc[0]
        label = PARAMETER_LABELS.get(parameter, parameter)
        texts = [f"{label} {value:.0f}" if label else "" for value in rows["value"].fillna(0)]
        figure.add_scatter(
            x=rows[cost],
            y=rows["recall"],
            mode="lines+markers",
            line={"color": colour},
            marker={"symbol": symbol, "size": 14 if kind == "exact" else 9},
            name=LABELS[str(kind)],
            customdata=texts,
            hovertemplate="%{customdata} recall@10 %{y:.4f}, %{x:.4g}<extra>%{fullData.name}</extra>",
        )
    figure.update_xaxes(title=COSTS[cost], type="log")
    figure.update_yaxes(title="recall@10")
    return finish(figure, 520)


def growth(grown: pd.DataFrame, crossings: pd.DataFrame) -> go.Figure:
    """Draw the median latency of each index against the size of the collection, both axes logarithmic.

    Args:
        grown: the table of `core.evaluation.ann_tables.growth`.
        crossings: the table of `core.evaluation.ann_tables.crossings`; each is a ring on the line of exact search.
    """
    figure = go.Figure()
    for kind, rows in grown.groupby("index", sort=False):
        colour, symbol = STYLES.get(str(kind), OTHER_STYLE)
        rows = rows.sort_values("documents")
        figure.add_scatter(
            x=rows["documents"],
            y=rows["p50_ms"],
            mode="lines+markers",
            line={"color": colour, "width": 4 if kind == "exact" else 2},
            marker={"symbol": symbol, "size": 14 if kind == "exact" else 9},
            name=LABELS[str(kind)],
            hovertemplate="%{x:,} documents: %{y:.3f} ms<extra>%{fullData.name}</extra>",
        )
    marks = crossings.dropna()
    if len(marks):
        colours = [STYLES.get(str(kind), OTHER_STYLE)[0] for kind in marks.index]
        figure.add_scatter(
            x=marks["documents"],
            y=marks["p50_ms"],
            mode="markers",
            marker={"symbol": "circle-open", "size": 20, "color": colours, "line": {"width": 3}},
            name="crossing point",
            hovertext=[LABELS[str(kind)] for kind in marks.index],
            hovertemplate="%{hovertext} is faster than exact search from about %{x:,.0f} documents<extra></extra>",
        )
    figure.update_xaxes(title="documents", type="log", dtick=1)
    figure.update_yaxes(title=COSTS["p50_ms"], type="log", dtick=1)
    return finish(figure, 520)
