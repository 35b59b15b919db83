"""Charts of the Topics page: pure functions from tables to Plotly figures; a mark's custom data is its topic."""

from collections.abc import Mapping

import pandas as pd
import plotly.graph_objects as go

from core.evaluation.topic_tables import LENGTH, TYPE_LABELS
from dashboard.shared.charts import BLUE, DARK_GREY, ORANGE, clickable, finish, topic_texts, wrapped
from dashboard.shared.escaping import escape_plotly, shortened

SEQUENTIAL = "Cividis"
MOST_LEVEL, LABEL = 5, 24
"""Number of systems above which their labels are upright, and then the letters of a label."""


def heat_map(table: pd.DataFrame, systems: Mapping[str, str], measure: str) -> go.Figure:
    """Draw topics x systems; the colour and number of a cell are its value, and the hardest topic is on top.

    The cells are bars of length 1, since the cells of a Plotly heat map cannot be clicked.

    Args:
        table: from `topic_tables.difficulty`.
        systems: name -> label, in the order of the columns.
    """
    figure = go.Figure()
    texts = topic_texts(table)
    names = [escape_plotly(topic) for topic in table["topic"]]
    for place, (system, label) in enumerate(systems.items()):
        values = table[system]
        figure.add_bar(
            y=names,
            x=[1] * len(table),
            base=[place] * len(table),
            orientation="h",
            marker={"color": values, "coloraxis": "coloraxis", "line": {"width": 0}},
            text=[f"{value:.2f}" for value in values],
            textposition="inside",
            insidetextanchor="middle",
            textangle=0,
            insidetextfont={"color": ["#ffffff" if value < 0.5 else "#000000" for value in values]},
            customdata=table["topic"],
            hovertext=[f"{text}<br>{escape_plotly(label)}: {v:.4f}" for text, v in zip(texts, values, strict=True)],
            hovertemplate="%{hovertext}<extra></extra>",
        )
    upright = len(systems) > MOST_LEVEL
    labels = [escape_plotly(shortened(s, LABEL)) if upright else wrapped(s) for s in systems.values()]
    figure.update_xaxes(
        tickangle=-90 if upright else 0,
        tickvals=[place + 0.5 for place in range(len(labels))],
        ticktext=labels,
        side="top",
    )
    figure.update_xaxes(range=[0, len(labels)], showgrid=False, zeroline=False)
    figure.update_yaxes(type="category", autorange="reversed", title="topic", showgrid=False)
    bar = {"title": {"text": measure, "side": "top"}, "orientation": "h", "y": 0, "yanchor": "top", "thickness": 10}
    figure.update_layout(coloraxis={"colorscale": SEQUENTIAL, "cmin": 0, "cmax": 1, "colorbar": bar})
    figure.update_layout(barmode="overlay", bargap=0.06, showlegend=False, hovermode="y")
    return finish(clickable(figure), 150 + 19 * len(table))


def difficulty_bars(table: pd.DataFrame, measure: str) -> go.Figure:
    """Draw each topic's mean over systems, hardest first, and the range from the lowest to the highest system."""
    names = [escape_plotly(topic) for topic in table["topic"]]
    figure = go.Figure(
        go.Bar(
            x=names,
            y=table["mean"],
            marker={"color": BLUE},
            error_y={
                "array": table["highest"] - table["mean"],
                "arrayminus": table["mean"] - table["lowest"],
                "color": DARK_GREY,
                "thickness": 1.2,
                "width": 2,
            },
            customdata=table["topic"],
            hovertext=topic_texts(table),
            hovertemplate="%{hovertext}<br>mean %{y:.4f}<extra></extra>",
        )
    )
    figure.update_xaxes(type="category", title="topic", tickangle=-90)
    figure.update_yaxes(title=f"{measure}, mean over systems", rangemode="tozero")
    figure.update_layout(hovermode="x", bargap=0.15)
    return finish(clickable(figure), 380)


def length_scatter(table: pd.DataFrame, measure: str) -> go.Figure:
    """Draw each topic's difference (or value) against the query length in words."""
    figure = go.Figure(
        go.Scatter(
            x=table["words"],
            y=table["difference"],
            mode="markers",
            marker={"color": BLUE, "size": 11, "opacity": 0.65, "line": {"color": DARK_GREY, "width": 1}},
            customdata=table["topic"],
            hovertext=topic_texts(table),
            hovertemplate="%{hovertext}<br>%{x} words, %{y:+.4f}<extra></extra>",
        )
    )
    figure.update_xaxes(title=LENGTH)
    figure.update_yaxes(title=measure, zeroline=True)
    figure.update_layout(clickmode="event+select")
    return finish(figure, 380)


def kind_bars(table: pd.DataFrame, measure: str) -> go.Figure:
    """Draw the mean difference (or value) of each topic type; negative ones hatched.

    Args:
        table: index kind; columns topics, difference.
    """
    negative = [value < 0 for value in table["difference"]]
    names = [
        escape_plotly(f"{TYPE_LABELS.get(str(kind), kind)} ({count})")
        for kind, count in zip(table.index, table["topics"], strict=True)
    ]
    figure = go.Figure(
        go.Bar(
            x=table["difference"],
            y=names,
            orientation="h",
            marker={
                "color": [ORANGE if below else BLUE for below in negative],
                "pattern": {"shape": ["/" if below else "" for below in negative], "solidity": 0.35},
            },
            hovertemplate="%{y}: %{x:+.4f}<extra></extra>",
        )
    )
    figure.update_yaxes(type="category", autorange="reversed")
    figure.update_xaxes(title=measure, zeroline=True)
    return finish(figure, 110 + 40 * len(table))
