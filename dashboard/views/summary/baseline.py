"""Comparison with the baseline by one measure: confidence intervals, tests, minimum detectable effect."""

from collections.abc import Mapping, Sequence

import pandas as pd
import streamlit as st

from core.evaluation import comparison_tables
from core.evaluation.comparison_tables import baseline_table, best_systems, judged_partner
from core.evaluation.measures import mean
from core.evaluation.significance import BOOTSTRAP_RESAMPLES, SEED, Comparison, Values
from core.evaluation.table_formats import MISSING
from core.evaluation.topic_tables import means_by_type, types_table
from core.workspace.measure_names import parse_measure
from dashboard.shared import charts, data, export, results
from dashboard.shared.comparison import View
from dashboard.shared.escaping import escape_markdown
from dashboard.shared.provenance import downloads_and_provenance
from dashboard.shared.widgets import FOUR, SIGNED, height
from dashboard.views.summary.charts import forest, type_dots
from dashboard.views.summary.differences import forest_rows

NARROW = {
    name: st.column_config.Column(short, help=name, alignment="right")
    for name, short in {
        "95 % CI of difference": "CI of difference",
        "effect size (d)": "d",
        "MDE at 80 % power": "MDE",
        "p, randomisation test (Holm-adjusted)": "p, randomisation",
        "p, paired t-test (Holm-adjusted)": "p, t-test",
        "wins/ties/losses": "W/T/L",
    }.items()
}
"""Columns with shorter names where the table has to fit the page."""
TEST = (
    "randomisation test (exact up to 16 topics, otherwise estimated by seeded importance sampling with a standard "
    "error of 1 or 2 % of p, and less where the decision at 0.05 depends on it)"
)
WORDS = f"""
95 % CI of the mean: percentile bootstrap over topics, {BOOTSTRAP_RESAMPLES:,} resamples. Differences to the baseline
are paired by topic; their 95 % CI is that of the paired t-test. Effect size: Cohen's d, the mean of the differences
over their standard deviation. MDE: minimum detectable effect at 80 % power (alpha
0.05), λ · s / √n, where s is the standard deviation of the n differences and λ comes from the noncentral t distribution
(Cohen, 1988; Sakai, 2018). p: {TEST} and paired t-test; in parentheses, p Holm-adjusted over the systems shown. Where
the difference is the same on every topic, its variance is zero and t-test, CI and MDE are undefined.
"""


def draw_baseline(view: View) -> None:
    """Draw the sentences, the charts, and the table with its exports."""
    table, found = against = compared(view.values, view.baseline)
    table = table.sort_values("mean", ascending=False, kind="stable")
    collection, name = view.opened.folder.name, f"{view.opened.folder.name}-{view.measure}"
    judged = judged_means(view.opened, view.measure, list(view.values))
    shown = baseline_table(table, found, view.labels, view.measure, view.baseline, collection, judged)
    for sentence in shown.sentences:
        st.markdown(escape_markdown(sentence))
    if not found:
        st.write("Only one system is evaluated: there is nothing to compare it with.")
    best = table[table.index.isin(best_systems(view.values, view.pair))]
    left, right = st.columns(2)
    with left:
        figure = charts.mean_bars(best, view.labels, view.measure, view.baseline)
        export.chart(figure, name, f"Bars of mean {view.measure} by system")
    with right:
        if found:
            rows = forest_rows(view, against)
            figure = forest(rows, view.labels, view.measure, view.baseline, view.a)
            export.chart(figure, f"{name}-differences", f"Differences in {view.measure} to the baseline, with 95 % CI")
    if len(best) < len(table):
        st.caption(f"The best {len(best)} of {len(table)} systems.")
    config = {name: FOUR for name in ("mean", judged_partner(view.measure))} | {"difference": SIGNED} | NARROW
    alt = f"Comparison of each system with the baseline, {view.measure}"
    st.dataframe(shown.shown, column_config=config, placeholder=MISSING, alt=alt, height=height(len(table)))
    about = f"{TEST}; percentile bootstrap over topics, {BOOTSTRAP_RESAMPLES:,} resamples; seed {SEED}"
    options = {"measures": view.measure, "baseline": view.baseline}
    downloads_and_provenance(view.opened, f"{name}-against-{view.baseline}", shown, "table", options, about)
    st.caption(f"{escape_markdown(view.measure)}: {parse_measure(view.measure).family.description}. {WORDS}")


def judged_means(opened: data.Opened, measure: str, systems: Sequence[str]) -> dict[str, float] | None:
    """Return the mean Judged@k of each system if the measure is nDCG@k, otherwise None.

    Raises:
        UserError: an artifact is missing or damaged.
    """
    judged = judged_partner(measure)
    if not judged:
        return None
    shares = results.values(opened, judged)
    return {system: mean(shares[system]) for system in systems}


@st.cache_data(max_entries=50, show_spinner=False)
def compared(values: Values, baseline: str) -> tuple[pd.DataFrame, Mapping[str, Comparison]]:
    """Return `comparison_tables.against_baseline`, cached so that all parts of the pages share the resampling.

    Raises:
        UserError: if the systems were evaluated on different topics, or on fewer than two.
    """
    return comparison_tables.against_baseline(values, baseline)


def draw_missing(view: View) -> None:
    """Draw a note on systems that retrieved nothing for some topics."""
    topics = len(view.content.qrels)
    best = view.tidy.groupby(["system", "topic"], sort=False)["value"].max()
    # A topic that a run lacks is 0 by every measure, so other runs need not be read.
    for system in best[best <= 0].index.unique("system"):
        label, count = escape_markdown(view.labels[system]), results.missing_topics(view.opened, system)
        if count == topics:
            st.caption(f"{label} retrieved no documents for any topic: every measure is 0.")
        elif count:
            st.caption(f"{label} retrieved no documents for {count} of {topics} topics, which count as 0.")


def draw_types(view: View) -> None:
    """Draw the means by topic type: those of systems A and B in a chart, all in a table."""
    by_type = means_by_type({name: view.values[name] for name in view.pair if name}, view.content.topics)
    figure = type_dots(by_type, view.labels, view.measure, view.pair)
    name = f"{view.opened.folder.name}-{view.measure}"
    export.chart(figure, f"{name}-types", f"Mean {view.measure} by topic type")
    table = types_table(view.values, view.content.topics, view.labels, view.measure, view.opened.folder.name)
    config = {label: FOUR for label in view.labels.values()}
    st.dataframe(table.shown, column_config=config, alt=f"{view.measure} by topic type")
    downloads_and_provenance(view.opened, f"{name}-kinds", table, "types", {"measure": view.measure})
