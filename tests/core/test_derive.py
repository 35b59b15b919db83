"""A collection re-evaluated with other qrels."""

import ir_measures
import pytest
from ir_measures import nDCG

from core.build import run_build
from core.derive import main
from core.formats.collections import read_built_collection
from core.formats.qrels import read_qrels
from core.formats.runs import ranked, read_run
from core.import_runs import main as import_main
from core.workspace.artifacts import read_manifest
from core.workspace.profile import read_profile
from core.workspace.stage import Build

RUN = "1 Q0 d1 1 3.0 t\n1 Q0 d2 2 2.0 t\n1 Q0 d3 3 1.0 t\n2 Q0 d2 1 1.0 t\n"
FIRST = "1 0 d1 2\n1 0 d9 1\n2 0 d2 1\n"
SECOND = "1 0 d1 0\n1 0 d3 2\n1 0 d2 1\n77 0 d1 1\n"


@pytest.fixture
def first(tmp_path, workspace, command):
    (tmp_path / "a.run").write_text(RUN)
    (tmp_path / "first.txt").write_text(FIRST)
    (tmp_path / "second.txt").write_text(SECOND)
    assert command(import_main, tmp_path / "a.run", "--name", "first", "--qrels", tmp_path / "first.txt").status == 0
    return workspace.collection("first")


def values(folder, measure):
    lines = (folder / "measures" / "measures.csv").read_text().splitlines()
    rows = [line.split(",") for line in lines]
    return {topic: float(value) for _, _, topic, name, value in rows[1:] if name == measure}


def by_ir_measures(folder, qrels):
    run = [ir_measures.ScoredDoc(t, d, s) for t, by in read_run(folder).scores.items() for d, s in by.items()]
    judged = [ir_measures.Qrel(t, d, g) for t, by in qrels.items() for d, g in by.items()]
    return {m.query_id: m.value for m in ir_measures.iter_calc([nDCG @ 10], judged, run)}


def test_the_same_runs_are_measured_by_the_new_judgments(first, tmp_path, command):
    before = (first / "measures" / "measures.csv").read_bytes()
    outcome = command(main, "first", "--qrels", tmp_path / "second.txt", "--name", "second")
    assert outcome.status == 0, outcome
    folder = first.workspace.collection("second")
    assert read_built_collection(folder).qrels == {"1": {"d1": 0, "d3": 2, "d2": 1}}, "topic 77 is not the collection's"
    judged = {topic: by for topic, by in read_qrels(tmp_path / "second.txt").items() if topic != "77"}
    assert values(folder, "nDCG@10") == pytest.approx(by_ir_measures(tmp_path / "a.run", judged))
    assert (first / "measures" / "measures.csv").read_bytes() == before


def test_residual_leaves_out_what_was_judged_before(first, tmp_path, command):
    options = ("--qrels", tmp_path / "second.txt", "--name", "rest", "--residual")
    assert command(main, "first", *options).status == 0
    folder = first.workspace.collection("rest")
    assert read_built_collection(folder).qrels == {"1": {"d3": 2, "d2": 1}}
    made_by = {read_manifest(artifact).command for artifact in (folder.collection, folder.run("a"))}
    assert made_by == {"python -m core.derive first --qrels FILE --name rest --residual"}
    kept = read_run(folder / "runs" / "a" / "run.trec").scores["1"]
    assert [document for document, _ in ranked(kept)] == ["d2", "d3"], "d1 was judged before, d2 for topic 2 alone"
    assert read_manifest(folder.run("a")).facts["depth"] == 2
    ideal = 2 + 1 / 1.5849625
    assert values(folder, "nDCG@10") == pytest.approx({"1": (1 + 2 / 1.5849625) / ideal})


def test_labels_measures_and_baseline_come_along_and_it_can_be_evaluated_again(first, tmp_path, command):
    command(main, "first", "--qrels", tmp_path / "second.txt", "--name", "second")
    folder = first.workspace.collection("second")
    profile = read_profile(str(folder / "profile.json"))
    assert [(s.name, s.kind) for s in profile.system] == [("a", "run")]
    assert profile.measures == read_profile(str(first / "profile.json")).measures
    outcomes = run_build(Build(profile, folder), say=lambda line: None)
    assert [(o.step.stage.name, o.result) for o in outcomes] == [("evaluate", "up to date")]


BAD = {
    "a name that is taken": (["--name", "first"], "a collection named first already exists"),
    "a name that is no folder name": (["--name", "../x"], "collection's name"),
    "qrels that share no topic": (["--name", "x", "--qrels", "none.txt"], "none.txt: it has no judgments"),
    "qrels that are wrong": (["--name", "x", "--qrels", "bad.txt"], "bad.txt, line 1"),
    "nothing new": (["--name", "x", "--qrels", "first.txt", "--residual"], "first.txt: it has no new judgments"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input_is_refused_and_leaves_nothing(name, first, tmp_path, command, monkeypatch):
    (tmp_path / "none.txt").write_text("5 0 d1 1\n")
    (tmp_path / "bad.txt").write_text("1 0 d1\n")
    monkeypatch.chdir(tmp_path)
    options, where = BAD[name]
    given = options if "--qrels" in options else [*options, "--qrels", "second.txt"]
    outcome = command(main, "first", *given)
    assert outcome.refused_with(where), outcome
    assert [path.name for path in first.workspace.root.iterdir()] == ["first"]


def test_a_collection_that_is_not_built_is_named(tmp_path, workspace, command):
    (tmp_path / "q.txt").write_text(SECOND)
    assert command(main, "nowhere", "--qrels", tmp_path / "q.txt", "--name", "x").refused_with("nowhere")
