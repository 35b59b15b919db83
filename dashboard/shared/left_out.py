"""Sentences about documents that are excluded from the ranked lists of a topic."""

from collections.abc import Collection, Mapping
from typing import Any

import streamlit as st

from dashboard.shared import data
from dashboard.shared.escaping import escape_markdown

NAMED = 5


def sentence(content: data.Content, topic: str, held: Collection[str] = ()) -> str:
    """Say which documents are left out of every list of a topic, "" where none is.

    Args:
        held: documents that imported runs hold and that were left out of them: the collection may not know them.
    """
    excluded = {name for name in content.excluded.get(topic, ()) if name in content.documents or name in held}
    parts = ["the document with the id of the topic (as in BEIR's evaluation)"] if topic in excluded else []
    if others := sorted(excluded - {topic}):
        more = " …" if len(others) > NAMED else ""
        parts.append(f"{len(others)} listed by the collection: {', '.join(others[:NAMED])}{more}")
    return f"Excluded from every list of topic {topic}: {'; '.join(parts)}." if parts else ""


def caption(content: data.Content, topic: str, held: Collection[str] = ()) -> None:
    """Draw that sentence, nothing where nothing is left out."""
    if said := sentence(content, topic, held):
        st.caption(escape_markdown(said))


def of_collection(facts: Mapping[str, Any]) -> str:
    """Say for how many of a collection's topics documents are left out, "" where for none.

    Args:
        facts: of the collection's manifest.
    """
    own, listed = (facts.get(f"topics_with_{what}", 0) for what in ("their_own_document", "excluded_documents"))
    parts = [f"for {own} topics, the document with the id of the topic (as in BEIR's evaluation)"] if own else []
    parts += [f"for {listed} topics, documents listed by the collection"] if listed else []
    return f"Excluded from every list: {'; '.join(parts)}." if parts else ""
