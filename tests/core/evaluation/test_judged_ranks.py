"""Judgments rank by rank, against a case worked by hand, and equivalence as figures of run files."""

import json

import pytest

from core import compare
from core.evaluation.judged_ranks import judged_ranks, judged_table

RUNS = {
    "a": {"1": {"d1": 3.0, "d2": 2.0, "d9": 1.0}, "2": {"d5": 1.0}},
    "b": {"1": {"d2": 3.0, "d3": 2.0}, "2": {"d5": 2.0, "d6": 1.0}},
}
QRELS = {"1": {"d1": 1, "d2": 1, "d3": 0}, "2": {"d5": 1, "d6": 0}}


def test_shares_of_judged_documents_and_the_effect_of_ones_own_are_those_worked_by_hand():
    rows = judged_ranks(list(RUNS), RUNS.__getitem__, QRELS, "P@2", 2, (1, 2, 3))
    # Judged@3: 2/3 and 1/3 of a; 2/3 and 2/3 of b
    assert rows.loc["a"].tolist()[:3] == pytest.approx([1, (1 + 0.5) / 2, (2 / 3 + 1 / 3) / 2])
    assert rows.loc["b"].tolist()[:3] == pytest.approx([1, 1, 2 / 3])
    # d1 is in the top 2 of a alone, and relevant; d3 and d6 in that of b alone
    assert rows.loc["a"].tolist()[3:] == pytest.approx([1, 1, (1 + 0.5) / 2, (0.5 + 0.5) / 2, -0.25])
    assert rows.loc["b"].tolist()[3:] == pytest.approx([2, 0, 0.5, 0.5, 0])
    said = judged_table(rows, {"a": "A", "b": "B"}, "P@2", 2, "c").sentences
    assert said == (
        ["A has 1 judged documents in its top 2 that no other system here has, 1 of them relevant; without their "
         "judgments its P@2 is 0.5000 (-0.2500)."]
    )  # fmt: skip


def test_a_topic_of_which_nothing_else_is_judged_counts_0():
    rows = judged_ranks(["a"], lambda _: {"1": {"d": 1.0}}, {"1": {"d": 1}}, "AP", 10)
    assert rows.loc["a", ["AP", "without them"]].tolist() == [1, 0]


def test_equivalence_of_run_files_is_printed(tmp_path, command):
    for name, run in RUNS.items():
        lines = [f"{t} Q0 {d} 1 {score} x\n" for t, by in run.items() for d, score in by.items()]
        (tmp_path / f"{name}.run").write_text("".join(lines))
    (tmp_path / "qrels").write_text("".join(f"{t} 0 {d} {g}\n" for t, by in QRELS.items() for d, g in by.items()))
    files = [tmp_path / "a.run", tmp_path / "b.run", "--qrels", tmp_path / "qrels", "--measure", "P@2"]
    printed = command(compare.main, "equivalence", *files, "--baseline", "b", "--format", "json")
    (row,) = json.loads(printed.out)["rows"]
    assert (row["difference"], row["equivalent"]) == (0.25, "no")
    assert command(compare.main, "judged-ranks", *files, "--depth", "2").status == 0
    assert command(compare.main, "equivalence", *files, "--margin", "0").status == 2
