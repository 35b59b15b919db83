"""What the pages read: cached loaders of artifacts.

Every cached loader takes the digest of the artifact's manifest, so that one that was built again is read again; and
`open_artifact` gives it, so that one that was damaged since is noticed, too.
"""

import os
import threading
from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd
import streamlit as st

from core import artifacts
from core.artifacts import (
    MANIFEST,
    PROFILE,
    Manifest,
    has_its_files,
    open_artifact,
    read_manifest,
    rebuild_command,
    shown,
)
from core.collection import QRELS, TOPICS, Document, Topic, read_built_collection, read_built_topics
from core.errors import UserError
from core.expansions import read_expansions
from core.measures import evaluate
from core.profile import Profile, SystemSettings, names, read_profile
from core.qrels import Qrels
from core.runs import FILE, Scores, built_run, run_topics
from dashboard import tables

if TYPE_CHECKING:
    from core.systems import System

PROFILE_VARIABLE = "RANKSCOPE_PROFILE"
_OPENING = threading.Lock()


@dataclass(frozen=True)
class Opened:
    """The collection that is looked at: its folder of artifacts and the profile they were built with."""

    folder: Path
    profile: Profile

    @property
    def labels(self) -> dict[str, str]:
        """The name that each system is shown by."""
        return {system.name: system.label or system.name for system in self.profile.system}

    @property
    def is_sample(self) -> bool:
        """Whether it is the embedded sample, which is no evidence of anything medical."""
        return self.profile.collection.source == "embedded"

    @property
    def is_imported(self) -> bool:
        """Whether it holds imported runs and their judgments only, without documents."""
        return self.profile.collection.source == "imported"


def collection_names() -> list[str]:
    """Return the names of the collections that were built."""
    return sorted(path.parent.parent.name for path in artifacts.ARTIFACTS.glob(f"*/collection/{MANIFEST}"))


def first_collection() -> str:
    """Return the name of the collection that the environment's profile names.

    Raises:
        UserError: there is no such profile, or it cannot be read.
    """
    return read_profile(os.environ.get(PROFILE_VARIABLE) or "sample").collection.name


def open_collection(name: str) -> Opened:
    """Return the collection of that name.

    Raises:
        UserError: the profile that it was built with is missing or cannot be read.
    """
    folder = artifacts.ARTIFACTS / name
    saved = folder / PROFILE
    if not saved.is_file() and name in names():
        return Opened(folder, read_profile(name))
    try:
        return Opened(folder, read_profile(str(saved)))
    except UserError as error:
        again = (
            f"make it with python scripts/build.py --profile {name}" if name in names() else "build or import it again"
        )
        raise UserError(f"{shown(saved)} cannot be read ({error}); {again}") from None


@dataclass(frozen=True)
class Content:
    """A built collection, by id."""

    documents: Mapping[str, Document]
    topics: Mapping[str, Topic]
    qrels: Qrels

    @cached_property
    def highest_grade(self) -> int:
        """The highest grade of any judgment, 1 where there is none."""
        return max((max(judgments.values()) for judgments in self.qrels.values() if judgments), default=1)


def content(opened: Opened) -> Content:
    """Return documents, topics and judgments.

    Raises:
        UserError: the collection is missing or damaged.
    """
    return _content(opened.folder, open_artifact(opened.folder / "collection").digest)


@st.cache_resource(max_entries=3, show_spinner="Reading the collection …")
def _content(folder: Path, digest: str) -> Content:
    collection = read_built_collection(folder)
    return Content({d.id: d for d in collection.documents}, {t.id: t for t in collection.topics}, collection.qrels)


def judged_topics(opened: Opened) -> Content:
    """Return topics and judgments without the documents, which take long to read.

    Raises:
        UserError: they are missing or damaged.
    """
    return _judged_topics(opened.folder, collection_manifest(opened).digest)


def collection_manifest(opened: Opened) -> Manifest:
    """Return the manifest of the collection, of which topics and judgments are checked, and not the documents.

    Raises:
        UserError: they are missing or damaged.
    """
    return open_artifact(opened.folder / "collection", TOPICS, QRELS)


@st.cache_resource(max_entries=3, show_spinner=False)
def _judged_topics(folder: Path, digest: str) -> Content:
    topics, qrels = read_built_topics(folder)
    return Content({}, {topic.id: topic for topic in topics}, qrels)


def values(opened: Opened, measure: str) -> dict[str, dict[str, float]]:
    """Return any measure's values, system -> topic -> value, of every evaluated system.

    What the artifact does not hold is computed from runs and judgments, once.

    Raises:
        UserError: an artifact is missing or damaged.
    """
    tidy = measures(opened)
    if measure in set(tidy["measure"]):
        return tables.per_topic(tidy, measure)
    judgments = collection_manifest(opened).digest
    return {
        system: _values(
            opened.folder, system, measure, open_artifact(opened.folder / "runs" / system).digest, judgments
        )
        for system in dict.fromkeys(tidy["system"])
    }


@st.cache_data(max_entries=400, show_spinner=False)
def _values(folder: Path, system: str, measure: str, run: str, collection: str) -> dict[str, float]:
    qrels = _judged_topics(folder, collection).qrels
    return evaluate(_run_scores(folder, system, run), qrels, [measure])[measure]


def measures(opened: Opened) -> pd.DataFrame:
    """Return the tidy table of measures: collection, system, topic, measure, value.

    Raises:
        UserError: it is missing or damaged.
    """
    return _measures_file(opened.folder, "measures.csv", open_artifact(opened.folder / "measures").digest)


def agreement(opened: Opened) -> pd.DataFrame:
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


def run_scores(opened: Opened, system: str) -> Scores:
    """Return a system's run, topic -> document -> score.

    Raises:
        UserError: it is missing or damaged.
    """
    return _run_scores(opened.folder, system, open_artifact(opened.folder / "runs" / system).digest)


@st.cache_resource(max_entries=20, show_spinner=False)
def _run_scores(folder: Path, system: str, digest: str) -> Scores:
    return built_run(folder, system).scores


def missing_topics(opened: Opened, system: str) -> int:
    """Return for how many judged topics a system's run has no document; they count 0.

    Raises:
        UserError: its run is missing or damaged.
    """
    judgments = collection_manifest(opened).digest
    return _missing_topics(opened.folder, system, open_artifact(opened.folder / "runs" / system).digest, judgments)


@st.cache_data(max_entries=100, show_spinner=False)
def _missing_topics(folder: Path, system: str, run: str, collection: str) -> int:
    open_artifact(folder / "runs" / system)
    return len(_judged_topics(folder, collection).qrels.keys() - run_topics(folder / "runs" / system / FILE))


def unavailable(opened: Opened, evaluated: set[str]) -> dict[str, str]:
    """Return the reason, with the command that mends it, for each system that has no measures."""
    reasons = {}
    for name in opened.labels:
        if name in evaluated:
            continue
        try:
            read_manifest(opened.folder / "runs" / name)
            reasons[name] = f"its run is not evaluated yet; run {read_manifest(opened.folder / 'measures').command}"
        except UserError as error:
            reasons[name] = str(error)
    return reasons


def manifests(opened: Opened) -> dict[str, Manifest]:
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


@dataclass(frozen=True)
class Ready:
    """An opened system; tokenizers are not for two threads at once, so one query after the other."""

    system: "System"
    lock: threading.Lock


def open_system(opened: Opened, settings: SystemSettings) -> Ready:
    """Return a system ready to answer, opened once for all sessions.

    Raises:
        UserError: it cannot load; the message names the reason and the command that mends it.
    """
    digest = ""
    if settings.kind != "run":
        stage = "bm25" if settings.kind == "bm25" else "vectors"
        digest = open_artifact(opened.folder / stage / settings.name).digest
    return _open_system(opened.folder, opened.profile.model_dump_json(), settings.name, digest)


@st.cache_resource(max_entries=12, show_spinner=False)
def _open_system(folder: Path, profile_json: str, name: str, digest: str) -> Ready:
    from core.models import find_model
    from core.systems import find_settings, open_system

    profile = Profile.model_validate_json(profile_json)
    settings = find_settings(profile, name)
    if settings.kind == "dense" and find_model(settings.model) is None:  # a page never waits for a download
        command = rebuild_command(folder / "vectors" / name)
        raise UserError(f"the model {settings.model} is not on this machine; get it with {command}")
    # transformers imports its parts late, and not safely in two threads at once; BM25 need not wait for that.
    with _OPENING if settings.kind == "dense" else nullcontext():
        system = open_system(profile, settings, folder)
        system.search("the first query waits for what loads late", 1)
    return Ready(system, threading.Lock())


def expansions(opened: Opened) -> dict[str, list[str]]:
    """Return the predicted queries of each document.

    Raises:
        UserError: they are missing or damaged.
    """
    return _expansions(opened.folder, open_artifact(opened.folder / "doc2query").digest)


@st.cache_resource(max_entries=3, show_spinner=False)
def _expansions(folder: Path, digest: str) -> dict[str, list[str]]:
    return read_expansions(folder)
