"""The dashboard's frame: navigation, the choice of collection, and what every page says of it.

dashboard/server.py serves it.
"""

import sys
from functools import partial
from importlib import import_module
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # however it was started, `core` is found

import streamlit as st  # noqa: E402

from core.workspace.errors import UserError  # noqa: E402
from dashboard.shared import data, links, live, state  # noqa: E402
from dashboard.shared.escaping import show_error  # noqa: E402
from dashboard.shared.ranked_lists import STYLE  # noqa: E402


def chosen_collection() -> str:
    """Return the name of the collection in the URL, of the first one if that is not built.

    Raises:
        UserError: no collection is built, or the profile of the environment cannot be read.
    """
    names = data.collection_names()
    if not names:
        raise UserError("no collection is built yet; make the sample with python scripts/build.py --profile sample")
    first = data.first_collection()
    wanted = state.read("collection") or first
    return next((name for name in (wanted, first) if name in names), names[0])


def choose_collection() -> None:
    """Draw the choice of collection, and a warning if the one in the URL is not built.

    Raises:
        UserError: as `chosen_collection`.
    """
    chosen = chosen_collection()
    wanted = state.read("collection") or data.first_collection()
    names = data.collection_names()
    with st.sidebar:
        state.choose("Collection", names, "collection", chosen, silent=True)
    if wanted not in names:
        again = data.building_again(wanted)
        show_error(UserError(f"the collection {wanted} is not built here{again}; {chosen} is shown in its place"))


def show(name: str) -> None:
    """Draw a page of the chosen collection, and draw it again if an artifact was replaced meanwhile.

    Raises:
        UserError: the collection cannot be opened, or the page as a whole cannot be drawn.
    """
    module = import_module(f"dashboard.views.{name}.page")  # only the open page: importing all takes seconds
    opened = data.open_collection(chosen_collection())
    if opened.is_sample:
        st.caption(":material/info: Embedded sample: written for demonstration, not medical evidence.")
    versions = data.versions(opened)
    try:
        module.page(opened)
    except UserError:
        raise
    except Exception:
        if data.versions(opened) == versions:
            raise
        st.rerun()  # the page may have mixed figures of two versions


st.set_page_config("RankScope", str(Path(__file__).with_name("icon.svg")), layout="wide")
st.html(STYLE)
page = st.navigation(
    [links.streamlit_page(entry, partial(show, entry.name)) for entry in links.PAGES], position="hidden"
)
with st.sidebar:
    for entry in links.PAGES:
        links.page_link(entry.name, icon=entry.icon, width="stretch")
st.title(page.title)
try:
    # Outside the page: Streamlit removes the elements of a page as soon as another page is opened.
    choose_collection()
    page.run()
except UserError as error:
    show_error(error)
live.warm_up()
