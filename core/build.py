"""Plan and run a build: determine which artifacts are stale and why, and make them in order."""

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
from core.workspace.artifacts import Artifact, building, finish_seals, not_included, read_manifest, record_failure
from core.workspace.errors import UserError, in_words
from core.workspace.models import find_model, where_to_put
from core.workspace.stage import Build, Stage, Target

ERRORS = "errors.log"
"""File in a collection's folder with the tracebacks of unexpected exceptions in the last build."""


@dataclass(frozen=True)
class Step:
    """One artifact in the build plan."""

    stage: Stage[Any]
    build: Build
    target: Target[Any]

    @property
    def artifact(self) -> Artifact:
        """The artifact."""
        return self.target.artifact

    def stale(self) -> str | None:
        """Return why the artifact is stale, or None if it is up to date."""
        return self.stage.stale(self.build, self.target)

    def make(self) -> None:
        """Make the artifact."""
        try:
            self.stage.run(self.build, self.target)
        except UserError as error:
            if not self.stage.trains:
                raise
            provided = where_to_put(self.artifact.name)
            raise UserError(f"{error}; or, to use a model that is already trained, {provided}") from None


def steps(build: Build) -> Iterator[Step]:
    """Yield the steps of a build, each after the steps that it depends on.

    Raises:
        UserError: if the profile does not have one of the build's systems.
    """
    for stage in STAGES:
        if stage.in_build(build):
            yield from (Step(stage, build, target) for target in stage.targets(build))


@dataclass(frozen=True)
class Outcome:
    """The result of a step: "made", "fresh", "failed" (with the reason), or "skipped" (with the cause)."""

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
    """Print the plan, make all stale artifacts (with `force`, all except trained models), and return the outcomes.

    If a step fails, with any exception, only the steps that need its artifact are skipped. The traceback of an
    exception other than a UserError is written to the file `ERRORS` in the collection's folder. All systems with a run
    are evaluated, not only those in this build.

    Args:
        only: the only stage to run; None for all.
        without: stages to leave out.
        replace_source: build even if the existing artifacts are of a collection from another source, and discard its
            imported runs.

    Raises:
        UserError: if a stage or a system is unknown, the artifacts are of a collection from another source, another
            build is running, or the collection itself cannot be built.
    """
    names, folder = [stage.name for stage in STAGES], build.folder
    for stage in [*([only] if only else []), *without]:
        if stage not in names:
            raise UserError(f"unknown stage {stage!r}; use one of {', '.join(names)}")
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
            verdict, why = "check", ": fresh, unless a step above changes its inputs"
        if not reason and (absent := not_included(step.artifact)):
            verdict, why = "none ", f": {absent}; make it with --only {step.stage.name}"
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
            except Exception:  # in the collection: keep the existing one, and its profile
                folder.profile.write_bytes(before) if before is not None else folder.profile.unlink()
                raise
            outcomes.append(outcome)
            if outcome.result in ("failed", "skipped"):
                say(f"  {outcome.result}  {step.stage.name} {step.artifact.name}: {outcome.reason}")
    return outcomes


def _run(step: Step, causes: dict[Artifact, Outcome], only: str | None, force: bool) -> Outcome:
    """Make the artifact of a step if it is stale, and return the outcome.

    Args:
        causes: artifacts that could not be made -> the failure that caused this; this step's is added if it fails.
    """
    # Checked again, as an earlier step may have changed the inputs.
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
    """Append the traceback of an unexpected exception to `ERRORS`, and return a sentence that refers to it."""
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
    if only == step.stage.name:
        reason = reason or not_included(step.artifact) or None
    if reason or not force:
        return reason
    if step.stage.trains and only != step.stage.name:
        return None
    if step.stage.name == "doc2query" and step.target.subject.generates and _model_of(step) is None:
        return None
    return "--force"


def _model_of(step: Step) -> Path | None:
    """Return the folder of the T5 that predicted the queries of a step, or None if it is not on this machine."""
    facts = read_manifest(step.artifact).facts
    return find_model(step.build.folder.workspace, str(facts.get("model", "")))


def peak_memory_gibibytes() -> float | None:
    """Return the peak memory of this process in GiB, or None if the operating system does not report it."""
    try:
        import resource
    except ImportError:  # Windows
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (2**30 if sys.platform == "darwin" else 2**20)
