"""The predicted queries of a collection: all of them, their scores, and those that a system indexes.

`draw_predicted_queries` draws those of one document, kept and dropped, and the terms that they matched.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pandas as pd
import streamlit as st

from core.evaluation.expansion_effects import new_terms
from core.formats.documents import Document
from core.formats.predicted_queries import read_scores, stored_expansions, stored_scores, threshold
from core.retrieval.analyzer import open_analyzer
from core.retrieval.bm25 import origins, stored_predicted
from core.retrieval.systems import Bm25System
from core.workspace.artifacts import open_artifact, read_latest, read_whole
from core.workspace.errors import UserError
from core.workspace.profile import ExpansionSettings, SystemSettings
from core.workspace.workspace import CollectionFolder
from dashboard.shared import data, live
from dashboard.shared.escaping import escape_markdown, show_error

TERMS = 30


@dataclass(frozen=True)
class Written:
    """The predicted queries of a collection from the view of one system.

    Attributes:
        all: the queries of each document; `scores` has their scores, if they were computed.
        kept: the queries that the system indexes.
        lowest: the lowest score of a kept query; None if queries are not filtered.
    """

    all: Mapping[str, list[str]]
    scores: Mapping[str, list[float]]
    kept: Mapping[str, list[str]]
    lowest: float | None


def written(opened: data.Opened, system: SystemSettings) -> Written:
    """Return the predicted queries from the view of the system.

    Raises:
        UserError: if queries or index are missing or damaged.
    """
    scores: Mapping[str, list[float]] = {}
    lowest: float | None = None
    if (opened.folder.query_scores / "manifest.json").is_file():
        place = opened.folder.query_scores
        scores, lowest = read_latest(
            lambda: open_artifact(place).digest,
            lambda digest: (_scores(opened.folder, digest), _lowest(opened.folder, system.expansion, digest)),
        )
    return Written(expansions(opened), scores, searched(opened, system), lowest)


def searched(opened: data.Opened, system: SystemSettings) -> Mapping[str, list[str]]:
    """Return the predicted queries that a system indexes, by document.

    Raises:
        UserError: if its index is missing or damaged.
    """
    place = opened.folder.bm25(system.name)
    return read_latest(lambda: open_artifact(place).digest, lambda digest: _kept(opened.folder, system.name, digest))


def expansions(opened: data.Opened) -> Mapping[str, list[str]]:
    """Return the predicted queries of each document.

    Raises:
        UserError: if they are missing or damaged.
    """
    place = opened.folder.predicted_queries
    return read_latest(lambda: open_artifact(place).digest, lambda digest: _expansions(opened.folder, digest))


@st.cache_resource(max_entries=3, show_spinner=False)
def _expansions(folder: CollectionFolder, digest: str) -> Mapping[str, list[str]]:
    return read_whole(folder.predicted_queries, lambda _: stored_expansions(folder), digest=digest)


@st.cache_resource(max_entries=3, show_spinner=False)
def _scores(folder: CollectionFolder, digest: str) -> Mapping[str, list[float]]:
    return read_whole(folder.query_scores, lambda _: stored_scores(folder), digest=digest)


@st.cache_data(max_entries=20, show_spinner=False, hash_funcs={ExpansionSettings: ExpansionSettings.model_dump_json})
def _lowest(folder: CollectionFolder, expansion: ExpansionSettings, digest: str) -> float | None:
    if expansion.keep == 1:
        return None
    scores = read_whole(folder.query_scores, lambda _: read_scores(folder), digest=digest)
    return threshold(scores, expansion) if scores else None


@st.cache_resource(max_entries=3, show_spinner=False)
def _kept(folder: CollectionFolder, system: str, digest: str) -> Mapping[str, list[str]]:
    return read_whole(folder.bm25(system), lambda _: stored_predicted(folder, system), digest=digest)


def queries_table(found: Written, document: str) -> pd.DataFrame:
    """Return a document's predicted queries, sorted by score if scored, with columns query, score, indexed."""
    queries = found.all.get(document, [])
    scores: Sequence[float | None] = found.scores.get(document) or [None] * len(queries)
    left = list(found.kept.get(document, []))
    rows = []
    for query, score in zip(queries, scores, strict=False):
        searched = query in left
        if searched:
            left.remove(query)
        rows.append({"predicted query": query, "score": score, "indexed": searched})
    table = pd.DataFrame(rows, columns=["predicted query", "score", "indexed"])
    return table.sort_values(["indexed", "score"], ascending=False, kind="stable", ignore_index=True)


def draw_predicted_queries(opened: data.Opened, system: SystemSettings, document: Document, query: str = "") -> None:
    """Draw a document's predicted queries and, for a query, which of them match it."""
    try:
        found = written(opened, system)
        if query:
            _matches(opened, system, document, query, found.kept.get(document.id, []))
    except UserError as error:
        show_error(error)
        return
    table = queries_table(found, document.id)
    if table.empty:
        st.write("No queries were predicted for this document.")
        return
    new = new_terms(open_analyzer(opened.profile.analyzer_of(system)), document, found.kept.get(document.id, []))
    if new:
        more = f" and {len(new) - TERMS} more" if len(new) > TERMS else ""
        words = ", ".join(f"{word} ({count})" if count > 1 else word for word, count in new[:TERMS])
        st.markdown(f"**New terms:** {escape_markdown(words)}{more}")
    else:
        st.markdown("**New terms:** none; the queries only use terms of the document.")
    st.dataframe(
        table if found.scores else table.drop(columns="score"),
        hide_index=True,
        column_config={
            "score": st.column_config.NumberColumn(format="%.3f"),
            "indexed": st.column_config.Column(width="small"),
        },
        alt="Predicted queries of the document",
    )
    st.caption(_filter_in_words(opened, system, found, table))


def _matches(opened: data.Opened, system: SystemSettings, document: Document, query: str, kept: list[str]) -> None:
    """Draw each query term's contribution to the score, from the document and from its predicted queries."""
    ready = live.ready_system(opened, system)
    if not isinstance(ready.system, Bm25System):
        return
    with ready.lock:
        parts = origins(ready.system.index, opened.profile.bm25_of(system), query, document, kept)
    if not parts:
        st.write("No query term occurs in this document or its predicted queries.")
        return
    rows = [
        {"term": o.term, "document": o.document, "predicted": o.predicted, "matching queries": " · ".join(o.queries)}
        for o in parts
    ]
    total, predicted = sum(o.document + o.predicted for o in parts), sum(o.predicted for o in parts)
    st.markdown(f"**Score {total:.2f}**: {100 * predicted / total:.0f} % from predicted queries")
    number = st.column_config.NumberColumn(format="%.2f", width="small")
    st.dataframe(
        pd.DataFrame(rows),
        hide_index=True,
        column_config={"document": number, "predicted": number},
        alt="Weight of each matched term, from the document and from its predicted queries",
    )


def _filter_in_words(opened: data.Opened, system: SystemSettings, found: Written, table: pd.DataFrame) -> str:
    scorer = escape_markdown(opened.profile.doc2query.scorer)
    margin = (
        " minus the similarity to the nearest other document" if opened.profile.doc2query.score_by == "margin" else ""
    )
    scored = f" Score: similarity to the document ({scorer}){margin}." if found.scores else ""
    searched = f"{int(table['indexed'].sum())} of {len(table)} are indexed"
    if found.lowest is None:
        return f"{searched}; no filter is applied.{scored}"
    share = f"{100 * system.expansion.keep:.0f} %"
    best = f"those with a score of at least {found.lowest:.3f}, the top {share} of the collection"
    return f"{searched}: {best}.{scored}"
