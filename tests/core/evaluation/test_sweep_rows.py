"""The CSV file of an ANN sweep: read and written without change, and what is wrong with it is said."""

from pathlib import Path

import pandas as pd
import pytest

from core.evaluation.sweep_rows import SweepRow, as_table, read_rows, write_rows
from core.workspace.errors import UserError

SAMPLE = sorted((Path(__file__).parents[3] / "artifacts" / "sample").glob("ann*/*/sweep.csv"))
HEADER = (
    "index,parameters,dial,value,build_seconds,bytes,disk_bytes,queries_per_second,recall@10,recall@100,"
    "p50_ms,p95_ms,p99_ms,nDCG@10,lost"
)
EXACT = "exact,{},,,0.5,100,0,2000,1,1,2,3,4,0.5,{}"
GRAPH = 'hnsw,"{""connections"": 16}",ef,10,1.5,200,50,4000,0.9,0.8,0.5,1,2,0.45,"{""02"": [""d4"", ""d5""]}"'


def read(folder: Path, *lines: str) -> list[SweepRow]:
    path = folder / "sweep.csv"
    path.write_text("\n".join(lines) + "\n")
    return read_rows(path, "ann/dense/sweep.csv", "the command")


def test_cells_become_typed_fields(tmp_path: Path) -> None:
    exact, graph = read(tmp_path, HEADER, EXACT, GRAPH)
    assert (exact.index, exact.build, exact.parameter, exact.value, exact.missed) == ("exact", {}, None, None, {})
    assert (graph.build, graph.parameter, graph.value) == ({"connections": 16}, "ef", 10)
    assert (graph.recall, graph.deep, graph.recall_deep, graph.ndcg) == (0.9, 100, 0.8, 0.45)
    assert graph.missed == {"02": ["d4", "d5"]}


@pytest.mark.parametrize("path", SAMPLE, ids=lambda path: path.parent.name)
def test_committed_sweeps_are_written_as_they_are_read(path: Path, tmp_path: Path) -> None:
    write_rows(tmp_path / "again.csv", read_rows(path, "sweep.csv", "the command"))
    assert (tmp_path / "again.csv").read_bytes() == path.read_bytes()


def test_committed_sweeps_have_the_figures_that_pandas_reads() -> None:
    assert SAMPLE
    for path in SAMPLE:
        table, raw = as_table((row, 777) for row in read_rows(path, "", "")), pd.read_csv(path)
        for field, column in (("recall", "recall@10"), ("recall_deep", "recall@100"), ("value", "value")):
            pd.testing.assert_series_equal(table[field], raw[column].astype(float), check_names=False)
        assert table["parameter"].fillna("").tolist() == raw["dial"].fillna("").tolist()
        assert (table["documents"] == 777).all()


@pytest.mark.parametrize("k", [5, 99, 100])
def test_recall_at_any_deep_cutoff(tmp_path: Path, k: int) -> None:
    rows = read(tmp_path, HEADER.replace("recall@100", f"recall@{k}"), EXACT, GRAPH)
    assert [(row.deep, row.recall_deep) for row in rows] == [(k, 1.0), (k, 0.8)]
    write_rows(tmp_path / "again.csv", rows)
    assert f",recall@10,recall@{k},p50_ms," in (tmp_path / "again.csv").read_text()


def test_ten_documents_have_no_deeper_cutoff_and_simulated_ones_no_judgments(tmp_path: Path) -> None:
    header = HEADER.replace(",recall@100", "").replace(",nDCG@10,lost", "")
    row = "exact,{},,,0.5,100,0,2000,1,2,3,4"
    (exact,) = read(tmp_path, header, row)
    assert (exact.deep, exact.recall_deep, exact.ndcg, exact.missed) == (None, None, None, None)
    write_rows(tmp_path / "again.csv", [exact])
    assert (tmp_path / "again.csv").read_text() == f"{header}\n{row}\n"


@pytest.mark.parametrize("column", ["index", "parameters", "dial", "value", "recall@10", "p50_ms", "bytes"])
def test_a_missing_column_is_named(tmp_path: Path, column: str) -> None:
    header = ",".join("other" if name == column else name for name in HEADER.split(","))
    with pytest.raises(UserError, match=rf"^ann/dense/sweep.csv lacks the column {column}: .*the command$"):
        read(tmp_path, header, EXACT)


@pytest.mark.parametrize(
    ("column", "cell"),
    [
        ("recall@10", "high"),
        ("recall@10", ""),
        ("recall@100", "x"),
        ("p50_ms", "nan"),
        ("bytes", "1.5"),
        ("value", "ten"),
        ("parameters", "{"),
        ("lost", "[1]"),
    ],
)
def test_a_damaged_cell_is_named_with_file_line_and_column(tmp_path: Path, column: str, cell: str) -> None:
    cells = EXACT.split(",")
    cells[HEADER.split(",").index(column)] = cell
    with pytest.raises(UserError, match=rf"^ann/dense/sweep.csv, line 3, column {column}: .*the command$"):
        read(tmp_path, HEADER, EXACT, ",".join(cells))


@pytest.mark.parametrize("lines", [(HEADER,), (HEADER, GRAPH)])
def test_exact_search_is_the_first_row(tmp_path: Path, lines: tuple[str, ...]) -> None:
    with pytest.raises(UserError, match="the first row is not exact search"):
        read(tmp_path, *lines)


def test_an_empty_file_lacks_all_columns(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="lacks the column index, parameters, dial"):
        read(tmp_path)
