"""Stages: the description of each kind of artifact, from which everything else is derived.

A stage reads artifacts and writes artifacts. The build plan, `python -m core.STAGE`, staleness checks, the commands on
the page Build and provenance and the campaigns in scripts/ all use the list in `core.stages`.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

from core.workspace.artifacts import Artifact, read_manifest, stale_reason, writing
from core.workspace.errors import UserError
from core.workspace.estimates import Cost, Sizes, recorded_work
from core.workspace.executors import HERE, Executor
from core.workspace.profile import Profile, SystemSettings
from core.workspace.progress import ProgressLog
from core.workspace.timing import THREADS
from core.workspace.workspace import CollectionFolder

S = TypeVar("S")


@dataclass(frozen=True)
class Build:
    """The input and options of a build.

    Attributes:
        profile: all settings.
        folder: the collection's artifacts.
        device: the device of models: "cuda", "mps", "cpu" or "auto".
        systems: names of the systems whose artifacts are made; empty for all.
        left_out: names of systems that are not made although `systems` includes them.
        triples: the file of training triples; None for the profile's.
        executor: runs the shards.
        threads: number of threads for latency measurements.
        batch: batch size of doc2query in documents; 0 for a default that suits the device.
        size: number of simulated documents in an ANN sweep; 0 for the collection's own vectors.
        keep: whether evaluation reuses the measures of unchanged runs.
    """

    profile: Profile
    folder: CollectionFolder
    device: str = "auto"
    systems: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()
    triples: Path | None = None
    executor: Executor = HERE
    threads: int = THREADS
    batch: int = 0
    size: int = 0
    keep: bool = False

    @property
    def chosen(self) -> list[SystemSettings]:
        """The systems whose artifacts are made.

        Raises:
            UserError: if the profile does not have one of the named systems.
        """
        known = [system.name for system in self.profile.system]
        if unknown := [name for name in self.systems if name not in known]:
            raise UserError(f"the profile has no system {', '.join(unknown)}; it has {', '.join(known)}")
        wanted = [system for system in self.profile.system if not self.systems or system.name in self.systems]
        return [system for system in wanted if system.name not in self.left_out]

    @property
    def required(self) -> list[SystemSettings]:
        """The chosen systems and those that they build on, in the profile's order."""
        chosen = self.chosen
        names = {one.name for system in chosen for one in (system, *self.profile.built_on(system))}
        return [system for system in self.profile.system if system.name in names]

    @property
    def dense(self) -> list[SystemSettings]:
        """The required dense systems."""
        return [system for system in self.required if system.kind == "dense"]

    @property
    def sparse(self) -> list[SystemSettings]:
        """The required learned sparse systems."""
        return [system for system in self.required if system.kind == "sparse"]

    @property
    def lexical(self) -> list[SystemSettings]:
        """The required BM25 systems."""
        return [system for system in self.required if system.kind == "bm25"]

    @property
    def filters_queries(self) -> bool:
        """Whether a required system uses only the best predicted queries, which must be scored first."""
        return any(system.expanded and system.expansion.keep < 1 for system in self.lexical)


@dataclass(frozen=True)
class Target(Generic[S]):
    """One artifact of a stage.

    Attributes:
        artifact: its location.
        subject: what it is made for: a system's settings, or a section of the profile.
        needs: artifacts of other stages that it requires.
    """

    artifact: Artifact
    subject: S
    needs: tuple[Artifact, ...] = ()


@dataclass(frozen=True)
class Draft:
    """An artifact that is being made.

    Attributes:
        folder: where its files are written.
        facts: counts, speeds and other figures about the result, for its manifest.
        inputs: the digests of its inputs; `make` removes those that turn out to be unreadable.
        log: the results of finished shards, for a stage that resumes.
    """

    folder: Path
    facts: dict[str, Any]
    inputs: dict[str, str]
    log: ProgressLog

    def __truediv__(self, name: str) -> Path:
        return self.folder / name


@dataclass(frozen=True)
class Stage(Generic[S]):
    """How one kind of artifact is made.

    Attributes:
        name: its name in the build plan and for --only.
        targets: returns the artifacts that the stage makes in a build.
        settings: returns the settings that affect an artifact, for its manifest.
        inputs: returns the digests of an artifact's inputs, for its manifest.
        make: writes the files of a draft.
        recorded: the stage's name in manifests, if it differs.
        resume: whether an interrupted `make` continues from the files that it left.
        prepare: fetches what `inputs` computes digests of, such as a model that must be downloaded.
        trains: whether it trains a model. An existing model is stale only if it is damaged, as its training data may
            not be on this machine.
        in_build: returns whether a build includes the stage.
        estimate: returns what an artifact costs, given the size of the collection; None for a stage outside builds.
    """

    name: str
    targets: Callable[[Build], Iterable[Target[S]]]
    settings: Callable[[Build, S], dict[str, Any]]
    inputs: Callable[[Build, S], dict[str, str]]
    make: Callable[[Build, S, Draft], None]
    recorded: str = ""
    resume: bool = False
    prepare: Callable[[Build, S], object] | None = None
    trains: bool = False
    in_build: Callable[[Build], bool] = lambda build: True
    estimate: Callable[[Build, S, Sizes], Cost] | None = None

    def run(self, build: Build, target: Target[S], cost: Cost | None = None) -> Artifact:
        """Make an artifact and return it.

        Args:
            cost: the estimated cost, which the manifest records for later estimates, unless the stage resumed.

        Raises:
            UserError: if an input is unavailable or changes while the artifact is made.
        """
        if self.prepare:
            self.prepare(build, target.subject)
        settings, inputs = self.settings(build, target.subject), self.inputs(build, target.subject)
        facts: dict[str, Any] = {}
        name = self.recorded or self.name
        with (
            writing(target.artifact, name, settings, inputs, facts, self.resume) as folder,
            ProgressLog(folder) as log,
        ):
            if cost and not log.done and not any(path.is_dir() for path in folder.iterdir()):
                facts["work"] = recorded_work(cost)
            self.make(build, target.subject, Draft(folder, facts, inputs, log))
            now = self.inputs(build, target.subject)
            if changed := [key for key, digest in inputs.items() if now.get(key) != digest]:
                raise UserError(
                    f"{', '.join(changed)} changed while {target.artifact.shown} was being made; run the command again"
                )
        return target.artifact

    def run_all(self, build: Build) -> list[Artifact]:
        """Make all artifacts of the stage in a build; see `run`."""
        return [self.run(build, target) for target in self.targets(build)]

    def stale(self, build: Build, target: Target[S]) -> str | None:
        """Return why an artifact is stale, or None if it is up to date."""
        try:
            if self.trains:
                manifest = read_manifest(target.artifact)
                return stale_reason(target.artifact, manifest.settings, manifest.inputs)
            settings, inputs = self.settings(build, target.subject), self.inputs(build, target.subject)
        except Exception:  # making the artifact raises and reports the same error
            return "an input is missing" if target.artifact.path.exists() else "an input does not exist yet"
        return stale_reason(target.artifact, settings, inputs)
