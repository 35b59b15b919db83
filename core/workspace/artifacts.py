"""Artifacts: folders that stages write atomically, each with a manifest that records how it was made.

An artifact is one folder. It is written under a temporary name and renamed when it is complete, so that readers see a
complete artifact or none. Its `manifest.json` records the stage, its settings, the digests of its inputs, of every file
and of the manifest itself, library versions, duration and host. Staleness is determined by comparing manifests.
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
"""Key of the digest over all other entries of a manifest or a saved profile."""


KEY = ".key"
"""File in an unfinished artifact with the digest of its stage, settings and inputs."""


PROFILE = "profile.json"
"""File in a collection's folder: the profile that its artifacts were built with."""


FAILURES = "failures.json"
"""File in a collection's folder: the artifacts that the last build failed to make -> the reasons."""


LEFT_OUT = "left-out.json"
"""File in an artifact from an archive: the list of its files that the archive does not include."""


STAGES_OF_BUILDS = {"doc2query generate": "doc2query", "doc2query score": "query-scores"}
"""Names of stages in manifests -> in builds (--only), where they differ."""


TRIES, PAUSE = 50, 0.01
"""Attempts to read an artifact that is being replaced, and seconds between them. A replacement takes microseconds, but
on a busy machine its process may have to wait in the middle of it."""


TIMESTAMP_STEP_NS = 50_000_000
"""Upper bound of a file system's timestamp resolution, within which two changes can have the same timestamp."""


T = TypeVar("T")


D = TypeVar("D")


RECORDED_VERSIONS = (
    "torch",
    "transformers",
    "sentence-transformers",
    "openvino",
    "nncf",
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
    """The location of an artifact, whether or not it exists.

    Attributes:
        path: its folder.
        shown: the name of the folder in messages and manifests.
        make_command: returns the command that makes the artifact.
        failures: the file in which builds record why they failed to make it.
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
        """The command that makes the artifact."""
        return self.make_command()

    def part(self, name: str) -> "Artifact":
        """Return a part of the artifact, whose failures builds record separately."""
        return replace(self, path=self.path / name, shown=f"{self.shown}/{name}")

    def made_by(self, command: str) -> "Artifact":
        """Return the artifact with another command."""
        return replace(self, make_command=partial(str, command))


def _as_artifact(folder: Artifact | Path) -> Artifact:
    """Return a folder as an artifact that belongs to no collection; an artifact is returned unchanged."""
    if isinstance(folder, Artifact):
        return folder
    return Artifact(folder, folder.name, partial(str, "python scripts/build.py"), folder.parent / FAILURES)


@dataclass(frozen=True)
class Manifest:
    """The contents of `manifest.json`."""

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
        """SHA-256 over the names and digests of the artifact's files, which later stages record as an input."""
        listing = "".join(f"{name} {entry['sha256']}\n" for name, entry in sorted(self.files.items()))
        return hashlib.sha256(listing.encode()).hexdigest()


class Replaced(UserError):
    """An artifact was replaced and is no longer the requested version."""


def file_digest(path: Path) -> str:
    """Return the SHA-256 of a file as 64 hexadecimal digits.

    The result is cached as long as inode, size, mtime and ctime stay the same; programs cannot set the ctime. Files
    changed a moment ago are not cached.
    """
    return _once(_file_digest, path)


def _once(read: "_lru_cache_wrapper[T]", path: Path) -> T:
    """Call a reader that is cached by path and file identity; bypass the cache if the file changed a moment ago."""
    for _ in range(TRIES):
        status = path.stat()
        just_changed = abs(time.time_ns() - status.st_ctime_ns) < TIMESTAMP_STEP_NS
        with suppress(Replaced):
            return (read.__wrapped__ if just_changed else read)(path, _identity(status))
    raise Replaced(f"{path.name} kept changing while it was read; try again")


FileIdentity = tuple[int, int, int, int, int]


def _identity(status: os.stat_result) -> FileIdentity:
    """Return a key that differs between files and between versions of a file."""
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
    """Raise an error, which is not cached, if an open file is not the requested version."""
    if _identity(os.fstat(file.fileno())) != identity:
        raise Replaced(f"{path.name} changed while it was read")


def value_digest(value: Any) -> str:
    """Return the SHA-256 of a JSON-serialisable value."""
    return hashlib.sha256(json.dumps(value, sort_keys=True, ensure_ascii=False).encode()).hexdigest()


def read_manifest(place: Artifact | Path) -> Manifest:
    """Read the manifest of an artifact; callers share one object and must not change it.

    Raises:
        UserError: if the artifact is missing or its manifest cannot be read.
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
        manifest = parse_manifest(file.read())
        _not_changed(path, file, identity)
    return manifest


def parse_manifest(text: bytes) -> Manifest:
    """Parse and check the contents of a `manifest.json`.

    Raises:
        ValueError, TypeError, RecursionError: if it is not a manifest, or its digest of itself is wrong.
    """
    return _checked(json.loads(text))


def _checked(table: Any) -> Manifest:
    """Parse and check a manifest; manifests of earlier versions have no digest of themselves to check."""
    if not isinstance(table, dict):
        raise ValueError("not a JSON object")
    if not fits_own_digest(table):
        raise ValueError(f"its {OWN_DIGEST} does not match its contents")
    manifest = Manifest(**table)
    if not all({"bytes", "sha256"} <= set(entry) for entry in dict(manifest.files).values()):
        raise ValueError("a file has no size or SHA-256")
    return manifest


def open_artifact(place: Artifact | Path, *files: str, included: bool = False) -> Manifest:
    """Check every file of an artifact against its manifest and return the manifest.

    A file is read once per process and again after it has changed (see `file_digest`), so that checking before each use
    is cheap and detects every change.

    Args:
        files: names of the files to check; none for all.
        included: whether to check all files but those that the archive that the artifact came from does not include.

    Raises:
        UserError: if the artifact, or one of its files, is missing or damaged; the message names the file.
    """
    artifact = _as_artifact(place)
    return _settled(artifact.path, lambda: _open_artifact(artifact, *files, included=included))


def _open_artifact(artifact: Artifact, *files: str, included: bool = False) -> Manifest:
    manifest = _read_manifest(artifact)
    problem = damage_of_included(artifact, manifest) if included else damage(artifact, manifest, *files)
    if problem:
        raise UserError(f"{problem}; {advice(artifact)}")
    return manifest


def read_whole(
    place: Artifact | Path, load: Callable[[Manifest], T], *files: str, digest: str = "", included: bool = False
) -> T:
    """Return what `load` reads from an artifact, consistently from one version.

    The artifact is checked as in `open_artifact` before and after loading; if it was replaced meanwhile, it is loaded
    again. All artifacts are loaded through this function.

    Args:
        files: names of the files that `load` reads; none for all.
        digest: the required version, for loaders that are cached by digest; "" for the current one.
        included: as in `open_artifact`.

    Raises:
        Replaced: if the artifact is not that version.
        UserError: if it is missing or damaged, or `load` raises it.
    """

    artifact = _as_artifact(place)

    def read() -> T:
        manifest = _open_artifact(artifact, *files, included=included)
        if digest and manifest.digest != digest:
            raise Replaced(f"{artifact.shown} was replaced while it was in use; try again")
        value = load(manifest)
        _open_artifact(artifact, *files, included=included)
        return value

    return _settled(artifact.path, read)


def read_latest(digest: Callable[[], D], load: Callable[[D], T]) -> T:
    """Return `load(digest())`, and retry with a new digest if the artifact is replaced between the two calls.

    Args:
        digest: returns the current digest or digests.
        load: a loader cached by digest that uses `read_whole` and so raises `Replaced`.
    """
    for _ in range(TRIES):
        with suppress(Replaced):
            return load(digest())
        time.sleep(PAUSE)
    return load(digest())


def _settled(folder: Path, read: Callable[[], T]) -> T:
    """Return the result of `read`; call it again if the artifact was replaced meanwhile.

    An error counts only if the artifact stayed the same; otherwise a file may have vanished, or versions were mixed.
    """
    for attempt in range(1, TRIES + 1):
        before = _version(folder)
        try:
            value = read()
        except Exception:
            if _version(folder) == before or attempt == TRIES:
                raise
        else:
            if _version(folder) == before:
                return value
        time.sleep(PAUSE)
    raise Replaced(f"{folder.name} kept being replaced while it was read; try again")


def _version(folder: Path) -> object:
    """Return a key of the current version of the artifact at `folder`, or None if it does not exist.

    Where the old version was moved away and the new one is not in place yet, the key is an object equal to no other.
    """
    for _ in range(2):  # a replacement may end between the look at the artifact and the look at its old version
        with suppress(OSError):
            return folder.stat().st_ino, _identity((folder / MANIFEST).stat())
        if folder.with_name(f".{folder.name}.old").exists():
            return object()
    return None


def is_whole(place: Artifact | Path) -> bool:
    """Return whether an artifact exists and all of its files are intact."""
    try:
        open_artifact(place)
    except UserError:
        return False
    return True


def left_out(place: Artifact | Path) -> tuple[str, ...]:
    """Return the names of the files that the archive that an artifact came from does not include."""
    try:
        listed = json.loads((place / LEFT_OUT).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return ()
    return tuple(map(str, listed)) if isinstance(listed, list) else ()


def not_included(place: Artifact | Path) -> str:
    """Return which files of an artifact the archive that it came from does not include, as a clause; "" if none."""
    names = left_out(place)
    others = f" and {len(names) - 1} more" if len(names) > 1 else ""
    return f"not included in the archive that it came from: {names[0]}{others}" if names else ""


def has_its_files(place: Artifact | Path, manifest: Manifest) -> bool:
    """Return whether all files exist and have the recorded size; their contents are not read.

    Files that the archive that the artifact came from does not include are not required.
    """
    missing = left_out(place)
    paths = {place / name: entry["bytes"] for name, entry in manifest.files.items() if name not in missing}
    return all(path.is_file() and path.stat().st_size == size for path, size in paths.items())


def damage(place: Artifact | Path, manifest: Manifest, *files: str) -> str | None:
    """Return the first problem with an artifact's files (all, or the given ones) as a clause, or None."""
    artifact = _as_artifact(place)
    for name in files or manifest.files:
        entry, path = manifest.files.get(name), artifact / name
        if entry is None:
            return f"{artifact.shown}/{MANIFEST} does not list {name}"
        if not path.is_file():
            if name in left_out(artifact):
                return f"{artifact.shown}/{name} is not included in the archive that it came from"
            return f"{artifact.shown}/{name} is missing"
        if path.stat().st_size != entry["bytes"]:
            return f"{artifact.shown}/{name} is damaged ({path.stat().st_size} bytes, {entry['bytes']} expected)"
        if file_digest(path) != entry["sha256"]:
            return f"{artifact.shown}/{name} is damaged (its SHA-256 is not the one in {MANIFEST})"
    return None


def damage_of_included(place: Artifact | Path, manifest: Manifest) -> str | None:
    """Return what `damage` returns for all files but those that the archive that the artifact came from left out."""
    missing = left_out(place)
    files = [name for name in manifest.files if name not in missing]
    return damage(place, manifest, *files) if files or not missing else None


def stale_reason(place: Artifact | Path, settings: Mapping[str, Any], inputs: Mapping[str, str]) -> str | None:
    """Return why an artifact is stale, or None if it is up to date.

    An input with the digest "" is unavailable (a model that is not on this machine) and is not compared. Files that the
    archive that the artifact came from does not include do not make it stale (see `not_included`).
    """
    artifact = _as_artifact(place)
    if not (artifact / MANIFEST).is_file():
        return "missing"
    try:
        manifest = read_manifest(artifact)
    except UserError:
        return "its manifest is damaged"
    if problem := damage_of_included(artifact, manifest):
        return problem
    wanted = json.loads(json.dumps(dict(settings)))
    # A changed source comes first: it explains the others.
    for key in sorted(set(wanted) | set(manifest.settings), key=lambda key: (key != "source", key)):
        if wanted.get(key) == manifest.settings.get(key):
            continue
        if key == PROCEDURE:
            return "it was measured by an older timing procedure"
        return _changed(key, manifest.settings.get(key), wanted.get(key))
    for key in sorted(set(inputs) | set(manifest.inputs)):
        if inputs.get(key) != "" and inputs.get(key) != manifest.inputs.get(key):
            return f"its input {key} changed"
    return None


MOST_NAMED = 4
"""Maximum number of entries of a changed list that a reason names."""


def _changed(key: str, before: Any, now: Any) -> str:
    """Return how a setting changed; of a list, such as the evaluated systems, what was added and removed."""
    both = isinstance(before, list) and isinstance(now, list)
    new, gone = ([one for one in a if one not in b] if both else [] for a, b in ((now, before), (before, now)))
    parts = [f"now also {_named(new)}"] * bool(new) + [f"no longer {_named(gone)}"] * bool(gone)
    return f"setting {key}: {'; '.join(parts)}" if parts else f"setting {key} was {before!r}, now {now!r}"


def _named(entries: list[Any]) -> str:
    more = f" and {len(entries) - MOST_NAMED} more" if len(entries) > MOST_NAMED else ""
    return ", ".join(map(str, entries[:MOST_NAMED])) + more


@contextmanager
def writing(
    place: Artifact | Path,
    stage: str,
    settings: Mapping[str, Any],
    inputs: Mapping[str, str],
    facts: dict[str, Any] | None = None,
    resume: bool = False,
) -> Iterator[Path]:
    """Yield a folder for an artifact's files; write the manifest and rename it if the block ends without an exception.

    With `resume`, the folder still has the files of an interrupted run with the same settings and inputs, and is kept
    for the next run after an interruption. The block may add figures about the result (counts, speeds) to `facts`,
    which the manifest records.

    Raises:
        UserError: if another process is writing the same artifact, or the disk is full.
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
            problem = disk_problem(error, folder, artifact.shown)
            if not resume:
                shutil.rmtree(partial, ignore_errors=True)
            if problem:
                raise UserError(problem) from error
            raise


def disk_problem(error: BaseException, folder: Path, shown: str) -> str:
    """Return why a folder could not be written, or "" if an error has another cause.

    Libraries raise errors of their own when the disk is full, which may not mention it.
    """
    could_not = f"{shown} could not be written"
    if isinstance(error, OSError):
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            return f"the disk is full: {could_not}; free some space and run the same command again"
        # An error with another file name is about an input.
        here = error.filename is None or Path(os.fsdecode(error.filename)).is_relative_to(folder.parent)
        if here and error.errno in (errno.EROFS, errno.EACCES, errno.EPERM):
            return f"{could_not} ({error.strerror}); make the folder writable, or set RANKSCOPE_ARTIFACTS"
        return ""
    if isinstance(error, Exception) and not isinstance(error, UserError) and free_bytes(folder) < 2**20:
        return f"the disk is full: {could_not}; free some space and run the same command again"
    return ""


def free_bytes(folder: Path) -> int:
    """Return the free space in bytes on the disk of a folder, which need not exist yet."""
    return shutil.disk_usage(next(path for path in (folder, *folder.parents) if path.exists())).free


def finish_seals(under: Path) -> None:
    """Complete the replacement of all artifacts under a folder whose process was killed in the middle of it.

    Artifacts that another process is writing are skipped.
    """
    for old in list(under.rglob(".*.old")):
        folder = old.with_name(old.name.removeprefix(".").removesuffix(".old"))
        with suppress(UserError), _writing_alone(folder, folder.name):
            _finish_seal(old, folder)


def _finish_seal(old: Path, folder: Path) -> None:
    if folder.exists():  # killed while removing the old version
        shutil.rmtree(old, ignore_errors=True)
    elif old.exists():  # killed between the two renames
        old.rename(folder)


def _writing_alone(folder: Path, shown: str) -> AbstractContextManager[None]:
    return alone(folder.with_name(f".{folder.name}.lock"), f"another process is writing {shown}")


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
    # Hidden files are the key, and temporary files of an interrupted `write_text`.
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
    (partial / KEY).unlink()  # as late as possible: without it no run can resume
    shutil.rmtree(old, ignore_errors=True)
    if folder.exists():
        folder.rename(old)
    partial.rename(folder)
    shutil.rmtree(old, ignore_errors=True)


def with_own_digest(table: Mapping[str, Any]) -> str:
    """Return a table as JSON text with the digest of its other entries added."""
    plain: dict[str, Any] = json.loads(json.dumps(table))
    return json.dumps(plain | {OWN_DIGEST: value_digest(plain)}, indent=1, ensure_ascii=False) + "\n"


def fits_own_digest(table: dict[str, Any]) -> bool:
    """Remove the digest that `with_own_digest` added; return whether it was correct or absent (in earlier versions)."""
    recorded = table.pop(OWN_DIGEST, None)
    return recorded is None or recorded == value_digest(table)


def write_text(path: Path, text: str) -> None:
    """Write a text file atomically: under a temporary name, synced to disk, then renamed."""
    temporary = path.with_name(f".{path.name}.tmp")
    with temporary.open("w", encoding="utf-8", newline="\n") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)


@contextmanager
def building(folder: Path, shown: str) -> Iterator[None]:
    """Hold the lock of a collection's artifacts, so that two builds cannot write them at once.

    Args:
        shown: the name of the folder in messages.

    Raises:
        UserError: if another build holds the lock, or the disk is full or not writable.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with alone(folder / ".lock", f"another build is writing {shown}"):
            yield
    except OSError as error:
        if problem := disk_problem(error, folder, shown):
            raise UserError(problem) from error
        raise


@contextmanager
def alone(path: Path, otherwise: str) -> Iterator[None]:
    """Hold a file lock, which the operating system releases if the process is killed."""
    lock = FileLock(path)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise UserError(f"{otherwise}; wait until it has finished") from None
    try:
        yield
    finally:
        lock.release()


def remove_tree(folder: Path) -> None:
    """Remove a folder with its contents, if it exists."""
    shutil.rmtree(folder, ignore_errors=True)


def advice(artifact: Artifact) -> str:
    """Return how to fix a missing or damaged artifact, as the end of a sentence."""
    if left_out(artifact):
        return f"open an archive that includes it, or make it with {command_for(artifact)}"
    if failure := failure_of(artifact):
        return f"the last build failed to make it: {failure}; fix that and run {artifact.command}"
    return f"rebuild it with {artifact.command}"


def command_for(artifact: Artifact) -> str:
    """Return the command that makes an artifact; builds make one that an archive does not include only when asked."""
    if not left_out(artifact) or "scripts/build.py" not in artifact.command:
        return artifact.command
    stage = read_manifest(artifact).stage
    return f"{artifact.command} --only {STAGES_OF_BUILDS.get(stage, stage)}"


def failure_of(artifact: Artifact) -> str | None:
    """Return why the last build of its collection failed to make an artifact, or None if it did not.

    Another command may have made it since, so use this for missing or damaged artifacts only.
    """
    return _failures(artifact.failures).get(artifact.shown)


def record_failure(artifact: Artifact, reason: str | None) -> None:
    """Record why an artifact could not be made, or with None that it was made."""
    failures = _failures(artifact.failures)
    if failures.get(artifact.shown) == reason:
        return
    kept = {place: why for place, why in failures.items() if place != artifact.shown}
    kept |= {artifact.shown: reason} if reason else {}
    with suppress(OSError):  # if the disk is full, the build itself reports the failure
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
    """Return the versions of Python and of the installed libraries among `RECORDED_VERSIONS` and `more`."""
    installed = {"python": platform.python_version()}
    for name in (*RECORDED_VERSIONS, *more):
        try:
            installed[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return installed


def host() -> dict[str, Any]:
    """Return the kind of machine, without host or user name."""
    about = {"system": platform.system(), "machine": platform.machine(), "cores": os.cpu_count()}
    return about | {"processor": _processor()}


@lru_cache(maxsize=1)
def _processor() -> str:
    with suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or "unknown"
