"""The progress log: how long-running stages resume after an interruption.

A stage opens one log in the folder of the artifact that it is making and adds the result of each shard as it finishes.
When the stage runs again, it reads these results and computes only the missing ones:

    with writing(folder, ..., resume=True) as partial, ProgressLog(partial) as log:
        for shard in shards:
            if shard.name not in log.done:
                log.add({shard.name: compute(shard)})

`writing` discards the folder, and the log with it, when settings or inputs have changed.
"""

import hashlib
import json
import os
import zlib
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import IO, Any

import numpy as np

FILE = "progress.log"


class ProgressLog:
    """Results of finished shards by name, on disk; the file is removed when the `with` block ends without an exception.

    A line holds the results of one shard, a JSON object, after the CRC-32 of its text. A line that was cut short,
    damaged or written in another format is ignored, so its shard is computed again.

    Attributes:
        done: results by name, as decoded from JSON.
    """

    def __init__(self, folder: Path):
        """Take the folder of the artifact that is being made."""
        self.path = folder / FILE
        self.done: dict[str, Any] = {}
        self._file: IO[bytes] | None = None

    def __enter__(self) -> "ProgressLog":
        """Read the results of an interrupted run."""
        last = b"\n"
        if self.path.exists():
            with self.path.open("rb") as file:
                for last in file:
                    self.done |= _results(last)
        self._file = self.path.open("ab")
        if not last.endswith(b"\n"):
            self._file.write(b"\n")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Close the file, and remove it unless there was an exception."""
        assert self._file is not None
        self._file.close()
        if kind is None:
            self.path.unlink()

    def add(self, results: Mapping[str, Any]) -> None:
        """Add the results of one shard: after an interruption either all of them are there, or none."""
        assert self._file is not None, "a progress log is used in a with block"
        text = json.dumps(results).encode()
        self._file.write(b"%08x %s\n" % (zlib.crc32(text), text))
        self._file.flush()
        self.done |= json.loads(text)  # as read back: the same with and without an interruption


def _results(line: bytes) -> dict[str, Any]:
    """Return the results that a line of a log holds; none if it is damaged."""
    checksum, _, text = line.rstrip(b"\n").partition(b" ")
    if not text or checksum != b"%08x" % zlib.crc32(text):
        return {}
    results: dict[str, Any] = json.loads(text)
    return results


class LoggedArray:
    """A float32 array in a .npy file that is filled shard by shard, with the digest of each shard's rows in a log.

    Attributes:
        array: a memory map of the file, float32 [n_rows, ...]; None as long as it holds no shard.
    """

    def __init__(self, path: Path, n_rows: int, log: ProgressLog):
        """Open the file that an interrupted run left, if any."""
        self.path, self.n_rows, self.log = path, n_rows, log
        self.array = _opened(path, n_rows)

    def holds(self, shard: str, rows: Any, made_from: str) -> bool:
        """Return whether the rows were written for this shard from the same input and are intact.

        Args:
            rows: their positions.
            made_from: a digest of the input.
        """
        logged = self.log.done.get(self._name(shard))
        return self.array is not None and logged == [made_from, _digest(self.array[rows])]

    def write(self, shard: str, rows: Any, made_from: str, values: np.ndarray) -> None:
        """Write the rows of a shard, float32 [len(rows), ...] or [...] for a single row; see `holds`."""
        if self.array is None:
            self.array = new_array(self.path, (self.n_rows, *values.shape[np.ndim(rows) :]))
        self.array[rows] = values
        self.array.flush()
        self.log.add({self._name(shard): [made_from, _digest(self.array[rows])]})

    def _name(self, shard: str) -> str:
        return f"{self.path.name} {shard}"


def _digest(array: np.ndarray) -> str:
    return hashlib.sha256(np.ascontiguousarray(array).data).hexdigest()


def _opened(path: Path, n_rows: int) -> np.memmap | None:
    """Open a .npy file for writing; None if it is missing, truncated or has another number of rows."""
    try:
        length = len(np.lib.format.open_memmap(path, mode="r"))  # raises if the file is too short
    except (OSError, ValueError):
        return None
    if length != n_rows:
        return None
    _take_space(path)
    return np.lib.format.open_memmap(path, mode="r+")


def new_array(path: Path, shape: tuple[int, ...]) -> np.memmap:
    """Create a .npy file of float32 with its disk space allocated, and return it as a memory map."""
    array = np.lib.format.open_memmap(path, mode="w+", dtype=np.float32, shape=shape)
    _take_space(path)
    return array


def _take_space(path: Path) -> None:
    """Allocate the disk space of a file.

    Writing to a memory map on a full disk kills the process with a signal; allocating first raises an OSError instead.
    """
    if hasattr(os, "posix_fallocate"):
        with path.open("r+b") as file:
            os.posix_fallocate(file.fileno(), 0, max(1, path.stat().st_size))
