"""Documents: corpus files as a stream, and a built corpus by position, both without loading it into memory."""

import gzip
import json
from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar, overload

from core.formats.text_lines import ID_KEYS, is_clutter, keys_of, read_json_lines
from core.workspace.errors import UserError

CORPUS = "corpus.jsonl"


CORPUS_FILES = (CORPUS, "corpus-*.jsonl", "corpus/*.jsonl")
"""Patterns of the names of corpus files, each plain or with .gz."""


TEXT_KEYS = ("text", "contents", "body", "passage")
"""Keys for the text of a document: BEIR's, Anserini's, and other common ones."""


WINDOW = 16_384
"""Number of documents sorted by length at a time: enough for shards of similar length, few enough to fit in memory."""


T = TypeVar("T")


@dataclass(frozen=True)
class Document:
    """One document; `metadata` is any other information in the corpus."""

    id: str
    title: str
    text: str
    metadata: dict[str, Any] = field(default_factory=dict)

    @property
    def full_text(self) -> str:
        """Title and text joined by a space, the input of BEIR's dense baselines."""
        return f"{self.title} {self.text}".strip()


# The files of a corpus


def corpus_files(folder: Path) -> list[Path]:
    """Return the files of a corpus, plain or .gz, sorted: `corpus.jsonl`, `corpus-*.jsonl`, or `corpus/*.jsonl`.

    A plain file takes precedence over its .gz. Hidden files are ignored.

    Raises:
        UserError: if there is no corpus, or files match more than one of the three patterns.
    """
    matches = []
    for pattern in CORPUS_FILES:
        paths = [path for path in (*folder.glob(f"{pattern}.gz"), *folder.glob(pattern)) if path.is_file()]
        by_name = {path.name.removesuffix(".gz"): path for path in paths if not is_clutter(Path(path.name))}
        if by_name:
            matches.append([by_name[name] for name in sorted(by_name)])
    if not matches:
        raise UserError(
            f"{folder}: no corpus.jsonl in this folder, as the BEIR layout requires; "
            f"a corpus in several files is named corpus-*.jsonl or corpus/*.jsonl, each plain or .gz{_instead(folder)}"
        )
    if len(matches) > 1:
        both = " and ".join(files[0].relative_to(folder).as_posix() for files in matches[:2])
        raise UserError(f"{folder}: two corpora, {both}; remove one of them")
    return matches[0]


def _instead(folder: Path) -> str:
    """Return which subfolders have a corpus, or else the contents of the folder, as the end of a sentence."""
    inside = sorted(path for path in folder.iterdir() if path.is_dir() and not is_clutter(Path(path.name)))
    if corpora := [path.name for path in inside if holds_corpus(path)]:
        return f"; there is one in {', '.join(corpora)} inside it: use that folder"
    return f"; {contents(folder)}"


def contents(folder: Path) -> str:
    """Return the contents of a folder as a clause, for messages about missing files."""
    names = sorted(path.name for path in folder.iterdir() if not is_clutter(Path(path.name)))
    more = ", ..." if len(names) > 20 else ""
    return f"{folder.name} contains {', '.join(names[:20])}{more}" if names else f"{folder.name} is empty"


def holds_corpus(folder: Path) -> bool:
    """Return whether a folder has a file with the name of a corpus file."""
    return any(next(folder.glob(pattern + gz), None) for pattern in CORPUS_FILES for gz in ("", ".gz"))


def text_of(table: dict[str, Any], key: str, where: str) -> str:
    """Return a string in a JSON object, or "" if it is missing.

    Raises:
        UserError: if it is not a string.
    """
    text = table.get(key) or ""
    if not isinstance(text, str):
        raise UserError(f'{where}: "{key}" must be a string')
    return text


def metadata_of(entry: dict[str, Any], where: str) -> dict[str, Any]:
    """Return the metadata in a JSON object, empty if they are missing.

    Raises:
        UserError: if they are not an object.
    """
    metadata = entry.get("metadata") or {}
    if not isinstance(metadata, dict):
        raise UserError(f'{where}: "metadata" must be an object')
    return metadata


def read_documents(*paths: Path) -> Iterator[Document]:
    """Yield the documents in the files of a corpus.

    Raises:
        UserError: if a file is invalid (see `core.formats.text_lines.read_json_lines`), a title or text is missing or
            not a string, or there are no documents.
    """
    empty = True
    for where, entry in read_json_lines(*paths):
        empty = False
        title = text_of(entry, "title", where)
        text = next(filter(None, (text_of(entry, key, where) for key in TEXT_KEYS)), "")
        if not entry.keys() & {"title", *TEXT_KEYS} and entry.keys() - {"metadata", *ID_KEYS}:
            raise UserError(f'{where}: neither "text" nor "title" in this object{keys_of(entry)}')
        yield Document(entry["_id"], title, text, metadata_of(entry, where))
    if empty:
        raise UserError(f"{paths[0].name}: the corpus is empty, expected at least one document")


def write_documents(path: Path, documents: Iterable[Document]) -> None:
    """Write documents to one corpus file."""
    with path.open("w", encoding="utf-8", newline="\n") as file:
        for document in documents:
            entry = {"_id": document.id, "title": document.title, "text": document.text, "metadata": document.metadata}
            file.write(json.dumps(entry, ensure_ascii=False) + "\n")


SAMPLED = 1_000
"""Number of documents that `sample_lengths` reads."""


def sample_lengths(path: Path) -> tuple[tuple[int, ...], float]:
    """Return the lengths of a sample of the documents in a corpus file, and the mean size of their lines in bytes.

    A length is that of title and text in characters. The sample is taken at even distances from a plain file, and is
    the beginning of one that is packed.

    Raises:
        UserError: if a sampled line is not a JSON object, or there is none.
    """
    lengths, size = [], 0
    for line in islice(_packed_lines(path) if path.suffix == ".gz" else _spread_lines(path), SAMPLED):
        try:
            entry = json.loads(line)
            text = next(filter(None, (entry.get(key) for key in TEXT_KEYS)), "")
            lengths.append(len(f"{entry.get('title') or ''} {text}".strip()))
        except (ValueError, AttributeError):
            raise UserError(f"{path.name}: not a corpus of JSON objects") from None
        size += len(line)
    if not lengths:
        raise UserError(f"{path.name}: the corpus is empty, expected at least one document")
    return tuple(lengths), size / len(lengths)


def _packed_lines(path: Path) -> Iterator[bytes]:
    with gzip.open(path) as file:
        yield from filter(bytes.strip, file)


def _spread_lines(path: Path) -> Iterator[bytes]:
    """Yield the lines after `SAMPLED` evenly spaced places in a file, or all lines of a small one."""
    size = path.stat().st_size
    with path.open("rb") as file:
        if size < SAMPLED * 10_000:
            lines = [line for line in file if line.strip()]
            yield from lines[:: len(lines) // SAMPLED + 1]
            return
        for number in range(SAMPLED):
            file.seek(number * (size // SAMPLED))
            if number:
                file.readline()
            if line := file.readline().strip():
                yield line


# A built corpus


class StoredDocuments(Sequence[Document]):
    """The documents in a file that `write_documents` wrote; only their offsets are in memory (8 bytes each)."""

    def __init__(self, path: Path):
        self.path = path

    @cached_property
    def _begins(self) -> "array[int]":
        """The offset of each document, computed at the first access by position or to the length."""
        return _line_begins(self.path)

    def __len__(self) -> int:
        return len(self._begins)

    def __iter__(self) -> Iterator[Document]:
        with self.path.open("rb") as file:
            yield from map(_stored_document, file)

    @overload
    def __getitem__(self, at: int) -> Document: ...
    @overload
    def __getitem__(self, at: slice) -> list[Document]: ...
    def __getitem__(self, at: int | slice) -> Document | list[Document]:
        if isinstance(at, slice):
            begin, end, step = at.indices(len(self))
            return list(islice(self._from(begin), 0, max(0, end - begin), step))
        return next(self._from(range(len(self))[at]))

    def _from(self, begin: int) -> Iterator[Document]:
        with self.path.open("rb") as file:
            if begin < len(self):
                file.seek(self._begins[begin])
                yield from map(_stored_document, file)


def _line_begins(path: Path) -> "array[int]":
    begins, position = array("q"), 0
    with path.open("rb") as file:
        for line in file:
            begins.append(position)
            position += len(line)
    return begins


def _stored_document(line: bytes) -> Document:
    return stored_document(json.loads(line))


def stored_document(entry: dict[str, Any]) -> Document:
    """Return the document in a JSON object that `write_documents` wrote."""
    return Document(str(entry["_id"]), entry.get("title") or "", entry.get("text") or "", entry.get("metadata") or {})


def shards(items: Sequence[T], length: Callable[[T], int], size: int) -> Iterator[tuple[int, list[int], list[T]]]:
    """Yield deterministic shards of items of similar length as (number, positions, items).

    Items are sorted by length within consecutive windows of `WINDOW` items.
    """
    number = 0
    for begin in range(0, len(items), WINDOW):
        window = items[begin : begin + WINDOW]
        order = sorted(range(len(window)), key=lambda i: (length(window[i]), i))
        for start in range(0, len(order), size):
            members = order[start : start + size]
            yield number, [begin + i for i in members], [window[i] for i in members]
            number += 1


# Document ids, stored with arrays that have one row per document


def write_ids(path: Path, ids: Iterable[str]) -> None:
    """Write ids as a JSON list, one per line."""
    with path.open("w", encoding="utf-8", newline="\n") as file:
        before = "["
        for name in ids:
            file.write(f"{before}\n{json.dumps(name, ensure_ascii=False)}")
            before = ","
        file.write("\n]\n" if before == "," else "[]\n")


def read_ids(path: Path) -> list[str]:
    """Read the ids in a file that `write_ids` wrote."""
    ids: list[str] = json.loads(path.read_text(encoding="utf-8"))
    return ids
