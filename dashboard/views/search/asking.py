"""The query form of the Search page: query box, examples and the session's earlier queries."""

import re
from collections.abc import Iterable
from urllib.parse import quote

import streamlit as st

from core.formats.topics import Topic
from dashboard.shared import state
from dashboard.shared.escaping import escape_markdown, shortened

LONGEST_IN_LINK = 6_000
EXAMPLES = 4
REMEMBERED = 30
CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]+")


def one_line(text: str) -> str:
    """Return a text on one line, without control characters."""
    return " ".join(CONTROL.sub(" ", text).split())


def ask(query: str | None) -> None:
    """Set the current query: in the URL, or in the session if it is too long for a URL."""
    query = one_line(query or "")
    fits = len(quote(query)) <= LONGEST_IN_LINK
    state.write("query", query if fits else "")
    st.session_state["long query"] = "" if fits else query


def query_form(topics: Iterable[Topic], topic_field: str) -> str:
    """Draw the form, the session's earlier queries, and example topics while there is no query; return the query.

    Args:
        topic_field: the text of a topic that the runs searched, as in `Topic.text`.
    """
    asked = one_line(state.read("query")) or st.session_state.get("long query", "")
    st.session_state["query box"] = asked
    with st.form("search", border=False), st.container(horizontal=True, vertical_alignment="bottom"):
        st.text_input("Query", key="query box", placeholder="e.g. loss of smell")
        st.form_submit_button("Search", type="primary", on_click=lambda: ask(st.session_state["query box"]))
    with st.container():  # keeps the place of what follows, which the browser would show twice for a moment
        if not asked:
            _examples(list(topics)[:EXAMPLES], topic_field)
        _earlier_queries(asked)
    return asked


def _examples(topics: Iterable[Topic], topic_field: str) -> None:
    with st.container(horizontal=True, vertical_alignment="center", gap="xxsmall"):
        st.caption("Examples", width="content")
        for topic in topics:
            text = topic.text(topic_field)
            label = escape_markdown(shortened(text, 60))
            st.button(label, key=f"example {topic.id}", on_click=ask, args=(text,), type="tertiary")


def _earlier_queries(asked: str) -> None:
    history: list[str] = st.session_state.setdefault("history", [])
    earlier = [query for query in history if query != asked]
    history[:] = [asked, *earlier][:REMEMBERED] if asked else earlier
    if not earlier:
        return
    st.session_state["earlier query"] = None
    st.selectbox(
        "Earlier queries",
        earlier,
        key="earlier query",
        placeholder=f"Earlier queries in this session ({len(earlier)})",
        label_visibility="collapsed",
        format_func=lambda query: shortened(query, 100),
        on_change=lambda: ask(st.session_state["earlier query"]),
    )
