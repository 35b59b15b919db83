"""The results of MTEB (Muennighoff et al., 2023): means of one model on one task, as JSON.

results/<organisation>__<model>/<revision>/<task>.json
{"task_name": ..., "dataset_revision": ..., "scores": {"test": [{"ndcg_at_10": 0.47, ...}]}, "evaluation_time": ...}
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from core.workspace.errors import UserError

MEASURES = {"ndcg": "nDCG@{}", "map": "AP@{}", "recall": "R@{}", "precision": "P@{}", "mrr": "RR@{}"}
"""Names of MTEB -> names of ir_measures; those of MTEB end with "_at_k"."""
NAME = re.compile(r"(ndcg|map|recall|precision|mrr)_at_([1-9]\d{0,4})")
LARGEST = 50_000_000
"""Maximum size of a file in bytes."""


@dataclass(frozen=True)
class MtebResult:
    """The means of a model on a task, by the names of ir_measures."""

    task: str
    split: str
    model: str
    means: dict[str, float]


def read_result(path: Path) -> MtebResult:
    """Read a result; the model is named by the folders that MTEB makes.

    Raises:
        UserError: if the file cannot be read, or is no result of MTEB for one split.
    """
    try:
        if path.stat().st_size > LARGEST:
            raise UserError(f"{path.name}: larger than {LARGEST:,} bytes, no result of MTEB")
        table = json.loads(path.read_bytes())
        (split, scores), *others = table["scores"].items()
        (of_split,) = scores
        task = str(table["task_name"])
        found = {match: of_split[match[0]] for match in map(NAME.fullmatch, of_split) if match}
        means = {MEASURES[match[1]].format(match[2]): float(value) for match, value in found.items()}
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}") from None
    except (AttributeError, KeyError, RecursionError, TypeError, ValueError):
        raise UserError(f"{path.name}: not a result of MTEB for one subset and split") from None
    if others or not means or not all(0 <= value <= 1 for value in means.values()):
        raise UserError(f"{path.name}: not a result of MTEB for one split with means from 0 to 1")
    folder = next((part for part in reversed(path.resolve().parts[:-1]) if "__" in part), "")
    return MtebResult(task, split, folder.replace("__", "/", 1) or path.stem, means)


def write_result(folder: Path, result: MtebResult, revision: str, about: Mapping[str, Any]) -> Path:
    """Write a result where MTEB looks for it, and return its path.

    Args:
        folder: MTEB's folder of results.
        revision: the revision of the model.
        about: further fields, such as "dataset_revision" and "evaluation_time".
    """
    by_name = {name.partition("@")[0]: key for key, name in MEASURES.items()}
    scores: dict[str, Any] = {}
    for measure, value in result.means.items():
        family, _, cutoff = measure.partition("@")
        if cutoff and family in by_name:
            scores[f"{by_name[family]}_at_{cutoff}"] = round(value, 5)
    scores |= {"main_score": scores.get("ndcg_at_10"), "hf_subset": "default", "languages": ["eng-Latn"]}
    place = folder / result.model.replace("/", "__") / revision
    place.mkdir(parents=True, exist_ok=True)
    path = place / f"{result.task}.json"
    content = {"task_name": result.task, "scores": {result.split: [scores]}, **about}
    path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    return path
