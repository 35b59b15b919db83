"""The table of systems on several collections has the figures of `core.compare`."""

import pytest

from core.compare import figure
from core.workspace.errors import UserError
from scripts.tables import collections_table


def test_its_cells_are_the_comparison_s(monkeypatch, capsys):
    command = ["collections_table.py", "sample", "--baseline", "all-MiniLM-L6-v2"]
    monkeypatch.setattr("sys.argv", command)
    collections_table.main()
    rows = capsys.readouterr().out.splitlines()
    table = figure(["table", "sample", "--baseline", "all-MiniLM-L6-v2", "--measures", "nDCG@10"])[0]
    assert len(rows) == 2 + len(table.figures)
    base = table.figures["mean"]["all-MiniLM-L6-v2"]
    for label, shown in table.shown.iterrows():
        cell = next(row for row in rows if row.startswith(f"| {label} |")).strip("| ").split(" | ")[1]
        expected = f"{shown['mean']:.4f}"
        if label != "all-MiniLM-L6-v2":
            change = 100 * table.figures["difference"][label] / base
            expected += f", {change:+.1f} %, p {shown['p, randomisation test (Holm-adjusted)']}"
        assert cell.replace("\\", "") == f"{expected}; {shown['Judged@10']:.3f}"


def test_a_collection_without_the_baseline_is_named(monkeypatch):
    monkeypatch.setattr("sys.argv", ["collections_table.py", "sample", "--baseline", "all-mpnet-base-v2"])
    with pytest.raises(UserError, match="sample has no run of all-mpnet-base-v2; it has bm25"):
        collections_table.main()
