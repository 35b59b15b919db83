"""Search: the answers of all systems to one query side by side, from the same system objects as the batch run."""

from collections.abc import Mapping, Sequence
from contextlib import suppress

import streamlit as st

from core.evaluation.measures import mean
from core.evaluation.results import first_baseline, first_compared
from core.retrieval.fusion import reciprocal_rank_fusion
from core.workspace.errors import UserError
from core.workspace.profile import SystemSettings
from dashboard.shared import data, links, live, results, state, widgets
from dashboard.shared.escaping import error_markdown, escape_markdown, show_error
from dashboard.views.search import judging
from dashboard.views.search.answer_columns import EXPLAINED_WORDS, Asked, draw_answers, show_latencies
from dashboard.views.search.asking import query_form
from dashboard.views.search.query_notes import language_note, topic_note, unknown_words_note

LONGEST = 10_000
COLUMNS = 4
"""Number of systems shown unless others are chosen."""


def length_notes(query: str) -> None:
    """Draw a note for each limit that the query exceeds."""
    if not state.read("query"):
        st.caption("The query is too long for a URL, so a link to this page does not contain it.")
    if len(query) > LONGEST:
        st.caption(f"Only the first {LONGEST:,} of {len(query):,} characters are searched.")
    if len(query.split()) > EXPLAINED_WORDS:
        st.caption(
            f"Matched terms are not shown for queries of more than {EXPLAINED_WORDS} words; dense systems truncate "
            "such queries at their model's maximum input length."
        )


def answering_systems(opened: data.Opened) -> list[SystemSettings]:
    """Return the systems that can answer; name the others with the reason, in one notice.

    Raises:
        UserError: no system can answer.
    """
    reasons = {system.name: live.why_unavailable(opened, system) for system in opened.profile.system}
    missing = {opened.labels[name]: error for name, error in reasons.items() if error}
    named = [f"{escape_markdown(label)}: {error_markdown(str(error))}" for label, error in missing.items()]
    if named:
        st.warning(f"Not available: {' · '.join(named)}", icon=":material/build:")
    return in_order(opened, [system for system in opened.profile.system if not reasons[system.name]])


def in_order(opened: data.Opened, systems: Sequence[SystemSettings]) -> list[SystemSettings]:
    """Return the systems with those that are A and B on other pages first."""
    names = [system.name for system in systems]
    if len(names) < 2:
        return list(systems)

    def means() -> Mapping[str, float]:
        with suppress(UserError):
            values = results.values(opened, opened.profile.measures[0])
            return {name: mean(dict(values[name])) if name in values else 0.0 for name in names}
        return dict.fromkeys(names, 0.0)

    wanted = {parameter: state.read(parameter) for parameter in "ab"}
    b = wanted["b"] if wanted["b"] in names else first_baseline(opened.profile, names)
    a = wanted["a"] if wanted["a"] in names else first_compared(opened.profile, names, b, means)
    return sorted(systems, key=lambda system: (system.name != a, system.name != b))


def page(opened: data.Opened) -> None:
    """Draw the Search page of a collection.

    Raises:
        UserError: the collection is missing or damaged.
    """
    if all(system.kind == "run" for system in opened.profile.system):
        st.info(
            f"{escape_markdown(opened.folder.name)} consists of imported runs. Without documents and an index, no "
            "system can answer a new query; Topics shows what the runs retrieved."
        )
        links.page_link("topics", icon=":material/difference:")
        return
    content = data.content(opened)
    query = query_form(content.topics.values(), opened.profile.collection.topic_field)
    notices = st.container()
    with notices:
        answering = answering_systems(opened)
    labels = {system.name: opened.labels[system.name] for system in answering}
    first = list(labels)[:COLUMNS] if len(labels) > COLUMNS else ()
    with st.container(horizontal=True, vertical_alignment="center"):
        overlap = st.empty()
        differences = state.switch("Only differences", "differences", "Fold the documents that all systems have")
        fused = state.switch("Fuse (RRF)", "fused", "Reciprocal rank fusion of the systems (Cormack et al., 2009)")
        judged = state.switch("Judge relevance", "judge", "Judge the retrieved documents and export qrels")
        with st.popover("Systems and depth", icon=":material/tune:"):
            names = state.choose_several("Systems", list(labels), "systems", labels, first, True, notices)
            hits = int(state.choose("Depth", ["5", "10", "20", "50"], "hits", "10"))
    by_name = {system.name: system for system in answering}
    systems = [by_name[name] for name in names]
    with notices:
        in_profile_order = [system for system in opened.profile.system if system in systems]
        widgets.say_older(opened, widgets.answering_artifacts(opened, in_profile_order))
    topic = data.find_topic(query, content.topics.values()) if query else None
    about, judging_place = st.container(), st.container()
    with about:
        if topic:
            topic_note(opened, topic, query)
        if query:
            length_notes(query)
    columns = None
    if not query:
        st.info("Type a query or choose an example to search with all selected systems.")
    elif not systems:
        st.info("Choose at least one system." if answering else "No system of this collection can answer yet.")
    else:
        asked = Asked(opened, systems, query[:LONGEST], hits, topic, fused, differences)
        with about:
            language_note(opened, systems, asked.query)
        columns = draw_answers(asked, overlap)
    if judged:
        with judging_place:
            if columns:
                pool = reciprocal_rank_fusion([answer.ranking[:hits] for answer in columns.answers.values()])
                judging.draw_pool(opened, judging.topic_id(query, topic), [document for document, _ in pool])
            try:
                judging.exchange(opened.folder.name)
            except UserError as error:
                show_error(error)
    if columns:
        with about:
            unknown_words_note(opened, [s for s in systems if s.name in columns.answers], columns.asked.query)
        show_latencies(columns)
