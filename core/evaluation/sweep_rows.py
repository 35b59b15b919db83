"""The rows of an ANN sweep, `sweep.csv`: one row for each index and value of its search parameter."""

import csv
import json
import re
from collections.abc import Iterable, Mapping
from pathlib import Path

import pandas as pd
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from core.workspace.errors import UserError

DEEP_RECALL = re.compile(r"recall@(?!10$)([1-9]\d*)")
"""Column of recall at the deep cut-off, which is below 100 if the collection has fewer documents."""


class SweepRow(BaseModel):
    """The measurements of one index with one value of its search parameter.

    A field's validation alias is its column in the CSV file, if that has another name. Fields that default to None may
    be absent: a simulated sweep has no judged documents, and one that was copied from a publication has no more figures
    than that.

    Attributes:
        index: a name of `core.indexes.registry`.
        build: the parameters that the index was built with.
        parameter: the name of the search parameter, None if the index has none.
        value: the value of the search parameter.
        build_seconds: the build time.
        bytes: size in memory.
        disk_bytes: size of the saved index.
        queries_per_second: the throughput of a batch search for all queries.
        recall: recall@10 against exact search.
        deep: the cut-off k of `recall_deep`, which is recall@k.
        p50_ms: median latency of a single query; p95_ms and p99_ms are percentiles.
        ndcg: nDCG@10.
        differences: topic -> nDCG@10 minus that of exact search, where it is not 0; absent in older sweeps.
        missed: topic -> the relevant documents in the top 10 of exact search that this index does not return there.
    """

    model_config = ConfigDict(frozen=True, populate_by_name=True, extra="ignore", allow_inf_nan=False)

    index: str
    build: dict[str, int] = Field(validation_alias="parameters")
    parameter: str | None = Field(validation_alias="dial")
    value: int | None
    build_seconds: float
    bytes: int
    disk_bytes: int | None = None
    queries_per_second: float | None = None
    recall: float = Field(validation_alias="recall@10")
    deep: int | None = None
    recall_deep: float | None = None
    p50_ms: float
    p95_ms: float | None = None
    p99_ms: float | None = None
    ndcg: float | None = Field(None, validation_alias="nDCG@10")
    missed: dict[str, list[str]] | None = Field(None, validation_alias="lost")
    differences: dict[str, float] | None = None

    @field_validator("build", "missed", "differences", mode="before")
    @classmethod
    def _from_json(cls, value: object) -> object:
        return json.loads(value) if isinstance(value, str) else value


COLUMNS = {name: str(field.validation_alias or name) for name, field in SweepRow.model_fields.items()}
"""Columns of the CSV file by field; `deep` and `recall_deep` share the column recall@<deep>."""


FIGURES = ["disk_bytes", "queries_per_second", "recall_deep", "p95_ms", "p99_ms", "ndcg", "value", "deep"]
"""Fields with numbers that may be absent, NaN in tables."""


def write_rows(path: Path, rows: Iterable[SweepRow]) -> None:
    """Write a sweep as CSV, with six significant digits and without empty columns."""
    table = pd.DataFrame([_cells(row) for row in rows])
    table.to_csv(path, index=False, lineterminator="\n", float_format="%.6g")


def _cells(row: SweepRow) -> dict[str, object]:
    """Return a row's cells by column, in the order of the fields."""
    cells: dict[str, object] = {}
    for name, column in COLUMNS.items():
        value = getattr(row, name)
        if name == "recall_deep":
            column = f"recall@{row.deep}"
        if name != "deep" and (value is not None or SweepRow.model_fields[name].is_required()):
            cells[column] = json.dumps(value) if isinstance(value, dict) else value
    return cells


def read_rows(path: Path, shown: str, command: str) -> list[SweepRow]:
    """Return the rows of a sweep's CSV file; exact search is the first.

    Args:
        shown: the file's name in messages.
        command: the command that makes the sweep again.

    Raises:
        UserError: if a column is missing, as in a file of an older version, or a cell has an invalid value.
    """
    again = f"rebuild it with {command}"
    with path.open(encoding="utf-8", newline="") as file:
        lines = csv.DictReader(file)
        columns = lines.fieldnames or []
        required = [column for name, column in COLUMNS.items() if SweepRow.model_fields[name].is_required()]
        if missing := [column for column in required if column not in columns]:
            problem = f"{shown} lacks the column {', '.join(missing)}: it is damaged or of an older version"
            raise UserError(f"{problem}; {again}")
        deep = next((int(match[1]) for match in map(DEEP_RECALL.fullmatch, columns) if match), None)
        rows = []
        for cells in lines:
            try:
                rows.append(SweepRow.model_validate(_fields(cells, deep)))
            except ValidationError as error:
                first = error.errors()[0]
                column = f"recall@{deep}" if first["loc"][0] == "recall_deep" else first["loc"][0]
                where = f"{shown}, line {lines.line_num}, column {column}"
                raise UserError(f"{where}: {first['input']!r} is not valid ({first['msg']}); {again}") from None
    if not rows or rows[0].index != "exact":
        raise UserError(f"{shown}, column index: the first row is not exact search; {again}")
    return rows


def _fields(cells: Mapping[str, str], deep: int | None) -> dict[str, object]:
    """Return the cells of a line by field, with None for empty ones."""
    fields: dict[str, object] = {column: cell or None for column, cell in cells.items() if column}
    return fields | {"deep": deep, "recall_deep": fields.get(f"recall@{deep}")}


def as_table(rows: Iterable[tuple[SweepRow, int]]) -> pd.DataFrame:
    """Return rows of sweeps as a table, with a column for each field of `SweepRow` and the number of documents.

    Args:
        rows: the rows, each with the number of documents it was measured on.
    """
    records = [row.model_dump() | {"documents": documents} for row, documents in rows]
    table = pd.DataFrame(records, columns=[*SweepRow.model_fields, "documents"])
    return table.astype(dict.fromkeys(FIGURES, float))
