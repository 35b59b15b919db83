"""Fast reading of runs without any fault, in columns; `core.formats.runs` reads all others line by line."""

import gzip
import itertools
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow
from pyarrow import compute, csv

LARGEST_FILE = 1 << 28
"""Maximum size of an unpacked file in bytes, which is read into memory as a whole."""


COLUMNS = ["topic", "Q0", "document", "rank", "score", "tag"]
TYPES = {name: pyarrow.float64() if name in ("rank", "score") else pyarrow.string() for name in COLUMNS}


WHITESPACE = b"\t\v\f\r\x1c\x1d\x1e\x1f "
"""The ASCII characters at which `str.split` separates columns, but for the end of a line."""


class PlainTopic(NamedTuple):
    """The lines of one topic, from line `first` on: float64 ranks [n_documents], and document -> score."""

    topic: str
    first: int
    ranks: np.ndarray
    scores: dict[str, float]


def read_plain(path: Path) -> tuple[str, list[PlainTopic]] | None:
    """Return the tag of the first line and the topics of a run, or None if it has to be read line by line.

    A plain run is ASCII, has exactly six columns on each line with one space or tab between them, finite ranks and
    scores, and all lines of a topic together, none with the same document.
    """
    data = _read(path)
    delimiter = "\t" if b"\t" in data[:1000].partition(b"\n")[0] else " "
    if not data or not _is_plain(data, delimiter.encode()):
        return None
    try:
        table = csv.read_csv(
            pyarrow.BufferReader(data),
            read_options=csv.ReadOptions(column_names=COLUMNS),
            parse_options=csv.ParseOptions(delimiter=delimiter, quote_char=False, ignore_empty_lines=False),
            convert_options=csv.ConvertOptions(column_types=TYPES),
        )
    except pyarrow.ArrowException:
        return None
    if any(not compute.min(compute.binary_length(table[name])).as_py() for name in ("topic", "Q0", "document", "tag")):
        return None
    if not all(np.isfinite(table[name].to_numpy()).all() for name in ("rank", "score")):
        return None
    topics = list(_topics(table))
    distinct = len({topic.topic for topic in topics}) == len(topics)
    if not distinct or any(len(topic.scores) < len(topic.ranks) for topic in topics):
        return None
    return table["tag"][0].as_py(), topics


def _read(path: Path) -> bytes:
    """Return the contents of a file, plain or .gz; b"" if it is too large or cannot be read."""
    if not path.is_file():
        return b""
    opener = gzip.open if path.suffix == ".gz" else open
    try:
        with opener(path, "rb") as file:
            data = file.read(LARGEST_FILE + 1)
    except (OSError, EOFError, zlib.error):
        return b""
    return data if len(data) <= LARGEST_FILE else b""


def _is_plain(data: bytes, delimiter: bytes) -> bool:
    """Return whether the file is ASCII, has no white space but the delimiter, and no header or unfinished line."""
    others = WHITESPACE.replace(delimiter, b"\0")
    return (
        data.isascii()
        and data.endswith(b"\n")
        and not data.startswith(b"#")
        and len(data.translate(None, others)) == len(data)
    )


def _topics(table: pyarrow.Table) -> Iterator[PlainTopic]:
    encoded = table["topic"].combine_chunks().dictionary_encode()
    numbers = encoded.indices.to_numpy()
    names = encoded.dictionary.to_pylist()
    documents, scores = table["document"].to_numpy().tolist(), table["score"].to_pylist()
    ranks = table["rank"].to_numpy()
    bounds = [0, *(np.flatnonzero(np.diff(numbers)) + 1).tolist(), len(numbers)]
    for start, end in itertools.pairwise(bounds):
        by_document = dict(zip(documents[start:end], scores[start:end], strict=True))
        yield PlainTopic(names[numbers[start]], start + 1, ranks[start:end], by_document)
