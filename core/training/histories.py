"""What a training leaves to look at: the history beside a fine-tuned model's weights."""

import json
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from core.workspace import artifacts
from core.workspace.artifacts import Manifest, read_manifest, read_whole
from core.workspace.errors import UserError

FILE = "history.json"


@dataclass(frozen=True)
class Training:
    """A fine-tuned model's manifest, and its history a step a row.

    The columns of `history` are step, loss, held-out loss and held-out MRR@10; what was not measured at a step is NaN.
    """

    folder: Path
    manifest: Manifest
    history: pd.DataFrame


def trained_models() -> list[str]:
    """Return the names of the fine-tuned models that left a history, by their folders under artifacts/models."""
    folders = sorted(path for path in (artifacts.ARTIFACTS / "models").glob("[!.]*") if path.is_dir())
    return [folder.name for folder in folders if (folder / FILE).is_file() or _lost_its_history(folder)]


def _lost_its_history(folder: Path) -> bool:
    with suppress(UserError):
        return FILE in read_manifest(folder).files
    return False


def read_training(name: str) -> Training:
    """Read a model's history.

    Raises:
        UserError: it is missing or damaged.
    """
    folder = artifacts.ARTIFACTS / "models" / name

    def read(manifest: Manifest) -> Training:
        return Training(folder, manifest, as_table(json.loads((folder / FILE).read_text(encoding="utf-8"))))

    return read_whole(folder, read, FILE)


def as_table(log: list[dict[str, Any]]) -> pd.DataFrame:
    """Return the trainer's log as a table, one row a step."""
    rows: dict[int, dict[str, float]] = {}
    for entry in log:
        row = rows.setdefault(entry["step"], {"step": entry["step"]})
        for key, value in entry.items():
            if key == "loss":
                row["loss"] = float(value)
            elif key == "eval_loss":
                row["held-out loss"] = float(value)
            elif key.endswith("mrr@10"):
                row["held-out MRR@10"] = float(value)
    columns = ["step", "loss", "held-out loss", "held-out MRR@10"]
    return pd.DataFrame(list(rows.values()), columns=columns).sort_values("step", ignore_index=True)
