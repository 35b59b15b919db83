"""Search: one query, every system's answer side by side, by the same system objects as the batch run."""

import streamlit as st

from core.formats.topics import Topic
from core.retrieval.fusion import reciprocal_rank_fusion
from core.workspace.errors import UserError
from dashboard.shared import data, left_out, state, widgets
from dashboard.shared.escaping import escape_markdown, show_error
from dashboard.views.search import judging
from dashboard.views.search.answer_columns import EXPLAINED_WORDS, depth, draw_answers, show_latencies
from dashboard.views.search.asking import query_form

LONGEST = 10_000


def notes(content: data.Content, query: str, topic: Topic | None) -> None:
    """Say what is special about the query."""
    if topic:
        st.info(f"This is topic {escape_markdown(topic.id)} of the collection: judged. Its grades are shown.")
        left_out.caption(content, topic.id)
        widgets.topic_link(topic.id, topic.query)
    if not state.read("query"):
        st.caption("The query is too long for a link: the address of this page does not hold it.")
    if len(query) > LONGEST:
        st.caption(f"Of {len(query):,} characters the first {LONGEST:,} are searched.")
    if len(query.split()) > EXPLAINED_WORDS:
        st.caption(
            f"A query of more than {EXPLAINED_WORDS} words is answered without the matched terms; dense systems read "
            "its beginning only, as far as their model's limit goes."
        )


def page(opened: data.Opened) -> None:
    """Draw the Search page of a collection.

    Raises:
        UserError: no system of it can answer a query, or the collection is missing or damaged.
    """
    content = data.content(opened)
    answering = [system for system in opened.profile.system if system.kind != "run"]
    labels_of = {system.name: opened.labels[system.name] for system in answering}
    if not answering:
        raise UserError(
            f"{opened.folder.name} was made of imported runs: it has no index, so no new query can be answered; the "
            "Topics page shows what the runs retrieved"
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
    topic = data.find_topic(query, content.topics.values()) if query else None
    asked = [system for system in answering if system.name in names]
    widgets.say_older(opened, widgets.answering_artifacts(opened, asked))
    if query:
        notes(content, query, topic)
    judging_place = st.container()
    if not query:
        st.info("Type a query, or choose one of the examples; every system answers it.")
    elif not names:
        st.info("Choose at least one system.")
    else:
        chosen = [system for system in answering if system.name in names]
        answered = draw_answers(opened, chosen, query[:LONGEST], hits, topic, fused)
        if judged:
            found_by = answered.answers.values()
            pool = reciprocal_rank_fusion([[document for document, _ in found.hits[:hits]] for found in found_by])
            with judging_place:
                judging.draw_pool(opened, judging.topic_id(query, topic), [document for document, _ in pool])
    if judged:
        with judging_place:
            try:
                judging.exchange(opened.folder.name)
            except UserError as error:
                show_error(error)
    if query and names:
        show_latencies(opened, chosen, query[:LONGEST], depth(hits, fused), answered)
