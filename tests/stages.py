"""Run one stage on one system, as the tests of what the stages make need it."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from core.workspace.artifacts import Artifact
from core.workspace.estimates import Cost
from core.workspace.profile import Profile, SystemSettings
from core.workspace.stage import Build, Stage, Target
from core.workspace.workspace import CollectionFolder, Workspace


def make(
    stage: Stage[Any], profile: Profile, folder: CollectionFolder, system: SystemSettings | None = None, **options: Any
) -> Artifact:
    """Make a stage's artifact of a system, or its only artifact.

    Args:
        system: its settings, which may be others than the profile's system of that name has.
        options: fields of `Build`.
    """
    build = Build(profile, folder, **({"device": "cpu"} | options))
    if system is None:
        return stage.run_all(build)[0]
    target = next(target for target in stage.targets(build) if target.artifact.name.startswith(system.name))
    return stage.run(build, replace(target, subject=system))


def folder_at(path: Path) -> CollectionFolder:
    """Return a path as the folder of a collection's artifacts, in a workspace of its parent."""
    return Workspace(path.parent, checkout=path.parent.parent).collection(path.name)


def fail_stage(monkeypatch: pytest.MonkeyPatch, stage: str, artifact: str, error: BaseException) -> None:
    """Make a stage raise an error where it would make the artifact of a name."""
    run = Stage.run

    def failing(self: Stage[Any], build: Build, target: Target[Any], cost: Cost | None = None) -> Artifact:
        if (self.name, target.artifact.name) == (stage, artifact):
            raise error
        return run(self, build, target, cost)

    monkeypatch.setattr(Stage, "run", failing)
