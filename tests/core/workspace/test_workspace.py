"""Workspaces: where artifacts and models are, and how paths are shown and recorded."""

from pathlib import Path

import pytest
from small_build import prepare

from core import doc2query, finetune
from core.workspace.artifacts import read_manifest
from core.workspace.models import find_model
from core.workspace.workspace import CHECKOUT, VARIABLE, Workspace


def test_the_environment_names_the_default_workspace(tmp_path, monkeypatch):
    monkeypatch.setenv(VARIABLE, str(tmp_path / "own"))
    assert Workspace.default() == Workspace(tmp_path / "own", CHECKOUT)


def test_a_relative_path_in_the_environment_starts_in_the_current_folder(tmp_path, monkeypatch):
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    monkeypatch.setenv(VARIABLE, "../own")
    found = Workspace.default()
    monkeypatch.chdir(tmp_path)
    assert found.root == tmp_path.resolve() / "own"


@pytest.mark.parametrize("value", ["", None])
def test_without_it_the_workspace_is_the_projects_own(value, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv(VARIABLE, raising=False)
    if value is not None:
        monkeypatch.setenv(VARIABLE, value)
    assert Workspace.default().root == CHECKOUT / "artifacts"


@pytest.fixture
def apart(tmp_path):
    """Return a workspace outside its checkout."""
    for name in ("own", "project"):
        (tmp_path / name).mkdir()
    return Workspace(tmp_path / "own", checkout=tmp_path / "project")


def test_artifacts_are_in_the_root_and_shown_as_artifacts(apart):
    folder = apart.collection("covid")
    for artifact, place in [
        (folder.run("bm25"), "covid/runs/bm25"),
        (folder.sweep("dense", 500), "covid/ann-simulated/dense-500"),
        (apart.model("artifacts/models/own"), "models/own"),
        (folder.model("artifacts/models/own"), "models/own"),
        (apart.ablations("nobody/base"), "ablations/base"),
        (apart.query_quality("artifacts/models/t5"), "quality/t5"),
    ]:
        assert (artifact.path, artifact.shown) == (apart.root / place, f"artifacts/{place}")


def test_shown_paths_are_relative_to_workspace_or_project_and_tell_nothing_else(apart, tmp_path):
    assert apart.shown(apart.root / "covid" / "runs") == "artifacts/covid/runs"
    assert apart.shown(apart.checkout / "docs" / "a.md") == "docs/a.md"
    assert apart.shown(tmp_path / "secret" / "model") == "model"
    assert apart.shown(apart.root / ".." / "secret" / "model") == "model"


def test_model_names_are_shown_as_given_and_absolute_paths_shortened(apart, tmp_path):
    assert apart.shown_model("nobody/base") == "nobody/base"
    assert apart.shown_model(str(apart.root / "models" / "own")) == "artifacts/models/own"
    assert apart.shown_model(str(tmp_path / "secret" / "model")) == "model"


def test_paths_of_a_profile_are_found_in_the_current_folder_first(apart, tmp_path, monkeypatch):
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    assert apart.located("data/corpus.jsonl") == Path("data/corpus.jsonl"), "neither is there: as the user wrote it"
    (apart.checkout / "data").mkdir()
    (apart.checkout / "data" / "corpus.jsonl").write_text("")
    assert apart.located("data/corpus.jsonl") == apart.checkout / "data" / "corpus.jsonl"
    (tmp_path / "here" / "data").mkdir()
    (tmp_path / "here" / "data" / "corpus.jsonl").write_text("")
    assert apart.located("data/corpus.jsonl") == Path("data/corpus.jsonl")


def test_a_path_of_a_profile_may_lead_into_an_archive(apart, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (apart.checkout / "data.zip").write_bytes(b"")
    assert apart.located("data.zip/corpus.jsonl") == apart.checkout / "data.zip" / "corpus.jsonl"


def test_recorded_paths_are_relative_to_the_project_and_lead_back(apart, tmp_path, monkeypatch):
    source = tmp_path / "data" / "corpus"
    source.mkdir(parents=True)
    assert apart.recorded(str(source)) == "../data/corpus"
    assert apart.recorded("data/corpus") == "data/corpus"
    monkeypatch.chdir(apart.root)
    (tmp_path / "moved").mkdir()
    for name in ("data", "project"):
        (tmp_path / name).rename(tmp_path / "moved" / name)
    moved = Workspace(apart.root, checkout=tmp_path / "moved" / "project")
    assert moved.located("../data/corpus").resolve() == tmp_path / "moved" / "data" / "corpus"


def test_a_model_of_the_workspace_comes_before_the_one_that_is_shipped(apart):
    shipped, trained = (folder / "models" / "own" for folder in (apart.checkout / "artifacts", apart.root))
    assert find_model(apart, "artifacts/models/own") is None
    for folder in (shipped, trained):
        folder.mkdir(parents=True)
        (folder / "config.json").write_text("{}")
        assert find_model(apart, "artifacts/models/own") == folder


@pytest.mark.slow
@pytest.mark.parametrize(
    ("main", "arguments", "section"), [(finetune.main, [], "finetune"), (doc2query.main, ["train"], "doc2query")]
)
def test_models_are_trained_into_the_workspace_and_never_into_the_checkout(
    main, arguments, section, command, workspace, tmp_path
):
    profile = prepare(tmp_path / "source", workspace.root)
    name = f"trained-by-{section}"
    settings = getattr(profile, section).model_copy(update={"model": f"artifacts/models/{name}", "epochs": 1})
    file = tmp_path / "profile.json"
    file.write_text(profile.model_copy(update={section: settings}).model_dump_json())
    before = sorted((CHECKOUT / "artifacts").rglob("*"))
    outcome = command(main, *arguments, "--profile", file, "--device", "cpu")
    assert outcome.status == 0, outcome.err
    assert (workspace.root / "models" / name / "model.safetensors").is_file()
    assert read_manifest(workspace.model(f"artifacts/models/{name}")).stage == " ".join([section, *arguments])
    assert sorted((CHECKOUT / "artifacts").rglob("*")) == before
