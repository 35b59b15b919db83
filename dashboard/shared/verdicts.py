"""Drawing of a comparison in words: headline, evidence, and the other tests folded."""

from collections.abc import Sequence

import streamlit as st

from core.evaluation.verdicts import Verdict
from dashboard.shared.escaping import escape_markdown


def draw_verdict(verdict: Verdict) -> None:
    """Draw the headline in bold with the evidence below it, and the details folded."""
    evidence = f"  \n{escape_markdown(verdict.evidence)}" if verdict.evidence else ""
    st.markdown(f"**{escape_markdown(verdict.headline)}**{evidence}")
    draw_details(verdict.details)


def draw_details(details: Sequence[str]) -> None:
    """Draw the details folded, if there are any."""
    if not details:
        return
    with st.expander("Details"):
        for sentence in details:
            st.markdown(escape_markdown(sentence))
