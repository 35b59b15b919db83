"""What the pages look at: a collection, its profile, its documents, topics and judgments.

Every cached loader, here and in `results`, `live` and `written_queries`, takes the digest of the artifact's manifest,
so that an artifact that was rebuilt is read again; `open_artifact` gives it, so that one damaged since is noticed, too.
A loader reads by `read_whole` the very version that the digest names, and `read_latest` asks for the digest again where
the artifact was replaced in between.
"""

import os
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import streamlit as st

from core.evaluation.results import labels_of, saved_profile
from core.formats.collections import QRELS, TOPICS, read_built_collection, read_built_topics
from core.formats.documents import Document
from core.formats.exclusions import Exclusions, built_exclusions
from core.formats.qrels import Qrels
from core.formats.topics import Topic
from core.workspace.artifacts import (
    MANIFEST,
    Manifest,
    open_artifact,
    read_latest,
    read_manifest,
    read_whole,
)
from core.workspace.errors import UserError
from core.workspace.names import collection_name_problem
from core.workspace.profile import Profile, read_profile
from core.workspace.workspace import CollectionFolder, Workspace

PROFILE_VARIABLE = "RANKSCOPE_PROFILE"


@dataclass(frozen=True)
class Opened:
    """The collection that is looked at: its folder of artifacts and the profile they were built with."""

    folder: CollectionFolder
    profile: Profile

    @property
    def labels(self) -> dict[str, str]:
        """The name that each system is shown by."""
        return labels_of(self.profile)

    @property
    def is_sample(self) -> bool:
        """Whether it is the embedded sample, which is no evidence of anything medical."""
        return self.profile.collection.source == "embedded"

    @property
    def is_imported(self) -> bool:
        """Whether it holds imported runs and their judgments only, without documents."""
        return self.profile.collection.source == "imported"


def collection_names() -> list[str]:
    """Return the names of the collections that were built, without what an import that was killed has left."""
    return [folder.name for folder in Workspace.default().collections() if not _is_left_over(folder)]


def _is_left_over(folder: CollectionFolder) -> bool:
    """Say whether an import or a derivation was killed here: the profile is the last that those write."""
    if folder.profile.is_file():
        return False
    try:
        return read_manifest(folder.collection).stage == "import_runs"
    except UserError:
        return False


def versions(opened: Opened) -> dict[Path, tuple[int, int]]:
    """Return what changes with every artifact of the collection that is replaced, added or removed."""
    paths = [opened.folder.profile, *(artifact / MANIFEST for artifact in opened.folder.artifacts())]
    found = {}
    for path in paths:
        with suppress(OSError):
            status = path.stat()
            found[path] = (status.st_ino, status.st_mtime_ns)
    return found


def building_again(name: str) -> str:
    """Return, in brackets, the command that builds a collection of which only the profile is left; "" for others."""
    if collection_name_problem(name) or not (folder := Workspace.default().collection(name)).profile.is_file():
        return ""
    return f" (rebuild it with {folder.collection.command})"


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
    return Opened(*saved_profile(Workspace.default(), name))


@dataclass(frozen=True)
class Content:
    """A built collection, by id."""

    documents: Mapping[str, Document]
    topics: Mapping[str, Topic]
    qrels: Qrels
    excluded: Exclusions = field(default_factory=dict)
    """What is left out for a topic, see `core.formats.exclusions`."""

    @cached_property
    def highest_grade(self) -> int:
        """The highest grade of any judgment, 1 where there is none."""
        return max((max(judgments.values()) for judgments in self.qrels.values() if judgments), default=1)


def content(opened: Opened) -> Content:
    """Return documents, topics and judgments.

    Raises:
        UserError: the collection is missing or damaged.
    """
    place = opened.folder.collection
    return read_latest(lambda: open_artifact(place).digest, lambda digest: _content(opened.folder, digest))


@st.cache_resource(max_entries=3, show_spinner="Reading the collection …")
def _content(folder: CollectionFolder, digest: str) -> Content:
    def read(_: Manifest) -> Content:
        collection = read_built_collection(folder)
        documents, topics = {d.id: d for d in collection.documents}, {t.id: t for t in collection.topics}
        return Content(documents, topics, collection.qrels, collection.excluded)

    return read_whole(folder.collection, read, digest=digest)


def judged_topics(opened: Opened) -> Content:
    """Return topics and judgments without the documents, which take long to read.

    Raises:
        UserError: they are missing or damaged.
    """
    return read_latest(
        lambda: collection_manifest(opened).digest, lambda digest: read_judged_topics(opened.folder, digest)
    )


def collection_manifest(opened: Opened) -> Manifest:
    """Return the manifest of the collection, of which topics and judgments are checked, and not the documents.

    Raises:
        UserError: they are missing or damaged.
    """
    return open_artifact(opened.folder.collection, TOPICS, QRELS)


@st.cache_resource(max_entries=3, show_spinner=False)
def read_judged_topics(folder: CollectionFolder, digest: str) -> Content:
    """Return topics and judgments of the collection under a folder, which has that digest."""

    def read(_: Manifest) -> Content:
        topics, qrels = read_built_topics(folder)
        return Content({}, {topic.id: topic for topic in topics}, qrels, built_exclusions(folder))

    return read_whole(folder.collection, read, TOPICS, QRELS, digest=digest)


def find_topic(query: str, topics: Iterable[Topic]) -> Topic | None:
    """Return the topic whose question or query the text is, whatever its case and spaces."""

    def folded(text: str) -> str:
        return " ".join(text.casefold().split())

    return next((t for t in topics if folded(query) in (folded(t.question), folded(t.query))), None)
