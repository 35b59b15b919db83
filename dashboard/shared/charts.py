"""Charts: pure functions from tables to Plotly figures, in colours safe for colour-blind readers (Okabe & Ito)."""

import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd
import plotly.graph_objects as go

from dashboard.shared.escaping import escape_plotly, shortened

BLUE, ORANGE, GREY, DARK_GREY = "#2F86C9", "#D55E00", "#8A94A0", "#6E7986"


def finish(figure: go.Figure, height: int) -> go.Figure:
    """Apply the layout that all figures share, and a height in pixels."""
    # No zoom: on a telephone a finger on the chart scrolls the page.
    figure.update_layout(height=height, margin={"l": 8, "r": 8, "t": 36, "b": 8}, dragmode=False)
    figure.update_layout(legend={"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0})
    figure.update_xaxes(fixedrange=True, automargin=True)
    figure.update_yaxes(fixedrange=True, automargin=True)
    return figure


def wrapped(label: str) -> str:
    """Return a system's label wrapped to short lines, as lists are side by side on a phone, too."""
    return "<br>".join(escape_plotly(line) for line in textwrap.wrap(label, 12, max_lines=3, placeholder=" …"))


def clickable(figure: go.Figure) -> go.Figure:
    """Let a click select a mark without changing the look of any mark."""
    plain = {"marker": {"opacity": 1}}
    figure.update_traces(selected=plain, unselected=plain)
    figure.update_layout(clickmode="event+select")
    return figure


def clicked(points: Sequence[Mapping[str, Any]]) -> str:
    """Return the custom data of the clicked mark, or "" if there is none."""
    if not points:
        return ""
    data = points[0].get("customdata", "")
    return str(data[0] if isinstance(data, list) else data)


def interval_texts(bounds: pd.DataFrame, sign: str = "") -> list[str]:
    """Return the 95 % CI of each row in words.

    Args:
        bounds: columns lower and upper bound, NaN where there is no interval.
        sign: "+" to write the sign of positive bounds, too.
    """
    return [
        "no CI" if pd.isna(low) else f"95 % CI {low:{sign}.4f} to {high:{sign}.4f}"
        for low, high in bounds.itertuples(index=False)
    ]


def mean_bars(table: pd.DataFrame, labels: Mapping[str, str], measure: str, baseline: str) -> go.Figure:
    """Draw each system's mean with its 95 % CI; the baseline is hatched.

    Args:
        table: index system; columns mean, low, high (NaN where there is no interval).
    """
    names = [escape_plotly(labels.get(system, system)) for system in table.index]
    intervals = interval_texts(table[["low", "high"]])
    figure = go.Figure(
        go.Bar(
            x=table["mean"],
            y=names,
            orientation="h",
            marker={
                "opacity": 0.6,
                "color": [GREY if system == baseline else BLUE for system in table.index],
                "pattern": {"shape": ["/" if system == baseline else "" for system in table.index]},
            },
            error_x={
                "array": table["high"] - table["mean"],
                "arrayminus": table["mean"] - table["low"],
                "color": DARK_GREY,
            },
            hovertext=intervals,
            hovertemplate="%{y}: %{x:.4f} (%{hovertext})<extra></extra>",
        )
    )
    figure.update_yaxes(type="category", autorange="reversed")
    figure.update_xaxes(title=f"mean {measure}", rangemode="tozero")
    return finish(figure, 110 + 46 * len(table))


def difference_bars(
    table: pd.DataFrame, label_a: str, label_b: str, measure: str, topic: str, tie: float = 0.0
) -> go.Figure:
    """Draw the per-topic differences in the table's order: plain blue where a is better, hatched orange where b is.

    Ties are diamonds; the chosen topic carries an arrow. Every mark's custom data is its topic.

    Args:
        table: columns topic, query, difference.
        label_b: "" draws the values of a alone.
        tie: differences not larger than this are ties.
    """
    kinds = [
        (f"{label_a} better" if label_b else label_a, table["difference"] > tie, BLUE, ""),
        (f"{label_b} better", table["difference"] < -tie, ORANGE, "/"),
    ]
    figure = go.Figure()
    for name, chosen, colour, pattern in kinds:
        rows = table[chosen]
        if rows.empty:
            continue
        marker = {"color": colour, "pattern": {"shape": pattern, "solidity": 0.35}}
        figure.add_bar(**_marks(rows, f"{escape_plotly(name)} ({len(rows)})"), marker=marker)
    ties = table[table["difference"].abs() <= tie]
    if not ties.empty:
        name = "tie" if label_b else "zero"
        diamond = {"color": GREY, "symbol": "diamond", "size": 8}
        figure.add_scatter(**_marks(ties, f"{name} ({len(ties)})"), mode="markers", marker=diamond)
    if topic in set(table["topic"]):
        position = list(table["topic"]).index(topic)  # Plotly takes the number of a category here, never its name
        height = float(table["difference"].iloc[position])
        figure.add_annotation(x=position, y=height, text=escape_plotly(topic), ax=0, ay=-28 if height >= 0 else 28)
    order = [escape_plotly(name) for name in table["topic"]]
    figure.update_xaxes(type="category", categoryorder="array", categoryarray=order, title="topic", tickangle=-90)
    figure.update_yaxes(title=f"difference in {measure}" if label_b else measure, zeroline=True)
    # With hovermode "x" the whole column of a bar takes the click, however short the bar is.
    figure.update_layout(hovermode="x", bargap=0.15, showlegend=True)
    return finish(clickable(figure), 380)


def topic_texts(table: pd.DataFrame) -> list[str]:
    """Return the hover text of each topic's mark, from the columns topic and query."""
    return [
        escape_plotly(f"topic {topic}: {shortened(query, 60)}")
        for topic, query in zip(table["topic"], table["query"], strict=True)
    ]


def _marks(rows: pd.DataFrame, name: str) -> dict[str, Any]:
    return {
        "x": [escape_plotly(topic) for topic in rows["topic"]],
        "y": rows["difference"],
        "name": name,
        "customdata": rows["topic"],
        "hovertext": topic_texts(rows),
        "hovertemplate": "%{hovertext}<br>%{y:+.4f}<extra></extra>",
    }
