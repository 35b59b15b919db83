"""Tables of figures and the forms they are printed in: plain text, CSV, LaTeX with booktabs, Markdown."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from numbers import Integral
from typing import Any

import pandas as pd

MISSING = "–"
FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")
"""What a spreadsheet takes for the beginning of a formula, full-width forms included."""
LETTERS = "abcdefghijklmnoprstuvwxyz"
SUPERSCRIPTS = "ᵃᵇᶜᵈᵉᶠᵍʰⁱʲᵏˡᵐⁿᵒᵖʳˢᵗᵘᵛʷˣʸᶻ"
"""Every letter but q, which has no superscript in common fonts."""
PLAIN = str.maketrans(SUPERSCRIPTS, LETTERS)
CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")


@dataclass(frozen=True)
class Table:
    """A table that a page shows and a command prints.

    Attributes:
        figures: the values in full precision, as CSV has them; the index names the rows.
        caption: plain text.
        readable: the same for the eye, with an interval or a test in one cell; `figures` where None.
        sentences: what is said above the table.
    """

    figures: pd.DataFrame
    caption: str
    readable: pd.DataFrame | None = None
    sentences: Sequence[str] = ()

    @property
    def shown(self) -> pd.DataFrame:
        """The table for the eye."""
        return self.figures if self.readable is None else self.readable


def plain_text(table: Table) -> str:
    """Return a table for a terminal: its caption, its sentences, and aligned columns.

    Control characters in texts of documents, queries and names are replaced by spaces.
    """
    printed = texts(table.shown).map(_one_line).rename(index=_one_line, columns=_one_line)
    lines = [_one_line(line) for line in (table.caption, *table.sentences)]
    body = printed.rename_axis(columns=printed.index.name, index=None).to_string() if len(printed) else "(no rows)"
    return "\n".join([*lines, "", body]) + "\n"


def latex(table: pd.DataFrame, caption: str) -> str:
    r"""Return a table of texts as LaTeX for the package booktabs, superscripts and minus signs as mathematics.

    Args:
        caption: plain text; everything that LaTeX would read as a command is escaped, as in the cells.
    """
    # The caption is escaped like a cell.
    escaped = pd.DataFrame({"c": [caption]}).style.format(escape="latex").hide(axis="index").hide(axis="columns")
    caption = escaped.to_latex().splitlines()[1].removesuffix(r" \\")
    styled = (
        table.rename_axis(None)
        .style.format(escape="latex")
        .format_index(escape="latex")
        .format_index(escape="latex", axis=1)
    )
    text = styled.to_latex(hrules=True, column_format="l" + "r" * len(table.columns))
    text = re.sub(f"[{SUPERSCRIPTS}]+", lambda match: f"$^{{\\mathrm{{{match[0].translate(PLAIN)}}}}}$", text)
    text = re.sub(r"(?<![\w-])-(?=\d)", "$-$", text).replace(MISSING, "--")
    return f"% \\usepackage{{booktabs}}\n\\begin{{table}}\n\\centering\n\\caption{{{caption}}}\n{text}\\end{{table}}\n"


def markdown(table: pd.DataFrame) -> str:
    """Return a table of texts as a Markdown table."""

    def row(cells: list[str]) -> str:
        return "| " + " | ".join(re.sub(r"([\\|<>*_`\[\]$])", r"\\\1", " ".join(str(c).split())) for c in cells) + " |"

    head = row([str(table.index.name or ""), *table.columns])
    ruler = "|---|" + "---:|" * len(table.columns)
    rows = [row([str(name), *cells]) for name, cells in zip(table.index, table.to_numpy().tolist(), strict=True)]
    return "\n".join([head, ruler, *rows]) + "\n"


def texts(table: pd.DataFrame) -> pd.DataFrame:
    """Return a table of figures as texts: four decimals, counts whole, "–" where there is none."""

    def text(value: object) -> str:
        if isinstance(value, str):
            return value
        if isinstance(value, Integral):
            return str(value)
        return MISSING if pd.isna(value) else f"{value:.4f}"

    return table.map(text)


def csv(table: pd.DataFrame, index: bool = True) -> str:
    """Return a table as CSV in which a spreadsheet finds no formula.

    A text that begins with one of "=+-@", a tab or a line break, and is no number, gets an apostrophe before it, which
    spreadsheets take for the sign of a text (https://owasp.org/www-community/attacks/CSV_Injection); figures stay as
    they are.
    """
    plain = table.rename(index=_no_formula, columns=_no_formula).map(_no_formula)
    # RFC 4180's line ends; so a \r within a cell is quoted, too.
    return str(plain.to_csv(index=index, lineterminator="\r\n"))


def shortened(text: str, length: int) -> str:
    """Return the text on one line, cut at a word with "…" where it is longer."""
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
