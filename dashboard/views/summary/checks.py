"""Cross-check of the measures with other libraries."""

import pandas as pd
import streamlit as st

from core.evaluation.cross_checks import (
    LARGEST_DIFFERENCE,
    OURS,
    REFERENCE,
    agreement_table,
    check_rows,
    check_table,
    checkable,
)
from core.evaluation.freshness import evaluation
from core.workspace.artifacts import read_latest
from dashboard.shared import data, results, state
from dashboard.shared.comparison import View
from dashboard.shared.escaping import escape_markdown
from dashboard.shared.provenance import downloads_and_provenance


def draw_checks(view: View) -> None:
    """Draw the cross-check with ir_measures and scikit-learn on demand, and the one stored with the measures."""
    if state.read("check"):
        with st.spinner("Computing …"):
            _second_library(view)
    else:
        st.write("Recompute every mean in the first table of this page with ir_measures, and nDCG with scikit-learn.")
        st.button("Run cross-check", on_click=state.write, args=("check", "yes"))
    st.markdown("**Evaluator of sentence-transformers**")
    rows = results.agreement(view.opened)
    if rows.empty:
        st.write("No values are stored for the current runs of the dense systems.")
        return
    table = agreement_table(rows, view.labels)
    styled = table.figures.reset_index().style.format({"difference": "{:.1e}"}, precision=6)
    st.dataframe(styled, hide_index=True, alt=table.caption)
    name = f"{view.opened.folder.name}-sentence-transformers"
    downloads_and_provenance(view.opened, name, table, "cross-check", {"library": "sentence-transformers"})
    st.caption(
        "Both use binary relevance, as this evaluator requires, and the full depth of the run. Where a topic has more "
        "relevant documents than the run is deep, its AP divides by the depth, RankScope's by all relevant documents."
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
    form = {OURS: "{:.6f}", REFERENCE: "{:.6f}", LARGEST_DIFFERENCE: "{:.1e}"}
    styled = table.figures.reset_index().style.format(form)
    st.dataframe(styled, hide_index=True, alt=table.caption)
    downloads_and_provenance(
        view.opened, f"{view.opened.folder.name}-check", table, "cross-check", {"measure": view.measure}
    )
    st.caption(
        "ir_measures, like RankScope, calls trec_eval, so it checks how runs, missing topics and relevance thresholds "
        "are handled. scikit-learn's nDCG is an independent implementation. Judged@k is not compared: ir_measures "
        "divides by the number of retrieved documents where it is below k."
    )


@st.cache_data(max_entries=10, show_spinner=False, hash_funcs={data.Opened: lambda opened: str(opened.folder)})
def check(
    opened: data.Opened, systems: list[str], measures: list[str], digests: tuple[str, ...], stored: str
) -> pd.DataFrame:
    """Return one row per value, see `check_rows`.

    Args:
        digests: from `results.digests`.
        stored: the digest of the artifact `measures`, by which the table is cached, too.
    """
    values = {measure: results.values(opened, measure) for measure in measures}
    versions = dict(zip(systems, digests, strict=False))
    qrels = data.read_judged_topics(opened.folder, digests[-1]).qrels
    return check_rows(systems, values, lambda name: results.scores_of(opened, name, versions[name]), qrels)
