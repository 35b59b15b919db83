"""The predicted queries of a collection: all that doc2query wrote, their scores, and those that a system searches."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import streamlit as st

from core.formats.predicted_queries import SCORES_FOLDER, read_expansions, read_scores, threshold
from core.retrieval.bm25 import read_predicted
from core.workspace.artifacts import open_artifact, read_latest, read_whole
from core.workspace.profile import ExpansionSettings, SystemSettings
from dashboard.shared import data


@dataclass(frozen=True)
class Written:
    """The predicted queries of a collection as one system has them.

    Attributes:
        all: the queries of each document, and `scores` of each; no scores where they were not made.
        kept: those that the system searches.
        lowest: the score that they reach, None where nothing is filtered.
    """

    all: dict[str, list[str]]
    scores: dict[str, list[float]]
    kept: dict[str, list[str]]
    lowest: float | None


def written(opened: data.Opened, system: SystemSettings) -> Written:
    """Return the predicted queries as the system has them.

    Raises:
        UserError: queries or index are missing or damaged.
    """
    scores: dict[str, list[float]] = {}
    lowest: float | None = None
    if (opened.folder / SCORES_FOLDER / "manifest.json").is_file():
        place = opened.folder / SCORES_FOLDER
        scores, lowest = read_latest(
            lambda: open_artifact(place).digest,
            lambda digest: (_scores(opened.folder, digest), _lowest(opened.folder, system.expansion, digest)),
        )
    return Written(expansions(opened), scores, searched(opened, system), lowest)


def searched(opened: data.Opened, system: SystemSettings) -> dict[str, list[str]]:
    """Return the predicted queries that a system searches, by document.

    Raises:
        UserError: its index is missing or damaged.
    """
    place = opened.folder / "bm25" / system.name
    return read_latest(lambda: open_artifact(place).digest, lambda digest: _kept(opened.folder, system.name, digest))


def expansions(opened: data.Opened) -> dict[str, list[str]]:
    """Return the predicted queries of each document.

    Raises:
        UserError: they are missing or damaged.
    """
    place = opened.folder / "doc2query"
    return read_latest(lambda: open_artifact(place).digest, lambda digest: _expansions(opened.folder, digest))


@st.cache_resource(max_entries=3, show_spinner=False)
def _expansions(folder: Path, digest: str) -> dict[str, list[str]]:
    return read_whole(folder / "doc2query", lambda _: read_expansions(folder), digest=digest)


@st.cache_resource(max_entries=3, show_spinner=False)
def _scores(folder: Path, digest: str) -> dict[str, list[float]]:
    return read_whole(folder / SCORES_FOLDER, lambda _: read_scores(folder), digest=digest)


@st.cache_data(max_entries=20, show_spinner=False, hash_funcs={ExpansionSettings: ExpansionSettings.model_dump_json})
def _lowest(folder: Path, expansion: ExpansionSettings, digest: str) -> float | None:
    scores = _scores(folder, digest)
    return threshold(scores, expansion) if scores and expansion.keep < 1 else None


@st.cache_resource(max_entries=3, show_spinner=False)
def _kept(folder: Path, system: str, digest: str) -> dict[str, list[str]]:
    return read_whole(folder / "bm25" / system, lambda _: read_predicted(folder, system), digest=digest)


def queries_table(found: Written, document: str) -> pd.DataFrame:
    """Return a document's predicted queries, the best first where they are scored: query, score, searched."""
    queries = found.all.get(document, [])
    scores: Sequence[float | None] = found.scores.get(document) or [None] * len(queries)
    left = list(found.kept.get(document, []))
    rows = []
    for query, score in zip(queries, scores, strict=False):
        searched = query in left
        if searched:
            left.remove(query)
        rows.append({"predicted query": query, "score": score, "searched": searched})
    table = pd.DataFrame(rows, columns=["predicted query", "score", "searched"])
    return table.sort_values(["searched", "score"], ascending=False, kind="stable", ignore_index=True)
