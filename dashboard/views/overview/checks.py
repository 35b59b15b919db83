"""Our figures held against other libraries'."""

import pandas as pd
import streamlit as st

from core.evaluation.cross_checks import LARGEST_DIFFERENCE, agreement_table, check_rows, check_table, checkable
from core.evaluation.freshness import evaluation
from core.workspace.artifacts import read_latest
from dashboard.shared import data, results, state
from dashboard.shared.comparison import View
from dashboard.shared.escaping import escape_markdown
from dashboard.shared.provenance import downloads_and_provenance


def draw_checks(view: View) -> None:
    """Draw the check by ir_measures and scikit-learn when it is asked for, and the one made with the measures."""
    if state.read("check"):
        with st.spinner("Checking …"):
            _second_library(view)
    else:
        st.write("Compute every figure of this page's first table again with ir_measures, and nDCG with scikit-learn.")
        st.button("Check now", on_click=state.write, args=("check", "yes"))
    st.markdown("**sentence-transformers' evaluator**")
    rows = results.agreement(view.opened)
    if rows.empty:
        st.write("There are no stored figures of a dense system's present run.")
        return
    table = agreement_table(rows, view.labels)
    styled = table.figures.reset_index().style.format({"difference": "{:.1e}"}, precision=6)
    st.dataframe(styled, hide_index=True, alt="Our figures and sentence-transformers'")
    name = f"{view.opened.folder.name}-sentence-transformers"
    downloads_and_provenance(view.opened, name, table, "cross-check", {"library": "sentence-transformers"})
    st.caption(
        "Both with relevance taken as yes or no, as its evaluator has it, and to the depth of the run. Its AP divides "
        "by the depth where a topic has more relevant documents than that, ours by all of them."
    )


def _second_library(view: View) -> None:
    measures = checkable(dict.fromkeys([view.measure, *view.tidy["measure"]]))
    stored = evaluation(view.opened.profile, view.opened.folder).measures
    rows = read_latest(
        lambda: results.digests(view.opened, view.systems),
        lambda digests: check(view.opened, view.systems, measures, digests, stored),
    )
    table = check_table(rows, view.labels, len(view.content.qrels))
    for sentence in table.sentences:
        st.write(escape_markdown(sentence))
    form = {"ours": "{:.6f}", "theirs": "{:.6f}", LARGEST_DIFFERENCE: "{:.1e}"}
    styled = table.figures.reset_index().style.format(form)
    st.dataframe(styled, hide_index=True, alt="Our figures and the other libraries'")
    downloads_and_provenance(
        view.opened, f"{view.opened.folder.name}-check", table, "cross-check", {"measure": view.measure}
    )
    st.caption(
        "ir_measures calls trec_eval as we do: it checks how runs, missing topics and thresholds are counted. "
        "scikit-learn's nDCG is a formula of its own. Judged@k is not among them: ir_measures divides it by the "
        "documents retrieved where they are fewer than k."
    )


@st.cache_data(max_entries=10, show_spinner=False, hash_funcs={data.Opened: lambda opened: str(opened.folder)})
def check(
    opened: data.Opened, systems: list[str], measures: list[str], digests: tuple[str, ...], stored: str
) -> pd.DataFrame:
    """Return one row a figure, see `check_rows`.

    Args:
        digests: from `results.digests`.
        stored: the digest of the artifact `measures`, by which the table is cached, too.
    """
    values = {measure: results.values(opened, measure) for measure in measures}
    versions = dict(zip(systems, digests, strict=False))
    qrels = data.read_judged_topics(opened.folder, digests[-1]).qrels
    return check_rows(systems, values, lambda name: results.scores_of(opened, name, versions[name]), qrels)
