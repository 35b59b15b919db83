"""Score explanation: the contributions to each system's score of a document. Systems are opened on demand."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, cast

import pandas as pd
import streamlit as st

from core.evaluation.rank_tables import shown_documents
from core.formats.documents import Document
from core.retrieval.analyzer import Analyzer
from core.workspace.profile import SystemSettings
from dashboard.shared import live, predicted_queries, state
from dashboard.shared.escaping import escape_markdown, show_error
from dashboard.shared.ranked_lists import Hit, marked, ranked_list, shaded_words
from dashboard.views.topic.shown import Shown

if TYPE_CHECKING:
    from core.retrieval.systems import DenseSystem

WORDS = 15


def why(shown: Shown) -> None:
    """Draw the choice of a document and the explanation of each system's score."""
    names = shown_documents(shown.rankings, shown.depth)
    names += [name for name, _ in shown.ideal if name not in set(names)]
    if state.read("document") in shown.content.documents and state.read("document") not in names:
        names.append(state.read("document"))
    if not names:
        st.info("No document was retrieved for this topic.")
        return
    identity = state.choose("Document", names, "document", names[0], shown.titles(names))
    document = shown.content.documents.get(identity)
    st.html(ranked_list([Hit(identity, document, badge=shown.badge(identity))], shown.spans("")))
    settings = {system.name: system for system in shown.opened.profile.system}
    columns = dict(zip(shown.systems, st.columns(len(shown.systems)), strict=True))
    for system, column in columns.items():
        places = {name: (rank, score) for rank, (name, score) in enumerate(shown.scores[system], 1)}
        rank, score = places.get(identity, (None, None))
        column.markdown(f"**{escape_markdown(shown.labels[system])}**")
        column.caption(f"rank {rank}, score {score:.4f}" if rank else "not retrieved for this topic")
    if document is None and (shown.opened.has_texts or shown.opened.is_imported):
        st.caption("The text of the document is not available, so its scores cannot be explained.")
        return
    # BM25 first, as a model takes seconds to load
    for system in sorted(shown.systems, key=lambda name: settings[name].kind):
        with columns[system]:
            try:
                explanation(shown, settings[system], identity, document)
            except Exception as error:  # a fault in one system must not hide the others
                show_error(error)


def explanation(shown: Shown, settings: SystemSettings, identity: str, document: Document | None) -> None:
    """Draw the contributions to one system's score of a document.

    Args:
        identity: the document's id.
        document: None if its text is not here; dense systems cannot be explained then.

    Raises:
        UserError: if the system cannot be opened, or its model cannot be explained.
    """
    if settings.kind == "dense" and document is None:
        st.caption("The text of the document is not included, so the contributions of its words are unknown.")
        return
    with st.spinner("Explaining …"):
        ready = live.ready_system(shown.opened, settings)
        with ready.lock:
            if settings.kind == "dense" and document:
                shares = cast("DenseSystem", ready.system).explain_words(shown.query, document)
            else:
                shares = ready.system.explain(shown.query, identity)
    if settings.kind == "dense":
        words(shown.analyzer(settings), shares)
        return
    table = pd.DataFrame(shares, columns=["term", "weight"])
    if settings.expanded and document:
        own = set(shown.analyzer(settings).tokens(document.full_text))
        table["matched in"] = ["text" if term in own else "predicted queries only" for term in table["term"]]
    if table.empty:
        st.caption("No query term occurs in the document.")
    else:
        draw_shares(table, "weight", f"Query terms in document {identity}")
    if settings.expanded:
        predicted(shown, settings, identity, document)


def draw_shares(table: pd.DataFrame, column: str, alt: str, rest: Sequence[tuple[str, float]] = ()) -> None:
    """Draw contributions to a score and their sum; `rest` is named below the table."""
    largest = float(table[column].max()) if len(table) else 0.0
    bar = st.column_config.ProgressColumn(format="%.4f", min_value=0.0, max_value=largest if largest > 0 else 1.0)
    st.dataframe(table, hide_index=True, column_config={column: bar}, alt=alt)
    total = table[column].sum() + sum(value for _, value in rest)
    more = ", ".join(f"{value:.4f} from {name}" for name, value in rest)
    st.caption(f"Sum: {total:.4f} (= score){f', including {more}' if more else ''}.")


def words(rules: Analyzer, shares: Sequence[tuple[str, float]]) -> None:
    """Draw the contributions of words to a dense similarity: the largest in a table, all as shading in the text."""
    table = pd.DataFrame(shares, columns=["word", "share"])
    of_content = [bool(rules.tokens(word)) for word in table["word"]]
    table["word"] = table["word"].str.casefold()
    grouped = table[of_content].groupby("word", sort=False)["share"].agg(["sum", "size"]).reset_index()
    grouped = grouped.set_axis(["word", "share", "times"], axis=1).sort_values("share", ascending=False, kind="stable")
    others = grouped.iloc[WORDS:]
    punctuation = table[[not found for found in of_content]]
    rest = [
        (f"{len(others)} more words", others["share"].sum()),
        ("stop words and punctuation", punctuation["share"].sum()),
    ]
    alt = "Words of the document by their share of the similarity"
    draw_shares(grouped.iloc[:WORDS], "share", alt, [part for part in rest if part[1]])
    with st.expander("Words in document order"):
        st.html(shaded_words(shares))
        st.caption(
            "Darker: larger share; dotted underline: negative share. Only the text that the model read is shown."
        )


def predicted(shown: Shown, settings: SystemSettings, identity: str, document: Document | None) -> None:
    """Draw the predicted queries that share a term with the query, their matches marked; all of them on demand."""
    queries = dict.fromkeys(predicted_queries.searched(shown.opened, settings).get(identity, []))
    spans = shown.spans(settings.name)
    matching = [text for text in queries if spans(text)]
    st.caption(f"{len(matching)} of {len(queries)} predicted queries contain a query term:")
    if matching:
        items = "".join(f"<li>{marked(text, spans)}</li>" for text in matching)
        st.html(f'<div class="rs-list"><ol>{items}</ol></div>')
    if document is None:
        return
    with st.expander("All predicted queries"):
        predicted_queries.draw_predicted_queries(shown.opened, settings, document)
