"""Ranked lists as HTML: one piece of markup per list, since a widget per hit would take seconds to draw.

The same markup stands on the pages and in the report. Every text that is not ours passes through `html.escape` here,
and st.html removes scripts on top. Grades differ by colour, by sign and in words; the colours are chosen for a contrast
of at least 4.5 in both themes. `STYLE` is written once a page, not with each list: a new style sheet has the browser go
through the whole page again.

`compact_list` has a row per document: rank, grade, title and chips, with everything else in the row's details. Where
several lists stand side by side, `linked` and `link_style` have the browser outline a document in all of them while the
pointer or the focus is on it, and `list_tabs` shows one list at a time on a phone. Both are CSS without scripts.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from itertools import groupby, takewhile

from core.evaluation.grades import grade_text, grade_words
from core.evaluation.rank_tables import title_of
from core.formats.documents import Document
from dashboard.shared.escaping import shortened

Spans = Callable[[str], Sequence[tuple[int, int]]]
"""Function from a text to the (begin, end) of its marked spans, ascending and disjoint."""
LONGEST_TEXT = 5_000
SNIPPET = 180
PASSAGE = 300
"""Maximum number of characters of the passage of a text that matches the query best."""
LEAD_IN = 60
"""Number of characters of a passage before its first marked word."""
COMPACT_TITLE = 160
"""Maximum number of characters of a title in a compact list, where it has two lines."""
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
.rs-compact li { margin-bottom: 0.25rem; padding: 0; }
.rs-compact li:has(> details > summary .rs-grade) { border-left-width: 4px; }
.rs-compact li:has(> details > summary .rs-relevant) { border-left-color: light-dark(#0b5d9e, #7fc4f5); }
.rs-compact li:has(> details > summary .rs-partly-relevant) { border-left-color: light-dark(#8fbfe3, #2f6d9e); }
.rs-compact li:has(> details > summary .rs-not-relevant) { border-left-color: light-dark(#b4bcc4, #56626e); }
.rs-compact li:has(> details > summary .rs-unjudged) { border-left: 4px dashed light-dark(#8a5a00, #f0c27a); }
.rs-compact li > details > summary { display: grid; grid-template-columns: 2.1rem 1fr; column-gap: 0.35rem;
  padding: 0.3rem 0.5rem 0.3rem 0.35rem; font-size: inherit; }
.rs-compact summary::-webkit-details-marker { display: none; }
.rs-compact details > div { padding: 0 0.5rem 0.4rem;
  border-top: 1px solid color-mix(in srgb, currentColor 12%, transparent); }
.rs-compact .rs-lead { display: flex; flex-direction: column; align-items: center; gap: 0.1rem; }
.rs-compact .rs-lead .rs-grade { padding: 0 0.2rem; font-size: 0.65rem; line-height: 1.35; }
.rs-compact .rs-title { display: -webkit-box; -webkit-box-orient: vertical; -webkit-line-clamp: 2; overflow: hidden;
  line-height: 1.4; }
.rs-compact details[open] > summary .rs-title { -webkit-line-clamp: unset; }
.rs-chips { display: flex; flex-wrap: wrap; gap: 0.25rem; margin-top: 0.15rem; }
.rs-chip { display: inline-block; padding: 0 0.35rem; border-radius: 0.6rem; font-size: 0.72rem; line-height: 1.35;
  border: 1px solid color-mix(in srgb, currentColor 25%, transparent); white-space: nowrap; }
.rs-up { color: light-dark(#0b5d9e, #7fc4f5); }
.rs-down { color: light-dark(#8a4b00, #f0b27a); }
.rs-new { background: light-dark(#0b5d9e, #7fc4f5); color: light-dark(#ffffff, #06263f); border-color: transparent; }
.rs-compact li.rs-shared { border: 0; }
.rs-compact li.rs-shared > details > summary { display: block; font-size: 0.8rem; padding: 0.15rem 0.35rem;
  border: 1px dashed color-mix(in srgb, currentColor 30%, transparent); border-radius: 0.4rem; }
.rs-compact li.rs-shared > details > div { border: 0; padding: 0.25rem 0 0; }
.rs-tabs { display: none; }
/* Up to this width Streamlit stacks columns. */
@media (max-width: 640px) { .rs-tabs { display: flex; flex-wrap: wrap; gap: 0 0.9rem;
    border-bottom: 1px solid color-mix(in srgb, currentColor 20%, transparent); }
  .rs-tabs input { position: absolute; opacity: 0; }
  .rs-tabs label { padding: 0.4rem 0; white-space: nowrap; border-bottom: 3px solid transparent; cursor: pointer; }
  .rs-tabs label:has(:checked) { border-bottom-color: currentColor; font-weight: 600; }
  .rs-tabs label:has(:focus-visible) { outline: 2px solid currentColor; } }
.rs-example > div { display: grid; grid-template-columns: 1fr 1fr; gap: 0.75rem; }
.rs-example section { min-width: 0; }
.rs-example section > p > * { display: block; overflow: hidden; text-overflow: ellipsis; white-space: nowrap; }
.rs-example li { border: 0; margin: 0; padding: 0.1rem 0; display: grid; grid-template-columns: 1.6rem 1fr;
  gap: 0.3rem; }
.rs-example .rs-grade { padding: 0; text-align: center; font-size: 0.65rem; align-self: start; }
.rs-example .rs-title { display: -webkit-box; -webkit-box-orient: vertical; -webkit-line-clamp: 2; overflow: hidden;
  font-size: 0.8rem; line-height: 1.3; }
/* Streamlit's own export leaves formulas in its cells; dashboard/shared/export.py does not. */
[data-testid="stElementToolbarButton"]:has([aria-label^="Download as CSV"]) { display: none; }
</style>"""


@dataclass(frozen=True)
class Chip:
    """A short note on a document, such as its rank in another list.

    `title` is the note as a sentence; `tone` is "up", "down", "new" or "".
    """

    text: str
    title: str
    tone: str = ""


@dataclass(frozen=True)
class Hit:
    """One document of a list, and what is said of it there.

    `document` is None where the collection has no texts; `badge` is from `grade_badge`, or `grade_dot` in a compact
    list, "" where grades say nothing; `note` says where the document stands in other lists, as do `chips` in a compact
    list; `parts` are what the score is made of; `predicted` are the queries that doc2query predicted and the system
    searches. In a compact list, `reports` is what `dashboard.shared.clicks` reports when the row is opened, `more` is
    HTML of ours that stands first in the open row, and `is_open` is whether the row is open from the start.
    """

    identity: str
    document: Document | None
    rank: int | None = None
    badge: str = ""
    score: float | None = None
    note: str = ""
    parts: Sequence[tuple[str, float]] = ()
    predicted: Sequence[str] = ()
    chips: Sequence[Chip] = ()
    reports: str = ""
    more: str = ""
    is_open: bool = False


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


def grade_dot(grade: int | None, highest: int, by_hand: bool = False) -> str:
    """Return a grade as HTML: its symbol on the colour of the grade, with the words for screen readers and on hover."""
    name = grade_words(grade, highest).replace(" ", "-")
    symbol, _, words = grade_text(grade, highest).partition(" ")
    words = escape(words + (", judged by you" if by_hand else ""))
    mark = "*" if by_hand else ""
    return f'<span class="rs-grade rs-{name}" role="img" aria-label="{words}" title="{words}">{symbol}{mark}</span>'


def rank_chip(letter: str, here: int, there: int | None, label: str) -> Chip:
    """Return a chip with a document's rank in another list, and how many places higher it is here than there.

    Args:
        letter: stands for the other list.
        here, there: the ranks in this list and in the other; None if the document is not retrieved there.
        label: name of the other list.
    """
    if there is None:
        return Chip(f"{letter}\u00a0–", f"not retrieved by {label}", "up")
    places = there - here
    if not places:
        return Chip(f"{letter}\u00a0{there}", f"the same rank in {label}")
    higher = "higher" if places > 0 else "lower"
    change = f"{places:+}".replace("-", "\N{MINUS SIGN}")
    text = f"{letter}\u00a0{there}\u00a0({change})"
    return Chip(text, f"rank {there} in {label}; {abs(places)} {higher} here", "up" if places > 0 else "down")


def linked(rankings: Iterable[Sequence[str]]) -> dict[str, str]:
    """Return a CSS class for each document that is in several of the lists, none of which repeats a document."""
    counts = Counter(document for ranking in rankings for document in ranking)
    return {document: f"rs-d-{number}" for number, document in enumerate(d for d, n in counts.items() if n > 1)}


def link_style(classes: Mapping[str, str]) -> str:
    """Return the style that outlines a document in every list while the pointer or the focus is on it in one.

    Write it once for all lists on the page.

    Args:
        classes: the result of `linked`.
    """
    rules = (f"body:has(.{name}:is(:hover, :focus-within)) .{name}" for name in classes.values())
    outline = "outline: 2px solid light-dark(#0b5d9e, #7fc4f5); outline-offset: -1px;"
    return f"<style>{', '.join(rules)} {{ {outline} }}</style>" if classes else ""


def list_tabs(labels: Mapping[str, str]) -> str:
    """Return tabs that show one list at a time on a phone; on a wider screen nothing is seen of them.

    Args:
        labels: key of each list's Streamlit container (`st.container(key=...)`) -> name of the list. A container with
            this key and "-name" holds the name, which the tabs repeat.
    """
    tabs, rules = [], []
    for number, (key, label) in enumerate(labels.items()):
        button = f'<input type="radio" name="rs-tab" id="rs-tab-{number}"{"" if number else " checked"}>'
        tabs.append(f"<label>{button}{escape(label)}</label>")
        rules.append(f"body:has(#rs-tab-{number}:not(:checked)) .st-key-{key}, .st-key-{key}-name {{ display: none; }}")
    style = f"<style>@media (max-width: 640px) {{ {' '.join(rules)} }}</style>"
    return f'<div class="rs-tabs" role="radiogroup" aria-label="Ranked list">{"".join(tabs)}</div>{style}'


def compact_list(
    hits: Sequence[Hit], spans: Spans, classes: Mapping[str, str] | None = None, shared: Iterable[str] = ()
) -> str:
    """Return a list with a row per document as HTML; a click on the row opens what else is known of the document.

    Args:
        spans: finds the spans to mark in a text.
        classes: the result of `linked`.
        shared: documents to fold away, a run of them at a time, such as those that all lists have.
    """
    folded = set(shared)
    rows = []
    for together, run in groupby(hits, lambda hit: hit.identity in folded):
        items = [(hit, _compact_item(hit, spans, (classes or {}).get(hit.identity, ""))) for hit in run]
        inside = "".join(markup for _, markup in items)
        rows.append(_fold([hit for hit, _ in items], inside) if together else inside)
    inside = "".join(rows) or '<li class="rs-small">No documents.</li>'
    return f'<div class="rs-list rs-compact"><ol>{inside}</ol></div>'


def _fold(hits: Sequence[Hit], rows: str) -> str:
    ranks = ", ".join(str(hit.rank) for hit in hits)
    summary = f"{len(hits)} shared by all (rank {ranks})"
    return f'<li class="rs-shared"><details><summary>{summary}</summary><div><ol>{rows}</ol></div></details></li>'


def _compact_item(hit: Hit, spans: Spans, name: str) -> str:
    document = hit.document
    title = shortened(title_of(document, hit.identity), COMPACT_TITLE) if document else f"document {hit.identity}"
    chips = "".join(
        f'<span class="rs-chip{f" rs-{chip.tone}" if chip.tone else ""}" title="{escape(chip.title)}">'
        f"{escape(chip.text)}</span>"
        for chip in hit.chips
    )
    lead = f'<span class="rs-lead"><strong>{hit.rank or ""}</strong>{hit.badge}</span>'
    body = f'<span><span class="rs-title">{marked(title, spans)}</span>'
    body += f'<span class="rs-chips">{chips}</span></span>' if chips else "</span>"
    reports = f' data-rs-open="{escape(hit.reports)}"' if hit.reports else ""
    summary = f"<summary{reports}>{lead}{body}</summary>"
    row = f"<details{' open' if hit.is_open else ''}>{summary}<div>{hit.more}{_about(hit, spans)}</div></details>"
    return f'<li class="{name}">{row}</li>' if name else f"<li>{row}</li>"


def _about(hit: Hit, spans: Spans) -> str:
    """Return the details of a row: the passage that matches best, score, terms and the whole text."""
    note = _small(escape(" · ".join(part for part in (score_in_words(hit.score, hit.parts), hit.note) if part)))
    identity = _small(f"document {escape(hit.identity)}")
    predicted = _details("Predicted queries", _predicted(hit, spans))
    if hit.document is None:
        return f"{identity}{_small('text not included')}{note}{predicted}"
    text = hit.document.text
    begin, end = best_passage(text, spans)
    within = [(start - begin, stop - begin) for start, stop in spans(text) if begin <= start and stop <= end]
    passage = marked(text[begin:end], lambda _: within) or "(no text)"
    if (begin, end) == (0, len(text)):
        return f"<p>{passage}</p>{note}{identity}{predicted}"
    passage = f"{'… ' if begin else ''}{passage}{' …' if end < len(text) else ''}"
    whole = _details("Whole text", f'<p class="rs-text">{_text(text, spans)}</p>')
    return f"<p>{passage}</p>{note}{identity}{whole}{predicted}"


def best_passage(text: str, spans: Spans) -> tuple[int, int]:
    """Return (begin, end) of the passage of about PASSAGE characters with the most different marked words.

    The first of several equally good passages is taken; without marks it is the beginning of the text.
    """
    found = [(begin, end, text[begin:end].casefold()) for begin, end in spans(text)]
    best, most = 0, 0
    for number, (begin, _, _) in enumerate(found):
        inside = takewhile(lambda span: span[1] <= begin + PASSAGE - LEAD_IN, found[number:])  # noqa: B023
        if (different := len({word for _, _, word in inside})) > most:
            best, most = begin, different
    begin = best - LEAD_IN if best > LEAD_IN else 0
    if begin:
        begin = text.find(" ", begin, best) + 1 or best
    end = begin + PASSAGE
    if end >= len(text):
        return begin, len(text)
    return begin, max(text.rfind(" ", begin, end), begin + PASSAGE // 2)


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
    first = _small(" ".join(part for part in (place, hit.badge) if part))
    note = _small(escape(" · ".join(part for part in (score_in_words(hit.score, hit.parts), hit.note) if part)))
    identity = _small(f"document {escape(hit.identity)}")
    if document is None:
        missing = _small("text not included")
        return f"<li>{first}{identity}{missing}{note}{_details('Predicted queries', _predicted(hit, spans))}</li>"
    title = title_of(document, hit.identity)
    lines = [first, f'<p class="rs-title"><strong>{marked(title, spans)}</strong></p>']
    if snippets and document.title and document.text:
        lines.append(f"<p>{marked(shortened(document.text, SNIPPET), spans)}</p>")
    lines.append(note)
    inside = f'<p class="rs-text">{_text(document.text, spans)}</p>{identity}{_predicted(hit, spans)}'
    summary = "Text and predicted queries" if hit.predicted else "Text"
    return f"<li>{''.join(lines)}{_details(summary, inside)}</li>"


def _text(text: str, spans: Spans) -> str:
    return marked(text if len(text) <= LONGEST_TEXT else f"{text[:LONGEST_TEXT]} …", spans) or "(no text)"


def _predicted(hit: Hit, spans: Spans) -> str:
    if not hit.predicted:
        return ""
    title = _small("Predicted queries (doc2query), indexed with the document:")
    return f'{title}<p class="rs-text">{marked(chr(10).join(hit.predicted), spans)}</p>'


def _details(summary: str, inside: str) -> str:
    return f"<details><summary>{summary}</summary>{inside}</details>" if inside else ""


def _small(markup: str) -> str:
    return f'<p class="rs-small">{markup}</p>' if markup else ""


def score_in_words(score: float | None, parts: Sequence[tuple[str, float]] = ()) -> str:
    """Return a score and the contributions that add up to it, of matched terms or of fused systems."""
    if score is None:
        return ""
    small = abs(score) < 0.1  # reciprocal ranks add up to 0.03 at most
    if not parts:
        return f"score {score:.{4 if small else 3}f}"
    rest = [(f"{len(parts) - TERMS} more", sum(weight for _, weight in parts[TERMS:]))] if parts[TERMS:] else []
    decimals = 4 if small else 2
    shown = " + ".join(f"{weight:.{decimals}f} ({term})" for term, weight in [*parts[:TERMS], *rest])
    return f"score {score:.{decimals}f} = {shown}"


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
