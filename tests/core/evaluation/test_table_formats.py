"""CSV that is exported holds no formula for a spreadsheet, and reads back as it was."""

import csv
import io
import re
import shutil
import subprocess
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.evaluation import table_formats
from core.workspace.workspace import CHECKOUT

FORMULAS = [
    "=1+1",
    "+1+1",
    "-1+1",
    "@SUM(1)",
    "\t=1",
    "\r=1",
    "\n=1",
    '=HYPERLINK("http://x")',
    "＝1",
    "-",
    "+a",
    "=-1",
]
PLAIN = ["-1", "+1.5", "-1e-3", "a=1", "'=1", " =1", "", "d1", "–", "007", "1-2"]


def rows(text: str) -> list[list[str]]:
    return list(csv.reader(io.StringIO(text, newline="")))


@pytest.mark.parametrize("cell", FORMULAS)
def test_a_text_that_would_be_a_formula_gets_an_apostrophe_wherever_it_stands(cell: str) -> None:
    table = pd.DataFrame({cell: [cell, "x"], "figure": [-0.25, 1.0]}, index=pd.Index([cell, "y"], name="topic"))
    safe = f"'{cell}"
    assert rows(table_formats.csv(table)) == [["topic", safe, "figure"], [safe, safe, "-0.25"], ["y", "x", "1.0"]]
    assert rows(table_formats.csv(table, index=False)) == [[safe, "figure"], [safe, "-0.25"], ["x", "1.0"]]


@pytest.mark.parametrize("cell", PLAIN)
def test_figures_and_other_texts_stay_as_they_are(cell: str) -> None:
    table = pd.DataFrame({"text": [cell], "figure": [-1.5], "count": [-3], "none": [None]})
    assert rows(table_formats.csv(table, index=False))[1] == [cell, "-1.5", "-3", ""]


cells = st.text(max_size=6) | st.sampled_from(FORMULAS + PLAIN)


@given(texts=st.lists(cells, min_size=1, max_size=5))
def test_no_exported_cell_begins_a_formula(texts: list[str]) -> None:
    for (cell,), text in zip(rows(table_formats.csv(pd.DataFrame({"c": texts}), index=False))[1:], texts, strict=True):
        assert cell in (text, f"'{text}")
        if cell[:1] in ("=", "@", "\t", "\r", "\n") or cell[:1] in ("+", "-"):
            float(cell)


def test_no_page_writes_a_table_in_another_way() -> None:
    pages = {path.name: path.read_text() for path in (CHECKOUT / "dashboard").rglob("*.py")}
    assert not [name for name, text in pages.items() if re.search("to_csv|to_latex|to_markdown", text)]


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (0.0004, "< 0.001 ms"),
        (0.0094, "0.0094 ms"),
        (0.069, "0.069 ms"),
        (0.5, "0.50 ms"),
        (0.996, "1.0 ms"),
        (8.6, "8.6 ms"),
        (18.37, "18.4 ms"),
        (99.96, "100 ms"),
        (1240.4, "1,240 ms"),
    ],
)
def test_latencies_have_two_significant_digits_or_more(value: float, said: str) -> None:
    assert table_formats.milliseconds(value) == said
    assert table_formats.milliseconds(value, "") == said.removesuffix(" ms")


def test_no_page_writes_a_latency_in_another_way() -> None:
    sources = [*CHECKOUT.glob("dashboard/**/*.py"), *CHECKOUT.glob("core/evaluation/*.py")]
    formatted = re.compile(r"(?<!%)\{[^{}]*:[^{}]*[fg]\} ms\b")  # "%{y:.3f} ms" is Plotly's
    assert not [path.name for path in sources if formatted.search(path.read_text(encoding="utf-8"))]


@pytest.mark.skipif(not shutil.which("pdflatex"), reason="pdflatex is not installed")
def test_latex_compiles_and_fits_the_page(tmp_path: Path) -> None:
    """A narrow table, one that is wider than a page, and texts that LaTeX would take for commands."""
    hostile = r"a_b & 50 % $y$ \input{x} #^~ <b>|x| ᵃᵇ † ‡ – … ≤ -1.5 p < 0.001"
    narrow = pd.DataFrame({"nDCG@10": ["0.5ᵃ", "–"]}, index=pd.Index([hostile[:20], "b"], name="system"))
    wide = pd.DataFrame({f"95 % CI of measure {n}": ["-0.123 to +0.456", hostile] for n in range(11)})
    parts = [table_formats.latex(table, hostile) for table in (narrow, wide.rename_axis("system"))]
    head = r"\documentclass[twocolumn]{article}\usepackage{booktabs,graphicx}\begin{document}"
    (tmp_path / "paper.tex").write_text("\n".join([head, *parts, r"\end{document}"]), encoding="utf-8")
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "-no-shell-escape", "paper.tex"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, errors="replace", timeout=120)
    assert done.returncode == 0, done.stdout[-1000:]
    # A caption is text: only a table can be too wide by more than a word.
    assert not [line for line in done.stdout.splitlines() if line.startswith("Overfull") and "alignment" in line]
    assert (tmp_path / "paper.pdf").stat().st_size > 1000
    assert parts[0].startswith("% \\usepackage{booktabs}\n")
    assert parts[1].startswith("% \\usepackage{booktabs,graphicx}\n")
