"""The list of topics as HTML: a row per topic with both values and a bar of the difference; a row opens its topic."""

from collections.abc import Callable
from html import escape
from typing import Any

import pandas as pd

from core.evaluation.topic_tables import TYPE_LABELS
from dashboard.shared.widgets import topic_name

LISTED = 400
"""Maximum number of topics in the list: half of them from either end of the order."""
LONGEST = 1000
"""Maximum number of letters of a query, which the browser cuts to the width of the row."""
STYLE = """<style>
.rs-topics { font-size: 0.875rem; line-height: 1.4; max-height: 36rem; overflow-y: auto;
  border: 1px solid color-mix(in srgb, currentColor 15%, transparent); border-radius: 0.4rem; }
.rs-topics ol { list-style: none; margin: 0; padding: 0; font-size: inherit; }
.rs-topics li { margin: 0; font-size: inherit; }
.rs-topics .rs-row { display: grid; grid-template-columns: minmax(0, 1fr) 5.2rem 3.2rem 3.2rem 3.7rem 4.5rem;
  column-gap: 0.6rem; align-items: center; padding: 0.28rem 0.6rem; color: inherit; text-decoration: none;
  border-bottom: 1px solid color-mix(in srgb, currentColor 10%, transparent); }
.rs-topics a.rs-row:is(:hover, :focus-visible) { background: color-mix(in srgb, currentColor 8%, transparent); }
.rs-topics a[aria-current] { box-shadow: inset 3px 0 currentColor; }
.rs-topics .rs-top { position: sticky; top: 0; font-weight: 600; background: light-dark(#f2f5f8, #1c242d); }
.rs-topics .rs-row > * { overflow: hidden; text-overflow: ellipsis; white-space: nowrap; }
.rs-topics .rs-number { text-align: right; font-variant-numeric: tabular-nums; }
.rs-topics .rs-type { font-size: 0.8rem; }
.rs-topics .rs-bar { position: relative; height: 0.8rem; }
.rs-topics .rs-bar::before { content: ""; position: absolute; inset: 0 auto 0 50%;
  border-left: 1px solid currentColor; }
.rs-topics .rs-bar span { position: absolute; inset-block: 0.1rem; background: #2f86c9; }
.rs-topics .rs-bar .rs-negative { background: repeating-linear-gradient(135deg, #d55e00 0 3px, #d55e0088 3px 6px); }
.rs-topics.rs-untyped .rs-type { display: none; }
@media (min-width: 641px) {
  .rs-topics.rs-untyped .rs-row { grid-template-columns: minmax(0, 1fr) 3.2rem 3.2rem 3.7rem 4.5rem; }
  .rs-topics.rs-untyped.rs-alone .rs-row { grid-template-columns: minmax(0, 1fr) 3.8rem 5rem; } }
.rs-topics.rs-alone .rs-row { grid-template-columns: minmax(0, 1fr) 6rem 3.8rem 5rem; }
.rs-topics.rs-alone .rs-bar::before { left: 0; }
@media (max-width: 640px) { .rs-topics { max-height: none; }
  .rs-topics .rs-row { grid-template-columns: minmax(0, 1fr) 3.8rem 3.5rem; }
  .rs-topics .rs-row > :is(.rs-type, .rs-value) { display: none; }
  .rs-topics a .rs-name { white-space: normal; }
  .st-key-topics-chart, .st-key-topics-choices { display: none; } }
</style>"""


def topic_list(
    table: pd.DataFrame, label_a: str, label_b: str, address: Callable[[str], str], current: str, tie: float
) -> str:
    """Return the list as HTML; `dashboard.shared.clicks` reports the topic of a row that is clicked.

    Args:
        table: from `topic_tables.differences`.
        label_b: "" lists the values of a alone.
        address: returns the address of a topic's page.
        current: the topic to mark, or "".
        tie: the largest absolute difference that counts as a tie, and has no bar.
    """
    largest = float(table["difference"].abs().max()) or 1.0
    rows = [
        _row(row, bool(label_b), address(str(row.topic)), str(row.topic) == current, largest, tie)
        for row in table.itertuples(index=False)
    ]
    if len(rows) > LISTED:
        left_out = f"<li class='rs-row'><span>{len(rows) - LISTED} topics between these are not listed</span></li>"
        rows = [*rows[: LISTED // 2], left_out, *rows[-LISTED // 2 :]]
    if label_b:
        values = f'<span class="rs-number rs-value" title="{escape(label_a)}">A</span>'
        values += f'<span class="rs-number rs-value" title="{escape(label_b)}">B</span>'
        values += '<span class="rs-number">A - B</span>'
    else:
        values = f'<span class="rs-number">{escape(label_a)}</span>'
    head = f'<span>Topic</span><span class="rs-type">Type</span>{values}<span></span>'
    head = f'<div class="rs-row rs-top" aria-hidden="true">{head}</div>'
    kinds = ["rs-topics", *([] if label_b else ["rs-alone"]), *([] if table["kind"].any() else ["rs-untyped"])]
    return f'{STYLE}<div class="{" ".join(kinds)}">{head}<ol>{"".join(rows)}</ol></div>'


def _row(row: Any, paired: bool, address: str, is_current: bool, largest: float, tie: float) -> str:
    """Return the row of a topic; `row` is a row of the table."""
    name = escape(topic_name(row.topic, row.query, LONGEST))
    kind = escape(TYPE_LABELS.get(row.kind, row.kind))
    short = kind.partition(" (")[0]
    cells = [f'<span class="rs-name" title="{name}">{name}</span><span class="rs-type" title="{kind}">{short}</span>']
    if paired:
        cells += [f'<span class="rs-number rs-value">{value:.4f}</span>' for value in (row.a, row.b)]
    value = f"{row.difference:{'+' if paired else ''}.4f}".replace("-", "\N{MINUS SIGN}")
    cells.append(f'<span class="rs-number">{value}</span>')
    cells.append(f'<span class="rs-bar">{_bar(row.difference, paired, largest, tie)}</span>')
    current = ' aria-current="true"' if is_current else ""
    link = f'href="{escape(address)}" data-rs-open="{escape(row.topic)}"{current}'
    return f'<li><a class="rs-row" {link}>{"".join(cells)}</a></li>'


def _bar(difference: float, paired: bool, largest: float, tie: float) -> str:
    if abs(difference) <= tie:
        return ""
    width = abs(difference) / largest * (50 if paired else 100)
    left = 0.0 if not paired else 50 - width if difference < 0 else 50.0
    negative = ' class="rs-negative"' if difference < 0 else ""
    return f'<span{negative} style="left: {left:.1f}%; width: {width:.1f}%"></span>'
