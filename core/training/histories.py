"""What trainings leave to read: histories, stored with the weights, the findings of checks, and overfitting tests."""

import json
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import pandas as pd

from core.workspace.artifacts import Artifact, Manifest, read_manifest, read_whole
from core.workspace.errors import UserError
from core.workspace.workspace import Workspace

FILE = "history.json"
CHECKS = "checks.csv"
LEARNED = 0.05
"""Loss up to which, with an MRR@10 of 1, the pairs of an overfitting test count as learned by heart."""


@dataclass(frozen=True)
class Training:
    """A fine-tuned model's manifest and training history.

    `history` has one row per logged step and the columns step, loss, held-out loss and held-out MRR@10, which are NaN
    where not measured.
    """

    model: Artifact
    manifest: Manifest
    history: pd.DataFrame


def trained_models(workspace: Workspace) -> list[Artifact]:
    """Return the fine-tuned models of a workspace that have a training history."""
    return [model for model in workspace.models() if (model / FILE).is_file() or _lacks_its_history(model)]


def _lacks_its_history(model: Artifact) -> bool:
    with suppress(UserError):
        return FILE in read_manifest(model).files
    return False


def read_training(model: Artifact) -> Training:
    """Read a model's training history.

    Raises:
        UserError: if it is missing or damaged.
    """

    def read(manifest: Manifest) -> Training:
        return Training(model, manifest, as_table(json.loads((model / FILE).read_text(encoding="utf-8"))))

    return read_whole(model, read, FILE)


def as_table(log: list[dict[str, Any]]) -> pd.DataFrame:
    """Return the trainer's log as a table with one row per step."""
    rows: dict[int, dict[str, float]] = {}
    for entry in log:
        row = rows.setdefault(entry["step"], {"step": entry["step"]})
        for key, value in entry.items():
            if key == "loss":
                row["loss"] = float(value)
            # With several sources, the name of one is between the two words.
            elif key.startswith("eval_") and key.endswith("loss"):
                row["held-out loss"] = float(value)
            elif key.endswith("mrr@10") and "_base_" not in key:  # that of BM25, which a cross-encoder re-ranks
                row["held-out MRR@10"] = float(value)
    columns = ["step", "loss", "held-out loss", "held-out MRR@10"]
    return pd.DataFrame(list(rows.values()), columns=columns).sort_values("step", ignore_index=True)


@dataclass(frozen=True)
class Checks:
    """The findings about a model; see `core.training.checks`.

    `findings` has the columns when, check, measured and fault, which is "" where nothing is wrong.
    """

    artifact: Artifact
    manifest: Manifest
    findings: pd.DataFrame

    @property
    def faults(self) -> list[str]:
        """The sentences on what is wrong."""
        return [fault for fault in self.findings["fault"] if fault]

    @property
    def sentence(self) -> str:
        """A sentence on how many checks there were and how many found a fault."""
        about = self.manifest.facts.get("checks", {})
        found = {0: "no fault", 1: "1 fault"}.get(len(self.faults), f"{len(self.faults)} faults")
        made = f"{len(self.findings)} checks on {about.get('pairs', 0)} pairs ({about.get('source', '')})"
        return f"{made} found {found}."


def read_checks(workspace: Workspace, model: str) -> Checks | None:
    """Return the findings of `--check` about a model, or else those of its training, or None if there are none.

    Raises:
        UserError: if they are damaged.
    """
    for artifact in (workspace.checks(model), workspace.model(model)):
        if (artifact / CHECKS).is_file():

            def read(manifest: Manifest, artifact: Artifact = artifact) -> Checks:
                return Checks(artifact, manifest, pd.read_csv(artifact / CHECKS, keep_default_na=False))

            return read_whole(artifact, read, CHECKS)
    return None


def overfitting_sentence(test: Training) -> str:
    """Return a sentence on whether the pairs of an overfitting test were learned by heart.

    Raises:
        UserError: if its history is empty.
    """
    losses, measured = test.history["loss"].dropna(), test.history["held-out MRR@10"].dropna()
    if losses.empty or measured.empty:
        raise UserError(f"{test.model.shown} has no losses; rebuild it with {test.model.command}")
    steps, mrr, pairs = int(test.history["step"].max()), float(measured.iloc[-1]), test.manifest.facts.get("pairs", 0)
    went = f"the loss went from {losses.iloc[0]:.3f} to {losses.iloc[-1]:.3f} in {steps} steps, MRR@10 is {mrr:.3f}"
    if losses.iloc[-1] <= LEARNED and mrr == 1:
        return f"Learned {pairs} pairs by heart: {went}. Model, loss and data fit together."
    return (
        f"Did not learn {pairs} pairs by heart: {went}. A training with these settings cannot work: look at the checks "
        "(python -m core.finetune --check), and try a higher learning rate."
    )
