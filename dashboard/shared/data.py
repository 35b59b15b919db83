"""The open collection: its profile, documents, topics and judgments.

Every cached loader, here and in `results`, `live` and `predicted_queries`, is keyed by the digest in the artifact's
manifest, so that a rebuilt artifact is read again. The digest comes from `open_artifact`, which also notices damage. A
loader reads exactly the version of that digest with `read_whole`; `read_latest` asks for the digest again if the
artifact was replaced in between.
"""

import os
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import streamlit as st

from core.evaluation.results import labels_of, saved_profile
from core.formats.collections import QRELS, TOPICS, built_documents, has_texts, read_built_topics
from core.formats.documents import Document
from core.formats.exclusions import Exclusions, built_exclusions
from core.formats.qrels import Qrels, highest_grade
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
NO_TEXTS = (
    "The texts of the documents are not included in the archive that this collection came from: documents are shown by "
    "id. To have the texts, open an archive that includes them, or run {command}"
)


@dataclass(frozen=True)
class Opened:
    """The open collection: its folder of artifacts and the profile that they were built with."""

    folder: CollectionFolder
    profile: Profile

    @cached_property
    def labels(self) -> dict[str, str]:
        """The display name of each system."""
        return labels_of(self.profile, self.folder)

    @property
    def is_sample(self) -> bool:
        """Whether it is the embedded sample, which is not medical evidence."""
        return self.profile.collection.source == "embedded"

    @property
    def is_imported(self) -> bool:
        """Whether it has only imported runs and their judgments, without documents."""
        return self.profile.collection.source == "imported"

    @property
    def has_texts(self) -> bool:
        """Whether the texts of the documents are here: imported runs have none, and archives may leave them out."""
        return not self.is_imported and has_texts(self.folder)


def collection_names() -> list[str]:
    """Return the names of all built collections, without the remains of a killed import."""
    return [folder.name for folder in Workspace.default().collections() if not _is_left_over(folder)]


def _is_left_over(folder: CollectionFolder) -> bool:
    """Return whether an import or derivation was killed here; they write the profile last."""
    if folder.profile.is_file():
        return False
    try:
        return read_manifest(folder.collection).stage == "import_runs"
    except UserError:
        return False


def versions(opened: Opened) -> dict[Path, tuple[int, int]]:
    """Return a value that changes when an artifact of the collection is replaced, added or removed."""
    paths = [opened.folder.profile, *(artifact / MANIFEST for artifact in opened.folder.artifacts())]
    found = {}
    for path in paths:
        with suppress(OSError):
            status = path.stat()
            found[path] = (status.st_ino, status.st_mtime_ns)
    return found


def building_again(name: str) -> str:
    """Return, in parentheses, the command that rebuilds a collection whose profile is left; "" without a profile."""
    if collection_name_problem(name) or not (folder := Workspace.default().collection(name)).profile.is_file():
        return ""
    return f" (rebuild it with {folder.collection.command})"


def first_collection() -> str:
    """Return the collection of the profile that the environment variable RANKSCOPE_PROFILE names.

    Raises:
        UserError: if there is no such profile, or it cannot be read.
    """
    return read_profile(os.environ.get(PROFILE_VARIABLE) or "sample").collection.name


def open_collection(name: str) -> Opened:
    """Return the collection of that name.

    Raises:
        UserError: if the profile that it was built with is missing or cannot be read.
    """
    return Opened(*saved_profile(Workspace.default(), name))


@dataclass(frozen=True)
class Content:
    """The documents, topics and judgments of a built collection, by id; the documents stay on disk."""

    documents: Mapping[str, Document]
    topics: Mapping[str, Topic]
    qrels: Qrels
    excluded: Exclusions = field(default_factory=dict)
    """Documents excluded for each topic, see `core.formats.exclusions`."""

    @cached_property
    def highest_grade(self) -> int:
        """The highest grade of any judgment; 1 if there are none."""
        return highest_grade(self.qrels)


def content(opened: Opened) -> Content:
    """Return documents, topics and judgments.

    Raises:
        UserError: if the collection is missing or damaged.
    """
    place = opened.folder.collection
    return read_latest(
        lambda: open_artifact(place, included=True).digest, lambda digest: _content(opened.folder, digest)
    )


@st.cache_resource(max_entries=3, show_spinner="Reading the collection …")
def _content(folder: CollectionFolder, digest: str) -> Content:
    def read(_: Manifest) -> Content:
        topics, qrels = read_built_topics(folder)
        return Content(built_documents(folder), {topic.id: topic for topic in topics}, qrels, built_exclusions(folder))

    return read_whole(folder.collection, read, digest=digest, included=True)


def judged_topics(opened: Opened) -> Content:
    """Return topics and judgments without the documents, which are slow to read.

    Raises:
        UserError: if they are missing or damaged.
    """
    return read_latest(
        lambda: collection_manifest(opened).digest, lambda digest: read_judged_topics(opened.folder, digest)
    )


def collection_manifest(opened: Opened) -> Manifest:
    """Return the manifest of the collection, after checking its topics and judgments but not its documents.

    Raises:
        UserError: if they are missing or damaged.
    """
    return open_artifact(opened.folder.collection, TOPICS, QRELS)


def counts(opened: Opened) -> str:
    """Return the numbers of documents, topics and judgments in words, for the beginning or the middle of a sentence.

    Raises:
        UserError: as `collection_manifest`.
    """
    facts = collection_manifest(opened).facts
    documents = (
        "imported runs without document texts" if opened.is_imported else f"{facts.get('documents', 0):,} documents"
    )
    return f"{documents}, {facts.get('topics', 0):,} topics, {facts.get('judgments', 0):,} judgments"


@st.cache_resource(max_entries=3, show_spinner=False)
def read_judged_topics(folder: CollectionFolder, digest: str) -> Content:
    """Return the topics and judgments of the version of a collection with the given digest."""

    def read(_: Manifest) -> Content:
        topics, qrels = read_built_topics(folder)
        return Content({}, {topic.id: topic for topic in topics}, qrels, built_exclusions(folder))

    return read_whole(folder.collection, read, TOPICS, QRELS, digest=digest)


def find_topic(query: str, topics: Iterable[Topic]) -> Topic | None:
    """Return the topic whose question, query or narrative is the text (see `same_text`); None if there is none."""
    return next((t for t in topics if any(same_text(query, text) for text in (t.question, t.query, t.narrative))), None)


def same_text(text: str, other: str) -> bool:
    """Return whether two texts are equal but for case and spaces, and not empty."""
    return text.casefold().split() == other.casefold().split() != []
