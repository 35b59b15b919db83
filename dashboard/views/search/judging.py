"""Relevance judgments made on the Search page: kept for the session, by collection, topic and document."""

import hashlib
import re
import tempfile
from collections.abc import Sequence
from pathlib import Path

import streamlit as st

from core.evaluation.grades import grade_text
from core.evaluation.rank_tables import title_of
from core.formats.qrels import Qrels, read_qrels, trec_qrels
from core.formats.topics import Topic
from dashboard.shared import data
from dashboard.shared.escaping import escape_markdown
from dashboard.shared.uploads import saved

LONGEST_ID = 60
MOST_GRADES = 5


def topic_id(query: str, topic: Topic | None) -> str:
    """Return the topic id for a query's judgments: the topic's own id, or one made from the query's words.

    The same words always make the same id, so imported judgments match their query again.
    """
    if topic:
        return topic.id
    words = "-".join(re.findall(r"\w+", query.casefold()))
    if not words or len(words) > LONGEST_ID:
        words = f"{words[:LONGEST_ID]}-{hashlib.sha256(query.casefold().encode()).hexdigest()[:8]}".lstrip("-")
    return f"query-{words}"


def judgments(collection: str) -> Qrels:
    """Return the session's judgments for a collection; the returned dictionary is the stored one."""
    by_collection: dict[str, Qrels] = st.session_state.setdefault("judgments", {})
    return by_collection.setdefault(collection, {})


def by_hand(collection: str, topic: str) -> dict[str, int]:
    """Return the session's judgments for a topic, document -> grade."""
    return judgments(collection).get(topic, {})


def _judge(collection: str, topic: str, document: str, grade: int, pool: Sequence[str]) -> None:
    judgments(collection).setdefault(topic, {})[document] = grade
    _open(next((d for d in pool if d not in by_hand(collection, topic)), document))


def _open(document: str) -> None:
    st.session_state["judged document"] = document


def draw_pool(opened: data.Opened, topic: str, pool: Sequence[str]) -> None:
    """Draw one document of the pool with a button for each grade, without showing which systems retrieved it.

    Args:
        pool: the documents to judge, in order.
    """
    if not pool:
        return
    collection, content = opened.folder.name, data.content(opened)
    documents, highest = content.documents, content.highest_grade
    done = by_hand(collection, topic)
    current: str = st.session_state.get("judged document", "")
    if current not in pool:
        current = next((d for d in pool if d not in done), pool[0])
    place, document = pool.index(current), documents.get(current)
    with st.container(border=True):
        mine = f" · your judgment: {grade_text(done[current], highest)}" if current in done else ""
        judged = sum(d in done for d in pool)
        st.caption(f"Document {place + 1} of {len(pool)} in the pool · {judged} judged by you{mine}")
        st.markdown(f"**{escape_markdown(title_of(document, current))}**")
        # Above the text, so that the buttons do not move from one document to the next.
        with st.container(horizontal=True):
            for grade in range(min(highest, MOST_GRADES) + 1):
                arguments = (collection, topic, current, grade, pool)
                st.button(grade_text(grade, highest), key=f"grade {grade}", on_click=_judge, args=arguments)
            previous, following = pool[max(place - 1, 0)], pool[min(place + 1, len(pool) - 1)]
            st.button("Back", key="judge back", on_click=_open, args=(previous,), disabled=not place)
            st.button("Skip", key="judge on", on_click=_open, args=(following,), disabled=place == len(pool) - 1)
        if document:
            st.text(document.text or "(no text)")


def exchange(collection: str) -> None:
    """Draw the export and import of the session's judgments as TREC qrels.

    Raises:
        UserError: the imported file is not a qrels file; the message names the line.
    """
    kept = judgments(collection)
    count = sum(map(len, kept.values()))
    with st.container(horizontal=True, vertical_alignment="center"):
        label, name = f"Export qrels ({count})", f"{collection}-by-hand.qrels"
        st.download_button(label, trec_qrels(kept), name, "text/plain", disabled=not count)
        with st.popover("Import qrels"):
            given = st.file_uploader("Qrels file", key="qrels by hand")
        st.button("Clear", key="forget", on_click=kept.clear, disabled=not count)
    st.caption(
        "Judgments are kept until this page is closed or reloaded. A query that is not a topic of the collection gets "
        "a topic id made from its words, so that imported judgments match it again."
    )
    if given and st.session_state.get("qrels read") != given.file_id:
        with tempfile.TemporaryDirectory() as folder:
            read = read_qrels(saved(given.name, given.getvalue(), Path(folder)))
        for topic, by_document in read.items():
            kept.setdefault(topic, {}).update(by_document)
        st.session_state["qrels read"] = given.file_id
        st.rerun()
