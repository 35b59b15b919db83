"""Files that a user uploads, on disk under a harmless name, for the readers in `core`, which read files."""

import gzip
import io
import re
import zlib
from contextlib import suppress
from pathlib import Path

from core.workspace.errors import UserError

GZIP = b"\x1f\x8b"
LARGEST_UNPACKED = 100_000_000
"""Bytes of an upload, unpacked: two million lines of a run, for which half a gigabyte of memory is needed."""
LIMIT = f"{LARGEST_UNPACKED / 1e6:,.0f} MB, the upload limit; the command line has no limit"
PIECE = 1 << 20
LONGEST_NAME = 100


def saved(name: str, content: bytes, folder: Path) -> Path:
    """Write an uploaded file into a folder and return its path: its own name, for messages, without what could harm.

    What begins like gzip is read as gzip, whatever it is called.

    Raises:
        UserError: it holds, or unpacks to, more than `LARGEST_UNPACKED` bytes.
    """
    last = re.split(r"[/\\]", name)[-1]
    safe = re.sub(r"[^A-Za-z0-9._+-]", "_", last)[-LONGEST_NAME:].lstrip(".") or "file"
    if content.startswith(GZIP):
        if unpacks_to_more(content, LARGEST_UNPACKED):
            raise UserError(f"{safe} unpacks to more than {LIMIT}")
        safe = safe if safe.endswith(".gz") else f"{safe}.gz"
    if len(content) > LARGEST_UNPACKED:
        raise UserError(f"{safe} is larger than {LIMIT}")
    path = folder / safe
    path.write_bytes(content)
    return path


def unpacks_to_more(content: bytes, limit: int) -> bool:
    """Tell whether gzip's content is larger than `limit` bytes, with one piece of it in memory at a time."""
    unpacked = 0
    # What is damaged is for the reader of the file to name, with the line where it ends.
    with gzip.GzipFile(fileobj=io.BytesIO(content)) as file, suppress(OSError, EOFError, zlib.error):
        while piece := file.read(PIECE):
            unpacked += len(piece)
            if unpacked > limit:
                return True
    return False
