"""The dashboard's frame: navigation, the choice of collection, and what every page says of it.

dashboard/server.py serves it.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # however it was started, `core` is found

import streamlit as st  # noqa: E402

from core.workspace.errors import UserError  # noqa: E402
from dashboard.shared import data, live, state  # noqa: E402
from dashboard.shared.escaping import show_error  # noqa: E402
from dashboard.shared.ranked_lists import STYLE  # noqa: E402

VIEWS = Path(__file__).resolve().parent / "views"

# The name of each page, in its address and of its folder in views, its title and its icon.
PAGES = (
    ("overview", "Overview", ":material/leaderboard:"),
    ("topics", "Topics", ":material/difference:"),
    ("topic", "Topic", ":material/topic:"),
    ("search", "Search", ":material/search:"),
    ("documents", "Documents", ":material/scatter_plot:"),
    ("ann", "Exact vs ANN", ":material/speed:"),
    ("expansion", "doc2query", ":material/edit_note:"),
    ("training", "Training", ":material/model_training:"),
    ("runs", "Runs", ":material/upload_file:"),
    ("artifacts", "Artifacts", ":material/inventory_2:"),
    ("report", "Report", ":material/description:"),
)


def choose_collection() -> data.Opened:
    """Draw the choice of collection and return the chosen one; stop the page where there is none.

    Raises:
        UserError: its profile is missing or cannot be read.
    """
    names = data.collection_names()
    if not names:
        raise UserError("no collection is built yet; make the sample with python scripts/build.py --profile sample")
    first = data.first_collection()
    with st.sidebar:
        name = state.choose("Collection", names, "collection", first if first in names else names[0], said=True)
    wanted = state.read("collection") or first
    if wanted not in names:
        again = data.building_again(wanted)
        show_error(UserError(f"the collection {wanted} is not built here{again}; {name} is shown in its place"))
    return data.open_collection(name)


st.set_page_config("RankScope", str(Path(__file__).with_name("icon.svg")), layout="wide")
st.html(STYLE)
pages = [
    (st.Page(VIEWS / name / "page.py", title=title, url_path=name, default=name == "overview"), icon)
    for name, title, icon in PAGES
]
# Links of our own: Streamlit's drop the query parameters, and with them the collection.
page = st.navigation([page for page, _ in pages], position="hidden")
with st.sidebar:
    for target, icon in pages:
        st.page_link(target, icon=icon, width="stretch", query_params=st.query_params.to_dict())
st.title(page.title)
try:
    opened = choose_collection()
    if opened.is_sample:
        st.caption(":material/info: Embedded sample: written for demonstration, not medical evidence.")
    st.session_state["opened"] = opened
    versions = data.versions(opened)
    try:
        page.run()
    except UserError:
        raise
    except Exception:
        # Figures of two versions met on the page: it is drawn again.
        if data.versions(opened) == versions:
            raise
        st.rerun()
except UserError as error:
    show_error(error)
live.warm_up()
