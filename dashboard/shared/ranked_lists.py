"""Ranked lists as HTML: one piece of markup per list, since a widget per hit would take seconds to draw.

The same markup stands on the pages and in the report. Every text that is not ours passes through `html.escape` here,
and st.html removes scripts on top. Grades differ by colour, by sign and in words; the colours are chosen for a contrast
of at least 4.5 in both themes. `STYLE` is written once a page, not with each list: a new style sheet has the browser go
through the whole page again.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape

from core.evaluation.grades import grade_text, grade_words
from core.evaluation.rank_tables import title_of
from core.formats.documents import Document
from dashboard.shared.escaping import shortened

Spans = Callable[[str], Sequence[tuple[int, int]]]
"""Function from a text to the (begin, end) of its marked spans, ascending and disjoint."""
LONGEST_TEXT = 5_000
SNIPPET = 180
TERMS = 8
STYLE = """<style>
.rs-list { font-size: 0.875rem; line-height: 1.4; overflow-wrap: anywhere; }
.rs-list ol { list-style: none; margin: 0; padding: 0; }
.rs-list li { border: 1px solid color-mix(in srgb, currentColor 20%, transparent); border-radius: 0.4rem;
  margin: 0 0 0.5rem; padding: 0.5rem 0.6rem; }
.rs-list p { margin: 0.25rem 0; font-size: inherit; }
.rs-list .rs-name { font-weight: 600; font-size: 1rem; }
.rs-list .rs-small { font-size: 0.8rem; }
.rs-list summary { cursor: pointer; font-size: 0.8rem; }
.rs-text { white-space: pre-line; }
.rs-list mark { background: light-dark(#ffe08a, #5c4a08); color: inherit; border-radius: 2px; }
.rs-grade { display: inline-block; padding: 0 0.4rem; border-radius: 0.3rem; border: 1px solid transparent;
  font-size: 0.8rem; white-space: nowrap; }
.rs-relevant { background: light-dark(#0b5d9e, #7fc4f5); color: light-dark(#ffffff, #06263f); }
.rs-partly-relevant { background: light-dark(#cfe6f7, #17405f); color: light-dark(#0b3d66, #cfe8fa); }
.rs-not-relevant { background: light-dark(#eceff2, #2a333d); color: light-dark(#46505b, #c3ccd5); }
.rs-unjudged { border: 1px dashed light-dark(#8a5a00, #f0c27a); color: light-dark(#774d00, #f0c27a); }
/* Streamlit's own export leaves formulas in its cells; dashboard/shared/export.py does not. */
[data-testid="stElementToolbarButton"]:has([aria-label^="Download as CSV"]) { display: none; }
</style>"""


@dataclass(frozen=True)
class Hit:
    """One document of a list, and what is said of it there.

    `document` is None where the collection has no texts; `badge` is from `grade_badge`, "" where grades say nothing;
    `note` says where the document stands in other lists; `parts` are what the score is made of; `predicted` are the
    queries that doc2query predicted and the system searches.
    """

    identity: str
    document: Document | None
    rank: int | None = None
    badge: str = ""
    score: float | None = None
    note: str = ""
    parts: Sequence[tuple[str, float]] = ()
    predicted: Sequence[str] = ()


def marked(text: str, spans: Spans) -> str:
    """Return a text, escaped, with the spans that `spans` finds marked."""
    pieces, end = [], 0
    for begin, stop in spans(text):
        pieces += [escape(text[end:begin]), "<mark>", escape(text[begin:stop]), "</mark>"]
        end = stop
    return "".join([*pieces, escape(text[end:])])


def grade_badge(grade: int | None, highest: int, by_hand: bool = False) -> str:
    """Return a grade as HTML: a symbol and words on the colour of the grade."""
    name = grade_words(grade, highest).replace(" ", "-")
    text = grade_text(grade, highest) + (", judged by you" if by_hand else "")
    return f'<span class="rs-grade rs-{name}">{escape(text)}</span>'


def ranked_list(hits: Sequence[Hit], spans: Spans, name: str = "", facts: str = "", snippets: bool = False) -> str:
    """Return a list as HTML.

    Args:
        spans: finds the spans to mark in a text.
        name: name of the system.
        facts: a note on the whole list.
        snippets: whether to show the beginning of each text; narrow lists show only titles.
    """
    head = (f'<p class="rs-name">{escape(name)}</p>' if name else "") + _small(escape(facts))
    items = "".join(_item(hit, spans, snippets) for hit in hits) or '<li class="rs-small">No documents.</li>'
    return f'<div class="rs-list">{head}<ol>{items}</ol></div>'


def _item(hit: Hit, spans: Spans, snippets: bool) -> str:
    document = hit.document
    place = f"<strong>{hit.rank}</strong>" if hit.rank else ""
    score = f"score {hit.score:.3f}" if hit.score is not None else ""
    first = _small(" ".join(part for part in (place, hit.badge) if part))
    note = _small(" · ".join(part for part in (score, escape(hit.note)) if part))
    identity = _small(f"document {escape(hit.identity)}")
    parts = _small(escape(matched_terms(hit.parts)) if hit.parts else "")
    if document is None:
        missing = _small("text not included")
        return (
            f"<li>{first}{identity}{missing}{note}{parts}{_details('Predicted queries', _predicted(hit, spans))}</li>"
        )
    title = title_of(document, hit.identity)
    lines = [first, f'<p class="rs-title"><strong>{marked(title, spans)}</strong></p>']
    if snippets and document.title and document.text:
        lines.append(f"<p>{marked(shortened(document.text, SNIPPET), spans)}</p>")
    lines += [note, parts]
    text = document.text if len(document.text) <= LONGEST_TEXT else f"{document.text[:LONGEST_TEXT]} …"
    inside = f'<p class="rs-text">{marked(text, spans) or "(no text)"}</p>{identity}{_predicted(hit, spans)}'
    summary = "Text and predicted queries" if hit.predicted else "Text"
    return f"<li>{''.join(lines)}{_details(summary, inside)}</li>"


def _predicted(hit: Hit, spans: Spans) -> str:
    if not hit.predicted:
        return ""
    title = _small("Predicted queries (doc2query), indexed with the document:")
    return f'{title}<p class="rs-text">{marked(chr(10).join(hit.predicted), spans)}</p>'


def _details(summary: str, inside: str) -> str:
    return f"<details><summary>{summary}</summary>{inside}</details>" if inside else ""


def _small(markup: str) -> str:
    return f'<p class="rs-small">{markup}</p>' if markup else ""


def matched_terms(parts: Sequence[tuple[str, float]]) -> str:
    """Return the matched terms with their contributions to the score, largest first."""
    shown = " + ".join(f"{term} {weight:.2f}" for term, weight in parts[:TERMS])
    rest = sum(weight for _, weight in parts[TERMS:])
    return f"matched: {shown}" + (f" + {len(parts) - TERMS} more {rest:.2f}" if rest else "")


def shaded_words(shares: Sequence[tuple[str, float]]) -> str:
    """Return a document's words as HTML, shaded by their share of a dense score; negative shares are underlined."""
    largest = max((abs(share) for _, share in shares), default=0.0) or 1.0
    words = []
    for word, share in shares:
        alpha = min(abs(share) / largest, 1.0) * 0.5 if share > 0 else 0.0
        line = "; text-decoration: underline dotted" if share < 0 else ""
        style = f"background: rgba(47, 134, 201, {alpha:.2f}){line}"
        words.append(f'<span style="{style}" title="{share:+.4f}">{escape(word)}</span>')
    return f'<div class="rs-list"><p>{" ".join(words)}</p></div>'
