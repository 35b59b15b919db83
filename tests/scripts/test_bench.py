"""scripts/benchmarks/bench.py: turns, ratios and the table; and that those who are compared do the same work."""

import csv
import json
import platform
import sys
import time

import numpy as np
import pytest

from core.workspace.errors import UserError
from scripts.benchmarks import bench, evaluation, lexical, vectors
from scripts.benchmarks.machine import machine
from scripts.benchmarks.measuring import in_turns, table


def comparison(ours, theirs, targets=None, limit=None, per="query"):
    return {
        "section": "bm25",
        "task": "search",
        "per": per,
        "ours": "us",
        "seconds": {"us": ours, "them": theirs},
        "targets": targets or {},
        "limit": limit,
    }


def result(*comparisons, figures=()):
    return {"comparisons": list(comparisons), "figures": list(figures)}


def cells(text):
    """Return the cells of a table's rows, head and rule left out."""
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines()[2:]]


def test_tasks_go_in_turns_and_the_first_round_is_not_counted():
    seen = []
    tasks = {"a": lambda: seen.append("a"), "b": lambda: (seen.append("b"), time.sleep(0.02))}
    found = in_turns(tasks, rounds=2)
    assert seen == ["a", "b"] * 3
    assert [len(values) for values in found.values()] == [2, 2]
    assert all(value >= 0.02 for value in found["b"])


def test_when_the_time_is_over_no_round_begins_but_there_is_one():
    assert [len(values) for values in in_turns({"a": lambda: None}, rounds=9, seconds=0).values()] == [1]


def test_a_ratio_is_of_the_same_round_and_the_table_has_its_median_and_range():
    # drift of the machine: all take twice as long in the second round, and the ratio is 3 in both
    (row,) = cells(table([result(comparison([0.010, 0.020, 0.020], [0.030, 0.060, 0.100], {"them": 4}))]))
    assert row == [
        "bm25: search",
        "20 ms a query (10 ms to 20 ms)",
        "them",
        "60 ms a query (30 ms to 100 ms)",
        "**3** (3 to 5)",
        "at least 4: **missed**",
    ]
    assert "at least 3: met" in table([result(comparison([1.0], [3.0], {"them": 3}))])


def test_of_several_files_the_medians_are_taken():
    files = [result(comparison([1.0, 1.0, 9.0], [r, r, r])) for r in (2.0, 30.0, 4.0)]
    (row,) = cells(table(files))
    assert row[1] == "1 s a query (1 s to 1 s)"
    assert row[3] == "4 s a query (2 s to 30 s)"
    assert row[4] == "**4** (2 to 30)"


def test_limits_are_told_met_or_missed_and_documents_are_a_rate():
    assert "at most 100 ms: met" in table([result(comparison([0.09], [0.1], limit=0.1))])
    assert "at most 100 ms: **missed**" in table([result(comparison([0.11], [0.1], limit=0.1))])
    assert "500 documents/s (500 to 500)" in table([result(comparison([0.002], [0.1], per="document"))])
    figures = [{"section": "encode", "name": "nDCG@10 lost", "value": -0.003, "limit": 0.002}]
    assert "-0.0030 | | | | within 0.002: **missed**" in table([result(figures=figures)])


def test_what_is_written_is_read_again_and_the_csv_has_a_row_a_round(tmp_path):
    path = tmp_path / "b.json"
    bench.write(result(comparison([1.0, 2.0], [3.0, 4.0])), path)
    assert bench.read(path)["comparisons"][0]["seconds"] == {"us": [1.0, 2.0], "them": [3.0, 4.0]}
    with path.with_suffix(".csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["who"], row["ours"], row["round"], float(row["seconds"])) for row in rows] == [
        ("us", "1", "1", 1.0),
        ("us", "1", "2", 2.0),
        ("them", "0", "1", 3.0),
        ("them", "0", "2", 4.0),
    ]


@pytest.mark.parametrize("content", ["", "[]", "{}", "nothing"])
def test_another_file_is_refused_in_a_sentence(content, tmp_path):
    path = tmp_path / "b.json"
    path.write_text(content)
    with pytest.raises(UserError, match=r"not a result of scripts/benchmarks/bench\.py"):
        bench.read(path)


def test_the_machine_is_told_without_its_name():
    about = machine()
    assert about["cores"] >= 1
    assert about["processor"]
    assert platform.node() not in json.dumps(about).split('"')


@pytest.mark.slow
def test_the_sections_that_need_no_model_run_on_the_sample(tmp_path, monkeypatch, capsys):
    out = tmp_path / "b.json"
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", f"bench.py --toy --out {out} --sections bm25 evaluation".split())
    bench.main()
    printed = capsys.readouterr().out
    found = json.loads(out.read_text())
    assert len(found["comparisons"]) == 7
    for compared in found["comparisons"]:
        assert compared["ours"] in compared["seconds"]
        assert len(compared["seconds"]) >= 2
        rounds = {len(values) for values in compared["seconds"].values()}
        assert len(rounds) == 1
        assert all(0 < value < 60 for values in compared["seconds"].values() for value in values)
    monkeypatch.setattr("sys.argv", f"bench.py --table {out}".split())
    bench.main()
    assert capsys.readouterr().out in printed


def test_all_searchers_find_the_same_documents():
    chance = np.random.default_rng(1)
    rows, queries = (chance.standard_normal((n, 16), dtype=np.float32) * 3 for n in (300, 4))
    cosines = (rows / np.linalg.norm(rows, axis=1, keepdims=True)) @ queries.T
    expected = np.argsort(-cosines, axis=0)[:10].T.tolist()
    for name, search in vectors.searchers(rows).items():
        assert search(queries).tolist() == expected, name


def test_all_evaluators_give_the_same_figures():
    runs, qrels = evaluation.made_up(2)
    ways = evaluation.evaluators(qrels)
    ours = ways["RankScope"](runs[0])
    by_trec_eval = ways["pytrec_eval"](runs[0])
    for name, (key, _) in evaluation.MEASURES.items():
        expected = {topic: values[key.replace(".", "_")] for topic, values in by_trec_eval.items()}
        assert ours[name] == pytest.approx(expected)
    for found in ways["ir_measures"](runs[0]):
        assert ours[str(found.measure)][found.query_id] == pytest.approx(found.value)


def test_without_pyserini_lucene_is_told_to_be_absent(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyserini.analysis", None)
    found = lexical.open_lucene(tmp_path, lexical.Bm25Settings())
    assert isinstance(found, str)
    assert "absent" in found
