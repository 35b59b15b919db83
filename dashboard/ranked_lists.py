"""Ranked lists as HTML: one piece of markup a list, which draws at once where a widget for each hit would take seconds.

Every text that is not ours passes through `html.escape` here, and st.html removes scripts on top. Grades differ by
colour, by sign and in words; the colours are chosen for a contrast of at least 4.5 in both themes.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from html import escape

from core.collection import Document
from dashboard.card import grade_text
from dashboard.text import shortened
from dashboard.topic_charts import grade_words

Spans = Callable[[str], Sequence[tuple[int, int]]]
"""Takes a text, returns the (begin, end) of what is marked in it, ascending and apart."""
LONGEST_TEXT = 5_000
BEGINNING = 90
"""Characters of the text that stand for a missing title."""
STYLE = """<style>
.rs-list { font-size: 0.875rem; line-height: 1.4; overflow-wrap: anywhere; }
.rs-list ol { list-style: none; margin: 0; padding: 0; }
.rs-list li { border: 1px solid color-mix(in srgb, currentColor 20%, transparent); border-radius: 0.4rem;
  margin: 0 0 0.5rem; padding: 0.5rem 0.6rem; }
.rs-list p { margin: 0.25rem 0; font-size: inherit; }
.rs-name { font-weight: 600; font-size: 1rem; }
.rs-small { font-size: 0.8rem; }
.rs-list summary { cursor: pointer; font-size: 0.8rem; }
.rs-text { white-space: pre-line; }
.rs-list mark { background: light-dark(#ffe08a, #5c4a08); color: inherit; border-radius: 2px; }
.rs-grade { display: inline-block; padding: 0 0.4rem; border-radius: 0.3rem; border: 1px solid transparent;
  font-size: 0.8rem; white-space: nowrap; }
.rs-relevant { background: light-dark(#0b5d9e, #7fc4f5); color: light-dark(#ffffff, #06263f); }
.rs-partly-relevant { background: light-dark(#cfe6f7, #17405f); color: light-dark(#0b3d66, #cfe8fa); }
.rs-not-relevant { background: light-dark(#eceff2, #2a333d); color: light-dark(#46505b, #c3ccd5); }
.rs-unjudged { border: 1px dashed light-dark(#8a5a00, #f0c27a); color: light-dark(#774d00, #f0c27a); }
</style>"""


@dataclass(frozen=True)
class Hit:
    """One document of a list, and what is said of it there."""

    rank: int | None
    document: str
    grade: int | None
    note: str = ""


def marked(text: str, spans: Sequence[tuple[int, int]]) -> str:
    """Return a text escaped, with the spans (ascending, apart) marked."""
    pieces, end = [], 0
    for begin, stop in spans:
        pieces += [escape(text[end:begin]), "<mark>", escape(text[begin:stop]), "</mark>"]
        end = stop
    return "".join([*pieces, escape(text[end:])])


def grade_badge(grade: int | None, highest: int) -> str:
    """Return a grade as a sign and in words on its colour."""
    name = grade_words(grade, highest).replace(" ", "-")
    return f'<span class="rs-grade rs-{name}">{escape(grade_text(grade, highest))}</span>'


def ranked_list(
    name: str,
    facts: str,
    hits: Sequence[Hit],
    documents: Mapping[str, Document],
    spans: Spans,
    highest_grade: int,
) -> str:
    """Return a list as HTML.

    Args:
        name: of the system.
        facts: what is said of the list as a whole.
        documents: may lack some or all.
        spans: finds what is marked in a text.
    """
    items = "".join(_item(hit, documents.get(hit.document), spans, highest_grade) for hit in hits)
    empty = '<p class="rs-small">Nothing here.</p>' if not hits else ""
    return (
        f'{STYLE}<div class="rs-list"><p class="rs-name">{escape(name)}</p><p class="rs-small">{escape(facts)}</p>'
        f"{empty}<ol>{items}</ol></div>"
    )


def _item(hit: Hit, document: Document | None, spans: Spans, highest_grade: int) -> str:
    first = f"<strong>{hit.rank or ''}</strong> {grade_badge(hit.grade, highest_grade)}"
    note = f'<p class="rs-small">{escape(hit.note)}</p>' if hit.note else ""
    identity = f'<p class="rs-small">document {escape(hit.document)}</p>'
    if document is None:
        return f'<li><p class="rs-small">{first}</p>{identity}{note}</li>'
    name = document.title or shortened(document.text, BEGINNING)
    title = marked(name, spans(name)) or "(no title)"
    text = document.text if len(document.text) <= LONGEST_TEXT else f"{document.text[:LONGEST_TEXT]} …"
    body = marked(text, spans(text)) or "(no text)"
    return (
        f'<li><p class="rs-small">{first}</p><p class="rs-title"><strong>{title}</strong></p>{note}'
        f'<details><summary>Text</summary><p class="rs-text">{body}</p>{identity}</details></li>'
    )


def shaded_words(shares: Sequence[tuple[str, float]]) -> str:
    """Return a document's words as HTML, the darker the larger the share of a dense score; below 0 underlined."""
    largest = max((abs(share) for _, share in shares), default=0.0) or 1.0
    words = []
    for word, share in shares:
        alpha = min(abs(share) / largest, 1.0) * 0.5 if share > 0 else 0.0
        line = "; text-decoration: underline dotted" if share < 0 else ""
        style = f"background: rgba(47, 134, 201, {alpha:.2f}){line}"
        words.append(f'<span style="{style}" title="{share:+.4f}">{escape(word)}</span>')
    return f'{STYLE}<div class="rs-list"><p>{" ".join(words)}</p></div>'
