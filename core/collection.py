"""Collections: documents, topics and qrels, in the BEIR layout (Thakur et al., 2021).

    corpus.jsonl       {"_id", "title", "text", "metadata"} a line; or many files, corpus-*.jsonl or corpus/*.jsonl
    queries.jsonl      {"_id", "text", "metadata"} a line; TREC topics keep "query" and "narrative" in the metadata
    qrels/test.tsv     query-id TAB corpus-id TAB score, with that header

Each file plain or .gz. A built collection is the same layout under `artifacts/<name>/collection`, checked and sealed.
"""

import argparse
import json
import shutil
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from core import cli
from core.artifacts import ARTIFACTS, file_digest, open_artifact, value_digest, writing
from core.documents import (
    CORPUS,
    CORPUS_FILES,
    Document,
    StoredDocuments,
    corpus_files,
    metadata_of,
    read_documents,
    text_of,
    write_documents,
)
from core.download import fetch
from core.errors import UserError
from core.lines import read_json_lines
from core.profile import CollectionSettings, Profile
from core.qrels import Qrels, read_qrels, write_qrels

BEIR_URL = "https://public.ukp.informatik.tu-darmstadt.de/thakur/BEIR/datasets/{name}.zip"
BEIR_MD5 = {"trec-covid": "ce62140cb23feb9becf6270d0d1fe6d1", "scifact": "5f7d1de60b170fc8027bb7898e2efca1"}
BEIR_BYTES = {"trec-covid": 73_876_720}
TOPICS, QRELS = "queries.jsonl", "qrels/test.tsv"
LARGEST_RATIO = 100
"""Of the size of an archive's contents to its own; text has one of 3 to 10."""
EMBEDDED = ARTIFACTS / "sample" / "collection"


@dataclass(frozen=True)
class Topic:
    """One topic in the TREC manner; a collection that has only one text a topic has it as question and query."""

    id: str
    query: str
    question: str
    narrative: str = ""
    kind: str = ""

    def text(self, topic_field: str) -> str:
        """Return the field of the topic that is searched for: "query", "question" or "narrative"."""
        return {"query": self.query, "question": self.question, "narrative": self.narrative}[
            topic_field
        ] or self.question


@dataclass(frozen=True)
class Collection:
    """Documents and topics in file order, and the judgments; those of a built collection stay on disk."""

    name: str
    documents: Sequence[Document]
    topics: list[Topic]
    qrels: Qrels


# Reading


def find_file(folder: Path, name: str) -> Path:
    """Return `folder/name` or `folder/name.gz`, whichever is there.

    Raises:
        UserError: neither is.
    """
    for path in (folder / name, folder / f"{name}.gz"):
        if path.is_file():
            return path
    raise UserError(f"{folder}: no {name} or {name}.gz in this folder, as the BEIR layout has it")


def read_topics(path: Path, judged: set[str], judged_elsewhere: set[str], drop_unjudged: bool) -> list[Topic]:
    """Read the topics that have judgments.

    Args:
        judged: topics with judgments in the split that is read.
        judged_elsewhere: topics with judgments in another split; they are left out.
        drop_unjudged: leave out topics that no split judges, too, where else they are an error.

    Raises:
        UserError: see `read_json_lines`; also for a topic without text or judgments, and when none is left.
    """
    topics = []
    for where, entry in read_json_lines(path):
        name, text, metadata = entry["_id"], text_of(entry, "text", where), metadata_of(entry, where)
        if not text.strip():
            raise UserError(f'{where}: topic {name} has no "text"')
        if name not in judged:
            if drop_unjudged or name in judged_elsewhere:
                continue
            raise UserError(
                f"{where}: topic {name} has no judgments; "
                'remove it, or set unjudged_topics = "drop" under [collection] to leave such topics out'
            )
        query, narrative, kind = (text_of(metadata, key, where) for key in ("query", "narrative", "kind"))
        topics.append(Topic(name, query or text, text, narrative, kind))
    if not topics:
        raise UserError(f"{path.name}: no topic of this file is judged")
    return topics


def read_judged_topics(folder: Path, settings: CollectionSettings) -> tuple[list[Topic], Qrels]:
    """Read and check topics and judgments of a folder in the BEIR layout.

    Raises:
        UserError: with file and line, when anything in them is not as expected.
    """
    qrels = read_qrels(find_file(folder / "qrels", f"{settings.split}.tsv"))
    elsewhere: set[str] = set()
    for path in (folder / "qrels").glob("*.tsv*"):
        if path.name.split(".")[0] != settings.split:
            elsewhere |= set(read_qrels(path))
    drop = settings.unjudged_topics == "drop"
    topics = read_topics(find_file(folder, TOPICS), set(qrels), elsewhere, drop)
    known = {topic.id for topic in topics}
    return topics, {name: judgments for name, judgments in qrels.items() if name in known}


def stream_documents(folder: Path, settings: CollectionSettings, qrels: Qrels) -> Iterator[Document]:
    """Yield the documents of a folder in the BEIR layout, with `judged_only` those that the qrels judge.

    Raises:
        UserError: with file and line, when anything in them is not as expected.
    """
    judged = {document for judgments in qrels.values() for document in judgments}
    empty = True
    for document in read_documents(*corpus_files(folder)):
        if not settings.judged_only or document.id in judged:
            empty = False
            yield document
    if empty:
        raise UserError(f"{folder}: judged_only leaves no document, the qrels judge none of this corpus")


def read_collection(folder: Path, settings: CollectionSettings) -> Collection:
    """Read and check a folder in the BEIR layout, its documents into memory.

    Raises:
        UserError: with file and line, when anything in it is not as expected.
    """
    check_folder(folder)
    topics, qrels = read_judged_topics(folder, settings)
    return Collection(settings.name, list(stream_documents(folder, settings, qrels)), topics, qrels)


def check_folder(folder: Path) -> None:
    """Check that a folder in the BEIR layout holds a corpus.

    Raises:
        UserError: there is no such folder, or no corpus in it.
    """
    if not folder.is_dir():
        raise UserError(f"{folder}: there is no such folder; a collection in the BEIR layout is expected")
    corpus_files(folder)


# The stage


def obtain_source(settings: CollectionSettings) -> Path:
    """Return the folder that a profile's collection comes from, downloading a BEIR data set where it is named."""
    if settings.source == "embedded":
        return EMBEDDED
    if not settings.source.startswith("beir:"):
        return Path(settings.source)
    name = settings.source.removeprefix("beir:")
    downloads = ARTIFACTS / "downloads"
    if not (downloads / name).is_dir():
        url = BEIR_URL.format(name=name)
        unpack(fetch(url, downloads / f"{name}.zip", BEIR_BYTES.get(name), BEIR_MD5.get(name)), downloads, name)
    return downloads / name


def unpack(archive: Path, folder: Path, name: str) -> None:
    """Unpack the members of a BEIR zip that a collection consists of into `folder/name`, and no others.

    Raises:
        UserError: the archive is damaged or lacks one of them.
    """
    partial = folder / f".{name}.partial"
    shutil.rmtree(partial, ignore_errors=True)
    try:
        with zipfile.ZipFile(archive) as file:
            members = file.namelist()
            unpacked = sum(member.file_size for member in file.infolist())
            if unpacked > LARGEST_RATIO * archive.stat().st_size:
                raise UserError(f"{archive}: it would unpack to {unpacked:,} bytes, which no text does; fetch it again")
            wanted = [f"{name}/corpus.jsonl", f"{name}/queries.jsonl"]
            wanted += [m for m in members if m.startswith(f"{name}/qrels/") and m.endswith(".tsv") and ".." not in m]
            for member in wanted:
                target = partial / member.removeprefix(f"{name}/")
                target.parent.mkdir(parents=True, exist_ok=True)
                with file.open(member) as source, target.open("wb") as copy:
                    shutil.copyfileobj(source, copy)
    except (zipfile.BadZipFile, zlib.error, KeyError, EOFError, RuntimeError, OSError) as error:
        shutil.rmtree(partial, ignore_errors=True)
        raise UserError(
            f"{archive}: cannot be unpacked as the BEIR archive of {name} ({error}); delete it and fetch it again"
        ) from None
    partial.rename(folder / name)


def source_digest(folder: Path) -> str:
    """Return one digest of the files of a collection's folder, "" when it is not there."""
    names = (*CORPUS_FILES, TOPICS)
    patterns = [*names, *(f"{name}.gz" for name in names), "qrels/*.tsv*"]
    files = [path for pattern in patterns for path in folder.glob(pattern) if path.is_file()]
    digests = {path.relative_to(folder).as_posix(): file_digest(path) for path in files}
    return value_digest(digests) if digests else ""


def build_collection(profile: Profile, folder: Path) -> Path:
    """Read the profile's source, check it, and write it as the artifact `collection` under `folder`."""
    settings = profile.collection
    source = obtain_source(settings)
    check_folder(source)
    topics, qrels = read_judged_topics(source, settings)
    judged = {document for by_document in qrels.values() for document in by_document}
    judgments = sum(map(len, qrels.values()))
    facts = {"documents": 0, "topics": len(topics), "judgments": judgments}
    target = folder / "collection"
    recorded = collection_settings(settings)

    def counted() -> Iterator[Document]:
        for document in stream_documents(source, settings, qrels):
            facts["documents"] += 1
            judged.discard(document.id)
            yield document

    with writing(target, "collection", recorded, collection_inputs(settings), facts) as partial:
        write_documents(partial / CORPUS, counted())
        missing = sum(document in judged for by_document in qrels.values() for document in by_document)
        facts["judged_documents_not_in_the_corpus"] = missing
        write_topics(partial / TOPICS, topics)
        (partial / "qrels").mkdir()
        write_qrels(partial / QRELS, qrels)
    if missing:
        cli.note(f"{missing} of {judgments} judgments are on documents that the corpus does not hold")
    return target


def write_topics(path: Path, topics: list[Topic]) -> None:
    """Write topics in BEIR's form, what else is known of them in the metadata."""
    with path.open("w", encoding="utf-8", newline="\n") as file:
        for topic in topics:
            metadata = {"query": topic.query, "narrative": topic.narrative, "kind": topic.kind}
            entry = {"_id": topic.id, "text": topic.question, "metadata": metadata}
            file.write(json.dumps(entry, ensure_ascii=False) + "\n")


def collection_settings(settings: CollectionSettings) -> dict[str, Any]:
    """Return the settings that shape the built collection, for its manifest."""
    return {"split": settings.split, "judged_only": settings.judged_only, "unjudged_topics": settings.unjudged_topics}


def collection_inputs(settings: CollectionSettings) -> dict[str, str]:
    """Return the digest of the source; the embedded sample is its own source and has none."""
    if settings.source == "embedded":
        return {}
    folder = Path(settings.source)
    if settings.source.startswith("beir:"):
        folder = ARTIFACTS / "downloads" / settings.source.removeprefix("beir:")
    return {"source": source_digest(folder)}


def read_built_collection(folder: Path) -> Collection:
    """Read the artifact `collection` under `folder`, checked against its manifest.

    One that was opened with imported runs alone has topics and qrels, and no documents; one that was derived from
    another has that one's.
    """
    built = folder / "collection"
    open_artifact(built)
    documents = StoredDocuments(built / CORPUS) if (built / CORPUS).is_file() else []
    return Collection(folder.name, documents, *read_built_topics(folder))


def read_built_topics(folder: Path) -> tuple[list[Topic], Qrels]:
    """Read topics and judgments of the artifact `collection` under `folder`, without its documents.

    Raises:
        UserError: they are missing or damaged.
    """
    built = folder / "collection"
    open_artifact(built, TOPICS, QRELS)
    qrels = read_qrels(built / QRELS)
    return read_topics(built / TOPICS, set(qrels), set(), drop_unjudged=False), qrels


def collection_digests(folder: Path, *files: str) -> dict[str, str]:
    """Return the digests of the named files of the built collection under `folder`, by name.

    A stage names what it reads, so that a new judgment does not make vectors stale.
    """
    recorded = open_artifact(folder / "collection", *files).files
    return {name: recorded[name]["sha256"] for name in files}


def main(arguments: list[str] | None = None) -> None:
    """Run `python -m core.collection`."""
    parser = argparse.ArgumentParser(prog="python -m core.collection", description=__doc__)
    cli.add_profile_options(parser)
    profile, folder = cli.profile_and_folder(parser.parse_args(arguments))
    print(build_collection(profile, folder))


if __name__ == "__main__":
    cli.run(main)
