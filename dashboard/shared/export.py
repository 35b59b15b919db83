"""Tables for a paper and charts as pictures: CSV, LaTeX with booktabs, Markdown; SVG or PNG from the chart itself."""

import re
from numbers import Integral
from typing import Any

import pandas as pd
import streamlit as st
from plotly.graph_objects import Figure

from dashboard.shared import state

MISSING = "–"
FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")
"""What a spreadsheet takes for the beginning of a formula, full-width forms included."""
LETTERS = "abcdefghijklmnoprstuvwxyz"
SUPERSCRIPTS = "ᵃᵇᶜᵈᵉᶠᵍʰⁱʲᵏˡᵐⁿᵒᵖʳˢᵗᵘᵛʷˣʸᶻ"
"""Of every letter but q, which has none that fonts know."""
PLAIN = str.maketrans(SUPERSCRIPTS, LETTERS)


def latex(table: pd.DataFrame, caption: str) -> str:
    r"""Return a table of texts as LaTeX for the package booktabs, superscripts and minus signs as mathematics.

    Args:
        caption: plain text; everything that LaTeX would read as a command is escaped, as in the cells.
    """
    # The caption goes through the same escape as the cells, as one cell more.
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
    return plain.to_csv(index=index, lineterminator="\r\n")  # RFC 4180; so a \r within a cell is quoted, too


def _no_formula(cell: Any) -> Any:
    if not isinstance(cell, str) or not cell.startswith(FORMULA):
        return cell
    try:
        float(cell)
    except ValueError:
        return f"'{cell}"
    return cell


def downloads(raw: pd.DataFrame, name: str, caption: str, printed: pd.DataFrame | None = None) -> None:
    """Draw the three buttons of a table.

    Args:
        raw: the figures in full precision, for CSV.
        name: of the files, without ending.
        printed: the table for LaTeX and Markdown, where it is another.
    """
    for_print = raw if printed is None else printed
    forms = {
        "CSV": ("csv", "text/csv", lambda: csv(raw)),
        "LaTeX": ("tex", "text/x-tex", lambda: latex(texts(for_print), caption)),
        "Markdown": ("md", "text/markdown", lambda: markdown(texts(for_print))),
    }
    with st.container(horizontal=True, gap="small"):
        for label, (ending, kind, made) in forms.items():
            file = f"{name}.{ending}"
            # Made when it is asked for, not with every drawing of the page.
            st.download_button(label, made, file, kind, key=f"download {file}", on_click="ignore", type="tertiary")


def picture_form() -> str:
    """Return the form that charts are saved in: "svg", or "png" where the URL says so."""
    return state.read("picture") if state.read("picture") in ("svg", "png") else "svg"


def picture_button(name: str) -> dict[str, Any]:
    """Return the configuration of a chart with the one button that saves it as a picture of that name."""
    return {
        "displaylogo": False,
        "displayModeBar": True,
        "modeBarButtons": [["toImage"]],
        "toImageButtonOptions": {"format": picture_form(), "filename": name, "scale": 2},
    }


def chart(figure: Figure, name: str, alt: str) -> None:
    """Draw a chart with the one button that saves it as a picture."""
    st.plotly_chart(figure, config=picture_button(name), alt=alt, key=f"chart {name} {picture_form()}")
