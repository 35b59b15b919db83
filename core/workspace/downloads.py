"""Downloads with checksums, a progress bar, and resumption after an interruption."""

import errno
import hashlib
import os
import time
from pathlib import Path

import requests
from tqdm import tqdm

from core.workspace.errors import UserError

MIRROR_VARIABLE = "RANKSCOPE_MIRROR"
"""Environment variable with the address of a folder from which files are downloaded in place of their own address."""


TRIES = 5


TIMEOUT_SECONDS = (10, 60)
"""Timeouts in seconds for connecting and between two blocks of the response."""


def fetch(url: str, target: Path, size: int | None = None, md5: str | None = None, tries: int = TRIES) -> Path:
    """Download `url`, or the file of this name on the mirror, to `target` unless it exists, and return `target`.

    An interrupted download stays in `target`.part and is continued with an HTTP range request (RFC 9110, 14.2), within
    this call and in later ones. Size and MD5 are checked before the file gets its name.

    Raises:
        UserError: if the server does not respond or has no such file, or the size or MD5 is not the expected one.
    """
    if target.is_file():
        return target
    if mirror := os.environ.get(MIRROR_VARIABLE):
        url = f"{mirror.rstrip('/')}/{url.rpartition('/')[2]}"
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(target.name + ".part")
    for attempt in range(1, tries + 1):
        try:
            _fetch_rest(url, part, size)
            break
        except (requests.ConnectionError, requests.Timeout, requests.exceptions.ChunkedEncodingError) as error:
            if attempt == tries:
                raise UserError(
                    f"{url} could not be downloaded ({type(error).__name__}, {tries} attempts); "
                    f"run the command again to resume, or put the file at {target}"
                ) from None
            time.sleep(min(2**attempt / 4, 10))
        except OSError as error:
            if error.errno != errno.ENOSPC:
                raise
            raise UserError(
                f"{url} could not be downloaded, as the disk of {target.parent} is full: free some space and run the "
                "command again to resume"
            ) from None
    if size is not None and part.stat().st_size != size:
        received = part.stat().st_size
        part.unlink()
        raise UserError(f"{url}: received {received} bytes, expected {size}; put the correct file at {target}")
    if md5 is not None and (received_md5 := _md5(part)) != md5:
        part.unlink()
        raise UserError(f"{url}: the MD5 is {received_md5}, expected {md5}; put the correct file at {target}")
    part.replace(target)
    return target


def _fetch_rest(url: str, part: Path, size: int | None) -> None:
    """Append the rest of the file to `part`; raises the errors of requests if the connection breaks."""
    have = part.stat().st_size if part.exists() else 0
    if size is not None and have == size:
        return
    headers = {"Range": f"bytes={have}-", "Accept-Encoding": "identity"} if have else {"Accept-Encoding": "identity"}
    with requests.get(url, headers=headers, stream=True, timeout=TIMEOUT_SECONDS) as answer:
        if answer.status_code == 416:  # no bytes after `have`: the part is complete, or of another file
            part.unlink()
            raise requests.ConnectionError("the partial download did not match")
        if answer.status_code >= 500:
            raise requests.ConnectionError(f"status {answer.status_code}")
        if answer.status_code not in (200, 206):
            raise UserError(
                f"{url}: the server responded with {answer.status_code} ({answer.reason}); put the file at "
                f"{part.with_name(part.name.removesuffix('.part'))}"
            )
        continues = answer.status_code == 206
        expected = int(answer.headers.get("Content-Length", 0))
        with (
            part.open("ab" if continues else "wb") as file,
            tqdm(
                total=(have if continues else 0) + expected or size,
                initial=have if continues else 0,
                desc=part.name.removesuffix(".part"),
                unit="B",
                unit_scale=True,
                disable=None,
            ) as bar,
        ):
            received = 0
            for block in answer.iter_content(1 << 16):
                file.write(block)
                bar.update(len(block))
                received += len(block)
        if expected and received < expected:
            raise requests.ConnectionError(f"cut off after {received} of {expected} bytes")


def _md5(path: Path) -> str:
    digest = hashlib.md5(usedforsecurity=False)
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()
