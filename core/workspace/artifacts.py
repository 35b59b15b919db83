"""Artifacts: folders that a stage wrote whole, each with a manifest that says what made it.

An artifact is one folder. Its files are written under a temporary name beside it and the folder is renamed when it is
complete, so that a reader finds a whole artifact or none. `manifest.json` inside names the stage, its settings, the
digests of its inputs, of every file and of itself, versions, seconds and host. Freshness is a comparison of manifests.
"""

import errno
import hashlib
import json
import os
import platform
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass, field, replace
from functools import lru_cache, partial
from importlib import metadata
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, TypeVar

from filelock import FileLock, Timeout

from core.workspace.errors import UserError
from core.workspace.timing import PROCEDURE

if TYPE_CHECKING:
    from functools import _lru_cache_wrapper

MANIFEST = "manifest.json"


OWN_DIGEST = "sha256"
"""In a manifest and in a saved profile: the digest of all the rest of it."""


KEY = ".key"
"""In an artifact that is being written: the digest of what it is made of."""


PROFILE = "profile.json"
"""Beside a collection's artifacts: the profile that they were built with."""


FAILURES = "failures.json"
"""Beside a collection's artifacts: what its last build could not make and why, artifact -> sentence."""


TRIES, PAUSE = 50, 0.002
"""Attempts to read an artifact that is being replaced, and the seconds between them: a swap takes microseconds."""


TIMESTAMP_STEP_NS = 50_000_000
"""Longer than the step of a file system's timestamps: within it, a second change can leave the same ones."""


T = TypeVar("T")


D = TypeVar("D")


RECORDED_VERSIONS = (
    "torch",
    "transformers",
    "sentence-transformers",
    "bm25s",
    "rank-bm25",
    "hnswlib",
    "chroma-hnswlib",
    "faiss-cpu",
    "pymilvus",
    "milvus-lite",
    "ray",
    "pytrec-eval-terrier",
    "numpy",
    "pandas",
)


@dataclass(frozen=True)
class Artifact:
    """The place of an artifact, made or not.

    Attributes:
        path: its folder.
        shown: the folder in messages and manifests.
        make_command: returns the command that makes it.
        failures: the file in which builds record why it could not be made.
    """

    path: Path
    shown: str
    make_command: Callable[[], str] = field(compare=False, repr=False)
    failures: Path = field(compare=False, repr=False)

    def __str__(self) -> str:
        return str(self.path)

    def __fspath__(self) -> str:
        return str(self.path)

    def __truediv__(self, name: str) -> Path:
        return self.path / name

    @property
    def name(self) -> str:
        """The last part of the path."""
        return self.path.name

    @property
    def command(self) -> str:
        """The command that makes it."""
        return self.make_command()

    def part(self, name: str) -> "Artifact":
        """Return a part of it, of which builds record failures apart."""
        return replace(self, path=self.path / name, shown=f"{self.shown}/{name}")

    def made_by(self, command: str) -> "Artifact":
        """Return it with another command that makes it."""
        return replace(self, make_command=partial(str, command))


def _as_artifact(folder: Artifact | Path) -> Artifact:
    """Return an artifact itself, and a folder as one of no collection: it is shown by its name only."""
    if isinstance(folder, Artifact):
        return folder
    return Artifact(folder, folder.name, partial(str, "python scripts/build.py"), folder.parent / FAILURES)


@dataclass(frozen=True)
class Manifest:
    """What `manifest.json` holds."""

    stage: str
    command: str
    settings: dict[str, Any]
    inputs: dict[str, str]
    files: dict[str, dict[str, Any]]
    facts: dict[str, Any]
    versions: dict[str, str]
    seconds: float
    host: dict[str, Any]
    finished: str

    @property
    def digest(self) -> str:
        """SHA-256 over the names and digests of the artifact's files: what later stages record as their input."""
        listing = "".join(f"{name} {entry['sha256']}\n" for name, entry in sorted(self.files.items()))
        return hashlib.sha256(listing.encode()).hexdigest()


class Replaced(UserError):
    """An artifact is no longer of the version that was asked for."""


def file_digest(path: Path) -> str:
    """Return the SHA-256 of a file as 64 hexadecimal digits.

    It is cached for as long as inode, size, and the times of the last modification and of the last change of status
    stay the same; the last of these cannot be set by a program. A file changed a moment ago is not cached.
    """
    return _once(_file_digest, path)


def _once(read: "_lru_cache_wrapper[T]", path: Path) -> T:
    """Call a reader that is cached by path and identity of the file; past its cache for a file changed a moment ago."""
    for _ in range(TRIES):
        status = path.stat()
        just_changed = abs(time.time_ns() - status.st_ctime_ns) < TIMESTAMP_STEP_NS
        with suppress(Replaced):
            return (read.__wrapped__ if just_changed else read)(path, _identity(status))
    raise Replaced(f"{path.name} changed each time that it was read; try again")


FileIdentity = tuple[int, int, int, int, int]


def _identity(status: os.stat_result) -> FileIdentity:
    """Return what tells a file from every other one and from itself after a change."""
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns


@lru_cache(maxsize=4096)
def _file_digest(path: Path, identity: FileIdentity) -> str:
    with path.open("rb") as file:
        digest = hashlib.sha256()
        while block := file.read(1 << 20):
            digest.update(block)
        _not_changed(path, file, identity)
    return digest.hexdigest()


def _not_changed(path: Path, file: IO[bytes], identity: FileIdentity) -> None:
    """Raise an error, which no cache keeps, where an open file is not the one that was asked for."""
    if _identity(os.fstat(file.fileno())) != identity:
        raise Replaced(f"{path.name} changed while it was read")


def value_digest(value: Any) -> str:
    """Return the SHA-256 of a JSON-serialisable value."""
    return hashlib.sha256(json.dumps(value, sort_keys=True, ensure_ascii=False).encode()).hexdigest()


def read_manifest(place: Artifact | Path) -> Manifest:
    """Read the manifest of an artifact; the same object for all callers, not to be changed.

    Raises:
        UserError: there is no artifact at this place, or its manifest cannot be read.
    """
    artifact = _as_artifact(place)
    return _settled(artifact.path, lambda: _read_manifest(artifact))


def _read_manifest(artifact: Artifact) -> Manifest:
    path = artifact / MANIFEST
    try:
        return _once(_parsed_manifest, path)
    except (FileNotFoundError, NotADirectoryError):
        raise UserError(f"{artifact.shown} is missing; {advice(artifact)}") from None
    except (ValueError, TypeError, RecursionError) as error:
        raise UserError(f"{artifact.shown}/{MANIFEST} is damaged ({error}); {advice(artifact)}") from None


@lru_cache(maxsize=4096)
def _parsed_manifest(path: Path, identity: FileIdentity) -> Manifest:
    with path.open("rb") as file:
        manifest = _checked(json.loads(file.read()))
        _not_changed(path, file, identity)
    return manifest


def _checked(table: Any) -> Manifest:
    """Return the manifest that a table holds; one of an earlier version has no digest of its own to compare."""
    if not isinstance(table, dict):
        raise ValueError("it is no JSON object")
    if not fits_own_digest(table):
        raise ValueError(f"its {OWN_DIGEST} is not that of what it holds")
    manifest = Manifest(**table)
    if not all({"bytes", "sha256"} <= set(entry) for entry in dict(manifest.files).values()):
        raise ValueError("a file without size or SHA-256")
    return manifest


def open_artifact(place: Artifact | Path, *files: str) -> Manifest:
    """Check every file of an artifact against its manifest and return the manifest.

    Contents are read once per process and again when a file has changed (see `file_digest`), so that asking before
    each use is cheap and notices every change.

    Args:
        files: the names of those that are to be read; none means all.

    Raises:
        UserError: the artifact is missing, or a file was lost, cut or changed; the message names the file.
    """
    artifact = _as_artifact(place)
    return _settled(artifact.path, lambda: _open_artifact(artifact, *files))


def _open_artifact(artifact: Artifact, *files: str) -> Manifest:
    manifest = _read_manifest(artifact)
    problem = damage(artifact, manifest, *files)
    if problem:
        raise UserError(f"{problem}; {advice(artifact)}")
    return manifest


def read_whole(place: Artifact | Path, load: Callable[[Manifest], T], *files: str, digest: str = "") -> T:
    """Return what `load` reads of an artifact, all of it of one version.

    The artifact is checked as by `open_artifact` before and after; where it was replaced by another version meanwhile,
    it is read again. Every loader of an artifact goes through here.

    Args:
        files: the names of those that are read; none means all.
        digest: the version that is wanted, for a loader that is cached by digest; "" means whichever is there.

    Raises:
        Replaced: the artifact is not of that version.
        UserError: it is missing or damaged, or `load` raised it.
    """

    artifact = _as_artifact(place)

    def read() -> T:
        manifest = _open_artifact(artifact, *files)
        if digest and manifest.digest != digest:
            raise Replaced(f"{artifact.shown} was replaced while it was used; try again")
        value = load(manifest)
        _open_artifact(artifact, *files)
        return value

    return _settled(artifact.path, read)


def read_latest(digest: Callable[[], D], load: Callable[[D], T]) -> T:
    """Return `load(digest())`, with a new digest where the artifact was replaced between the two.

    Args:
        digest: returns the digest, or the digests, of what is there now.
        load: a loader cached by them, which reads by `read_whole` and so raises `Replaced`.
    """
    for _ in range(TRIES):
        with suppress(Replaced):
            return load(digest())
        time.sleep(PAUSE)
    return load(digest())


def _settled(folder: Path, read: Callable[[], T]) -> T:
    """Return what `read` returns of an artifact that was not replaced meanwhile; call it again where it was.

    An error counts only where the artifact stayed the same: else a file vanished, or two versions were mixed.
    """
    for attempt in range(1, TRIES + 1):
        before = _version(folder)
        try:
            value = read()
        except Exception:
            same = _version(folder) == before and not _between_renames(folder)
            if same or attempt == TRIES:
                raise
        else:
            if _version(folder) == before:
                return value
        time.sleep(PAUSE)
    raise Replaced(f"{folder.name} was replaced each time that it was read; try again")


def _version(folder: Path) -> tuple[int, FileIdentity] | None:
    """Return what tells the artifact at `folder` from every other version of it, None where there is none."""
    try:
        return folder.stat().st_ino, _identity((folder / MANIFEST).stat())
    except OSError:
        return None


def _between_renames(folder: Path) -> bool:
    """Say whether the old version is out of its place and the new one not yet in it, for a moment or by a crash."""
    return not folder.exists() and folder.with_name(f".{folder.name}.old").exists()


def is_whole(place: Artifact | Path) -> bool:
    """Say whether there is an artifact at this place, with nothing lost, cut or changed."""
    try:
        open_artifact(place)
    except UserError:
        return False
    return True


def has_its_files(place: Artifact | Path, manifest: Manifest) -> bool:
    """Say whether the files are there, in the sizes that the manifest has; their contents are not read."""
    paths = {place / name: entry["bytes"] for name, entry in manifest.files.items()}
    return all(path.is_file() and path.stat().st_size == size for path, size in paths.items())


def damage(place: Artifact | Path, manifest: Manifest, *files: str) -> str | None:
    """Return what is wrong with an artifact's files (all, or those named) as the beginning of a sentence, or None."""
    artifact = _as_artifact(place)
    for name in files or manifest.files:
        entry, path = manifest.files.get(name), artifact / name
        if entry is None:
            return f"{artifact.shown}/{MANIFEST} lists no {name}"
        if not path.is_file():
            return f"{artifact.shown}/{name} is missing"
        if path.stat().st_size != entry["bytes"]:
            return f"{artifact.shown}/{name} is damaged ({path.stat().st_size} bytes, {entry['bytes']} expected)"
        if file_digest(path) != entry["sha256"]:
            return f"{artifact.shown}/{name} is damaged (its SHA-256 is not the one in {MANIFEST})"
    return None


def stale_reason(place: Artifact | Path, settings: Mapping[str, Any], inputs: Mapping[str, str]) -> str | None:
    """Say why an artifact must be made again, or None when it is fresh.

    An input whose digest is "" cannot be had here (a model that is not on this machine): it is not compared.
    """
    artifact = _as_artifact(place)
    if not (artifact / MANIFEST).is_file():
        return "missing"
    try:
        manifest = read_manifest(artifact)
    except UserError:
        return "its manifest is damaged"
    if problem := damage(artifact, manifest):
        return problem
    wanted = json.loads(json.dumps(dict(settings)))
    for key in sorted(set(wanted) | set(manifest.settings)):
        if wanted.get(key) == manifest.settings.get(key):
            continue
        if key == PROCEDURE:
            return "its timing procedure is older"
        return f"setting {key} was {manifest.settings.get(key)!r}, now {wanted.get(key)!r}"
    for key in sorted(set(inputs) | set(manifest.inputs)):
        if inputs.get(key) != "" and inputs.get(key) != manifest.inputs.get(key):
            return f"its input {key} changed"
    return None


@contextmanager
def writing(
    place: Artifact | Path,
    stage: str,
    settings: Mapping[str, Any],
    inputs: Mapping[str, str],
    facts: dict[str, Any] | None = None,
    resume: bool = False,
) -> Iterator[Path]:
    """Yield a folder to write an artifact's files in; seal and rename it when the block ends without an exception.

    With `resume`, what an interrupted run of the same settings and inputs left there is still in the folder, and an
    interruption leaves it for the next run. `facts` are figures about the result (counts, speeds) that the block may
    fill in; they go into the manifest.

    Raises:
        UserError: another process is writing the same artifact, or the disk is full.
    """
    facts = {} if facts is None else facts
    artifact = _as_artifact(place)
    folder = artifact.path
    partial, old = (folder.with_name(f".{folder.name}.{ending}") for ending in ("partial", "old"))
    key = value_digest([stage, dict(settings), dict(inputs)])
    key_file = partial / KEY
    folder.parent.mkdir(parents=True, exist_ok=True)
    with _writing_alone(folder, artifact.shown):
        _finish_seal(old, folder)
        started = time.perf_counter()
        try:
            if partial.exists() and not (resume and key_file.is_file() and key_file.read_text(encoding="utf-8") == key):
                shutil.rmtree(partial)
            partial.mkdir(exist_ok=True)
            write_text(key_file, key)
            yield partial
            _seal(partial, artifact, old, stage, settings, inputs, facts, started)
        except BaseException as error:
            problem = _disk_problem(error, folder, artifact.shown)
            if not resume:
                shutil.rmtree(partial, ignore_errors=True)
            if problem:
                raise UserError(problem) from error
            raise


def _disk_problem(error: BaseException, folder: Path, shown: str) -> str:
    """Say why nothing can be written in a folder, "" where an error is for another reason.

    Libraries have errors of their own for want of space, or none that says so.
    """
    could_not = f"{shown} could not be written"
    if isinstance(error, OSError):
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            return f"the disk is full: {could_not}; make room and run the same command again"
        # One that names a file elsewhere is about a file that was to be read.
        here = error.filename is None or Path(os.fsdecode(error.filename)).is_relative_to(folder.parent)
        if here and error.errno in (errno.EROFS, errno.EACCES, errno.EPERM):
            return f"{could_not} ({error.strerror}); make the folder writable, or name another in RANKSCOPE_ARTIFACTS"
        return ""
    if isinstance(error, Exception) and not isinstance(error, UserError) and _free_bytes(folder) < 2**20:
        return f"the disk is full: {could_not}; make room and run the same command again"
    return ""


def _free_bytes(folder: Path) -> int:
    return shutil.disk_usage(next(path for path in (folder, *folder.parents) if path.exists())).free


def finish_seals(under: Path) -> None:
    """Finish, for all artifacts under a folder, what a process that was killed has left of putting a new one in place.

    One that another process is writing is left to it.
    """
    for old in list(under.rglob(".*.old")):
        folder = old.with_name(old.name.removeprefix(".").removesuffix(".old"))
        with suppress(UserError), _writing_alone(folder, folder.name):
            _finish_seal(old, folder)


def _finish_seal(old: Path, folder: Path) -> None:
    if folder.exists():  # killed while it removed the old one
        shutil.rmtree(old, ignore_errors=True)
    elif old.exists():  # killed between the two renames
        old.rename(folder)


def _writing_alone(folder: Path, shown: str) -> AbstractContextManager[None]:
    return _alone(folder.with_name(f".{folder.name}.lock"), f"another process is writing {shown}")


def _seal(
    partial: Path,
    artifact: Artifact,
    old: Path,
    stage: str,
    settings: Mapping[str, Any],
    inputs: Mapping[str, str],
    facts: dict[str, Any],
    started: float,
) -> None:
    folder = artifact.path
    # What is hidden is the key, and what an interruption left of `write_text`.
    for path in partial.rglob(".*"):
        if path.name != KEY and path.is_file():
            path.unlink()
    files = {
        path.relative_to(partial).as_posix(): {"bytes": path.stat().st_size, "sha256": file_digest(path)}
        for path in sorted(partial.rglob("*"))
        if path.is_file() and path not in (partial / MANIFEST, partial / KEY)
    }
    manifest = Manifest(
        stage=stage,
        command=artifact.command,
        settings=dict(settings),
        inputs=dict(inputs),
        files=files,
        facts=facts,
        versions=versions(),
        seconds=round(time.perf_counter() - started, 3),
        host=host(),
        finished=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
    )
    write_text(partial / MANIFEST, with_own_digest(manifest.__dict__))
    (partial / KEY).unlink()  # as late as can be: without it nothing is resumed
    shutil.rmtree(old, ignore_errors=True)
    if folder.exists():
        folder.rename(old)
    partial.rename(folder)
    shutil.rmtree(old, ignore_errors=True)


def with_own_digest(table: Mapping[str, Any]) -> str:
    """Return a table as the text of a JSON file that holds its own digest, too."""
    plain: dict[str, Any] = json.loads(json.dumps(table))
    return json.dumps(plain | {OWN_DIGEST: value_digest(plain)}, indent=1, ensure_ascii=False) + "\n"


def fits_own_digest(table: dict[str, Any]) -> bool:
    """Take from a table what `with_own_digest` added, and say whether it was right; earlier versions added none."""
    recorded = table.pop(OWN_DIGEST, None)
    return recorded is None or recorded == value_digest(table)


def write_text(path: Path, text: str) -> None:
    """Write a text file under a temporary name, force it to disk, and rename it."""
    temporary = path.with_name(f".{path.name}.tmp")
    with temporary.open("w", encoding="utf-8", newline="\n") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)


@contextmanager
def building(folder: Path, shown: str) -> Iterator[None]:
    """Hold the lock of one collection's artifacts, so that two builds cannot write the same ones.

    Args:
        shown: the folder in messages.

    Raises:
        UserError: another build holds it, or the disk is full or cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with _alone(folder / ".lock", f"another build is writing {shown}"):
            yield
    except OSError as error:
        if problem := _disk_problem(error, folder, shown):
            raise UserError(problem) from error
        raise


@contextmanager
def _alone(path: Path, otherwise: str) -> Iterator[None]:
    """Hold a lock; the system frees that of a process that was killed."""
    lock = FileLock(path)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise UserError(f"{otherwise}; wait until it ends") from None
    try:
        yield
    finally:
        lock.release()


def remove_tree(folder: Path) -> None:
    """Remove a folder and what is in it, if it is there."""
    shutil.rmtree(folder, ignore_errors=True)


def advice(artifact: Artifact) -> str:
    """Return what to do about an artifact that is missing or damaged, as the end of a sentence."""
    if failure := failure_of(artifact):
        return f"the last build could not make it: {failure}; when that is fixed, run {artifact.command}"
    return f"rebuild it with {artifact.command}"


def failure_of(artifact: Artifact) -> str | None:
    """Return why the last build of its collection could not make an artifact; None where it did not fail.

    It may have been made since by another command: ask where it is missing or damaged.
    """
    return _failures(artifact.failures).get(artifact.shown)


def record_failure(artifact: Artifact, reason: str | None) -> None:
    """Record why an artifact could not be made; with None, that it was."""
    failures = _failures(artifact.failures)
    if failures.get(artifact.shown) == reason:
        return
    kept = {place: why for place, why in failures.items() if place != artifact.shown}
    kept |= {artifact.shown: reason} if reason else {}
    with suppress(OSError):  # a full disk: the build itself says what failed
        if not kept:
            artifact.failures.unlink()
            return
        write_text(artifact.failures, json.dumps(kept, indent=1, ensure_ascii=False) + "\n")


def _failures(file: Path) -> dict[str, str]:
    try:
        table = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return {str(place): str(why) for place, why in table.items()} if isinstance(table, dict) else {}


def versions(*more: str) -> dict[str, str]:
    """Return the versions of Python, of the libraries that shape results and of `more`, those that are installed."""
    found = {"python": platform.python_version()}
    for name in (*RECORDED_VERSIONS, *more):
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def host() -> dict[str, Any]:
    """Return the kind of machine, without its name or its user's."""
    return {"system": platform.system(), "machine": platform.machine(), "cores": os.cpu_count()}
