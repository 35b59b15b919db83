"""Write archives of built collections; see `core.workspace.archive` for their format."""

import hashlib
import json
import os
import time
import zipfile
import zlib
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from tqdm import tqdm

from core import __version__
from core.workspace.archive import (
    ARTIFACTS,
    FORMAT,
    HUB_MODELS,
    INDEX,
    LICENSE,
    MODELS,
    PARTS,
    FileRecord,
    Index,
    ModelRecord,
    is_left_out,
    is_trained_here,
    kept_name,
    manifest_problem,
    path_problem,
    paths_problem,
    profile_problem,
)
from core.workspace.artifacts import (
    MANIFEST,
    PROFILE,
    Artifact,
    advice,
    damage,
    disk_problem,
    file_digest,
    has_its_files,
    left_out,
    read_manifest,
    with_own_digest,
)
from core.workspace.errors import UserError
from core.workspace.models import find_model, loaded_files, model_digest
from core.workspace.profile import Profile, model_settings, parse_saved, read_profile
from core.workspace.workspace import SHOWN, CollectionFolder, Workspace

BLOCK = 1 << 20


LEVEL = 1
"""Level of deflate: four times as fast as level 6, for files a tenth larger."""


LARGE = 1 << 30
"""Bytes from which a file gets ZIP64 fields, whose limit is 2 GiB."""


DISK_BYTES_PER_SECOND = 300e6
"""Speed of the disk that estimates assume."""


SAMPLE = 1 << 18
"""Bytes in the middle of a file whose compression is measured for an estimate."""


@dataclass(frozen=True)
class Member:
    """One file of an archive.

    Attributes:
        name: its path in the archive.
        source: the file, or its contents.
        size: its size in bytes.
        sha256: its digest.
        whose: the artifact that it belongs to, if any.
    """

    name: str
    source: Path | bytes
    size: int
    sha256: str
    whose: Artifact | None = None

    @property
    def is_stored(self) -> bool:
        """Whether the file is not compressed: vectors and weights shrink by a tenth at most, at 35 MB a second."""
        return self.name.endswith(".safetensors") or self.name.endswith("/vectors.npy")

    def blocks(self) -> Iterator[bytes]:
        """Yield the contents."""
        if isinstance(self.source, bytes):
            yield self.source
            return
        with self.source.open("rb") as file:
            while block := file.read(BLOCK):
                yield block


@dataclass(frozen=True)
class Contents:
    """What an archive will hold.

    Attributes:
        index: its index.
        members: its files, manifests first.
    """

    index: Index
    members: list[Member]

    @property
    def size(self) -> int:
        """The unpacked size in bytes."""
        return sum(member.size for member in self.members)


def contents(
    folder: CollectionFolder, without: Collection[str] = (), hub_models: bool = False, t5: bool = False
) -> Contents:
    """Return what an archive of a built collection holds.

    Args:
        without: the parts to leave out, keys of `PARTS`.
        hub_models: whether to include the dense systems' models that were not trained here.
        t5: whether to include the T5 that predicted queries, if it was trained here.

    Raises:
        UserError: if the collection is not built, an artifact is damaged, a model is not on this machine, or a part is
            unknown.
    """
    if unknown := [part for part in without if part not in PARTS]:
        raise UserError(f"unknown part {unknown[0]!r}; use {', '.join(PARTS)}")
    if not (folder.collection / MANIFEST).is_file():
        built = ", ".join(other.name for other in folder.workspace.collections()) or "none"
        raise UserError(f"there is no built collection {folder.name}; there are: {built}")
    profile = read_profile(str(folder.profile))
    excluded: dict[str, list[str]] = {}
    members = [_profile_member(folder)]
    if (folder / LICENSE).is_file():
        members.append(_member(f"{ARTIFACTS}/{LICENSE}", folder / LICENSE))
    for artifact in folder.artifacts():
        members += _artifact_members(artifact, f"{ARTIFACTS}/{folder.place(artifact)}", without, excluded)
    models: dict[str, ModelRecord] = {}
    for name in _model_names(folder, profile, t5):
        members += _model_members(folder, name, without, hub_models, excluded, models)
    members = list({member.name: member for member in members}.values())
    members.sort(key=lambda member: (not member.name.endswith((MANIFEST, PROFILE)), member.name))
    for member in members:
        if problem := path_problem(member.name):
            raise UserError(f"{folder.shown} cannot be packed: {problem}")
    if problem := paths_problem(member.name for member in members):
        raise UserError(f"{folder.shown} cannot be packed: {problem}")
    index = Index(
        format=FORMAT,
        rankscope=__version__,
        collection=folder.name,
        without=[part for part in PARTS if part in without],
        files={member.name: FileRecord(bytes=member.size, sha256=member.sha256) for member in members},
        left_out=excluded,
        models=models,
    )
    return Contents(index, members)


def _member(name: str, path: Path, whose: Artifact | None = None) -> Member:
    return Member(name, path, path.stat().st_size, file_digest(path), whose)


def _profile_member(folder: CollectionFolder) -> Member:
    """Return the profile, with the models' names in place of their paths on this machine."""
    name, text = f"{ARTIFACTS}/{PROFILE}", folder.profile.read_bytes()
    table = json.loads(text)
    before = json.dumps(table)
    for _, section, key in model_settings(table):
        section[key] = model_name(folder.workspace, section[key])
    if problem := profile_problem(parse_saved(table).model_dump()):
        raise UserError(f"{folder.shown}/{PROFILE} cannot be packed: {problem}")
    if json.dumps(table) != before:
        table.pop("sha256", None)
        text = with_own_digest(table).encode()
    return Member(name, text, len(text), hashlib.sha256(text).hexdigest())


def model_name(workspace: Workspace, name: str) -> str:
    """Return the name of a model on any machine: "artifacts/models/NAME", its name on the hub, or its folder's name."""
    if not name:
        return name
    if (path := workspace.model(name).path.resolve()).is_relative_to(workspace.root / MODELS):
        return f"{SHOWN}/{MODELS}/{path.name}"
    is_path = Path(name).is_absolute() or name.startswith(".") or name.count("/") > 1
    return Path(name).name if is_path and not is_trained_here(name) else name


def _artifact_members(
    artifact: Artifact, place: str, without: Collection[str], excluded: dict[str, list[str]]
) -> Iterator[Member]:
    """Yield an artifact's manifest and files, and add those that are left out to `excluded`."""
    manifest = read_manifest(artifact)
    if not has_its_files(artifact, manifest):
        raise UserError(f"{damage(artifact, manifest)}; {advice(artifact)}")
    if problem := manifest_problem(manifest):
        raise UserError(f"{artifact.shown}/{MANIFEST} cannot be packed: {problem}")
    missing = set(left_out(artifact))
    missing |= {name for name in manifest.files if is_left_out(f"{place}/{name}", without)}
    yield _member(f"{place}/{MANIFEST}", artifact / MANIFEST, artifact)
    for name, entry in manifest.files.items():
        if name not in missing:
            yield Member(f"{place}/{name}", artifact / name, entry["bytes"], entry["sha256"], artifact)
    if missing:
        excluded[place] = sorted(missing)


def _model_names(folder: CollectionFolder, profile: Profile, t5: bool) -> list[str]:
    """Return the names of the systems' models in the profile, and of the T5 if it is wanted."""
    named = [system.model for system in profile.system if system.model]
    return list(dict.fromkeys([*named, profile.doc2query.model] if t5 else named))


def _model_members(
    folder: CollectionFolder,
    name: str,
    without: Collection[str],
    hub_models: bool,
    excluded: dict[str, list[str]],
    models: dict[str, ModelRecord],
) -> Iterator[Member]:
    """Yield the files of a model that the archive includes, and record the model in `models`."""
    workspace, shown = folder.workspace, model_name(folder.workspace, name)
    found, trained = find_model(workspace, name), workspace.model(name)
    if found and (found / MANIFEST).is_file():
        trained = replace(trained, path=found)
    if is_trained_here(shown) and (trained / MANIFEST).is_file():
        place = f"{MODELS}/{trained.name}"
        yield from _artifact_members(trained, place, without, excluded)
        included = not excluded.get(place)
    else:
        included = hub_models
        if included and not found:
            raise UserError(f"the model {shown} is not on this machine; leave out --with hub-models, or pass --models")
        for path in loaded_files(found) if found and included else []:
            assert found is not None
            place = f"{HUB_MODELS}/{kept_name(shown)}"
            yield _member(f"{place}/{path.relative_to(found).as_posix()}", path)
    models[shown] = ModelRecord(sha256=_digest_of(folder, name, found), included=included)


def _digest_of(folder: CollectionFolder, name: str, found: Path | None) -> str:
    """Return the digest of a model, from what it encoded if it is not on this machine."""
    if found:
        return model_digest(found)
    profile = read_profile(str(folder.profile))
    systems = [system.name for system in profile.system if system.model == name]
    encoded = [artifact for system in systems for artifact in (folder.vectors(system), folder.sparse(system))]
    made = [read_manifest(artifact) for artifact in encoded if (artifact / MANIFEST).is_file()]
    return next((manifest.inputs["model"] for manifest in made if manifest.inputs.get("model")), "")


# Estimate


@dataclass(frozen=True)
class Estimate:
    """The estimated size of an archive in bytes, and the seconds that writing it takes."""

    bytes: float
    seconds: float


def estimate(contents: Contents) -> Estimate:
    """Estimate size and time from the compression of a sample of every large file."""
    size = seconds = 0.0
    for member in contents.members:
        sample = _sample(member)
        started = time.perf_counter()
        packed = len(sample) if member.is_stored else len(zlib.compress(sample, LEVEL))
        hashlib.sha256(sample)
        zlib.crc32(sample)
        spent = time.perf_counter() - started
        scale = member.size / max(len(sample), 1)
        size += packed * scale + 2 * len(member.name) + 200
        seconds += spent * scale
    return Estimate(size, seconds + size / DISK_BYTES_PER_SECOND)


def _sample(member: Member) -> bytes:
    if isinstance(member.source, bytes):
        return member.source
    with member.source.open("rb") as file:
        file.seek(max(0, (member.size - SAMPLE) // 2))
        return file.read(SAMPLE)


# Writing


def write_archive(contents: Contents, target: Path, replace_file: bool = False) -> int:
    """Write an archive and return its size in bytes.

    It is written under a temporary name and renamed when it is complete. Each file's digest is compared with the one in
    its manifest while it is read.

    Raises:
        UserError: if the file exists and is not to be replaced, it cannot be written, or an artifact is damaged or was
            replaced meanwhile.
    """
    if target.exists() and not (replace_file and target.is_file()):
        raise UserError(f"{target} exists; choose another file, or replace it with --replace")
    if not target.parent.is_dir():
        raise UserError(f"there is no folder {target.parent}; make it first")
    partial = target.with_name(f".{target.name}.partial")
    try:
        _write(contents, partial)
        partial.replace(target)
    except OSError as error:
        if problem := disk_problem(error, target, str(target)):
            raise UserError(problem) from error
        raise
    finally:
        partial.unlink(missing_ok=True)
    return target.stat().st_size


def _write(contents: Contents, partial: Path) -> None:
    text = with_own_digest(contents.index.model_dump()).encode()
    first = Member(INDEX, text, len(text), hashlib.sha256(text).hexdigest())
    with (
        partial.open("wb") as file,
        zipfile.ZipFile(file, "w", compresslevel=LEVEL) as archive,
        tqdm(total=contents.size, desc="pack", unit="B", unit_scale=True, unit_divisor=1000) as bar,
    ):
        _write_member(archive, first, lambda _: None)
        for member in contents.members:
            _write_member(archive, member, bar.update)
        for member in contents.members:
            if member.name.endswith(MANIFEST) and not _is_unchanged(member):
                raise _changed(member)
        archive.close()
        file.flush()
        os.fsync(file.fileno())


def _is_unchanged(member: Member) -> bool:
    try:
        return isinstance(member.source, bytes) or file_digest(member.source) == member.sha256
    except FileNotFoundError:
        return False


def _write_member(archive: zipfile.ZipFile, member: Member, count: Callable[[int], object]) -> None:
    archive.compression = zipfile.ZIP_STORED if member.is_stored else zipfile.ZIP_DEFLATED
    digest = hashlib.sha256()
    try:
        with archive.open(member.name, "w", force_zip64=member.size >= LARGE) as packed:
            for block in member.blocks():
                digest.update(block)
                packed.write(block)
                count(len(block))
    except FileNotFoundError:
        raise _changed(member) from None
    if digest.hexdigest() != member.sha256:
        raise _changed(member)


def _changed(member: Member) -> UserError:
    again = f"run the command again, or {advice(member.whose)}" if member.whose else "run the command again"
    return UserError(f"{member.name} is damaged, or was replaced while it was being packed; {again}")
