"""What doc2query did for one document: its predicted queries, kept and dropped, and the matches they earned.

Any page draws it with one call of `panel`.
"""

import pandas as pd
import streamlit as st

from core.evaluation.expansion_effects import new_terms
from core.formats.documents import Document
from core.retrieval.analyzer import Analyzer
from core.retrieval.bm25 import origins
from core.retrieval.systems import Bm25System
from core.workspace.errors import UserError
from core.workspace.profile import SystemSettings
from dashboard.shared import data, live
from dashboard.shared.escaping import escape_markdown, show_error
from dashboard.views.search.written_queries import Written, queries_table, written

TERMS = 30


def panel(opened: data.Opened, system: SystemSettings, document: Document, query: str = "") -> None:
    """Draw a document's predicted queries and, for a query, which of them earned a match."""
    try:
        found = written(opened, system)
        if query:
            _matches(opened, system, document, query, found.kept.get(document.id, []))
    except UserError as error:
        show_error(error)
        return
    table = queries_table(found, document.id)
    if table.empty:
        st.write("No query was predicted for this document.")
        return
    new = new_terms(Analyzer(opened.profile.analyzer), document, found.kept.get(document.id, []))
    if new:
        more = f" and {len(new) - TERMS} more" if len(new) > TERMS else ""
        words = ", ".join(f"{word} ({count})" if count > 1 else word for word, count in new[:TERMS])
        st.markdown(f"**New to the document:** {escape_markdown(words)}{more}")
    else:
        st.markdown("**New to the document:** no word; the queries repeat what it says.")
    st.dataframe(
        table if found.scores else table.drop(columns="score"),
        hide_index=True,
        column_config={
            "score": st.column_config.NumberColumn(format="%.3f"),
            "searched": st.column_config.Column(width="small"),
        },
        alt="Predicted queries of the document",
    )
    st.caption(_filter_in_words(opened, system, found, table))


def _matches(opened: data.Opened, system: SystemSettings, document: Document, query: str, kept: list[str]) -> None:
    """Draw what each term of the query adds to the score, by where it stands."""
    ready = live.open_system(opened, system)
    if not isinstance(ready.system, Bm25System):
        return
    with ready.lock:
        parts = origins(ready.system.index, opened.profile.bm25, query, document, kept)
    if not parts:
        st.write("No word of the query is in this document or its predicted queries.")
        return
    rows = [
        {"term": o.term, "document": o.document, "predicted": o.predicted, "earned by": " · ".join(o.queries)}
        for o in parts
    ]
    total, predicted = sum(o.document + o.predicted for o in parts), sum(o.predicted for o in parts)
    st.markdown(f"**Score {total:.2f}**: {predicted / total:.0%} of it earned by predicted queries")
    number = st.column_config.NumberColumn(format="%.2f", width="small")
    st.dataframe(
        pd.DataFrame(rows),
        hide_index=True,
        column_config={"document": number, "predicted": number},
        alt="Weight of each matched term, by document and predicted queries",
    )


def _filter_in_words(opened: data.Opened, system: SystemSettings, found: Written, table: pd.DataFrame) -> str:
    scorer = escape_markdown(opened.profile.doc2query.scorer)
    margin = " less that to the nearest other document" if opened.profile.doc2query.score_by == "margin" else ""
    scored = f" Scores: similarity to the document by {scorer}{margin}." if found.scores else ""
    searched = f"{int(table['searched'].sum())} of {len(table)} are searched"
    if found.lowest is None:
        return f"{searched}; nothing is filtered.{scored}"
    best = f"those that score {found.lowest:.3f} or more, the best {system.expansion.keep:.0%} of the collection"
    return f"{searched}: {best}.{scored}"
