"""Ranked lists side by side as one piece of HTML: rows of one height, and a line from each document's rank to its rank
in the next list. On a phone, tabs show one list at a time.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from itertools import groupby
from math import hypot

from dashboard.shared.ranked_lists import Hit, Spans, compact_list, link_style, linked, list_tabs

ROW, GUTTER = 3.0, 3.5
"""Height of a row with the gap below it, and width of the gutter between two lists, in rem."""
NARROW_ROW, NARROW_GUTTER = 4.25, 1.75
"""The same where there are more than two ranked lists: the chips stand below the title."""
STYLE = """
.rs-sides { display: grid; grid-auto-flow: column; grid-template-rows: auto auto; }
.rs-sides > * { min-width: 0; }
.rs-sides .rs-head { font-size: 0.875rem; line-height: 1.35; padding-bottom: 0.25rem; }
.rs-sides .rs-head > * { display: block; overflow: hidden; text-overflow: ellipsis; white-space: nowrap; }
.rs-sides .rs-head span { font-size: 0.8rem; }
.rs-sides .rs-compact li > details > summary { box-sizing: border-box; height: calc(var(--row) - 0.375rem);
  align-items: center; overflow: hidden; padding-block: 0; }
.rs-sides .rs-compact li.rs-shared > details > summary { height: calc(var(--row) - 0.25rem); overflow: hidden;
  line-height: calc(var(--row) - 0.4rem); padding-block: 0; text-overflow: ellipsis; white-space: nowrap; }
.rs-sides .rs-compact li > details[open] > summary { height: auto; min-height: calc(var(--row) - 0.375rem); }
.rs-sides summary > span:last-child { display: flex; align-items: center; gap: 0.35rem; min-width: 0; }
.rs-sides .rs-title { flex: 1; line-height: 1.25; }
.rs-sides .rs-chips { flex-direction: column; align-items: flex-end; flex-wrap: nowrap; gap: 0; margin: 0; }
.rs-narrow summary > span:last-child { display: block; }
.rs-narrow .rs-title { font-size: 0.8rem; }
.rs-narrow .rs-chips { flex-direction: row; gap: 0.15rem; overflow: hidden; }
.rs-narrow .rs-chip { padding: 0 0.2rem; }
.rs-lines { position: relative; pointer-events: none; }
/* A line is what is cut out of its box: st.html removes SVG. */
.rs-lines span { position: absolute; inset: 0; --t: 0.04rem; background: light-dark(#a3adb7, #64707c);
  --w: calc(var(--t) * var(--slope)); --left: calc((var(--from) + 0.5) * var(--row) - 0.125rem);
  --right: calc((var(--to) + 0.5) * var(--row) - 0.125rem);
  clip-path: polygon(0 calc(var(--left) - var(--w)), 100% calc(var(--right) - var(--w)),
    100% calc(var(--right) + var(--w)), 0 calc(var(--left) + var(--w))); }
.rs-lines .rs-line-relevant { --t: 0.075rem; background: light-dark(#0b5d9e, #7fc4f5); }
/* An open row is higher than the others, so the lines would miss the rows below it. */
.rs-sides:has(li > details[open]) .rs-lines { visibility: hidden; }
@media (max-width: 640px) { .rs-sides { display: block; }
  .rs-gutter, .rs-sides .rs-head > strong { display: none; } }
"""


@dataclass(frozen=True)
class Column:
    """A list and what stands above it.

    Attributes:
        letter: stands for the list in what its rows report.
        ranked: whether lines lead to it from the list before.
    """

    letter: str
    name: str
    facts: str
    hits: list[Hit]
    spans: Spans
    ranked: bool = True


def side_by_side(columns: Sequence[Column], shared: Collection[str], relevant: Collection[str]) -> str:
    """Return lists side by side as HTML.

    Args:
        columns: the ranked lists, then others.
        shared: documents to fold away in the ranked lists.
        relevant: documents whose lines are emphasised.
    """
    narrow = sum(column.ranked for column in columns) > 2
    row, gutter = (NARROW_ROW, NARROW_GUTTER) if narrow else (ROW, GUTTER)
    classes = linked([hit.identity for hit in column.hits] for column in columns)
    cells, widths = [], []
    for number, column in enumerate(columns):
        if number and column.ranked:
            lines = _lines(columns[number - 1], column, classes, shared, relevant, row / gutter)
            cells.append(f'<div class="rs-gutter"></div><div class="rs-gutter">{lines}</div>')
            widths.append(f"{gutter}rem")
        elif number:
            cells.append("<div></div><div></div>")
            widths.append("0.5rem")
        place = f"st-key-side-{number}"  # the class by which `list_tabs` finds a column
        name, facts = escape(column.name), escape(column.facts)
        head = f'<strong title="{name}">{name}</strong><span title="{facts}">{facts}</span>'
        rows = compact_list(column.hits, column.spans, classes, shared if column.ranked else ())
        cells.append(f'<div class="rs-head {place}">{head}</div><div class="{place}">{rows}</div>')
        widths.append("minmax(0, 4fr)" if column.ranked or narrow else "minmax(0, 3fr)")
    tabs = list_tabs({f"side-{number}": column.name for number, column in enumerate(columns)})
    style = f"<style>{STYLE}{_line_style(classes)}</style>{link_style(classes)}"
    kind = "rs-sides rs-narrow" if narrow else "rs-sides"
    layout = f"--row: {row}rem; grid-template-columns: {' '.join(widths)}"
    return f'{style}{tabs}<div class="{kind}" style="{layout}">{"".join(cells)}</div>'


def _rows(hits: Sequence[Hit], shared: Collection[str]) -> tuple[dict[str, int], int]:
    """Return the row of each document that is not folded away, and the number of rows."""
    rows: dict[str, int] = {}
    count = 0
    for together, run in groupby(hits, lambda hit: hit.identity in shared):
        identities = [hit.identity for hit in run]
        if not together:
            rows |= {identity: count + place for place, identity in enumerate(identities)}
        count += 1 if together else len(identities)
    return rows, count


def _lines(
    left: Column,
    right: Column,
    classes: Mapping[str, str],
    shared: Collection[str],
    relevant: Collection[str],
    slope: float,
) -> str:
    """Return the lines between the ranks of the documents that two neighbouring lists share.

    Args:
        slope: height of a row divided by the length of a level line; a steep line is drawn as wide as a level one.
    """
    (of_left, rows_left), (of_right, rows_right) = _rows(left.hits, shared), _rows(right.hits, shared)
    lines = "".join(
        f'<span class="rs-l{classes[name][4:]}{" rs-line-relevant" if name in relevant else ""}" '
        f'style="--from: {row}; --to: {of_right[name]}; '
        f'--slope: {hypot(1, (of_right[name] - row) * slope):.3f}"></span>'
        for name, row in of_left.items()
        if name in of_right
    )
    return f'<div class="rs-lines" style="height: calc({max(rows_left, rows_right)} * var(--row))">{lines}</div>'


def _line_style(classes: Mapping[str, str]) -> str:
    """Return the rules that emphasise a document's lines while the pointer or the focus is on it."""
    rules = (f"body:has(.{name}:is(:hover, :focus-within)) .rs-l{name[4:]}" for name in classes.values())
    emphasis = "--t: 0.12rem; background: light-dark(#c04a00, #ffb26b);"
    return f"{', '.join(rules)} {{ {emphasis} }}" if classes else ""
