"""Widgets that several pages share."""

from collections.abc import Iterable, Mapping
from typing import Literal

import pandas as pd
import streamlit as st

from core.evaluation.results import not_evaluated, notices, older
from core.retrieval.kinds import KINDS
from core.workspace.errors import UserError
from core.workspace.profile import SystemSettings
from dashboard.shared import data, links, results
from dashboard.shared.escaping import escape_markdown, shortened, show_error

FOUR = st.column_config.NumberColumn(format="%.4f")
SIGNED = st.column_config.NumberColumn(format="%+.4f")


WHOLE = 20
"""Number of rows up to which a table of systems is shown whole; one with more is scrolled."""


def height(rows: int) -> Literal["content", "auto"]:
    """Return the height of a table of systems with a number of rows."""
    return "content" if rows <= WHOLE else "auto"


def evaluated(opened: data.Opened) -> pd.DataFrame:
    """Return the tidy table of measures; draw warnings of systems without measures and of outdated artifacts.

    Raises:
        UserError: if topics or judgments are missing or damaged, or no system has a run.
    """
    measured = results.measured(opened)
    for sentence in notices(opened.folder, opened.labels, measured):
        show_error(UserError(sentence))
    if measured.unavailable:
        names = escape_markdown(", ".join(opened.labels[name] for name in measured.unavailable))
        with st.expander(f"Not available: {names}", icon=":material/build:"):
            for name, reason in measured.unavailable.items():
                show_error(UserError(f"{opened.labels[name]}: {reason}"))
    if measured.tidy.empty:
        raise not_evaluated(opened.folder, opened.labels)
    return measured.tidy


def say_older(opened: data.Opened, places: Mapping[str, str]) -> None:
    """Draw the warnings of `older`."""
    for sentence in older(opened.folder, places):
        show_error(UserError(sentence))


def answering_artifacts(opened: data.Opened, systems: Iterable[SystemSettings]) -> dict[str, str]:
    """Return the artifacts that answer new queries, in the form that `older` expects."""
    names = {}
    for system in (one for chosen in systems for one in (*opened.profile.built_on(chosen), chosen)):
        for name, artifact in KINDS[system.kind].searched(opened.folder, system).items():
            what = "vectors" if name.startswith("vectors") else "index"
            names[opened.folder.place(artifact)] = f"the {what} of {opened.labels[system.name]}"
    return names


def topic_name(topic: str, query: str, letters: int = 80) -> str:
    """Return the id of a topic and its query, shortened; the id alone of a topic without a text."""
    return topic if query in ("", topic) else f"{topic} · {shortened(query, letters)}"


def topic_link(topic: str, query: str) -> None:
    """Draw a link to a topic's page."""
    links.page_link("topic", escape_markdown(topic_name(topic, query, 40)), topic=topic, document="", list="")
