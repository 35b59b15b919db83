"""Entries of a JSON lines file by their ids: read from disk when asked for, without loading the file into memory."""

import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

from core.workspace.artifacts import Replaced, file_digest

T = TypeVar("T")

BEFORE_ID = b'{"_id": "'
"""Beginning of every line that the project writes."""


class EntriesById(Mapping[str, T]):
    """The lines {"_id": ..., ...} of an artifact's file; only ids and offsets are in memory, 150 bytes an entry."""

    def __init__(self, path: Path, decode: Callable[[dict[str, Any]], T]):
        """Take a function that turns a line's JSON object into the value."""
        self.path, self._decode = path, decode
        self._digest = file_digest(path)  # computed already, when the artifact was checked
        self._begins = _begins(path)

    def __len__(self) -> int:
        return len(self._begins)

    def __iter__(self) -> Iterator[str]:
        return iter(self._begins)

    def __contains__(self, name: object) -> bool:
        return name in self._begins

    def __getitem__(self, name: str) -> T:
        """Read one entry.

        Raises:
            Replaced: if the file is no longer the one that was opened.
        """
        begin = self._begins[name]
        try:
            with self.path.open("rb") as file:
                file.seek(begin)
                line = file.readline()
            unchanged = file_digest(self.path) == self._digest
        except FileNotFoundError:
            unchanged = False
        if not unchanged:
            raise Replaced(f"{self.path.name} was replaced while it was in use; try again")
        return self._decode(json.loads(line))


def _begins(path: Path) -> dict[str, int]:
    """Return the offset of each entry's line."""
    begins, position = {}, 0
    with path.open("rb") as file:
        for line in file:
            begins[_id_of(line)] = position
            position += len(line)
    return begins


def _id_of(line: bytes) -> str:
    """Return the id in a line; nearly always without parsing it, which takes ten times as long."""
    name = line[len(BEFORE_ID) : line.find(b'"', len(BEFORE_ID))]
    if line.startswith(BEFORE_ID) and b"\\" not in name:
        return name.decode()
    return str(json.loads(line)["_id"])
