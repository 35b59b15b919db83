"""Lines of text files, plain or .gz, with one clear error for whatever is wrong with a file itself."""

import gzip
import json
import re
import zlib
from array import array
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from core.errors import UserError

LONGEST_LINE = 1 << 26
"""Characters: a .gz of some megabytes may hold a line that no memory can."""


def read_lines(path: Path) -> Iterator[tuple[int, str]]:
    """Yield (line number, line without its end), lines ending with "\\n" alone.

    Raises:
        UserError: the file is missing, is not UTF-8, has a line without end, is a .gz that is damaged or cut short, or
            holds a zero byte (trec_eval's libraries would end a document id there).
    """
    opener = gzip.open if path.suffix == ".gz" else open
    number = 0
    try:
        with opener(path, "rt", encoding="utf-8", newline="\n") as file:
            for number, line in enumerate(iter(lambda: file.readline(LONGEST_LINE), ""), 1):
                if len(line) == LONGEST_LINE:
                    raise UserError(f"{path.name}, line {number}: it is longer than {LONGEST_LINE:,} characters")
                if "\0" in line:
                    raise UserError(f"{path.name}, line {number}: it holds a zero byte")
                yield number, line.rstrip("\n")
    except (FileNotFoundError, IsADirectoryError):
        raise UserError(f"{path}: there is no such file") from None
    except (EOFError, gzip.BadGzipFile, zlib.error, UnicodeDecodeError) as error:
        raise UserError(f"{path.name}: damaged or cut short after line {number} ({error}); fetch it again") from None


def read_json_lines(*paths: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield (file and line as it is named to the user, object) of JSON Lines whose objects each have their own `_id`.

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
        name = entry.get("_id")
        if isinstance(name, bool) or not isinstance(name, str | int) or not re.match(r"^\S+$", str(name)):
            raise UserError(f'{where}: no "_id" (a text without spaces) in this object')
        name = entry["_id"] = str(name)
        hashes.append(hash(name))
        yield where, entry
    ordered = np.sort(np.frombuffer(hashes, np.int64)) if hashes else np.empty(0, np.int64)
    if repeated := set(ordered[1:][ordered[1:] == ordered[:-1]].tolist()):
        _refuse_repeated(paths, repeated)


def _lines_of(paths: tuple[Path, ...]) -> Iterator[tuple[Path, int, str]]:
    return ((path, number, line) for path in paths for number, line in read_lines(path) if line.strip())


def _refuse_repeated(paths: tuple[Path, ...], hashes: set[int]) -> None:
    """Read once more for the ids of these hashes, and raise where one is there twice."""
    first: dict[str, tuple[Path, int]] = {}
    for path, number, line in _lines_of(paths):
        name = str(json.loads(line)["_id"])
        if hash(name) not in hashes:
            continue
        if name in first:
            before, at = first[name]
            place = f"line {at}" if before == path else f"line {at} of {before.name}"
            raise UserError(f"{path.name}, line {number}: the id {name} was on {place} already")
        first[name] = (path, number)
