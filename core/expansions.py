"""Predicted queries on disk: `doc2query/expansions.jsonl`, {"_id", "queries"} a line."""

import json
from pathlib import Path

from core.artifacts import open_artifact

FILE = "expansions.jsonl"


def write_expansions(folder: Path, queries: dict[str, list[str]]) -> None:
    """Write the predicted queries of each document into the folder of an artifact that is being made."""
    with (folder / FILE).open("w", encoding="utf-8", newline="\n") as file:
        for name, predicted in queries.items():
            file.write(json.dumps({"_id": name, "queries": predicted}, ensure_ascii=False) + "\n")


def read_expansions(folder: Path) -> dict[str, list[str]]:
    """Return the predicted queries of each document of the built collection under `folder`.

    Raises:
        UserError: they are missing or damaged.
    """
    open_artifact(folder / "doc2query")
    with (folder / "doc2query" / FILE).open(encoding="utf-8", newline="\n") as file:
        return {entry["_id"]: entry["queries"] for entry in map(json.loads, file)}
