"""Properties of every plan: order, what is left out, totals; and what a build says on the way."""

import itertools
import re
import shutil
from types import SimpleNamespace

import pytest
from beir_files import of_words
from stages import fail_stage

from core import collection, evaluate, plan, search
from core.build import Options, plan_build, result_lines, run_build
from core.plan import CHECK, MAKE, UP_TO_DATE, leave_out, steps
from core.stages import STAGES
from core.workspace import estimates
from core.workspace.artifacts import read_manifest, writing
from core.workspace.errors import UserError
from core.workspace.estimates import Sizes
from core.workspace.profile import Profile
from core.workspace.stage import Build

NAMES = [stage.name for stage in STAGES]
SYSTEMS = ("mpnet", "bm25", "filtered", "expanded", "both", "hybrid", "tuned", "L6", "served")
PAIRS = [(), *itertools.combinations(NAMES[1:], 1), *itertools.combinations(NAMES[1:], 2)]


@pytest.fixture
def profile(beir_folder, workspace, words):
    """All kinds of systems, in an order that is not that of their costs; no model is here."""
    return Profile(
        collection={"name": "tiny", "source": str(beir_folder(of_words(words)))},
        doc2query={"model": "artifacts/models/t5", "scorer": "L6"},
        finetune={"model": "artifacts/models/tuned", "base": "microsoft/MiniLM-L12-H384-uncased"},
        system=[
            {"name": "mpnet", "kind": "dense", "model": "none/all-mpnet-base-v2"},
            {"name": "bm25", "kind": "bm25"},
            {"name": "filtered", "kind": "bm25", "expanded": True, "expansion": {"keep": 0.5}},
            {"name": "expanded", "kind": "bm25", "expanded": True},
            {"name": "both", "kind": "fusion", "of": ["hybrid", "served"]},
            {"name": "hybrid", "kind": "fusion", "of": ["bm25", "tuned"]},
            {"name": "tuned", "kind": "dense", "model": "artifacts/models/tuned"},
            {"name": "L6", "kind": "dense", "model": "none/MiniLM-L6", "max_tokens": 64},
            {"name": "served", "kind": "dense", "model": "none/MiniLM-L6", "backend": "milvus", "similarity": "dot"},
        ],
    )


@pytest.fixture
def folder(workspace):
    return workspace.collection("tiny")


@pytest.fixture(autouse=True)
def no_calibration(monkeypatch):
    monkeypatch.setattr(plan, "calibrate", lambda probes: dict.fromkeys(probes, 1.0))


@pytest.fixture
def large(monkeypatch):
    """Let the collection be of TREC-COVID's size."""
    sizes = Sizes(171_332, 50, (100, 1_000, 2_000), 2.5e8)
    monkeypatch.setattr(collection, "sizes_of", lambda build: sizes)
    return sizes


def named(planned):
    return [f"{step.stage.name}/{step.artifact.name}" for step in planned]


@pytest.mark.parametrize(
    "systems", [(), ("filtered",), ("tuned",), ("served", "expanded"), ("bm25", "mpnet"), ("both",)]
)
@pytest.mark.parametrize("without", [(), ("ann",), ("doc2query",), ("finetune",), ("encode",), ("search",)])
def test_every_plan_can_be_carried_out_in_its_order(systems, without, profile, folder, large):
    build = Build(profile, folder, "cpu", systems)
    left, notes = leave_out(build, without)
    planned = steps(build, without)
    assert named(planned)[0] == "collection/collection"
    made = set()
    for step in planned:
        assert not [need.shown for need in step.target.needs if need not in made], "no model and no artifact is here"
        made.add(step.artifact)
    runs = [i for i, step in enumerate(planned) if step.stage is search.STAGE]
    assert {planned[i].artifact.name for i in runs} == (
        {s.name for s in left.chosen} if "search" not in without else set()
    )
    assert all(planned[i + 1].stage is evaluate.STAGE for i in runs), "measures come right after every run"
    last_run = max(runs, default=0)
    assert all(i > last_run for i, step in enumerate(planned) if step.stage.name == "ann"), "sweeps come last"
    others = [step.artifact for step in planned if step.stage is not evaluate.STAGE]
    assert len(others) == len(set(others)), "everything else is planned once"
    assert set(left.left_out) == {note.split()[0] for note in notes}


@pytest.mark.parametrize("without", PAIRS)
def test_whatever_is_left_out_the_rest_does_not_need_it(without, profile, folder, large):
    build = Build(profile, folder, "cpu")
    planned = steps(build, without)
    made = {step.artifact for step in planned}
    assert not {step.stage.name for step in planned} & set(without)
    assert all(need in made for step in planned for need in step.target.needs)
    every = {step.artifact for step in steps(build)}
    assert made <= every


@pytest.mark.parametrize(
    ("without", "lost"),
    [
        (["doc2query"], {"expanded", "filtered"}),
        (["doc2query-model"], {"expanded", "filtered"}),
        (["query-scores"], {"filtered"}),
        (["finetune"], {"tuned", "hybrid", "both"}),
        (["bm25"], {"bm25", "expanded", "filtered", "hybrid", "both"}),
        (["index"], {"served", "both"}),
        (["encode"], {"mpnet", "tuned", "L6", "served", "filtered", "hybrid", "both"}),
        (["finetune", "query-scores"], {"tuned", "filtered", "hybrid", "both"}),
        (["ann", "evaluate"], set()),
        (["search"], set()),
    ],
)
def test_systems_that_need_what_is_left_out_are_left_out_with_a_sentence(without, lost, profile, folder, large):
    _, made = plan_build(Build(profile, folder, "cpu"), Options(without=without))
    assert {note.split()[0] for note in made.notes} == lost
    assert all(
        re.fullmatch(r"\S+ is left out: --without \S+ leaves out artifacts/\S+, which it needs", n) for n in made.notes
    )
    assert not [name for name in named(i.step for i in made.planned) if name.split("/")[1] in lost]


def test_what_exists_is_used_although_its_stage_is_left_out(profile, folder, large):
    with writing(folder.predicted_queries, "doc2query generate", {}, {}):
        pass
    planned = named(steps(Build(profile, folder, "cpu"), ["doc2query"]))
    assert {"bm25/expanded", "query-scores/doc2query-scores"} <= set(planned)
    assert not {"doc2query/doc2query", "doc2query-model/t5"} & set(planned)


def test_of_systems_left_out_nothing_is_left(profile, folder, large):
    planned = named(steps(Build(profile, folder, "cpu", ("tuned",)), ["finetune"]))
    assert planned == ["collection/collection", "evaluate/measures"]
    assert "encode/L6" not in named(steps(Build(profile, folder, "cpu", ("filtered",)), ["query-scores"])), (
        "only its scorer"
    )
    with pytest.raises(UserError, match="nothing can be built without it"):
        steps(Build(profile, folder, "cpu"), ["collection"])


def test_the_cheapest_system_is_next(profile, folder, large):
    build = Build(profile, folder, "cpu")
    _, made = plan_build(build, Options())
    runs = [item.step.artifact.name for item in made.planned if item.step.stage is search.STAGE]
    assert runs[0] == "bm25"
    times = {}
    for name in SYSTEMS:  # alone, with everything that it needs
        alone = plan_build(Build(profile, folder, "cpu", (name,)), Options(without=["ann"]))[1]
        times[name] = sum(item.seconds for item in alone.planned)
    independent = ("bm25", "L6", "tuned", "mpnet")
    order = [name for name in runs if name in independent]
    assert order == sorted(independent, key=lambda name: times[name])
    assert runs.index("L6") < runs.index("filtered"), "its scorer is made for it"


def test_imported_queries_come_before_dense_systems_and_generated_ones_after(profile, folder, large, tmp_path):
    def order(settings):
        wanted = profile.model_copy(update={"doc2query": settings})
        return [s.artifact.name for s in steps(Build(wanted, folder, "cpu")) if s.stage is search.STAGE]

    imported = profile.doc2query.model_copy(update={"source": str(tmp_path / "queries.jsonl")})
    assert order(imported)[:2] == ["bm25", "expanded"]
    generated = order(profile.doc2query.model_copy(update={"queries": 40}))
    assert generated.index("expanded") > generated.index("L6")


def test_totals_are_the_sums_of_the_steps(profile, folder, large):
    _, made = plan_build(Build(profile, folder, "cpu"), Options())
    assert {item.verdict for item in made.planned} == {MAKE}
    assert all(item.seconds > 0 and item.cost.bytes > 0 for item in made.planned)
    lines = list(made.lines())
    assert len(lines) == len(made.planned) + 1
    assert estimates.in_time(sum(item.seconds for item in made.planned)) in lines[-1]
    by_place = {item.step.artifact.shown: item.cost.bytes for item in made.planned}
    assert estimates.in_bytes(sum(by_place.values())) in lines[-1]
    assert "stored rates" in lines[-1] and "downloads are not included" in lines[-1]


def test_too_little_disk_is_said_before_anything_starts(profile, folder, large, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=10**8))
    said = []
    with pytest.raises(UserError, match=r"needs about \d.* GB of disk space, and 100 MB are free"):
        run_build(Build(profile, folder, "cpu"), say=said.append)
    assert any("encode" in line for line in said), "after the plan"
    assert not folder.path.exists()


def test_only_what_may_change_is_counted(profile, folder):
    only_bm25 = profile.model_copy(update={"system": [profile.system[1]]})
    run_build(Build(only_bm25, folder, "cpu"), say=lambda line: None)
    _, same = plan_build(Build(only_bm25, folder, "cpu"), Options())
    assert {item.verdict for item in same.planned} == {UP_TO_DATE}
    assert not [item for item in same.planned if item.cost or item.seconds]
    other = only_bm25.model_copy(update={"bm25": only_bm25.bm25.model_copy(update={"b": 0.9})})
    _, changed = plan_build(Build(other, folder, "cpu"), Options())
    verdicts = {item.step.stage.name: item.verdict for item in changed.planned}
    # the run records BM25's settings, too; the measures only change with the run
    assert verdicts == {"collection": UP_TO_DATE, "bm25": MAKE, "search": MAKE, "evaluate": CHECK}


def test_a_build_says_what_each_step_took_and_what_is_left(profile, folder):
    only_bm25 = profile.model_copy(update={"system": [profile.system[1]]})
    said = []
    outcomes = run_build(Build(only_bm25, folder, "cpu"), say=said.append)
    steps_said = [line for line in said if line.startswith("  made")]
    assert [line.split()[1] for line in steps_said] == ["collection", "bm25", "search", "evaluate"]
    assert all(re.search(r": \d+(\.\d)? s, estimated \d", line) for line in steps_said)
    assert ["left" in line for line in steps_said] == [True, True, True, False]
    table = list(result_lines(outcomes))
    assert [line.split()[0] for line in table[1:]] == ["made"] * 4 + ["total"]
    assert all(re.search(r" [\d.]+ [MG]B .* [\d.]+ [kM]B ", line) for line in table[1:-1]), "memory and disk"
    for outcome in outcomes:
        work = read_manifest(outcome.step.artifact).facts["work"]
        assert work["units"] >= 0 and work["kind"]


def test_the_measures_count_once_and_fill_run_by_run(profile, folder, monkeypatch):
    pair = [profile.system[1], profile.system[1].model_copy(update={"name": "again"})]
    two = profile.model_copy(update={"system": pair})
    evaluated = []
    make = evaluate.make

    def counted(build, subject, draft):
        make(build, subject, draft)
        evaluated.append({name for name in draft.facts if name in ("bm25", "again")})

    monkeypatch.setitem(vars(evaluate.STAGE), "make", counted)
    outcomes = run_build(Build(two, folder, "cpu"), say=lambda line: None)
    assert evaluated == [{"bm25"}, {"bm25", "again"}]
    measures = [outcome for outcome in outcomes if outcome.step.stage is evaluate.STAGE]
    assert [outcome.result for outcome in measures] == ["made"]
    again = run_build(Build(two, folder, "cpu"), force=True, say=lambda line: None)
    assert {outcome.result for outcome in again} == {"made"}
    assert evaluated[2] == {"bm25", "again"} and len(evaluated) == 3, "the second run is the same again"


def test_a_failed_system_leaves_the_others_in_the_measures(profile, folder, monkeypatch):
    pair = [profile.system[1], profile.system[1].model_copy(update={"name": "again"})]
    fail_stage(monkeypatch, "bm25", "bm25", ValueError("broken"))
    said = []
    two = profile.model_copy(update={"system": pair})
    outcomes = run_build(Build(two, folder, "cpu"), say=said.append)
    results = {f"{o.step.stage.name}/{o.step.artifact.name}": o.result for o in outcomes}
    assert results["search/bm25"] == "skipped" and results["search/again"] == results["evaluate/measures"] == "made"
    assert sum("broken" in line for line in said) == 1


def test_a_packed_collection_is_estimated_when_it_has_been_read(profile, folder, tmp_path):
    source = shutil.make_archive(str(tmp_path / "packed"), "zip", profile.collection.source)
    settings = profile.collection.model_copy(update={"source": source})
    packed = profile.model_copy(update={"collection": settings, "system": [profile.system[1]]})
    said = []
    run_build(Build(packed, folder, "cpu"), say=said.append)
    text = "\n".join(said)
    first, second = text.split("Plan for artifacts/tiny:\n")[1:]
    assert "not known yet" in first and "Total" not in first
    assert "Total: about" in second
    assert len(re.findall("estimated", second)) == 4, "three steps, and the sentence on the source"
