"""Built collections: documents, topics, judgments and excluded documents."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from core.formats.by_id import EntriesById
from core.formats.documents import CORPUS, Document, StoredDocuments, stored_document
from core.formats.exclusions import EXCLUDED, Exclusions, built_exclusions
from core.formats.qrels import Qrels, read_qrels
from core.formats.topics import Topic, read_topics
from core.workspace.artifacts import Manifest, open_artifact, read_manifest, read_whole
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

    A collection made from imported runs and qrels has no documents; a derived collection has those of its source.
    """
    built = folder.collection

    def read(_: Manifest) -> Collection:
        documents = StoredDocuments(built / CORPUS) if (built / CORPUS).is_file() else []
        return Collection(folder.name, documents, *read_built_topics(folder), built_exclusions(folder))

    return read_whole(built, read)


def built_documents(folder: CollectionFolder) -> Mapping[str, Document]:
    """Return the documents of a built collection by id, read from disk when asked for; empty if it has none.

    Raises:
        UserError: if they are missing or damaged.
    """
    built = folder.collection

    def read(_: Manifest) -> Mapping[str, Document]:
        return EntriesById(built / CORPUS, stored_document) if (built / CORPUS).is_file() else {}

    return read_whole(built, read)


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
    the collection has no such file.
    """
    existing = read_manifest(folder.collection).files
    files = tuple(name for name in files if name != EXCLUDED or name in existing)
    recorded = open_artifact(folder.collection, *files).files
    return {name: recorded[name]["sha256"] for name in files}
