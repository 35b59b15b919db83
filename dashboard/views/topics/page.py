"""Topics: two systems compared topic by topic, in several views; a click on a mark opens the topic."""

import pandas as pd
import streamlit as st

from core.evaluation import topic_tables
from core.evaluation.topic_tables import MEDIAN, TYPE_LABELS, median_system
from core.evaluation.verdicts import Verdict
from dashboard.shared import comparison, data, glossary, state, widgets
from dashboard.shared.escaping import shortened
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
    with st.container(horizontal=True):
        tie = state.choose("Tie threshold", TIES, "tie", "0", width=160)
        if found:
            kind = state.choose("Topic type", ["", *sorted(found)], "kind", "", {"": "all", **TYPE_LABELS}, width=320)
    values = view.values
    of_b = median_system(values) if b == MEDIAN else values.get(b)
    table = topic_tables.differences(values[a], of_b, content.topics)
    table = table[table["kind"] == kind].reset_index(drop=True) if kind else table
    return Chosen(opened, content, view.measure, values, a, b, float(tie), table, view.labels, kind), kind


def verdict(chosen: Chosen) -> Verdict:
    """Return how the two systems compare over these topics."""
    return topic_tables.topics_verdict(chosen.table, chosen.labels, chosen.a, chosen.b, chosen.measure, chosen.tie)


def choose_topic(chosen: Chosen) -> None:
    """Draw the select box that opens a topic."""
    queries = dict(zip(chosen.table["topic"], chosen.table["query"], strict=True))
    topic = st.selectbox(
        "Open a topic",
        chosen.topics,
        index=None,
        format_func=lambda name: f"{name} · {shortened(queries[name], 80)}",
        placeholder="Choose a topic, or click on it in the chart",
    )
    if topic:
        open_topic(topic)


def page(opened: data.Opened) -> None:
    """Draw the Topics page of a collection.

    Raises:
        UserError: topics or judgments are missing or damaged, or no system is evaluated.
    """
    content = data.judged_topics(opened)
    chosen, kind = choose_comparison(opened, content, widgets.evaluated(opened))
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
    choose_topic(chosen)
    glossary.explain_terms(glossary.NDCG, glossary.JUDGED, glossary.MEDIAN, glossary.PARTS, glossary.RBO)
