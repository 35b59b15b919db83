"""The list of pages, and the links between them, which keep the query parameters.

To add a page, write `dashboard/views/<name>/page.py` with a function `page(opened)` and add a line to PAGES.
"""

from collections.abc import Callable
from typing import Literal, NamedTuple

import streamlit as st
from streamlit.navigation.page import StreamlitPage


class PageEntry(NamedTuple):
    """A page: its folder in `dashboard/views`, which is also its address, its title and its icon."""

    name: str
    title: str
    icon: str


PAGES = (
    PageEntry("overview", "Overview", ":material/leaderboard:"),
    PageEntry("topics", "Topics", ":material/difference:"),
    PageEntry("topic", "Topic", ":material/topic:"),
    PageEntry("search", "Search", ":material/search:"),
    PageEntry("documents", "Documents", ":material/scatter_plot:"),
    PageEntry("ann", "Exact vs ANN", ":material/speed:"),
    PageEntry("expansion", "doc2query", ":material/edit_note:"),
    PageEntry("training", "Training", ":material/model_training:"),
    PageEntry("runs", "Runs", ":material/upload_file:"),
    PageEntry("artifacts", "Artifacts", ":material/inventory_2:"),
    PageEntry("report", "Report", ":material/description:"),
)
"""The pages in the order of the sidebar; the first is at the root address."""


def streamlit_page(entry: PageEntry, draw: Callable[[], None] = lambda: None) -> StreamlitPage:
    """Return the entry as Streamlit's Page, drawn by `draw`.

    Streamlit identifies a page by its `url_path` alone, so the target of a link needs no `draw`.
    """
    return st.Page(draw, title=entry.title, url_path=entry.name, default=entry == PAGES[0])


def page_link(
    name: str, label: str | None = None, icon: str = "", width: Literal["content", "stretch"] = "content", **more: str
) -> None:
    """Draw a link to a page.

    Streamlit's own navigation drops the query parameters, and with them the collection; this link keeps them.

    Args:
        label: the page's title if None.
        more: query parameters to set.
    """
    st.page_link(_target(name), label=label, icon=icon or None, width=width, query_params=_parameters(more))


def switch_to(name: str, **more: str) -> None:
    """Open a page, keeping all query parameters except those in `more`."""
    st.switch_page(_target(name), query_params=_parameters(more))


def _target(name: str) -> StreamlitPage:
    return streamlit_page(next(entry for entry in PAGES if entry.name == name))


def _parameters(more: dict[str, str]) -> dict[str, str | list[str]]:
    return {**st.query_params.to_dict(), **more}
