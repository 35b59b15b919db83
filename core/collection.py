"""Read and validate a collection: documents, topics and qrels in the BEIR layout (Thakur et al., 2021).

    corpus.jsonl       one {"_id", "title", "text", "metadata"} per line; or several corpus-*.jsonl or corpus/*.jsonl
    queries.jsonl      one {"_id", "text", "metadata"} per line; "query" and "narrative" of TREC topics in the metadata
    qrels/test.tsv     query-id TAB corpus-id TAB score, with that header
    excluded.tsv       query-id TAB corpus-id, with that header: documents to exclude for a topic (optional; or a list
                       of ids in "excluded_ids" of an object in queries.jsonl or its metadata, as in BRIGHT)

Files may be plain or .gz. The artifact `artifacts/<name>/collection` is validated and has the same layout.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from core.formats.collections import QRELS, TOPICS, has_texts
from core.formats.documents import (
    CORPUS,
    Document,
    corpus_files,
    sample_lengths,
    write_documents,
)
from core.formats.exclusions import (
    EXCLUDED,
    Exclusions,
    own_documents,
    together,
    write_excluded,
)
from core.formats.qrels import Qrels, write_qrels
from core.formats.sources import (
    archive_of,
    check_folder,
    listed_exclusions,
    obtain_source,
    read_judged_topics,
    source_digest,
    source_folder,
    stream_documents,
)
from core.formats.topics import Topic, write_topics
from core.workspace import command_line
from core.workspace.artifacts import file_digest, read_manifest, value_digest
from core.workspace.errors import UserError
from core.workspace.estimates import Cost, Rate, Sizes
from core.workspace.names import REMOTE
from core.workspace.profile import CollectionSettings, read_profile
from core.workspace.stage import Build, Draft, Stage, Target
from core.workspace.workspace import CollectionFolder, Workspace

READING = Rate("collection", 5.5e7)
"""Bytes of the corpus per second."""


KNOWN_SIZES = {
    "beir:trec-covid": Sizes(171_332, 50, (60, 90, 400, 900, 1100, 1250, 1400, 1600, 1800, 2500), 2.2e8),
    "beir:scifact": Sizes(5_183, 300, (700, 900, 1100, 1250, 1400, 1500, 1650, 1800, 2000, 2440), 8e6),
}
"""Sizes of data sets before they are downloaded; lengths fit the mean number of words in BEIR's paper."""


def other_source(settings: CollectionSettings, folder: CollectionFolder) -> str:
    """Return an error message if the collection in `folder` was built from another source, else "".

    The same files at another path are the same source, and so is a folder at the same path whose files have changed.
    """
    try:
        manifest = read_manifest(folder.collection)
        recorded = manifest.facts.get("source") or read_profile(str(folder.profile)).collection.source
    except UserError:
        return ""  # there is nothing to replace, or its source is unknown
    workspace = folder.workspace
    if _places(workspace, recorded) & _places(workspace, settings.source):
        return ""
    if (digest := manifest.inputs.get("source")) and digest == collection_inputs(workspace, settings).get("source"):
        return ""
    return (
        f"{folder.shown} was built from another source ({recorded}); choose another name with --name NAME, or replace "
        "the collection with --replace"
    )


def _places(workspace: Workspace, source: str) -> set[str]:
    """Return the possible paths of a source: relative to the project (if recorded) or the current folder."""
    if source in ("embedded", "imported", "derived") or source.startswith(REMOTE):
        return {source}
    return {str(Path(source).resolve()), str((workspace.checkout / source).resolve())}


def targets(build: Build) -> Iterator[Target[CollectionSettings]]:
    """Yield the collection."""
    yield Target(build.folder.collection, build.profile.collection)


def settings(build: Build, collection: CollectionSettings) -> dict[str, Any]:
    """Return the settings that affect the built collection."""
    return collection.model_dump(include={"split", "judged_only", "unjudged_topics", "ignore_identical_ids"})


def inputs(build: Build, collection: CollectionSettings) -> dict[str, str]:
    """Return the digest of the source; see `collection_inputs`."""
    return collection_inputs(build.folder.workspace, collection)


def make(build: Build, settings: CollectionSettings, draft: Draft) -> None:
    """Read and validate the source, and write it in the common layout."""
    workspace = build.folder.workspace
    source = obtain_source(workspace, settings)
    check_folder(source)
    topics, qrels = read_judged_topics(source, settings)
    judged = {document for by_document in qrels.values() for document in by_document}
    judgments = sum(map(len, qrels.values()))
    draft.facts.update(documents=0, topics=len(topics), judgments=judgments)
    draft.facts["source"] = workspace.recorded(settings.source)
    by_id = {topic.id: topic for topic in topics}
    excluded, same_ids = listed_exclusions(source, set(by_id)), IdenticalIds()

    def counted() -> Iterator[Document]:
        for document in stream_documents(source, settings, qrels):
            draft.facts["documents"] += 1
            judged.discard(document.id)
            if settings.ignore_identical_ids and document.id in by_id:
                same_ids.add(by_id[document.id], document)
            yield document

    write_documents(draft / CORPUS, counted())
    missing = sum(document in judged for by_document in qrels.values() for document in by_document)
    draft.facts["judged_documents_not_in_the_corpus"] = missing
    write_topics(draft / TOPICS, topics)
    (draft / "qrels").mkdir()
    write_qrels(draft / QRELS, qrels)
    write_excluded(draft / EXCLUDED, together(excluded, own_documents(same_ids.topics)))
    if same_ids.topics or excluded:
        draft.facts["topics_with_their_own_document"] = len(same_ids.topics)
        draft.facts["topics_with_excluded_documents"] = len(excluded)
    if missing:
        command_line.note(f"{missing} of {judgments} judgments are for documents that are not in the corpus")
    for notice in _exclusion_notices(same_ids, excluded, qrels):
        command_line.note(notice)


def estimate(build: Build, settings: CollectionSettings, sizes: Sizes) -> Cost:
    """Return the cost of reading the source, without a download."""
    return Cost(sizes.bytes, READING, sizes.bytes, 0.1)


def sizes_of(build: Build) -> Sizes | None:
    """Return the size of the collection, built or not; None if that is unknown before it is downloaded or unpacked."""
    folder, settings = build.folder, build.profile.collection
    try:
        manifest = read_manifest(folder.collection)
        documents, topics = int(manifest.facts["documents"]), int(manifest.facts["topics"])
        size = manifest.files[CORPUS]["bytes"]
        if not has_texts(folder):
            return Sizes(documents, topics, (round(size / documents),), size)
        lengths, _ = sample_lengths(folder.collection / CORPUS)
        return Sizes(documents, topics, lengths, size)
    except (UserError, KeyError, OSError):
        pass
    source = folder.workspace.located(settings.source)
    if settings.source in KNOWN_SIZES or not source.is_dir():
        return KNOWN_SIZES.get(settings.source)
    try:
        files = corpus_files(source)
        lengths, mean = sample_lengths(files[0])
        topics = len(read_judged_topics(source, settings)[0])
    except (UserError, OSError):
        return None  # making the collection reports what is wrong
    size = sum(file.stat().st_size * (PACKED if file.suffix == ".gz" else 1) for file in files)
    return Sizes(max(1, round(size / mean)), topics, lengths, size)


PACKED = 3.0
"""Ratio of unpacked to packed size of a corpus."""


STAGE = Stage(
    "collection",
    targets,
    settings,
    inputs,
    make,
    estimate=estimate,
    prepare=lambda build, settings: obtain_source(build.folder.workspace, settings),
    # Other commands make imported and derived collections, from files that builds do not have.
    in_build=lambda build: build.profile.collection.source not in ("imported", "derived"),
)


@dataclass
class IdenticalIds:
    """The topics that have the id of a document, and how many of them also have its text."""

    topics: list[str] = field(default_factory=list)
    same_text: int = 0

    def add(self, topic: Topic, document: Document) -> None:
        """Add a topic and the document with the same id."""
        self.topics.append(topic.id)
        self.same_text += topic.question.strip() in (document.text.strip(), document.full_text)


def _exclusion_notices(same_ids: IdenticalIds, excluded: Exclusions, qrels: Qrels) -> Iterator[str]:
    if same_ids.topics:
        yield (
            f"{len(same_ids.topics)} topics have the id of a document ({same_ids.same_text} also have its text): "
            "that document is excluded for the topic, as in BEIR's evaluation; if the ids are equal by chance, keep it "
            "with --keep-identical-ids (ignore_identical_ids = false under [collection])"
        )
    if excluded:
        yield f"{sum(map(len, excluded.values()))} documents are on exclusion lists, for {len(excluded)} topics"
    every = together(excluded, own_documents(same_ids.topics))
    relevant = sum(qrels[topic].get(name, 0) > 0 for topic, documents in every.items() for name in documents)
    if relevant:
        yield (
            f"{relevant} of the excluded documents are judged relevant for their topic: no run can retrieve them, but "
            "they are still in the ideal ranking"
        )


def collection_inputs(workspace: Workspace, settings: CollectionSettings) -> dict[str, str]:
    """Return the digest of the source; the embedded sample has no source and so no digest."""
    if settings.source == "embedded":
        return {}
    if zipped := archive_of(workspace.located(settings.source)):
        return {"source": value_digest([file_digest(zipped[0]), zipped[1]])}
    return {"source": source_digest(source_folder(workspace, settings))}


def main(arguments: list[str] | None = None) -> None:
    """Run `python -m core.collection`."""
    parser = command_line.stage_parser("collection", __doc__)
    parser.add_argument("--replace", action="store_true", help="replace a collection of this name from another source")
    options = parser.parse_args(arguments)
    build = command_line.build_from(options)
    if not options.replace and (problem := other_source(build.profile.collection, build.folder)):
        raise UserError(problem)
    print(*STAGE.run_all(build))


if __name__ == "__main__":
    command_line.run(main)
