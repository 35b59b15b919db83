"""Charts of the Topic page: pure functions from tables to Plotly figures; a mark's custom data is its document.

Grades differ by colour and by symbol.
"""

import math
from collections.abc import Mapping
from typing import Any

import pandas as pd
import plotly.graph_objects as go

from core.evaluation.grades import grade_words
from dashboard.shared.charts import BLUE, GREY, ORANGE, clickable, finish, wrapped
from dashboard.shared.escaping import escape_plotly, shortened

GRADE_STYLES = {
    "relevant": (BLUE, "circle", "solid"),
    "partly relevant": ("#56B4E9", "diamond", "solid"),
    "not relevant": (GREY, "circle-open", "dot"),
    "unjudged": (ORANGE, "x-thin-open", "dot"),
}
"""Grade in words -> colour, symbol, line. Okabe & Ito's colours."""


def split_bars(table: pd.DataFrame, label_a: str, label_b: str, k: int) -> go.Figure:
    """Draw each document's contribution to the difference, in the table's order; those favouring b are hatched orange.

    Args:
        table: from `rank_tables.split_table`, without contributions of 0.
    """
    figure = go.Figure()
    names = [f"{escape_plotly(shortened(title, 32))} " for title in table["title"]]
    kinds = [
        (f"favours {label_a}", table["contribution"] > 0, BLUE, ""),
        (f"favours {label_b}", table["contribution"] < 0, ORANGE, "/"),
    ]
    for name, chosen, colour, pattern in kinds:
        rows = table[chosen]
        if rows.empty:
            continue
        hover = [
            f"{escape_plotly(row.title)}<br>grade {row.grade}, {row.change}" for row in rows.itertuples(index=False)
        ]
        figure.add_bar(
            x=rows["contribution"],
            y=list(rows.index),
            orientation="h",
            name=escape_plotly(name),
            marker={"color": colour, "pattern": {"shape": pattern, "solidity": 0.35}},
            customdata=rows["document"],
            hovertext=hover,
            hovertemplate="%{hovertext}: %{x:+.4f}<extra></extra>",
        )
    figure.update_yaxes(tickvals=list(table.index), ticktext=names, autorange="reversed")
    figure.update_xaxes(title=f"contribution to nDCG@{k}", zeroline=True)
    figure.update_layout(showlegend=True, bargap=0.25)
    # Around the left edge of the bars, so that on a phone the legend keeps clear of the button in the corner.
    return finish(clickable(figure), 130 + 26 * len(table)).update_layout(legend={"xanchor": "center"})


def position_lines(table: pd.DataFrame, systems: Mapping[str, str], depth: int, highest_grade: int) -> go.Figure:
    """Draw the rank of each document in each list, one line per document; the scale is logarithmic below the depth.

    Args:
        table: from `rank_tables.positions`, with the column title.
        systems: name -> label, in the order of the columns.
    """
    figure = go.Figure()
    shown = list(systems)
    longest = max([2 * depth, *table[shown].max().dropna()])
    table = table.assign(grade_words=[grade_words(grade, highest_grade) for grade in table["grade"]])
    for words, (colour, symbol, dash) in GRADE_STYLES.items():
        rows = table[table["grade_words"] == words]
        x: list[int | None] = []
        y: list[float | None] = []
        hover: list[str] = []
        documents: list[str] = []
        for _, row in rows.iterrows():
            for place, system in enumerate(shown):
                x.append(place)
                y.append(_height(row[system], depth, longest))
                where = "not retrieved" if pd.isna(row[system]) else f"rank {row[system]}"
                hover.append(f"{escape_plotly(row['title'])}<br>{words}; {escape_plotly(systems[system])}: {where}")
            x.append(None)
            y.append(None)
            hover.append("")
            documents += [row["document"]] * (len(shown) + 1)
        if x:
            figure.add_scatter(
                x=x,
                y=y,
                mode="lines+markers",
                name=f"{words} ({len(rows)})",
                line={"color": colour, "width": 1.6 if dash == "solid" else 1, "dash": dash},
                marker={"symbol": symbol, "size": 10, "line": {"width": 2, "color": colour}},
                customdata=documents,
                hovertext=hover,
                hovertemplate="%{hovertext}<extra></extra>",
            )
    ticks = sorted({1, *range(5, depth + 1, 5 if depth <= 20 else 10)})
    ticks += [rank for rank in (20, 50, 100, 200, 500, 1000) if depth < rank <= longest]
    heights = [_height(rank, depth, longest) for rank in [*ticks, pd.NA]]
    figure.update_yaxes(tickvals=heights, ticktext=[*map(str, ticks), "none"], range=[heights[-1] + 1, 0], title="rank")
    figure.add_hline(y=depth + 0.5, line={"color": GREY, "width": 1})
    labels = [wrapped(label) for label in systems.values()]
    figure.update_xaxes(
        tickangle=0, tickvals=list(range(len(labels))), ticktext=labels, side="top", showgrid=False, zeroline=False
    )
    figure.update_xaxes(range=[-0.3, len(labels) - 0.7])
    figure.update_layout(showlegend=True)
    figure = finish(clickable(figure), 250 + 28 * min(depth, 20) + 8 * max(depth - 20, 0))
    figure.update_layout(legend={"y": -0.02, "yanchor": "top"}, margin={"t": 40})
    return figure


def _height(rank: Any, depth: int, longest: float) -> float:
    """Return the position of a rank on the axis: linear up to the depth, logarithmic below, unranked last."""
    if pd.isna(rank):
        return 1.5 * depth + 1.5
    if rank <= depth:
        return float(rank)
    return depth + 0.5 + 0.5 * depth * math.log(rank / depth) / math.log(longest / depth)
