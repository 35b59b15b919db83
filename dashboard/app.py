"""The dashboard's frame: navigation, the choice of collection, and the notices common to all pages.

Served by dashboard/server.py.
"""

import os
import sys
from contextlib import suppress
from functools import partial
from importlib import import_module
from pathlib import Path
from urllib.parse import urlencode

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # find `core` however the app was started

import streamlit as st  # noqa: E402

from core.workspace.artifacts import Replaced, command_for  # noqa: E402
from core.workspace.errors import UserError  # noqa: E402
from dashboard.shared import data, links, live, state  # noqa: E402
from dashboard.shared.availability import unavailable  # noqa: E402
from dashboard.shared.comparison import LINKED  # noqa: E402
from dashboard.shared.escaping import error_markdown, show_error  # noqa: E402
from dashboard.shared.faults import show_fault  # noqa: E402
from dashboard.shared.ranked_lists import STYLE  # noqa: E402

# In a full line of choices the box to type in shrinks; WCAG 2.2 asks for targets of 24 pixels.
TARGETS = "<style>.stMultiSelect input { min-width: 24px; }</style>"
CLOSE = """
if (window.matchMedia("(max-width: 768px)").matches)
  document.querySelector("[data-testid=stSidebarCollapseButton] button[aria-expanded=true]")?.click();
"""


def chosen_collection() -> str:
    """Return the name of the collection in the URL, or of the first one if that is not built.

    Raises:
        UserError: no collection is built, or the profile set in the environment cannot be read.
    """
    names = data.collection_names()
    if not names:
        raise UserError(
            "no collection has been built yet; build the sample with python scripts/build.py --profile sample"
        )
    first = data.first_collection()
    wanted = state.read("collection") or first
    return next((name for name in (wanted, first) if name in names), names[0])


def choose_collection() -> None:
    """Draw the collection selector, and a warning if the collection of the URL or of the profile is not built.

    Raises:
        UserError: as `chosen_collection`.
    """
    chosen = chosen_collection()
    wanted = state.read("collection") or data.first_collection()
    names = data.collection_names()
    with st.sidebar:
        state.choose("Collection", names, "collection", chosen, silent=True)
    named = state.read("collection") or os.environ.get(data.PROFILE_VARIABLE)
    if named and wanted not in names:
        again = data.building_again(wanted)
        show_error(UserError(f"the collection {wanted} is not built here{again}; {chosen} is shown in its place"))


def navigation() -> None:
    """Draw the links to the pages; those without content on the chosen collection are greyed with the reason."""
    reasons: dict[str, str] = {}
    with suppress(UserError):  # what is wrong with the collection is said on the page
        reasons = unavailable(data.open_collection(chosen_collection()))
    with st.sidebar:
        links.navigation(reasons)


def close_menu(page: str) -> None:
    """On a narrow screen, close the sidebar that would cover the page chosen from it.

    Streamlit closes it for its own navigation only.
    """
    if st.session_state.get("page", page) != page:
        with st.sidebar:
            st.html(f"<script>/* {page} */ {CLOSE}</script>", unsafe_allow_javascript=True)
    st.session_state["page"] = page


def copy_link() -> None:
    """Draw the address of the current view, complete with the choices that are defaults, for copying."""
    chosen = {"collection": chosen_collection(), **st.session_state.pop(LINKED, {}), **st.query_params.to_dict()}
    with st.sidebar, st.popover("Copy link", icon=":material/link:", width="stretch"):
        st.code(f"{st.context.url}?{urlencode(chosen)}", language=None, wrap_lines=True)


def show(name: str) -> None:
    """Draw a page of the chosen collection, and redraw it if an artifact was replaced in the meantime.

    Raises:
        UserError: the collection cannot be opened, or the whole page cannot be drawn.
    """
    module = import_module(f"dashboard.views.{name}.page")  # only this page: importing all of them takes seconds
    opened = data.open_collection(chosen_collection())
    if opened.is_sample:
        st.caption(":material/info: Embedded sample: written for demonstration, not medical evidence.")
    if not opened.has_texts and not opened.is_imported:
        st.caption(error_markdown(data.NO_TEXTS.format(command=command_for(opened.folder.collection))))
    versions = data.versions(opened)
    try:
        module.page(opened)
    except Exception as error:
        known = isinstance(error, UserError) and not isinstance(error, Replaced)
        if known or data.versions(opened) == versions:
            raise
        st.rerun()  # the page may have mixed results of two versions


st.set_page_config("RankScope", str(Path(__file__).with_name("icon.svg")), layout="wide")
st.html(STYLE + TARGETS)
page = st.navigation(
    [links.streamlit_page(entry, partial(show, entry.name)) for entry in links.PAGES], position="hidden"
)
st.title(page.title)
above = st.container()
try:
    # Outside the page: Streamlit removes the elements of a page as soon as another page is opened.
    choose_collection()
    navigation()
    close_menu(page.url_path)
    try:
        page.run()
    except UserError as error:
        show_error(error)
    except Exception as error:
        with above:
            show_fault(page.title, error)
    copy_link()
except UserError as error:
    show_error(error)
live.warm_up()
