"""The list of a collection's artifacts: state and reason, size, and the command that rebuilds each."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from core import ann, diagnose, doc2query, tune
from core.plan import NOT_INCLUDED, UP_TO_DATE, Step, steps
from core.workspace.artifacts import (
    MANIFEST,
    Artifact,
    Manifest,
    command_for,
    damage_of_included,
    failure_of,
    not_included,
    read_manifest,
)
from core.workspace.errors import UserError
from core.workspace.profile import Profile
from core.workspace.stage import Build, Target
from core.workspace.workspace import CollectionFolder


@dataclass(frozen=True)
class Entry:
    """One artifact.

    `place` is its folder as displayed; `state` is "up to date", "stale", "missing", "not included" (in the archive that
    it came from) or "outside this profile", and `reason` says why; `bytes` is its size on disk; `manifest` is None if
    it cannot be read.
    """

    place: str
    stage: str
    state: str
    reason: str
    bytes: int
    command: str
    manifest: Manifest | None


def inventory(profile: Profile, folder: CollectionFolder) -> list[Entry]:
    """Return the artifacts of `profile` under `folder` in build order, imported ones included, then all others.

    Of the models that were trained here, those that a system uses are listed.

    Every file is read once and compared with the digest in its manifest.
    """
    build = Build(profile, folder)
    every = [*steps(build), *_made_on_demand(build)]
    last = {step.artifact: step for step in reversed(every)}  # the measures are planned after every run
    planned = [_planned(step) for step in reversed(last.values())]
    known = {entry.place for entry in planned}
    names = {system.name for system in profile.system} | {"collection", "doc2query", "measures"}
    others = [_other(artifact, names) for artifact in folder.artifacts()]
    used = {system.model for system in profile.system}
    models = [model for model in folder.workspace.models() if model.shown in used and (model / MANIFEST).is_file()]
    others = [entry for entry in [*others, *(_other(model, None) for model in models)] if entry.place not in known]
    # The measures come after all runs, the imported ones included.
    imported = [entry for entry in others if entry.stage == "import_runs"]
    before = next((place for place, entry in enumerate(planned) if entry.stage == "evaluate"), len(planned))
    rest = [entry for entry in others if entry not in imported]
    return [*planned[:before], *imported, *planned[before:], *rest]


def _made_on_demand(build: Build) -> Iterator[Step]:
    """Yield a step for every existing artifact that no build makes: sweeps over simulated documents, curves."""
    for system in build.dense:
        for artifact in build.folder.simulated_sweeps(system.name):
            size = int(artifact.name.rpartition("-")[2])
            yield Step(ann.STAGE, replace(build, size=size), Target(artifact, system))
    for stage in (tune.STAGE, diagnose.STAGE):
        yield from (Step(stage, build, target) for target in stage.targets(build) if target.artifact.path.exists())
    if build.folder.expansion_curve.path.exists():
        yield from (Step(doc2query.CURVE, build, target) for target in doc2query.CURVE.targets(build))


def _planned(step: Step) -> Entry:
    artifact, reason = step.artifact, step.stale()
    state = UP_TO_DATE if reason is None else "missing" if not artifact.path.exists() else "stale"
    if reason is None and (reason := not_included(artifact)):
        state = NOT_INCLUDED
    if reason and (failure := failure_of(artifact)):
        reason = f"{reason}; the last build failed to make it: {failure}"
    size, manifest = _size(artifact.path), _manifest(artifact)
    return Entry(artifact.shown, step.stage.name, state, reason or "", size, command_for(artifact), manifest)


def _other(artifact: Artifact, names: set[str] | None) -> Entry:
    """Describe an artifact that the build does not make: an imported run or collection, a model, or a leftover.

    Args:
        names: the names that artifacts of this profile may have, None for any name.
    """
    manifest = _manifest(artifact)
    reason = damage_of_included(artifact, manifest) if manifest else "its manifest is damaged"
    state = "stale" if reason else UP_TO_DATE
    if not reason and (reason := not_included(artifact)):
        state = NOT_INCLUDED
    if not reason and names is not None and artifact.name not in names:
        state, reason = "outside this profile", "no system of the profile uses it; its folder can be deleted"
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
