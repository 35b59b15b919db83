"""The list of pages, and the links between them, which keep the query parameters.

To add a page, write `dashboard/views/<name>/page.py` with a function `page(opened)` and add a line to PAGES. If it has
nothing to show on some collections, say so in dashboard/shared/availability.py.
"""

from collections.abc import Callable, Mapping
from itertools import groupby
from typing import Literal, NamedTuple
from urllib.parse import urlencode

import streamlit as st
from streamlit.navigation.page import StreamlitPage


class PageEntry(NamedTuple):
    """A page: its folder in `dashboard/views`, which is also its address, its title and its icon.

    Attributes:
        group: its heading in the sidebar; "" for a page that other pages lead to.
    """

    name: str
    title: str
    icon: str
    group: str


PAGES = (
    PageEntry("summary", "Summary", ":material/leaderboard:", "Results"),
    PageEntry("topics", "Topics", ":material/difference:", "Results"),
    PageEntry("topic", "Topic", ":material/topic:", ""),
    PageEntry("report", "Tables and report", ":material/description:", "Results"),
    PageEntry("search", "Search", ":material/search:", "Try it"),
    PageEntry("training", "Fine-tuning", ":material/model_training:", "Methods"),
    PageEntry("expansion", "doc2query", ":material/edit_note:", "Methods"),
    PageEntry("ann", "Exact vs ANN", ":material/speed:", "Methods"),
    PageEntry("documents", "Documents", ":material/scatter_plot:", "Data"),
    PageEntry("runs", "Import runs", ":material/upload_file:", "Data"),
    PageEntry("artifacts", "Build and provenance", ":material/inventory_2:", "Data"),
)
"""The pages in the order of the sidebar; the first is at the root address."""


def navigation(unavailable: Mapping[str, str]) -> None:
    """Draw the links to all pages in their groups.

    Args:
        unavailable: page -> the reason why it has nothing to show; its title is then no link. (The text of Streamlit's
            disabled links lacks contrast.)
    """
    for group, entries in groupby((entry for entry in PAGES if entry.group), lambda entry: entry.group):
        with st.container(gap="xxsmall"):
            st.caption(group)
            for entry in entries:
                if entry.name in unavailable:
                    st.caption(f"{entry.icon} {entry.title}", help=unavailable[entry.name])
                else:
                    page_link(entry.name, icon=entry.icon, width="stretch")


def streamlit_page(entry: PageEntry, draw: Callable[[], None] = lambda: None) -> StreamlitPage:
    """Return the entry as Streamlit's Page, drawn by `draw`.

    Streamlit identifies a page by its `url_path` alone, so the target of a link needs no `draw`.
    """
    return st.Page(draw, title=entry.title, url_path=entry.name, default=entry == PAGES[0])


def page_link(
    name: str,
    label: str | None = None,
    icon: str = "",
    width: Literal["content", "stretch"] = "content",
    **more: str,
) -> None:
    """Draw a link to a page.

    Streamlit's own navigation drops the query parameters, and with them the collection; this link keeps them.

    Args:
        label: the page's title if None.
        more: query parameters to set; "" removes one.
    """
    st.page_link(
        _target(name),
        label=label,
        icon=icon or None,
        width=width,
        query_params=_parameters(more),
    )


def switch_to(name: str, **more: str) -> None:
    """Open a page, keeping all query parameters except those in `more`."""
    st.switch_page(_target(name), query_params=_parameters(more))


def address(name: str, **more: str) -> str:
    """Return the address of a page, relative to another, keeping all query parameters except those in `more`."""
    return f"{name}?{urlencode(_parameters(more), doseq=True)}"


def _target(name: str) -> StreamlitPage:
    return streamlit_page(next(entry for entry in PAGES if entry.name == name))


def _parameters(more: dict[str, str]) -> dict[str, str | list[str]]:
    return {name: value for name, value in {**st.query_params.to_dict(), **more}.items() if value}
