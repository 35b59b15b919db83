"""Tables and their output formats: plain text, CSV, LaTeX with booktabs, Markdown."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from numbers import Integral
from typing import Any

import pandas as pd

MISSING = "–"
FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")
"""First characters that spreadsheets take for the start of a formula, including full-width forms."""
LETTERS = "abcdefghijklmnoprstuvwxyz"
SUPERSCRIPTS = "ᵃᵇᶜᵈᵉᶠᵍʰⁱʲᵏˡᵐⁿᵒᵖʳˢᵗᵘᵛʷˣʸᶻ"
"""Superscript letters; q is missing since common fonts lack it."""
PLAIN = str.maketrans(SUPERSCRIPTS, LETTERS)
LATEX = str.maketrans(
    {character: f"\\{character}" for character in "&%$#_{}"}
    | {
        "\\": r"\textbackslash{}",
        "~": r"\textasciitilde{}",
        "^": r"\textasciicircum{}",
        MISSING: "--",
        "…": r"\ldots{}",
    }
    | {"<": "$<$", ">": "$>$", "≤": r"$\leq$", "≥": r"$\geq$", "†": r"$\dagger$", "‡": r"$\ddagger$"}
)
"""Characters that LaTeX reads as commands, or that its fonts lack."""
WIDE = 8
"""Number of columns beyond which a table in LaTeX spans both columns of a page and is scaled to its width."""
CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")


@dataclass(frozen=True)
class Table:
    """A table as shown on a page and printed by a command.

    Attributes:
        figures: the values at full precision, as written to CSV; the index names the rows.
        caption: the caption, as plain text.
        readable: the table for display, with each interval or test in one cell; None for `figures`.
        sentences: the sentences above the table.
        details: further sentences, which pages and reports fold away.
        short: column -> its name in LaTeX, where columns are narrow; the caption explains it.
    """

    figures: pd.DataFrame
    caption: str
    readable: pd.DataFrame | None = None
    sentences: Sequence[str] = ()
    details: Sequence[str] = ()
    short: Mapping[str, str] = field(default_factory=dict)

    def latex(self) -> str:
        """Return the table for display as LaTeX; see `latex`."""
        short = {name: head for name, head in self.short.items() if name in self.shown}
        explained = "; ".join(f"{head}: {name}" for name, head in short.items())
        caption = f"{self.caption}. {explained}." if explained else self.caption
        return latex(texts(self.shown).rename(columns=short), caption)

    def markdown(self) -> str:
        """Return the table for display as Markdown; see `markdown`."""
        return markdown(texts(self.shown))

    @property
    def shown(self) -> pd.DataFrame:
        """The table for display."""
        return self.figures if self.readable is None else self.readable


def plain_text(table: Table) -> str:
    """Return a table for a terminal: caption, sentences, aligned columns and details.

    Control characters in texts of documents, queries and names are replaced by spaces.
    """
    printed = texts(table.shown).map(_one_line).rename(index=_one_line, columns=_one_line)
    lines = [_one_line(line) for line in (table.caption, *table.sentences)]
    if printed.index.nlevels > 1:
        body = printed.reset_index().to_string(index=False)
    else:
        body = printed.rename_axis(columns=printed.index.name, index=None).to_string()
    body = body if len(printed) else "(no rows)"
    details = ["", "Details:", *map(_one_line, table.details)] if table.details else []
    return "\n".join([*lines, "", body, *details]) + "\n"


def latex(table: pd.DataFrame, caption: str) -> str:
    r"""Return a table of texts as LaTeX for the package booktabs, with superscripts and minus signs in math mode.

    Args:
        caption: the caption as plain text; LaTeX's special characters are escaped, as in the cells.
    """
    head = [escape_latex(name) for name in (table.index.name or "", *table.columns)]
    rows = [
        [escape_latex(cell) for cell in (name, *cells)]
        for name, cells in zip(table.index, table.to_numpy().tolist(), strict=True)
    ]
    return booktabs(head, [rows], caption, "l" + "r" * len(table.columns))


def booktabs(
    head: Sequence[str], groups: Sequence[Sequence[Sequence[str]]], caption: str, columns: str, label: str = ""
) -> str:
    r"""Return a table as LaTeX for the package booktabs, and for graphicx if it is wide.

    Args:
        head, groups: the head and the groups of rows, in LaTeX; a \midrule follows the head and parts the groups.
        caption: the caption as plain text.
        columns: LaTeX's types of the columns, such as "lrr".
        label: the name for cross-references.
    """

    def row(cells: Sequence[str]) -> str:
        return " & ".join(cells) + r" \\"

    body = "\n\\midrule\n".join("\n".join(map(row, rows)) for rows in ([head], *groups) if rows)
    named = f"\\label{{{label}}}\n" if label else ""
    tabular = f"\\begin{{tabular}}{{{columns}}}\n\\toprule\n{body}\n\\bottomrule\n\\end{{tabular}}"
    packages, kind = "booktabs", "table"
    if len(head) > WIDE:
        packages, kind = "booktabs,graphicx", "table*"
        tabular = f"\\resizebox{{\\textwidth}}{{!}}{{%\n{tabular}}}"
    return (
        f"% \\usepackage{{{packages}}}\n\\begin{{{kind}}}\n\\centering\n"
        f"\\caption{{{escape_latex(caption)}}}\n{named}{tabular}\n\\end{{{kind}}}\n"
    )


def escape_latex(text: object) -> str:
    """Return text for LaTeX, on one line: special characters escaped, superscripts, minus signs and p in math mode."""
    escaped = " ".join(_one_line(text).split()).translate(LATEX)
    escaped = re.sub(f"[{SUPERSCRIPTS}]+", lambda match: f"$^{{\\mathrm{{{match[0].translate(PLAIN)}}}}}$", escaped)
    escaped = re.sub(r"\bp \$<\$ ([\d.]*\d)", r"$p < \1$", escaped)
    return re.sub(r"(?<![\w-])-(?=\d)", "$-$", escaped)


def markdown(table: pd.DataFrame) -> str:
    """Return a table of texts as a Markdown table."""
    head = [escape_markdown_cell(name) for name in (table.index.name or "", *table.columns)]
    rows = zip(table.index, table.to_numpy().tolist(), strict=True)
    return markdown_rows(head, [[escape_markdown_cell(cell) for cell in (name, *cells)] for name, cells in rows])


def markdown_rows(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a Markdown table of a head and rows that are Markdown already."""
    ruler = "|---|" + "---:|" * (len(head) - 1)
    return "\n".join([f"| {' | '.join(head)} |", ruler, *(f"| {' | '.join(row)} |" for row in rows)]) + "\n"


def escape_markdown_cell(text: object) -> str:
    """Return text for a cell of a Markdown table, on one line."""
    return re.sub(r"([\\|<>*_`\[\]$])", r"\\\1", " ".join(str(text).split()))


def texts(table: pd.DataFrame) -> pd.DataFrame:
    """Return a table of figures as texts: four decimals, integers without, "–" for missing values."""

    def text(value: object) -> str:
        if isinstance(value, str):
            return value
        if isinstance(value, Integral):
            return str(value)
        return MISSING if pd.isna(value) else f"{value:.4f}"

    return table.map(text)


def csv(table: pd.DataFrame, index: bool = True) -> str:
    """Return a table as CSV that is safe from formula injection in spreadsheets.

    A text that begins with one of "=+-@", a tab or a line break, and is not a number, is prefixed with an apostrophe,
    which spreadsheets take as a mark of text (https://owasp.org/www-community/attacks/CSV_Injection); numbers are
    unchanged.
    """
    plain = table.rename(index=_no_formula, columns=_no_formula).map(_no_formula)
    # RFC 4180 line endings, so that a \r within a cell is quoted too.
    return str(plain.to_csv(index=index, lineterminator="\r\n"))


def milliseconds(value: float, unit: str = " ms") -> str:
    """Return a latency for reading: one decimal from 1 ms, none from 100 ms, two significant digits below 1 ms."""
    if value >= 0.995:
        return f"{value:,.{1 if value < 99.95 else 0}f}{unit}"
    return f"{value:#.2g}{unit}" if value >= 0.001 else f"< 0.001{unit}"


def shortened(text: str, length: int) -> str:
    """Return the text on one line, cut at a word boundary with "…" if it is longer."""
    one_line = " ".join(text.split())
    if len(one_line) <= length:
        return one_line
    return one_line[:length].rsplit(" ", 1)[0] + " …"


def _one_line(text: Any) -> str:
    return CONTROL.sub(" ", str(text))


def _no_formula(cell: Any) -> Any:
    if not isinstance(cell, str) or not cell.startswith(FORMULA):
        return cell
    try:
        float(cell)
    except ValueError:
        return f"'{cell}"
    return cell
