"""What a page shows in place of an unexpected fault: a sentence, and folded what a report of it needs."""

import logging
from datetime import datetime

import streamlit as st

from core import __version__
from core.workspace.artifacts import versions
from dashboard.shared.escaping import escape_markdown


def show_fault(title: str, error: Exception) -> None:
    """Say that a page cannot be drawn; the traceback is logged, and not shown: it tells of the server's files."""
    logging.getLogger(__name__).error("the page %s failed", title, exc_info=error)
    st.error(
        f"{escape_markdown(title)} cannot be drawn completely because of a fault in RankScope: reload the page, and if "
        "it stays, report it with its details; the other pages work.",
        icon=":material/error:",
    )
    with st.expander("Details for a report"):
        st.exception(error.with_traceback(None))
        about = {"page": title, **st.query_params.to_dict(), "RankScope": __version__, **versions("streamlit")}
        st.code("\n".join(f"{name}: {value}" for name, value in about.items()), language=None, wrap_lines=True)
        st.caption(f"The traceback is in the server's output, at {datetime.now():%H:%M:%S}.")
