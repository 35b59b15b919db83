"""One measure against a baseline: intervals, tests, the interval of the difference, and what could have been seen."""

from collections.abc import Mapping

import pandas as pd
import streamlit as st

from core.evaluation import comparison_tables, table_formats, topic_tables
from core.evaluation.measures import mean
from core.evaluation.significance import BOOTSTRAP_RESAMPLES, SEED, Comparison, Values
from core.workspace.measure_names import parse_measure
from dashboard.shared import charts, export, results
from dashboard.shared.escaping import escape_markdown
from dashboard.shared.provenance import command, provenance
from dashboard.shared.widgets import FOUR
from dashboard.views.overview.view import View

SENTENCES = 10
"""Number of comparisons up to which each has its sentence."""
TEST = (
    "randomisation test: exact up to 16 topics, else estimated by importance sampling, seeded, to 1 or 2 % of p, and "
    "closer where a verdict at 0.05 hangs on it"
)
WORDS = f"""
95 % intervals of means are by bootstrap over topics. Differences are to the baseline, paired by topic, with Student's
interval. Detectable: minimum detectable effect at 80 % power (alpha 0.05), which is λ · s / √n, s the deviation of the
n differences, λ from the noncentral t distribution (Cohen, 1988; Sakai, 2018). p: {TEST}; and paired t-test. In
brackets p after Holm over the systems shown. Where a difference is the same on every topic, it has no variance: the
t-test, its interval and its power are undefined.
"""


def draw(view: View) -> None:
    """Draw the bars, the sentences, the table with its exports, and the means by kind of topic."""
    table, found = compared(view.values, view.baseline)
    left, right = st.columns(2)
    with left:
        figure = charts.mean_bars(table, view.labels, view.measure, view.baseline)
        name = f"{view.opened.folder.name}-{view.measure}"
        export.chart(figure, name, f"Bars of mean {view.measure} by system")
    with right:
        for sentence in sentences(table, found, view.labels, view.measure, view.baseline):
            st.markdown(escape_markdown(sentence))
        if not found:
            st.write("Only one system has run; there is nothing to compare it with.")
        missing(view)
    readable = comparison_tables.readable(table)
    if view.parsed.name == "nDCG":
        judged = f"Judged@{view.cutoff}"
        shares = results.values(view.opened, judged)
        readable.insert(2, judged, [mean(dict(shares[system])) for system in readable.index])
    readable = readable.rename(index=view.labels)
    config = {column: FOUR for column in readable.columns if column in ("mean", "difference") or column[:6] == "Judged"}
    about = f"{view.measure} of each system against the baseline"
    st.dataframe(readable, column_config=config, placeholder=table_formats.MISSING, alt=about)
    with st.container(horizontal=True, vertical_alignment="center"):
        about = f"{view.opened.folder.name}: {view.measure} against {view.labels[view.baseline]}"
        export.downloads(table.rename(index=view.labels), f"{name}-against-{view.baseline}", about, printed=readable)
        option = f'--measure "{view.measure}"'
        commands = {s: command(view.opened, "significance", [s, view.baseline], option) for s in view.values}
        about = f"{TEST}; bootstrap: {BOOTSTRAP_RESAMPLES:,} resamples; seed {SEED}"
        provenance(view.opened, "comparison", view.measure, commands, about)
    st.caption(f"{escape_markdown(view.measure)}: {parse_measure(view.measure)[0].description}. {WORDS}")


def sentences(
    table: pd.DataFrame, found: Mapping[str, Comparison], labels: Mapping[str, str], measure: str, baseline: str
) -> list[str]:
    """Return what is said of each comparison, of many together; and that there are too few topics, where it is so.

    Args:
        table: as `found`, from `compared`.
    """
    if not found:
        return []
    if len(found) > SENTENCES:
        said = [comparison_tables.summary_sentence(labels[baseline], measure, table, found)]
    else:
        said = [
            comparison_tables.baseline_sentence(
                labels[system], labels[baseline], measure, one, float(table.loc[system, "Holm randomisation"])
            )
            for system, one in found.items()
        ]
    few = comparison_tables.too_few_topics(next(iter(found.values())).topics, len(found))
    return [*said, few] if few else said


@st.cache_data(max_entries=50, show_spinner=False)
def compared(values: Values, baseline: str) -> tuple[pd.DataFrame, Mapping[str, Comparison]]:
    """Return `comparison_tables.against_baseline`, whose resampling is done once for all parts of the pages.

    Raises:
        UserError: the systems were evaluated on different topics, or on fewer than two.
    """
    return comparison_tables.against_baseline(values, baseline)


def missing(view: View) -> None:
    """Say which systems have nothing for some topics."""
    topics = len(view.content.qrels)
    best = view.tidy.groupby(["system", "topic"], sort=False)["value"].max()
    # A topic that a run lacks is 0 by every measure: other runs need not be read.
    for system in best[best <= 0].index.unique("system"):
        label, count = escape_markdown(view.labels[system]), results.missing_topics(view.opened, system)
        if count == topics:
            st.caption(f"{label} retrieved nothing for any topic: every measure is 0.")
        elif count:
            st.caption(f"{label} has no document for {count} of {topics} topics: they count 0.")


def kinds(view: View) -> None:
    """Draw the means by kind of topic, where the topics have kinds."""
    table = topic_tables.means_by_type(view.values, view.content.topics)
    if table.empty:
        return
    st.subheader(f"{escape_markdown(view.measure)} by kind of topic")
    table = table.rename(columns=dict(view.labels))
    config = {label: FOUR for label in view.labels.values()}
    st.dataframe(table, column_config=config, alt=f"{view.measure} by kind of topic")
    export.downloads(table, f"{view.opened.folder.name}-{view.measure}-kinds", "By kind of topic")
