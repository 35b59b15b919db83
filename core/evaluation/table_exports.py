"""Exports of tables that carry their provenance, and their comparison with the same tables made again.

LaTeX, Markdown and CSV carry it in a comment line, JSON in a field: the arguments of `python -m core.compare`, the
version of RankScope, and the digests of the inputs.
"""

import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from csv import reader
from dataclasses import asdict, dataclass, field
from typing import Any

import pandas as pd

from core.evaluation.table_formats import Table, csv
from core.workspace.errors import UserError

FORMS = ("table", "latex", "markdown", "csv", "json")
NAME = "rankscope"
DIGITS = 16
"""Number of hexadecimal digits of a SHA-256 in provenance."""
COMMENTS = {"latex": ("% ", ""), "markdown": ("<!-- ", " -->"), "csv": ("# ", "")}
LINE = re.compile(rf"^(% |<!-- |# ){NAME}: (\{{.*\}})(?: -->)?\s*$", re.MULTILINE)
LARGEST_DIFFERENCE = 1e-9
"""Relative difference up to which figures at full precision are the same: other processors round sums differently."""


@dataclass(frozen=True)
class Provenance:
    """Where a table comes from.

    Attributes:
        arguments: the arguments of `python -m core.compare`.
        version: the version of RankScope.
        inputs: the first digits of the SHA-256 of each input, by name.
    """

    arguments: Sequence[str]
    version: str
    inputs: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Export:
    """An exported table: its form, its provenance, and its cells, (row, column) -> text."""

    form: str
    provenance: Provenance
    cells: Mapping[tuple[str, str], str]


def inputs_of(digests: Sequence[str]) -> dict[str, str]:
    """Return the first digits of the digest of each input by name: files, or a collection with its runs and sweeps.

    Args:
        digests: "name digest", from `core.evaluation.results.Results.digests`.
    """
    by_name = dict(digest.rsplit(" ", 1) for digest in digests)
    of_files = "collection" not in by_name
    return {
        name: digest[:DIGITS]
        for name, digest in by_name.items()
        if of_files or name == "collection" or name.startswith(("runs/", "ann", "tuning/"))
    }


def export(table: Table, form: str, provenance: Provenance | None = None) -> str:
    """Return a table in one of `FORMS` but "table", with its provenance if it is given."""
    if form == "json":
        return _json(table, provenance)
    text = csv(table.figures) if form == "csv" else table.latex() if form == "latex" else table.markdown()
    if provenance is None:
        return text
    # "--" ends a comment in Markdown.
    line = json.dumps(asdict(provenance), ensure_ascii=True).replace("--", r"\u002d\u002d")
    before, after = COMMENTS[form]
    comment = f"{before}{NAME}: {line}{after}"
    return f"{comment}\n{text}" if form == "latex" else f"{text}{comment}\n"


def _json(table: Table, provenance: Provenance | None) -> str:
    figures = table.figures.reset_index()
    rows = [
        {str(name): None if _missing(value) else value for name, value in row.items()}
        for row in figures.astype(object).to_dict("records")
    ]
    content: dict[str, Any] = {
        "caption": table.caption,
        "sentences": list(table.sentences),
        "details": list(table.details),
        "rows": rows,
    }
    if provenance:
        content[NAME] = asdict(provenance)
    return json.dumps(content, indent=1, ensure_ascii=False, default=_plain) + "\n"


def _missing(value: Any) -> bool:
    return value is None or bool(pd.isna(value)) or (isinstance(value, float) and not math.isfinite(value))


def _plain(value: Any) -> Any:
    """Return a number of numpy as one of Python."""
    return value.item() if hasattr(value, "item") else str(value)


def read_export(text: str, name: str) -> Export:
    """Read an exported table.

    Raises:
        UserError: if it carries no provenance.
    """
    match = LINE.search(text)
    try:
        if text.lstrip().startswith("{"):
            content = json.loads(text)
            return Export("json", _provenance(content[NAME]), dict(_json_cells(content)))
        if match is None:
            raise KeyError(NAME)
        form = next(form for form, (before, _) in COMMENTS.items() if before == match[1])
        return Export(form, _provenance(json.loads(match[2])), dict(_cells(text, form)))
    except (KeyError, TypeError, ValueError, RecursionError, AttributeError):
        raise UserError(
            f"{name}: no provenance of RankScope; export the table again from a page, or with python -m core.compare "
            "FIGURE ... --format latex, markdown, csv or json"
        ) from None


def _provenance(content: Mapping[str, Any]) -> Provenance:
    """Return the provenance in an exported table; raise ValueError if it has another form."""
    found = Provenance(**content)
    inputs = found.inputs.items() if isinstance(found.inputs, dict) else [("", None)]
    texts = [*found.arguments, found.version, *(word for pair in inputs for word in pair)]
    if not isinstance(found.arguments, list) or not all(isinstance(word, str) for word in texts):
        raise ValueError
    return found


def _json_cells(content: Mapping[str, Any]) -> Iterator[tuple[tuple[str, str], str]]:
    yield ("caption", ""), str(content["caption"])
    for kind in ("sentences", "details"):
        for number, sentence in enumerate(content[kind], 1):
            yield (kind, str(number)), str(sentence)
    for name, row in zip(
        _names([next(iter(row.values()), "") for row in content["rows"]]), content["rows"], strict=True
    ):
        yield from (((name, column), str(value)) for column, value in row.items())


def _cells(text: str, form: str) -> Iterator[tuple[tuple[str, str], str]]:
    lines = [line for line in text.splitlines() if not LINE.match(line)]
    if form == "csv":
        yield from _named_cells(list(reader(lines)))
        return
    if form == "markdown":
        rows = [re.split(r"(?<!\\)\|", line.strip())[1:-1] for line in lines if line.strip().startswith("|")]
        yield from _named_cells([row for row in rows if not set("".join(row)) <= set("-: ")])
        return
    for line in lines:
        if line.startswith(r"\caption{"):
            yield ("caption", ""), line
    rows = [re.split(r"(?<!\\)&", line.strip()[:-2]) for line in lines if line.strip().endswith(r"\\")]
    yield from _named_cells(rows)


def _named_cells(rows: Sequence[Sequence[str]]) -> Iterator[tuple[tuple[str, str], str]]:
    """Yield the cells of rows below a head; a row is named by its first cell and, if that is repeated, a number."""
    if not rows:
        return
    head = [cell.strip() for cell in rows[0]]
    below = [[cell.strip() for cell in row] for row in rows[1:]]
    for name, row in zip(_names([row[0] if row else "" for row in below]), below, strict=True):
        yield from (((name, column), cell) for column, cell in zip(head, row, strict=False))


def _names(texts: Sequence[Any]) -> Iterator[str]:
    """Yield the name of each row: its first cell, with a number if that is repeated."""
    seen: dict[str, int] = {}
    for text in map(str, texts):
        seen[text] = seen.get(text, 0) + 1
        yield text if seen[text] == 1 else f"{text} ({seen[text]})"


def differences(exported: Export, again: str) -> list[str]:
    """Return which cells of an exported table differ from the same table made again, a sentence each.

    Args:
        again: the table in the same form.
    """
    made = dict(_json_cells(json.loads(again)) if exported.form == "json" else _cells(again, exported.form))
    exact = exported.form in ("csv", "json")
    said = []
    order = [[row for row in dict.fromkeys(row for row, _ in cells)] for cells in (exported.cells, made)]
    rows, expected = ([row for row in rows if row in other] for rows, other in (order, order[::-1]))
    if rows != expected:
        said.append(f"the rows are in another order; made again it is {', '.join(expected)}")
    for (row, column), text in exported.cells.items():
        where = f"{row}, {column}" if column else row
        if (row, column) not in made:
            said.append(f"{where}: {text!r} is in the table, and not in the one made again")
        elif not (text == made[row, column] or (exact and _close(text, made[row, column]))):
            said.append(f"{where}: the table has {text}, made again it is {made[row, column]}")
    missing = [f"{row}, {column}" for row, column in made if (row, column) not in exported.cells]
    return said + ([f"missing in the table: {'; '.join(missing[:5])}{' …' * (len(missing) > 5)}"] if missing else [])


def _close(first: str, second: str) -> bool:
    try:
        return math.isclose(float(first), float(second), rel_tol=LARGEST_DIFFERENCE, abs_tol=1e-15)
    except ValueError:
        return False
