"""The columns of the Search page: one ranked list per system, filled as soon as the system has answered."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from core.formats.topics import Topic
from core.retrieval.answer import Answer
from core.retrieval.fusion import K, fuse
from core.retrieval.highlighting import term_finders
from core.workspace.errors import UserError
from core.workspace.profile import SystemSettings
from dashboard.shared import data
from dashboard.shared.escaping import escape_markdown, show_error
from dashboard.shared.predicted_queries import searched
from dashboard.shared.ranked_lists import Hit, Spans, grade_badge, ranked_list
from dashboard.views.search import judging
from dashboard.views.search.answers import Latency, as_they_come, measure_latency, places

EXPLAINED_WORDS = 60
"""The matched terms are not shown for longer queries."""
FUSED_DEPTH = 100
FUSED = "fused"


@dataclass(frozen=True)
class Answered:
    """The systems' answers, and the placeholder for the latency in each column, by system name."""

    answers: dict[str, Answer]
    latency_places: dict[str, DeltaGenerator]


def draw_answers(
    opened: data.Opened, systems: Sequence[SystemSettings], query: str, hits: int, topic: Topic | None, fused: bool
) -> Answered:
    """Draw a column per system, filled as soon as it has answered, and the fused one once all have answered.

    Args:
        hits: the number of documents shown per system.
        topic: the topic whose text is the query, if any.
    """
    content = data.content(opened)
    by_hand = judging.by_hand(opened.folder.name, judging.topic_id(query, topic))

    def badge(document: str) -> str:
        """Return the badge of the user's grade, else of the grade in the qrels; "" if the query is not a topic."""
        if document in by_hand:
            return grade_badge(by_hand[document], content.highest_grade, by_hand=True)
        return grade_badge(content.qrels.get(topic.id, {}).get(document), content.highest_grade) if topic else ""

    labels = {system.name: opened.labels[system.name] for system in systems} | ({FUSED: "Fused (RRF)"} if fused else {})
    columns = dict(zip(labels, st.columns(len(labels)), strict=True))
    slots, latency_places = {}, {}
    for name, column in columns.items():
        column.markdown(f"**{escape_markdown(labels[name])}**")
        if name != FUSED:
            latency_places[name] = column.empty()
            latency_places[name].caption("…")
        slots[name] = column.empty()
        slots[name].caption("Searching …")
    spans = term_finders(opened.profile, query)
    expanded = {system.name: system for system in systems if system.expanded}
    explained = hits if len(query.split()) <= EXPLAINED_WORDS else 0
    answers: dict[str, Answer] = {}
    excluded = content.excluded.get(topic.id, set()) if topic else set()
    for name, given in as_they_come(opened, systems, query, depth(hits, fused), explained, excluded):
        if isinstance(given, Exception):
            latency_places[name].empty()
            with slots[name]:
                show_error(given)
            continue
        answers[name] = given
        with columns[name]:
            predicted = _queries_of(opened, expanded[name]) if name in expanded else {}
        with slots[name]:
            _draw_list(content, given, hits, badge, spans(name), predicted)
    answers = {name: answers[name] for name in labels if name in answers}
    if fused:
        with slots[FUSED]:
            facts = f"Score: sum of 1 / ({K} + rank) over the systems' top {FUSED_DEPTH}"
            _draw_list(
                content,
                fuse(answers),
                hits,
                badge,
                spans(FUSED),
                predicted={},
                notes=places(answers, labels),
                facts=facts,
            )
    return Answered(answers, latency_places)


def depth(hits: int, fused: bool) -> int:
    """Return the number of documents to retrieve from each system."""
    return max(hits, FUSED_DEPTH if fused else 0)


def show_latencies(
    opened: data.Opened, systems: Sequence[SystemSettings], query: str, asked_for: int, answered: Answered
) -> None:
    """Measure the systems that have answered, one at a time, and write each latency into its column.

    Call this after the rest of the page has been drawn.

    Args:
        asked_for: the number of documents to retrieve, from `depth`.
    """
    busy = False
    for system in systems:
        if system.name not in answered.answers:
            continue
        place = answered.latency_places[system.name]
        try:
            latency = None if busy else measure_latency(opened, system, query, asked_for)
        except Exception as error:  # one failing system must not stop the others
            with place:
                show_error(error)
            continue
        busy = latency is None
        place.caption(latency_text(latency) if latency else "Latency not measured: another measurement is in progress")


def _milliseconds(seconds: float) -> str:
    """Return a time in milliseconds, with two decimals below 0.1 ms: BM25 takes 0.05 ms on the sample."""
    return f"{1000 * seconds:.{2 if 0 < seconds < 0.0001 else 1}f} ms"


def latency_text(latency: Latency) -> str:
    """Return a latency as text: the total, its steps, and the number of measurements."""
    text = ", ".join(f"{step} {_milliseconds(seconds)}" for step, seconds in latency.seconds.items())
    if len(latency.seconds) > 1:
        text = f"{_milliseconds(sum(latency.seconds.values()))}: {text}"
    return f"{text} (median of {latency.times})" if latency.times > 1 else f"{text} (measured once)"


def _draw_list(
    content: data.Content,
    given: Answer,
    hits: int,
    badge: Callable[[str], str],
    spans: Spans,
    predicted: Mapping[str, list[str]],
    notes: Mapping[str, str] | None = None,
    facts: str = "",
) -> None:
    """Draw the top of one ranked list as a single HTML element, which is the fastest to draw.

    Args:
        badge: returns a document's badge.
        predicted: the predicted queries that the system indexes with each document.
        notes: a note for each document.
        facts: a note on the list as a whole.
    """
    if not given.hits:
        st.info("No query term occurs in the index, or the query has only stop words. Try other words.")
        return
    shown = [
        Hit(
            identity,
            content.documents.get(identity),
            rank,
            badge(identity),
            score,
            note=(notes or {}).get(identity, ""),
            parts=given.parts.get(identity, ()),
            predicted=predicted.get(identity, ()),
        )
        for rank, (identity, score) in enumerate(given.hits[:hits], 1)
    ]
    st.html(ranked_list(shown, spans, facts=facts, snippets=True))


def _queries_of(opened: data.Opened, system: SystemSettings) -> Mapping[str, list[str]]:
    """Return the predicted queries that a system indexes, by document; show an error if they are missing."""
    try:
        return searched(opened, system)
    except UserError as error:
        show_error(error)
        return {}
