"""A stage that fails, whatever its exception: what it costs, and what is said of it, once, in builds and afterwards."""

import importlib.util
import shutil
import sys
from pathlib import Path

import pandas as pd
import pytest
from beir_files import of_words
from stages import fail_stage

from core import ann, encode, evaluate, search
from core.artifact_list import inventory
from core.build import ERRORS, run_build
from core.evaluation.stored_measures import AGREEMENT
from core.formats.runs import write_run
from core.workspace.artifacts import FAILURES, failure_of, is_whole, open_artifact, read_manifest, record_failure
from core.workspace.command_line import save_profile
from core.workspace.downloads import fetch
from core.workspace.errors import UserError, in_words
from core.workspace.models import MODELS_VARIABLE, how_to_provide
from core.workspace.profile import Profile
from core.workspace.stage import Build

pytestmark = pytest.mark.slow


@pytest.fixture
def profile(encoder, words, beir_folder, workspace):
    source = beir_folder(of_words(words))
    profile = Profile(
        collection={"name": "tiny", "source": str(source)},
        system=[
            {"name": "bm25", "kind": "bm25"},
            {"name": "expanded", "kind": "bm25", "expanded": True, "expansion": {"keep": 0.5}},
            {"name": "first", "kind": "dense", "model": str(encoder)},
            {"name": "second", "kind": "dense", "model": str(encoder)},
        ],
        doc2query={"model": "artifacts/models/doc2query", "scorer": "first"},
        triples={"source": str(workspace.checkout / "none.tsv")},
        ann={"index": [{"kind": "faiss-sq8"}], "repeats": 1},
    )
    save_profile(profile, workspace.collection("tiny"))
    return profile


@pytest.fixture
def plain(profile):
    """Return the profile without the expanded system, which needs a T5."""
    return profile.model_copy(update={"system": [s for s in profile.system if not s.expanded]})


@pytest.fixture
def folder(workspace):
    return workspace.collection("tiny")


def run(profile, folder, **options):
    """Build; return {stage/target: outcome} and what was printed."""
    said = []
    outcomes = run_build(Build(profile, folder, "cpu"), say=said.append, **options)
    return {f"{outcome.step.stage.name}/{outcome.step.artifact.name}": outcome for outcome in outcomes}, "\n".join(said)


def of_result(outcomes, *results):
    return {name for name, outcome in outcomes.items() if outcome.result in results}


def failing(function, name, error):
    """Return the function, raising an error where one of its arguments is, or has, the name of a system."""

    def wrapped(*arguments, **named):
        if any(name in (argument, getattr(argument, "name", None)) for argument in arguments):
            raise error
        return function(*arguments, **named)

    return wrapped


CASES = {
    "encode": {"encode/first", "search/first", "ann/first"},
    "search": {"search/first"},
    "ann": {"ann/first"},
}


@pytest.mark.parametrize(
    ("stage", "error"),
    [
        ("encode", ZeroDivisionError("division by zero")),
        ("encode", OSError(5, "I/O error")),
        ("search", MemoryError()),
        ("ann", RuntimeError("one\ntwo")),
    ],
)
def test_any_exception_costs_one_system(stage, error, plain, folder, monkeypatch):
    lost = CASES[stage]
    fail_stage(monkeypatch, stage, "first", error)
    outcomes, said = run(plain, folder)
    assert of_result(outcomes, "failed", "skipped") == lost
    assert of_result(outcomes, "made") == outcomes.keys() - lost
    cause = f"{stage}/first"
    assert of_result(outcomes, "failed") == {cause}
    assert type(error).__name__ in outcomes[cause].reason
    assert "\n" not in outcomes[cause].reason
    # told once; what depends on it names it, and the traceback is in the file that is named
    assert said.count(type(error).__name__) == 1
    for name in lost - {cause}:
        assert outcomes[name].reason == f"not made, because {stage} first failed"
    assert f"artifacts/tiny/{ERRORS}" in said
    assert f"{stage} first\nTraceback" in (folder / ERRORS).read_text()
    evaluated = set(pd.read_csv(folder / "measures" / "measures.csv")["system"])
    assert evaluated == {"bm25", "second"} | ({"first"} if stage == "ann" else set())


def test_what_failed_is_made_by_the_next_build_and_forgotten(plain, folder, monkeypatch):
    with monkeypatch.context() as patched:
        fail_stage(patched, "bm25", "bm25", ValueError("of a library"))
        run(plain, folder)
    with pytest.raises(UserError) as caught:
        open_artifact(folder.run("bm25"))
    assert "bm25 bm25 failed: unexpected ValueError: of a library" in str(caught.value)
    outcomes, _ = run(plain, folder)
    assert of_result(outcomes, "made") == {"bm25/bm25", "search/bm25", "evaluate/measures"}
    assert not (folder / FAILURES).exists()
    assert not (folder / ERRORS).exists()


@pytest.mark.parametrize("interruption", [KeyboardInterrupt, SystemExit])
def test_an_interruption_ends_the_build(interruption, plain, folder, monkeypatch):
    fail_stage(monkeypatch, "search", "bm25", interruption())
    with pytest.raises(interruption):
        run(plain, folder)
    assert not (folder / "runs" / "bm25").exists()


def test_inputs_that_cannot_be_read_do_not_end_the_plan(plain, folder, monkeypatch):
    run(plain, folder)
    unreadable = failing(encode.inputs, "first", PermissionError(13, "no"))
    monkeypatch.setitem(vars(encode.STAGE), "inputs", unreadable)
    outcomes, _ = run(plain, folder, force=True)
    assert "encode/first" in of_result(outcomes, "failed")
    assert {"encode/second", "search/second", "evaluate/measures"} <= of_result(outcomes, "made")


def test_one_run_that_cannot_be_evaluated_takes_no_others_measures(plain, folder, monkeypatch, capfd):
    with monkeypatch.context() as patched:
        patched.setattr(evaluate, "built_run", failing(evaluate.built_run, "first", ZeroDivisionError("by zero")))
        outcomes, _ = run(plain, folder)
    assert outcomes["evaluate/measures"].result == "made"
    assert "note: first was not evaluated: unexpected ZeroDivisionError: by zero" in capfd.readouterr().err
    assert set(pd.read_csv(folder / "measures" / "measures.csv")["system"]) == {"bm25", "second"}
    assert "by zero" in failure_of(folder.measures.part("first"))
    # it is tried again, and the figures are those of a build in which nothing failed
    outcomes, _ = run(plain, folder)
    assert of_result(outcomes, "made") == {"evaluate/measures"}
    assert failure_of(folder.measures.part("first")) is None
    assert set(pd.read_csv(folder / "measures" / "measures.csv")["system"]) == {"bm25", "first", "second"}


def test_a_failing_second_opinion_takes_no_measures(plain, folder, monkeypatch):
    from core.evaluation import sentence_transformers_evaluator

    monkeypatch.setattr(
        sentence_transformers_evaluator,
        "evaluator_figures",
        failing(lambda *_: dict.fromkeys(AGREEMENT.values(), 0.5), "first", IndexError("theirs")),
    )
    run(plain, folder)
    assert set(pd.read_csv(folder / "measures" / "measures.csv")["system"]) == {"bm25", "first", "second"}
    assert set(pd.read_csv(folder / "measures" / "sentence_transformers.csv")["system"]) == {"second"}


@pytest.mark.parametrize(
    ("module", "stage", "place"),
    [(encode, "encode", "vectors"), (search, "search", "runs"), (ann, "ann", "ann")],
)
def test_a_command_goes_on_with_the_other_systems(module, stage, place, plain, folder, monkeypatch, command):
    monkeypatch.chdir(folder.workspace.checkout)
    run(plain, folder)
    shutil.rmtree(folder / place)
    fail_stage(monkeypatch, stage, "first", UserError("it is not there"))
    outcome = command(module.main, "--profile", folder / "profile.json", "--device", "cpu")
    assert outcome.status == 2
    assert "error: first: it is not there\n" in outcome.err
    assert is_whole(folder / place / "second")


# Advice that leads somewhere


def test_without_a_t5_the_cause_is_told_once_with_what_to_provide(profile, folder, workspace, monkeypatch):
    monkeypatch.delenv(MODELS_VARIABLE, raising=False)
    outcomes, said = run(profile, folder)
    cause = outcomes["doc2query-model/doc2query"]
    assert of_result(outcomes, "failed") == {"doc2query-model/doc2query"}
    assert cause.reason.startswith(f"{workspace.checkout / 'none.tsv'}: there is no such file")
    assert "put its files in a folder named doc2query" in cause.reason
    skipped = {"doc2query/doc2query", "query-scores/doc2query-scores", "bm25/expanded", "search/expanded"}
    assert of_result(outcomes, "skipped") == skipped
    assert {outcomes[name].reason for name in skipped} == {"not made, because doc2query-model doc2query failed"}
    assert said.count("there is no such file") == 1
    assert "rebuild it with" not in said
    # and later, wherever one of them is missed
    for place in ("doc2query", "doc2query-scores", "bm25/expanded", "runs/expanded"):
        with pytest.raises(UserError, match=r"there is no such file.*; fix that and run python scripts/build\.py"):
            read_manifest(folder.artifact(place))
    entries = {entry.place: entry for entry in inventory(profile, folder)}
    for place in ("artifacts/models/doc2query", "artifacts/tiny/doc2query", "artifacts/tiny/runs/expanded"):
        assert "there is no such file" in entries[place].reason
    assert "failed to make" not in entries["artifacts/tiny/runs/bm25"].reason


def test_a_t5_that_is_provided_ends_it(profile, folder, tiny_t5, tmp_path, monkeypatch, workspace):
    monkeypatch.delenv(MODELS_VARIABLE, raising=False)
    run(profile, folder)
    shutil.copytree(tiny_t5, tmp_path / "provided" / "doc2query")
    sentence = how_to_provide(workspace, "artifacts/models/doc2query")
    assert "python -m core.doc2query train" in sentence
    assert "folder named doc2query" in sentence
    monkeypatch.setenv(MODELS_VARIABLE, str(tmp_path / "provided"))  # what --models sets
    outcomes, _ = run(profile, folder)
    assert "doc2query-model/doc2query" not in outcomes
    assert not of_result(outcomes, "failed", "skipped"), [o.reason for o in outcomes.values()]


def test_a_model_that_cannot_be_had_is_told_with_its_folder(plain, folder, monkeypatch):
    def offline(*_, **__):
        raise ConnectionError("no network")

    import huggingface_hub

    monkeypatch.delenv(MODELS_VARIABLE, raising=False)
    monkeypatch.setattr(huggingface_hub, "snapshot_download", offline)
    monkeypatch.setattr("core.workspace.models._cached_snapshot", lambda name: None)
    systems = [s.model_copy(update={"model": "nobody/no-such"}) if s.name == "first" else s for s in plain.system]
    outcomes, said = run(plain.model_copy(update={"system": systems}), folder)
    assert of_result(outcomes, "failed") == {"encode/first"}
    assert of_result(outcomes, "skipped") == {"search/first", "ann/first"}
    assert said.count("could not be downloaded from the hub (ConnectionError)") == 1
    assert "a folder named no-such" in said
    assert "--models" in said
    with pytest.raises(UserError, match="a folder named no-such"):
        read_manifest(folder.run("first"))


def test_triples_that_cannot_be_downloaded_are_told_with_the_option(workspace, monkeypatch):
    from core.formats import triples

    monkeypatch.setattr(
        triples, "fetch", lambda *_, **__: fetch("http://127.0.0.1:9/none", workspace.checkout / "none", tries=1)
    )
    with pytest.raises(UserError, match=r"could not be downloaded.*or use another file of triples with --triples"):
        triples.locate_triples("msmarco-tiny", workspace)


@pytest.mark.parametrize("content", ["", "[]", "{", '{"a": 1}', "\xff", "[" * 100_000])
def test_a_damaged_memory_of_failures_is_none(content, plain, folder):
    folder.path.mkdir(parents=True, exist_ok=True)
    (folder / FAILURES).write_text(content, encoding="latin-1")
    with pytest.raises(UserError, match="rebuild it with"):
        read_manifest(folder.run("bm25"))
    record_failure(folder.run("bm25"), "why")
    assert failure_of(folder.run("bm25")) == "why"


def test_an_exception_in_words():
    assert in_words(UserError("as it is")) == "as it is"
    assert in_words(MemoryError()) == "unexpected MemoryError"
    assert in_words(ValueError("one\n  two")) == "unexpected ValueError: one two"
    assert len(in_words(ValueError("x" * 100_000))) < 400


def test_a_failed_build_ends_with_status_1(plain, folder, monkeypatch, capfd):
    path = Path(__file__).resolve().parents[2] / "scripts" / "build.py"
    spec = importlib.util.spec_from_file_location("build_script", path)
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    monkeypatch.chdir(folder.workspace.checkout)
    monkeypatch.setattr(search, "write_run", failing(write_run, "bm25", ValueError("of a library")))
    monkeypatch.setattr(sys, "argv", ["build.py", "--profile", str(folder / "profile.json"), "--device", "cpu"])
    with pytest.raises(SystemExit) as ended:
        script.main()
    assert ended.value.code == 1
    out = capfd.readouterr().out
    assert out.count("of a library") == 2  # where it happened, and in the list at the end
    assert "search bm25: unexpected ValueError: of a library" in out[out.index("Not made:") :]
