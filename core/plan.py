"""The plan of a build: its steps in order, which of them are up to date, and estimates of their time and disk space.

The collection comes first. Then come the systems, each with the steps that it requires, its run and the measures, so
that the dashboard shows every system as soon as it is searched. The system that takes the least time comes next, of
those whose parts (`SystemSettings.of`) are searched. ANN sweeps and other steps that no run requires come last.
"""

import shutil
from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from core import collection, evaluate, search
from core.stages import STAGES
from core.workspace.artifacts import Artifact, not_included
from core.workspace.errors import UserError
from core.workspace.estimates import Cost, Sizes, Speed, calibrate, in_bytes, in_time, reached_rates
from core.workspace.models import where_to_put
from core.workspace.stage import Build, Stage, Target

MAKE, CHECK, UP_TO_DATE, NOT_INCLUDED = "make", "check", "up to date", "not included"
"""What is done with an artifact: made; made if an earlier step changes its inputs; kept; left out as in its archive."""


TYPICAL = Sizes(10_000, 50, (1_000,), 1.2e7)
"""Size of a collection that is unknown, by which systems are ordered but no estimate is shown."""


@dataclass(frozen=True)
class Step:
    """One artifact in the plan; the measures are several steps, one after each run."""

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

    def make(self, cost: Cost | None = None, keep: bool = False) -> None:
        """Make the artifact.

        Args:
            cost: its estimated cost, for the manifest.
            keep: whether the measures of unchanged runs are kept.
        """
        try:
            self.stage.run(replace(self.build, keep=keep), self.target, cost)
        except UserError as error:
            if not self.stage.trains:
                raise
            provided = where_to_put(self.artifact.name)
            raise UserError(f"{error}; or, to use a model that is already trained, {provided}") from None

    def cost(self, sizes: Sizes) -> Cost | None:
        """Return what the artifact costs, or None if that cannot be estimated."""
        if self.stage.estimate is None:
            return None
        try:
            return self.stage.estimate(self.build, self.target.subject, sizes)
        except UserError:
            return None  # making the artifact reports the same problem


# Which steps, in which order


def steps(build: Build, without: Sequence[str] = ()) -> list[Step]:
    """Return the steps of a build in order, each after the steps that it depends on.

    Raises:
        UserError: if the profile does not have one of the build's systems.
    """
    build, _ = leave_out(build, without)
    return _ordered(build, [step for step in _all_steps(build) if step.stage.name not in without])


def _all_steps(build: Build) -> list[Step]:
    included = [stage for stage in STAGES if stage.in_build(build)]
    return [Step(stage, build, target) for stage in included for target in stage.targets(build)]


def leave_out(build: Build, without: Sequence[str]) -> tuple[Build, list[str]]:
    """Leave out the systems that need an artifact of a stage that is left out, unless the artifact exists.

    Returns:
        The build without these systems, and a sentence about each.

    Raises:
        UserError: if the collection is left out and does not exist.
    """
    if collection.STAGE.name in without and not build.folder.collection.path.exists():
        raise UserError(f"{build.folder.collection.shown} does not exist, and nothing can be built without it")
    causes: dict[Artifact, Step] = {}
    sentences: dict[str, str] = {}
    for step in _all_steps(build):
        cause = next((causes[need] for need in step.target.needs if need in causes), None)
        if cause is None and step.stage.name in without and not step.artifact.path.exists():
            cause = step
        if cause is None:
            continue
        causes[step.artifact] = cause
        if step.stage is search.STAGE and cause is not step:
            sentences[step.artifact.name] = (
                f"{step.artifact.name} is left out: --without {cause.stage.name} leaves out {cause.artifact.shown}, "
                "which it needs"
            )
    return replace(build, left_out=(*build.left_out, *sentences)), list(sentences.values())


def _ordered(build: Build, chosen: Sequence[Step]) -> list[Step]:
    """Return steps in order: the collection, the systems with their measures, everything else."""
    speed, sizes = Speed(reached_rates(build.folder.workspace)), collection.sizes_of(build) or TYPICAL
    by_artifact = {step.artifact: step for step in chosen}
    measures = [step for step in chosen if step.stage is evaluate.STAGE]
    runs = {step.artifact.name: step for step in chosen if step.stage is search.STAGE}
    placed: dict[Artifact, Step] = {step.artifact: step for step in chosen if step.stage is collection.STAGE}
    order = list(placed.values())
    seconds: dict[Artifact, float] = {}

    def time_of(step: Step) -> float:
        if step.artifact not in seconds:
            cost = step.cost(sizes) if step.stale() else None
            seconds[step.artifact] = speed.seconds(cost) if cost else 0.0
        return seconds[step.artifact]

    while runs:
        next_ones = {name: run for name, run in runs.items() if not any(one in runs for one in run.target.subject.of)}
        closures = {name: _closure(run, by_artifact, placed) for name, run in next_ones.items()}
        cheapest = min(
            closures, key=lambda name: (sum(map(time_of, closures[name])), runs[name].target.subject.kind != "bm25")
        )
        del runs[cheapest]
        placed |= {step.artifact: step for step in closures[cheapest]}
        order += closures[cheapest]
        order += [replace(step, build=replace(step.build, systems=(cheapest,))) for step in measures]
    others = [step for step in chosen if step.artifact not in placed and step not in measures]
    for step in others:
        remaining = _closure(step, by_artifact, placed)
        placed |= {step.artifact: step for step in remaining}
        order += remaining
    if not any(step.stage is evaluate.STAGE for step in order):
        order += measures
    return order


def _closure(step: Step, by_artifact: Mapping[Artifact, Step], placed: Mapping[Artifact, Step]) -> list[Step]:
    """Return the step after all steps that it depends on, directly or indirectly, without those in `placed`."""
    before: dict[Artifact, Step] = {}
    for need in step.target.needs:
        if need in by_artifact and need not in placed:
            before |= {s.artifact: s for s in _closure(by_artifact[need], by_artifact, {**placed, **before})}
    return [*before.values(), step]


# What is made, and how long it takes


@dataclass(frozen=True)
class Planned:
    """A step of the plan.

    Attributes:
        step: the step.
        verdict: "make", "check", "up to date" or "not included".
        reason: why the artifact is stale or not included, "" if it is neither.
        cost: its estimated cost; None if it is up to date or the size of the collection is unknown.
        seconds: the estimated time; 0 without a cost.
    """

    step: Step
    verdict: str
    reason: str = ""
    cost: Cost | None = None
    seconds: float = 0.0


@dataclass(frozen=True)
class Plan:
    """The steps of a build with their estimates.

    Attributes:
        planned: the steps, in order.
        notes: sentences about systems that are left out.
        source: where the estimates come from, a sentence; "" if there are none.
        known: whether the size of the collection is known.
    """

    planned: list[Planned]
    notes: list[str] = field(default_factory=list)
    source: str = ""
    known: bool = True

    def lines(self) -> Iterator[str]:
        """Yield the plan as text: a line per step, the total, and where the estimates come from.

        The measures, which follow every run, have one line if they are up to date.
        """
        first = {item.step.artifact: item for item in reversed(self.planned)}
        listed = [i for i in self.planned if i.verdict != UP_TO_DATE or first[i.step.artifact] is i]
        shown = [(item, *_estimate_columns(item)) for item in listed]
        width = max((len(item.step.artifact.shown) for item in self.planned), default=0)
        for item, duration, size in shown:
            why = f"  {item.reason}" if item.reason else ""
            place = f"{item.step.artifact.shown:<{width}}"
            line = f"  {item.verdict:<12}  {item.step.stage.name:<16}{place} {duration:>11}{size:>9}{why}"
            yield line.rstrip()
        yield from self.notes
        if not self.known:
            yield "The size of the collection is not known yet: times are estimated when it has been read."
        elif self.source:
            yield f"Total: {self.total()}. {self.source}"

    def total(self) -> str:
        """Return the total time and disk space in words."""
        certain = sum(item.seconds for item in self.planned if item.verdict == MAKE)
        most = sum(item.seconds for item in self.planned)
        duration = in_time(most) if in_time(certain) == in_time(most) else f"{in_time(certain)} to {in_time(most)}"
        return f"about {duration} and {in_bytes(sum(self.sizes().values()))} of disk space"

    def sizes(self) -> dict[Artifact, float]:
        """Return the estimated size of each artifact that is or may be made, in bytes."""
        sizes: dict[Artifact, float] = {}
        for item in self.planned:
            if item.cost:
                sizes[item.step.artifact] = max(item.cost.bytes, sizes.get(item.step.artifact, 0.0))
        return sizes

    def check_disk(self, root: Path) -> None:
        """Check that the disk has space for all artifacts and the largest temporary files.

        Raises:
            UserError: if it does not.
        """
        free = shutil.disk_usage(next(path for path in (root, *root.parents) if path.exists())).free
        temporary = max((item.cost.temporary for item in self.planned if item.cost), default=0.0)
        needed = sum(self.sizes().values()) + temporary
        if needed > free:
            raise UserError(
                f"the build needs about {in_bytes(needed)} of disk space, and {in_bytes(free)} are free; free some "
                "space, choose another disk with RANKSCOPE_ARTIFACTS, or build less with --systems or --without"
            )


def _estimate_columns(item: Planned) -> tuple[str, str]:
    if item.cost is None:
        return "", ""
    return in_time(item.seconds), in_bytes(item.cost.bytes)


def make_plan(build: Build, chosen: Sequence[Step], reasons: Mapping[Artifact, str | None]) -> Plan:
    """Return the plan of some steps, with estimates from earlier builds and a short calibration of this machine.

    Args:
        chosen: the steps, in order.
        reasons: why the artifact of each step is to be made, None if it is up to date.
    """
    sizes = collection.sizes_of(build)
    changing: set[Artifact] = set()
    planned = []
    for step in chosen:
        reason = reasons[step.artifact]
        verdict = MAKE if reason else CHECK if _may_change(step, changing) else UP_TO_DATE
        if not reason and (absent := not_included(step.artifact)):
            verdict, reason = NOT_INCLUDED, f"{absent}; make it with --only {step.stage.name}"
        if verdict in (MAKE, CHECK):
            changing.add(step.artifact)
        cost = step.cost(sizes) if sizes and verdict in (MAKE, CHECK) else None
        planned.append(Planned(step, verdict, reason or "", cost))
    costs = [item.cost for item in planned if item.cost]
    speed = Speed(reached_rates(build.folder.workspace))
    speed = replace(speed, probes=calibrate(speed.probes_for(costs)))
    planned = [replace(item, seconds=speed.seconds(item.cost)) if item.cost else item for item in planned]
    return Plan(planned, source=_source(costs, speed), known=sizes is not None)


def _may_change(step: Step, changing: Set[Artifact]) -> bool:
    """Return whether one of the artifacts that may change is, or may be, an input of a step."""
    if step.stage.trains:
        return False
    folder, needs = step.build.folder, step.target.needs
    if step.stage is evaluate.STAGE:
        needs = tuple(folder.run(system.name) for system in step.build.profile.system)
    return any(artifact in changing for artifact in (folder.collection, *needs))


def _source(costs: Sequence[Cost], speed: Speed) -> str:
    """Return a sentence on where the estimates come from; "" if there are none."""
    if not costs:
        return ""
    names = dict.fromkeys(cost.rate.name for cost in costs)
    earlier = [name for name in names if name in speed.reached]
    unscaled = sorted({c.rate.name for c in costs if not c.rate.probe and c.rate.name not in speed.reached})
    parts = [f"from earlier builds on this machine ({', '.join(earlier)})"] if earlier else []
    if speed.probes:
        measured = ", ".join(f"{name} {factor:.2g}" for name, factor in speed.probes.items())
        parts.append(f"from stored rates times a calibration of this machine ({measured} of the reference's speed)")
    if unscaled:
        parts.append(f"from stored rates ({', '.join(unscaled)})")
    return f"Times are estimated {'; '.join(parts)}; downloads are not included."
