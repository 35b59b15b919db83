"""Files that a user uploads, on disk under a harmless name, for the readers in `core`, which read files."""

import re
from pathlib import Path

GZIP = b"\x1f\x8b"
LONGEST_NAME = 100


def saved(name: str, content: bytes, folder: Path) -> Path:
    """Write an uploaded file into a folder and return its path: its own name, for messages, without what could harm.

    What begins like gzip is read as gzip, whatever it is called.
    """
    last = re.split(r"[/\\]", name)[-1]
    safe = re.sub(r"[^A-Za-z0-9._+-]", "_", last)[-LONGEST_NAME:].lstrip(".") or "file"
    if content.startswith(GZIP) and not safe.endswith(".gz"):
        safe += ".gz"
    path = folder / safe
    path.write_bytes(content)
    return path
