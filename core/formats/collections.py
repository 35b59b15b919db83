"""Built collections: documents, topics, judgments and excluded documents."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from core.formats.by_id import EntriesById
from core.formats.documents import CORPUS, Document, StoredDocuments, stored_document
from core.formats.exclusions import EXCLUDED, Exclusions, built_exclusions
from core.formats.qrels import Qrels, read_qrels
from core.formats.topics import Topic, read_topics
from core.workspace.artifacts import (
    Manifest,
    advice,
    left_out,
    open_artifact,
    read_manifest,
    read_whole,
)
from core.workspace.errors import UserError
from core.workspace.workspace import CollectionFolder

TOPICS, QRELS = "queries.jsonl", "qrels/test.tsv"


@dataclass(frozen=True)
class Collection:
    """Documents and topics in file order, the judgments, and the documents excluded for some topics.

    The documents of a built collection stay on disk.
    """

    name: str
    documents: Sequence[Document]
    topics: list[Topic]
    qrels: Qrels
    excluded: Exclusions = field(default_factory=dict)


def read_built_collection(folder: CollectionFolder) -> Collection:
    """Read the artifact `collection` in a collection's folder, checked against its manifest.

    A collection made from imported runs and qrels has no documents; a derived collection has those of its source. If
    the collection came from an archive without texts, its documents raise a UserError when they are read.
    """
    built = folder.collection

    def read(_: Manifest) -> Collection:
        documents: Sequence[Document] = StoredDocuments(built / CORPUS) if (built / CORPUS).is_file() else []
        if not has_texts(folder):
            documents = NotIncluded(
                f"{built.shown}/{CORPUS} is not included in the archive that it came from; {advice(built)}"
            )
        return Collection(folder.name, documents, *read_built_topics(folder), built_exclusions(folder))

    return read_whole(built, read, included=True)


def has_texts(folder: CollectionFolder) -> bool:
    """Return whether the documents of a built collection are here: archives may leave them out (`rankscope pack`)."""
    return CORPUS not in left_out(folder.collection)


class NotIncluded(Sequence[Document]):
    """The documents of a collection from an archive without texts: all access raises a UserError."""

    def __init__(self, problem: str):
        self.problem = problem

    def __len__(self) -> int:
        raise UserError(self.problem)

    def __getitem__(self, at: Any) -> Any:
        raise UserError(self.problem)


def built_documents(folder: CollectionFolder) -> Mapping[str, Document]:
    """Return the documents of a built collection by id, read from disk when asked for; empty if it has no texts.

    Raises:
        UserError: if they are missing or damaged.
    """
    built = folder.collection

    def read(_: Manifest) -> Mapping[str, Document]:
        return EntriesById(built / CORPUS, stored_document) if (built / CORPUS).is_file() else {}

    return read_whole(built, read, included=True)


def read_built_topics(folder: CollectionFolder) -> tuple[list[Topic], Qrels]:
    """Read the topics and judgments of a built collection.

    Raises:
        UserError: if they are missing or damaged.
    """
    built = folder.collection

    def read(_: Manifest) -> tuple[list[Topic], Qrels]:
        qrels = read_qrels(built / QRELS)
        return read_topics(built / TOPICS, set(qrels), set(), drop_unjudged=False), qrels

    return read_whole(built, read, TOPICS, QRELS)


def collection_digests(folder: CollectionFolder, *files: str) -> dict[str, str]:
    """Return the digests of the named files of a built collection, by name.

    Stages name only the files they read, so that a new judgment does not make vectors stale. `EXCLUDED` is skipped if
    the collection has no such file. A file that the archive that the collection came from does not include has the
    digest in the manifest.
    """
    existing = read_manifest(folder.collection).files
    files = tuple(name for name in files if name != EXCLUDED or name in existing)
    missing = left_out(folder.collection)
    here = [name for name in files if name not in missing]
    recorded = open_artifact(folder.collection, *here).files if here else existing
    return {name: recorded[name]["sha256"] for name in files}
