"""Sources of collections: folders and zip files in the BEIR layout, and data sets of BEIR, ir_datasets and the hub."""

import re
import shutil
import zipfile
import zlib
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from core.formats import hub_source, ir_datasets_source
from core.formats.collections import TOPICS, Collection
from core.formats.documents import CORPUS, CORPUS_FILES, Document, contents, corpus_files, metadata_of, read_documents
from core.formats.exclusions import EXCLUDED, Exclusions, listed_ids, own_documents, read_excluded, together
from core.formats.qrels import Qrels, judged_topics, read_qrels
from core.formats.text_lines import LARGEST_RATIO, is_clutter, read_json_lines
from core.formats.topics import Topic, named, read_all_topics, read_topics
from core.workspace import command_line, hub
from core.workspace.artifacts import file_digest, value_digest
from core.workspace.downloads import fetch
from core.workspace.errors import UserError
from core.workspace.names import REMOTE
from core.workspace.profile import CollectionSettings
from core.workspace.workspace import Workspace

BEIR_URL = "https://public.ukp.informatik.tu-darmstadt.de/thakur/BEIR/datasets/{name}.zip"


BEIR_MD5 = {"trec-covid": "ce62140cb23feb9becf6270d0d1fe6d1", "scifact": "5f7d1de60b170fc8027bb7898e2efca1"}


BEIR_BYTES = {"trec-covid": 73_876_720}


TOPICS_FILES = (TOPICS, "queries.tsv")


LAYOUT = ("corpus/*.jsonl", "corpus-*.jsonl", CORPUS, *TOPICS_FILES, EXCLUDED, "qrels/*.tsv")


# Reading


def topics_file(folder: Path) -> Path:
    """Return the topics file of a folder in the BEIR layout: `queries.jsonl` or `queries.tsv`, plain or .gz.

    Raises:
        UserError: if there is none.
    """
    for name in TOPICS_FILES:
        for path in (folder / name, folder / f"{name}.gz"):
            if path.is_file():
                return path
    layout = f"no {TOPICS} or queries.tsv (or .gz), as the BEIR layout requires"
    raise UserError(f"{folder}: {layout}; {contents(folder)}")


def qrels_files(folder: Path) -> dict[str, Path]:
    """Return the qrels files of a folder in the BEIR layout by split; a plain file takes precedence over its .gz.

    Other files next to them (hidden files, checksums, notes) are ignored.
    """
    packed, plain = sorted((folder / "qrels").glob("*.tsv.gz")), sorted((folder / "qrels").glob("*.tsv"))
    files = [path for path in packed + plain if path.is_file() and not is_clutter(Path(path.name))]
    return {path.name.removesuffix(".gz").removesuffix(".tsv"): path for path in files}


def qrels_file(folder: Path, split: str) -> Path:
    """Return the qrels file of a split of a folder in the BEIR layout.

    Raises:
        UserError: if there is none; the message names the splits that exist.
    """
    files = qrels_files(folder)
    if split in files:
        return files[split]
    if not files:
        where = folder / "qrels" if (folder / "qrels").is_dir() else folder
        raise UserError(f"{folder}: no qrels/{split}.tsv (or .gz), as the BEIR layout requires; {contents(where)}")
    choice = f"choose one with --split {next(iter(files))} (split under [collection])"
    raise UserError(f"{folder}: no qrels/{split}.tsv; the splits are {', '.join(files)}: {choice}")


def read_judged_topics(folder: Path, settings: CollectionSettings) -> tuple[list[Topic], Qrels]:
    """Read and check the topics and judgments of a folder in the BEIR layout.

    Raises:
        UserError: if a file is missing or invalid; the message names file and line.
    """
    qrels = read_qrels(qrels_file(folder, settings.split))
    drop = settings.unjudged_topics == "drop"
    elsewhere = set() if drop else _judged_in_other_splits(folder, settings.split)
    topics = read_topics(topics_file(folder), set(qrels), elsewhere, drop)
    known = {topic.id for topic in topics}
    if textless := [name for name in qrels if name not in known]:
        command_line.note(f"{len(textless)} judged topics have no text and are left out: {named(textless)}")
    return topics, {name: judgments for name, judgments in qrels.items() if name in known}


def _judged_in_other_splits(folder: Path, split: str) -> set[str]:
    topics: set[str] = set()
    for other, path in qrels_files(folder).items():
        if other == split:
            continue
        try:
            topics |= judged_topics(path)
        except UserError as error:  # in a file that was not requested
            command_line.note(f"{error}; the topics of the split {other} are unknown")
    return topics


def listed_exclusions(folder: Path, topics: set[str]) -> Exclusions:
    """Return the documents that a folder in the BEIR layout excludes for some topics.

    Raises:
        UserError: if a list is invalid; the message names file and line.
    """
    path = topics_file(folder)
    listed: Exclusions = {}
    if path.name.removesuffix(".gz") == TOPICS:
        for where, entry in read_json_lines(path):
            listed[entry["_id"]] = listed_ids(entry, where) | listed_ids(metadata_of(entry, where), where)
    in_file: Exclusions = {}
    file = next((file for file in (folder / EXCLUDED, folder / f"{EXCLUDED}.gz") if file.is_file()), None)
    if file:
        in_file = read_excluded(file)
        if unknown := in_file.keys() - {topic.id for _, topic in read_all_topics(path)}:
            raise UserError(f"{file.name}: {path.name} has no topic {min(unknown)}")
    excluded = together(listed, in_file)
    return {topic: documents for topic, documents in excluded.items() if documents and topic in topics}


def stream_documents(folder: Path, settings: CollectionSettings, qrels: Qrels) -> Iterator[Document]:
    """Yield the documents of a folder in the BEIR layout; with `judged_only`, only those with judgments.

    Raises:
        UserError: if a corpus file is missing or invalid; the message names file and line.
    """
    judged = {document for judgments in qrels.values() for document in judgments}
    empty = True
    for document in read_documents(*corpus_files(folder)):
        if not settings.judged_only or document.id in judged:
            empty = False
            yield document
    if empty:
        raise UserError(f"{folder}: judged_only leaves no documents, as the qrels judge no document of this corpus")


def read_collection(folder: Path, settings: CollectionSettings) -> Collection:
    """Read and check a folder in the BEIR layout, loading its documents into memory.

    Raises:
        UserError: if a file is missing or invalid; the message names file and line.
    """
    check_folder(folder)
    topics, qrels = read_judged_topics(folder, settings)
    documents, names = list(stream_documents(folder, settings, qrels)), {topic.id for topic in topics}
    excluded = listed_exclusions(folder, names)
    if settings.ignore_identical_ids:
        excluded = together(excluded, own_documents(d.id for d in documents if d.id in names))
    return Collection(settings.name, documents, topics, qrels, excluded)


def check_folder(folder: Path) -> None:
    """Check that a folder in the BEIR layout has a corpus.

    Raises:
        UserError: if there is no such folder, or it has no corpus.
    """
    if not folder.is_dir():
        raise UserError(
            f"{folder}: there is no such folder; expected a folder or zip file in the BEIR layout, or a data set such "
            "as beir:scifact, ir_datasets:beir/scifact/test or hub:BeIR/scifact"
        )
    corpus_files(folder)


# The stage


def obtain_source(workspace: Workspace, settings: CollectionSettings) -> Path:
    """Return the source folder of a profile's collection, downloading a data set or unpacking a zip file first.

    Raises:
        UserError: if the data set cannot be downloaded, or the archive cannot be unpacked.
    """
    folder, source = source_folder(workspace, settings), settings.source
    if source.startswith(ir_datasets_source.PREFIX) and settings.split != "test":
        raise UserError(f"{source}: its id names the split, as in beir/scifact/train; use it without --split (split)")
    if folder.is_dir():
        return folder
    if source.startswith((ir_datasets_source.PREFIX, hub.PREFIX)):
        partial = folder.with_name(f".{folder.name}.partial")
        shutil.rmtree(partial, ignore_errors=True)
        if source.startswith(hub.PREFIX):
            hub_source.export(workspace, source, partial)
        else:
            ir_datasets_source.export(source.removeprefix(ir_datasets_source.PREFIX), partial)
        partial.rename(folder)
    elif source.startswith("beir:"):
        name, _, part = source.removeprefix("beir:").partition("/")
        archive = workspace.downloads / f"{name}.zip"
        fetch(BEIR_URL.format(name=name), archive, BEIR_BYTES.get(name), BEIR_MD5.get(name))
        unpack(archive, folder.parent, folder.name, part, is_beir=True)
    elif zipped := archive_of(workspace.located(source)):
        archive, part = zipped
        if not zipfile.is_zipfile(archive):
            raise UserError(f"{archive}: {_no_zip(archive)}")
        unpack(archive, folder.parent, folder.name, part)
    return folder


def _no_zip(file: Path) -> str:
    """Return what is wrong with a file that is not a zip file, and what to do."""
    with file.open("rb") as opened:
        begins_as_zip = opened.read(2) == b"PK"
    if begins_as_zip or file.suffix.lower() == ".zip":
        return "not a whole zip file; copy or download it again"
    if _place(file.name)[1]:
        return f"a file of a collection; use the folder that it is in, {file.parent}"
    return "expected a folder or zip file in the BEIR layout; unpack this file first"


def source_folder(workspace: Workspace, settings: CollectionSettings) -> Path:
    """Return the source folder of a profile's collection, which may not be downloaded or unpacked yet."""
    if settings.source == "embedded":
        return workspace.collection("sample").collection.path
    if settings.source.startswith("beir:"):
        return workspace.downloads / settings.source.removeprefix("beir:").replace("/", "-")
    if settings.source.startswith(REMOTE):
        return workspace.downloads / re.sub("[:/@]", "-", settings.source)
    if zipped := archive_of(workspace.located(settings.source)):
        return workspace.downloads / f"{zipped[0].stem}-{value_digest([file_digest(zipped[0]), zipped[1]])[:12]}"
    return workspace.located(settings.source)


def archive_of(path: Path) -> tuple[Path, str] | None:
    """Return the file that a path leads to or through, and the rest of the path; None if there is no file on it."""
    for archive in (path, *path.parents):
        if archive.is_file():
            rest = path.relative_to(archive).as_posix()
            return archive, "" if rest == "." else rest
    return None


def unpack(archive: Path, folder: Path, name: str, part: str = "", is_beir: bool = False) -> None:
    """Unpack the files of a collection from a BEIR archive into `folder/name`; other members are ignored.

    The data set may be at the root of the archive or in a folder.

    Args:
        part: the folder of the data set, if the archive has several (as CQADupStack's does).
        is_beir: whether the archive was downloaded from BEIR, for the message.

    Raises:
        UserError: if the archive is damaged, has no data set, or has several and `part` names none of them.
    """
    partial = folder / f".{name}.partial"
    shutil.rmtree(partial, ignore_errors=True)
    try:
        with zipfile.ZipFile(archive) as file:
            unpacked = sum(member.file_size for member in file.infolist())
            if unpacked > LARGEST_RATIO * archive.stat().st_size:
                raise UserError(f"{archive}: it unpacks to {unpacked:,} bytes, too many for text; download it again")
            root = _data_set(archive, file.namelist(), part, is_beir)
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
            f"{archive}: cannot be unpacked as a BEIR archive ({error}); delete it and download it again"
        ) from None
    partial.rename(folder / name)


def _place(member: str) -> tuple[str, str]:
    """Return the data set folder of an archive member and the path within it, or two empty strings if it has none."""
    path = PurePosixPath(member)
    if path.is_absolute() or ".." in path.parts or is_clutter(path) or member.endswith("/"):
        return "", ""
    for pattern in LAYOUT:
        if path.match(pattern) or path.match(f"{pattern}.gz"):
            depth = pattern.count("/") + 1
            return PurePosixPath(*path.parts[:-depth]).as_posix(), PurePosixPath(*path.parts[-depth:]).as_posix()
    return "", ""


def _data_set(archive: Path, members: list[str], part: str, is_beir: bool) -> str:
    """Return the folder of an archive that has a corpus and topics, "." for the root."""
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
        nested = f"; unpack {', '.join(packed[:5])} inside it and use a folder" if packed else ""
        raise UserError(f"{archive}: no folder in it has both a corpus.jsonl and a queries.jsonl{nested}")
    names = [root.split("/")[-1] for root in roots]
    if part:
        raise UserError(f"{archive}: no data set {part} in it; use one of {', '.join(names)}")
    example = f"{archive.name.removesuffix('.zip')}/{names[0]}"
    example = f"beir:{example}" if is_beir else f"{archive}/{names[0]}"
    raise UserError(f"{archive}: it has {len(names)} data sets, {', '.join(names)}; choose one, as in {example}")


def source_digest(folder: Path) -> str:
    """Return a digest over the files of a collection's folder, or "" if there are none."""
    names = (*CORPUS_FILES, *TOPICS_FILES, EXCLUDED, "qrels/*.tsv")
    patterns = [pattern + ending for pattern in names for ending in ("", ".gz")]
    files = [path for pattern in patterns for path in folder.glob(pattern) if path.is_file()]
    files = [path for path in files if not is_clutter(path.relative_to(folder))]
    digests = {path.relative_to(folder).as_posix(): file_digest(path) for path in files}
    return value_digest(digests) if digests else ""
