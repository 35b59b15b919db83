"""All systems over all topics: topic difficulty, and whether query length is related to it."""

import pandas as pd
import streamlit as st

from core.evaluation import topic_tables
from core.evaluation.comparison_tables import best_systems
from dashboard.shared.widgets import FOUR, SIGNED
from dashboard.views.topics import charts
from dashboard.views.topics.chosen import Chosen, chart, table_of


def heat_map(chosen: Chosen, key: str) -> None:
    """Draw topics x systems."""
    table = hard_topics(chosen)
    systems = {name: chosen.labels[name] for name in chosen.values}
    best = best_systems(chosen.values, [chosen.a, chosen.b])
    figure = charts.heat_map(table, {name: systems[name] for name in best}, chosen.measure)
    chart(figure, key, f"{chosen.measure} for each topic and system; click a cell to open the topic")
    if len(best) < len(systems):
        st.caption(f"The best {len(best)} of {len(systems)} systems, the compared ones included; the data have all.")
    shown = topic_tables.heat_map_table(table, systems, list(systems), chosen.caption)
    table_of(chosen, shown, "heat-map", dict.fromkeys(systems.values(), FOUR))


def hard_topics(chosen: Chosen) -> pd.DataFrame:
    """Return the table of `topic_tables.difficulty` for the selection."""
    content = chosen.content
    return topic_tables.difficulty(chosen.values, content.topics, content.qrels, chosen.topics)


def difficulty(chosen: Chosen, key: str) -> None:
    """Draw the difficulty of each topic over all systems."""
    table = hard_topics(chosen)
    chart(charts.difficulty_bars(table, chosen.measure), key, "Mean over systems for each topic, hardest topic first")
    st.caption(
        "Bars: mean over systems; lines: range from the lowest to the highest system. Hardest topics on the left."
    )
    shown = topic_tables.difficulty_table(table, chosen.labels, list(chosen.values), chosen.caption)
    table_of(chosen, shown, "difficulty", dict.fromkeys(["mean", "minimum", "maximum"], FOUR))


def query_length(chosen: Chosen, key: str) -> None:
    """Draw the difference against query length in words."""
    field = chosen.opened.profile.collection.topic_field
    table = topic_tables.with_lengths(chosen.table, chosen.content.topics, field)
    chart(charts.length_scatter(table, chosen.difference), key, "Difference against query length")
    shown = topic_tables.length_table(table, chosen.caption)
    for sentence in shown.sentences:
        st.write(sentence)
    table_of(chosen, shown, "query-length", {"difference": SIGNED})
