"""The Documents page: the map, its table, and the card of the open document."""

import base64
import json
import re
from contextlib import nullcontext
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from made_up import DOCUMENTS, HOSTILE_QUERY, HOSTILE_TEXT, HOSTILE_TITLE, QRELS, Open, lists, warnings
from test_search import ranking

from core.evaluation.document_map import DocumentMap, make_map
from core.formats.documents import Document
from core.retrieval.analyzer import open_analyzer
from core.retrieval.answer import Answer
from core.retrieval.systems import DenseSystem
from core.workspace.artifacts import writing
from core.workspace.profile import AnalyzerSettings
from core.workspace.workspace import CollectionFolder
from dashboard.shared.escaping import escape_markdown
from dashboard.views.documents import document_map
from dashboard.views.documents.document_map import (
    MOST_IN_SVG,
    Shown,
    crowded,
    density,
    figure,
    label_places,
    narrow_style,
)


@pytest.fixture
def vectors(made_up: CollectionFolder) -> np.ndarray:
    """The vectors of the system "dense"."""
    rows = np.random.default_rng(5).normal(size=(len(DOCUMENTS), 6)).astype(np.float32)
    with writing(made_up.vectors("dense"), "encode", {}, {}) as partial:
        np.save(partial / "vectors.npy", rows)
        (partial / "document_ids.json").write_text(json.dumps(list(DOCUMENTS)))
    return rows


def traces(app) -> dict[str, dict]:
    spec = json.loads(app.get("plotly_chart")[0].proto.spec)
    return {trace["name"].split(" (")[0].split(":")[0]: trace for trace in spec["data"]}


def test_the_map_marks_what_is_relevant_and_what_each_system_found(
    open_page: Open, made_up: CollectionFolder, vectors
) -> None:
    drawn = traces(open_page("documents", topic="1", systems="bm25"))
    assert drawn["documents"]["customdata"] == list(DOCUMENTS)
    assert drawn["documents"]["type"] == "scatter"
    assert drawn["relevant, grade 2"]["customdata"] == ["d1"]
    assert drawn["relevant, grade 1"]["customdata"] == ["d2"]
    assert drawn["BM25"]["customdata"] == ranking(made_up, "bm25", "1")[:10]
    assert len(drawn) == 4, "what did not run is not marked, and not relevant is not relevant"


def test_the_table_has_each_marked_document_with_its_grade_and_ranks(
    open_page: Open, made_up: CollectionFolder, vectors
) -> None:
    table = open_page("documents", topic="1").dataframe[0].value.set_index("document")
    found = ranking(made_up, "bm25", "1")
    assert set(table.index) == {d for d, grade in QRELS["1"].items() if grade} | set(found[:10])
    assert table["BM25"]["d2"] == found.index("d2") + 1
    assert table["grade"]["d1"] == "●● relevant (2)"
    assert table["grade"]["d5"] == "? unjudged"
    assert list(table["grade"])[:2] == ["●● relevant (2)", "● partly relevant (1)"]


def test_a_link_opens_a_document_and_close_closes_it(open_page: Open, made_up: CollectionFolder, vectors) -> None:
    app = open_page("documents", topic="1", document="d1")
    assert f"**{escape_markdown(HOSTILE_TITLE)}**" in [element.value for element in app.markdown]
    assert HOSTILE_TEXT in [element.value for element in app.text]
    app.button[0].click().run()
    assert "document" not in app.query_params
    assert HOSTILE_TEXT not in [element.value for element in app.text]
    assert "no document gone" in open_page("documents", document="gone").info[0].value


def test_a_document_without_title_is_called_by_its_first_words_on_every_page(
    open_page: Open, made_up: CollectionFolder, vectors
) -> None:
    name = escape_markdown("Masks in schools.")
    app = open_page("documents", topic="02", document="d4")
    assert f"**{name}**" in [element.value for element in app.markdown]
    assert frame_with(app, "BM25").set_index("document")["title"]["d4"] == "Masks in schools."
    for app in (open_page("search", query="masks", systems="bm25"), open_page("topic", topic="02")):
        assert ">Masks in schools.</" in re.sub("</?mark>", "", "".join(lists(app)))
    frames = [frame.value for frame in open_page("expansion", topic="02", depth="100").dataframe]
    moved = pd.concat([frame for frame in frames if "title" in frame])
    assert moved.set_index("document")["title"]["d4"] == "Masks in schools."


def test_without_vectors_the_page_says_how_to_get_them(open_page: Open, made_up: CollectionFolder) -> None:
    app = open_page("documents")
    assert "`python scripts/build.py --profile artifacts/made-up/profile.json`" in app.warning[-1].value


def frame_with(app, column: str) -> pd.DataFrame:
    return next(frame.value for frame in app.dataframe if column in frame.value)


def test_the_nearest_documents_of_the_open_one_are_listed_and_marked(
    open_page: Open, made_up: CollectionFolder, vectors: np.ndarray
) -> None:
    rows = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    expected = [list(DOCUMENTS)[place] for place in np.argsort(-(rows @ rows[0]))[1:]]
    app = open_page("documents", document="d1")
    table = frame_with(app, "similarity")
    assert list(table["document"]) == expected
    assert list(table["similarity"]) == pytest.approx(sorted(rows[1:] @ rows[0], reverse=True), abs=1e-5)
    assert traces(app)["nearest"]["customdata"] == expected
    graded = frame_with(open_page("documents", document="d1", topic="1"), "similarity").set_index("document")
    assert graded["grade"]["d2"] == "● partly relevant (1)"


def test_a_query_is_a_point_and_lists_its_nearest_documents(
    open_page: Open, made_up: CollectionFolder, vectors: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Dense(DenseSystem):
        def __init__(self) -> None:
            pass

        def encode(self, queries: list[str]) -> np.ndarray:
            return 2 * vectors[3:4]

        def search(self, queries: list[str], k: int | list[int]) -> list[Answer]:
            return [Answer([("d4", 1.0), ("d1", 0.5)], {})]

    monkeypatch.setattr("core.workspace.models.find_model", lambda workspace, name: made_up.path)
    monkeypatch.setattr("core.retrieval.kinds.open_system", lambda *arguments, **opened: Dense())
    app = open_page("documents", query=HOSTILE_QUERY)
    assert list(frame_with(app, "similarity")["document"]) == ["d4", "d1"]
    drawn = traces(app)
    place = drawn["documents"]["customdata"].index("d4")
    for axis in "xy":
        assert points_of(drawn["query"][axis])[0] == pytest.approx(points_of(drawn["documents"][axis])[place], abs=1e-5)


def test_a_query_without_the_model_leaves_the_map(open_page: Open, made_up: CollectionFolder, vectors) -> None:
    app = open_page("documents", query="masks")
    assert "such-a-model is not on this machine" in warnings(app)
    assert "query" not in traces(app)


def points_of(values: dict | list) -> list[float]:
    """Return the coordinates of a trace, which Plotly writes as base64."""
    if isinstance(values, list):
        return values
    return np.frombuffer(base64.b64decode(values["bdata"]), values["dtype"]).tolist()


def map_of(rows: np.ndarray, names: list[str]) -> DocumentMap:
    texts = {
        name: Document(name, "", f"{['<i>bats', 'masks', 'vaccines'][place % 3]}") for place, name in enumerate(names)
    }
    return make_map(rows, names, "dot", texts, open_analyzer(AnalyzerSettings()))


def test_the_page_opens_with_the_clusters_and_their_names_on_the_map(open_page: Open) -> None:
    app = open_page("documents", collection="sample", topic="", a="fine-tuned")
    table = frame_with(app, "cluster")
    assert table["documents"].sum() == 777
    assert f"in {len(table)} clusters; the largest ({table['documents'][0]}): " in app.markdown[0].value.replace(
        "\\", ""
    )
    layout = json.loads(app.get("plotly_chart")[0].proto.spec)["layout"]
    written = {annotation["text"] for annotation in layout["annotations"]}
    assert written <= {f"<b>{name}</b>" for name in table["cluster"]} and f"<b>{table['cluster'][0]}</b>" in written


def test_names_of_clusters_do_not_overlap_and_are_no_html() -> None:
    rows = np.repeat(np.eye(3, dtype=np.float32), 40, axis=0)
    found = replace(map_of(rows, [f"d{n}" for n in range(120)]), names=["<b>one", "two", "three"])
    placed = label_places(found, NO_MARKS)
    assert set(placed) == {0, 1, 2}
    same = replace(found, points=np.zeros_like(found.points))
    assert set(label_places(same, NO_MARKS)) == {0}, "the largest cluster's"
    assert "<b><b>" not in figure(found, Shown(), webgl=False).to_json()


def test_many_documents_are_drawn_by_webgl_and_without_it_some_but_every_mark() -> None:
    rows = np.random.default_rng(6).normal(size=(MOST_IN_SVG + 500, 3)).astype(np.float32)
    found = map_of(rows, [f"d{number}" for number in range(len(rows))])
    evil = "<b onclick=x>"
    shown = Shown({"d1": evil}, {"d1": 1, "gone": 1}, {evil: ["d2", "d3"]}, "d1")
    everything, some = figure(found, shown, webgl=True), figure(found, shown, webgl=False)
    assert [trace.type for trace in everything.data] == ["scattergl", "contour", "scattergl", "scattergl"]
    assert [trace.type for trace in some.data] == ["scatter", "contour", "scatter", "scatter"]
    assert [len(trace.x) for trace in everything.data if trace.type != "contour"] == [len(rows), 1, 2]
    assert [len(trace.x) for trace in some.data if trace.type != "contour"] == [MOST_IN_SVG, 1, 2]
    assert f"{MOST_IN_SVG:,} of {len(rows):,}" in some.data[0].name
    assert "<b onclick" not in everything.to_json() and "<i>" not in everything.to_json()


def test_of_very_many_documents_webgl_draws_a_sample_and_every_mark(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dashboard.views.documents.document_map.MOST_IN_WEBGL", 50)
    found = map_of(np.zeros((2000, 2), np.float32), [f"d{number}" for number in range(2000)])
    marks = {f"d{number}": 1 for number in range(0, 2000, 20)}
    drawn = figure(found, Shown(relevant=marks, found={"BM25": ["d1999"]}), webgl=True)
    assert [len(trace.x) for trace in drawn.data if trace.type != "contour"] == [50, 100, 1]
    assert len(set(drawn.data[0].customdata)) == 50
    assert "50 of 2,000" in drawn.data[0].name


def test_the_density_of_documents_is_highest_where_most_are() -> None:
    points = np.concatenate([np.random.default_rng(1).normal(size=(300, 2)), [[9, 9]]]).astype(np.float32)
    drawn = density(points)
    row, column = np.unravel_index(np.argmax(drawn.z), drawn.z.shape)
    assert abs(drawn.x[column]) < 1 and abs(drawn.y[row]) < 1


NO_MARKS = np.zeros((0, 2))


def scattered(names: list[str], centres: list[tuple[float, float]]) -> DocumentMap:
    """Return a map of which every cluster has its median at a given point, on the unit square."""
    points = np.array([*centres, (0, 0), (1, 1)], dtype=np.float32)
    clusters = np.array([*range(len(centres)), -1, -1])
    documents = [f"d{number}" for number in range(len(points))]
    return DocumentMap(documents, None, points, clusters, [], names)


def test_a_name_moves_away_from_a_larger_cluster_and_from_a_mark() -> None:
    found = scattered(["one", "two"], [(0.5, 0.5), (0.5, 0.51)])
    placed = label_places(found, NO_MARKS)
    assert placed[0] == pytest.approx((0.5, 0.5))
    assert placed[1][0] == pytest.approx(0.5) and placed[1][1] > 0.5 + 0.06, "a height above the other"
    marked = label_places(found, np.array([[0.51, 0.5]]))
    assert abs(marked[0][1] - 0.5) > 0.03 and len(set(marked.values())) == 2
    column = np.column_stack([np.full(300, 0.5), np.linspace(0, 1, 300)])
    assert label_places(found, column) == {}, "the marks leave no room"


def test_on_a_phone_the_names_that_would_overlap_are_hidden() -> None:
    apart = scattered(["a" * 20, "b" * 20, "c" * 20], [(0.2, 0.5), (0.6, 0.5), (0.4, 0.1)])
    placed = label_places(apart, NO_MARKS)
    assert set(placed) == {0, 1, 2}
    assert crowded(apart, placed, NO_MARKS) == [1]
    assert crowded(apart, placed, np.array([[0.4, 0.16]])) == [1, 2]
    style = narrow_style(apart, Shown())
    assert 'g.annotation:is([data-index="1"]) { display: none; }' in style


def test_the_map_is_drawn_before_the_model_of_the_query_is_loaded(
    open_page: Open, made_up: CollectionFolder, vectors: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    order: list[str] = []
    drawn = document_map.figure
    monkeypatch.setattr(
        document_map, "figure", lambda found, shown, webgl: order.append("map") or drawn(found, shown, webgl)
    )
    monkeypatch.setattr("dashboard.shared.live.ready_system", lambda *arguments: order.append("model") or ready())
    app = open_page("documents", query="masks")
    assert order == ["map", "model", "map"]
    assert len(app.get("plotly_chart")) == 1, "the second replaces the first"
    app.run()
    assert order == ["map", "model", "map", "map"], "the same query is not encoded again"


def ready() -> SimpleNamespace:
    """Return an open system that encodes every query as the first unit vector."""
    system = DenseSystem.__new__(DenseSystem)
    system.encode = lambda queries: np.eye(1, 6, dtype=np.float32)
    system.search = lambda queries, k: [Answer([("d4", 1.0)], {})]
    return SimpleNamespace(system=system, lock=nullcontext())
