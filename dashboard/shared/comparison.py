"""The selected systems A and B and the measure, which are the same on all pages and kept in the URL."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import pandas as pd
import streamlit as st

from core.evaluation import comparison_tables
from core.evaluation.measures import mean
from core.evaluation.results import first_baseline, first_compared
from core.evaluation.significance import Values
from core.evaluation.topic_tables import MEDIAN, MEDIAN_LABEL
from core.workspace.errors import UserError
from core.workspace.measure_names import FAMILIES, Measure, measure_name, parse_measure
from dashboard.shared import data, results, state
from dashboard.shared.escaping import escape_markdown

CUTOFFS = (1, 3, 5, 10, 20, 50, 100, 200, 500, 1000)
CUTOFF = 10
"""Cut-off for parts of a page that need one when the selected measure has none."""
LINKED = "link"
"""Key of the session's state that holds the selection for "Copy link"."""


@dataclass(frozen=True)
class View:
    """A collection, the tidy table of its measures, and the selection.

    Attributes:
        a: system A, "" if only one system is evaluated.
        baseline: system B, or topic_tables.MEDIAN where a page offers it.
    """

    opened: data.Opened
    tidy: pd.DataFrame
    measure: str
    a: str
    baseline: str

    @property
    def pair(self) -> tuple[str, str]:
        """Systems A and B; the only system and "" if there is one."""
        return (self.a, self.baseline) if self.a else (self.baseline, "")

    @property
    def labels(self) -> Mapping[str, str]:
        """The display name of each system."""
        return {**self.opened.labels, MEDIAN: MEDIAN_LABEL}

    @property
    def parsed(self) -> Measure:
        """The selected measure, parsed."""
        return parse_measure(self.measure)

    @property
    def cutoff(self) -> int:
        """The cut-off of the selected measure; 10 if it has none."""
        return self.parsed.cutoff or CUTOFF

    @cached_property
    def systems(self) -> list[str]:
        """The evaluated systems; systems without a run are not included."""
        return list(self.tidy["system"].unique())

    @cached_property
    def values(self) -> Values:
        """The chosen measure, system -> topic -> value."""
        return results.values(self.opened, self.measure)

    @property
    def content(self) -> data.Content:
        """The collection's topics and judgments, without its documents."""
        return data.judged_topics(self.opened)


def choose(opened: data.Opened, tidy: pd.DataFrame, median: bool = False) -> View:
    """Draw the choice of systems A and B and of the measure in the sidebar, and return the selection.

    Args:
        median: whether the median of all systems may be system B, as for comparisons of values alone.
    """
    systems = list(tidy["system"].unique())
    place = st.sidebar.container(gap="xsmall")
    place.caption("Compare")
    pair = place.container(gap="xsmall")
    with place:
        measure = _choose_measure(opened, tidy)
    with pair:
        a, baseline = _choose_pair(opened, systems, measure, median)
    evaluated = set(tidy.loc[tidy["measure"] == measure, "system"])
    if shallow := len(set(systems) - evaluated) if evaluated else 0:
        place.caption(
            f"{shallow} of {len(systems)} systems have lists shorter than the cut-off; {measure} is too low for them."
        )
    st.session_state[LINKED] = {"a": a, "b": baseline, "measure": measure}
    return View(opened, tidy, measure, a, baseline)


def choose_measure(opened: data.Opened, tidy: pd.DataFrame) -> str:
    """Draw the choice of the measure in the sidebar, for pages with a pair of systems of their own."""
    with st.sidebar, st.container(gap="xsmall"):
        st.caption("Compare")
        measure = _choose_measure(opened, tidy)
    st.session_state[LINKED] = {"measure": measure}
    return measure


def _choose_pair(opened: data.Opened, systems: list[str], measure: str, median: bool) -> tuple[str, str]:
    if len(systems) == 1:
        return "", systems[0]
    labels = {**opened.labels, MEDIAN: MEDIAN_LABEL}
    wanted = state.read("b")
    baseline = wanted if wanted in systems else first_baseline(opened.profile, systems)

    def means() -> dict[str, float]:
        return {name: mean(dict(values)) for name, values in results.values(opened, measure).items()}

    default = first_compared(opened.profile, systems, baseline, means)
    a = state.choose("System A", systems, "a", default, labels)
    others = [name for name in systems if name != a]
    default = baseline if baseline in others else first_baseline(opened.profile, others)
    offered = [*others, MEDIAN] if median else others
    return a, state.choose("System B (baseline)", offered, "b", default, labels, silent=wanted in (a, MEDIAN))


def _choose_measure(opened: data.Opened, tidy: pd.DataFrame) -> str:
    highest = data.judged_topics(opened).highest_grade
    current = _current(comparison_tables.measure_order(list(tidy["measure"].unique())), highest)

    def write() -> None:
        chosen = st.session_state["choice family"] or current.name
        if chosen not in FAMILIES:  # typed, perhaps with further parameters
            state.write("measure", chosen)
            return
        family = FAMILIES[chosen]
        cutoff = int(st.session_state.get("choice cutoff") or current.cutoff)
        if chosen != current.name:
            cutoff = (current.cutoff or family.usual_cutoff) if family.usual_cutoff else 0
        relevance = int(st.session_state.get("choice relevance") or current.relevance)
        state.write("measure", measure_name(chosen, cutoff, relevance if family.binary else 1))

    def box(label: str, name: str, options: dict[str, str], value: str, explained: str) -> None:
        key = f"choice {name}"
        st.session_state[key] = value
        st.selectbox(
            label,
            list(options),
            key=key,
            on_change=write,
            help=explained,
            format_func=lambda option: options.get(option, option),
            accept_new_options=name == "family",
        )

    family = current.family
    left, right = st.columns([3, 2])
    with left:
        named = current.name if current.is_plain else current.notation
        explained = f"{family.description}. Others of ir_measures can be typed, such as RBP(rel=1,p=0.5)."
        box("Measure", "family", {name: name for name in [*FAMILIES, named]}, named, explained)
    if not current.is_plain:
        return current.notation
    if family.cutoff != "none":
        cutoffs = sorted({*CUTOFFS, current.cutoff} | ({0} if family.cutoff == "optional" else set()))
        options = {str(k): str(k) if k else "none" for k in cutoffs}
        with right:
            box("Cut-off", "cutoff", options, str(current.cutoff), "Only the top k documents count.")
    if family.binary and highest > 1:
        grades = {str(grade): str(grade) for grade in range(1, highest + 1)}
        explained = "The lowest grade that counts as relevant; at 1, partly relevant documents count as relevant."
        box("Relevance threshold (grade ≥)", "relevance", grades, str(current.relevance), explained)
    return current.notation


def _current(evaluated: list[str], highest: int) -> Measure:
    try:
        wanted = parse_measure(state.read("measure") or evaluated[0])
    except UserError as error:
        st.warning(escape_markdown(f"{error}; {evaluated[0]} is shown instead."))
        return parse_measure(evaluated[0])
    if wanted.relevance <= max(highest, 1):
        return wanted
    st.warning(f"No judgment has grade {wanted.relevance}; the relevance threshold 1 is used instead.")
    return parse_measure(measure_name(wanted.name, wanted.cutoff) if wanted.is_plain else evaluated[0])
