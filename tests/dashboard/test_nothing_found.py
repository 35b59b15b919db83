"""Nothing found is a result: systems that retrieve nothing, texts without a word, no relevant document.

The right values are by pytrec_eval, whose figures of topics that it leaves out are 0, as trec_eval -c has it.
"""

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import pytrec_eval
from made_up import Open
from stages import make
from test_pages import texts

from core import evaluate
from core.build import run_build
from core.derive import derive
from core.doc2query import GENERATE
from core.evaluate import main as evaluate_main
from core.formats.predicted_queries import write_expansions
from core.formats.runs import built_run
from core.import_runs import import_runs
from core.import_runs import main as import_main
from core.workspace.artifacts import writing
from core.workspace.profile import Profile, read_profile
from core.workspace.stage import Build
from core.workspace.workspace import CollectionFolder, Workspace

NAMES = [f"d{number}" for number in range(12)]
JUDGED = [("1", "d1", 2), ("1", "d2", 0), ("2", "d3", 1), ("3", "d4", 1), ("3", "d5", 2)]
CORPUS = {name: f"word{number} virus masks" for number, name in enumerate(NAMES)}
TOPICS = {"1": "virus", "2": "masks", "3": "word4 word5"}
EXPANDED = {"name": "expanded", "kind": "bm25", "expanded": True, "expansion": {"keep": 0.5}}
SHOWN = {
    "queries of stop words": ("summary", "topics", "topic", "report", "ann"),
    "nothing judged relevant": ("summary", "topic"),
    "no predicted query": ("expansion",),
}
"""Pages that are opened for a case."""
SECTIONS = "systems,conclusion,curve,unjudged,cost,checks"
CASES: dict[str, dict[str, Any]] = {
    "no query has a word of the documents": {"topics": {"1": "zebra", "2": "giraffe", "3": "okapi"}},
    "queries of stop words": {"topics": {"1": "the of", "2": "is it", "3": "?!"}},
    "some topics find nothing": {"topics": TOPICS | {"2": "zebra"}},
    "documents without a word": {"corpus": dict.fromkeys(NAMES, "")},
    "a single document without a word": {"corpus": {"d1": "..."}},
    "nothing judged relevant": {"judged": [(t, d, 0) for t, d, _ in JUDGED]},
    "all grades below 0": {"judged": [(t, d, -1) for t, d, _ in JUDGED]},
    "one topic without a relevant document": {"judged": [("1", "d1", 0), *JUDGED[2:]]},
    "no predicted query": {"systems": [EXPANDED]},
    "one topic": {"topics": {"1": "zebra"}, "judged": JUDGED[:2]},
}


def made(source: Path, encoder: Path, case: dict[str, Any], workspace: Workspace) -> tuple[Profile, CollectionFolder]:
    """Build a collection of a case, with BM25 and a dense system of random weights."""
    corpus, topics, judged = (case.get(k, v) for k, v in (("corpus", CORPUS), ("topics", TOPICS), ("judged", JUDGED)))
    (source / "qrels").mkdir(parents=True)
    for file, by_name in (("corpus", corpus), ("queries", topics)):
        entries = [{"_id": name, "text": text} for name, text in by_name.items()]
        (source / f"{file}.jsonl").write_text("".join(json.dumps(entry) + "\n" for entry in entries))
    (source / "qrels" / "test.tsv").write_text("".join(f"{t} 0 {d} {grade}\n" for t, d, grade in judged))
    systems = [{"name": "bm25", "kind": "bm25"}, {"name": "dense", "kind": "dense", "model": str(encoder)}]
    table = {"collection": {"name": "found", "source": str(source)}, "system": [*systems, *case.get("systems", [])]}
    table |= {"doc2query": {"scorer": "dense", "model": "models/t5"}}
    profile = Profile.model_validate(table | {"ann": {"index": [{"kind": "hnsw", "values": [10]}], "repeats": 1}})
    folder = workspace.collection("found")
    if case.get("systems"):
        run_build(Build(profile, folder, "cpu"), only="collection", say=lambda line: None)
        expand(profile, folder)
    return profile, folder


def expand(profile: Profile, folder: CollectionFolder) -> None:
    """Write what a T5 that predicts nothing leaves."""
    build, settings = Build(profile, folder), profile.doc2query
    inputs = GENERATE.inputs(build, settings)
    with writing(folder.predicted_queries, "doc2query", GENERATE.settings(build, settings), inputs) as partial:
        write_expansions(partial, {name: [] for name in NAMES})


def values(folder: CollectionFolder, measure: str) -> dict[str, dict[str, float]]:
    """Return system -> topic -> value of the artifact `measures`."""
    table = pd.read_csv(folder / "measures" / "measures.csv", dtype={"topic": str})
    table = table[table["measure"] == measure]
    return {name: dict(zip(rows["topic"], rows["value"], strict=True)) for name, rows in table.groupby("system")}


def by_pytrec_eval(run: dict[str, dict[str, float]], judged: list[tuple[str, str, int]]) -> dict[str, float]:
    qrels: dict[str, dict[str, int]] = {}
    for topic, document, grade in judged:
        qrels.setdefault(topic, {})[document] = max(grade, 0)  # one below 0 gains nothing
    found = pytrec_eval.RelevanceEvaluator(qrels, {"ndcg_cut.10"}).evaluate({t: by for t, by in run.items() if by})
    return {topic: found[topic]["ndcg_cut_10"] if topic in found else 0.0 for topic in qrels}


@pytest.mark.parametrize("name", CASES)
def test_nothing_found_is_0_and_every_page_shows_it(
    name: str, open_page: Open, workspace: Workspace, encoder: Path, tmp_path: Path
) -> None:
    case = CASES[name]
    profile, folder = made(tmp_path / "source", encoder, case, workspace)
    outcomes = run_build(Build(profile, folder, "cpu"), say=lambda line: None)
    failed = {f"{o.step.stage.name} {o.step.artifact.name}": o.reason for o in outcomes if o.result == "failed"}
    assert not failed, failed
    measured = values(folder, "nDCG@10")
    assert set(measured) == {system.name for system in profile.system}
    for system, by_topic in measured.items():
        right = by_pytrec_eval(built_run(folder, system).scores, case.get("judged", JUDGED))
        assert by_topic == pytest.approx(right), system
    for page in SHOWN.get(name, ()):
        app = open_page(page, collection="found", topic="2", query="zebra", a="bm25", b="dense", open=SECTIONS)
        assert not [e.value for e in app.error], (page, [e.value for e in app.error])
        assert "is missing" not in texts(app), (page, texts(app))
        if page == "summary" and "queries" in name:
            assert "bm25 retrieved no documents for any topic: every measure is 0" in texts(app)
        if page == "topic" and "queries" in name:
            assert "no document was retrieved, which counts as 0" in "".join(e.proto.body for e in app.get("html"))


def test_a_residual_run_that_found_nothing_new_is_0_beside_one_that_did(workspace: Workspace, tmp_path: Path) -> None:
    files = {"old.run": "1 Q0 a 1 2.0 t\n", "new.run": "1 Q0 a 1 2.0 t\n1 Q0 b 2 1.0 t\n"}
    files |= {"first.qrels": "1 0 a 1\n", "second.qrels": "1 0 a 1\n1 0 b 1\n"}
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    import_runs(workspace.collection("first"), [tmp_path / "old.run", tmp_path / "new.run"], tmp_path / "first.qrels")
    folder = derive(workspace, "first", "rest", tmp_path / "second.qrels", residual=True)
    assert built_run(folder, "old").scores == {}
    assert values(folder, "nDCG@10") == {"old": {"1": 0.0}, "new": {"1": 1.0}}


def test_runs_of_topics_that_the_new_judgments_leave_out_are_0(workspace: Workspace, tmp_path: Path) -> None:
    files = {"one.run": "1 Q0 a 1 2.0 t\n", "two.run": "2 Q0 a 1 2.0 t\n"}
    files |= {"first.qrels": "1 0 a 1\n2 0 a 1\n", "second.qrels": "2 0 a 1\n"}
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    import_runs(workspace.collection("first"), [tmp_path / "one.run", tmp_path / "two.run"], tmp_path / "first.qrels")
    folder = derive(workspace, "first", "again", tmp_path / "second.qrels")
    assert values(folder, "nDCG@10") == {"one": {"2": 0.0}, "two": {"2": 1.0}}


def test_an_empty_run_of_ours_is_evaluated_by_its_file_and_an_empty_file_of_others_is_refused(
    workspace: Workspace, tmp_path: Path, command: Any
) -> None:
    (tmp_path / "q.txt").write_text("1 0 a 1\n")
    folder = workspace.collection("c").run("none")
    with writing(folder, "search", {}, {}) as partial:
        (partial / "run.trec").write_text("")
    outcome = command(evaluate_main, folder / "run.trec", "--qrels", tmp_path / "q.txt", "--measures", "AP", "--json")
    assert json.loads(outcome.out) == {"none": {"AP": 0.0}}
    assert "nothing was retrieved for any topic" in outcome.err
    (folder / "run.trec").write_text("\n")
    damaged = command(evaluate_main, folder / "run.trec", "--qrels", tmp_path / "q.txt")
    assert damaged.refused_with("run.trec: the run is empty"), "it is not what the manifest vouches for"
    (tmp_path / "a.run").write_text("")
    outcome = command(import_main, tmp_path / "a.run", "--name", "c", "--qrels", tmp_path / "q.txt")
    assert outcome.refused_with("a.run: the run is empty", "export it again")
    assert not workspace.collection("c").collection.path.exists()


def test_a_damaged_run_costs_its_own_system_alone(workspace: Workspace, tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / f"{name}.run").write_text("1 Q0 d 1 2.0 t\n")
    (tmp_path / "q.txt").write_text("1 0 d 1\n")
    folder = workspace.collection("c")
    import_runs(folder, [tmp_path / "a.run", tmp_path / "b.run"], tmp_path / "q.txt")
    (folder / "runs" / "a" / "run.trec").write_text("")
    make(evaluate.STAGE, read_profile(str(folder.profile)), folder)
    assert values(folder, "nDCG@10") == {"b": {"1": 1.0}}
