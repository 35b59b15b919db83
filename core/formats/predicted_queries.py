"""Predicted queries on disk, and which of them are searched.

doc2query/expansions.jsonl       {"_id", "queries"} a line
doc2query-scores/scores.jsonl    {"_id", "scores"} a line: how relevant the document is to each of its queries
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from core.workspace.artifacts import advice, read_manifest, read_whole
from core.workspace.errors import UserError
from core.workspace.profile import ExpansionSettings
from core.workspace.workspace import CollectionFolder

FILE = "expansions.jsonl"
SCORES_FOLDER, SCORES_FILE = "doc2query-scores", "scores.jsonl"


def write_expansions(folder: Path, queries: Mapping[str, list[str]]) -> None:
    """Write the predicted queries of each document into the folder of an artifact that is being made."""
    write_by_document(folder / FILE, "queries", queries)


def read_expansions(folder: CollectionFolder) -> dict[str, list[str]]:
    """Return the predicted queries of each document of the built collection under `folder`.

    Raises:
        UserError: they are missing or damaged.
    """
    place = folder.predicted_queries
    return read_whole(place, lambda _: read_by_document(place / FILE, "queries"))


def read_scores(folder: CollectionFolder) -> dict[str, list[float]]:
    """Return the score of each predicted query of each document of the built collection under `folder`.

    Raises:
        UserError: they are missing or damaged.
    """
    place = folder.query_scores
    return read_whole(place, lambda _: read_by_document(place / SCORES_FILE, "scores"))


def check_scores(folder: CollectionFolder) -> None:
    """Check that the scores of the built collection under `folder` are of the predicted queries that are there.

    Raises:
        UserError: they are of other queries, or either is missing or damaged.
    """
    scored = folder.query_scores
    if read_manifest(scored).inputs.get("doc2query") != read_manifest(folder.predicted_queries).digest:
        raise UserError(f"{scored.shown} holds scores of other predicted queries; {advice(scored)}")


def write_by_document(path: Path, key: str, values: Mapping[str, list[Any]]) -> None:
    """Write {"_id", key} a line."""
    with path.open("w", encoding="utf-8", newline="\n") as file:
        for name, own in values.items():
            file.write(json.dumps({"_id": name, key: own}, ensure_ascii=False) + "\n")


def read_by_document(path: Path, key: str) -> dict[str, list[Any]]:
    """Read what `write_by_document` wrote."""
    with path.open(encoding="utf-8", newline="\n") as file:
        return {entry["_id"]: entry[key] for entry in map(json.loads, file)}


def threshold(scores: Mapping[str, list[float]], expansion: ExpansionSettings) -> float:
    """Return the score that the queries which are kept reach: `keep` of all that are looked at have it or more."""
    looked_at = [score for own in scores.values() for score in own[: expansion.queries or None]]
    return float(np.quantile(looked_at, 1 - expansion.keep)) if looked_at else 0.0


def kept_queries(
    queries: Mapping[str, list[str]], scores: Mapping[str, list[float]] | None, expansion: ExpansionSettings
) -> dict[str, list[str]]:
    """Return the predicted queries of each document that are searched, in their order.

    Args:
        scores: as many for each document as it has queries; not needed where nothing is filtered.
    """
    first = {name: own[: expansion.queries or None] for name, own in queries.items()}
    if scores is None or expansion.keep == 1:
        return first
    lowest = threshold(scores, expansion)
    return {
        name: [query for query, score in zip(own, scores[name], strict=False) if score >= lowest]
        for name, own in first.items()
    }
