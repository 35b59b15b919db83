"""Lines of text files, plain or .gz, with one clear error for whatever is wrong with a file itself."""

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
"""Characters: a .gz of some megabytes may hold a line that no memory can."""


ID_KEYS = ("_id", "id", "doc_id", "pid", "docid", "docno", "corpus-id", "query_id", "query-id", "qid")
"""Names of the field that holds an id: BEIR's own, then those of other tools and of data sets on the web."""


def is_clutter(path: PurePath) -> bool:
    """Say whether a path, relative to a data set's folder, is nothing of the data set: hidden, or left by macOS.

    macOS puts `__MACOSX` into archives, and `._NAME` beside NAME on disks of other systems.
    """
    return any(part.startswith(".") or part == "__MACOSX" for part in path.parts)


def regular_file(path: Path) -> Path:
    """Return the path of a file that can be read to its end: a pipe without a writer would be waited for for ever.

    Raises:
        UserError: there is no such file, or it is a folder, a pipe, a socket or a device.
    """
    if path.is_file():
        return path
    if path.is_symlink() and not path.exists():
        raise UserError(f"{path}: a link to a file that does not exist")
    if path.exists() and not path.is_dir():
        raise UserError(f"{path}: not a regular file but a pipe, a socket or a device; give a file")
    raise UserError(f"{path}: there is no such file")


def read_lines(path: Path) -> Iterator[tuple[int, str]]:
    """Yield (line number, line without its end), lines ending with "\\n" alone; a byte order mark is left out.

    Raises:
        UserError: the file is missing, no regular file or not readable, is not UTF-8, has a line without end, is a .gz
            that is damaged or cut short, or holds a zero byte (trec_eval's libraries would end a document id there).
    """
    opener = gzip.open if path.suffix == ".gz" else open
    number = 0
    try:
        with opener(regular_file(path), "rt", encoding="utf-8-sig", newline="\n") as file:
            for number, line in enumerate(iter(partial(file.readline, LONGEST_LINE), ""), 1):
                if len(line) == LONGEST_LINE:
                    raise UserError(f"{path.name}, line {number}: it is longer than {LONGEST_LINE:,} characters")
                if "\0" in line:
                    raise UserError(f"{path.name}, line {number}: it holds a zero byte")
                yield number, line.rstrip("\n")
    except FileNotFoundError:
        raise UserError(f"{path}: there is no such file") from None
    except PermissionError:
        raise UserError(f"{path}: no permission to read this file") from None
    except UnicodeDecodeError as error:
        raise UserError(f"{path.name}: damaged, or not UTF-8, after line {number} ({error}); {repair(path)}") from None
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise UserError(f"{path.name}: damaged or cut short after line {number} ({error}); {repair(path)}") from None


def repair(path: Path) -> str:
    """Say what to do about a file that cannot be read as text, by how it begins."""
    with path.open("rb") as file:
        beginning = file.read(2)
    if beginning == b"\x1f\x8b" and path.suffix != ".gz":
        return "it is packed with gzip: its name must end in .gz"
    if beginning != b"\x1f\x8b" and path.suffix == ".gz" and beginning:
        return "it is not packed with gzip: its name must not end in .gz"
    if beginning in (b"\xff\xfe", b"\xfe\xff"):
        return "it is UTF-16: convert it to UTF-8"
    return "fetch it again"


def read_json_lines(*paths: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield (file and line as it is named to the user, object) of JSON Lines whose objects each have their own `_id`.

    An id under another of the names in `ID_KEYS` is put under `_id`.

    That ids differ, across all files, is checked at the end: eight bytes a line are kept for it, no ids.

    Raises:
        UserError: a line is not a JSON object, has no `_id` or one that was there before, or a file is cut short.
    """
    hashes = array("q")
    for path, number, line in _lines_of(paths):
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
        name = _id_of(entry)
        if isinstance(name, bool) or not isinstance(name, str | int) or not re.fullmatch(r"\S+", str(name)):
            raise UserError(f'{where}: no "_id" (a text without spaces) in this object{keys_of(entry)}')
        name = entry["_id"] = str(name)
        hashes.append(hash(name))
        yield where, entry
    ordered = np.sort(np.frombuffer(hashes, np.int64)) if hashes else np.empty(0, np.int64)
    if repeated := set(ordered[1:][ordered[1:] == ordered[:-1]].tolist()):
        _refuse_repeated(paths, repeated)


def _id_of(entry: dict[str, Any]) -> Any:
    return next((entry[key] for key in ID_KEYS if key in entry), None)


def keys_of(entry: dict[str, Any]) -> str:
    """Return the keys of an object as the end of a sentence on what it lacks."""
    return f", which has {', '.join(map(repr, entry))[:200]}" if entry else ""


def tab_fields(line: str) -> list[str]:
    """Return the fields of a line of tab-separated text; those in double quotes without them, as CSV has it.

    What is not CSV is taken as it is: a text may begin with a quotation, or hold a quote that nothing closes.
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
    """Read once more for the ids of these hashes, and raise where one is there twice."""
    first: dict[str, tuple[Path, int]] = {}
    for path, number, line in _lines_of(paths):
        name = str(_id_of(json.loads(line)))
        if hash(name) not in hashes:
            continue
        if name in first:
            before, at = first[name]
            place = f"line {at}" if before == path else f"line {at} of {before.name}"
            raise UserError(f"{path.name}, line {number}: the id {name} was on {place} already")
        first[name] = (path, number)
