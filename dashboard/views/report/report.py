"""The report: one self-contained HTML file with tables, charts and ranked lists, which needs no network.

Every text is escaped, and a content security policy forbids the page to load anything.
"""

from collections.abc import Iterable, Mapping, Sequence
from html import escape

import pandas as pd
import plotly.graph_objects as go

from core.evaluation.verdicts import Verdict
from dashboard.shared import ranked_lists
from dashboard.shared.ranked_lists import Hit, Spans, compact_list, link_style, linked

POLICY = "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data: blob:"
STYLE = """
:root { color-scheme: light; }
body { font: 16px/1.5 system-ui, sans-serif; color: #1b2530; background: #fff; margin: 0 auto; max-width: 1200px; }
body { padding: 1rem; overflow-wrap: anywhere; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-size: 0.9rem; font-variant-numeric: tabular-nums; overflow-wrap: normal; }
th, td { padding: 0.25rem 0.6rem; border-bottom: 1px solid #d5dbe1; text-align: right; white-space: nowrap; }
tbody th, thead th:first-child { text-align: left; }
.note { color: #4c5866; font-size: 0.9rem; }
.lists { display: grid; grid-template-columns: repeat(auto-fit, minmax(200px, 1fr)); gap: 1rem; }
.lists h3 { font-size: 0.9rem; }
"""


class Report:
    """A report that is assembled piece by piece, in the order of the calls."""

    def __init__(self, title: str):
        self._title, self._pieces, self._charts = title, [f"<h1>{escape(title)}</h1>"], 0
        self._classes: Mapping[str, str] = {}

    def heading(self, text: str) -> None:
        """Add a heading."""
        self._pieces.append(f"<h2>{escape(text)}</h2>")

    def paragraph(self, text: str, note: bool = False) -> None:
        """Add a paragraph; a note is set in small type."""
        kind = "note" if note else "text"
        self._pieces.append(f'<p class="{kind}">{escape(text)}</p>')

    def verdict(self, verdict: Verdict) -> None:
        """Add a comparison of two systems, its details collapsed."""
        details = "".join(f"<p>{escape(sentence)}</p>" for sentence in verdict.details)
        self._pieces.append(f"<p><strong>{escape(verdict.headline)}</strong><br>{escape(verdict.evidence)}</p>")
        if details:
            self._pieces.append(f"<details><summary>Details</summary>{details}</details>")

    def table(self, table: pd.DataFrame, folded: str = "") -> None:
        """Add a table with its index, four decimals and dashes for missing values; collapsed under a title if given."""
        plain = table.rename_axis(index=None, columns=None)
        with pd.option_context("display.max_colwidth", None):  # else pandas cuts long texts
            html = plain.to_html(escape=True, border=0, na_rep="–", float_format=lambda value: f"{value:.4f}")
        html = f'<div class="wide" tabindex="0">{html}</div>'
        summary = f"<summary>{escape(folded)}</summary>"
        self._pieces.append(f"<details>{summary}{html}</details>" if folded else html)

    def chart(self, figure: go.Figure) -> None:
        """Add a chart; the first one also embeds the chart library."""
        drawn = go.Figure(figure).update_layout(template="plotly_white")
        config = {"displayModeBar": False, "responsive": True}
        self._pieces.append(
            drawn.to_html(
                full_html=False, include_plotlyjs=not self._charts, config=config, div_id=f"chart-{self._charts}"
            )
        )
        self._charts += 1

    def link(self, rankings: Iterable[Sequence[str]]) -> None:
        """Have a document outlined in all lists while the pointer is on it in one."""
        self._classes = linked(rankings)
        self._pieces.append(link_style(self._classes))

    def lists(self, lists: Sequence[tuple[str, Sequence[Hit], Spans]]) -> None:
        """Add ranked lists side by side, each with its heading and what finds the spans to mark in a text."""
        columns = [
            f"<section><h3>{escape(name)}</h3>{compact_list(hits, spans, self._classes)}</section>"
            for name, hits, spans in lists
        ]
        self._pieces.append(f'<div class="lists">{"".join(columns)}</div>')

    def html(self) -> str:
        """Return the file."""
        return (
            '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
            f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">\n'
            '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
            f"<title>{escape(self._title)}</title>\n<style>{STYLE}</style>\n{ranked_lists.STYLE}\n</head>\n<body>\n<main>\n"
            + "\n".join(self._pieces)
            + "\n</main>\n</body>\n</html>\n"
        )
