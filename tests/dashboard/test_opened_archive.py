"""Pages of a collection that was packed and opened elsewhere: equal with all parts, and what they say without some."""

import re
import shutil
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from made_up import PAGES, Open
from streamlit.testing.v1 import AppTest

from core import pack
from core.workspace.opening import open_archive, opened
from core.workspace.workspace import CHECKOUT, VARIABLE, CollectionFolder, Workspace

SAMPLE = Workspace(CHECKOUT / "artifacts").collection("sample")
COPY = "carried"
COPY_PROFILE = f"artifacts/{COPY}/profile.json"
PARAMETERS = {page: {"topic": "1"} for page in PAGES} | {"search": {"query": "coronavirus immunity"}}
MEASURED_NOW = re.compile(r"\b\d+\.\d+ ms\b|\(median of \d+\)|\(measured once\)")


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
    shutil.copytree(CHECKOUT / "artifacts" / "ablations", folder.workspace.root / "ablations")
    return folder


@pytest.mark.parametrize("page", PAGES)
def test_every_page_of_the_sample_is_equal_elsewhere(
    open_page: Open, page: str, copy: CollectionFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = shown(open_page(page, collection="sample", **PARAMETERS[page]))
    monkeypatch.setenv(VARIABLE, str(copy.workspace.root))
    assert shown(open_page(page, collection=COPY, **PARAMETERS[page])) == here
