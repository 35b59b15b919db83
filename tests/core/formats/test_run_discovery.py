"""Runs as people have them: folders of files with any ending, and what else lies there."""

import gzip
import json
import os
import socket

import ir_measures
import pytest

from core.evaluate import main as evaluate_main
from core.formats.qrels import read_qrels
from core.formats.run_discovery import find_runs
from core.formats.runs import read_run, run_name, run_names
from core.formats.text_lines import read_lines
from core.formats.topics import read_all_topics
from core.import_runs import main
from core.workspace.errors import UserError
from core.workspace.profile import read_profile

RUN = "1 Q0 d1 1 2.0 t\n1 Q0 d2 2 1.0 t\n2 Q0 d2 1 1.0 t\n"
QRELS = "1 0 d1 0\n1 0 d2 1\n2 0 d2 2\n"
HEADER = "# ir_metadata.start\n# tag: x\n# platform:\n#   hardware:\n#     cpu: model a b c\n# ir_metadata.end\n"


def names_in(workspace, name="mine"):
    return sorted(system.name for system in read_profile(str(workspace.collection(name) / "profile.json")).system)


@pytest.fixture
def folder(tmp_path):
    """A folder with a run in every form, and with all that may lie beside runs."""
    folder = tmp_path / "team"
    for place in ("bm25", "dense", "archive/deep", ".hidden"):
        (folder / place).mkdir(parents=True)
    packed = gzip.compress(RUN.encode())
    files = {
        "a.run": RUN,
        "b.txt": RUN,
        "c.res": RUN,
        "d.trec": RUN,
        "input.none": RUN.replace(" t\n", " none\n"),
        "final.qruir.txt": RUN.replace(" t\n", " final.qruir.txt\n"),
        "team.txt.gz": packed,
        "packed.gz": packed,
        "bm25/run.trec": RUN,
        "dense/run.trec.gz": packed,
        "archive/deep/metadata.run": HEADER + RUN,
        "windows.run": "\ufeff".join(["", RUN.replace("\n", "\r\n")]),
        "msmarco.tsv": "1\td1\t1\n1\td2\t2\n2\td2\t1\n",
        "from-zero.tsv": "1\td1\t0\n1\td2\t1\n2\td2\t0\n",
        "both.run": RUN,
        "both.run.gz": packed,
        "README.md": "# Runs\n\nThese are the runs of our team.\n",
        "six.txt": "these are six words of text\n",
        "qrels.txt": QRELS,
        "qrels3.txt": "1\td1\t1\n1\td2\t1\n",
        "qrels.tsv": "query-id\tcorpus-id\tscore\n1\td1\t1\n",
        "topics.xml": "<topics><topic number='1'><query>x</query></topic></topics>",
        "queries.jsonl": '{"_id": "1", "text": "x"}\n',
        "SHA256SUMS": "0" * 64 + "  a.run\n",
        "nothing.run": "",
        "plot.png": b"\x89PNG\r\n\x1a\n\0\0",
        "cut.run.gz": packed[:-9],
        "broken.run": RUN + "2 Q0 d1 2\n",
        "other-topics.run": "77 Q0 d1 1 1.0 t\n",
        "._a.run": b"\0\5\26\7",
        ".hidden/e.run": RUN,
    }
    for name, text in files.items():
        (folder / name).write_bytes(text if isinstance(text, bytes) else text.encode())
    os.mkfifo(folder / "pipe.run")
    (folder / "gone.run").symlink_to(folder / "nowhere.run")
    (folder / "itself.run").symlink_to(folder / "itself.run")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(os.path.relpath(folder / "socket.run"))
    return folder


RUNS = [
    "a",
    "b",
    "bm25",
    "both",
    "c",
    "d",
    "dense",
    "final.qruir.txt",
    "from-zero",
    "metadata",
    "msmarco",
    "none",
    "packed",
    "team",
    "windows",
]
LEFT_OUT = {
    "both.run.gz": "both.run is used instead",
    "README.md": "not a run (line 3",
    "six.txt": "not a run (line 1",
    "qrels.txt": "looks like qrels; pass it with --qrels",
    "qrels.tsv": "looks like qrels",
    "qrels3.txt": "not a run (line 1",
    "topics.xml": "not a run",
    "queries.jsonl": "not a run",
    "SHA256SUMS": "not a run",
    "nothing.run": "empty",
    "plot.png": "not UTF-8",
    "pipe.run": "a pipe, a socket or a device",
    "socket.run": "a pipe, a socket or a device",
    "gone.run": "a symbolic link to a file that does not exist",
    "itself.run": "a symbolic link to a file that does not exist",
}


def test_every_run_of_a_folder_is_found_and_what_is_left_out_is_told(folder):
    found, left_out = find_runs([folder])
    told = dict(sentence.split(": ", 1) for sentence in left_out)
    assert {name: LEFT_OUT[name] in why for name, why in told.items()} == dict.fromkeys(LEFT_OUT, True), told
    faulty = {"cut", "broken", "other-topics"}
    assert set(run_names(found)) == {*RUNS, *faulty}, "what is wrong further down is for the reader to tell"


def test_a_whole_folder_is_imported_without_what_cannot_be_read(folder, workspace, command, tmp_path):
    (tmp_path / "judged.txt").write_text(QRELS)
    outcome = command(main, folder, "--name", "mine", "--qrels", tmp_path / "judged.txt")
    assert outcome.status == 0, outcome
    assert names_in(workspace) == RUNS
    for part in ("cut.run.gz: damaged", "broken.run, line 4: 4 columns", "other-topics.run: the run and the qrels"):
        assert f"skipped: {part}" in outcome.err
    for name in LEFT_OUT:
        assert f"skipped: {name}: " in outcome.err
    assert "metadata: skipped metadata lines (beginning with #) before the run: 6" in outcome.err
    rows = (workspace.collection("mine") / "measures" / "measures.csv").read_text()
    assert all(f"mine,{name},1,RR,0.5\n" in rows for name in RUNS)


def test_the_qrels_and_topics_that_are_given_are_not_told_as_left_out(folder, workspace, command):
    outcome = command(main, folder, "--name", "mine", "--qrels", folder / "qrels.txt")
    assert "qrels.txt" not in outcome.err
    assert "skipped: qrels.tsv" in outcome.err


def test_a_file_that_is_named_is_refused_where_it_is_wrong(folder, workspace, command):
    for name in ("broken.run", "README.md", "cut.run.gz", "pipe.run", "gone.run", "socket.run", "nothing.run"):
        outcome = command(main, folder / name, "--name", "mine", "--qrels", folder / "qrels.txt")
        assert outcome.refused_with(name), outcome
        assert list(workspace.root.iterdir()) == []


def test_of_very_many_other_files_the_first_are_named(tmp_path, workspace, command):
    for number in range(50):
        (tmp_path / f"note{number}.txt").write_text("a note\n")
    (tmp_path / "a.run").write_text(RUN)
    (tmp_path / "q.txt").write_text(QRELS)
    outcome = command(main, tmp_path, "--name", "mine", "--qrels", tmp_path / "q.txt")
    assert outcome.err.count("skipped: note") == 20
    assert "skipped: 30 more files" in outcome.err


def test_our_own_runs_come_in_under_their_systems_names(folder, workspace, command):
    command(main, folder / "a.run", folder / "b.txt", "--name", "mine", "--qrels", folder / "qrels.txt")
    runs = workspace.collection("mine") / "runs"
    outcome = command(main, runs, "--name", "again", "--qrels", folder / "qrels.txt")
    assert outcome.status == 0, outcome
    assert names_in(workspace, "again") == ["a", "b"]
    assert "skipped: a/manifest.json: not a run" in outcome.err


def test_runs_of_one_name_are_told_apart_by_their_folders(tmp_path, command):
    (tmp_path / "qrels.txt").write_text(QRELS)
    for place in ("x/one/run.trec", "x/two/run.trec", "y/one/run.trec", "y/three.run", "x/three.run.gz"):
        (tmp_path / place).parent.mkdir(parents=True, exist_ok=True)
        text = RUN if "x" in place.split("/") else "1 Q0 d2 1 2.0 t\n"
        (tmp_path / place).write_bytes(gzip.compress(text.encode()) if place.endswith("gz") else text.encode())
    files = [
        tmp_path / p for p in ("x/one/run.trec", "x/two/run.trec", "y/one/run.trec", "y/three.run", "x/three.run.gz")
    ]
    options = ("--qrels", tmp_path / "qrels.txt", "--measures", "RR", "--json")
    outcome = command(evaluate_main, *files[:2], *options)
    assert set(json.loads(outcome.out)) == {"one", "two"}
    found = json.loads(command(evaluate_main, *files, *options).out)
    assert {name: by["RR"] for name, by in found.items()} == {
        **{"x-one": 0.75, "two": 0.75, "y-one": 0.5, "y-three": 0.5, "x-three": 0.75}
    }
    outcome = command(evaluate_main, files[0], files[0], *options)
    assert outcome.refused_with("two of the runs are named one (run.trec, run.trec)")


@pytest.mark.parametrize(
    ("path", "tag", "name"),
    [
        ("a.run", "", "a"),
        ("a.txt.gz", "t", "a"),
        ("a.res", "t", "a"),
        ("final.qruir.txt", "final.qruir.txt", "final.qruir.txt"),
        ("final.qruir.txt.gz", "final.qruir.txt", "final.qruir.txt"),
        ("final.qruir.txt.run.gz", "final.qruir.txt", "final.qruir.txt"),
        ("final.qruir.txt", "other", "final.qruir"),
        ("input.bm25.gz", "bm25", "bm25"),
        ("input.bm25.gz", "other", "input.bm25"),
        ("uab.base.run.gz", "uab.base", "uab.base"),
        ("bm25/run.trec", "t", "bm25"),
        ("bm25/run.txt.gz", "t", "bm25"),
        ("../run.trec", "t", "run"),
        ("run.trec", "t", "run"),
        (".run", "t", ".run"),
    ],
)
def test_a_run_goes_by_its_file_its_tag_or_its_folder(path, tag, name, tmp_path):
    assert run_name(tmp_path.__class__(path), tag) == name


def test_a_run_with_metadata_is_the_run_without_it(tmp_path):
    (tmp_path / "with.run").write_text(HEADER + RUN)
    (tmp_path / "without.run").write_text(RUN)
    wanted: dict[str, dict[str, float]] = {}
    for line in ir_measures.read_trec_run(str(tmp_path / "without.run")):
        wanted.setdefault(line.query_id, {})[line.doc_id] = line.score
    assert read_run(tmp_path / "with.run").scores == read_run(tmp_path / "without.run").scores == wanted


@pytest.mark.parametrize(
    "read", [read_run, read_qrels, lambda p: list(read_all_topics(p)), lambda p: list(read_lines(p))]
)
def test_no_reader_waits_for_a_pipe_or_fails_at_a_link(read, folder):
    for name, why in (("pipe.run", "pipe"), ("socket.run", "socket"), ("gone.run", "does not exist")):
        with pytest.raises(UserError, match=why):
            read(folder / name)


# What is told of a run that is imported


def test_what_is_odd_about_a_run_is_told_when_it_is_imported(folder, workspace, command):
    (folder / "odd.run").write_text("1 Q0 d1 1 2.0 t\n1 Q0 other 2 1.0 t\n9 Q0 d1 1 1 t\n")
    outcome = command(main, folder / "odd.run", "--name", "mine", "--qrels", folder / "qrels.txt")
    for part in (
        "odd: judged topics without documents, which score 0: 1 of 2 (2)",
        "odd: topics without judgments, which are not evaluated: 1, first on line 3 (9)",
        "odd: lines with documents that are not in the qrels: 1, first other on line 2",
        "odd: fewer documents than the measure's cut-off: nDCG@10 (1 of 1 topics), nDCG@20 (1 of 1 topics), P@10",
        "R@100 (1 of 1 topics)",
    ):
        assert part in outcome.err, outcome.err
    manifest = json.loads((workspace.collection("mine") / "runs" / "odd" / "manifest.json").read_text())
    assert len(manifest["facts"]["notices"]) == 4, "the page Import runs shows them"


def test_qrels_for_a_collection_that_is_there_must_be_its_own(folder, workspace, command):
    command(main, folder / "a.run", "--name", "mine", "--qrels", folder / "qrels.txt")
    beir = "query-id\tcorpus-id\tscore\n2\td2\t2\n1\td2\t1\n1\td1\t0\n"
    (folder / "same.tsv.gz").write_bytes(gzip.compress(beir.encode()))
    assert command(main, folder / "b.txt", "--name", "mine", "--qrels", folder / "same.tsv.gz").status == 0
    for other, differ in (
        (QRELS.replace("d1 0", "d1 1"), "for 1 topics, first 1;"),
        (QRELS + "3 0 d1 1\n", "for 1 topics, first 3;"),
        ("1 0 d2 1\n", "for 2 topics, first 1;"),
    ):
        (folder / "other.qrels").write_text(other)
        outcome = command(main, folder / "c.res", "--name", "mine", "--qrels", folder / "other.qrels")
        said = f"other.qrels: mine already exists with other judgments {differ}"
        assert outcome.refused_with(said, "python -m core.derive mine"), outcome
    assert names_in(workspace) == ["a", "b"]


def test_topics_for_a_collection_that_is_there_must_be_its_own(folder, workspace, command):
    topics = "<t><topic number='1'><query>one</query></topic><topic number='2'><query>two</query></topic></t>"
    (folder / "t.xml").write_text(topics)
    options = ("--name", "mine", "--topics", folder / "t.xml")
    assert command(main, folder / "a.run", *options, "--qrels", folder / "qrels.txt").status == 0
    assert command(main, folder / "b.txt", *options).status == 0
    (folder / "t.xml").write_text(topics.replace("two", "three"))
    assert command(main, folder / "c.res", *options).refused_with("t.xml: mine already exists with another text", "2")


@pytest.mark.data
def test_the_official_runs_come_in_at_once_with_the_official_figures(data_folder, workspace, command, tmp_path):
    round5 = data_folder / "trec-covid-runs" / "round5"
    names = ["uab.base", "DoRA_MSMARCO_1k"]
    for file in [*(f"{name}.run.gz" for name in names), "official-scores.csv"]:
        (tmp_path / file).symlink_to(round5 / file)
    outcome = command(main, tmp_path, "--name", "round5", "--qrels", round5 / "qrels.covid-round5.txt.gz")
    assert outcome.status == 0, outcome
    assert "skipped: official-scores.csv: not a run" in outcome.err
    rows = [line.split(",") for line in (round5 / "official-scores.csv").read_text().splitlines()]
    official = [dict(zip(rows[0], row, strict=True)) for row in rows[1:]]
    manifest = json.loads((workspace.collection("round5") / "measures" / "manifest.json").read_text())
    assert names_in(workspace, "round5") == sorted(names)
    for row in [row for row in official if row["tag"] in names]:
        found = manifest["facts"][row["tag"]]
        assert found["nDCG@20"] == pytest.approx(float(row["ndcg@20"]), abs=6e-5), row
        assert found["P@20"] == pytest.approx(float(row["P@20"]), abs=6e-5), row
        assert found["AP"] == pytest.approx(float(row["map"]), abs=6e-5), row
