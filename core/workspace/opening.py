"""Bring archives of collections into a workspace; see `core.workspace.archive` for their format.

An archive may come from anywhere: names, sizes and digests are checked before anything is written, files are written to
a partial folder and checked against the index and their manifests, and only then moved to their places. Nothing that
exists is overwritten, except a collection that is to be replaced.
"""

import hashlib
import json
import shutil
import stat
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from pydantic import ValidationError
from tqdm import tqdm

from core.workspace.archive import (
    ARTIFACTS,
    FORMAT,
    HUB_MODELS,
    INDEX,
    MODELS,
    PARTS,
    Index,
    folders_of,
    is_model_name,
    kept_name,
    manifest_problem,
    path_problem,
    paths_problem,
    profile_problem,
)
from core.workspace.artifacts import (
    LEFT_OUT,
    MANIFEST,
    PROFILE,
    alone,
    building,
    disk_problem,
    fits_own_digest,
    free_bytes,
    left_out,
    parse_manifest,
    read_manifest,
    with_own_digest,
    write_text,
)
from core.workspace.errors import UserError
from core.workspace.models import find_model, model_digest
from core.workspace.names import collection_name_problem
from core.workspace.profile import Profile, read_profile
from core.workspace.workspace import SHOWN, CollectionFolder, Workspace

BLOCK = 1 << 20


BYTES_PER_SECOND = 150e6
"""Unpacked bytes per second that estimates assume: decompressing takes 200 MB, digests 400 to 1,500 MB a second."""


LARGEST_INDEX = 1 << 24
"""Maximum size of the index and of a manifest in bytes; the index of a collection with 100 systems is 200 KB."""


MOST_FILES = 100_000


LARGEST_RATIO = 100
"""Maximum ratio of unpacked to packed size of an archive; that of packed collections is 1 to 10."""


LARGEST_SMALL_FILE = 10_000_000
"""Unpacked size in bytes up to which the ratio does not matter."""


LARGEST_SETTINGS = 1 << 20
"""Maximum size in bytes of the config.json and tokenizer_config.json of a model."""


HERE_ALREADY = "it is on this machine already"


@dataclass(frozen=True)
class Brought:
    """What an archive brought in.

    Attributes:
        folder: the collection.
        index: the archive's index.
        models: names of the models that were brought in.
        kept: model in the archive -> why it was not brought in.
    """

    folder: CollectionFolder
    index: Index
    models: list[str] = field(default_factory=list)
    kept: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Checked:
    """An archive whose index, names and sizes were checked; its contents were not read yet."""

    path: Path
    archive: zipfile.ZipFile
    index: Index

    @property
    def bytes(self) -> int:
        """The unpacked size."""
        return sum(record.bytes for record in self.index.files.values())

    @property
    def seconds(self) -> float:
        """The estimated time to open it, in seconds."""
        return self.bytes / BYTES_PER_SECOND


@contextmanager
def opened(path: Path) -> Iterator[Checked]:
    """Open an archive and check its index, and the names and sizes of all members.

    Raises:
        UserError: if it is not an archive of `rankscope pack`, of another version of the format, damaged, or has
            members that such an archive cannot have.
    """
    if not path.is_file():
        raise UserError(f"{path}: there is no such file")
    with _reading(path):
        _check_directory_size(path)
        archive = zipfile.ZipFile(path)
    with archive:
        members = {member.filename: member for member in archive.infolist()}
        if len(members) < len(archive.infolist()):
            raise _refused(path, "it has two members of one name")
        if INDEX not in members:
            raise UserError(f"{path}: it has no {INDEX}; expected an archive that rankscope pack wrote")
        index = _read_index(path, archive, members[INDEX])
        _check_members(path, members, index)
        yield Checked(path, archive, index)


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    """Turn the exceptions of damaged zip files into a UserError."""
    try:
        yield
    except (
        zipfile.BadZipFile,
        zlib.error,
        OSError,
        EOFError,
        RuntimeError,
        NotImplementedError,
        ValueError,
        OverflowError,
        KeyError,
        IndexError,
    ) as error:
        about = " ".join(str(error).split())[:200] or type(error).__name__
        raise UserError(
            f"{path}: it is not a zip file, or is damaged or cut short ({about}); copy it again, or pack it again"
        ) from None


def _refused(path: Path, problem: str) -> UserError:
    return UserError(f"{path}: refused, as {problem}; no archive of rankscope pack is like this")


def _check_directory_size(path: Path) -> None:
    """Refuse a file whose list of members would take much memory: `zipfile` reads it at once, at 46 bytes or more each.

    Raises:
        UserError: if it has more than `MOST_FILES` members.
    """
    with path.open("rb") as file:
        size = file.seek(0, 2)
        file.seek(max(0, size - (1 << 16) - 98))
        end = file.read()
    at = end.rfind(b"PK\5\6")
    if at < 0:
        return  # not a zip file, which `zipfile` reports
    listed = int.from_bytes(end[at + 12 : at + 16], "little")
    if (at64 := end.rfind(b"PK\6\6")) >= 0:
        listed = max(listed if listed < 0xFFFFFFFF else 0, int.from_bytes(end[at64 + 40 : at64 + 48], "little"))
    if listed > MOST_FILES * 300:
        raise _refused(path, f"its list of members has {listed:,} bytes")


def _read_index(path: Path, archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> Index:
    if member.file_size > LARGEST_INDEX:
        raise _refused(path, f"its index has {member.file_size:,} bytes")
    with _reading(path), archive.open(member) as file:
        text = file.read(LARGEST_INDEX)
    try:
        table = json.loads(text)
        if not isinstance(table, dict) or not isinstance(table.get("format"), int):
            raise ValueError("it does not name the version of its format")
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path}: its {INDEX} is damaged ({error}); copy or pack it again") from None
    if table["format"] != FORMAT:
        other = "a newer" if table["format"] > FORMAT else "an older"
        raise UserError(
            f"{path}: it has format {table['format']} of {other} version of RankScope, this one reads format {FORMAT}; "
            f"{'update RankScope' if other == 'a newer' else 'pack it again'}"
        )
    if "sha256" not in table or not fits_own_digest(table):
        raise UserError(f"{path}: its {INDEX} is damaged (its sha256 does not match); copy or pack it again")
    try:
        return Index.model_validate(table)
    except (ValidationError, RecursionError) as error:
        first = error.errors()[0] if isinstance(error, ValidationError) else {"loc": (), "msg": "too deeply nested"}
        where = ".".join(str(part)[:100] for part in first["loc"])
        raise _refused(path, f"its {INDEX} is not valid ({where}: {first['msg']})") from None


def _check_members(path: Path, members: dict[str, zipfile.ZipInfo], index: Index) -> None:
    """Check that members and index name the same files, by allowed names, and that nothing expands beyond its size."""
    if problem := next(filter(None, map(path_problem, index.files)), "") or paths_problem(index.files):
        raise _refused(path, problem)
    names = set(members) - {INDEX}
    if unknown := sorted(names - set(index.files)):
        raise _refused(path, f"its index does not list {unknown[0][:200]!r}")
    if missing := sorted(set(index.files) - names):
        raise UserError(f"{path}: {missing[0]} is missing in it; copy or pack it again")
    for name, member in members.items():
        mode = member.external_attr >> 16
        if member.is_dir() or (stat.S_IFMT(mode) and not stat.S_ISREG(mode)):
            raise _refused(path, f"{name} is not a file")
        if member.flag_bits & 1 or member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise _refused(path, f"{name} is encrypted or compressed in another way")
        if name != INDEX and member.file_size != index.files[name].bytes:
            raise _refused(path, f"{name} has {member.file_size:,} bytes, but {index.files[name].bytes:,} in the index")
        if member.file_size > max(LARGEST_SMALL_FILE, LARGEST_RATIO * member.compress_size):
            raise _refused(path, f"{name} unpacks from {member.compress_size:,} to {member.file_size:,} bytes")
    if sum(member.compress_size for member in members.values()) > path.stat().st_size:
        raise _refused(path, "its members overlap")
    if problem := collection_name_problem(index.collection):
        raise _refused(path, problem)
    if f"{ARTIFACTS}/{PROFILE}" not in members or f"{ARTIFACTS}/collection/{MANIFEST}" not in members:
        raise _refused(path, "it has no profile or no collection")
    if unknown := [part for part in index.without if part not in PARTS]:
        raise _refused(path, f"it leaves out {unknown[0][:100]!r}, which is not a part")
    if unknown := [name for name in index.models if not is_model_name(name)]:
        raise _refused(path, f"{unknown[0][:100]!r} is not the name of a model")


# Bringing it in


def open_archive(workspace: Workspace, checked: Checked, name: str = "", replace_collection: bool = False) -> Brought:
    """Bring a collection and its models into a workspace.

    Args:
        name: the collection's name here; "" for its name in the archive.
        replace_collection: whether to replace a collection of that name.

    Raises:
        UserError: if the name is taken or cannot be used, the disk is too small, or a file or manifest does not match;
            nothing has been changed then.
    """
    name = name or checked.index.collection
    _check_name(workspace, name, replace_collection)
    needed, free = checked.bytes, free_bytes(workspace.root)
    if needed > free:
        raise UserError(f"{checked.path} unpacks to {needed:,} bytes, but only {free:,} are free in {workspace.root}")
    folder = workspace.collection(name)
    partial, is_mine = workspace.root / f".{name}.partial", False
    try:
        partial.mkdir(parents=True, exist_ok=True)
        with alone(partial / ".lock", f"another process is opening an archive as {name}"):
            is_mine = True
            try:
                _put_back(partial, folder)
                _check_name(workspace, name, replace_collection)
                new = partial / "new"
                _extract(checked, new)
                profile = _check_contents(checked, new)
                _name_here(new / ARTIFACTS, folder, profile, checked.index.collection)
                for place, names in checked.index.left_out.items():
                    write_text(new / place / LEFT_OUT, json.dumps(names, indent=1) + "\n")
                return _move_in(workspace, checked.index, new, folder, partial)
            finally:
                _put_back(partial, folder)
    except OSError as error:
        if problem := disk_problem(error, folder.path, folder.shown):
            raise UserError(problem) from error
        raise
    finally:
        if is_mine:
            shutil.rmtree(partial, ignore_errors=True)


def _check_name(workspace: Workspace, name: str, replace_collection: bool) -> None:
    if name.lower() == "sample":
        raise UserError('the name "sample" is reserved for the embedded sample; choose another one with --name')
    if problem := collection_name_problem(name):
        raise UserError(f"{problem}; choose another one with --name")
    taken = {path.name.lower(): path.name for path in workspace.root.glob("*")}.get(name.lower())
    if taken and not (replace_collection and taken == name):
        raise UserError(
            f"{SHOWN}/{taken} exists; open the archive as another collection with --name NAME, or replace this one "
            "with --replace"
        )


def _put_back(partial: Path, folder: CollectionFolder) -> None:
    """Undo what an interrupted replacement left, and empty the partial folder."""
    old = partial / "old"
    if old.exists() and not folder.path.exists():
        old.rename(folder.path)
    for leftover in (old, partial / "new"):
        shutil.rmtree(leftover, ignore_errors=True)


def _extract(checked: Checked, new: Path) -> None:
    """Write all files, manifests first, each compared with its size and digest in the index."""
    order = sorted(checked.index.files, key=lambda name: (not name.endswith((MANIFEST, PROFILE)), name))
    with tqdm(total=checked.bytes, desc="open", unit="B", unit_scale=True, unit_divisor=1000) as bar:
        for name in order:
            target = new / name
            target.parent.mkdir(parents=True, exist_ok=True)
            with target.open("xb") as file:
                for block in _blocks(checked, name):
                    file.write(block)
                    bar.update(len(block))


def _blocks(checked: Checked, name: str) -> Iterator[bytes]:
    """Yield a member's contents; raise a UserError at the end if its size or digest is not the one in the index."""
    record, digest, size = checked.index.files[name], hashlib.sha256(), 0
    with _reading(checked.path):
        file = checked.archive.open(name)
    with file:
        while True:
            with _reading(checked.path):
                block = file.read(BLOCK)
            size += len(block)
            if not block or size > record.bytes:
                break
            digest.update(block)
            yield block
    if size != record.bytes or digest.hexdigest() != record.sha256:
        raise UserError(f"{checked.path}: {name} is damaged (its SHA-256 is not the one in {INDEX}); copy it again")


def _check_contents(checked: Checked, new: Path) -> Profile:
    """Check manifests against files and index, arrays, and the profile, and return the profile."""
    path, index = checked.path, checked.index
    folders = folders_of(index.files)
    if unknown := [place for place in index.left_out if place not in folders]:
        raise _refused(path, f"{unknown[0][:200]!r} is not an artifact in it")
    for place, names in folders.items():
        if not place.startswith(f"{HUB_MODELS}/"):
            _check_manifest(path, index, place, names, new)
    for name in index.files:
        if problem := _file_problem(new / name):
            raise _refused(path, f"{name} {problem}")
    kept = {kept_name(name): name for name, model in index.models.items() if model.included}
    for source in (new / HUB_MODELS).glob("*"):
        if source.name not in kept or _digest(source) != index.models[kept[source.name]].sha256:
            raise _refused(path, f"{HUB_MODELS}/{source.name} is not a model of its index")
    saved = new / ARTIFACTS / PROFILE
    try:
        profile = read_profile(str(saved))
    except UserError as error:
        raise _refused(path, f"its profile cannot be read ({error})") from None
    if problem := profile_problem(profile.model_dump()):
        raise _refused(path, f"in its profile {problem}")
    if profile.collection.name != index.collection:
        raise _refused(path, f"its profile is that of {profile.collection.name}")
    return profile


def _file_problem(file: Path) -> str:
    """Return why a file of an archive is not accepted, "" if it is."""
    if file.name.endswith(".npy"):
        try:
            np.load(file, mmap_mode="r", allow_pickle=False)
        except (ValueError, OSError, EOFError) as error:
            return f"is not an array of numbers ({' '.join(str(error).split())[:100]})"
    if file.name in ("config.json", "tokenizer_config.json"):
        with suppress(ValueError, RecursionError):
            if file.stat().st_size > LARGEST_SETTINGS or "auto_map" in json.loads(file.read_text(encoding="utf-8")):
                return "asks for code of its own"
    return ""


def _digest(model: Path) -> str:
    try:
        return model_digest(model)
    except UserError:
        return ""


def _check_manifest(path: Path, index: Index, place: str, names: list[str], new: Path) -> None:
    """Check a manifest: its form, and that it lists exactly the files that are included or left out."""
    file = new / place / MANIFEST
    if not file.is_file() or file.stat().st_size > LARGEST_INDEX:
        raise _refused(path, f"{place} has no manifest of a sensible size")
    try:
        manifest = parse_manifest(file.read_bytes())
        problem = manifest_problem(manifest)
    except (ValueError, TypeError, RecursionError, KeyError, AttributeError) as error:
        problem = " ".join(str(error).split())[:200]
    if problem:
        raise _refused(path, f"{place}/{MANIFEST} is not a manifest ({problem})")
    missing = index.left_out.get(place, [])
    if len(set(missing)) < len(missing) or sorted([*names, *missing]) != sorted(manifest.files):
        raise _refused(path, f"{place}/{MANIFEST} does not list the files of {place}")
    for name in names:
        record, entry = index.files[f"{place}/{name}"], manifest.files[name]
        if entry["bytes"] != record.bytes or entry["sha256"] != record.sha256:
            raise _refused(path, f"{place}/{MANIFEST} and the index have different digests of {name}")


def _name_here(new: Path, folder: CollectionFolder, profile: Profile, before: str) -> None:
    """Give the collection its name here, in the profile and in the commands of manifests."""
    if folder.name == before:
        return
    table = json.loads((new / PROFILE).read_text(encoding="utf-8"))
    table.pop("sha256", None)
    table["collection"]["name"] = folder.name
    write_text(new / PROFILE, with_own_digest(table))
    # The commands of a build need the profile's new name; those of imports name files that are not here.
    for file in [*new.glob(f"*/{MANIFEST}"), *new.glob(f"*/*/{MANIFEST}")]:
        manifest = parse_manifest(file.read_bytes())
        artifact = folder.artifact(file.parent.relative_to(new).as_posix())
        write_text(file, with_own_digest(vars(replace(manifest, command=artifact.command))))


def _move_in(workspace: Workspace, index: Index, new: Path, folder: CollectionFolder, partial: Path) -> Brought:
    """Move models and collection to their places, the collection last; on an error move the models back."""
    brought, moved = Brought(folder, index), []
    targets = [(source, workspace.root / MODELS / source.name) for source in sorted((new / MODELS).glob("*"))]
    targets += [(source, workspace.downloads / source.name) for source in sorted((new / HUB_MODELS).glob("*"))]
    try:
        for source, target in targets:
            shown = source.relative_to(new).as_posix()
            if problem := _kept_because(workspace, index, source, target):
                brought.kept[shown] = problem
                continue
            if target.exists():  # the same model without its weights, see `_kept_because`
                moved.append((target, partial / f"before-{source.name}"))
                target.rename(partial / f"before-{source.name}")
            target.parent.mkdir(parents=True, exist_ok=True)
            moved.append((source, target))
            source.rename(target)
            brought.models.append(shown)
        if folder.path.exists():
            with building(folder.path, folder.shown):
                pass  # no build is writing it
            folder.path.rename(partial / "old")
        (new / ARTIFACTS).rename(folder.path)
    except BaseException:
        for before, after in reversed(moved):
            if after.exists() and not before.exists():
                after.rename(before)
        raise
    return brought


def _kept_because(workspace: Workspace, index: Index, source: Path, target: Path) -> str:
    """Return why a model is not brought in, "" if it is: one that is on this machine is never overwritten."""
    other = "another model of this name is on this machine: systems with it answer no new queries"
    if source.parent.name == HUB_MODELS:
        name = next(name for name in index.models if kept_name(name) == source.name)
        if found := find_model(workspace, name):
            return HERE_ALREADY if _digest(found) == index.models[name].sha256 else other
        return other if target.exists() else ""
    if not target.exists():
        return ""
    if _manifest_digest(target) != read_manifest(source).digest:
        return other
    return "" if left_out(target) and not left_out(source) else HERE_ALREADY


def _manifest_digest(model: Path) -> str:
    try:
        return read_manifest(model).digest
    except UserError:
        return ""
