"""What artifacts a collection has: fresh or stale and why, how large, and the command that makes each again."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from core.build import steps
from core.evaluation.ann_sweep import simulated_sweeps
from core.workspace.artifacts import MANIFEST, ROOT, Manifest, damage, failure_of, read_manifest, rebuild_command, shown
from core.workspace.errors import UserError
from core.workspace.profile import Profile

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


def inventory(profile: Profile, folder: Path) -> list[Entry]:
    """Return the artifacts of the build of `profile` under `folder` in the order of the data, then what else is there.

    Every file is read once and compared with its manifest's digest.
    """
    planned = [_planned(step.stage, step.target, step.stale(), folder) for step in steps(profile, folder, "auto")]
    planned += [_planned("ann", target, reason, folder) for target, reason in simulated_sweeps(profile, folder)]
    known = {entry.place for entry in planned}
    models = sorted(path.parent for path in (ROOT / profile.finetune.model).parent.glob(f"*/{MANIFEST}"))
    names = {system.name for system in profile.system} | {"collection", "doc2query", "measures"}
    others = [_other(path, names) for path in _found(folder)] + [_other(path, None) for path in models]
    return planned + [entry for entry in others if entry.place not in known]


def _found(folder: Path) -> Iterator[Path]:
    for path in sorted([*folder.glob(f"*/{MANIFEST}"), *folder.glob(f"*/*/{MANIFEST}")]):
        if not any(part.startswith(".") for part in path.relative_to(folder).parts):
            yield path.parent


def _planned(stage: str, target: Path, reason: str | None, folder: Path) -> Entry:
    state = FRESH if reason is None else "missing" if not target.exists() else "stale"
    if reason and (failure := failure_of(target, folder)):
        reason = f"{reason}; the last build could not make it: {failure}"
    return Entry(shown(target), stage, state, reason or "", _size(target), rebuild_command(target), _manifest(target))


def _other(path: Path, names: set[str] | None) -> Entry:
    """Describe what the build does not make: imported runs and judgments, models that are used as they are, leftovers.

    Args:
        names: what an artifact of this collection may be called, None for any name.
    """
    manifest = _manifest(path)
    reason = damage(path, manifest) if manifest else "its manifest is damaged"
    state = "stale" if reason else FRESH
    if not reason and names is not None and path.name not in names:
        state, reason = "not of this build", "no system of the profile uses it; its folder may be deleted"
    command = rebuild_command(path, manifest.stage, manifest.settings) if manifest else rebuild_command(path)
    return Entry(shown(path), manifest.stage if manifest else "", state, reason or "", _size(path), command, manifest)


def _manifest(path: Path) -> Manifest | None:
    try:
        return read_manifest(path)
    except UserError:
        return None


def _size(path: Path) -> int:
    return sum(file.stat().st_size for file in path.rglob("*") if file.is_file())
