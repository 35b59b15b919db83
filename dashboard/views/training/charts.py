"""Charts of a training and of its ablations: a table in, a Plotly figure out."""

import pandas as pd
import plotly.graph_objects as go

from dashboard.shared.charts import BLUE, GREY, ORANGE, finish
from dashboard.shared.escaping import escape_plotly


def curves(history: pd.DataFrame, columns: list[str], title: str, height: float = 0.0) -> go.Figure:
    """Draw columns of a training history over its steps, the first in blue, the second in orange with markers.

    Args:
        history: has the column step and those named; NaN where nothing was measured.
        height: the least height of the y axis, so that small changes look small; 0 fits it to the values.
    """
    figure = go.Figure()
    for column, colour, mode in zip(columns, (BLUE, ORANGE), ("lines", "lines+markers"), strict=False):
        rows = history.dropna(subset=[column])
        figure.add_scatter(x=rows["step"], y=rows[column], name=column, mode=mode, line={"color": colour})
    figure.update_xaxes(title="step")
    figure.update_yaxes(title=title)
    low, high = history[columns].min().min(), history[columns].max().max()
    if high - low < height:
        figure.update_yaxes(range=[high - 0.9 * height, high + 0.1 * height])
    return finish(figure, 320)


def gains(summary: pd.DataFrame, measure: str) -> go.Figure:
    """Draw each variant's mean and standard deviation over seeds; a dashed line marks the default configuration.

    Args:
        summary: index variant, the default configuration first; columns measure and "<measure> spread".
    """
    names = [escape_plotly(name) for name in summary.index]
    default = summary[measure].iloc[0]
    figure = go.Figure(
        go.Scatter(
            x=summary[measure],
            y=names,
            mode="markers",
            marker={"color": [GREY, *[BLUE] * (len(names) - 1)], "size": 11},
            error_x={"array": summary[f"{measure} spread"], "color": GREY},
            hovertemplate="%{y}: %{x:.4f}<extra></extra>",
        )
    )
    figure.add_vline(x=default, line={"color": GREY, "dash": "dash"})
    figure.update_yaxes(type="category", autorange="reversed")
    figure.update_xaxes(title=f"mean {measure} over seeds")
    return finish(figure, 90 + 34 * len(names))
