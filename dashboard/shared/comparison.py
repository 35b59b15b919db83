"""The selected measure and baseline of a page's tables, kept in the URL."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import pandas as pd
import streamlit as st

from core.evaluation import comparison_tables
from core.evaluation.results import first_baseline
from core.evaluation.significance import Values
from core.workspace.errors import UserError
from core.workspace.measure_names import FAMILIES, Measure, measure_name, parse_measure
from dashboard.shared import data, results, state
from dashboard.shared.escaping import escape_markdown

CUTOFFS = (1, 3, 5, 10, 20, 50, 100, 200, 500, 1000)
CUTOFF = 10
"""Cut-off for parts of a page that need one when the selected measure has none."""


@dataclass(frozen=True)
class View:
    """A collection, the tidy table of its measures, the chosen measure and the baseline."""

    opened: data.Opened
    tidy: pd.DataFrame
    measure: str
    baseline: str

    @property
    def labels(self) -> Mapping[str, str]:
        """The display name of each system."""
        return self.opened.labels

    @property
    def parsed(self) -> Measure:
        """The selected measure, parsed."""
        return parse_measure(self.measure)

    @property
    def cutoff(self) -> int:
        """The cut-off of the selected measure; 10 if it has none."""
        return self.parsed.cutoff or CUTOFF

    @property
    def systems(self) -> list[str]:
        """The evaluated systems; systems without a run are not included."""
        return list(dict.fromkeys(self.tidy["system"]))

    @cached_property
    def values(self) -> Values:
        """The chosen measure, system -> topic -> value."""
        return results.values(self.opened, self.measure)

    @property
    def content(self) -> data.Content:
        """The collection's topics and judgments, without its documents."""
        return data.judged_topics(self.opened)


def choose_measure_and_baseline(opened: data.Opened, tidy: pd.DataFrame) -> View:
    """Draw the choice of measure, cut-off, relevance threshold and baseline, and return the selection."""
    systems = list(dict.fromkeys(tidy["system"]))
    with st.container(horizontal=True):
        measure = _choose_measure(opened, tidy)
        default = first_baseline(opened.profile, systems)
        baseline = state.choose("Baseline", systems, "baseline", default, opened.labels, width=220)
    return View(opened, tidy, measure, baseline)


def _choose_measure(opened: data.Opened, tidy: pd.DataFrame) -> str:
    highest = data.judged_topics(opened).highest_grade
    current = _current(comparison_tables.measure_order(list(dict.fromkeys(tidy["measure"]))), highest)

    def write() -> None:
        family = FAMILIES[st.session_state["choice family"]]
        cutoff = int(st.session_state.get("choice cutoff") or current.cutoff or CUTOFF)
        relevance = int(st.session_state.get("choice relevance") or current.relevance)
        state.write(
            "measure", measure_name(st.session_state["choice family"], cutoff, relevance if family.binary else 1)
        )

    def box(label: str, name: str, options: list[str], value: str, explained: str, width: int = 150) -> None:
        key = f"choice {name}"
        st.session_state[key] = value
        st.selectbox(label, options, key=key, on_change=write, width=width, help=explained)

    box("Measure", "family", list(FAMILIES), current.name, current.family.description)
    if current.family.with_cutoff:
        cutoffs = sorted({*CUTOFFS, current.cutoff})
        box("Cut-off", "cutoff", [str(k) for k in cutoffs], str(current.cutoff), "Only the top k documents count.")
    if current.family.binary and highest > 1:
        grades = [str(grade) for grade in range(1, highest + 1)]
        explained = "The lowest grade that counts as relevant; at 1, partly relevant documents count as relevant."
        box("Relevance threshold (grade ≥)", "relevance", grades, str(current.relevance), explained, 240)
    return measure_name(current.name, current.cutoff, current.relevance)


def _current(evaluated: list[str], highest: int) -> Measure:
    try:
        wanted = parse_measure(state.read("measure") or evaluated[0])
    except UserError as error:
        st.warning(escape_markdown(f"{error}; {evaluated[0]} is shown instead."))
        return parse_measure(evaluated[0])
    if wanted.relevance <= max(highest, 1):
        return wanted
    st.warning(f"No judgment has grade {wanted.relevance}; the relevance threshold 1 is used instead.")
    return wanted._replace(relevance=1)
