"""Tables and report: the table for a paper, and the current comparison as one self-contained HTML file."""

from functools import partial

import pandas as pd
import streamlit as st

from core.evaluation import topic_tables
from core.evaluation.comparison_tables import BEST, best_systems
from core.workspace.errors import UserError
from dashboard.shared import data, state, widgets
from dashboard.shared.comparison import View, choose
from dashboard.shared.escaping import escape_markdown, show_error
from dashboard.views.report.contents import DEPTH, Chosen, make_report
from dashboard.views.report.paper import draw_paper
from dashboard.views.summary.baseline import compared

PICKED = 3
KEY = "report topics"


def choose_topics(table: pd.DataFrame) -> list[str]:
    """Draw the choice of topics whose lists are included; by default those where the two systems differ most."""
    names = list(table["topic"])
    picked = list(table.loc[table["difference"].abs().sort_values(ascending=False, kind="stable").index, "topic"])
    wanted = state.read("topics").split(",")
    st.session_state[KEY] = [name for name in names if name in wanted] or picked[:PICKED]
    texts = dict(zip(table["topic"], table["query"], strict=True))
    return st.multiselect(
        "Example topics",
        names,
        key=KEY,
        format_func=lambda name: widgets.topic_name(name, texts[name], 60),
        on_change=lambda: state.write("topics", ",".join(st.session_state[KEY])),
    )


def draw_report(opened: data.Opened, view: View, systems: list[str], every: list[str]) -> None:
    """Draw the choice of example topics and the download of the report.

    Raises:
        UserError: if there is too little to compare, or an artifact is missing or damaged.
    """
    other, baseline = view.a, view.baseline
    systems = [name for name in every if name in (*systems, baseline, other)]
    tabled = systems
    if len(systems) < len(every) and state.switch(f"All {len(every)} systems in the tables", "all", default=True):
        tabled = every
    of_other, of_baseline = view.values[other or baseline], view.values[baseline] if other else None
    topics = choose_topics(topic_tables.differences(of_other, of_baseline, view.content.topics))
    chosen = Chosen(opened, view.measure, baseline, other, systems, tabled, topics)
    compared({name: view.values[name] for name in tabled}, baseline)  # raises now, not at download
    st.write(
        escape_markdown(
            f"The report is one HTML file with the measures of {len(tabled)} systems, the comparison with "
            f"{opened.labels[baseline]}, charts and the top {DEPTH} of {len(systems)} systems for "
            f"{len(topics)} topics, and their provenance. It opens in any browser without a network connection (5 MB, "
            "the charting library included)."
        )
    )
    name = f"{opened.folder.name}-report.html"
    st.download_button(
        "Download the report", partial(make_report, chosen), name, "text/html", type="primary", on_click="ignore"
    )
    if opened.has_texts and not opened.is_sample:
        st.caption("The report contains document texts: check the corpus licence before sharing it.")


def page(opened: data.Opened) -> None:
    """Draw the page of a collection.

    Raises:
        UserError: no system is evaluated, or what the page needs is missing or damaged.
    """
    tidy = widgets.evaluated(opened)
    view = choose(opened, tidy)
    every = list(dict.fromkeys(tidy["system"]))
    labels = {name: opened.labels[name] for name in every}
    best = every if len(every) <= BEST else best_systems(view.values, [view.baseline, view.a])
    systems = state.choose_several("Systems", every, "systems", labels, best, ordered=True)
    st.header("Table for a paper")
    try:
        draw_paper(opened, tidy, systems)
    except UserError as error:
        show_error(error)
    st.header("Report")
    draw_report(opened, view, systems, every)
