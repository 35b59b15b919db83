"""The result card: one retrieved document, with its grade as a sign and in words."""

from collections.abc import Sequence

import streamlit as st

from core.collection import Document
from dashboard.text import escape_markdown, shortened

SNIPPET = 180
TERMS = 8


def grade_text(grade: int | None, highest: int) -> str:
    """Return a grade as a sign and in words; None is unjudged, which is not the same as not relevant.

    Args:
        highest: the collection's highest grade; above 1, grade 1 is partly relevant.
    """
    if grade is None:
        return "? unjudged"
    if grade <= 0:
        return f"○ not relevant ({grade})"
    words = "partly relevant" if grade < highest else "relevant"
    return f"{'●' * min(grade, 5)} {words} ({grade})"


def result_card(
    rank: int,
    identity: str,
    score: float,
    document: Document | None,
    grade: str = "",
    elsewhere: str = "",
    parts: Sequence[tuple[str, float]] = (),
    predicted: Sequence[str] = (),
    snippet: bool = False,
) -> None:
    """Draw a hit.

    Args:
        document: None where the collection has no texts.
        grade: from `grade_text`, or "".
        elsewhere: where the document stands in another list, in words.
        parts: what the score is made of.
        predicted: the queries that doc2query predicted for the document.
        snippet: show the beginning of the text outside the expander.
    """
    with st.container(border=True, gap="xsmall"):
        facts = [f"**{rank}**", grade, f"score {score:.3f}", escape_markdown(elsewhere)]
        st.caption("  ·  ".join(fact for fact in facts if fact))
        if document is None:
            st.text(f"document {identity}")
            return
        st.markdown(f"**{escape_markdown(document.title) or '(no title)'}**")
        if snippet and document.text:
            st.text(shortened(document.text, SNIPPET))
        if parts:
            st.caption(escape_markdown(matched_terms(parts)))
        with st.expander("Text and predicted queries" if predicted else "Text"):
            st.text(document.text or "(no text)")
            st.text(f"document {document.id}")
            if predicted:
                st.caption("Queries that doc2query predicted, and BM25 searched as part of the document:")
                st.text("\n".join(predicted))


def matched_terms(parts: Sequence[tuple[str, float]]) -> str:
    """Say which terms matched and what each adds to the score, the heaviest first."""
    shown = " + ".join(f"{term} {weight:.2f}" for term, weight in parts[:TERMS])
    rest = sum(weight for _, weight in parts[TERMS:])
    return f"matched: {shown}" + (f" + {len(parts) - TERMS} more {rest:.2f}" if rest else "")
