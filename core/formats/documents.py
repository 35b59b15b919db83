"""Documents: the files of a corpus read as a stream, and a built corpus read by position. Neither is held in memory."""

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
"""What the files of a corpus may be called, each also with .gz."""


TEXT_KEYS = ("text", "contents", "body", "passage")
"""Names of the field that holds a document's text: BEIR's own, Anserini's, and others that are in use."""


WINDOW = 16_384
"""Documents that are sorted by length at a time: enough for shards of similar length, few enough for any memory."""


T = TypeVar("T")


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


# The files of a corpus


def corpus_files(folder: Path) -> list[Path]:
    """Return the files of a corpus, plain or .gz, by name: `corpus.jsonl`, `corpus-*.jsonl`, or `corpus/*.jsonl`.

    Of a file that is there both plain and as .gz, the plain one counts. Hidden files are left out.

    Raises:
        UserError: there is none, or more than one of the three.
    """
    found = []
    for pattern in CORPUS_FILES:
        paths = [path for path in (*folder.glob(f"{pattern}.gz"), *folder.glob(pattern)) if path.is_file()]
        by_name = {path.name.removesuffix(".gz"): path for path in paths if not is_clutter(Path(path.name))}
        if by_name:
            found.append([by_name[name] for name in sorted(by_name)])
    if not found:
        raise UserError(
            f"{folder}: no corpus.jsonl in this folder, as the BEIR layout has it; "
            f"many files may be named corpus-*.jsonl or corpus/*.jsonl, each plain or .gz{_instead(folder)}"
        )
    if len(found) > 1:
        both = " and ".join(files[0].relative_to(folder).as_posix() for files in found[:2])
        raise UserError(f"{folder}: two corpora, {both}; only one of them can be meant, remove the other")
    return found[0]


def _instead(folder: Path) -> str:
    """Return which folders inside a folder hold a corpus, or else what is in it, as the end of a sentence."""
    inside = sorted(path for path in folder.iterdir() if path.is_dir() and not is_clutter(Path(path.name)))
    if corpora := [path.name for path in inside if holds_corpus(path)]:
        return f"; but in {', '.join(corpora)} inside it: name that folder"
    return f"; {contents(folder)}"


def contents(folder: Path) -> str:
    """Return what is in a folder, for a sentence on what is not."""
    names = sorted(path.name for path in folder.iterdir() if not is_clutter(Path(path.name)))
    more = ", ..." if len(names) > 20 else ""
    return f"{folder.name} holds {', '.join(names[:20])}{more}" if names else f"{folder.name} is empty"


def holds_corpus(folder: Path) -> bool:
    """Say whether a folder has a file that is named like one of a corpus."""
    return any(next(folder.glob(pattern + gz), None) for pattern in CORPUS_FILES for gz in ("", ".gz"))


def text_of(table: dict[str, Any], key: str, where: str) -> str:
    """Return a text of a JSON object, "" where it has none.

    Raises:
        UserError: it is not a text.
    """
    text = table.get(key) or ""
    if not isinstance(text, str):
        raise UserError(f'{where}: "{key}" must be a text')
    return text


def metadata_of(entry: dict[str, Any], where: str) -> dict[str, Any]:
    """Return the metadata of a JSON object, empty where it has none.

    Raises:
        UserError: they are not an object.
    """
    metadata = entry.get("metadata") or {}
    if not isinstance(metadata, dict):
        raise UserError(f'{where}: "metadata" must be an object')
    return metadata


def read_documents(*paths: Path) -> Iterator[Document]:
    """Yield the documents of a corpus, of all its files.

    Raises:
        UserError: see `core.formats.text_lines.read_json_lines`; also when a document's title or text is not a text,
            or there is none.
    """
    empty = True
    for where, entry in read_json_lines(*paths):
        empty = False
        title = text_of(entry, "title", where)
        text = next(filter(None, (text_of(entry, key, where) for key in TEXT_KEYS)), "")
        if not entry.keys() & {"title", *TEXT_KEYS} and entry.keys() - {"metadata", *ID_KEYS}:
            raise UserError(f'{where}: no "text" and no "title" in this object{keys_of(entry)}')
        yield Document(entry["_id"], title, text, metadata_of(entry, where))
    if empty:
        raise UserError(f"{paths[0].name}: the collection is empty, at least one document is expected")


def write_documents(path: Path, documents: Iterable[Document]) -> None:
    """Write documents as one corpus file."""
    with path.open("w", encoding="utf-8", newline="\n") as file:
        for document in documents:
            entry = {"_id": document.id, "title": document.title, "text": document.text, "metadata": document.metadata}
            file.write(json.dumps(entry, ensure_ascii=False) + "\n")


# A built corpus


class StoredDocuments(Sequence[Document]):
    """The documents of a file that `write_documents` wrote: in memory is where each begins, eight bytes a document."""

    def __init__(self, path: Path):
        self.path = path

    @cached_property
    def _begins(self) -> "array[int]":
        """Where each begins: looked for when one is asked for by its position, or how many there are."""
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
    entry = json.loads(line)
    return Document(str(entry["_id"]), entry.get("title") or "", entry.get("text") or "", entry.get("metadata") or {})


def shards(items: Sequence[T], length: Callable[[T], int], size: int) -> Iterator[tuple[int, list[int], list[T]]]:
    """Yield (number, positions, items) of shards of items of similar length; the same items make the same shards.

    They are sorted by length within windows of `WINDOW`, which are read one after the other.
    """
    number = 0
    for begin in range(0, len(items), WINDOW):
        window = items[begin : begin + WINDOW]
        order = sorted(range(len(window)), key=lambda i: (length(window[i]), i))
        for start in range(0, len(order), size):
            members = order[start : start + size]
            yield number, [begin + i for i in members], [window[i] for i in members]
            number += 1


# Their ids, beside what has a row for each


def write_ids(path: Path, ids: Iterable[str]) -> None:
    """Write ids as a JSON list, one a line."""
    with path.open("w", encoding="utf-8", newline="\n") as file:
        before = "["
        for name in ids:
            file.write(f"{before}\n{json.dumps(name, ensure_ascii=False)}")
            before = ","
        file.write("\n]\n" if before == "," else "[]\n")


def read_ids(path: Path) -> list[str]:
    """Read what `write_ids` wrote."""
    ids: list[str] = json.loads(path.read_text(encoding="utf-8"))
    return ids
