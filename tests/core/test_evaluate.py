"""`python -m core.evaluate` on runs and qrels from anywhere."""

import gzip
import json
import subprocess
import sys
from pathlib import Path

import pytest

from core.evaluate import main

ROOT = Path(__file__).resolve().parents[2]
RUN = "1 Q0 d1 1 2.0 t\n1 Q0 d2 2 1.0 t\n3 Q0 d1 1 1.0 t\n"
QRELS = "1 0 d1 0\n1 0 d2 1\n2 0 d1 1\n"
LONG = gzip.compress("".join(f"1 Q0 d{i} {i} {1 / (i + 1)} t\n" for i in range(999)).encode())
BAD = {
    "NaN scores": ({"a.run": "1 Q0 d1 1 2.0 t\n1 Q0 d2 2 nan t\n"}, "a.run, line 2"),
    "a run line of five columns": ({"a.run": "1 Q0 d1 1 2.0\n"}, "a.run, line 1"),
    "an empty run": ({"a.run": ""}, "a.run"),
    "no run": ({"a.run": None}, "a.run"),
    "a run that is a text of another kind": ({"a.run": "<html>\n"}, "a.run, line 1"),
    "qrels of three columns": ({"qrels.txt": "1 0 d1 1\n1 d2 1\n"}, "qrels.txt, line 2"),
    "a grade that is no number": ({"qrels.txt": "1 0 d1 relevant\n"}, "qrels.txt, line 1"),
    "no qrels": ({"qrels.txt": None}, "qrels.txt"),
    "no topic in common": ({"qrels.txt": "8 0 d1 1\n"}, "no topic in common"),
}


@pytest.fixture
def files(tmp_path):
    def write(replace=None):
        for name, content in ({"a.run": RUN, "qrels.txt": QRELS} | (replace or {})).items():
            if content is not None:
                (tmp_path / name).write_text(content)
        return [tmp_path / "a.run", "--qrels", tmp_path / "qrels.txt", "--json"]

    return write


@pytest.mark.parametrize("name", BAD)
def test_bad_input_is_refused_in_one_sentence_that_names_file_and_line(name, files, command):
    replace, where = BAD[name]
    outcome = command(main, *files(replace))
    assert outcome.refused_with(where), outcome
    assert outcome.out == ""


def test_a_gz_cut_short_is_refused(tmp_path, files, command):
    (tmp_path / "cut.run.gz").write_bytes(LONG[:-100])
    assert command(main, tmp_path / "cut.run.gz", *files()).refused_with("cut.run.gz", "truncated")


def test_an_unknown_measure_is_refused_with_those_that_there_are(files, command):
    assert command(main, *files(), "--measures", "nDCG@10,MRX@10").refused_with("'MRX@10'", "nDCG@k")


def test_runs_without_qrels_are_refused(files, command):
    assert command(main, files()[0]).refused_with("--qrels")


def test_two_runs_of_one_name_are_refused(tmp_path, files, command):
    files({"qrels.txt": "1 0 d1 1\n3 0 d1 1\n"})
    (tmp_path / "a.txt").write_text(RUN)
    outcome = command(main, tmp_path / "a.run", tmp_path / "a.txt", "--qrels", tmp_path / "qrels.txt")
    assert outcome.refused_with("named a")


@pytest.mark.slow
def test_the_real_command_line_refuses_a_grade_that_pytrec_eval_cannot_take(files):
    arguments = files({"qrels.txt": f"1 0 d1 1\n1 0 d2 {10**20}\n"})
    ended = subprocess.run(
        [sys.executable, "-m", "core.evaluate", *map(str, arguments)], cwd=ROOT, capture_output=True, text=True
    )
    assert ended.returncode == 2, ended
    assert ended.stderr.count("\n") == 1
    assert ended.stderr.startswith("error: qrels.txt, line 2")


def test_json_holds_the_means_and_with_per_topic_the_topics(files, command):
    # topic 1: the relevant document is second; topic 2: nothing retrieved; topic 3: no judgments
    outcome = command(main, *files(), "--measures", "RR,P@1,Judged@2")
    assert json.loads(outcome.out) == {"a": {"RR": 0.25, "P@1": 0.0, "Judged@2": 0.5}}
    outcome = command(main, *files(), "--measures", "RR", "--per-topic")
    assert json.loads(outcome.out) == {"a": {"RR": 0.25, "topics": {"1": {"RR": 0.5}, "2": {"RR": 0.0}}}}


def test_topics_on_one_side_alone_are_told(files, command):
    outcome = command(main, *files(), "--measures", "RR")
    assert "no documents for 1 of 2 judged topics, which count 0" in outcome.err
    assert "1 topics have no judgments" in outcome.err


def test_spaces_between_measures_do_not_become_part_of_their_names(files, command):
    outcome = command(main, *files(), "--measures", "RR, P@1")
    assert set(json.loads(outcome.out)["a"]) == {"RR", "P@1"}


def test_without_json_the_figures_have_four_decimals(files, command):
    outcome = command(main, *files()[:-1], "--measures", "RR,P@1", "--per-topic")
    assert outcome.out == "a RR=0.2500 P@1=0.0000\n  1 RR=0.5000 P@1=0.0000\n  2 RR=0.0000 P@1=0.0000\n"


def test_plain_and_gz_and_beir_and_trec_forms_give_the_same(tmp_path, files, command):
    files()
    (tmp_path / "b.run.gz").write_bytes(gzip.compress(RUN.encode()))
    beir = "query-id\tcorpus-id\tscore\n1\td1\t0\n1\td2\t1\n2\td1\t1\n"
    (tmp_path / "beir.tsv.gz").write_bytes(gzip.compress(beir.encode()))
    plain = json.loads(command(main, tmp_path / "a.run", "--qrels", tmp_path / "qrels.txt", "--json").out)
    packed = json.loads(command(main, tmp_path / "b.run.gz", "--qrels", tmp_path / "beir.tsv.gz", "--json").out)
    assert packed["b"] == plain["a"]
