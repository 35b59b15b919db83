"""Workspace: the only module that builds paths of artifacts.

    <root>/<collection>/   the artifacts of one collection, see `CollectionFolder`
    <root>/models/         models that were trained here
    <root>/ablations/, <root>/quality/, <root>/checks/, <root>/overfitting/
                           artifacts of a model, independent of any collection
    <root>/downloads/      downloaded files
    <root>/converted/      models as OpenVINO runs them

Functions take the workspace as an argument. Only commands and the dashboard use the default one, which the environment
variable RANKSCOPE_ARTIFACTS sets.
"""

import functools
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from core.workspace.artifacts import FAILURES, MANIFEST, PROFILE, Artifact

VARIABLE = "RANKSCOPE_ARTIFACTS"
CHECKOUT = Path(__file__).resolve().parents[2]
SHOWN = "artifacts"
"""Name of the root in messages and manifests, so that no absolute path is recorded."""


@dataclass(frozen=True)
class Workspace:
    """A folder of artifacts.

    Attributes:
        root: the absolute path of the folder.
        checkout: the project's folder: relative paths in profiles start here, and its `artifacts/models` has the models
            that are shipped with the project.
    """

    root: Path
    checkout: Path = CHECKOUT

    @classmethod
    def default(cls) -> "Workspace":
        """Return the workspace that RANKSCOPE_ARTIFACTS names, or the one in the project."""
        return cls(Path(os.environ.get(VARIABLE) or CHECKOUT / SHOWN).resolve())

    def collection(self, name: str) -> "CollectionFolder":
        """Return the folder of a collection's artifacts, whether or not it was built."""
        return CollectionFolder(self, name)

    def collections(self) -> list["CollectionFolder"]:
        """Return the collections that were built, sorted by name."""
        return [self.collection(path.parent.parent.name) for path in sorted(self.root.glob(f"*/collection/{MANIFEST}"))]

    @property
    def downloads(self) -> Path:
        """The folder of downloaded files."""
        return self.root / "downloads"

    def model(self, name: str) -> Artifact:
        """Return a trained model as an artifact, whether or not it exists.

        Args:
            name: as in a profile; "artifacts/models/NAME" is in this workspace, other relative paths in the project.
        """
        path = Path(name)
        if path.parts[:1] == (SHOWN,):
            path = self.root.joinpath(*path.parts[1:])
        path = self.checkout / path
        trains = "doc2query train" if path.name.startswith("doc2query") else "finetune"
        return Artifact(
            path, self.shown(path), functools.partial(str, f"python -m core.{trains}"), path.parent / FAILURES
        )

    def shown_model(self, name: str) -> str:
        """Return a model's name for messages and manifests: its name on the hub, or its folder (see `shown`)."""
        return self.shown(Path(name)) if Path(name).is_absolute() else name

    def models(self) -> list[Artifact]:
        """Return the models that were trained here, sorted by name."""
        folders = sorted(path for path in (self.root / "models").glob("[!.]*") if path.is_dir())
        return [self.model(f"{SHOWN}/models/{folder.name}") for folder in folders]

    def ablations(self, base: str) -> Artifact:
        """Return the ablations of fine-tuning a base model."""
        return self._other("ablations", Path(base).name, "python -m core.ablations --profile ablations")

    def all_ablations(self) -> list[Artifact]:
        """Return all existing ablations, sorted by the name of the base model."""
        return [self.ablations(path.parent.name) for path in sorted((self.root / "ablations").glob(f"*/{MANIFEST}"))]

    def checks(self, model: str) -> Artifact:
        """Return the findings about a fine-tuned model, or about its base model before the training."""
        return self._other("checks", Path(model).name, "python -m core.finetune --check")

    def overfitting(self, base: str) -> Artifact:
        """Return the overfitting test of a base model."""
        return self._other("overfitting", Path(base).name, "python -m core.finetune --overfit")

    def all_overfitting(self) -> list[Artifact]:
        """Return all existing overfitting tests, sorted by the name of the base model."""
        return [
            self.overfitting(path.parent.name) for path in sorted((self.root / "overfitting").glob(f"*/{MANIFEST}"))
        ]

    def query_quality(self, model: str) -> Artifact:
        """Return the quality measurements of a T5's predicted queries."""
        return self._other("quality", Path(model).name, "python -m core.doc2query quality")

    def converted(self, model: str) -> Artifact:
        """Return a dense system's model as OpenVINO runs it, converted from the model's files whenever needed."""
        return self._other("converted", self.shown_model(model).replace("/", "--"), "python -m core.encode")

    def _other(self, kind: str, name: str, command: str) -> Artifact:
        place = self.root / kind
        return Artifact(place / name, f"{SHOWN}/{kind}/{name}", functools.partial(str, command), place / FAILURES)

    def shown(self, path: Path) -> str:
        """Return a path for messages and manifests: relative to workspace or project, else only its name."""
        path = path.resolve()
        if path.is_relative_to(self.root):
            return (SHOWN / path.relative_to(self.root)).as_posix()
        return path.relative_to(self.checkout).as_posix() if path.is_relative_to(self.checkout) else path.name

    def located(self, path: str) -> Path:
        """Resolve a path of a profile: in the project if it exists only there, else in the current folder.

        The path may lead into an archive. Saved profiles contain paths as `recorded` returns them.
        """
        here, there = Path(path), self.checkout / path
        return there if _leads_somewhere(there) and not _leads_somewhere(here) else here

    def recorded(self, path: str) -> str:
        """Return a path for a saved profile: relative to the project, so that no absolute path is recorded."""
        return Path(os.path.relpath(path, self.checkout)).as_posix() if Path(path).is_absolute() else path


def _leads_somewhere(path: Path) -> bool:
    return path.exists() or any(parent.is_file() for parent in path.parents)


@dataclass(frozen=True)
class CollectionFolder:
    """The folder of one collection's artifacts."""

    workspace: Workspace
    name: str

    def __str__(self) -> str:
        return str(self.path)

    def __fspath__(self) -> str:
        return str(self.path)

    def __truediv__(self, name: str) -> Path:
        return self.path / name

    @property
    def path(self) -> Path:
        """The path of the folder."""
        return self.workspace.root / self.name

    @property
    def shown(self) -> str:
        """The name of the folder in messages."""
        return f"{SHOWN}/{self.name}"

    @property
    def profile(self) -> Path:
        """The file with the profile that the artifacts were built with."""
        return self.path / PROFILE

    @property
    def collection(self) -> Artifact:
        """Documents, topics, judgments and excluded documents."""
        return self.artifact("collection")

    @property
    def predicted_queries(self) -> Artifact:
        """The queries that doc2query predicted for the documents."""
        return self.artifact("doc2query")

    @property
    def query_scores(self) -> Artifact:
        """The scores by which predicted queries are filtered."""
        return self.artifact("doc2query-scores")

    @property
    def expansion_curve(self) -> Artifact:
        """The effectiveness of BM25 by the number of predicted queries."""
        return self.artifact("doc2query-curve")

    @property
    def pseudo_labels(self) -> Artifact:
        """Predicted queries with teacher scores, for training."""
        return self.artifact("pseudo-labels")

    @property
    def measures(self) -> Artifact:
        """The measures of all runs."""
        return self.artifact("measures")

    def vectors(self, system: str) -> Artifact:
        """Return the document vectors of a dense system."""
        return self.artifact(f"vectors/{system}")

    def bm25(self, system: str) -> Artifact:
        """Return the index of a BM25 system."""
        return self.artifact(f"bm25/{system}")

    def index(self, name: str) -> Artifact:
        """Return an index of vectors; `core.retrieval.backends.index_artifact` names it."""
        return self.artifact(f"indexes/{name}")

    def sparse(self, system: str) -> Artifact:
        """Return the inverted index of a learned sparse system."""
        return self.artifact(f"sparse/{system}")

    def milvus(self, system: str) -> Artifact:
        """Return the Milvus index of a dense system."""
        return self.artifact(f"milvus/{system}")

    def run(self, system: str) -> Artifact:
        """Return the run of a system."""
        return self.artifact(f"runs/{system}")

    def tuning(self, system: str) -> Artifact:
        """Return the measures of a fusion by its weights."""
        return self.artifact(f"tuning/{system}")

    def diagnosis(self, system: str) -> Artifact:
        """Return the diagnosis of why a system's figure differs from a published one."""
        return self.artifact(f"diagnosis/{system}")

    def sweep(self, system: str, size: int = 0) -> Artifact:
        """Return the ANN sweep of a dense system; with a size, the sweep over this number of simulated documents."""
        return self.artifact(f"ann-simulated/{system}-{size}" if size else f"ann/{system}")

    def simulated_sweeps(self, system: str) -> list[Artifact]:
        """Return the existing sweeps over simulated documents, the smallest first."""
        folders = (self.path / "ann-simulated").glob(f"{system}-*")
        sizes = [path.name.removeprefix(f"{system}-") for path in folders]
        return [self.sweep(system, size) for size in sorted(int(size) for size in sizes if size.isdecimal())]

    def place(self, artifact: Artifact) -> str:
        """Return the place of an artifact in this folder, such as "runs/bm25"."""
        return artifact.path.relative_to(self.path).as_posix()

    def artifact(self, place: str) -> Artifact:
        """Return the artifact at a path in this folder, such as "runs/bm25"."""
        command = functools.partial(self._command, place)
        return Artifact(self.path / place, f"{self.shown}/{place}", command, self.path / FAILURES)

    def model(self, name: str) -> Artifact:
        """Return a model that this collection's build trains; see `Workspace.model`."""
        return replace(self.workspace.model(name), failures=self.path / FAILURES)

    def imported(self, artifact: Artifact) -> Artifact:
        """Return a run or the collection of this folder with the command that imports it."""
        return artifact.made_by(self._import_command(self.place(artifact)))

    def artifacts(self) -> Iterator[Artifact]:
        """Yield all finished artifacts, sorted by path."""
        for path in sorted([*self.path.glob(f"*/{MANIFEST}"), *self.path.glob(f"*/*/{MANIFEST}")]):
            place = path.parent.relative_to(self.path)
            if not any(part.startswith(".") for part in place.parts):
                yield self.artifact(place.as_posix())

    @property
    def build_command(self) -> str:
        """The command that builds the collection."""
        profile = self.name if self.name == "sample" else f"{self.shown}/{PROFILE}"
        return f"python scripts/build.py --profile {profile}"

    def _command(self, place: str) -> str:
        """Return the command that rebuilds an artifact."""
        kind, _, name = place.partition("/")
        profile = self.build_command.partition(" --profile ")[2]
        if kind == "doc2query-curve":
            return f"python -m core.doc2query curve --profile {profile}"
        if kind == "tuning":
            return f"python -m core.tune --profile {profile} --systems {name}"
        if kind == "diagnosis":
            return f"python -m core.diagnose --profile {profile} --systems {name}"
        if kind == "ann-simulated":
            system, _, size = name.rpartition("-")
            return f"python -m core.ann --profile {profile} --systems {system} --size {size}"
        try:
            saved = json.loads(self.profile.read_text(encoding="utf-8"))
            source = saved["collection"]["source"]
            imported = {f"runs/{system['name']}" for system in saved["system"] if system["kind"] == "run"}
        except (OSError, ValueError, KeyError, TypeError):
            return self.build_command
        if place == "collection" and source == "derived":
            return f"python -m core.derive SOURCE --qrels FILE --name {self.name}"
        if place in imported or (place == "collection" and source == "imported"):
            return self._import_command(place)
        return self.build_command

    def _import_command(self, place: str) -> str:
        qrels = "" if place.startswith("runs/") else " --qrels FILE"
        return f"python -m core.import_runs RUN --name {self.name}{qrels}"
