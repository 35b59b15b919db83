"""What the stages found of a collection: runs, measures, and the manifests of all that was made."""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd
import streamlit as st

from core.artifacts import MANIFEST, Manifest, failure_of, has_its_files, open_artifact, read_manifest
from core.errors import UserError
from core.exclusions import EXCLUDED
from core.measures import evaluate
from core.runs import FILE, Run, Scores, built_run, run_topics
from dashboard import data, tables


def values(opened: data.Opened, measure: str) -> dict[str, dict[str, float]]:
    """Return any measure's values, system -> topic -> value, of every evaluated system.

    What the artifact does not hold is computed from runs and judgments, once.

    Raises:
        UserError: an artifact is missing or damaged.
    """
    if evaluated := _evaluated(opened.folder, measure, open_artifact(opened.folder / "measures").digest):
        return evaluated
    tidy = measures(opened)
    judgments = data.collection_manifest(opened).digest
    return {
        system: _values(opened.folder, system, measure, run_digest(opened, system), judgments)
        for system in dict.fromkeys(tidy["system"])
    }


@st.cache_data(max_entries=100, show_spinner=False)
def _evaluated(folder: Path, measure: str, digest: str) -> dict[str, dict[str, float]]:
    return tables.per_topic(_measures_file(folder, "measures.csv", digest), measure)


@st.cache_data(max_entries=400, show_spinner=False)
def _values(folder: Path, system: str, measure: str, run: str, collection: str) -> dict[str, float]:
    qrels = data.read_judged_topics(folder, collection).qrels
    return evaluate(_run(folder, system, run).scores, qrels, [measure])[measure]


def measures(opened: data.Opened) -> pd.DataFrame:
    """Return the tidy table of measures: collection, system, topic, measure, value.

    Raises:
        UserError: it is missing or damaged.
    """
    return _measures_file(opened.folder, "measures.csv", open_artifact(opened.folder / "measures").digest)


def agreement(opened: data.Opened) -> pd.DataFrame:
    """Return our figures beside those of sentence-transformers: system, measure, ours, sentence_transformers.

    Raises:
        UserError: it is missing or damaged.
    """
    return _measures_file(opened.folder, "sentence_transformers.csv", open_artifact(opened.folder / "measures").digest)


@st.cache_data(max_entries=20, show_spinner=False)
def _measures_file(folder: Path, name: str, digest: str) -> pd.DataFrame:
    open_artifact(folder / "measures")
    # Topic "NA" is a topic, and topic "007" is not topic 7.
    return pd.read_csv(folder / "measures" / name, dtype={"topic": str, "system": str}, keep_default_na=False)


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
    return _run(opened.folder, system, run_digest(opened, system))


def run_digest(opened: data.Opened, system: str) -> str:
    """Return what a run is kept by: its digest, and the one of what the collection leaves out of it.

    Raises:
        UserError: it is missing or damaged.
    """
    excluded = data.collection_manifest(opened).files.get(EXCLUDED, {}).get("sha256", "")
    return open_artifact(opened.folder / "runs" / system).digest + excluded


def digests(opened: data.Opened, systems: Sequence[str]) -> tuple[str, ...]:
    """Return what a figure that is computed from runs and judgments is kept by: the digests of all of them.

    Raises:
        UserError: one of them is missing or damaged.
    """
    return (*(run_digest(opened, system) for system in systems), data.collection_manifest(opened).digest)


@st.cache_resource(max_entries=20, show_spinner=False)
def _run(folder: Path, system: str, digest: str) -> Run:
    return built_run(folder, system)


def missing_topics(opened: data.Opened, system: str) -> int:
    """Return for how many judged topics a system's run has no document; they count 0.

    Raises:
        UserError: its run is missing or damaged.
    """
    judgments = data.collection_manifest(opened).digest
    run, evaluated = (open_artifact(opened.folder / place).digest for place in (f"runs/{system}", "measures"))
    return _missing_topics(opened.folder, system, run, judgments, evaluated)


@st.cache_data(max_entries=100, show_spinner=False)
def _missing_topics(folder: Path, system: str, run: str, collection: str, evaluated: str) -> int:
    open_artifact(folder / "runs" / system)
    tidy = _measures_file(folder, "measures.csv", evaluated)
    best = tidy[tidy["system"] == system].groupby("topic")["value"].max()
    if len(best) and (best > 0).all():
        return 0  # a topic that a run lacks is 0 by every measure, so the run need not be read
    content = data.read_judged_topics(folder, collection)
    return len(content.qrels.keys() - run_topics(folder / "runs" / system / FILE, content.excluded))


def unavailable(opened: data.Opened, evaluated: set[str]) -> dict[str, str]:
    """Return the reason, with the command that mends it, for each system that has no measures."""
    reasons = {}
    for name in opened.labels:
        if name in evaluated:
            continue
        try:
            open_artifact(opened.folder / "runs" / name)
            if failure := failure_of(opened.folder / "measures" / name):
                reasons[name] = f"its run could not be evaluated: {failure}"
                continue
            reasons[name] = f"its run is not evaluated yet; run {read_manifest(opened.folder / 'measures').command}"
        except UserError as error:
            reasons[name] = str(error)
    return reasons


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
