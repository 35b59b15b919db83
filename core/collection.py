"""Collections: documents, topics and qrels, in the BEIR layout (Thakur et al., 2021).

    corpus.jsonl       {"_id", "title", "text", "metadata"} a line; or many files, corpus-*.jsonl or corpus/*.jsonl
    queries.jsonl      {"_id", "text", "metadata"} a line; TREC topics keep "query" and "narrative" in the metadata
    qrels/test.tsv     query-id TAB corpus-id TAB score, with that header
    excluded.tsv       query-id TAB corpus-id, with that header: documents that are left out for a topic (optional; or
                       "excluded_ids" in a line of queries.jsonl or its metadata, a list of ids, as BRIGHT has it)

Each file plain or .gz. A built collection is the same layout under `artifacts/<name>/collection`, checked and sealed.
"""

import argparse
import json
import shutil
import zipfile
import zlib
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from core import cli
from core.artifacts import (
    ARTIFACTS,
    PROFILE,
    ROOT,
    Manifest,
    file_digest,
    open_artifact,
    read_manifest,
    read_whole,
    shown,
    value_digest,
    writing,
)
from core.documents import (
    CORPUS,
    CORPUS_FILES,
    Document,
    StoredDocuments,
    contents,
    corpus_files,
    metadata_of,
    read_documents,
    write_documents,
)
from core.download import fetch
from core.errors import UserError
from core.exclusions import (
    EXCLUDED,
    Exclusions,
    built_exclusions,
    listed_ids,
    own_documents,
    read_excluded,
    together,
    write_excluded,
)
from core.lines import is_clutter, read_json_lines
from core.profile import CollectionSettings, Profile, read_profile
from core.qrels import Qrels, judged_topics, read_qrels, write_qrels
from core.topics import Topic, named, read_all_topics, read_topics

BEIR_URL = "https://public.ukp.informatik.tu-darmstadt.de/thakur/BEIR/datasets/{name}.zip"
BEIR_MD5 = {"trec-covid": "ce62140cb23feb9becf6270d0d1fe6d1", "scifact": "5f7d1de60b170fc8027bb7898e2efca1"}
BEIR_BYTES = {"trec-covid": 73_876_720}
TOPICS, QRELS = "queries.jsonl", "qrels/test.tsv"
TOPICS_FILES = (TOPICS, "queries.tsv")
LAYOUT = ("corpus/*.jsonl", "corpus-*.jsonl", CORPUS, *TOPICS_FILES, EXCLUDED, "qrels/*.tsv")
LARGEST_RATIO = 100
"""Of the size of an archive's contents to its own; text has one of 3 to 10."""
EMBEDDED = ARTIFACTS / "sample" / "collection"


@dataclass(frozen=True)
class Collection:
    """Documents and topics in file order, the judgments, and the documents that are left out for a topic.

    The documents of a built collection stay on disk.
    """

    name: str
    documents: Sequence[Document]
    topics: list[Topic]
    qrels: Qrels
    excluded: Exclusions = field(default_factory=dict)


# Reading


def topics_file(folder: Path) -> Path:
    """Return the file of topics of a folder in the BEIR layout: `queries.jsonl` or `queries.tsv`, plain or .gz.

    Raises:
        UserError: there is none.
    """
    for name in TOPICS_FILES:
        for path in (folder / name, folder / f"{name}.gz"):
            if path.is_file():
                return path
    layout = f"no {TOPICS} or queries.tsv (or .gz), as the BEIR layout has it"
    raise UserError(f"{folder}: {layout}; {contents(folder)}")


def qrels_files(folder: Path) -> dict[str, Path]:
    """Return the judgments of a folder in the BEIR layout by their split; a plain file counts before its .gz.

    What lies beside them (hidden files, checksums, notes) is left out.
    """
    packed, plain = sorted((folder / "qrels").glob("*.tsv.gz")), sorted((folder / "qrels").glob("*.tsv"))
    files = [path for path in packed + plain if path.is_file() and not is_clutter(Path(path.name))]
    return {path.name.removesuffix(".gz").removesuffix(".tsv"): path for path in files}


def qrels_file(folder: Path, split: str) -> Path:
    """Return the judgments of a split of a folder in the BEIR layout.

    Raises:
        UserError: there are none; the splits that are there are named.
    """
    files = qrels_files(folder)
    if split in files:
        return files[split]
    if not files:
        where = folder / "qrels" if (folder / "qrels").is_dir() else folder
        raise UserError(f"{folder}: no qrels/{split}.tsv (or .gz), as the BEIR layout has it; {contents(where)}")
    choice = f"choose one with --split {next(iter(files))} (split under [collection])"
    raise UserError(f"{folder}: no qrels/{split}.tsv; there are judgments of {', '.join(files)}: {choice}")


def read_judged_topics(folder: Path, settings: CollectionSettings) -> tuple[list[Topic], Qrels]:
    """Read and check topics and judgments of a folder in the BEIR layout.

    Raises:
        UserError: with file and line, when anything in them is not as expected.
    """
    qrels = read_qrels(qrels_file(folder, settings.split))
    drop = settings.unjudged_topics == "drop"
    elsewhere = set() if drop else _judged_in_other_splits(folder, settings.split)
    topics = read_topics(topics_file(folder), set(qrels), elsewhere, drop)
    known = {topic.id for topic in topics}
    if textless := [name for name in qrels if name not in known]:
        cli.note(f"{len(textless)} judged topics have no text and are left out: {named(textless)}")
    return topics, {name: judgments for name, judgments in qrels.items() if name in known}


def _judged_in_other_splits(folder: Path, split: str) -> set[str]:
    topics: set[str] = set()
    for other, path in qrels_files(folder).items():
        if other == split:
            continue
        try:
            topics |= judged_topics(path)
        except UserError as error:  # of a file that was not asked for
            cli.note(f"{error}; the topics of the split {other} are not known")
    return topics


def listed_exclusions(folder: Path, topics: set[str]) -> Exclusions:
    """Return the documents that a folder in the BEIR layout excludes for some of its topics.

    Raises:
        UserError: with file and line, when a list is not as expected.
    """
    path = topics_file(folder)
    listed: Exclusions = {}
    if path.name.removesuffix(".gz") == TOPICS:
        for where, entry in read_json_lines(path):
            listed[entry["_id"]] = listed_ids(entry, where) | listed_ids(metadata_of(entry, where), where)
    of_file: Exclusions = {}
    file = next((file for file in (folder / EXCLUDED, folder / f"{EXCLUDED}.gz") if file.is_file()), None)
    if file:
        of_file = read_excluded(file)
        if unknown := of_file.keys() - {topic.id for _, topic in read_all_topics(path)}:
            raise UserError(f"{file.name}: {path.name} has no topic {min(unknown)}")
    excluded = together(listed, of_file)
    return {topic: documents for topic, documents in excluded.items() if documents and topic in topics}


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
    documents, names = list(stream_documents(folder, settings, qrels)), {topic.id for topic in topics}
    excluded = listed_exclusions(folder, names)
    if settings.ignore_identical_ids:
        excluded = together(excluded, own_documents(d.id for d in documents if d.id in names))
    return Collection(settings.name, documents, topics, qrels, excluded)


def check_folder(folder: Path) -> None:
    """Check that a folder in the BEIR layout holds a corpus.

    Raises:
        UserError: there is no such folder, or no corpus in it.
    """
    if not folder.is_dir():
        raise UserError(
            f"{folder}: there is no such folder; a collection in the BEIR layout is expected, a zip of one, or the "
            "name of a BEIR data set as in beir:scifact"
        )
    corpus_files(folder)


# The stage


def obtain_source(settings: CollectionSettings) -> Path:
    """Return the folder that a profile's collection comes from: a BEIR data set is downloaded, a zip is unpacked.

    Raises:
        UserError: the data set cannot be fetched, or the archive cannot be unpacked.
    """
    folder = source_folder(settings)
    if folder.is_dir():
        return folder
    if settings.source.startswith("beir:"):
        name, _, part = settings.source.removeprefix("beir:").partition("/")
        archive = ARTIFACTS / "downloads" / f"{name}.zip"
        fetch(BEIR_URL.format(name=name), archive, BEIR_BYTES.get(name), BEIR_MD5.get(name))
        unpack(archive, folder.parent, folder.name, part)
    elif zipped := archive_of(settings.source):
        archive, part = zipped
        if not zipfile.is_zipfile(archive):
            raise UserError(f"{archive}: a folder in the BEIR layout, or a zip of one, is expected; unpack it first")
        unpack(archive, folder.parent, folder.name, part)
    return folder


def source_folder(settings: CollectionSettings) -> Path:
    """Return the folder that a profile's collection lies in, or will when it was downloaded or unpacked."""
    downloads = ARTIFACTS / "downloads"
    if settings.source == "embedded":
        return EMBEDDED
    if settings.source.startswith("beir:"):
        return downloads / settings.source.removeprefix("beir:").replace("/", "-")
    if zipped := archive_of(settings.source):
        return downloads / f"{zipped[0].stem}-{value_digest([file_digest(zipped[0]), zipped[1]])[:12]}"
    return Path(settings.source)


def archive_of(source: str) -> tuple[Path, str] | None:
    """Return the file that a path leads to or through, and the rest of the path; None where it leads to folders."""
    path = Path(source)
    for archive in (path, *path.parents):
        if archive.is_file():
            rest = path.relative_to(archive).as_posix()
            return archive, "" if rest == "." else rest
    return None


def unpack(archive: Path, folder: Path, name: str, part: str = "") -> None:
    """Unpack the members of a BEIR zip that a collection consists of into `folder/name`, and no others.

    The data set may lie at the archive's root or in a folder of it.

    Args:
        part: the folder of the data set, where the archive holds several (as CQADupStack's does).

    Raises:
        UserError: the archive is damaged, or holds no data set, or several and `part` names none of them.
    """
    partial = folder / f".{name}.partial"
    shutil.rmtree(partial, ignore_errors=True)
    try:
        with zipfile.ZipFile(archive) as file:
            unpacked = sum(member.file_size for member in file.infolist())
            if unpacked > LARGEST_RATIO * archive.stat().st_size:
                raise UserError(f"{archive}: it would unpack to {unpacked:,} bytes, which no text does; fetch it again")
            root = _data_set(archive, file.namelist(), part)
            for member in file.namelist():
                at, inside = _place(member)
                if at != root or not inside:
                    continue
                target = partial / inside
                target.parent.mkdir(parents=True, exist_ok=True)
                with file.open(member) as source, target.open("wb") as copy:
                    shutil.copyfileobj(source, copy)
    except (zipfile.BadZipFile, zlib.error, KeyError, EOFError, RuntimeError, OSError, ValueError) as error:
        shutil.rmtree(partial, ignore_errors=True)
        raise UserError(
            f"{archive}: cannot be unpacked as a BEIR archive ({error}); delete it and fetch it again"
        ) from None
    partial.rename(folder / name)


def _place(member: str) -> tuple[str, str]:
    """Return the folder of the data set that a member of an archive belongs to, and its place there; "" for neither."""
    path = PurePosixPath(member)
    if path.is_absolute() or ".." in path.parts or is_clutter(path) or member.endswith("/"):
        return "", ""
    for pattern in LAYOUT:
        if path.match(pattern) or path.match(f"{pattern}.gz"):
            depth = pattern.count("/") + 1
            return PurePosixPath(*path.parts[:-depth]).as_posix(), PurePosixPath(*path.parts[-depth:]).as_posix()
    return "", ""


def _data_set(archive: Path, members: list[str], part: str) -> str:
    """Return the folder of an archive that holds a corpus and topics, "." for the archive's root."""
    inside = defaultdict(set)
    for root, place in map(_place, members):
        kinds = {"queries": "topics", "qrels": "qrels", "excluded": "excluded"}
        inside[root].add(next((kind for begins, kind in kinds.items() if place.startswith(begins)), "corpus"))
    inside.pop("", None)
    roots = sorted(root for root, kinds in inside.items() if {"corpus", "topics"} <= kinds)
    named_so = [root for root in roots if root == part or root.endswith(f"/{part}")] if part else roots
    if len(named_so) == 1:
        return named_so[0]
    if not roots:
        packed = [member for member in members if member.endswith((".zip", ".tar", ".gz", ".tgz", ".7z"))]
        nested = f"; unpack {', '.join(packed[:5])} inside it, and give a folder" if packed else ""
        raise UserError(f"{archive}: no folder of it has a corpus.jsonl and a queries.jsonl beside it{nested}")
    names = [root.split("/")[-1] for root in roots]
    if part:
        raise UserError(f"{archive}: it has no data set {part}; it has {', '.join(names)}")
    example = f"{archive.name.removesuffix('.zip')}/{names[0]}"
    example = f"beir:{example}" if archive.parent == ARTIFACTS / "downloads" else f"{archive}/{names[0]}"
    raise UserError(f"{archive}: it holds {len(names)} data sets, {', '.join(names)}; name one of them: {example}")


def source_digest(folder: Path) -> str:
    """Return one digest of the files of a collection's folder, "" when it is not there."""
    names = (*CORPUS_FILES, *TOPICS_FILES, EXCLUDED, "qrels/*.tsv")
    patterns = [pattern + ending for pattern in names for ending in ("", ".gz")]
    files = [path for pattern in patterns for path in folder.glob(pattern) if path.is_file()]
    files = [path for path in files if not is_clutter(path.relative_to(folder))]
    digests = {path.relative_to(folder).as_posix(): file_digest(path) for path in files}
    return value_digest(digests) if digests else ""


def other_source(settings: CollectionSettings, folder: Path) -> str:
    """Say that the collection built under `folder` comes from another source than that of the settings, "" if not.

    The same files at another place are the same source, and so is a changed folder at the same place.
    """
    try:
        manifest = read_manifest(folder / "collection")
        recorded = manifest.facts.get("source") or read_profile(str(folder / PROFILE)).collection.source
    except UserError:
        return ""  # nothing is there that could be replaced, or nothing says where it is from
    if _places(recorded) & _places(settings.source):
        return ""
    if (digest := manifest.inputs.get("source")) and digest == collection_inputs(settings).get("source"):
        return ""
    return (
        f"{shown(folder)} is the collection of another source ({recorded}); give this one another name with "
        "--name NAME, or replace that one with --replace"
    )


def _places(source: str) -> set[str]:
    """Return what a source may stand for: recorded paths are relative to the project, others to the current folder."""
    if source in ("embedded", "imported", "derived") or source.startswith("beir:"):
        return {source}
    return {str(Path(source).resolve()), str((ROOT / source).resolve())}


def build_collection(profile: Profile, folder: Path) -> Path:
    """Read the profile's source, check it, and write it as the artifact `collection` under `folder`."""
    settings = profile.collection
    source = obtain_source(settings)
    check_folder(source)
    topics, qrels = read_judged_topics(source, settings)
    judged = {document for by_document in qrels.values() for document in by_document}
    judgments = sum(map(len, qrels.values()))
    facts: dict[str, Any] = {"documents": 0, "topics": len(topics), "judgments": judgments}
    facts["source"] = cli.recorded_path(settings.source)
    target = folder / "collection"
    recorded = collection_settings(settings)
    by_id = {topic.id: topic for topic in topics}
    excluded, own = listed_exclusions(source, set(by_id)), OwnDocuments()

    def counted() -> Iterator[Document]:
        for document in stream_documents(source, settings, qrels):
            facts["documents"] += 1
            judged.discard(document.id)
            if settings.ignore_identical_ids and document.id in by_id:
                own.add(by_id[document.id], document)
            yield document

    with writing(target, "collection", recorded, collection_inputs(settings), facts) as partial:
        write_documents(partial / CORPUS, counted())
        missing = sum(document in judged for by_document in qrels.values() for document in by_document)
        facts["judged_documents_not_in_the_corpus"] = missing
        write_topics(partial / TOPICS, topics)
        (partial / "qrels").mkdir()
        write_qrels(partial / QRELS, qrels)
        write_excluded(partial / EXCLUDED, together(excluded, own_documents(own.topics)))
        if own.topics or excluded:
            facts |= {
                "topics_with_their_own_document": len(own.topics),
                "topics_with_excluded_documents": len(excluded),
            }
    if missing:
        cli.note(f"{missing} of {judgments} judgments are on documents that the corpus does not hold")
    for notice in _exclusion_notices(own, excluded, qrels):
        cli.note(notice)
    return target


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


def write_topics(path: Path, topics: list[Topic]) -> None:
    """Write topics in BEIR's form, what else is known of them in the metadata."""
    with path.open("w", encoding="utf-8", newline="\n") as file:
        for topic in topics:
            metadata = {"query": topic.query, "narrative": topic.narrative, "kind": topic.kind}
            entry = {"_id": topic.id, "text": topic.question, "metadata": metadata}
            file.write(json.dumps(entry, ensure_ascii=False) + "\n")


def collection_settings(settings: CollectionSettings) -> dict[str, Any]:
    """Return the settings that shape the built collection, for its manifest."""
    return settings.model_dump(include={"split", "judged_only", "unjudged_topics", "ignore_identical_ids"})


def collection_inputs(settings: CollectionSettings) -> dict[str, str]:
    """Return the digest of the source; the embedded sample is its own source and has none."""
    if settings.source == "embedded":
        return {}
    if zipped := archive_of(settings.source):
        return {"source": value_digest([file_digest(zipped[0]), zipped[1]])}
    return {"source": source_digest(source_folder(settings))}


def read_built_collection(folder: Path) -> Collection:
    """Read the artifact `collection` under `folder`, checked against its manifest.

    One that was opened with imported runs alone has topics and qrels, and no documents; one that was derived from
    another has that one's.
    """
    built = folder / "collection"

    def read(_: Manifest) -> Collection:
        documents = StoredDocuments(built / CORPUS) if (built / CORPUS).is_file() else []
        return Collection(folder.name, documents, *read_built_topics(folder), built_exclusions(folder))

    return read_whole(built, read)


def read_built_topics(folder: Path) -> tuple[list[Topic], Qrels]:
    """Read topics and judgments of the artifact `collection` under `folder`, without its documents.

    Raises:
        UserError: they are missing or damaged.
    """
    built = folder / "collection"

    def read(_: Manifest) -> tuple[list[Topic], Qrels]:
        qrels = read_qrels(built / QRELS)
        return read_topics(built / TOPICS, set(qrels), set(), drop_unjudged=False), qrels

    return read_whole(built, read, TOPICS, QRELS)


def collection_digests(folder: Path, *files: str) -> dict[str, str]:
    """Return the digests of the named files of the built collection under `folder`, by name.

    A stage names what it reads, so that a new judgment does not make vectors stale. `EXCLUDED` may be among them where
    the collection has no such file.
    """
    there = read_manifest(folder / "collection").files
    files = tuple(name for name in files if name != EXCLUDED or name in there)
    recorded = open_artifact(folder / "collection", *files).files
    return {name: recorded[name]["sha256"] for name in files}


def main(arguments: list[str] | None = None) -> None:
    """Run `python -m core.collection`."""
    parser = argparse.ArgumentParser(prog="python -m core.collection", description=__doc__)
    cli.add_profile_options(parser)
    parser.add_argument("--replace", action="store_true", help="replace a collection of the same name, other source")
    options = parser.parse_args(arguments)
    profile, folder = cli.profile_and_folder(options)
    if not options.replace and (problem := other_source(profile.collection, folder)):
        raise UserError(problem)
    print(build_collection(profile, folder))


if __name__ == "__main__":
    cli.run(main)
