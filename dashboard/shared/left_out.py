"""Sentences about documents that are excluded from the ranked lists of a topic."""

from collections.abc import Collection, Mapping
from typing import Any

import streamlit as st

from dashboard.shared import data
from dashboard.shared.escaping import escape_markdown

NAMED = 5


def sentence(content: data.Content, topic: str, held: Collection[str] = ()) -> str:
    """Return a sentence on the documents excluded from every list of a topic; "" if there are none.

    Args:
        held: documents excluded from imported runs, which the collection may not contain.
    """
    excluded = {name for name in content.excluded.get(topic, ()) if name in content.documents or name in held}
    parts = ["the document with the id of the topic (as in BEIR's evaluation)"] if topic in excluded else []
    if others := sorted(excluded - {topic}):
        more = " …" if len(others) > NAMED else ""
        parts.append(f"{len(others)} listed by the collection: {', '.join(others[:NAMED])}{more}")
    return f"Excluded from every list of topic {topic}: {'; '.join(parts)}." if parts else ""


def caption(content: data.Content, topic: str, held: Collection[str] = ()) -> None:
    """Draw that sentence, or nothing if no document is excluded."""
    if said := sentence(content, topic, held):
        st.caption(escape_markdown(said))


def of_collection(facts: Mapping[str, Any]) -> str:
    """Return a sentence on the number of topics with excluded documents; "" if there are none.

    Args:
        facts: the facts in the collection's manifest.
    """
    own, listed = (facts.get(f"topics_with_{what}", 0) for what in ("their_own_document", "excluded_documents"))
    parts = [f"for {own} topics, the document with the id of the topic (as in BEIR's evaluation)"] if own else []
    parts += [f"for {listed} topics, documents listed by the collection"] if listed else []
    return f"Excluded from every list: {'; '.join(parts)}." if parts else ""
