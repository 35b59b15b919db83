"""Collections: documents, topics and qrels, in the BEIR layout (Thakur et al., 2021).

    corpus.jsonl       {"_id", "title", "text", "metadata"} a line
    queries.jsonl      {"_id", "text", "metadata"} a line; TREC topics keep "query" and "narrative" in the metadata
    qrels/test.tsv     query-id TAB corpus-id TAB score, with that header

Each file plain or .gz. A built collection is the same layout under `artifacts/<name>/collection`, checked and sealed.
"""

import argparse
import json
import re
import shutil
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from core import cli
from core.artifacts import ARTIFACTS, file_digest, open_artifact, value_digest, writing
from core.download import fetch
from core.errors import UserError
from core.lines import read_lines
from core.profile import CollectionSettings, Profile
from core.qrels import Qrels, read_qrels, write_qrels

BEIR_URL = "https://public.ukp.informatik.tu-darmstadt.de/thakur/BEIR/datasets/{name}.zip"
BEIR_MD5 = {"trec-covid": "ce62140cb23feb9becf6270d0d1fe6d1", "scifact": "5f7d1de60b170fc8027bb7898e2efca1"}
BEIR_BYTES = {"trec-covid": 73_876_720}
CORPUS, TOPICS, QRELS = "corpus.jsonl", "queries.jsonl", "qrels/test.tsv"
LARGEST_RATIO = 100
"""Of the size of an archive's contents to its own; text has one of 3 to 10."""
EMBEDDED = ARTIFACTS / "sample" / "collection"


@dataclass(frozen=True)
class Document:
    """One document; `metadata` is whatever else the corpus says of it."""

    id: str
    title: str
    text: str
    metadata: dict[str, Any] = field(default_factory=dict)

    @property
    def full_text(self) -> str:
        """Title and text in one, as BEIR's dense baselines are given it."""
        return f"{self.title} {self.text}".strip()


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
    """Documents and topics in file order, and the judgments."""

    name: str
    documents: list[Document]
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


def read_json_lines(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield (line number, object) of a JSON Lines file whose objects each have an `_id` of their own.

    Raises:
        UserError: a line is not a JSON object, has no `_id` or one that was there before, or the file is cut short.
    """
    first_line: dict[str, int] = {}
    for number, line in read_lines(path):
        if not line.strip():
            continue
        where = f"{path.name}, line {number}"
        try:
            entry = json.loads(line)
            if "\\u" in line:
                json.dumps(entry, ensure_ascii=False).encode()
        except UnicodeEncodeError:
            raise UserError(f"{where}: half of a surrogate pair, which is no character") from None
        except (ValueError, RecursionError) as error:
            raise UserError(f"{where}: not JSON ({error})") from None
        if not isinstance(entry, dict):
            raise UserError(f"{where}: a JSON object is expected")
        name = entry.get("_id")
        if isinstance(name, bool) or not isinstance(name, str | int) or not re.match(r"^\S+$", str(name)):
            raise UserError(f'{where}: no "_id" (a text without spaces) in this object')
        name = entry["_id"] = str(name)
        if name in first_line:
            raise UserError(f"{where}: the id {name} was on line {first_line[name]} already")
        first_line[name] = number
        yield number, entry


def _text(table: dict[str, Any], key: str, where: str) -> str:
    text = table.get(key) or ""
    if not isinstance(text, str):
        raise UserError(f'{where}: "{key}" must be a text')
    return text


def _metadata(entry: dict[str, Any], where: str) -> dict[str, Any]:
    metadata = entry.get("metadata") or {}
    if not isinstance(metadata, dict):
        raise UserError(f'{where}: "metadata" must be an object')
    return metadata


def read_documents(path: Path) -> list[Document]:
    """Read a corpus file.

    Raises:
        UserError: see `read_json_lines`; also when a document's title or text is not a text, or there is none.
    """
    documents = []
    for number, entry in read_json_lines(path):
        where = f"{path.name}, line {number}"
        title, text = _text(entry, "title", where), _text(entry, "text", where)
        documents.append(Document(entry["_id"], title, text, _metadata(entry, where)))
    if not documents:
        raise UserError(f"{path.name}: the collection is empty, at least one document is expected")
    return documents


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
    for number, entry in read_json_lines(path):
        name, where = entry["_id"], f"{path.name}, line {number}"
        text, metadata = _text(entry, "text", where), _metadata(entry, where)
        if not text.strip():
            raise UserError(f'{where}: topic {name} has no "text"')
        if name not in judged:
            if drop_unjudged or name in judged_elsewhere:
                continue
            raise UserError(
                f"{where}: topic {name} has no judgments; "
                'remove it, or set unjudged_topics = "drop" under [collection] to leave such topics out'
            )
        query, narrative, kind = (_text(metadata, key, where) for key in ("query", "narrative", "kind"))
        topics.append(Topic(name, query or text, text, narrative, kind))
    if not topics:
        raise UserError(f"{path.name}: no topic of this file is judged")
    return topics


def read_collection(folder: Path, settings: CollectionSettings) -> Collection:
    """Read and check a folder in the BEIR layout.

    Raises:
        UserError: with file and line, when anything in it is not as expected.
    """
    if not folder.is_dir():
        raise UserError(f"{folder}: there is no such folder; a collection in the BEIR layout is expected")
    documents = read_documents(find_file(folder, "corpus.jsonl"))
    qrels = read_qrels(find_file(folder / "qrels", f"{settings.split}.tsv"))
    elsewhere: set[str] = set()
    for path in (folder / "qrels").glob("*.tsv*"):
        if path.name.split(".")[0] != settings.split:
            elsewhere |= set(read_qrels(path))
    drop = settings.unjudged_topics == "drop"
    topics = read_topics(find_file(folder, "queries.jsonl"), set(qrels), elsewhere, drop)
    known = {topic.id for topic in topics}
    qrels = {name: judgments for name, judgments in qrels.items() if name in known}
    if settings.judged_only:
        judged = {document for judgments in qrels.values() for document in judgments}
        documents = [document for document in documents if document.id in judged]
        if not documents:
            raise UserError(f"{folder}: judged_only leaves no document, the qrels judge none of this corpus")
    return Collection(settings.name, documents, topics, qrels)


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
    wanted = [folder / "corpus.jsonl", folder / "queries.jsonl", *sorted((folder / "qrels").glob("*.tsv*"))]
    wanted += [folder / "corpus.jsonl.gz", folder / "queries.jsonl.gz"]
    digests = {path.relative_to(folder).as_posix(): file_digest(path) for path in wanted if path.is_file()}
    return value_digest(digests) if digests else ""


def build_collection(profile: Profile, folder: Path) -> Path:
    """Read the profile's source, check it, and write it as the artifact `collection` under `folder`."""
    settings = profile.collection
    source = obtain_source(settings)
    collection = read_collection(source, settings)
    known = {document.id for document in collection.documents}
    judgments = [document for by_document in collection.qrels.values() for document in by_document]
    facts = {
        "documents": len(collection.documents),
        "topics": len(collection.topics),
        "judgments": len(judgments),
        "judged_documents_not_in_the_corpus": sum(document not in known for document in judgments),
    }
    if missing := facts["judged_documents_not_in_the_corpus"]:
        cli.note(f"{missing} of {len(judgments)} judgments are on documents that the corpus does not hold")
    target = folder / "collection"
    recorded = collection_settings(settings)
    with writing(target, "collection", recorded, collection_inputs(settings), facts) as partial:
        with (partial / "corpus.jsonl").open("w", encoding="utf-8", newline="\n") as file:
            for document in collection.documents:
                entry = {"_id": document.id, "title": document.title, "text": document.text}
                file.write(json.dumps(entry | {"metadata": document.metadata}, ensure_ascii=False) + "\n")
        write_topics(partial / "queries.jsonl", collection.topics)
        (partial / "qrels").mkdir()
        write_qrels(partial / "qrels" / "test.tsv", collection.qrels)
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
    if open_artifact(built).stage == "import_runs":
        documents = read_documents(built / CORPUS) if (built / CORPUS).is_file() else []
        return Collection(folder.name, documents, *read_built_topics(folder))
    return read_collection(built, CollectionSettings(name=folder.name, source=str(built)))


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
