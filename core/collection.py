"""Collections: documents, topics and qrels, in the BEIR layout (Thakur et al., 2021).

    corpus.jsonl       {"_id", "title", "text", "metadata"} a line; or many files, corpus-*.jsonl or corpus/*.jsonl
    queries.jsonl      {"_id", "text", "metadata"} a line; TREC topics keep "query" and "narrative" in the metadata
    qrels/test.tsv     query-id TAB corpus-id TAB score, with that header
    excluded.tsv       query-id TAB corpus-id, with that header: documents that are left out for a topic (optional; or
                       "excluded_ids" in a line of queries.jsonl or its metadata, a list of ids, as BRIGHT has it)

Each file plain or .gz. A built collection is the same layout under `artifacts/<name>/collection`, checked and sealed.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from core.formats.collections import QRELS, TOPICS
from core.formats.documents import (
    CORPUS,
    Document,
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
from core.workspace.profile import CollectionSettings, read_profile
from core.workspace.stage import Build, Draft, Stage, Target
from core.workspace.workspace import CollectionFolder, Workspace


def other_source(settings: CollectionSettings, folder: CollectionFolder) -> str:
    """Say that the collection built under `folder` comes from another source than that of the settings, "" if not.

    The same files at another place are the same source, and so is a changed folder at the same place.
    """
    try:
        manifest = read_manifest(folder.collection)
        recorded = manifest.facts.get("source") or read_profile(str(folder.profile)).collection.source
    except UserError:
        return ""  # nothing is there that could be replaced, or nothing says where it is from
    workspace = folder.workspace
    if _places(workspace, recorded) & _places(workspace, settings.source):
        return ""
    if (digest := manifest.inputs.get("source")) and digest == collection_inputs(workspace, settings).get("source"):
        return ""
    return (
        f"{folder.shown} is the collection of another source ({recorded}); give this one another name with "
        "--name NAME, or replace that one with --replace"
    )


def _places(workspace: Workspace, source: str) -> set[str]:
    """Return what a source may stand for: recorded paths are relative to the project, others to the current folder."""
    if source in ("embedded", "imported", "derived") or source.startswith("beir:"):
        return {source}
    return {str(Path(source).resolve()), str((workspace.checkout / source).resolve())}


def targets(build: Build) -> Iterator[Target[CollectionSettings]]:
    """Yield the collection."""
    yield Target(build.folder.collection, build.profile.collection)


def settings(build: Build, collection: CollectionSettings) -> dict[str, Any]:
    """Return the settings that shape the built collection."""
    return collection.model_dump(include={"split", "judged_only", "unjudged_topics", "ignore_identical_ids"})


def inputs(build: Build, collection: CollectionSettings) -> dict[str, str]:
    """Return the digest of the source, see `collection_inputs`."""
    return collection_inputs(build.folder.workspace, collection)


def make(build: Build, settings: CollectionSettings, draft: Draft) -> None:
    """Read the source, check it, and write it in one layout."""
    workspace = build.folder.workspace
    source = obtain_source(workspace, settings)
    check_folder(source)
    topics, qrels = read_judged_topics(source, settings)
    judged = {document for by_document in qrels.values() for document in by_document}
    judgments = sum(map(len, qrels.values()))
    draft.facts.update(documents=0, topics=len(topics), judgments=judgments)
    draft.facts["source"] = workspace.recorded(settings.source)
    by_id = {topic.id: topic for topic in topics}
    excluded, own = listed_exclusions(source, set(by_id)), OwnDocuments()

    def counted() -> Iterator[Document]:
        for document in stream_documents(source, settings, qrels):
            draft.facts["documents"] += 1
            judged.discard(document.id)
            if settings.ignore_identical_ids and document.id in by_id:
                own.add(by_id[document.id], document)
            yield document

    write_documents(draft / CORPUS, counted())
    missing = sum(document in judged for by_document in qrels.values() for document in by_document)
    draft.facts["judged_documents_not_in_the_corpus"] = missing
    write_topics(draft / TOPICS, topics)
    (draft / "qrels").mkdir()
    write_qrels(draft / QRELS, qrels)
    write_excluded(draft / EXCLUDED, together(excluded, own_documents(own.topics)))
    if own.topics or excluded:
        draft.facts["topics_with_their_own_document"] = len(own.topics)
        draft.facts["topics_with_excluded_documents"] = len(excluded)
    if missing:
        command_line.note(f"{missing} of {judgments} judgments are on documents that the corpus does not hold")
    for notice in _exclusion_notices(own, excluded, qrels):
        command_line.note(notice)


STAGE = Stage(
    "collection",
    targets,
    settings,
    inputs,
    make,
    prepare=lambda build, settings: obtain_source(build.folder.workspace, settings),
    # Imported and derived collections are made from files that are given once, by other commands.
    in_build=lambda build: build.profile.collection.source not in ("imported", "derived"),
)


@dataclass
class OwnDocuments:
    """The topics whose id is a document's, and in how many cases its text is the topic's, too."""

    topics: list[str] = field(default_factory=list)
    same_text: int = 0

    def add(self, topic: Topic, document: Document) -> None:
        """Take the document of a topic's id."""
        self.topics.append(topic.id)
        self.same_text += topic.question.strip() in (document.text.strip(), document.full_text)


def _exclusion_notices(own: OwnDocuments, excluded: Exclusions, qrels: Qrels) -> Iterator[str]:
    if own.topics:
        yield (
            f"{len(own.topics)} topics have the id of a document (in {own.same_text} cases its text, too): that "
            "document is left out for the topic, as in BEIR's evaluation; if the ids are equal by chance, keep it with "
            "--keep-identical-ids (ignore_identical_ids = false under [collection])"
        )
    if excluded:
        yield f"{sum(map(len, excluded.values()))} documents are excluded by lists, for {len(excluded)} topics"
    every = together(excluded, own_documents(own.topics))
    relevant = sum(qrels[topic].get(name, 0) > 0 for topic, documents in every.items() for name in documents)
    if relevant:
        yield (
            f"{relevant} of the documents that are left out are judged relevant for that topic: no run can retrieve "
            "them, and they stay in the ideal list"
        )


def collection_inputs(workspace: Workspace, settings: CollectionSettings) -> dict[str, str]:
    """Return the digest of the source; the embedded sample is its own source and has none."""
    if settings.source == "embedded":
        return {}
    if zipped := archive_of(workspace.located(settings.source)):
        return {"source": value_digest([file_digest(zipped[0]), zipped[1]])}
    return {"source": source_digest(source_folder(workspace, settings))}


def main(arguments: list[str] | None = None) -> None:
    """Run `python -m core.collection`."""
    parser = command_line.stage_parser("collection", __doc__)
    parser.add_argument("--replace", action="store_true", help="replace a collection of the same name, other source")
    options = parser.parse_args(arguments)
    build = command_line.build_from(options)
    if not options.replace and (problem := other_source(build.profile.collection, build.folder)):
        raise UserError(problem)
    print(*STAGE.run_all(build))


if __name__ == "__main__":
    command_line.run(main)
