"""Search: the answers of all systems to one query side by side, from the same system objects as the batch run."""

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
    """Draw notices about the query: whether it is a topic, and where it is too long."""
    if topic:
        st.info(f"This query is topic {escape_markdown(topic.id)}; its grades are shown.")
        left_out.caption(content, topic.id)
        widgets.topic_link(topic.id, topic.query)
    if not state.read("query"):
        st.caption("The query is too long for a URL, so a link to this page does not contain it.")
    if len(query) > LONGEST:
        st.caption(f"Only the first {LONGEST:,} of {len(query):,} characters are searched.")
    if len(query.split()) > EXPLAINED_WORDS:
        st.caption(
            f"Matched terms are not shown for queries of more than {EXPLAINED_WORDS} words; dense systems truncate "
            "such queries at their model's maximum input length."
        )


def page(opened: data.Opened) -> None:
    """Draw the Search page of a collection.

    Raises:
        UserError: no system can answer a query, or the collection is missing or damaged.
    """
    content = data.content(opened)
    answering = [system for system in opened.profile.system if system.kind != "run"]
    labels_of = {system.name: opened.labels[system.name] for system in answering}
    if not answering:
        raise UserError(
            f"{opened.folder.name} consists of imported runs: without an index it cannot answer new queries; see the "
            "Topics page for what the runs retrieved"
        )
    query = query_form(content.topics.values())
    left, middle, right = st.columns([5, 2, 1], vertical_alignment="bottom")
    with left:
        names = state.choose_several("Systems", list(labels_of), "systems", labels_of)
    with middle, st.container(horizontal=True):
        fused = state.switch("Fuse (RRF)", "fused", "Reciprocal rank fusion of the systems (Cormack et al., 2009)")
        judged = state.switch("Judge relevance", "judge", "Judge the retrieved documents and export qrels")
    with right:
        hits = int(state.choose("Depth", ["5", "10", "20", "50"], "hits", "10"))
    topic = data.find_topic(query, content.topics.values()) if query else None
    asked = [system for system in answering if system.name in names]
    widgets.say_older(opened, widgets.answering_artifacts(opened, asked))
    if query:
        notes(content, query, topic)
    judging_place = st.container()
    if not query:
        st.info("Type a query or choose an example to search with all selected systems.")
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
