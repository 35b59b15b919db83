"""The columns of the Search page: a ranked list for every system, each filled as soon as the system has answered."""

from collections.abc import Callable, Mapping, Sequence

import streamlit as st

from core.analyzer import Analyzer
from core.collection import Topic
from core.errors import UserError
from core.fusion import K
from core.matches import term_finder
from core.profile import SystemSettings
from dashboard import data, judging
from dashboard.answers import Found, as_they_come, fuse
from dashboard.ranked_lists import Hit, Spans, grade_badge, ranked_list
from dashboard.text import escape_markdown, show_error
from dashboard.written_queries import searched

EXPLAINED_WORDS = 60
"""A longer query is answered without the matched terms."""
FUSED_DEPTH = 100
FUSED = "fused"


def answer(
    opened: data.Opened, systems: Sequence[SystemSettings], query: str, hits: int, topic: Topic | None, fused: bool
) -> dict[str, Found]:
    """Draw a column for every system, each filled as soon as it has answered, and the fused one when all have.

    Args:
        hits: how many of them are shown.
        topic: the topic that the query is.
    """
    content = data.content(opened)
    by_hand = judging.by_hand(opened.folder.name, judging.topic_id(query, topic))

    def badge(document: str) -> str:
        """Return the badge of the grade given by hand, else of the collection's, "" where there is no topic."""
        if document in by_hand:
            return grade_badge(by_hand[document], content.highest_grade, by_hand=True)
        return grade_badge(content.qrels.get(topic.id, {}).get(document), content.highest_grade) if topic else ""

    labels = {system.name: opened.labels[system.name] for system in systems} | ({FUSED: "Fused"} if fused else {})
    columns = dict(zip(labels, st.columns(len(labels)), strict=True))
    slots = {}
    for name, column in columns.items():
        column.markdown(f"**{escape_markdown(labels[name])}**")
        slots[name] = column.empty()
        slots[name].caption("searching …")
    spans = term_finder(Analyzer(opened.profile.analyzer), query)
    expanded = {system.name: system for system in systems if system.expanded}
    explained = hits if len(query.split()) <= EXPLAINED_WORDS else 0
    answers: dict[str, Found] = {}
    excluded = content.excluded.get(topic.id, set()) if topic else set()
    depth = max(hits, FUSED_DEPTH if fused else 0)
    for name, found in as_they_come(opened, systems, query, depth, explained, excluded):
        if isinstance(found, Exception):
            with slots[name]:
                show_error(found)
            continue
        answers[name] = found
        with columns[name]:
            predicted = _queries_of(opened, expanded[name]) if name in expanded else {}
        with slots[name]:
            _draw(content, found, hits, badge, spans, predicted)
    answers = {name: answers[name] for name in labels if name in answers}
    if fused:
        with slots[FUSED]:
            _draw(content, fuse(answers, labels), hits, badge, spans, predicted={})
    return answers


def _draw(
    content: data.Content,
    found: Found,
    hits: int,
    badge: Callable[[str], str],
    spans: Spans,
    predicted: Mapping[str, list[str]],
) -> None:
    """Draw the first hits of one list, and the time that each step took, as one element: that is drawn soonest.

    Args:
        badge: makes a document's badge.
        predicted: the queries that the system searches as part of each document.
    """
    if not found.hits:
        st.info("No document has a word of this query. Fewer or other words may find some.")
        return
    shown = [
        Hit(
            identity,
            content.documents.get(identity),
            rank,
            badge(identity),
            score,
            note=found.where.get(identity, ""),
            parts=found.parts.get(identity, ()),
            predicted=predicted.get(identity, ()),
        )
        for rank, (identity, score) in enumerate(found.hits[:hits], 1)
    ]
    split = ", ".join(f"{step} {1000 * seconds:.1f} ms" for step, seconds in found.seconds.items())
    if len(found.seconds) > 1:
        split = f"{1000 * sum(found.seconds.values()):.1f} ms: {split}"
    facts = split or f"1 / ({K} + rank), summed over the first {FUSED_DEPTH} of every system"
    st.html(ranked_list(shown, spans, facts=facts, snippets=True))


def _queries_of(opened: data.Opened, system: SystemSettings) -> Mapping[str, list[str]]:
    """Return the predicted queries that a system searches, by document; say so where they are not there."""
    try:
        return searched(opened, system)
    except UserError as error:
        show_error(error)
        return {}
