"""Lines of text files, plain or .gz, with clear errors if a file cannot be read."""

import csv
import gzip
import json
import re
import zlib
from array import array
from collections.abc import Iterator
from functools import partial
from pathlib import Path, PurePath
from typing import Any

import numpy as np

from core.workspace.errors import UserError

LONGEST_LINE = 1 << 26
"""Maximum length of a line in characters, as a .gz of some megabytes can contain a line that exceeds memory."""


LARGEST_RATIO = 100
"""Maximum ratio of unpacked to packed size of an archive; that of text is 3 to 10."""


ID_KEYS = ("_id", "id", "doc_id", "pid", "docid", "docno", "corpus-id", "query_id", "query-id", "qid")
"""Keys for an id: BEIR's, then those of other tools and data sets."""


def is_clutter(path: PurePath) -> bool:
    """Return whether a path, relative to a data set's folder, is hidden or was created by macOS.

    macOS adds `__MACOSX` to archives, and `._NAME` next to NAME on foreign file systems.
    """
    return any(part.startswith(".") or part == "__MACOSX" for part in path.parts)


def regular_file(path: Path) -> Path:
    """Return the path if it is a regular file; reading a pipe without a writer would block forever.

    Raises:
        UserError: if there is no such file, or it is a folder, a pipe, a socket or a device.
    """
    if path.is_file():
        return path
    if path.is_symlink() and not path.exists():
        raise UserError(f"{path}: a symbolic link to a file that does not exist")
    if path.is_dir():
        raise UserError(f"{path}: a folder, expected a file")
    if path.exists():
        raise UserError(f"{path}: a pipe, a socket or a device, expected a regular file")
    raise UserError(f"{path}: there is no such file")


def read_lines(path: Path) -> Iterator[tuple[int, str]]:
    """Yield (line number, line without its end); only "\\n" ends a line, and a byte order mark is skipped.

    Raises:
        UserError: if the file is missing, not a regular file, not readable or not UTF-8, has a line longer than
            `LONGEST_LINE`, is a damaged or truncated .gz, or has a zero byte (where trec_eval would end a document id).
    """
    opener = gzip.open if path.suffix == ".gz" else open
    number = 0
    try:
        with opener(regular_file(path), "rt", encoding="utf-8-sig", newline="\n") as file:
            for number, line in enumerate(iter(partial(file.readline, LONGEST_LINE), ""), 1):
                if len(line) == LONGEST_LINE:
                    raise UserError(f"{path.name}, line {number}: longer than {LONGEST_LINE:,} characters")
                if "\0" in line:
                    raise UserError(f"{path.name}, line {number}: contains a zero byte")
                yield number, line.rstrip("\n")
    except FileNotFoundError:
        raise UserError(f"{path}: there is no such file") from None
    except PermissionError:
        raise UserError(f"{path}: no permission to read this file") from None
    except UnicodeDecodeError as error:
        number += error.object.count(b"\n", 0, error.start) + 1  # the lines that were decoded, but not yet read
        raise UserError(f"{path.name}, line {number}: damaged, or not UTF-8 ({error.reason}); {repair(path)}") from None
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise UserError(f"{path.name}: damaged or truncated after line {number} ({error}); {repair(path)}") from None


def repair(path: Path) -> str:
    """Return how to fix a file that cannot be read as text, judging by its first bytes."""
    with path.open("rb") as file:
        beginning = file.read(2)
    if beginning == b"\x1f\x8b" and path.suffix != ".gz":
        return "it is gzip-compressed: its name must end in .gz"
    if beginning != b"\x1f\x8b" and path.suffix == ".gz" and beginning:
        return "it is not gzip-compressed: its name must not end in .gz"
    if beginning in (b"\xff\xfe", b"\xfe\xff"):
        return "it is UTF-16: convert it to UTF-8"
    return "download or export it again, as UTF-8"


def read_json_lines(*paths: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield what `read_json_objects` does from files whose objects must have unique ids.

    Uniqueness across all files is checked at the end, with eight bytes per line in memory instead of the ids.

    Raises:
        UserError: if a line is not a JSON object or has no id, an id is repeated, or a file cannot be read.
    """
    hashes = array("q")
    for where, entry in read_json_objects(*paths):
        hashes.append(hash(entry["_id"]))
        yield where, entry
    ordered = np.sort(np.frombuffer(hashes, np.int64)) if hashes else np.empty(0, np.int64)
    if repeated := set(ordered[1:][ordered[1:] == ordered[:-1]].tolist()):
        _refuse_repeated(paths, repeated)


def read_json_objects(*paths: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield (file and line for messages, object) from JSON Lines files.

    An id under another key in `ID_KEYS` is moved to `_id`.

    Raises:
        UserError: if a line is not a JSON object or has no id, or a file cannot be read.
    """
    for path, number, line in _lines_of(paths):
        where = f"{path.name}, line {number}"
        try:
            entry = json.loads(line)
            if "\\u" in line:
                json.dumps(entry, ensure_ascii=False).encode()
        except UnicodeEncodeError:
            raise UserError(f"{where}: an unpaired surrogate, which is not a valid character") from None
        except (ValueError, RecursionError) as error:
            raise UserError(f"{where}: not valid JSON ({error}), expected one object per line") from None
        if not isinstance(entry, dict):
            raise UserError(f"{where}: expected a JSON object")
        entry["_id"] = checked_id(entry, where)
        yield where, entry


def checked_id(entry: dict[str, Any], where: str) -> str:
    """Return the id of an object, under any key in `ID_KEYS`.

    Raises:
        UserError: if it has none, or one with spaces.
    """
    name = _id_of(entry)
    if name is None:
        raise UserError(f'{where}: no "_id" (a string without spaces) in this object{keys_of(entry)}')
    if isinstance(name, bool) or not isinstance(name, str | int) or not re.fullmatch(r"\S+", str(name)):
        given = json.dumps(name, ensure_ascii=False)[:100]
        raise UserError(f"{where}: the id is {given}, expected a string without spaces, or a whole number")
    return str(name)


def _id_of(entry: dict[str, Any]) -> Any:
    return next((entry[key] for key in ID_KEYS if key in entry), None)


def keys_of(entry: dict[str, Any]) -> str:
    """Return the keys of an object as the end of a sentence about a missing key."""
    return f", which has {', '.join(map(repr, entry))[:200]}" if entry else ""


def tab_fields(line: str) -> list[str]:
    """Return the fields of a line of tab-separated text, removing double quotes as in CSV.

    Lines that are not valid CSV are only split, as a text may begin with a quotation or contain an unmatched quote.
    """
    line = line.rstrip("\r")
    if '"' in line:
        try:
            return next(csv.reader([line], delimiter="\t", strict=True))
        except csv.Error:
            pass
    return line.split("\t")


def _lines_of(paths: tuple[Path, ...]) -> Iterator[tuple[Path, int, str]]:
    return ((path, number, line) for path in paths for number, line in read_lines(path) if line.strip())


def _refuse_repeated(paths: tuple[Path, ...], hashes: set[int]) -> None:
    """Read the files again for the ids with these hashes, and raise an error if one is repeated."""
    first: dict[str, tuple[Path, int]] = {}
    for path, number, line in _lines_of(paths):
        name = str(_id_of(json.loads(line)))
        if hash(name) not in hashes:
            continue
        if name in first:
            before, at = first[name]
            place = f"line {at}" if before == path else f"line {at} of {before.name}"
            raise UserError(f"{path.name}, line {number}: duplicate id {name}, first on {place}")
        first[name] = (path, number)
