"""The charts of the answer as HTML: they need no script, and Plotly's, of 4.6 MB, would keep the reader waiting.

Plotly draws the same figures in the sections further down, to be saved as pictures. In a narrow place the name of a row
stands above its marks.
"""

from collections.abc import Callable, Mapping, Sequence
from html import escape
from math import ceil, floor, log10
from typing import NamedTuple

import pandas as pd

from core.evaluation.topic_tables import TYPE_LABELS
from dashboard.shared.charts import BLUE, DARK_GREY, ORANGE, interval_texts

STYLE = f"""<style>
.rs-dots {{ font-size: 0.8rem; line-height: 1.3; container-type: inline-size; }}
.rs-dots p {{ display: flex; flex-wrap: wrap; column-gap: 1rem; margin: 0 0 0.3rem; font-size: inherit; }}
.rs-dots p strong {{ width: 100%; }}
.rs-dots p span {{ padding-left: 1.1rem; position: relative; }}
.rs-dots p i {{ left: 0.4rem; top: 50%; }}
.rs-dots ol {{ list-style: none; margin: 0; padding: 0 0.75rem 0 0; font-size: inherit; display: grid;
  column-gap: 0.75rem; grid-template-columns: fit-content(45%) auto minmax(0, 1fr); }}
.rs-dots :is(li, a) {{ display: grid; grid-template-columns: subgrid; grid-column: 1 / -1; align-items: center;
  margin: 0; padding: 0; font-size: inherit; color: inherit; text-decoration: none; }}
.rs-dots a:is(:hover, :focus-visible) {{ background: color-mix(in srgb, currentColor 8%, transparent); }}
.rs-dots a[aria-current] {{ font-weight: 600; }}
.rs-dots .rs-name {{ overflow: hidden; text-overflow: ellipsis; white-space: nowrap; }}
.rs-dots .rs-number {{ text-align: right; font-variant-numeric: tabular-nums; }}
.rs-dots .rs-track {{ grid-column: 3; position: relative; height: 1.5rem; }}
.rs-dots i {{ position: absolute; box-sizing: border-box; }}
.rs-dots .rs-tick {{ inset-block: 0; border-left: 1px solid color-mix(in srgb, currentColor 12%, transparent); }}
.rs-dots .rs-zero {{ border-color: color-mix(in srgb, currentColor 60%, transparent); }}
.rs-dots .rs-line {{ top: calc(50% - 1px); height: 2px; background: {DARK_GREY}; }}
.rs-dots .rs-capped {{ top: calc(50% - 4px); height: 8px; border: solid {DARK_GREY}; border-width: 0 2px;
  background: linear-gradient({DARK_GREY} 0 0) center / 100% 2px no-repeat; }}
.rs-dots :is(.rs-filled, .rs-open, .rs-diamond) {{ width: 12px; height: 12px; margin: -6px; top: 50%;
  background: {BLUE}; border-radius: 50%; }}
.rs-dots .rs-open {{ background: none; border: 2px solid {BLUE}; }}
.rs-dots .rs-diamond {{ background: {ORANGE}; border-radius: 0; transform: rotate(45deg) scale(0.85); }}
.rs-dots li[aria-hidden] .rs-track {{ height: 1.1rem; }}
.rs-dots .rs-text {{ font-style: normal; font-size: 0.75rem; opacity: 0.75; transform: translateX(-50%); }}
@container (max-width: 26rem) {{
  .rs-dots ol:has(.rs-number) {{ grid-template-columns: minmax(0, 1fr) auto; padding-left: 0.75rem; }}
  .rs-dots ol:has(.rs-number) .rs-track {{ grid-column: 1 / -1; }}
  .rs-dots ol:has(.rs-number) .rs-name {{ margin-left: -0.75rem; }} }}
</style>"""
TICKS = 6
"""Maximum number of ticks."""


class Row(NamedTuple):
    """A row of a dot plot.

    Attributes:
        label: its name in full.
        number: what stands beside the name.
        marks: the value and the shape of each mark: "filled", "open" or "diamond".
        said: the marks in words.
        ends: where a line begins and ends; empty for none.
        link: the address and the value that a click reports.
    """

    label: str
    name: str
    number: str
    marks: Sequence[tuple[float, str]]
    said: str
    ends: Sequence[float]
    line: str = "rs-line"
    link: tuple[str, str] | None = None
    is_current: bool = False


def forest(
    table: pd.DataFrame,
    labels: Mapping[str, str],
    measure: str,
    baseline: str,
    chosen: str,
    address: Callable[[str], str],
) -> str:
    """Return each system's difference to the baseline with its 95 % CI; filled where it is significant.

    `dashboard.shared.clicks` reports the system of a row that is clicked.

    Args:
        table: as for `charts.forest`.
        chosen: the system that is marked as the current one.
        address: returns the address of the page with a system as system A.
    """
    rows = []
    intervals = interval_texts(table[["difference low", "difference high"]], "+")
    for (system, row), interval in zip(table.iterrows(), intervals, strict=True):
        name, label = str(system), labels.get(str(system), str(system))
        ends = tuple(float(end) for end in (row["difference low"], row["difference high"]) if pd.notna(end))
        marks = [(row["difference"], "filled" if row["significant"] else "open")]
        said = f"{interval}, {'significant' if row['significant'] else 'not significant'}"
        link = address(name), name
        rows.append(
            Row(label, label, f"{row['difference']:+.4f}", marks, said, ends, "rs-capped", link, name == chosen)
        )
    return _plot(f"Difference in {measure} to {labels.get(baseline, baseline)}, with 95 % CI", [], rows)


def type_dots(table: pd.DataFrame, labels: Mapping[str, str], measure: str, pair: tuple[str, str]) -> str:
    """Return the mean of systems A and B by topic type, a row per type, with a line between the two.

    Args:
        table, pair: as for `charts.type_dots`.
    """
    names = [labels.get(system, system) for system in pair if system]
    shapes = ("filled", "diamond")
    rows = []
    for kind, row in table.iterrows():
        label = TYPE_LABELS.get(str(kind), str(kind))
        values = [float(row[system]) for system in pair if system]
        said = ", ".join(f"{name} {value:.4f}" for name, value in zip(names, values, strict=True))
        short = f"{label.partition(' (')[0]} ({row['topics']:.0f})"
        rows.append(Row(label, short, "", list(zip(values, shapes, strict=False)), said, values))
    return _plot(f"Mean {measure} by topic type (topics)", list(zip(names, shapes, strict=False)), rows)


def ticks(low: float, high: float) -> list[float]:
    """Return the multiples of 1, 2 or 5 times a power of ten from `low` to `high`, with the smallest step possible."""
    power = floor(log10(high - low)) - 1
    steps = (factor * 10.0**exponent for exponent in (power, power + 1) for factor in (1, 2, 5))
    step = next(step for step in steps if (high - low) / step < TICKS)
    return [number * step for number in range(ceil(low / step), floor(high / step) + 1)]


def _plot(title: str, key: Sequence[tuple[str, str]], rows: Sequence[Row]) -> str:
    """Return a dot plot.

    Args:
        key: the label and the shape of each system, if shapes stand for systems.
    """
    values = [0.0, *(value for row in rows for value in (*row.ends, *(value for value, _ in row.marks)))]
    margin = 0.05 * (max(values) - min(values)) or 1.0
    low, high = (min(values) - margin if min(values) else 0.0), max(values) + margin

    def at(value: float) -> float:
        return 100 * (value - low) / (high - low)

    marked = [(tick, at(tick)) for tick in ticks(low, high)]
    zero = ["rs-tick" + " rs-zero" * (abs(tick) < 1e-9) for tick, _ in marked]
    grid = "".join(
        f'<i class="{name}" style="left: {place:.3f}%"></i>' for name, (_, place) in zip(zero, marked, strict=True)
    )
    drawn = []
    for row in rows:
        marks = "".join(f'<i class="rs-{shape}" style="left: {at(value):.3f}%"></i>' for value, shape in row.marks)
        if row.ends:
            begin, end = at(min(row.ends)), at(max(row.ends))
            marks = f'<i class="{row.line}" style="left: {begin:.3f}%; width: {end - begin:.3f}%"></i>{marks}'
        cells = f'<span class="rs-name">{escape(row.name)}</span>'
        cells += f'<span class="rs-number">{row.number}</span>' if row.number else ""
        cells += f'<span class="rs-track" role="img" aria-label="{escape(row.said)}">{grid}{marks}</span>'
        if row.link:
            current = ' aria-current="true"' if row.is_current else ""
            cells = f'<a href="{escape(row.link[0])}" data-rs-open="{escape(row.link[1])}"{current}>{cells}</a>'
        drawn.append(f'<li title="{escape(f"{row.label} {row.number}".strip())}: {escape(row.said)}">{cells}</li>')
    texts = "".join(f'<i class="rs-text" style="left: {place:.3f}%">{tick:.10g}</i>' for tick, place in marked)
    shapes = "".join(f'<span><i class="rs-{shape}"></i>{escape(label)}</span>' for label, shape in key)
    axis = f'<li aria-hidden="true"><span class="rs-track">{texts}</span></li>'
    head = f"<p><strong>{escape(title)}</strong>{shapes}</p>"
    return f'<div class="rs-dots">{head}<ol aria-label="{escape(title)}">{"".join(drawn)}{axis}</ol></div>'
