"""The results of a collection: runs, measures and manifests."""

from collections.abc import Callable, Mapping, Sequence

import pandas as pd
import streamlit as st

from core.evaluation import comparison_tables
from core.evaluation.freshness import Evaluation, evaluation, excluded_digest
from core.evaluation.measures import PerTopic, evaluate
from core.evaluation.results import Measured, measured_now, stored_for_all, values_now
from core.evaluation.results import manifests as manifests_of
from core.evaluation.significance import Values
from core.evaluation.stored_measures import AGREEMENT_FILE, MEASURES_FILE, Variations, read_table, read_variations
from core.formats.runs import FILE, Run, Scores, built_run, run_topics
from core.workspace.artifacts import Manifest, Replaced, open_artifact, read_latest, read_whole
from core.workspace.workspace import CollectionFolder
from dashboard.shared import data

DIGITS = 64
"""Number of hexadecimal digits of a SHA-256."""


def measured(opened: data.Opened) -> Measured:
    """Return the measures of the profile's systems, stored or computed from their runs.

    Raises:
        UserError: if topics or judgments are missing or damaged.
    """
    return read_latest(lambda: evaluation(opened.profile, opened.folder), lambda now: _measured(opened, now))


def _measured(opened: data.Opened, now: Evaluation) -> Measured:
    def stored() -> pd.DataFrame:
        return _table(opened.folder, MEASURES_FILE, now.measures)

    return measured_now(opened.folder.name, opened.profile, now, stored, _compute(opened, now))


def _compute(opened: data.Opened, now: Evaluation) -> Callable[[str, Sequence[str]], PerTopic]:
    """Return a function that evaluates a system's run, cached for each version of the run."""
    return lambda system, measures: _computed(
        opened.folder, system, tuple(measures), now.runs[system] + now.excluded, now.collection
    )


def values(opened: data.Opened, measure: str) -> dict[str, Mapping[str, float]]:
    """Return the values of any measure, system -> topic -> value, for every system in `measured`.

    Values that are not stored are computed from runs and judgments, and cached.

    Raises:
        UserError: if an artifact is missing or damaged.
    """
    return read_latest(lambda: evaluation(opened.profile, opened.folder), lambda now: _values(opened, measure, now))


def _values(opened: data.Opened, measure: str, now: Evaluation) -> dict[str, Mapping[str, float]]:
    def stored() -> Values:
        return _stored(opened.folder, measure, now.measures)

    return values_now(opened.profile, now, measure, stored, _compute(opened, now))


@st.cache_data(max_entries=100, show_spinner=False)
def _stored(folder: CollectionFolder, measure: str, digest: str) -> dict[str, dict[str, float]]:
    table = _table(folder, MEASURES_FILE, digest)
    return comparison_tables.per_topic(table, measure) or _variations(folder, digest).of_measure(measure)


@st.cache_resource(max_entries=20, show_spinner=False)
def _variations(folder: CollectionFolder, digest: str) -> Variations:
    place = folder.measures
    return read_whole(place, lambda _: read_variations(place.path), digest=digest)


def stored_values(opened: data.Opened, measures: Sequence[str], systems: Sequence[str]) -> dict[str, Values]:
    """Return the values of those measures that are stored for all of the systems.

    Raises:
        UserError: if an artifact is missing or damaged.
    """

    def read(now: Evaluation) -> dict[str, Values]:
        return stored_for_all(now, measures, systems, lambda measure: _stored(opened.folder, measure, now.measures))

    return read_latest(lambda: evaluation(opened.profile, opened.folder), read)


@st.cache_data(max_entries=400, show_spinner=False)
def _computed(folder: CollectionFolder, system: str, measures: tuple[str, ...], run: str, collection: str) -> PerTopic:
    return evaluate(read_run(folder, system, run).scores, data.read_judged_topics(folder, collection).qrels, measures)


def agreement(opened: data.Opened) -> pd.DataFrame:
    """Return the comparison with sentence-transformers: system, measure, ours, sentence_transformers.

    Values of runs, topics or judgments that have changed are left out.

    Raises:
        UserError: if it is missing or damaged.
    """

    def read(now: Evaluation) -> pd.DataFrame:
        digest = now.measures or open_artifact(opened.folder.measures).digest
        table = _table(opened.folder, AGREEMENT_FILE, digest)
        return table[table["system"].isin(now.stored)]

    return read_latest(lambda: evaluation(opened.profile, opened.folder), read)


@st.cache_data(max_entries=20, show_spinner=False)
def _table(folder: CollectionFolder, name: str, digest: str) -> pd.DataFrame:
    place = folder.measures
    return read_whole(place, lambda _: read_table(place.path, name), digest=digest)


def run_scores(opened: data.Opened, system: str) -> Scores:
    """Return a system's run, topic -> document -> score.

    Raises:
        UserError: if it is missing or damaged.
    """
    return run(opened, system).scores


def run(opened: data.Opened, system: str) -> Run:
    """Return a system's run without the documents that the collection excludes.

    Raises:
        UserError: if it is missing or damaged.
    """
    return read_latest(lambda: run_digest(opened, system), lambda digest: read_run(opened.folder, system, digest))


def run_digest(opened: data.Opened, system: str) -> str:
    """Return the cache key of a run: its digest and the digest of the excluded documents.

    Raises:
        UserError: if it is missing or damaged.
    """
    return open_artifact(opened.folder.run(system)).digest + excluded_digest(opened.folder)


def scores_of(opened: data.Opened, system: str, digest: str) -> Scores:
    """Return the version of a run with the given `run_digest`, as topic -> document -> score."""
    return read_run(opened.folder, system, digest).scores


@st.cache_resource(max_entries=20, show_spinner=False)
def read_run(folder: CollectionFolder, system: str, digest: str) -> Run:
    """Return the version of a run with the given `run_digest`."""
    of_run = digest[:DIGITS]
    run = built_run(folder, system, of_run)
    if of_run + excluded_digest(folder) != digest:
        raise Replaced(f"the collection {folder.name} was replaced while it was in use; try again")
    return run


def digests(opened: data.Opened, systems: Sequence[str]) -> tuple[str, ...]:
    """Return the cache key of a figure computed from runs and judgments: the digests of all of them.

    The collection's digest comes last. Figures are computed from exactly these versions with `read_run` and
    `data.read_judged_topics`, called through `core.workspace.artifacts.read_latest`.

    Raises:
        UserError: if one of them is missing or damaged.
    """
    return (*(run_digest(opened, system) for system in systems), data.collection_manifest(opened).digest)


def missing_topics(opened: data.Opened, system: str) -> int:
    """Return the number of judged topics for which a system's run has no documents; they count as 0.

    Raises:
        UserError: if its run is missing or damaged.
    """
    return read_latest(lambda: digests(opened, [system]), lambda of: _missing_topics(opened.folder, system, *of))


@st.cache_data(max_entries=100, show_spinner=False)
def _missing_topics(folder: CollectionFolder, system: str, run: str, collection: str) -> int:
    place = folder.run(system)
    content = data.read_judged_topics(folder, collection)
    topics = read_whole(place, lambda _: run_topics(place / FILE, content.excluded), digest=run[:DIGITS])
    return len(content.qrels.keys() - topics)


def manifests(opened: data.Opened) -> dict[str, Manifest]:
    """Return all readable manifests of the collection's artifacts, keyed by place."""
    return manifests_of(opened.folder)
