"""The Documents page: the map, its table, and the card of the open document."""

import base64
import json
import re
from dataclasses import replace

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
from dashboard.views.documents.document_map import MOST_IN_SVG, Shown, density, figure, label_places


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
    placed = label_places(found)
    assert set(placed) == {0, 1, 2}
    same = replace(found, points=np.zeros_like(found.points))
    assert set(label_places(same)) == {0}, "the largest cluster's"
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
