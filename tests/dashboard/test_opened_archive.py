"""Pages of a collection that was packed and opened elsewhere: equal with all parts, and what they say without some."""

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from made_up import PAGES, Open, add_sweep, warnings
from streamlit.testing.v1 import AppTest

from core import pack
from core.workspace.opening import open_archive, opened
from core.workspace.workspace import CHECKOUT, VARIABLE, CollectionFolder, Workspace

Carry = Callable[..., CollectionFolder]
SAMPLE = Workspace(CHECKOUT / "artifacts").collection("sample")
COPY = "carried"
COPY_PROFILE = f"artifacts/{COPY}/profile.json"
PARAMETERS = {page: {"topic": "1"} for page in PAGES} | {
    "search": {"query": "coronavirus immunity", "systems": "bm25-doc2query"}
}
MEASURED_NOW = re.compile(r"(< )?\b[\d.,]+ ms\b|Median of \d+ searches|One search")


def shown(app: AppTest) -> list[tuple[str, str]]:
    """Return everything that a page shows: kind and value of each element, without ids and what was just measured."""
    found: list[tuple[str, str]] = []

    def visit(node: Any) -> None:
        if children := getattr(node, "children", None):
            for child in children.values():
                visit(child)
            return
        value = getattr(node, "value", None)
        text = str(getattr(node, "proto", value))
        if isinstance(value, pd.DataFrame):  # another name changes the sizes of manifests by some bytes
            text = value.drop(columns="size (MB)", errors="ignore").to_csv()
        text = re.sub(r'(id|url|media_file_id|element_id|form_id|formId): "[^"]*"', "", text)
        found.append((node.type, MEASURED_NOW.sub("", text).replace(COPY_PROFILE, "sample").replace(COPY, "sample")))

    visit(app.main)
    return found


def carried(folder: CollectionFolder, to: Path, name: str, *options: str) -> CollectionFolder:
    """Pack a collection, open it in another workspace and return it there."""
    archive = to / "archive.zip"
    pack.main([folder.name, "--to", str(archive), *options])
    other = Workspace(to / "elsewhere" / "artifacts")
    with opened(archive) as checked:
        return open_archive(other, checked, name).folder


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> CollectionFolder:
    """The sample, packed here and opened under another name in another workspace."""
    folder = carried(SAMPLE, tmp_path_factory.mktemp("packed"), COPY)
    for name in ("ablations", "checks", "overfitting"):  # which archives do not include
        shutil.copytree(CHECKOUT / "artifacts" / name, folder.workspace.root / name)
    return folder


@pytest.mark.parametrize("page", PAGES)
def test_every_page_of_the_sample_is_equal_elsewhere(
    open_page: Open, page: str, copy: CollectionFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = shown(open_page(page, collection="sample", **PARAMETERS[page]))
    monkeypatch.setenv(VARIABLE, str(copy.workspace.root))
    assert shown(open_page(page, collection=COPY, **PARAMETERS[page])) == here


@pytest.fixture
def carry(made_up: CollectionFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Carry:
    """A function that packs the made-up collection and makes the workspace where it is opened the dashboard's."""
    add_sweep(made_up)

    def carry_it(*options: str) -> CollectionFolder:
        there = carried(made_up, tmp_path, "", *options)
        shutil.rmtree(made_up.workspace.root)  # with the source of the collection
        monkeypatch.setenv(VARIABLE, str(there.workspace.root))
        return there

    return carry_it


def test_every_page_of_a_small_collection_is_equal_without_its_source(open_page: Open, carry: Carry) -> None:
    before = {page: shown(open_page(page, topic="1", query="fever")) for page in PAGES}
    carry()
    for page in PAGES:
        assert shown(open_page(page, topic="1", query="fever")) == before[page], page


def test_without_texts_every_page_says_so_and_shows_the_same_figures(open_page: Open, carry: Carry) -> None:
    def figures(app: AppTest) -> list[tuple[str, str]]:
        of_texts = ("not included", "licence", "rs-example")  # the example topics of the Summary show titles
        return [part for part in shown(app) if not any(mark in part[1] for mark in of_texts)]

    before = {page: figures(open_page(page, topic="1", query="fever")) for page in PAGES}
    folder = carry("--without", "texts")
    command = "python scripts/build.py --profile artifacts/made-up/profile.json --only collection"
    for page in PAGES:
        app = open_page(page, topic="1", query="fever")
        (notice,) = [
            caption.value for caption in app.caption if "texts of the documents are not included" in caption.value
        ]
        assert f"`{command}`" in notice
        if page in ("summary", "ann", "runs", "report"):
            assert figures(app) == before[page]
    assert json.loads((folder.collection / "left-out.json").read_text()) == ["corpus.jsonl"]


def test_without_texts_documents_are_shown_by_id(open_page: Open, carry: Carry) -> None:
    carry("--without", "texts")
    lists = "".join(element.body for element in open_page("search", query="fever").get("html"))
    assert lists.count("text not included") == lists.count("<li") > 0
    assert "document d2" in lists and "(fever)" in lists and "Fever in children" not in lists
    topic = open_page("topic", topic="1", document="d2")
    assert any("<td>fever</td>" in element.proto.body for element in topic.get("html"))
    documents = open_page("documents", document="d2")
    assert not documents.exception


def test_what_is_not_included_is_not_stale_on_the_artifacts_page(open_page: Open, carry: Carry) -> None:
    carry("--without", "texts,predicted-queries")
    frames = [frame.value for frame in open_page("artifacts").dataframe]
    table = next(frame for frame in frames if "command" in frame).set_index("artifact")
    assert table["state"]["collection"] == table["state"]["bm25/expanded"] == "◌ not included"
    assert table["reason"]["collection"] == "not included in the archive that it came from: corpus.jsonl"
    assert table["command"]["collection"].endswith("--only collection")
    assert table["state"]["runs/expanded"] == "● up to date"
    page = open_page("expansion", topic="1")
    assert "doc2query/expansions.jsonl is not included in the archive" in warnings(page)


def test_without_predicted_queries_the_expanded_system_answers(open_page: Open, carry: Carry) -> None:
    def found(app: AppTest) -> list[str]:
        return re.findall(r"document (d\d)<", "".join(element.body for element in app.get("html")))

    before = found(open_page("search", query="masks in schools", systems="expanded"))
    carry("--without", "predicted-queries")
    page = open_page("search", query="masks in schools", systems="expanded")
    assert found(page) == before != []
    assert "bm25/expanded/predicted.jsonl is not included in the archive" in warnings(page)
