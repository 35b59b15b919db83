"""Drawing of a comparison in words: headline, evidence, and the other tests folded."""

from collections.abc import Sequence

import streamlit as st

from core.evaluation.significance import Corrected, Values, compare_corrected
from core.evaluation.verdicts import Verdict
from dashboard.shared.escaping import escape_markdown


@st.cache_data(max_entries=50, show_spinner=False)
def compare_pair(values: Values, a: str, b: str, tie: float = 0.0) -> Corrected:
    """Return `compare_corrected`, cached: the same comparison has the same p on every page.

    Raises:
        UserError: if the systems were evaluated on different topics, or on fewer than two.
    """
    return compare_corrected(values, a, b, tie)


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
