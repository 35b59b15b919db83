"""Parts that several pages share."""

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress

import pandas as pd
import streamlit as st

from core.evaluation import comparison_tables
from core.evaluation.freshness import changes
from core.workspace.artifacts import failure_of, rebuild_command
from core.workspace.errors import UserError
from core.workspace.measure_names import measure_name, parse_measure
from core.workspace.profile import SystemSettings
from dashboard.shared import data, links, live, results, state
from dashboard.shared.escaping import escape_markdown, shortened, show_error

FOUR = st.column_config.NumberColumn(format="%.4f")
SIGNED = st.column_config.NumberColumn(format="%+.4f")


def evaluated(opened: data.Opened) -> pd.DataFrame:
    """Return the tidy table of measures; say which systems have none and why, and what is older than its inputs.

    Raises:
        UserError: topics or judgments are missing or damaged, or no system has a run.
    """
    measured = results.measured(opened)
    for sentence in notices(opened, measured):
        show_error(UserError(sentence))
    if measured.unavailable:
        names = escape_markdown(", ".join(opened.labels[name] for name in measured.unavailable))
        with st.expander(f"Without results: {names}", icon=":material/build:"):
            for name, reason in measured.unavailable.items():
                show_error(UserError(f"{opened.labels[name]}: {reason}"))
    if measured.tidy.empty:
        command = rebuild_command(opened.folder / "measures")
        failures = [
            failure_of(opened.folder / place / name) for place in ("measures", "runs") for name in opened.labels
        ]
        cause = next((f" ({failure})" for failure in failures if failure), "")
        raise UserError(f"no system of {opened.folder.name} is evaluated yet{cause}; run {command}")
    return measured.tidy


def notices(opened: data.Opened, measured: results.Measured) -> list[str]:
    """Return what a reader of the measures must know, a sentence each, with the command that helps at its end.

    That figures are not stored, that stored ones are left out, that runs are older than what they were made from.
    """
    said = []
    if measured.computed:
        names = ", ".join(opened.labels[name] for name in measured.computed)
        said.append(
            f"{measured.reason}: the figures of {names} are computed from the runs and judgments that are here now; "
            f"store them with {rebuild_command(opened.folder / 'measures')}"
        )
    if measured.others:
        said.append(
            f"the stored measures also hold {', '.join(measured.others)}: left out here, as the profile of "
            f"{opened.folder.name} has no such system; evaluate anew with {rebuild_command(opened.folder / 'measures')}"
        )
    return said + older(opened, {f"runs/{name}": f"the run of {opened.labels[name]}" for name in measured.systems})


def older(opened: data.Opened, places: Mapping[str, str]) -> list[str]:
    """Return a sentence, with the command that helps, on the artifacts that are older than what they were made from.

    Args:
        places: of artifacts, such as "runs/bm25" -> what each is called.
    """
    groups: dict[tuple[str, ...], list[str]] = {}
    for place in places:
        if changed := changes(opened.folder, place):
            groups.setdefault(tuple(changed), []).append(place)
    said = []
    for what, members in groups.items():
        names = ", ".join(places[place] for place in members)
        gone = " (documents in it may no longer exist)" if "documents" in what else ""
        command = rebuild_command(opened.folder / members[0])
        said.append(f"older than the {' and the '.join(what)}: {names}{gone}; rebuild with {command}")
    return said


def say_older(opened: data.Opened, places: Mapping[str, str]) -> None:
    """Draw the sentences of `older`."""
    for sentence in older(opened, places):
        show_error(UserError(sentence))


def answering(opened: data.Opened, systems: Iterable[SystemSettings]) -> dict[str, str]:
    """Return the artifacts that answer new queries, as `older` takes them."""
    return {
        place: f"the {'vectors' if place.startswith('vectors/') else 'index'} of {opened.labels[system.name]}"
        for system in systems
        for place in live.answering(system)
    }


def first_baseline(opened: data.Opened, systems: Sequence[str]) -> str:
    """Return the baseline at first: the profile's, else BM25, else the first system."""
    wanted = [opened.profile.baseline, "bm25"]
    return next((name for name in wanted if name in systems), systems[0])


def choose_measure(opened: data.Opened, tidy: pd.DataFrame, also: str = "") -> str:
    """Draw the choice among the measures that were evaluated, and one more where `also` names one."""
    measures = comparison_tables.evaluated_measures(tidy, opened.profile.measures)
    with suppress(UserError):
        wanted = parse_measure(also)
        measures = list(dict.fromkeys([*measures, measure_name(wanted.name, wanted.cutoff, wanted.relevance)]))
    return state.choose("Measure", measures, "measure", measures[0])


def topic_link(topic: str, query: str) -> None:
    """Draw a link to a topic's page."""
    links.page_link("topic", escape_markdown(f"{topic} · {shortened(query, 40)}"), topic=topic)
