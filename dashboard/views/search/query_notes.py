"""Notes on the query of the Search page: the topic whose text it is, words in no index, text that is not English."""

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, cast

import streamlit as st

from core.formats.topics import Topic
from core.retrieval import query_checks
from core.workspace.model_shapes import shape_of
from core.workspace.profile import SystemSettings
from dashboard.shared import data, left_out, links, live
from dashboard.shared.escaping import escape_markdown, shortened
from dashboard.views.search.asking import ask

if TYPE_CHECKING:
    from core.retrieval.systems import Bm25System

ENGLISH_VOCABULARY = 100_000
"""Models with more tokens are multilingual: BERT's English vocabulary has 30,522, XLM-R's 250,002."""
NAMED = 8
"""Maximum number of unknown words that are named."""
CORRECTED = 3
"""Maximum number of unknown words for which similar ones are looked for."""


def topic_note(opened: data.Opened, topic: Topic, query: str) -> None:
    """Draw which topic the query is; offer the text that the runs searched if the query is another of its texts."""
    text = topic.text(opened.profile.collection.topic_field)
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        if data.same_text(query, text):
            st.markdown(f"This query is topic {escape_markdown(topic.id)}.", width="content")
        else:
            name, searched = _name(topic, query), _name(topic, text)
            said = f"This query is topic {escape_markdown(topic.id)}’s {name}; the runs searched its {searched}:"
            st.markdown(said, width="content")
            label = escape_markdown(shortened(text, 80))
            st.button(label, key="text of the runs", icon=":material/search:", on_click=ask, args=(text,))
        links.page_link("topic", "Open the topic", ":material/topic:", topic=topic.id)
    left_out.caption(data.content(opened), topic.id)


def _name(topic: Topic, text: str) -> str:
    texts = {"question": topic.question, "title": topic.query, "narrative": topic.narrative}
    return next(name for name, of_topic in texts.items() if data.same_text(text, of_topic))


def unknown_words_note(opened: data.Opened, systems: Sequence[SystemSettings], query: str) -> None:
    """Draw the query terms that are in no BM25 index, and offer the query with similar words in their place.

    Raises:
        UserError: a system cannot load.
    """
    ready = [live.ready_system(opened, system) for system in systems if system.kind == "bm25"]
    unknown = []
    for one in ready:
        with one.lock:
            unknown.append(query_checks.unknown_words(query, cast("Bm25System", one.system).index))
    words = [word for word in unknown[0] if all(word in others for others in unknown)] if unknown else []
    if not words:
        return
    similar = {}
    if not query_checks.is_in_other_language(query):
        with ready[0].lock:
            index = cast("Bm25System", ready[0].system).index
            similar = query_checks.similar_words(words[:CORRECTED], index, data.content(opened).documents)
    more = f" and {len(words) - NAMED} more" if len(words) > NAMED else ""
    named = ", ".join(f"“{escape_markdown(shortened(word, 40))}”" for word in words[:NAMED])
    with st.container(horizontal=True, vertical_alignment="center"):
        st.markdown(f":material/spellcheck: Not in any BM25 index: {named}{more}.", width="content")
        if similar:
            corrected = re.sub(r"\w+", lambda word: similar.get(word[0], word[0]), query)
            label = f"Search for “{escape_markdown(shortened(corrected, 80))}”"
            st.button(label, key="corrected query", icon=":material/search:", on_click=ask, args=(corrected,))


def language_note(opened: data.Opened, systems: Sequence[SystemSettings], query: str) -> None:
    """Draw a note if a model with an English vocabulary is asked text that does not seem to be English."""
    models = [
        opened.labels[system.name]
        for system in systems
        if system.model and shape_of(opened.folder.workspace, system.model).vocabulary < ENGLISH_VOCABULARY
    ]
    scripts = query_checks.other_scripts(query)
    if not models or not (scripts or query_checks.is_in_other_language(query)):
        return
    what = f"“{shortened(scripts, 60)}” is not" if scripts else "This query does not seem to be"
    known = f"Models with an English vocabulary hardly know such text: {', '.join(models)}."
    st.markdown(f":material/translate: {escape_markdown(f'{what} English. {known}')}", width="content")
