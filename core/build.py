"""Builds: plan which artifacts are stale and why, and make them in the order of the data."""

import sys
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from core import collection
from core.stages import STAGES
from core.workspace import command_line
from core.workspace.artifacts import Artifact, building, finish_seals, read_manifest, record_failure
from core.workspace.errors import UserError, in_words
from core.workspace.models import find_model, where_to_put
from core.workspace.stage import Build, Stage, Target

ERRORS = "errors.log"
"""Beside a collection's artifacts: the tracebacks of the last build's unexpected exceptions."""


@dataclass(frozen=True)
class Step:
    """One artifact of the plan."""

    stage: Stage[Any]
    build: Build
    target: Target[Any]

    @property
    def artifact(self) -> Artifact:
        """The artifact."""
        return self.target.artifact

    def stale(self) -> str | None:
        """Say why the artifact must be made again, or None."""
        return self.stage.stale(self.build, self.target)

    def make(self) -> None:
        """Make it."""
        try:
            self.stage.run(self.build, self.target)
        except UserError as error:
            if not self.stage.trains:
                raise
            provided = where_to_put(self.artifact.name)
            raise UserError(f"{error}; or, to use a model that is trained already, {provided}") from None


def steps(build: Build) -> Iterator[Step]:
    """Yield the steps of a build in the order of the data.

    Raises:
        UserError: the profile has no system of one of the build's names.
    """
    for stage in STAGES:
        if stage.in_build(build):
            yield from (Step(stage, build, target) for target in stage.targets(build))


@dataclass(frozen=True)
class Outcome:
    """The result of a step: "made", "fresh", "failed" with the reason, or "skipped" with what failed before it."""

    step: Step
    result: str
    seconds: float = 0.0
    reason: str = ""


def run_build(
    build: Build,
    only: str | None = None,
    force: bool = False,
    say: Callable[[str], None] = print,
    without: Sequence[str] = (),
    replace_source: bool = False,
) -> list[Outcome]:
    """Print the plan, make what is stale (with `force`, everything but trained models), return what came of it.

    A step that fails with any exception stops only the steps that need its artifact. The traceback of an exception
    other than UserError is written to the file `ERRORS` beside the artifacts. All systems that have a run are
    evaluated, whichever are built.

    Args:
        only: run this stage only.
        without: leave out these stages.
        replace_source: build even where the artifacts are those of a collection of another source, whose imported runs
            do not stay.

    Raises:
        UserError: a stage or a system is not known, the artifacts are of another source's collection, another build is
            at work, or the collection itself cannot be built.
    """
    names, folder = [stage.name for stage in STAGES], build.folder
    for stage in [*([only] if only else []), *without]:
        if stage not in names:
            raise UserError(f"there is no stage {stage!r}; the stages are {', '.join(names)}")
    other = collection.other_source(build.profile.collection, folder)
    if other and not replace_source:
        raise UserError(other)
    if not other:
        build = replace(build, profile=command_line.with_imported_runs(build.profile, folder))
    chosen = [step for step in steps(build) if only in (None, step.stage.name) and step.stage.name not in without]
    say(f"Plan for {folder.shown}:")
    stale_before = False
    for step in chosen:
        reason = _reason(step, only, force)
        verdict, why = ("make ", f": {reason}") if reason else ("fresh", "")
        if stale_before and not reason and not step.stage.trains:
            verdict, why = "check", ": fresh, unless a step above changes what it is made from"
        stale_before = stale_before or reason is not None
        say(f"  {verdict}  {step.stage.name:<16}{step.artifact.shown}{why}")
    outcomes = []
    with building(folder.path, folder.shown):
        before = folder.profile.read_bytes() if folder.profile.is_file() else None
        command_line.save_profile(build.profile, folder)
        finish_seals(folder.path)
        finish_seals(folder.workspace.root / "models")
        (folder / ERRORS).unlink(missing_ok=True)
        causes: dict[Artifact, Outcome] = {}
        for step in chosen:
            try:
                outcome = _run(step, causes, only, force)
            except Exception:  # of the collection: the one that is there stays, with the profile that made it
                folder.profile.write_bytes(before) if before is not None else folder.profile.unlink()
                raise
            outcomes.append(outcome)
            if outcome.result in ("failed", "skipped"):
                say(f"  {outcome.result}  {step.stage.name} {step.artifact.name}: {outcome.reason}")
    return outcomes


def _run(step: Step, causes: dict[Artifact, Outcome], only: str | None, force: bool) -> Outcome:
    """Make a step's artifact where it is stale, and return what came of it.

    Args:
        causes: artifact -> the step that failed first, for those that are not made; one that is not is added.
    """
    # Asked now: an earlier step may have changed what this one is made from.
    if not _reason(step, only, force):
        record_failure(step.artifact, None)
        return Outcome(step, "fresh")
    if cause := next((causes[artifact] for artifact in step.target.needs if artifact in causes), None):
        causes[step.artifact] = cause
        failed = f"{cause.step.stage.name} {cause.step.artifact.name}"
        record_failure(step.artifact, f"{failed} failed: {cause.reason}")
        return Outcome(step, "skipped", reason=f"not made, because {failed} failed")
    started = time.perf_counter()
    try:
        step.make()
    except Exception as error:
        if step.stage is collection.STAGE:
            raise
        reason = in_words(error) if isinstance(error, UserError) else _keep_traceback(step, error)
        causes[step.artifact] = outcome = Outcome(step, "failed", time.perf_counter() - started, reason)
        record_failure(step.artifact, reason)
        return outcome
    record_failure(step.artifact, None)
    return Outcome(step, "made", time.perf_counter() - started)


def _keep_traceback(step: Step, error: Exception) -> str:
    """Write the traceback of an unexpected exception, and return a sentence that says where it is."""
    folder = step.build.folder
    try:
        with (folder / ERRORS).open("a", encoding="utf-8") as file:
            trace = "".join(traceback.format_exception(error))
            file.write(f"{step.stage.name} {step.artifact.name}\n{trace}\n")
    except OSError:
        return in_words(error)
    return f"{in_words(error)} (traceback: {folder.shown}/{ERRORS})"


def _reason(step: Step, only: str | None, force: bool) -> str | None:
    reason = step.stale()
    if reason or not force:
        return reason
    if step.stage.trains and only != step.stage.name:
        return None
    if step.stage.name == "doc2query" and _model_of(step) is None:
        return None
    return "--force"


def _model_of(step: Step) -> Path | None:
    """Return the folder of the T5 that predicted the queries of a step, None where it is not on this machine."""
    facts = read_manifest(step.artifact).facts
    return find_model(step.build.folder.workspace, str(facts.get("model", "")))


def peak_memory_gibibytes() -> float | None:
    """Return the most memory that this process has held at once, None where the system does not say."""
    try:
        import resource
    except ImportError:  # Windows
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (2**30 if sys.platform == "darwin" else 2**20)
