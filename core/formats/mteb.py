"""Predictions that MTEB saves (Muennighoff et al., 2023), read as the lines of a run.

`mteb.evaluate(model, tasks, prediction_folder=...)` writes `<task>_predictions.json`:

    {"mteb_model_meta": {"model_name": ...}, "<subset>": {"<split>": {"<topic>": {"<document>": score}}}}

Version 1 of MTEB wrote `{"<topic>": {"<document>": score}}`.
"""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from core.formats.text_lines import read_lines
from core.workspace.errors import UserError

ENDINGS = (".json", ".json.gz")
META = "mteb_model_meta"


def run_lines(path: Path) -> Iterator[tuple[int, str]]:
    """Yield what `read_lines` yields; predictions of MTEB are turned into the lines of a six-column run.

    Raises:
        UserError: if the file cannot be read, or is JSON but not MTEB's predictions for one split.
    """
    if not path.name.endswith(ENDINGS):
        yield from read_lines(path)
        return
    table = _read(path)
    tag, by_topic = _model(table) or path.name.split(".")[0].removesuffix("_predictions"), _predictions(path, table)
    number = 0
    for topic, by_document in by_topic.items():
        for rank, (document, score) in enumerate(_ranked(path, topic, by_document), 1):
            number += 1
            yield number, f"{topic} Q0 {document} {rank} {score!r} {tag}"


def _read(path: Path) -> dict[str, Any]:
    try:
        text = "\n".join(line for _, line in read_lines(path))
        table = json.loads(text, object_pairs_hook=_distinct)
        if "\\u" in text:
            json.dumps(table, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        raise UserError(f"{path.name}: an unpaired surrogate, which is not a valid character") from None
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path.name}: not JSON ({error})") from None
    if isinstance(table, dict) and "scores" in table and "task_name" in table:
        raise UserError(
            f"{path.name}: results of MTEB, which have means alone; save its predictions and import those, "
            "or show these as a row with python -m core.compare means --reference"
        )
    return table if isinstance(table, dict) else {}


def _distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return a JSON object, in which no name may stand twice: the first value would be lost."""
    table = dict(pairs)
    if len(table) < len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"{next(name for name in names if names.count(name) > 1)} is there twice")
    return table


def _model(table: dict[str, Any]) -> str:
    """Return the name of the model without its organisation, "" if it is not recorded."""
    meta = table.get(META)
    name = meta.get("model_name") if isinstance(meta, dict) else ""
    return "_".join(name.rpartition("/")[2].split()) if isinstance(name, str) else ""


def _predictions(path: Path, table: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Return topic -> document -> score.

    Raises:
        UserError: if the file has the predictions for several splits, or none.
    """
    subsets = {name: value for name, value in table.items() if name != META and isinstance(value, dict)}
    splits = {
        f"{subset}/{split}": value
        for subset, by_split in subsets.items()
        for split, value in by_split.items()
        if isinstance(value, dict)
    }
    if len(splits) > 1:
        raise UserError(f"{path.name}: predictions for {', '.join(splits)}; keep one of them in the file")
    by_topic: dict[str, dict[str, Any]] = next(iter(splits.values()), subsets)
    if not by_topic or not all(isinstance(value, dict) for value in by_topic.values()):
        raise UserError(
            f"{path.name}: not a run or predictions of MTEB, which have subset, split, topic, document and score"
        )
    return by_topic


def _ranked(path: Path, topic: str, by_document: dict[str, Any]) -> list[tuple[str, float]]:
    for document, score in by_document.items():
        if not isinstance(score, int | float) or isinstance(score, bool) or not abs(score) <= sys.float_info.max:
            raise UserError(f"{path.name}: the score of {document} for topic {topic} is not a finite number")
        if len(topic.split()) != 1 or len(document.split()) != 1:
            raise UserError(f"{path.name}: {topic!r} or {document!r} is empty or has white space")
    return sorted(by_document.items(), key=lambda hit: -hit[1])
