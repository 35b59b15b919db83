"""Score explanation of one document, as HTML for its open row: the contributions to each system's score.

Systems are opened on demand, since a model takes seconds to load.
"""

from collections.abc import Sequence
from html import escape
from threading import Lock
from typing import TYPE_CHECKING, cast

import pandas as pd

from core.formats.documents import Document
from core.retrieval.analyzer import Analyzer
from core.workspace.errors import UserError
from core.workspace.profile import SystemSettings
from dashboard.shared import live, predicted_queries
from dashboard.shared.escaping import error_text
from dashboard.shared.ranked_lists import marked, shaded_words
from dashboard.views.topic.shown import Shown

if TYPE_CHECKING:
    from core.retrieval.rerank import RerankSystem
    from core.retrieval.sparse import SparseSystem
    from core.retrieval.systems import DenseSystem

WORDS = 10
"""Number of words of a dense score, and of terms of a learned sparse one, that are listed."""
MATCHING = 5
"""Number of predicted queries with a query term that are listed."""
WAITING = '<p class="rs-small">Score explanation …</p>'
LOSSES = (
    "Each word of the query: what the score loses without it. Darker in the text: the score loses more without all "
    "occurrences of the word; dotted underline: it gains. Only the text that the model read is shown."
)
MATCHES = (
    "Before re-ranking: {before}. Each token of the query with the token of the document that is most similar to it, "
    "and their similarity. Darker in the text: more similarity to tokens of the query that match the word."
)
STYLE = """<style>
.rs-why { display: grid; grid-template-columns: repeat(auto-fit, minmax(15rem, 1fr)); gap: 0.25rem 1rem; }
.rs-why table { width: 100%; border-collapse: collapse; font-size: 0.8rem; margin: 0; }
.rs-why caption { text-align: left; font-weight: 600; padding: 0.35rem 0 0.1rem; color: inherit; }
.rs-why td { padding: 0.05rem 0.4rem 0.05rem 0; border: 0; }
.rs-why td:nth-child(2) { text-align: right; font-variant-numeric: tabular-nums; }
.rs-why td:nth-child(3) { width: 35%; }
.rs-why td span { display: block; height: 0.6rem; background: light-dark(#2f86c9, #5aa9e6); border-radius: 2px; }
</style>"""


def explanations(shown: Shown, identity: str) -> str:
    """Return the contributions to the score of a document by each shown system, as HTML."""
    document = shown.content.documents.get(identity)
    if document is None and (shown.opened.has_texts or shown.opened.is_imported):
        said = "The text of the document is not available, so its scores cannot be explained."
        return f'<p class="rs-small">{said}</p>'
    settings = {system.name: system for system in shown.opened.profile.system}
    parts = [_of_system(shown, settings[name], identity, document) for name in shown.systems]
    return f'<div class="rs-why">{"".join(parts)}</div>'


def _of_system(shown: Shown, settings: SystemSettings, identity: str, document: Document | None) -> str:
    places = {name: (rank, score) for rank, (name, score) in enumerate(shown.scores[settings.name], 1)}
    rank, score = places.get(identity, (None, None))
    where = f"rank {rank}, score {score:.4f}" if rank else "not retrieved for this topic"
    name = f"{shown.letters[settings.name]}: {shown.labels[settings.name]} · {where}"
    try:
        return f"<div>{_explanation(shown, settings, identity, document, name)}</div>"
    except Exception as error:  # a fault in one system must not hide the others
        return f"<div>{_caption(name)}{_small(error_text(error))}</div>"


def _explanation(shown: Shown, settings: SystemSettings, identity: str, document: Document | None, name: str) -> str:
    """Return the contributions to one system's score of a document.

    Raises:
        UserError: if the system cannot be opened, or its model cannot be explained.
    """
    if settings.kind in ("dense", "rerank") and document is None:
        raise UserError("The text of the document is not included, so the contributions of its words are unknown")
    ready = live.ready_system(shown.opened, settings)
    if settings.kind == "rerank" and document:
        return _reranked(cast("RerankSystem", ready.system), ready.lock, shown.query, document, name)
    with ready.lock:
        if settings.kind == "dense" and document:
            shares = cast("DenseSystem", ready.system).explain_words(shown.query, document)
        elif settings.kind == "sparse":
            return _terms(cast("SparseSystem", ready.system).explain_terms(shown.query, identity), name)
        else:
            shares = ready.system.explain(shown.query, identity)
    if settings.kind == "dense":
        return _words(shown.analyzer(settings), shares, name)
    own = set(shown.analyzer(settings).tokens(document.full_text)) if settings.expanded and document else None
    rows = [(term, weight, "" if own is None or term in own else "predicted queries only") for term, weight in shares]
    nothing = "None of its systems retrieved it." if settings.of else "No query term occurs in the document."
    table = _table(name, rows) if rows else _caption(name) + _small(nothing)
    return table + (_predicted(shown, settings, identity) if settings.expanded else "")


def _reranked(system: "RerankSystem", lock: Lock, query: str, document: Document, name: str) -> str:
    """Return the contributions to a re-ranker's score: of the query in a table, of the document as shading.

    Those of a cross-encoder are what the score loses without a word, those of a multi-vector encoder similarities.
    """
    with lock:
        shares = system.explain(query, document.id)
        losses = system.explain_words(query, document) if shares else []
        before = system.rank_before(query, document.id)
    if not shares:
        below = f"Below the first {system.settings.depth} documents, which alone are re-ranked: kept in their order."
        return _caption(name) + _small(below)
    table = _table(name, [(word, loss, "") for word, loss in shares])
    note = LOSSES if system.settings.architecture == "cross-encoder" else MATCHES.format(before=before)
    shaded = f"<details><summary>Words in document order</summary>{shaded_words(losses)}</details>"
    return table + shaded + _small(note)


def _table(name: str, rows: Sequence[tuple[str, float, str]], rest: Sequence[tuple[str, float]] = ()) -> str:
    """Return contributions to a score and their sum; `rest` is named below the table."""
    largest = max((value for _, value, _ in rows), default=0.0) or 1.0
    lines = "".join(
        f"<tr><td>{escape(term)}</td><td>{value:.4f}</td>"
        f'<td><span style="width: {max(100 * value / largest, 0):.0f}%"></span></td><td>{escape(note)}</td></tr>'
        for term, value, note in rows
    )
    total = sum(value for _, value, _ in rows) + sum(value for _, value in rest)
    more = ", ".join(f"{value:.4f} from {what}" for what, value in rest)
    sum_of = f"Sum: {total:.4f} (= score){f', including {more}' if more else ''}."
    return f"<table><caption>{escape(name)}</caption>{lines}</table>{_small(sum_of)}"


def _terms(weights: Sequence[tuple[str, float, float]], name: str) -> str:
    """Return the contributions of terms to a learned sparse score, with the weights that they are the product of."""
    if not weights:
        return _caption(name) + _small("Query and document have no term with a weight in common.")
    rows = [(term, query * document, f"{query:.2f} × {document:.2f}") for term, query, document in weights]
    rest = [(f"{len(rows) - WORDS} more terms", sum(value for _, value, _ in rows[WORDS:]))] if rows[WORDS:] else []
    note = "The product of the term’s weights in the query and in the document; the model adds terms to both."
    return _table(name, rows[:WORDS], rest) + _small(note)


def _words(rules: Analyzer, shares: Sequence[tuple[str, float]], name: str) -> str:
    """Return the contributions of words to a dense similarity: the largest in a table, all as shading in the text."""
    table = pd.DataFrame(shares, columns=["word", "share"])
    of_content = [bool(rules.tokens(word)) for word in table["word"]]
    table["word"] = table["word"].str.casefold()
    grouped = table[of_content].groupby("word", sort=False)["share"].agg(["sum", "size"])
    grouped = grouped.sort_values("sum", ascending=False, kind="stable")
    others, punctuation = grouped.iloc[WORDS:], table[[not found for found in of_content]]
    rest = [
        (f"{len(others)} more words", others["sum"].sum()),
        ("stop words and punctuation", punctuation["share"].sum()),
    ]
    rows = [
        (str(word), share, f"{times} times" if times > 1 else "")
        for word, share, times in grouped.iloc[:WORDS].itertuples()
    ]
    note = "Darker: larger share; dotted underline: negative share. Only the text that the model read is shown."
    shaded = f"<details><summary>Words in document order</summary>{shaded_words(shares)}{_small(note)}</details>"
    return _table(name, rows, [part for part in rest if part[1]]) + shaded


def _predicted(shown: Shown, settings: SystemSettings, identity: str) -> str:
    """Return the predicted queries that share a term with the query, their matches marked."""
    queries = dict.fromkeys(predicted_queries.searched(shown.opened, settings).get(identity, []))
    spans = shown.spans(settings.name)
    matching = [text for text in queries if spans(text)]
    items = "".join(_small(marked(text, spans), escaped=True) for text in matching[:MATCHING])
    end = "." if not matching else ":" if len(matching) <= MATCHING else f"; the first {MATCHING}:"
    return _small(f"{len(matching)} of {len(queries)} predicted queries contain a query term{end}") + items


def _caption(name: str) -> str:
    return f'<p class="rs-small"><strong>{escape(name)}</strong></p>'


def _small(text: str, escaped: bool = False) -> str:
    return f'<p class="rs-small">{text if escaped else escape(text)}</p>'
