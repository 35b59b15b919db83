"""Files of predicted queries and their scores, and the choice of the queries to index.

doc2query/expansions.jsonl       one {"_id", "queries"} per line
doc2query-scores/scores.jsonl    one {"_id", "scores"} per line: the relevance of the document to each of its queries
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
    """Write the predicted queries of each document to the folder of an unfinished artifact."""
    write_by_document(folder / FILE, "queries", queries)


def read_expansions(folder: CollectionFolder) -> dict[str, list[str]]:
    """Return the predicted queries of each document of a built collection.

    Raises:
        UserError: if they are missing or damaged.
    """
    place = folder.predicted_queries
    return read_whole(place, lambda _: read_by_document(place / FILE, "queries"))


def read_scores(folder: CollectionFolder) -> dict[str, list[float]]:
    """Return the scores of the predicted queries of each document of a built collection.

    Raises:
        UserError: if they are missing or damaged.
    """
    place = folder.query_scores
    return read_whole(place, lambda _: read_by_document(place / SCORES_FILE, "scores"))


def check_scores(folder: CollectionFolder) -> None:
    """Check that the scores of a built collection belong to its current predicted queries.

    Raises:
        UserError: if they belong to other queries, or scores or queries are missing or damaged.
    """
    scored = folder.query_scores
    if read_manifest(scored).inputs.get("doc2query") != read_manifest(folder.predicted_queries).digest:
        raise UserError(f"{scored.shown} has scores of other predicted queries; {advice(scored)}")


def write_by_document(path: Path, key: str, values: Mapping[str, list[Any]]) -> None:
    """Write one {"_id", key} per line."""
    with path.open("w", encoding="utf-8", newline="\n") as file:
        for name, listed in values.items():
            file.write(json.dumps({"_id": name, key: listed}, ensure_ascii=False) + "\n")


def read_by_document(path: Path, key: str) -> dict[str, list[Any]]:
    """Read a file that `write_by_document` wrote."""
    with path.open(encoding="utf-8", newline="\n") as file:
        return {entry["_id"]: entry[key] for entry in map(json.loads, file)}


def threshold(scores: Mapping[str, list[float]], expansion: ExpansionSettings) -> float:
    """Return the minimum score of the queries to keep, which the share `keep` of the candidates reach."""
    candidates = [score for by_query in scores.values() for score in by_query[: expansion.queries or None]]
    return float(np.quantile(candidates, 1 - expansion.keep)) if candidates else 0.0


def kept_queries(
    queries: Mapping[str, list[str]], scores: Mapping[str, list[float]] | None, expansion: ExpansionSettings
) -> dict[str, list[str]]:
    """Return the predicted queries of each document to index, in their original order.

    Args:
        scores: one per query of each document; may be None if nothing is filtered.
    """
    first = {name: predicted[: expansion.queries or None] for name, predicted in queries.items()}
    if scores is None or expansion.keep == 1:
        return first
    lowest = threshold(scores, expansion)
    return {
        name: [query for query, score in zip(predicted, scores[name], strict=False) if score >= lowest]
        for name, predicted in first.items()
    }
