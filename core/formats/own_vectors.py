"""Vectors that were made elsewhere: a .npy file, float [n, dimension], and the ids of its rows beside it.

The ids of `x.npy` are in `x.json`, a list, or in `x.txt`, one per line.
"""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from core.formats.text_lines import read_lines
from core.workspace.artifacts import file_digest, value_digest
from core.workspace.errors import UserError
from core.workspace.progress import new_array

BLOCK = 4096
"""Number of rows that are checked and copied at a time."""


def vectors_digest(path: Path) -> str:
    """Return the digest of a file of vectors and of its ids, or "" if one of them is not on this machine."""
    return value_digest([file_digest(path), file_digest(ids_path(path))]) if path.is_file() and _ids(path) else ""


def ids_path(path: Path) -> Path:
    """Return the file with the ids of a file of vectors.

    Raises:
        UserError: if there is none.
    """
    if found := _ids(path):
        return found
    raise UserError(
        f"{path.name}: the ids of its rows are missing; expected {path.stem}.json or {path.stem}.txt beside it"
    )


def _ids(path: Path) -> Path | None:
    return next((file for end in (".json", ".txt") if (file := path.with_suffix(end)).is_file()), None)


def open_vectors(path: Path) -> tuple[np.ndarray, list[str]]:
    """Return a file's vectors, memory-mapped [n, dimension], and their ids; the values are not read.

    Raises:
        UserError: if a file is missing or damaged, the array is not float [n, dimension], or the ids do not fit.
    """
    if not path.is_file():
        raise UserError(f"{path}: there is no such file")
    try:
        vectors = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        # numpy takes any other file for a pickle, and advises to read it as one.
        why = "Python objects are not read" if "object" in str(error) else error
        raise UserError(f"{path.name}: not a .npy file of numbers, or cut short ({why})") from None
    if not isinstance(vectors, np.ndarray) or vectors.ndim != 2 or vectors.dtype.kind != "f" or not vectors.shape[1]:
        shape = f"{vectors.dtype} {list(vectors.shape)}" if isinstance(vectors, np.ndarray) else "an archive of arrays"
        raise UserError(f"{path.name}: {shape}, expected one vector per row, float [n, dimension]")
    ids = _read_ids(ids_path(path))
    if len(ids) != len(vectors):
        raise UserError(f"{path.name} has {len(vectors):,} vectors, but {ids_path(path).name} has {len(ids):,} ids")
    return vectors, ids


def _read_ids(path: Path) -> list[str]:
    if path.suffix == ".txt":
        ids = [line.rstrip("\r") for _, line in read_lines(path)]
    else:
        try:
            ids = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError, RecursionError) as error:
            raise UserError(f"{path.name}: not JSON ({error})") from None
        if not isinstance(ids, list) or not all(isinstance(name, str) for name in ids):
            raise UserError(f"{path.name}: expected a list of ids, each a string")
    seen: set[str] = set()
    for number, name in enumerate(ids, 1):
        if not name or name in seen:
            raise UserError(f"{path.name}: id {number} is " + (f"{name}, as an earlier one is" if name else "empty"))
        seen.add(name)
    return ids


def write_arranged(path: Path, target: Path, wanted: Sequence[str], what: str, nonzero: bool) -> int:
    """Write the vectors of some ids to a .npy file, float32 in the order of the ids; others are left out.

    Args:
        what: the plural of what the ids name, for messages.
        nonzero: whether to refuse zero vectors, which have no cosine.

    Returns:
        The number of vectors that were left out.

    Raises:
        UserError: if an id has no vector, or a vector has NaN or infinite values or is zero.
    """
    vectors, ids = open_vectors(path)
    rows = {name: row for row, name in enumerate(ids)}
    if missing := [name for name in wanted if name not in rows]:
        raise UserError(
            f"{path.name} has no vector for {len(missing):,} of {len(wanted):,} {what}, such as {missing[0]}"
        )
    written = new_array(target, (len(wanted), vectors.shape[1]))
    for begin in range(0, len(wanted), BLOCK):
        names = wanted[begin : begin + BLOCK]
        with np.errstate(over="ignore", under="ignore"):
            block = vectors[[rows[name] for name in names]].astype(np.float32)
            norms = np.linalg.norm(block, axis=1)
        faults = {"NaN or infinite values": ~np.isfinite(block).all(axis=1)}
        if nonzero:
            faults["only zeros, and so no cosine"] = ~block.any(axis=1)
            faults["a length that is no float32, and so no cosine"] = ~np.isfinite(norms) | (norms == 0)
        for fault, where in faults.items():
            if where.any():
                raise UserError(f"{path.name}: the vector of {names[int(np.argmax(where))]} has {fault}")
        written[begin : begin + len(names)] = block
    written.flush()
    return len(ids) - len(wanted)
