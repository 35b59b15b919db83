"""What artifacts a collection has: fresh or stale and why, how large, and the command that makes each again."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from core import ann
from core.build import Step, steps
from core.workspace.artifacts import MANIFEST, Artifact, Manifest, damage, failure_of, read_manifest
from core.workspace.errors import UserError
from core.workspace.profile import Profile
from core.workspace.stage import Build, Target
from core.workspace.workspace import CollectionFolder

FRESH = "fresh"


@dataclass(frozen=True)
class Entry:
    """One artifact.

    `place` is its folder as it is shown; `state` is "fresh", "stale", "missing" or "not of this build", `reason` says
    why; `bytes` is its size on disk; `manifest` is None where there is none that can be read.
    """

    place: str
    stage: str
    state: str
    reason: str
    bytes: int
    command: str
    manifest: Manifest | None


def inventory(profile: Profile, folder: CollectionFolder) -> list[Entry]:
    """Return the artifacts of the build of `profile` under `folder` in the order of the data, then what else is there.

    Every file is read once and compared with its manifest's digest.
    """
    build = Build(profile, folder)
    planned = [_planned(step) for step in [*steps(build), *_simulated_sweeps(build)]]
    known = {entry.place for entry in planned}
    names = {system.name for system in profile.system} | {"collection", "doc2query", "measures"}
    others = [_other(artifact, names) for artifact in folder.artifacts()]
    others += [_other(model, None) for model in folder.workspace.models() if (model / MANIFEST).is_file()]
    return planned + [entry for entry in others if entry.place not in known]


def _simulated_sweeps(build: Build) -> Iterator[Step]:
    """Yield a step for every sweep over simulated documents that was made; a build makes none."""
    for system in build.dense:
        for artifact in build.folder.simulated_sweeps(system.name):
            size = int(artifact.name.rpartition("-")[2])
            yield Step(ann.STAGE, replace(build, size=size), Target(artifact, system))


def _planned(step: Step) -> Entry:
    artifact, reason = step.artifact, step.stale()
    state = FRESH if reason is None else "missing" if not artifact.path.exists() else "stale"
    if reason and (failure := failure_of(artifact)):
        reason = f"{reason}; the last build could not make it: {failure}"
    size, manifest = _size(artifact.path), _manifest(artifact)
    return Entry(artifact.shown, step.stage.name, state, reason or "", size, artifact.command, manifest)


def _other(artifact: Artifact, names: set[str] | None) -> Entry:
    """Describe what the build does not make: imported runs and judgments, models that are used as they are, leftovers.

    Args:
        names: what an artifact of this collection may be called, None for any name.
    """
    manifest = _manifest(artifact)
    reason = damage(artifact, manifest) if manifest else "its manifest is damaged"
    state = "stale" if reason else FRESH
    if not reason and names is not None and artifact.name not in names:
        state, reason = "not of this build", "no system of the profile uses it; its folder may be deleted"
    command = manifest.command if manifest else artifact.command
    stage, size = manifest.stage if manifest else "", _size(artifact.path)
    return Entry(artifact.shown, stage, state, reason or "", size, command, manifest)


def _manifest(artifact: Artifact) -> Manifest | None:
    try:
        return read_manifest(artifact)
    except UserError:
        return None


def _size(path: Path) -> int:
    return sum(file.stat().st_size for file in path.rglob("*") if file.is_file())
