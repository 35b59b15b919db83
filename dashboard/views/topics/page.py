"""Topics: two systems compared topic by topic, in several views; a click on a mark opens the topic."""

import pandas as pd
import streamlit as st

from core.evaluation import topic_tables
from core.evaluation.topic_tables import MEDIAN, TYPE_LABELS, median_system
from core.evaluation.verdicts import Verdict
from dashboard.shared import clicks, comparison, data, glossary, state, widgets
from dashboard.shared.escaping import escape_markdown
from dashboard.shared.verdicts import draw_verdict
from dashboard.views.topics import differences, difficulty
from dashboard.views.topics.chosen import Chosen, open_topic

TIES = ("0", "0.001", "0.01", "0.05", "0.1")
VIEWS = {
    "differences": ("Differences", differences.differences),
    "contrasts": ("Notable topics", differences.contrasts),
    "heat": ("Heat map", difficulty.heat_map),
    "difficulty": ("Topic difficulty", difficulty.difficulty),
    "length": ("Query length", difficulty.query_length),
    "kinds": ("Topic types", differences.kinds),
}


def choose_comparison(opened: data.Opened, content: data.Content, tidy: pd.DataFrame) -> tuple[Chosen, str]:
    """Draw the choices above the chart; return the selection and the chosen topic type."""
    view = comparison.choose(opened, tidy, median=True)
    a, b = view.pair
    found = {topic.kind for topic in content.topics.values() if topic.kind}
    kind = ""
    if found:
        kind = state.choose("Topic type", ["", *sorted(found)], "kind", "", {"": "all", **TYPE_LABELS}, width=200)
    tie = state.choose("Tie threshold", TIES, "tie", "0", width=120)
    values = view.values
    of_b = median_system(values) if b == MEDIAN else values.get(b)
    table = topic_tables.differences(values[a], of_b, content.topics)
    table = table[table["kind"] == kind].reset_index(drop=True) if kind else table
    return Chosen(opened, content, view.measure, values, a, b, float(tie), table, view.labels, kind), kind


def verdict(chosen: Chosen) -> Verdict:
    """Return how the two systems compare over these topics."""
    return topic_tables.topics_verdict(
        len(chosen.table), chosen.labels, chosen.a, chosen.b, chosen.measure, chosen.compared
    )


def choose_topic(chosen: Chosen) -> None:
    """Draw the select box that opens a topic, and the button that opens the last one or the first."""
    queries = dict(zip(chosen.table["topic"], chosen.table["query"], strict=True))
    topic = st.selectbox(
        "Open a topic",
        chosen.topics,
        index=None,
        format_func=lambda name: widgets.topic_name(name, queries[name]),
        placeholder="Choose or type",
        width=320,
    )
    first = state.read("topic") if state.read("topic") in queries else next(iter(queries), "")
    if first and st.button(escape_markdown(f"Open topic {first}"), shortcut="O"):
        topic = first
    if topic:
        open_topic(topic)


def page(opened: data.Opened) -> None:
    """Draw the Topics page of a collection.

    Raises:
        UserError: topics or judgments are missing or damaged, or no system is evaluated.
    """
    content = data.judged_topics(opened)
    if topic := clicks.reported("topics"):
        open_topic(topic)
    tidy = widgets.evaluated(opened)
    above = st.container()
    with st.container(horizontal=True, vertical_alignment="bottom"):
        chosen, kind = choose_comparison(opened, content, tidy)
        with st.container(horizontal=True, vertical_alignment="bottom", width="content", key="topics-choices"):
            choose_topic(chosen)
    with above:
        draw_verdict(verdict(chosen))
    views = {name: label for name, (label, _) in VIEWS.items()}
    if not chosen.table["kind"].any():
        del views["kinds"]
    if not chosen.b:
        del views["contrasts"]
    view = state.choose_view("View", views, "chart")
    # One key per view, so that a click in another view does not stay selected.
    key = " ".join([view, chosen.a, chosen.b, chosen.measure, kind, str(chosen.tie)])
    VIEWS[view][1](chosen, key)
    terms = (glossary.NDCG, glossary.JUDGED, glossary.SIGNIFICANCE, glossary.MEDIAN, glossary.PARTS, glossary.RBO)
    glossary.explain_terms(*terms)
