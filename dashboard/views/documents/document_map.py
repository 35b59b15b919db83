"""The map of the documents: their vectors in two dimensions, with relevant and retrieved documents marked."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go
import streamlit as st

from core.retrieval.encoder import load_vectors
from core.retrieval.projection import project
from core.retrieval.systems import find_settings
from core.workspace.artifacts import open_artifact, read_latest, read_whole
from core.workspace.timing import limited_threads
from core.workspace.workspace import CollectionFolder
from dashboard.shared import data
from dashboard.shared.charts import BLUE, DARK_GREY, GREY, ORANGE
from dashboard.shared.escaping import escape_plotly, shortened

MOST_IN_SVG, MOST_IN_WEBGL = 3_000, 20_000
"""Number of documents drawn as the background, a sample in larger collections; more would be one grey area."""
HEIGHT = 520
CONFIG = {
    "displayModeBar": True,
    "displaylogo": False,
    "modeBarButtons": [["zoomIn2d", "zoomOut2d", "resetScale2d", "toImage"]],
}
# Okabe & Ito's colours that are legible on light and dark backgrounds, each with its own shape.
MARKS = [
    (ORANGE, "square-open"),
    ("#009E73", "diamond-open"),
    ("#CC79A7", "triangle-up-open"),
    ("#B8860B", "pentagon-open"),
    ("#56B4E9", "triangle-down-open"),
    (DARK_GREY, "hexagon-open"),
]


def points(opened: data.Opened, system: str) -> tuple[pd.DataFrame, tuple[float, float]]:
    """Return the documents' coordinates (index document, columns x, y), and the share of variance of each axis.

    Raises:
        UserError: its vectors are missing or damaged.
    """
    place, similarity = opened.folder.vectors(system), find_settings(opened.profile, system).similarity
    return read_latest(
        lambda: open_artifact(place).digest, lambda digest: _points(opened.folder, system, similarity, digest)
    )


@st.cache_resource(max_entries=6, show_spinner="Projecting the vectors …")
def _points(
    folder: CollectionFolder, system: str, similarity: str, digest: str
) -> tuple[pd.DataFrame, tuple[float, float]]:
    place = folder.vectors(system)
    vectors, documents = read_whole(place, lambda _: load_vectors(folder, system), digest=digest)
    with limited_threads(1):  # threads of BLAS wait for each other where other sessions keep the cores busy
        places, shares = project(vectors, similarity)
    table = pd.DataFrame(places, columns=["x", "y"], index=pd.Index(documents, name="document"))
    return table, (float(shares[0]), float(shares[1]))


def figure(
    places: pd.DataFrame,
    shares: tuple[float, float],
    titles: Mapping[str, str],
    relevant: Mapping[str, int],
    found: Mapping[str, list[str]],
    chosen: str,
    webgl: bool,
) -> go.Figure:
    """Draw the map; the custom data of every point is its document id.

    Args:
        places: index document, columns x, y.
        shares: the share of the variance along each axis.
        titles: document -> title, for the marked documents.
        relevant: document -> grade, for the relevant documents.
        found: system label -> its top documents.
        chosen: the document that is open, or "".
        webgl: draw with WebGL, which draws more documents.
    """
    background, most = places, MOST_IN_WEBGL if webgl else MOST_IN_SVG
    if len(places) > most:
        kept = np.random.default_rng(13).choice(len(places), most, replace=False)
        background = places.iloc[np.sort(kept)]
    drawn = go.Figure()
    scatter = go.Scattergl if webgl else go.Scatter

    def add(table: pd.DataFrame, name: str, marker: dict[str, Any], hover: list[str] | None = None) -> None:
        opacity = {"marker": {"opacity": marker.get("opacity", 1)}}
        drawn.add_trace(
            scatter(
                x=table["x"],
                y=table["y"],
                name=escape_plotly(name),
                mode="markers",
                marker=marker,
                customdata=list(table.index),
                hovertext=hover,
                hovertemplate="%{hovertext}<extra></extra>" if hover else "document %{customdata}<extra></extra>",
                selected=opacity,
                unselected=opacity,
            )
        )

    def marked(documents: list[str]) -> tuple[pd.DataFrame, list[str]]:
        here = [document for document in documents if document in places.index]
        return places.loc[here], [escape_plotly(shortened(titles.get(d) or d, 80)) for d in here]

    some = f"{len(background):,} of " if len(background) < len(places) else ""
    add(background, f"documents ({some}{len(places):,})", {"color": GREY, "size": 4, "opacity": 0.35})
    for grade in sorted(set(relevant.values())):
        table, hover = marked([document for document, value in relevant.items() if value == grade])
        add(table, f"relevant, grade {grade} ({len(table)})", {"color": BLUE, "size": 5 + 2 * min(grade, 4)}, hover)
    for number, (system, documents) in enumerate(found.items()):
        table, hover = marked(documents)
        colour, symbol = MARKS[number % len(MARKS)]
        # Rings of growing size, so that a document retrieved by several systems shows them all.
        marker = {"color": colour, "symbol": symbol, "size": 12 + 4 * number, "line": {"width": 2, "color": colour}}
        add(table, f"{system}: top {len(documents)}", marker, hover)
    if chosen in places.index:
        x, y = places.loc[chosen]
        drawn.add_annotation(x=float(x), y=float(y), text="selected", ax=0, ay=-36)
    drawn.update_xaxes(title=f"PC 1 ({shares[0]:.0%} of the variance)", zeroline=False, showticklabels=False)
    drawn.update_yaxes(title=f"PC 2 ({shares[1]:.0%})", zeroline=False, showticklabels=False)
    # No dragging, so that swiping over the map scrolls the page on a phone; the buttons above it zoom.
    drawn.update_layout(height=HEIGHT, margin={"l": 8, "r": 8, "t": 36, "b": 8}, dragmode=False)
    drawn.update_layout(clickmode="event+select", hovermode="closest")
    drawn.update_layout(legend={"orientation": "h", "y": -0.12, "yanchor": "top", "x": 0})
    return drawn
