"""Run a build: print its plan, make what is stale in order, and report times, memory and failures."""

import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from core import collection
from core.plan import UP_TO_DATE, Plan, Planned, Step, leave_out, make_plan, steps
from core.stages import STAGES
from core.workspace import command_line
from core.workspace.artifacts import Artifact, building, finish_seals, not_included, read_manifest, record_failure
from core.workspace.errors import UserError, in_words
from core.workspace.estimates import Pace, in_bytes, in_time
from core.workspace.memory import peak_bytes, reset_peak
from core.workspace.models import find_model
from core.workspace.stage import Build
from core.workspace.workspace import CollectionFolder

ERRORS = "errors.log"
"""File in a collection's folder with the tracebacks of unexpected exceptions in the last build."""


@dataclass(frozen=True)
class Outcome:
    """What became of an artifact.

    Attributes:
        step: the step that made it, or would have.
        result: "made", "up to date", "failed" or "skipped".
        seconds: the time that it took; the sum, for the measures, which are made after every run.
        reason: why it failed or was skipped.
        estimate: the estimated time in seconds, None if there was none.
        peak: peak memory in bytes, None if it was not made or that is unknown.
    """

    step: Step
    result: str
    seconds: float = 0.0
    reason: str = ""
    estimate: float | None = None
    peak: int | None = None

    def after(self, earlier: "Outcome | None") -> "Outcome":
        """Return the outcome of making the artifact twice in a build."""
        if earlier is None or earlier.result not in ("made", "failed"):
            return self
        if self.result == UP_TO_DATE:
            return earlier
        estimates = [e for e in (earlier.estimate, self.estimate) if e is not None]
        peaks = [p for p in (earlier.peak, self.peak) if p is not None]
        return replace(
            self,
            seconds=earlier.seconds + self.seconds,
            estimate=sum(estimates) if estimates else None,
            peak=max(peaks, default=None),
        )


@dataclass(frozen=True)
class Options:
    """What a build makes.

    Attributes:
        only: the only stage to run; "" for all.
        force: whether to make artifacts that are up to date, too, except trained models.
        without: stages to leave out.
        replace_source: whether to build even if the existing artifacts are of a collection from another source, and
            discard its imported runs.
    """

    only: str = ""
    force: bool = False
    without: Sequence[str] = ()
    replace_source: bool = False


def plan_build(build: Build, options: Options) -> tuple[Build, Plan]:
    """Return a build with its imported runs, and its plan; nothing is written.

    Raises:
        UserError: if a stage or a system is unknown, the artifacts are of a collection from another source, or the
            collection is left out and does not exist.
    """
    names, folder = [stage.name for stage in STAGES], build.folder
    for stage in [*([options.only] if options.only else []), *options.without]:
        if stage not in names:
            raise UserError(f"unknown stage {stage!r}; use one of {', '.join(names)}")
    other = collection.other_source(build.profile.collection, folder)
    if other and not options.replace_source:
        raise UserError(other)
    if not other:
        build = replace(build, profile=command_line.with_imported_runs(build.profile, folder))
    return build, _plan(build, options)


def _plan(build: Build, options: Options) -> Plan:
    left, notes = leave_out(build, options.without)
    chosen = steps(left, options.without)
    if options.only:
        chosen = list({step.artifact: step for step in chosen if step.stage.name == options.only}.values())
    reasons = {step.artifact: _reason(step, options) for step in {step.artifact: step for step in chosen}.values()}
    return replace(make_plan(build, chosen, reasons), notes=notes)


def run_build(
    build: Build,
    only: str | None = None,
    force: bool = False,
    say: Callable[[str], None] = print,
    without: Sequence[str] = (),
    replace_source: bool = False,
) -> list[Outcome]:
    """Print the plan, make all stale artifacts (with `force`, all except trained models), and return the outcomes.

    After each step, its time and the time left are printed. If a step fails, with any exception, only the steps that
    need its artifact are skipped. The traceback of an exception other than a UserError is written to the file `ERRORS`
    in the collection's folder. All systems with a run are evaluated, not only those in this build.

    Args:
        only, force, without, replace_source: see `Options`.

    Raises:
        UserError: if the plan cannot be made (see `plan_build`), the disk has too little space, another build is
            running, or the collection itself cannot be built.
    """
    options, folder = Options(only or "", force, without, replace_source), build.folder
    build, plan = plan_build(build, options)
    say_plan(plan, folder, say)
    outcomes: dict[Artifact, Outcome] = {}
    pace = Pace()
    with building(folder.path, folder.shown):
        before = folder.profile.read_bytes() if folder.profile.is_file() else None
        command_line.save_profile(build.profile, folder)
        finish_seals(folder.path)
        finish_seals(folder.workspace.root / "models")
        (folder / ERRORS).unlink(missing_ok=True)
        causes: dict[Artifact, Outcome] = {}
        remaining = plan.planned
        while remaining:
            item, *remaining = remaining
            earlier = outcomes.get(item.step.artifact)
            try:
                outcome = _run(item, causes, options, earlier)
            except Exception:  # in the collection: keep the existing one, and its profile
                folder.profile.write_bytes(before) if before is not None else folder.profile.unlink()
                raise
            outcomes[item.step.artifact] = outcome.after(earlier)
            if item.step.stage is collection.STAGE and not plan.known:
                plan = _plan(build, options)
                remaining = [item for item in plan.planned if item.step.stage is not collection.STAGE]
                if remaining:
                    say_plan(plan, folder, say)
            if item.cost and outcome.result == "made":
                pace.add(item.cost, item.seconds, outcome.seconds)
            if outcome.result != UP_TO_DATE:
                say(_progress(outcome, pace.left((i.cost, i.seconds) for i in remaining if i.cost)))
    return list(outcomes.values())


def say_plan(plan: Plan, folder: CollectionFolder, say: Callable[[str], None]) -> None:
    """Print a plan.

    Raises:
        UserError: if the disk has too little space for it.
    """
    say(f"Plan for {folder.shown}:")
    for line in plan.lines():
        say(line)
    plan.check_disk(folder.path)


def _progress(outcome: Outcome, left: float) -> str:
    """Return a line about a step that has been run."""
    name = f"  {outcome.result}  {outcome.step.stage.name} {outcome.step.artifact.name}: "
    if outcome.result != "made":
        return name + outcome.reason
    estimate = "" if outcome.estimate is None else f", estimated {in_time(outcome.estimate)}"
    return f"{name}{in_time(outcome.seconds)}{estimate}" + (f"; about {in_time(left)} left" if left else "")


def _run(item: Planned, causes: dict[Artifact, Outcome], options: Options, earlier: Outcome | None) -> Outcome:
    """Make the artifact of a step if it is stale, and return the outcome.

    Args:
        causes: artifacts that could not be made -> the failure that caused this; this step's is added if it fails.
        earlier: the outcome of an earlier step of this build that made the same artifact.
    """
    step = item.step
    if earlier and earlier.result == "made":
        options = replace(options, force=False)
    # Checked again, as an earlier step may have changed the inputs.
    if not _reason(step, options):
        record_failure(step.artifact, None)
        return Outcome(step, UP_TO_DATE)
    if cause := next((causes[artifact] for artifact in step.target.needs if artifact in causes), None):
        causes[step.artifact] = cause
        failed = f"{cause.step.stage.name} {cause.step.artifact.name}"
        record_failure(step.artifact, f"{failed} failed: {cause.reason}")
        return Outcome(step, "skipped", reason=f"not made, because {failed} failed")
    estimate = item.seconds if item.cost else None
    reset_peak()
    started = time.perf_counter()
    try:
        step.make(item.cost, keep=not options.force)
    except Exception as error:
        if step.stage is collection.STAGE:
            raise
        reason = in_words(error) if isinstance(error, UserError) else _keep_traceback(step, error)
        seconds = time.perf_counter() - started
        causes[step.artifact] = outcome = Outcome(step, "failed", seconds, reason, estimate, peak_bytes())
        record_failure(step.artifact, reason)
        return outcome
    record_failure(step.artifact, None)
    return Outcome(step, "made", time.perf_counter() - started, estimate=estimate, peak=peak_bytes())


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


def _reason(step: Step, options: Options) -> str | None:
    """Return why the artifact of a step is to be made, or None if it is not."""
    reason = step.stale()
    if options.only == step.stage.name:
        reason = reason or not_included(step.artifact) or None
    if reason or not options.force:
        return reason
    if step.stage.trains and options.only != step.stage.name:
        return None
    if step.stage.name == "doc2query" and step.target.subject.generates and _model_of(step) is None:
        return None
    return "--force"


def _model_of(step: Step) -> Path | None:
    """Return the folder of the T5 that predicted the queries of a step, or None if it is not on this machine."""
    facts = read_manifest(step.artifact).facts
    return find_model(step.build.folder.workspace, str(facts.get("model", "")))


def result_lines(outcomes: Sequence[Outcome]) -> Iterator[str]:
    """Yield a table of the outcomes: time, estimate, peak memory and disk space of each artifact that was made."""
    if all(outcome.result == UP_TO_DATE for outcome in outcomes):
        yield "  everything is up to date"
        return
    yield f"  {'':<10}{'time':>11}{'estimate':>11}{'memory':>9}{'disk':>9}"
    for outcome in outcomes:
        step, columns = outcome.step, ["", "", "", ""]
        if outcome.result == "made":
            files = read_manifest(step.artifact).files.values()
            columns = [
                in_time(outcome.seconds),
                "" if outcome.estimate is None else in_time(outcome.estimate),
                "" if outcome.peak is None else in_bytes(outcome.peak),
                in_bytes(sum(entry["bytes"] for entry in files)),
            ]
        time_taken, estimate, memory, disk = columns
        row = f"  {outcome.result:<10}{time_taken:>11}{estimate:>11}{memory:>9}{disk:>9}"
        yield f"{row}  {step.stage.name:<16}{step.artifact.name}"
    estimated = [o for o in outcomes if o.estimate is not None]
    total, guess = sum(o.seconds for o in outcomes), sum(o.estimate or 0 for o in estimated)
    yield f"  {'total':<10}{in_time(total):>11}{in_time(guess) if estimated else '':>11}"
