"""The list of pages and the links between them."""

from pathlib import Path

import pytest
from made_up import Open, last_line_of

from core.workspace.errors import UserError
from core.workspace.workspace import CHECKOUT
from dashboard.shared import data, links
from dashboard.shared.availability import unavailable
from dashboard.shared.links import PAGES
from dashboard.streamlit_internals import page_hash


def test_every_folder_of_views_is_a_page_of_the_list() -> None:
    folders = {path.parent.name for path in (CHECKOUT / "dashboard" / "views").glob("*/page.py")}
    assert sorted(folders) == sorted(entry.name for entry in links.PAGES)


@pytest.mark.parametrize("page", ["summary", "topic"])
def test_the_sidebar_links_every_page_and_keeps_the_parameters(open_page: Open, made_up: Path, page: str) -> None:
    app = open_page(page, collection="made-up", measure="AP")
    found = [link.proto for link in app.sidebar.get("page_link")]
    empty = unavailable(data.open_collection("made-up"))
    named = [entry for entry in PAGES if entry.group and entry.name not in empty]
    assert [link.label for link in found] == [entry.title for entry in named]
    assert [link.page_script_hash for link in found] == [page_hash(entry.name) for entry in named]
    assert [link.page for link in found] == ["", *[entry.name for entry in named[1:]]]  # the addresses
    assert {link.query_string for link in found} == {"collection=made-up&measure=AP"}


def test_a_link_to_a_topic_sets_the_topic_and_keeps_the_rest(open_page: Open, made_up: Path) -> None:
    app = open_page("search", collection="made-up", query="masks", topic="1")
    link = next(link.proto for link in app.main.get("page_link"))
    assert (link.page, link.page_script_hash) == ("topic", page_hash("topic"))
    assert link.query_string == "collection=made-up&query=masks&topic=02"


@pytest.mark.slow
def test_a_page_imports_no_other_page_and_the_first_none_of_the_libraries_of_dense_systems(made_up: Path) -> None:
    program = (
        "import sys; from streamlit.testing.v1 import AppTest; from dashboard.shared import live; "
        "live.warm_up = lambda: None; app = AppTest.from_file('dashboard/app.py', default_timeout=600).run(); "
        "assert not app.exception and app.dataframe; "
        "print(sorted({'torch', 'transformers', 'sentence_transformers', 'numba', 'faiss'} & set(sys.modules)), "
        "sorted(name for name in sys.modules if name.startswith('dashboard.views.') and name.endswith('.page')))"
    )
    assert last_line_of(program, made_up) == "[] ['dashboard.views.summary.page']"


@pytest.mark.parametrize("page", [entry.name for entry in PAGES])
def test_a_page_that_ends_with_an_error_still_has_the_links_of_the_frame(
    open_page: Open, made_up: Path, monkeypatch: pytest.MonkeyPatch, page: str
) -> None:
    def fail(*arguments: object) -> None:
        raise UserError("nothing to show")

    monkeypatch.setattr(f"dashboard.views.{page}.page.page", fail)
    app = open_page(page, collection="made-up")
    assert "nothing to show" in app.warning[-1].value
    assert [element.value for element in app.sidebar.code] == ["None?collection=made-up"]
