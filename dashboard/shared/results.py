"""What the stages found of a collection: runs, measures, and the manifests of all that was made."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import streamlit as st

from core.evaluation import comparison_tables
from core.evaluation.freshness import Evaluation, evaluation, excluded_digest
from core.evaluation.measures import PerTopic, evaluate
from core.evaluation.stored_measures import AGREEMENT_FILE, MEASURES_FILE, read_table, tidy
from core.formats.runs import FILE, Run, Scores, built_run, run_topics
from core.workspace.artifacts import (
    MANIFEST,
    Manifest,
    Replaced,
    has_its_files,
    open_artifact,
    read_latest,
    read_manifest,
    read_whole,
)
from core.workspace.errors import UserError, in_words
from dashboard.shared import data

DIGITS = 64
"""Of a SHA-256."""
COLUMNS = ["collection", "system", "topic", "measure", "value"]


@dataclass(frozen=True)
class Measured:
    """The measures of the runs and judgments that are there now.

    Attributes:
        tidy: collection, system, topic, measure, value.
        computed: the systems of it whose measures are not stored.
        reason: why they are not, "" where all are.
        unavailable: system -> why it has no measures.
        others: the systems of the stored measures that are none of the profile, and left out.
    """

    tidy: pd.DataFrame
    computed: list[str]
    reason: str
    unavailable: dict[str, str]
    others: tuple[str, ...]

    @property
    def systems(self) -> list[str]:
        """The systems that have measures, in the profile's order."""
        return list(dict.fromkeys(self.tidy["system"]))


def measured(opened: data.Opened) -> Measured:
    """Return the measures of the profile's systems: those that are stored, and the others computed from their runs.

    Raises:
        UserError: topics or judgments are missing or damaged.
    """
    return read_latest(lambda: evaluation(opened.profile, opened.folder), lambda now: _measured(opened, now))


def _measured(opened: data.Opened, now: Evaluation) -> Measured:
    wanted = opened.profile.measures
    stored = _table(opened.folder, MEASURES_FILE, now.measures) if now.stored else pd.DataFrame(columns=COLUMNS)
    held = dict(iter(stored.groupby("system", sort=False)))
    if list(held) == list(now.runs) == [name for name in now.runs if name in now.stored]:
        return Measured(stored, [], "", now.without_run, now.others)
    parts, computed, unavailable = [], [], dict(now.without_run)
    for system, run in now.runs.items():
        if system in held and system in now.stored:
            parts.append(held[system])
            continue
        try:
            values = _computed(opened.folder, system, tuple(wanted), run + now.excluded, now.collection)
        except Replaced:
            raise
        except Exception as error:  # whatever is wrong with one run, the others are shown
            unavailable[system] = in_words(error)
            continue
        computed.append(system)
        parts.append(pd.DataFrame(tidy(opened.folder.name, system, values), columns=COLUMNS))
    table = pd.concat(parts, ignore_index=True) if parts else stored[:0]
    reason = now.reason or "the stored measures lack them"
    return Measured(table, computed, reason if computed else "", unavailable, now.others)


def values(opened: data.Opened, measure: str) -> dict[str, dict[str, float]]:
    """Return any measure's values, system -> topic -> value, of every system that `measured` has.

    What is not stored is computed from runs and judgments, once.

    Raises:
        UserError: an artifact is missing or damaged.
    """
    return read_latest(lambda: evaluation(opened.profile, opened.folder), lambda now: _values(opened, measure, now))


def _values(opened: data.Opened, measure: str, now: Evaluation) -> dict[str, dict[str, float]]:
    wanted = tuple(opened.profile.measures)
    stored = _stored(opened.folder, measure, now.measures) if now.stored else {}
    found = {}
    for system, run in now.runs.items():
        if system in now.stored and system in stored:
            found[system] = stored[system]
            continue
        try:
            together = wanted if measure in wanted else (measure,)
            found[system] = _computed(opened.folder, system, together, run + now.excluded, now.collection)[measure]
        except Exception as error:
            if isinstance(error, Replaced) or system in now.stored:
                raise
            # Of a system that `measured` has no measures of either, and says why.
    return found


@st.cache_data(max_entries=100, show_spinner=False)
def _stored(folder: Path, measure: str, digest: str) -> dict[str, dict[str, float]]:
    return comparison_tables.per_topic(_table(folder, MEASURES_FILE, digest), measure)


@st.cache_data(max_entries=400, show_spinner=False)
def _computed(folder: Path, system: str, measures: tuple[str, ...], run: str, collection: str) -> PerTopic:
    return evaluate(read_run(folder, system, run).scores, data.read_judged_topics(folder, collection).qrels, measures)


def agreement(opened: data.Opened) -> pd.DataFrame:
    """Return our figures beside those of sentence-transformers: system, measure, ours, sentence_transformers.

    Those of runs, topics or judgments that are no longer there are left out.

    Raises:
        UserError: it is missing or damaged.
    """

    def read(now: Evaluation) -> pd.DataFrame:
        digest = now.measures or open_artifact(opened.folder / "measures").digest
        table = _table(opened.folder, AGREEMENT_FILE, digest)
        return table[table["system"].isin(now.stored)]

    return read_latest(lambda: evaluation(opened.profile, opened.folder), read)


@st.cache_data(max_entries=20, show_spinner=False)
def _table(folder: Path, name: str, digest: str) -> pd.DataFrame:
    place = folder / "measures"
    return read_whole(place, lambda _: read_table(place, name), digest=digest)


def run_scores(opened: data.Opened, system: str) -> Scores:
    """Return a system's run, topic -> document -> score.

    Raises:
        UserError: it is missing or damaged.
    """
    return run(opened, system).scores


def run(opened: data.Opened, system: str) -> Run:
    """Return a system's run without the documents that the collection excludes.

    Raises:
        UserError: it is missing or damaged.
    """
    return read_latest(lambda: run_digest(opened, system), lambda digest: read_run(opened.folder, system, digest))


def run_digest(opened: data.Opened, system: str) -> str:
    """Return what a run is kept by: its digest, and the one of what the collection leaves out of it.

    Raises:
        UserError: it is missing or damaged.
    """
    return open_artifact(opened.folder / "runs" / system).digest + excluded_digest(opened.folder)


@st.cache_resource(max_entries=20, show_spinner=False)
def read_run(folder: Path, system: str, digest: str) -> Run:
    """Return the run of a system under a folder, which has that `run_digest`."""
    of_run = digest[:DIGITS]
    run = built_run(folder, system, of_run)
    if of_run + excluded_digest(folder) != digest:
        raise Replaced(f"the collection {folder.name} was replaced while it was used; try again")
    return run


def digests(opened: data.Opened, systems: Sequence[str]) -> tuple[str, ...]:
    """Return what a figure that is computed from runs and judgments is kept by: the digests of all of them.

    The collection's comes last. The figure is computed from the very versions, by `read_run` and
    `data.read_judged_topics`, and asked for through `core.workspace.artifacts.read_latest`.

    Raises:
        UserError: one of them is missing or damaged.
    """
    return (*(run_digest(opened, system) for system in systems), data.collection_manifest(opened).digest)


def missing_topics(opened: data.Opened, system: str) -> int:
    """Return for how many judged topics a system's run has no document; they count 0.

    Raises:
        UserError: its run is missing or damaged.
    """
    return read_latest(lambda: digests(opened, [system]), lambda of: _missing_topics(opened.folder, system, *of))


@st.cache_data(max_entries=100, show_spinner=False)
def _missing_topics(folder: Path, system: str, run: str, collection: str) -> int:
    place = folder / "runs" / system
    content = data.read_judged_topics(folder, collection)
    topics = read_whole(place, lambda _: run_topics(place / FILE, content.excluded), digest=run[:DIGITS])
    return len(content.qrels.keys() - topics)


def manifests(opened: data.Opened) -> dict[str, Manifest]:
    """Return the manifest of every artifact of the collection that has a readable one, by the artifact's place."""
    found = {}
    for path in sorted([*opened.folder.glob(f"*/{MANIFEST}"), *opened.folder.glob(f"*/*/{MANIFEST}")]):
        place = path.parent.relative_to(opened.folder)
        if any(part.startswith(".") for part in place.parts):
            continue  # an artifact that is being made
        try:
            manifest = read_manifest(path.parent)
        except UserError:
            continue  # the part of a page that needs it says what is wrong
        if has_its_files(path.parent, manifest):
            found[place.as_posix()] = manifest
    return found
