"""Charts of exact against approximate search: a table in, a Plotly figure out."""

import math
from collections.abc import Sequence
from typing import Any

import pandas as pd
import plotly.graph_objects as go

from core.evaluation.ann_tables import COSTS, frontier, setting_text
from core.evaluation.table_formats import milliseconds
from core.indexes.registry import LABELS
from dashboard.shared.charts import DARK_GREY, GREY, finish

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
    "faiss-binary-codes": ("#5B5B8C", "star"),
    "milvus": ("#B5A400", "hexagon"),
}
OTHER_STYLE = ("#000000", "circle-open")
"""The style of an index that has none above."""
SHORT = {
    "exact": "exact",
    "hnsw": "HNSW",
    "hnswlib": "hnswlib",
    "faiss-hnsw": "HNSW, FAISS",
    "faiss-ivf": "IVF-Flat",
    "faiss-ivf-pq": "IVF-PQ",
    "faiss-sq8": "SQ8",
    "faiss-binary": "binary",
    "faiss-binary-codes": "binary codes",
}
"""Names of indexes beside their lines."""
HEIGHT = 400
LABEL_GAP = 0.05
"""Distance between labels as a share of the axis, about a line of text."""
TICKS = (0.5, 0.9, 0.95, 0.99, 0.999, 1.0)
"""Ticks of the recall axis."""
TOP = 3.6
"""Place of recall 1, which has no logarithm, on the recall axis; 0.999 is at 3."""


def stretched(recall: float) -> float:
    """Return the place of a recall on an axis that stretches towards 1: -log10(1 - recall), at most TOP."""
    return TOP if recall >= 1 else min(-math.log10(1 - recall), TOP - 0.2)


def recall_against(sweep: pd.DataFrame, cost: str, target: float) -> go.Figure:
    """Draw recall@10 on a stretched axis against a cost, a line for each index; dominated settings are grey.

    Args:
        sweep: rows of one collection size.
        cost: a key of COSTS.
        target: the recall@10 that is asked for, as a line.
    """
    figure = go.Figure()
    best = frontier(sweep, cost)
    optimal = {(row.index, row.value) for row in _rows(best)}
    for kind, rows in sweep.groupby("index", sort=False):
        colour, symbol = STYLES.get(str(kind), OTHER_STYLE)
        figure.add_scatter(
            x=rows[cost],
            y=[stretched(recall) for recall in rows["recall"]],
            mode="lines+markers",
            line={"color": colour, "width": 1},
            marker={"symbol": symbol, "size": _size(kind), "color": colour},
            name=LABELS.get(str(kind), str(kind)),
            customdata=[f"{setting_text(row)} recall@10 {row['recall']:.4f}".strip() for _, row in rows.iterrows()],
            hovertemplate="%{customdata}, %{x:.4g}<extra>%{fullData.name}</extra>",
        )
    # Over the coloured marks: the legend shows the colour of a trace's first mark, whether that is dominated or not.
    dominated = sweep[[(row.index, row.value) not in optimal for row in _rows(sweep)]]
    if not dominated.empty:
        symbols = [STYLES.get(str(kind), OTHER_STYLE)[1] for kind in dominated["index"]]
        figure.add_scatter(
            x=dominated[cost],
            y=[stretched(recall) for recall in dominated["recall"]],
            mode="markers",
            # Plotly makes marks of several sizes translucent unless told otherwise.
            marker={
                "symbol": symbols,
                "size": [_size(kind) for kind in dominated["index"]],
                "color": GREY,
                "opacity": 1,
            },
            name="dominated",
            hoverinfo="skip",
        )
    lowest = min(sweep["recall"].min(), 0.9)
    place = stretched(target)
    line = {"color": DARK_GREY, "width": 1, "dash": "dash"}
    figure.add_shape(type="line", xref="paper", x0=0, x1=1, y0=place, y1=place, line=line)
    figure.add_annotation(
        xref="paper", x=1, xanchor="right", y=place, yanchor="bottom", text=f"target {target:.2f}", showarrow=False
    )
    figure.update_xaxes(title=COSTS[cost], type="log", dtick=1)
    figure.update_yaxes(
        title="recall@10",
        tickvals=[stretched(tick) for tick in TICKS],
        ticktext=[f"{tick:g}" for tick in TICKS],
        range=[stretched(lowest) - 0.1, TOP + 0.15],
        zeroline=False,
    )
    return finish(figure, HEIGHT)


def _size(kind: object) -> int:
    return 13 if kind == "exact" else 9


def _rows(table: pd.DataFrame) -> list[Any]:
    """Return the index and the setting of each row, None where it has none, so that rows compare equal."""
    pairs = table[["index", "value"]].itertuples(index=False, name="Row")
    return [row._replace(value=None if pd.isna(row.value) else row.value) for row in pairs]


def growth(grown: pd.DataFrame, size: int, encoding: float | None, own: pd.DataFrame | None = None) -> go.Figure:
    """Draw the median latency of each index against the size of the collection, both axes logarithmic.

    Args:
        grown: the table of `core.evaluation.ann_tables.growth`.
        size: the collection size that is asked about, as a line.
        encoding: milliseconds to encode a query, as a dashed line; None if unknown.
        own: such a table of the collection, whose points are drawn open beside the lines of other vectors.
    """
    figure, ends = go.Figure(), {}
    for kind, rows in grown.groupby("index", sort=False):
        colour, symbol = STYLES.get(str(kind), OTHER_STYLE)
        rows = rows.sort_values("documents")
        figure.add_scatter(
            x=rows["documents"],
            y=rows["p50_ms"],
            mode="lines+markers",
            line={"color": colour, "width": 4 if kind == "exact" else 2},
            marker={"symbol": symbol, "size": 12 if kind == "exact" else 8},
            name=LABELS.get(str(kind), str(kind)),
            hovertemplate="%{x:,} documents: %{y:.3f} ms<extra>%{fullData.name}</extra>",
        )
        ends[str(kind)] = (float(rows["documents"].iloc[-1]), float(rows["p50_ms"].iloc[-1]))
    if own is not None:
        for kind, rows in own.groupby("index", sort=False):
            colour, symbol = STYLES.get(str(kind), OTHER_STYLE)
            figure.add_scatter(
                x=rows["documents"],
                y=rows["p50_ms"],
                mode="markers",
                marker={"symbol": f"{symbol}-open", "size": 12, "color": colour, "line": {"width": 2}},
                name=f"{LABELS.get(str(kind), str(kind))}, this collection",
                hovertemplate="%{x:,} documents: %{y:.3f} ms<extra>%{fullData.name}</extra>",
            )
    shown = pd.concat([grown, own]) if own is not None else grown
    low, high = (math.log10(limit) for limit in _limits([*shown["p50_ms"], *([encoding] if encoding else [])]))
    left, right = math.log10(min(size, shown["documents"].min())), math.log10(max(size, shown["documents"].max()))
    line = {"color": DARK_GREY, "width": 1}
    figure.add_shape(type="line", yref="paper", x0=size, x1=size, y0=0, y1=1, line=line)
    figure.add_annotation(
        x=math.log10(size), yref="paper", y=1, yanchor="bottom", text=f"{size:,} documents", showarrow=False
    )
    if encoding:
        figure.add_shape(type="line", xref="paper", x0=0, x1=1, y0=encoding, y1=encoding, line=line | {"dash": "dash"})
        text = f"encoding a query: {milliseconds(encoding)}"
        y = math.log10(encoding)
        figure.add_annotation(xref="paper", x=0, xanchor="left", y=y, yanchor="bottom", text=text, showarrow=False)
    for kind, (x, y) in label_places(ends, LABEL_GAP * (high - low)).items():
        colour, _ = STYLES.get(kind, OTHER_STYLE)
        text = f'<span style="color:{colour}">●</span> {SHORT.get(kind, kind)}'
        figure.add_annotation(x=x, y=y, xanchor="left", xshift=8, text=text, showarrow=False)
    # Room for the labels on the right.
    margin = 0.05 * (right - left) or 0.5
    figure.update_xaxes(
        title="documents", type="log", dtick=1, tickformat="~s", range=[left - margin, right + 5 * margin]
    )
    figure.update_yaxes(title=COSTS["p50_ms"], type="log", dtick=1, range=[low, high])
    figure.update_layout(showlegend=False)
    return finish(figure, HEIGHT)


def _limits(values: Sequence[float]) -> tuple[float, float]:
    """Return the limits of a logarithmic axis for these values."""
    return 0.6 * min(values), 1.8 * max(values)


def label_places(ends: dict[str, tuple[float, float]], gap: float) -> dict[str, tuple[float, float]]:
    """Return places of labels on logarithmic axes, log10 of (x, y), for the ends of lines.

    Labels at the same x are at least `gap` apart and in the order of the lines.
    """
    places: dict[str, tuple[float, float]] = {}
    for x in sorted({x for x, _ in ends.values()}):
        kinds = sorted((kind for kind in ends if ends[kind][0] == x), key=lambda kind: ends[kind][1])
        lines = [math.log10(ends[kind][1]) for kind in kinds]
        ys = lines[:1]
        for y in lines[1:]:
            ys.append(max(y, ys[-1] + gap))
        shift = (sum(ys) - sum(lines)) / len(ys)  # the group stays where its lines are
        places |= {kind: (math.log10(x), y - shift) for kind, y in zip(kinds, ys, strict=True)}
    return places
