"""Training histories, stored with the weights of fine-tuned models."""

import json
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import pandas as pd

from core.workspace.artifacts import Artifact, Manifest, read_manifest, read_whole
from core.workspace.errors import UserError
from core.workspace.workspace import Workspace

FILE = "history.json"


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
            elif key == "eval_loss":
                row["held-out loss"] = float(value)
            elif key.endswith("mrr@10") and "_base_" not in key:  # that of BM25, which a cross-encoder re-ranks
                row["held-out MRR@10"] = float(value)
    columns = ["step", "loss", "held-out loss", "held-out MRR@10"]
    return pd.DataFrame(list(rows.values()), columns=columns).sort_values("step", ignore_index=True)
