"""Parts that several pages share."""

from collections.abc import Sequence
from contextlib import suppress

import pandas as pd
import streamlit as st

from core.artifacts import failure_of, rebuild_command
from core.errors import UserError
from core.measures import measure_name, parse_measure
from dashboard import data, results, state, tables
from dashboard.text import escape_markdown, shortened, show_error

TOPIC_PAGE = "views/topic.py"
FOUR = st.column_config.NumberColumn(format="%.4f")
SIGNED = st.column_config.NumberColumn(format="%+.4f")


def evaluated(opened: data.Opened) -> pd.DataFrame:
    """Return the tidy table of measures, and show which systems have none and why.

    Raises:
        UserError: the table is missing or damaged, or no system is in it.
    """
    tidy = results.measures(opened)
    if tidy.empty:
        command = rebuild_command(opened.folder / "measures")
        failures = [
            failure_of(opened.folder / place / name) for place in ("measures", "runs") for name in opened.labels
        ]
        cause = next((f" ({failure})" for failure in failures if failure), "")
        raise UserError(f"no system of {opened.folder.name} is evaluated yet{cause}; run {command}")
    reasons = results.unavailable(opened, set(tidy["system"]))
    if reasons:
        names = escape_markdown(", ".join(opened.labels[name] for name in reasons))
        with st.expander(f"Without results: {names}", icon=":material/build:"):
            for name, reason in reasons.items():
                show_error(UserError(f"{opened.labels[name]}: {reason}"))
    return tidy


def first_baseline(opened: data.Opened, systems: Sequence[str]) -> str:
    """Return the baseline at first: the profile's, else BM25, else the first system."""
    wanted = [opened.profile.baseline, "bm25"]
    return next((name for name in wanted if name in systems), systems[0])


def choose_measure(opened: data.Opened, tidy: pd.DataFrame, also: str = "") -> str:
    """Draw the choice among the measures that were evaluated, and one more where `also` names one."""
    measures = tables.evaluated_measures(tidy, opened.profile.measures)
    with suppress(UserError):
        wanted = parse_measure(also)
        measures = list(dict.fromkeys([*measures, measure_name(wanted.name, wanted.cutoff, wanted.relevance)]))
    return state.choose("Measure", measures, "measure", measures[0])


def topic_link(topic: str, query: str) -> None:
    """Draw a link to a topic's page."""
    label = escape_markdown(f"{topic} · {shortened(query, 40)}")
    st.page_link(TOPIC_PAGE, label=label, query_params={**st.query_params.to_dict(), "topic": topic})
