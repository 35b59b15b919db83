"""Charts of the Summary page: pure functions from tables to Plotly figures."""

from collections.abc import Mapping
from typing import Any

import pandas as pd
import plotly.graph_objects as go

from core.evaluation.comparison_tables import LATENCY
from core.evaluation.costs import STEPS, front
from core.evaluation.topic_tables import TYPE_LABELS
from dashboard.shared.charts import BLUE, DARK_GREY, GREY, ORANGE, finish, interval_texts
from dashboard.shared.escaping import escape_plotly, shortened

LABEL = 28
"""Maximum number of characters of a system's label in a chart."""

DECADE = 10
"""Ratio of the largest to the smallest cost above which the axis is logarithmic."""

COLOURS = (BLUE, ORANGE, "#009E73", "#CC79A7", "#B8860B", "#56B4E9", DARK_GREY)
SYMBOLS = ("circle", "square", "diamond", "cross", "x", "triangle-up", "star", "hexagon", "pentagon")
DASHES = ("solid", "dash", "dot", "dashdot", "longdash")
"""Colours, symbols and dashes differ in number, so that more systems than colours can be told apart."""


def _style(number: int) -> dict[str, str]:
    return {"color": COLOURS[number % len(COLOURS)], "symbol": SYMBOLS[number % len(SYMBOLS)]}


def forest(table: pd.DataFrame, labels: Mapping[str, str], measure: str, baseline: str, chosen: str) -> go.Figure:
    """Draw each system's difference to the baseline with its 95 % CI; filled where it is significant.

    Args:
        table: index system, in the order of the rows; columns difference, difference low, difference high (NaN where
            there is no interval), significant.
        chosen: the system whose name is in bold.
    """
    rows = list(range(len(table)))
    names = [escape_plotly(shortened(labels.get(system, system), LABEL)) for system in table.index]
    bold = [f"<b>{name}</b>" if system == chosen else name for name, system in zip(names, table.index, strict=True)]
    ticks = [f"{name}  {value:+.4f}" for name, value in zip(bold, table["difference"], strict=True)]
    intervals = interval_texts(table[["difference low", "difference high"]], "+")
    figure = go.Figure(
        go.Scatter(
            x=table["difference"],
            y=rows,
            mode="markers",
            error_x={
                "array": table["difference high"] - table["difference"],
                "arrayminus": table["difference"] - table["difference low"],
                "color": DARK_GREY,
                "width": 4,
            },
            marker={
                "color": BLUE,
                "size": 11,
                "symbol": ["circle" if one else "circle-open" for one in table["significant"]],
                "line": {"width": 2},
            },
            text=[escape_plotly(labels.get(system, system)) for system in table.index],
            hovertext=intervals,
            hovertemplate="%{text}: %{x:+.4f} (%{hovertext})<extra></extra>",
        )
    )
    figure.add_vline(x=0, line={"color": GREY, "width": 1})
    figure.update_yaxes(tickvals=rows, ticktext=ticks, range=[len(rows) - 0.5, -0.5], showgrid=False, zeroline=False)
    against = escape_plotly(shortened(labels.get(baseline, baseline), LABEL))
    figure.update_xaxes(title=f"difference in {measure} to {against}", zeroline=False)
    figure.update_layout(hovermode="closest")
    return finish(figure, 76 + 24 * max(len(rows), 4)).update_layout(margin={"t": 8, "r": 44})


def type_dots(table: pd.DataFrame, labels: Mapping[str, str], measure: str, pair: tuple[str, str]) -> go.Figure:
    """Draw the mean of systems A and B by topic type, a row per type, with a line between the two.

    Args:
        table: index topic type; columns topics and one per system; from `topic_tables.means_by_type`.
        pair: systems A and B; B is "" if there is only one.
    """
    rows, systems = list(range(len(table))), [name for name in pair if name]
    figure = go.Figure()
    if len(systems) > 1:
        ends = table[systems].itertuples(index=False)
        x = [value for low, high in ends for value in (low, high, None)]
        y = [value for row in rows for value in (row, row, None)]
        line = {"color": GREY, "width": 2}
        figure.add_scatter(x=x, y=y, mode="lines", line=line, hoverinfo="skip", showlegend=False)
    for system, colour, symbol in zip(systems, (BLUE, ORANGE), ("circle", "diamond"), strict=False):
        figure.add_scatter(
            x=table[system],
            y=rows,
            mode="markers",
            name=escape_plotly(shortened(labels.get(system, system), LABEL)),
            marker={"color": colour, "symbol": symbol, "size": 12},
            hovertemplate="%{x:.4f}<extra>%{fullData.name}</extra>",
        )
    names = [f"{escape_plotly(_short_type(str(kind)))} ({count})" for kind, count in table["topics"].items()]
    figure.update_yaxes(tickvals=rows, ticktext=names, range=[len(rows) - 0.5, -0.5], zeroline=False)
    figure.update_xaxes(title=f"mean {measure} by topic type (topics)", rangemode="tozero")
    figure.update_layout(hovermode="closest", showlegend=True)
    return finish(figure, 90 + 22 * max(len(rows), 4))


def _short_type(kind: str) -> str:
    """Return a topic type without its explanation, for a chart of half the page's width."""
    return shortened(TYPE_LABELS.get(kind, kind).partition(" (")[0], LABEL)


def precision_recall(curves: pd.DataFrame, labels: Mapping[str, str]) -> go.Figure:
    """Draw interpolated precision at the eleven recall levels, one line a system.

    Args:
        curves: index recall level, one column a system.
    """
    figure = go.Figure()
    for number, system in enumerate(curves.columns):
        style = _style(number)
        figure.add_scatter(
            x=[float(level) for level in curves.index],
            y=curves[system],
            mode="lines+markers",
            name=escape_plotly(labels.get(system, system)),
            line={"color": style["color"], "dash": DASHES[number % len(DASHES)]},
            marker={"symbol": style["symbol"], "size": 9},
            hovertemplate="recall %{x}: precision %{y:.4f}<extra>%{fullData.name}</extra>",
        )
    figure.update_xaxes(title="recall", range=[-0.02, 1.02])
    figure.update_yaxes(title="interpolated precision", range=[0, 1.02])
    return finish(figure, 420)


def ndcg_ranges(rows: Mapping[str, Mapping[str, float]], labels: Mapping[str, str], measure: str) -> go.Figure:
    """Draw each system's range of nDCG over possible judgments, its present value and that of the condensed list.

    Args:
        rows: system -> nDCG, lowest, highest, condensed, from `core.evaluation.unjudged.figures`.
    """
    table = pd.DataFrame.from_dict(rows, orient="index")
    names = [escape_plotly(labels.get(system, system)) for system in table.index]
    figure = go.Figure()
    figure.add_bar(
        x=table["highest"] - table["lowest"],
        base=table["lowest"],
        y=names,
        orientation="h",
        width=0.35,
        marker={"color": GREY, "opacity": 0.5},
        name="range over possible judgments",
        customdata=table[["lowest", "highest"]],
        hovertemplate="%{y}: %{customdata[0]:.4f} to %{customdata[1]:.4f}<extra></extra>",
    )
    marks = (
        ("nDCG", f"{measure} with the present judgments", BLUE, "circle"),
        ("condensed", "condensed list", ORANGE, "diamond-open"),
    )
    for column, name, colour, symbol in marks:
        figure.add_scatter(
            x=table[column],
            y=names,
            mode="markers",
            name=name,
            marker={"color": colour, "symbol": symbol, "size": 12, "line": {"width": 2}},
            hovertemplate="%{y}: %{x:.4f}<extra>%{fullData.name}</extra>",
        )
    figure.update_yaxes(type="category", autorange="reversed")
    figure.update_xaxes(title=f"mean {measure}", range=[0, 1])
    return finish(figure, 130 + 50 * len(table))


def _steps(row: pd.Series) -> str:
    """Return the latency of each step that a run has recorded, for hovering."""
    return "".join(f"<br>{name}: {row[name]:.2f}" for name in STEPS.values() if name in row and pd.notna(row[name]))


def cost(table: pd.DataFrame, labels: Mapping[str, str], measure: str, column: str) -> go.Figure:
    """Draw effectiveness against a cost, one point per system, and the Pareto front.

    Args:
        table: index system; from `core.evaluation.costs.cost_rows`; a system whose cost is unknown has no point.
        column: the cost.
    """
    figure = go.Figure()
    for number, (system, row) in enumerate(table.iterrows()):
        if pd.isna(row[column]):
            continue
        steps = _steps(row) if column == LATENCY else ""
        figure.add_scatter(
            x=[row[column]],
            y=[row["mean"]],
            error_y={"array": [row["high"] - row["mean"]], "arrayminus": [row["mean"] - row["low"]], "width": 4},
            mode="markers",
            name=escape_plotly(labels.get(str(system), str(system))),
            marker=_style(number) | {"size": 13},
            hovertemplate=f"{column}: %{{x:.3g}}<br>mean: %{{y:.4f}}{steps}<extra>%{{fullData.name}}</extra>",
        )
    optimal = front(table, column)
    if len(optimal) > 1:
        line = {"color": GREY, "width": 1.5, "dash": "dot", "shape": "hv"}
        x, y = optimal[column], optimal["mean"]
        figure.add_scatter(x=x, y=y, mode="lines", line=line, name="Pareto front", hoverinfo="skip")
    figure.update_xaxes(title=column, **cost_axis(table[column]))
    figure.update_yaxes(title=f"mean {measure}")
    return finish(figure, 320 + 22 * len(table))  # the legend has a line per system where labels are long


def cost_axis(costs: pd.Series) -> dict[str, Any]:
    """Return a logarithmic axis for costs of different orders of magnitude, else one from 0."""
    if costs.min() > 0 and costs.max() > DECADE * costs.min():
        return {"type": "log", "dtick": 1}
    return {"rangemode": "tozero"}
