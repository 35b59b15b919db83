"""Search: one query, every system's answer side by side, by the same system objects as the batch run."""

from collections.abc import Callable, Mapping

import streamlit as st

from core.analyzer import Analyzer
from core.collection import Topic
from core.errors import UserError
from core.fusion import K, reciprocal_rank_fusion
from core.matches import term_finder
from core.profile import SystemSettings
from dashboard import data, judging, state
from dashboard.answers import Found, as_they_come, fuse
from dashboard.asking import find_topic, query_form
from dashboard.predicted_queries import searched
from dashboard.ranked_lists import Hit, Spans, grade_badge, ranked_list
from dashboard.text import escape_markdown, show_error

LONGEST = 10_000
EXPLAINED_WORDS = 60
FUSED_DEPTH = 100
FUSED = "fused"


def draw(
    found: Found,
    hits: int,
    badge: Callable[[str], str],
    spans: Spans,
    predicted: Mapping[str, list[str]],
) -> None:
    """Draw the first hits of one list, and the time that each step took.

    Args:
        badge: makes a document's badge.
        predicted: the queries that the system searches as part of each document.
    """
    split = ", ".join(f"{step} {1000 * seconds:.1f} ms" for step, seconds in found.seconds.items())
    if len(found.seconds) > 1:
        split = f"{1000 * sum(found.seconds.values()):.1f} ms: {split}"
    st.caption(split or f"1 / ({K} + rank), summed over the first {FUSED_DEPTH} of every system")
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
    st.html(ranked_list(shown, spans, snippets=True))


def queries_of(system: SystemSettings) -> Mapping[str, list[str]]:
    """Return the predicted queries that a system searches, by document; say so where they are not there."""
    try:
        return searched(opened, system)
    except UserError as error:
        show_error(error)
        return {}


def answer(query: str, hits: int, names: list[str], topic: Topic | None, fused: bool) -> dict[str, Found]:
    """Draw a column for every system, each filled as soon as it has answered, and the fused one when all have."""
    systems = [system for system in answering if system.name in names]
    by_hand = judging.by_hand(opened.folder.name, judging.topic_id(query, topic))

    def badge(document: str) -> str:
        """Return the badge of the grade given by hand, else of the collection's, "" where there is no topic."""
        if document in by_hand:
            return grade_badge(by_hand[document], content.highest_grade, by_hand=True)
        return grade_badge(content.qrels.get(topic.id, {}).get(document), content.highest_grade) if topic else ""

    labels = {system.name: labels_of[system.name] for system in systems} | ({FUSED: "Fused"} if fused else {})
    slots = {}
    for column, (name, label) in zip(st.columns(len(labels)), labels.items(), strict=True):
        column.markdown(f"**{escape_markdown(label)}**")
        slots[name] = column.empty()
        slots[name].caption("searching …")
    spans = term_finder(Analyzer(opened.profile.analyzer), query)
    expanded = {system.name: system for system in systems if system.expanded}
    explained = hits if len(query.split()) <= EXPLAINED_WORDS else 0
    answers: dict[str, Found] = {}
    for name, found in as_they_come(opened, systems, query, max(hits, FUSED_DEPTH if fused else 0), explained):
        with slots[name].container():
            if isinstance(found, UserError):
                show_error(found)
                continue
            answers[name] = found
            draw(found, hits, badge, spans, queries_of(expanded[name]) if name in expanded else {})
    answers = {name: answers[name] for name in labels if name in answers}
    if fused:
        with slots[FUSED].container():
            draw(fuse(answers, labels), hits, badge, spans, predicted={})
    return answers


def notes(query: str, topic: Topic | None) -> None:
    """Say what is special about the query."""
    if topic:
        st.info(f"This is topic {escape_markdown(topic.id)} of the collection: judged. Its grades are shown.")
    if not state.read("query"):
        st.caption("The query is too long for a link: the address of this page does not hold it.")
    if len(query) > LONGEST:
        st.caption(f"Of {len(query):,} characters the first {LONGEST:,} are searched.")
    if len(query.split()) > EXPLAINED_WORDS:
        st.caption(
            f"A query of more than {EXPLAINED_WORDS} words is answered without the matched terms; dense systems read "
            "its beginning only, as far as their model's limit goes."
        )


opened: data.Opened = st.session_state["opened"]
content = data.content(opened)
answering = [system for system in opened.profile.system if system.kind != "run"]
labels_of = {system.name: opened.labels[system.name] for system in answering}
if not answering:
    raise UserError(
        f"{opened.folder.name} was made of imported runs: it has no index, so no new query can be answered; the Topics "
        "page shows what the runs retrieved"
    )
query = query_form(content.topics.values())
left, middle, right = st.columns([5, 2, 1], vertical_alignment="bottom")
with left:
    names = state.choose_several("Systems", list(labels_of), "systems", labels_of)
with middle, st.container(horizontal=True):
    fused = state.switch("Fused", "fused", "One list of all: reciprocal rank fusion (Cormack et al., 2009)")
    judged = state.switch("Judge", "judge", "Judge the hits by hand and export the judgments as qrels")
with right:
    hits = int(state.choose("Hits", ["5", "10", "20", "50"], "hits", "10"))
topic = find_topic(query, content.topics.values()) if query else None
if query:
    notes(query, topic)
judging_place = st.container()
if not query:
    st.info("Type a query, or choose one of the examples; every system answers it.")
elif not names:
    st.info("Choose at least one system.")
else:
    answers = answer(query[:LONGEST], hits, names, topic, fused)
    if judged:
        pool = reciprocal_rank_fusion([[document for document, _ in found.hits[:hits]] for found in answers.values()])
        with judging_place:
            judging.draw(opened, judging.topic_id(query, topic), [document for document, _ in pool])
if judged:
    with judging_place:
        try:
            judging.exchange(opened.folder.name)
        except UserError as error:
            show_error(error)
