"""A function that opens a page of the dashboard, and the made-up collection it may look at."""

import shutil
from pathlib import Path

import pytest
import streamlit as st
from made_up import Open, build
from streamlit.testing.v1 import AppTest

from core.workspace.workspace import CHECKOUT, VARIABLE, CollectionFolder, Workspace
from dashboard.streamlit_internals import go_to


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests that open pages as slow: each runs Streamlit's script once or more."""
    for item in items:
        if "open_page" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.slow)


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of all artifacts, with the collection `made-up`; not to be changed."""
    artifacts = tmp_path_factory.mktemp("artifacts")
    build(artifacts)
    return artifacts


@pytest.fixture
def made_up(built: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> CollectionFolder:
    """The folder of the made-up collection, a copy of its own for each test, and the dashboard looking at it."""
    shutil.copytree(built, tmp_path / "artifacts")
    monkeypatch.setenv(VARIABLE, str(tmp_path / "artifacts"))
    return Workspace(tmp_path / "artifacts").collection("made-up")


@pytest.fixture
def open_page(monkeypatch: pytest.MonkeyPatch) -> Open:
    """Open a page by name, with the URL's parameters; no page may end with an exception."""
    monkeypatch.delenv("RANKSCOPE_PROFILE", raising=False)
    monkeypatch.setattr("dashboard.shared.live.warm_up", lambda: None)  # its thread would import while a test does
    st.cache_resource.clear()

    def opened(page: str, **parameters: str) -> AppTest:
        app = AppTest.from_file(str(CHECKOUT / "dashboard" / "app.py"), default_timeout=600)  # for a busy machine
        app.query_params.update(parameters)
        go_to(app, page).run()
        assert not app.exception, app.exception[0].message
        return app

    return opened
