"""The Documents page: the map, its table, and the card of the open document."""

import json
import re

import numpy as np
import pandas as pd
import pytest
from made_up import DOCUMENTS, HOSTILE_TEXT, HOSTILE_TITLE, QRELS, Open, lists
from test_search import ranking

from core.retrieval.projection import project
from core.workspace.artifacts import writing
from core.workspace.workspace import CollectionFolder
from dashboard.shared.escaping import escape_markdown
from dashboard.views.documents.document_map import MOST_IN_SVG, figure


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
    assert app.dataframe[0].value.set_index("document")["title"]["d4"] == "Masks in schools."
    for app in (open_page("search", query="masks", systems="bm25"), open_page("topic", topic="02")):
        assert "<strong>Masks in schools.</strong>" in re.sub("</?mark>", "", "".join(lists(app)))
    frames = [frame.value for frame in open_page("expansion", topic="02", depth="100").dataframe]
    moved = pd.concat([frame for frame in frames if "title" in frame])
    assert moved.set_index("document")["title"]["d4"] == "Masks in schools."


def test_without_vectors_the_page_says_how_to_get_them(open_page: Open, made_up: CollectionFolder) -> None:
    app = open_page("documents")
    assert "`python scripts/build.py --profile artifacts/made-up/profile.json`" in app.warning[-1].value


def test_many_documents_are_drawn_by_webgl_and_without_it_some_but_every_mark() -> None:
    rows = np.random.default_rng(6).normal(size=(MOST_IN_SVG + 500, 3)).astype(np.float32)
    names = [f"d{number}" for number in range(len(rows))]
    points, _ = project(rows, "dot")
    places = pd.DataFrame(points, columns=["x", "y"], index=names)
    evil = "<b onclick=x>"
    arguments = (places, (0.5, 0.3), {"d1": evil}, {"d1": 1, "gone": 1}, {evil: ["d2", "d3"]}, "d1")
    everything, some = figure(*arguments, webgl=True), figure(*arguments, webgl=False)
    assert {trace.type for trace in everything.data} == {"scattergl"}
    assert {trace.type for trace in some.data} == {"scatter"}
    assert [len(trace.x) for trace in everything.data] == [len(rows), 1, 2]
    assert [len(trace.x) for trace in some.data] == [MOST_IN_SVG, 1, 2]
    assert f"{MOST_IN_SVG:,} of {len(rows):,}" in some.data[0].name
    assert "<b" not in everything.to_json()


def test_of_very_many_documents_webgl_draws_a_sample_and_every_mark(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dashboard.views.documents.document_map.MOST_IN_WEBGL", 50)
    places = pd.DataFrame(np.zeros((2000, 2)), columns=["x", "y"], index=[f"d{number}" for number in range(2000)])
    marks = {f"d{number}": 1 for number in range(0, 2000, 20)}
    drawn = figure(places, (0.5, 0.3), {}, marks, {"BM25": ["d1999"]}, "", webgl=True)
    assert [len(trace.x) for trace in drawn.data] == [50, 100, 1]
    assert len(set(drawn.data[0].customdata)) == 50
    assert "50 of 2,000" in drawn.data[0].name
