"""Our figures held against other libraries'."""

import pandas as pd
import streamlit as st

from core.evaluation.cross_checks import checkable, ir_measures_values, sklearn_ndcg
from core.evaluation.freshness import evaluation
from core.evaluation.measures import mean
from core.workspace.artifacts import read_latest
from core.workspace.measure_names import parse_measure
from dashboard.shared import data, export, results, state
from dashboard.shared.escaping import escape_markdown
from dashboard.views.overview.view import View

TOLERANCE = 1e-9


def draw(view: View) -> None:
    """Draw the check by ir_measures and scikit-learn when it is asked for, and the one made with the measures."""
    if state.read("check"):
        with st.spinner("Checking …"):
            _second_library(view)
    else:
        st.write("Compute every figure of this page's first table again with ir_measures, and nDCG with scikit-learn.")
        st.button("Check now", on_click=state.write, args=("check", "yes"))
    st.markdown("**sentence-transformers' evaluator**")
    table = results.agreement(view.opened)
    if table.empty:
        st.write("There are no stored figures of a dense system's present run.")
        return
    table["difference"] = table["ours"] - table["sentence_transformers"]
    styled = table.replace({"system": dict(view.labels)}).style.format({"difference": "{:.1e}"}, precision=6)
    st.dataframe(styled, hide_index=True, alt="Our figures and sentence-transformers'")
    st.caption(
        "Both with relevance taken as yes or no, as its evaluator has it, and to the depth of the run. Its AP divides "
        "by the depth where a topic has more relevant documents than that, ours by all of them."
    )


def _second_library(view: View) -> None:
    measures = checkable(dict.fromkeys([view.measure, *view.tidy["measure"]]))
    stored = evaluation(view.opened.profile, view.opened.folder).measures
    table = read_latest(
        lambda: results.digests(view.opened, view.systems),
        lambda digests: check(view.opened, view.systems, measures, digests, stored),
    )
    largest = table["largest difference in a topic"].max()
    words = f"{len(table)} figures, {len(view.content.qrels)} topics each: "
    words += "all agree" if largest <= TOLERANCE else "they do not all agree"
    st.write(escape_markdown(f"{words}; the largest difference in any topic is {largest:.1e}."))
    form = {"ours": "{:.6f}", "theirs": "{:.6f}", "largest difference in a topic": "{:.1e}"}
    shown = table.replace({"system": view.labels})
    st.dataframe(shown.style.format(form), hide_index=True, alt="Our figures and the other libraries'")
    indexed = shown.set_index("system")
    export.downloads(indexed, f"{view.opened.folder.name}-check", "Checked by other libraries")
    st.caption(
        "ir_measures calls trec_eval as we do: it checks how runs, missing topics and thresholds are counted. "
        "scikit-learn's nDCG is a formula of its own. Judged@k is not among them: ir_measures divides it by the "
        "documents retrieved where they are fewer than k."
    )


@st.cache_data(max_entries=10, show_spinner=False, hash_funcs={data.Opened: lambda opened: str(opened.folder)})
def check(
    opened: data.Opened, systems: list[str], measures: list[str], digests: tuple[str, ...], stored: str
) -> pd.DataFrame:
    """Return one row a figure: library, system, measure, ours, theirs, largest difference in a topic.

    Args:
        digests: from `results.digests`.
        stored: the digest of the artifact `measures`, by which the table is cached, too.
    """
    qrels = data.read_judged_topics(opened.folder, digests[-1]).qrels
    of_all = {measure: results.values(opened, measure) for measure in measures}
    rows = []
    for system, digest in zip(systems, digests, strict=False):
        scores = results.read_run(opened.folder, system, digest).scores
        ours = {measure: of_all[measure][system] for measure in measures}
        by_library = {"ir_measures": ir_measures_values(scores, qrels, measures)}
        ndcgs = {m: parse_measure(m).cutoff for m in measures if parse_measure(m).name == "nDCG"}
        by_library["scikit-learn"] = {measure: sklearn_ndcg(scores, qrels, k) for measure, k in ndcgs.items()}
        for library, values in by_library.items():
            for measure, theirs in values.items():
                apart = max(abs(theirs[topic] - ours[measure][topic]) for topic in qrels)
                rows.append((library, system, measure, mean(dict(ours[measure])), mean(theirs), apart))
    columns = ["library", "system", "measure", "ours", "theirs", "largest difference in a topic"]
    return pd.DataFrame(rows, columns=columns)
