"""Effectiveness of BM25 by the number of predicted queries per document: a chart and its table."""

import pandas as pd
import plotly.graph_objects as go
import streamlit as st

from core.evaluation.expansion_curve import MEASURES, Variant, curve_figures, curve_table, read_curve
from core.evaluation.measures import PerTopic
from core.workspace.artifacts import open_artifact, read_latest
from core.workspace.workspace import CollectionFolder
from dashboard.shared import data, export, widgets
from dashboard.shared.charts import BLUE, GREY, ORANGE, finish
from dashboard.shared.provenance import downloads_and_provenance
from dashboard.shared.widgets import SIGNED

STYLES = ((BLUE, "circle", -0.05), (ORANGE, "diamond", 0.05))
"""Colour, symbol and shift to the side of the line of each share of the queries."""


def draw_curve(opened: data.Opened, measure: str) -> None:
    """Draw the curve, or the command that measures it.

    Args:
        measure: the page's measure; nDCG@10 is shown if the curve does not have it.

    Raises:
        UserError: the curve is damaged.
    """
    place = opened.folder.expansion_curve
    st.header("Number of queries per document")
    if not place.path.exists():
        st.caption("BM25 by the number of predicted queries per document has not been measured. To measure it:")
        st.code(place.command, language=None, wrap_lines=True)
        return
    widgets.say_older(opened, {"doc2query-curve": "BM25 by the number of queries"})
    values = read_latest(lambda: open_artifact(place).digest, lambda digest: _values(opened.folder, digest))
    measure = measure if measure in MEASURES else MEASURES[0]
    table = curve_table(values, measure, opened.folder.name)
    name = f"{opened.folder.name}-expansion-curve"
    for sentence in table.sentences:
        st.write(sentence)
    export.chart(chart(curve_figures(values, measure), measure), name, table.caption)
    st.caption(
        "The first n queries of each document are indexed with it; error bars are 95 % CIs of the paired difference "
        "from no queries."
    )
    with st.expander("Values of this chart"):
        st.dataframe(
            table.shown.reset_index(),
            hide_index=True,
            height="content",
            placeholder="–",
            column_config=dict.fromkeys(MEASURES, st.column_config.NumberColumn(format="%.4f"))
            | {"difference": SIGNED},
            alt=table.caption,
        )
        made_from = {place.shown: open_artifact(place)}
        downloads_and_provenance(opened, name, table, "expansion-curve", {"measure": measure}, made_from=made_from)


@st.cache_data(max_entries=3, show_spinner=False)
def _values(folder: CollectionFolder, digest: str) -> dict[Variant, PerTopic]:
    return read_curve(folder, digest)


def chart(table: pd.DataFrame, measure: str) -> go.Figure:
    """Draw the mean against the number of queries, a line for each share; a dashed line marks no queries.

    Args:
        table: the table of `core.evaluation.expansion_curve.curve_figures`.
    """
    figure = go.Figure()
    places = {queries: place for place, queries in enumerate(dict.fromkeys(table["queries"]))}
    shares = table.groupby("keep", sort=False)
    for (keep, rows), (colour, symbol, shift) in zip(shares, STYLES, strict=False):
        figure.add_scatter(
            x=[places[queries] + shift * (queries > 0) for queries in rows["queries"]],
            y=rows["mean"],
            error_y={
                "array": rows["difference high"] - rows["difference"],
                "arrayminus": rows["difference"] - rows["difference low"],
                "thickness": 1,
            },
            mode="lines+markers",
            line={"color": colour},
            marker={"symbol": symbol, "size": 9},
            name="all queries" if keep == 1 else f"best {keep:.0%}",
            customdata=rows[["queries", "difference"]],
            hovertemplate="%{customdata[0]} queries: %{y:.4f} (%{customdata[1]:+.4f})<extra>%{fullData.name}</extra>",
        )
    figure.add_hline(y=table["mean"].iloc[0], line={"color": GREY, "dash": "dash"})
    figure.update_xaxes(
        title="predicted queries per document", tickvals=list(places.values()), ticktext=list(map(str, places))
    )
    figure.update_yaxes(title=f"mean {measure}")
    return finish(figure, 360)
