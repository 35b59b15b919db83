"""A ranked list as one piece of HTML: light enough for many lists at once, and the same on a page and in a report.

Every text in it comes from outside and is escaped; nothing of it is read as HTML.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from core.collection import Document
from dashboard.card import SNIPPET, matched_terms
from dashboard.text import shortened

LONGEST_TEXT = 20_000
STYLE = """<style>
.hits { font-size: 0.9rem; overflow-wrap: anywhere; }
.hits article { border: 1px solid rgba(128, 136, 148, 0.4); border-radius: 0.3rem; }
.hits article { margin: 0 0 0.5rem; padding: 0.5rem 0.7rem; }
.hits p { margin: 0.2rem 0; font-size: inherit; }
.hits .facts, .hits .matched, .hits summary { font-size: 0.8rem; opacity: 0.85; }
.hits .text { white-space: pre-wrap; }
.hits summary { cursor: pointer; }
</style>"""


@dataclass(frozen=True)
class Hit:
    """One retrieved document and what is said of it.

    `document` is None where the collection has no texts; `grade` is a grade in signs and words or ""; `elsewhere` says
    where the document stands in other lists; `parts` are what the score is made of; `predicted` are the queries that
    doc2query predicted.
    """

    identity: str
    score: float
    document: Document | None
    grade: str = ""
    elsewhere: str = ""
    parts: Sequence[tuple[str, float]] = ()
    predicted: Sequence[str] = ()


def hits_html(hits: Sequence[Hit]) -> str:
    """Return a ranked list, best first, as HTML with its style."""
    return f'{STYLE}<div class="hits">{"".join(_hit(rank, hit) for rank, hit in enumerate(hits, 1))}</div>'


def _hit(rank: int, hit: Hit) -> str:
    facts = [f"<b>{rank}</b>", escape(hit.grade), f"score {hit.score:.3f}", escape(hit.elsewhere)]
    lines = [f'<p class="facts">{"  ·  ".join(fact for fact in facts if fact)}</p>']
    if hit.document is None:
        return f'<article>{lines[0]}<p class="document">document {escape(hit.identity)}</p></article>'
    lines.append(f"<p><strong>{escape(hit.document.title) or '(no title)'}</strong></p>")
    if hit.document.text:
        lines.append(f"<p>{escape(shortened(hit.document.text, SNIPPET))}</p>")
    if hit.parts:
        lines.append(f'<p class="matched">{escape(matched_terms(hit.parts))}</p>')
    text = hit.document.text[:LONGEST_TEXT] + (" …" if len(hit.document.text) > LONGEST_TEXT else "")
    inside = [f'<p class="text">{escape(text) or "(no text)"}</p>']
    inside.append(f'<p class="document">document {escape(hit.identity)}</p>')
    if hit.predicted:
        inside.append("<p>Queries that doc2query predicted, and BM25 searched as part of the document:</p>")
        inside.append(f'<p class="text">{escape(chr(10).join(hit.predicted))}</p>')
    summary = "Text and predicted queries" if hit.predicted else "Text"
    lines.append(f"<details><summary>{summary}</summary>{''.join(inside)}</details>")
    return f"<article>{''.join(lines)}</article>"
