"""Runs from elsewhere, with their judgments and topics."""

import json
from pathlib import Path

import pytest

from core.build import run_build
from core.evaluation.measures import evaluate
from core.formats.collections import read_built_collection
from core.formats.qrels import read_qrels
from core.formats.run_discovery import find_runs
from core.formats.runs import ranked, read_run
from core.formats.topics import read_all_topics
from core.import_runs import import_runs, main, remove_run, topics_for
from core.workspace.artifacts import open_artifact
from core.workspace.errors import UserError
from core.workspace.profile import SystemSettings, read_profile
from core.workspace.stage import Build

RUN = "1 Q0 d1 1 2.0 t\n1 Q0 d2 2 1.0 t\n2 Q0 d2 1 1.0 t\n"
QRELS = "1 0 d1 0\n1 0 d2 1\n2 0 d2 2\n"
TOPIC = (
    "<topic number='1'><query>masks</query><question>do masks help?</question><narrative>Studies.</narrative></topic>"
)
XML = f"<topics>{TOPIC}<topic number='2'><query>bats</query></topic><topic number='3'><query>x</query></topic></topics>"
BILLION_LAUGHS = (
    '<!DOCTYPE t [<!ENTITY a "ha">'
    + "".join(f'<!ENTITY {b} "{f"&{a};" * 10}">' for a, b in zip("abcdefgh", "bcdefghi", strict=True))
    + "]><topics><topic number='1'><query>&i;</query></topic></topics>"
)
EXTERNAL = (
    '<!DOCTYPE t [<!ENTITY x SYSTEM "file:///etc/passwd">]>'
    "<topics><topic number='1'><query>&x;</query></topic></topics>"
)


@pytest.fixture
def files(tmp_path):
    folder = tmp_path / "files"
    folder.mkdir()
    (folder / "a.run").write_text(RUN)
    (folder / "qrels.txt").write_text(QRELS)
    (folder / "topics.xml").write_text(XML)
    return folder


def measures_csv(workspace, name="mine"):
    return (workspace.collection(name) / "measures" / "measures.csv").read_text()


def test_runs_are_imported_with_qrels_and_topics(files, workspace, command):
    outcome = command(main, files, "--name", "mine", "--qrels", files / "qrels.txt", "--topics", files / "topics.xml")
    assert outcome.status == 0, outcome
    folder = workspace.collection("mine")
    collection = read_built_collection(folder)
    assert collection.qrels == read_qrels(files / "qrels.txt")
    assert [(t.id, t.query, t.question, t.narrative) for t in collection.topics] == [
        ("1", "masks", "do masks help?", "Studies."),
        ("2", "bats", "bats", ""),
    ]
    commands = [open_artifact(folder / place).command for place in ("collection", "runs/a")]
    bring = "python -m core.import_runs RUN --name mine"
    assert commands == [f"{bring} --qrels FILE", bring], "no build makes them"
    assert "mine,a,1,RR,0.5\n" in measures_csv(workspace)
    assert "mine,a,2,RR,1.0\n" in measures_csv(workspace)
    assert [system.name for system in read_profile(str(folder / "profile.json")).system] == ["a"]


def test_another_run_joins_those_that_are_there_and_the_same_name_replaces(files, workspace, command):
    command(main, files / "a.run", "--name", "mine", "--qrels", files / "qrels.txt")
    (files / "b.run").write_text("1 Q0 d2 1 2.0 t\n")
    assert command(main, files / "b.run", "--name", "mine").status == 0
    assert "mine,a,1,RR,0.5\n" in measures_csv(workspace)
    assert "mine,b,1,RR,1.0\n" in measures_csv(workspace)
    (files / "a.run").write_text("1 Q0 d2 1 2.0 t\n")
    command(main, files / "a.run", "--name", "mine")
    assert "mine,a,1,RR,1.0\n" in measures_csv(workspace)
    names = [s.name for s in read_profile(str(workspace.collection("mine") / "profile.json")).system]
    assert sorted(names) == ["a", "b"]


def test_an_imported_run_is_measured_as_its_file_is(files, workspace, command):
    # equal as float32: trec_eval puts d2 first, and so must what is kept
    (files / "a.run").write_text("1 Q0 d1 1 1.00000001 t\n1 Q0 d2 2 1.0 t\n2 Q0 d2 1 1.0 t\n")
    assert evaluate(read_run(files / "a.run").scores, read_qrels(files / "qrels.txt"), ["RR"])["RR"]["1"] == 1.0
    command(main, files / "a.run", "--name", "mine", "--qrels", files / "qrels.txt")
    assert "mine,a,1,RR,1.0\n" in measures_csv(workspace)


def test_by_rank_the_rank_column_is_followed(files, workspace, command):
    (files / "a.run").write_text("1 Q0 d1 2 1.0 t\n1 Q0 d2 1 1.0 t\n2 Q0 d1 1 9 t\n2 Q0 d2 2 10 t\n")
    command(main, files / "a.run", "--name", "mine", "--qrels", files / "qrels.txt", "--by-rank")
    assert "mine,a,1,RR,1.0\n" in measures_csv(workspace)
    assert "mine,a,2,RR,0.5\n" in measures_csv(workspace)


BAD = {
    "a run with NaN scores": ({"a.run": "1 Q0 d1 1 nan t\n"}, [], "a.run, line 1"),
    "qrels with three columns": ({"qrels.txt": "1 0 d1\n"}, [], "qrels.txt, line 1"),
    "topics that lack a judged one": ({"topics.xml": f"<topics>{TOPIC}</topics>"}, ["topics.xml"], "no topic 2"),
    "topics that are no XML": ({"topics.xml": "<topics>"}, ["topics.xml"], "topics.xml"),
    "a topic without a number": ({"topics.xml": "<a><topic><query>x</query></topic></a>"}, ["topics.xml"], "topic 1"),
    "a topic without a text": ({"topics.xml": "<a><topic number='1'/></a>"}, ["topics.xml"], "topics.xml, topic 1"),
    "a topic twice": ({"topics.xml": XML.replace("'3'", "'2'")}, ["topics.xml"], "topics.xml"),
    "an entity bomb": ({"topics.xml": BILLION_LAUGHS}, ["topics.xml"], "topics.xml"),
    "an external entity": ({"topics.xml": EXTERNAL}, ["topics.xml"], "topics.xml"),
    "an encoding that there is not": (
        {"topics.xml": f"<?xml version='1.0' encoding='klingon'?>{XML}"},
        ["topics.xml"],
        "xml",
    ),
    "topics in bad JSON": ({"topics.jsonl": "{}\n"}, ["topics.jsonl"], "topics.jsonl, line 1"),
    "no topics": ({}, ["none.xml"], "none.xml"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input_is_refused_and_leaves_no_collection(name, files, workspace, command):
    replace, topics, where = BAD[name]
    for file, content in replace.items():
        (files / file).write_text(content)
    options = [option for file in topics for option in ("--topics", files / file)]
    outcome = command(main, files / "a.run", "--name", "mine", "--qrels", files / "qrels.txt", *options)
    assert outcome.refused_with(where), outcome
    assert not (workspace.collection("mine") / "collection").exists()


@pytest.mark.parametrize("content", [BILLION_LAUGHS, EXTERNAL])
def test_entities_are_refused_before_they_are_read(content, tmp_path):
    (tmp_path / "topics.xml").write_text(content)
    with pytest.raises(UserError, match="topics.xml") as caught:
        list(read_all_topics(tmp_path / "topics.xml"))
    assert "haha" not in str(caught.value)
    assert "root:" not in str(caught.value)


def test_a_new_name_needs_qrels(files, workspace, command):
    assert command(main, files / "a.run", "--name", "mine").refused_with("--qrels", "mine")


@pytest.mark.parametrize("name", ["../up", "a/b", "", ".hidden", "a b", "models"])
def test_a_name_that_is_no_folder_name_is_refused(name, files, workspace, command):
    outcome = command(main, files / "a.run", f"--name={name}", "--qrels", files / "qrels.txt")
    assert outcome.refused_with("collection's name")
    assert list(workspace.root.iterdir()) == []


def test_a_run_that_cannot_be_measured_leaves_the_collection_as_it_was(files, workspace, command):
    command(main, files / "a.run", "--name", "mine", "--qrels", files / "qrels.txt")
    before = measures_csv(workspace)
    (files / "other.run").write_text("77 Q0 d1 1 2.0 t\n")
    assert command(main, files / "other.run", "--name", "mine").refused_with("no topic in common")
    assert measures_csv(workspace) == before
    (files / "b.run").write_text(RUN)
    assert command(main, files / "b.run", "--name", "mine").status == 0, "and further runs can be added"


def test_a_run_may_not_take_the_name_of_a_built_system(files, workspace, command):
    command(main, files / "a.run", "--name", "mine", "--qrels", files / "qrels.txt")
    path = workspace.collection("mine") / "profile.json"
    profile = json.loads(path.read_text())
    profile["system"] = [{"name": "a", "kind": "bm25"}]
    del profile["sha256"]  # as who changes it by hand must
    path.write_text(json.dumps(profile))
    assert command(main, files / "a.run", "--name", "mine").refused_with("system named a already exists")


def test_a_run_may_be_given_a_name_and_removed_again(files, workspace, command):
    command(main, files / "a.run", "--name", "mine", "--qrels", files / "qrels.txt")
    before = measures_csv(workspace)
    folder = workspace.collection("mine")
    import_runs(folder, [files / "a.run"], names=["other"])
    assert "mine,other,1,RR,0.5\n" in measures_csv(workspace)
    remove_run(workspace.collection("mine"), "other")
    assert measures_csv(workspace) == before
    assert sorted(path.name for path in (folder / "runs").glob("[!.]*")) == ["a"]
    with pytest.raises(UserError, match="no imported run 'other'"):
        remove_run(workspace.collection("mine"), "other")


def test_the_last_run_may_be_removed_too(files, workspace, command):
    command(main, files / "a.run", "--name", "mine", "--qrels", files / "qrels.txt")
    remove_run(workspace.collection("mine"), "a")
    assert measures_csv(workspace) == "collection,system,topic,measure,value\n"
    command(main, files / "a.run", "--name", "mine")
    assert "mine,a,1,RR,0.5\n" in measures_csv(workspace)


def test_a_run_that_a_fusion_builds_on_is_not_removed(files, workspace, command):
    command(main, files / "a.run", "--name", "mine", "--qrels", files / "qrels.txt")
    folder = workspace.collection("mine")
    import_runs(folder, [files / "a.run"], names=["other"])
    profile = json.loads(folder.profile.read_text())
    del profile["sha256"]
    profile["system"].append({"name": "both", "kind": "fusion", "of": ["a", "other"]})
    folder.profile.write_text(json.dumps(profile))
    with pytest.raises(UserError, match="both builds on the run other"):
        remove_run(folder, "other")
    assert (folder / "runs" / "other").is_dir()


def test_a_built_system_is_not_removed(files, workspace, command):
    command(main, files / "a.run", "--name", "mine", "--qrels", files / "qrels.txt")
    path = workspace.collection("mine") / "profile.json"
    profile = json.loads(path.read_text().replace('"kind": "run"', '"kind": "bm25"'))
    del profile["sha256"]
    path.write_text(json.dumps(profile))
    with pytest.raises(UserError, match="no imported run"):
        remove_run(workspace.collection("mine"), "a")


def test_a_build_by_the_first_profile_keeps_the_imported_runs(files, workspace, command):
    command(main, files / "a.run", "--name", "mine", "--qrels", files / "qrels.txt")
    folder = workspace.collection("mine")
    without = read_profile(str(folder / "profile.json")).model_copy(update={"system": []})
    run_build(Build(without, folder), say=lambda line: None)
    assert [system.name for system in read_profile(str(folder / "profile.json")).system] == ["a"]


def test_imported_runs_have_no_texts_to_re_rank(files, workspace, command, tiny_cross_encoder):
    command(main, files / "a.run", "--name", "mine", "--qrels", files / "qrels.txt")
    folder = workspace.collection("mine")
    read = read_profile(str(folder.profile))
    reranked = SystemSettings(name="r", kind="rerank", of=["a"], model=str(tiny_cross_encoder))
    outcomes = run_build(
        Build(read.model_copy(update={"system": [*read.system, reranked]}), folder), say=lambda _: None
    )
    (failed,) = [outcome for outcome in outcomes if outcome.result == "failed"]
    assert failed.reason == (
        "r re-ranks by the texts of documents, but mine has runs and judgments alone; build it from a source with texts"
    )


def test_a_folder_without_runs_is_refused(tmp_path):
    with pytest.raises(UserError, match=r"no run found in this folder; expected lines of .* rank, score, tag"):
        find_runs([tmp_path])


def test_topics_without_a_file_are_their_numbers():
    assert [(t.id, t.question) for t in topics_for({"7": {"d": 1}}, None)] == [("7", "topic 7")]


@pytest.mark.data
def test_the_real_topics_are_those_of_the_beir_form(data_folder):
    folder = data_folder / "trec-covid-subset"
    qrels = read_qrels(folder / "qrels" / "test.tsv")
    from_xml = {t.id: t.question for t in topics_for(qrels, folder / "topics-rnd5.xml")}
    from_beir = {t.id: t.question for t in topics_for(qrels, folder / "queries.jsonl")}
    assert len(from_xml) == 50
    assert from_xml == from_beir


@pytest.mark.data
def test_real_runs_keep_their_order_and_measures_on_the_way_in(data_folder, workspace, command):
    folder = data_folder / "trec-covid-runs" / "round5"
    names = ["uab.base", "covidex.r5.d2q.2s", "DoRA_MSMARCO_1k"]
    qrels = folder / "qrels.covid-round5.txt.gz"
    outcome = command(main, *(folder / f"{name}.run.gz" for name in names), "--name", "round5", "--qrels", qrels)
    assert outcome.status == 0, outcome
    for name in names:
        source = read_run(folder / f"{name}.run.gz")
        kept = read_run(workspace.collection("round5") / "runs" / name / "run.trec")
        order = {topic: [d for d, _ in ranked(scores)] for topic, scores in source.scores.items()}
        assert {topic: [d for d, _ in ranked(scores)] for topic, scores in kept.scores.items()} == order
        wanted = ["nDCG@20", "AP", "Bpref"]
        judged = read_qrels(qrels)
        assert evaluate(kept.scores, judged, wanted) == evaluate(source.scores, judged, wanted)


def test_paths_are_not_kept(files, workspace, command):
    command(main, files / "a.run", "--name", "mine", "--qrels", files / "qrels.txt")
    kept = [path for path in workspace.root.rglob("*") if path.is_file()]
    assert kept
    assert not any(str(Path(files)).encode() in path.read_bytes() for path in kept)
