"""The predicted queries of a collection: all that doc2query wrote, their scores, and those that a system searches."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import streamlit as st

from core.artifacts import open_artifact
from core.bm25 import read_predicted
from core.expansions import SCORES_FOLDER, read_expansions, read_scores, threshold
from core.profile import ExpansionSettings, SystemSettings
from dashboard import data


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
    lowest = None
    if (opened.folder / SCORES_FOLDER / "manifest.json").is_file():
        digest = open_artifact(opened.folder / SCORES_FOLDER).digest
        scores = _scores(opened.folder, digest)
        if scores and system.expansion.keep < 1:
            lowest = _lowest(opened.folder, system.expansion, digest)
    return Written(expansions(opened), scores, searched(opened, system), lowest)


def searched(opened: data.Opened, system: SystemSettings) -> dict[str, list[str]]:
    """Return the predicted queries that a system searches, by document.

    Raises:
        UserError: its index is missing or damaged.
    """
    return _kept(opened.folder, system.name, open_artifact(opened.folder / "bm25" / system.name).digest)


def expansions(opened: data.Opened) -> dict[str, list[str]]:
    """Return the predicted queries of each document.

    Raises:
        UserError: they are missing or damaged.
    """
    return _expansions(opened.folder, open_artifact(opened.folder / "doc2query").digest)


@st.cache_resource(max_entries=3, show_spinner=False)
def _expansions(folder: Path, digest: str) -> dict[str, list[str]]:
    return read_expansions(folder)


@st.cache_resource(max_entries=3, show_spinner=False)
def _scores(folder: Path, digest: str) -> dict[str, list[float]]:
    return read_scores(folder)


@st.cache_data(max_entries=20, show_spinner=False, hash_funcs={ExpansionSettings: ExpansionSettings.model_dump_json})
def _lowest(folder: Path, expansion: ExpansionSettings, digest: str) -> float:
    return threshold(_scores(folder, digest), expansion)


@st.cache_resource(max_entries=3, show_spinner=False)
def _kept(folder: Path, system: str, digest: str) -> dict[str, list[str]]:
    return read_predicted(folder, system)


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
