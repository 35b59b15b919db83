"""The map of the documents: clusters, density, and the documents that are relevant, retrieved or near a query."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go
import streamlit as st
from scipy.ndimage import gaussian_filter

from core.evaluation.document_map import DocumentMap, make_map, neighbours
from core.evaluation.rank_tables import titles_of
from core.retrieval.analyzer import open_analyzer
from core.retrieval.backends import searched_vectors
from core.workspace.artifacts import open_artifact, read_latest, read_whole
from core.workspace.profile import Profile, SystemSettings, find_settings
from core.workspace.timing import limited_threads
from core.workspace.workspace import CollectionFolder
from dashboard.shared import data
from dashboard.shared.charts import BLUE, DARK_GREY, GREY, ORANGE
from dashboard.shared.escaping import escape_plotly, shortened

MOST_IN_SVG, MOST_IN_WEBGL = 3_000, 20_000
"""Number of documents drawn as the background, a sample in larger collections; more would be one grey area."""
HEIGHT = 520
FEWEST_FOR_DENSITY = 50
BINS, SMOOTHING = 50, 1.5
"""Bins of the histogram along each axis, and the standard deviation, in bins, that it is smoothed with."""
WIDE, NARROW = np.array([0.0135, 0.066]), np.array([0.025, 0.085])
"""Width of a letter and height of a cluster's name, as shares of the map's, on a wide screen and on a phone."""
SHIFTS = (0, 1, -1, 2, -2)
"""Where a cluster's name may be written, in heights above the median of the cluster, in order of preference."""
MARK = 0.02
"""Radius of a mark as a share of the map's width and height."""
LABEL = {"bgcolor": "rgba(20, 28, 36, 0.78)", "borderpad": 2, "font": {"size": 12, "color": "#ffffff"}}
"""Look of a cluster's name, legible in both themes."""
HUES = ("#2F86C9", "#D55E00", "#009E73", "#CC79A7", "#B8860B", "#56B4E9")
"""Colours of clusters, used again after the sixth: the names on the map tell clusters apart."""
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


@dataclass(frozen=True)
class Shown:
    """What is drawn on the map beside all documents.

    Attributes:
        titles: document -> its name, for hovering.
        relevant: document -> grade, for the relevant documents of the topic.
        found: system label -> its top documents for the topic.
        chosen: the document that is open, or "".
        nearest: the documents whose vectors are most similar to that of the open document or of the query.
        query: the query's point, float32 [2]; None without a query.
    """

    titles: Mapping[str, str] = field(default_factory=dict)
    relevant: Mapping[str, int] = field(default_factory=dict)
    found: Mapping[str, list[str]] = field(default_factory=dict)
    chosen: str = ""
    nearest: Sequence[str] = ()
    query: np.ndarray | None = None


def mapped(opened: data.Opened, system: str) -> DocumentMap:
    """Return the map of a system's vectors.

    Raises:
        UserError: its vectors or the documents are missing or damaged.
    """
    vectors, collection = opened.folder.vectors(system), opened.folder.collection
    return read_latest(
        lambda: (open_artifact(vectors).digest, open_artifact(collection, included=True).digest),
        lambda digests: _mapped(opened.folder, opened.profile.model_dump_json(), system, digests),
    )


@st.cache_resource(max_entries=6, show_spinner="Projecting and clustering the vectors …")
def _mapped(folder: CollectionFolder, profile_json: str, system: str, digests: tuple[str, str]) -> DocumentMap:
    profile = Profile.model_validate_json(profile_json)
    opened, settings = data.Opened(folder, profile), find_settings(profile, system)
    vectors, documents = read_whole(
        folder.vectors(system), lambda _: searched_vectors(folder, settings), digest=digests[0]
    )
    texts = data.content(opened).documents
    with limited_threads(1):  # threads of BLAS wait for each other where other sessions keep the cores busy
        return make_map(vectors, documents, settings.similarity, texts, open_analyzer(profile.analyzer))


def all_titles(opened: data.Opened) -> Mapping[str, str]:
    """Return the name of every document, for hovering; nothing of a collection of more than `MOST_IN_SVG` documents.

    Raises:
        UserError: the documents are missing or damaged.
    """
    place = opened.folder.collection
    return read_latest(lambda: open_artifact(place, included=True).digest, lambda digest: _titles(opened, digest))


@st.cache_resource(max_entries=3, show_spinner=False, hash_funcs={data.Opened: lambda opened: str(opened.folder)})
def _titles(opened: data.Opened, digest: str) -> Mapping[str, str]:
    documents = data.content(opened).documents
    return titles_of(documents, list(documents)) if len(documents) <= MOST_IN_SVG else {}


def nearest_documents(opened: data.Opened, system: str, document: str, count: int) -> list[tuple[str, float]]:
    """Return the (document, similarity) of the documents whose vectors are most similar to a document's.

    Raises:
        UserError: its vectors are missing or damaged.
    """
    place = opened.folder.vectors(system)
    settings = find_settings(opened.profile, system)
    return read_latest(
        lambda: open_artifact(place).digest,
        lambda digest: _nearest(opened.folder, settings, document, count, digest),
    )


@st.cache_data(
    max_entries=200,
    hash_funcs={SystemSettings: SystemSettings.model_dump_json},
    show_spinner="Searching the nearest documents …",
)
def _nearest(
    folder: CollectionFolder, settings: SystemSettings, document: str, count: int, digest: str
) -> list[tuple[str, float]]:
    place = folder.vectors(settings.name)
    vectors, documents = read_whole(place, lambda _: searched_vectors(folder, settings), digest=digest)
    if document not in documents:
        return []
    with limited_threads(1):
        found = neighbours(vectors, settings.similarity, documents.index(document), count)
    return [(documents[place], value) for place, value in found]


def density(points: np.ndarray) -> go.Contour:
    """Return contours of the density of all documents, by a smoothed histogram.

    Args:
        points: float32 [n, 2].
    """
    low, high = points.min(axis=0), points.max(axis=0)
    margin = np.maximum((high - low) / 8, 1e-6)  # so that the outermost lines are closed
    limits = list(zip((low - margin).tolist(), (high + margin).tolist(), strict=True))
    counts, x, y = np.histogram2d(points[:, 0], points[:, 1], bins=BINS, range=limits)
    line = f"rgba({', '.join(str(int(GREY[at : at + 2], 16)) for at in (1, 3, 5))}, 0.5)"
    return go.Contour(
        x=(x[1:] + x[:-1]) / 2,
        y=(y[1:] + y[:-1]) / 2,
        z=gaussian_filter(counts.T, SMOOTHING),
        contours={"coloring": "none"},
        line={"color": line, "width": 1},
        ncontours=7,
        hoverinfo="skip",
        name="density",
        showlegend=False,
    )


def label_places(found: DocumentMap, marks: np.ndarray) -> dict[int, tuple[float, float]]:
    """Return where the names of clusters are written: at the median of each, or a little above or below.

    Larger clusters come first. A name that would cover another one or a mark everywhere is left out.

    Args:
        marks: float32 [m, 2], the points that names do not cover.
    """
    span = np.ptp(found.points, axis=0) if len(found.points) else np.ones(2)
    placed: dict[int, tuple[float, float]] = {}
    for number, name in enumerate(found.names):
        median = np.median(found.points[found.clusters == number], axis=0)
        half = _half_size(name, WIDE, span)
        for shift in SHIFTS:
            place = median + [0, 2 * shift * half[1]]
            if not (_covers(place, half, marks, span) or _overlaps(place, half, placed, found.names, WIDE, span)):
                placed[number] = (float(place[0]), float(place[1]))
                break
    return placed


def crowded(found: DocumentMap, placed: Mapping[int, tuple[float, float]], marks: np.ndarray) -> list[int]:
    """Return which of the placed names, counted from 0, would cover a larger cluster's name or a mark on a phone."""
    span = np.ptp(found.points, axis=0) if len(found.points) else np.ones(2)
    kept: dict[int, tuple[float, float]] = {}
    for number, place in placed.items():
        half = _half_size(found.names[number], NARROW, span)
        at = np.array(place)
        if not (_covers(at, half, marks, span) or _overlaps(at, half, kept, found.names, NARROW, span)):
            kept[number] = place
    return [index for index, number in enumerate(placed) if number not in kept]


def _half_size(name: str, size: np.ndarray, span: np.ndarray) -> np.ndarray:
    """Return half the width and the height of a name, in the units of the map, float64 [2]."""
    half: np.ndarray = size * [len(name), 1] * span / 2
    return half


def _covers(place: np.ndarray, half: np.ndarray, marks: np.ndarray, span: np.ndarray) -> bool:
    """Return whether a name of that half size at that place would cover one of the marks."""
    return bool((np.abs(marks - place) < half + MARK * span).all(axis=1).any())


def _overlaps(
    place: np.ndarray,
    half: np.ndarray,
    placed: Mapping[int, tuple[float, float]],
    names: Sequence[str],
    size: np.ndarray,
    span: np.ndarray,
) -> bool:
    """Return whether a name of that half size at that place would overlap one that is placed."""
    return any(
        bool((np.abs(place - other) <= half + _half_size(names[number], size, span)).all())
        for number, other in placed.items()
    )


def marks_of(found: DocumentMap, shown: Shown) -> np.ndarray:
    """Return the points that are marked on the map, float32 [m, 2]."""
    marked = {*shown.relevant, *shown.nearest, shown.chosen, *(one for some in shown.found.values() for one in some)}
    marks = found.points[[place for place, name in enumerate(found.documents) if name in marked]]
    return marks if shown.query is None else np.vstack([marks, shown.query])


def narrow_style(found: DocumentMap, shown: Shown) -> str:
    """Return a style that hides the names of clusters that would overlap on a phone."""
    marks = marks_of(found, shown)
    hidden = [f'[data-index="{index}"]' for index in crowded(found, label_places(found, marks), marks)]
    rule = f".st-key-document-map g.annotation:is({', '.join(hidden)}) {{ display: none; }}" if hidden else ""
    return f"<style>@media (max-width: 640px) {{ {rule} }}</style>"


def figure(found: DocumentMap, shown: Shown, webgl: bool) -> go.Figure:
    """Draw the map; the custom data of every point is its document id.

    Args:
        webgl: draw with WebGL, which draws more documents.
    """
    places = pd.DataFrame(found.points, columns=["x", "y"], index=pd.Index(found.documents, name="document"))
    places["cluster"] = found.clusters
    background, most = places, MOST_IN_WEBGL if webgl else MOST_IN_SVG
    if len(places) > most:
        kept = np.random.default_rng(13).choice(len(places), most, replace=False)
        background = places.iloc[np.sort(kept)]
    drawn = go.Figure()
    scatter = go.Scattergl if webgl else go.Scatter

    def add(table: pd.DataFrame, name: str, marker: dict[str, Any]) -> None:
        opacity = {"marker": {"opacity": marker.get("opacity", 1)}}
        drawn.add_trace(
            scatter(
                x=table["x"],
                y=table["y"],
                name=escape_plotly(name),
                mode="markers",
                marker=marker,
                customdata=list(table.index),
                hovertext=[_hover(found, shown, str(name), number) for name, number in table["cluster"].items()],
                hovertemplate="%{hovertext}<extra></extra>",
                selected=opacity,
                unselected=opacity,
            )
        )

    def marked(documents: Iterable[str]) -> pd.DataFrame:
        return places.loc[[document for document in documents if document in places.index]]

    some = f"{len(background):,} of " if len(background) < len(places) else ""
    unmarked = not (shown.relevant or shown.found or shown.nearest)
    colours = [HUES[number % len(HUES)] if number >= 0 else GREY for number in background["cluster"]]
    look = {"color": colours if unmarked else GREY, "size": 5 if unmarked else 4, "opacity": 0.55 if unmarked else 0.35}
    add(background, f"documents ({some}{len(places):,})", look)
    if len(places) >= FEWEST_FOR_DENSITY:
        drawn.add_trace(density(found.points))
    for grade in sorted(set(shown.relevant.values())):
        table = marked(document for document, value in shown.relevant.items() if value == grade)
        add(table, f"relevant, grade {grade} ({len(table)})", {"color": BLUE, "size": 5 + 2 * min(grade, 4)})
    for number, (system, documents) in enumerate(shown.found.items()):
        colour, symbol = MARKS[number % len(MARKS)]
        # Rings of growing size, so that a document retrieved by several systems shows them all.
        marker = {"color": colour, "symbol": symbol, "size": 12 + 4 * number, "line": {"width": 2, "color": colour}}
        add(marked(documents), f"{system}: top {len(documents)}", marker)
    if shown.nearest:
        table = marked(shown.nearest)
        add(table, f"nearest ({len(table)})", {"color": ORANGE, "symbol": "circle", "size": 9})
    if shown.query is not None:
        x, y = shown.query.tolist()
        star = {"color": ORANGE, "symbol": "star", "size": 18, "line": {"width": 1, "color": "white"}}
        drawn.add_scatter(x=[x], y=[y], name="query", mode="markers", marker=star, hoverinfo="name")
    for number, (x, y) in label_places(found, marks_of(found, shown)).items():
        text = f"<b>{escape_plotly(found.names[number])}</b>"
        drawn.add_annotation(x=x, y=y, text=text, showarrow=False, **LABEL)
    if shown.chosen in places.index:
        x, y = places.loc[shown.chosen, ["x", "y"]]
        drawn.add_annotation(x=float(x), y=float(y), text="selected", ax=0, ay=-36)
    first, second = found.projection.shares.tolist()
    drawn.update_xaxes(
        title=f"PC 1 ({first:.0%} of the variance)", zeroline=False, showgrid=False, showticklabels=False, ticks=""
    )
    drawn.update_yaxes(title=f"PC 2 ({second:.0%})", zeroline=False, showgrid=False, showticklabels=False, ticks="")
    # No dragging, so that swiping over the map scrolls the page on a phone; the buttons above it zoom.
    drawn.update_layout(height=HEIGHT, margin={"l": 8, "r": 8, "t": 36, "b": 8}, dragmode=False)
    drawn.update_layout(clickmode="event+select", hovermode="closest")
    drawn.update_layout(legend={"orientation": "h", "y": -0.12, "yanchor": "top", "x": 0})
    drawn.update_layout(showlegend=not unmarked or bool(some))  # the page's first sentence has the number of documents
    return drawn


def _hover(found: DocumentMap, shown: Shown, document: str, number: int) -> str:
    title = escape_plotly(shortened(shown.titles.get(document) or f"document {document}", 80))
    return f"{title}<br>{escape_plotly(found.names[number])}" if number >= 0 else title
