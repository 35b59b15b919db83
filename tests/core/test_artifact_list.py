"""What the inventory says of each artifact when something is done to it."""

import shutil

import pytest

from core.artifact_list import Entry, inventory
from core.build import run_build
from core.import_runs import import_runs
from core.workspace.artifacts import writing
from core.workspace.profile import Profile, SystemSettings, read_profile
from core.workspace.stage import Build
from core.workspace.workspace import Workspace


@pytest.fixture
def profile(beir_folder, workspace: Workspace) -> Profile:
    (workspace.root / "models").mkdir()
    profile = Profile(
        collection={"name": "tiny", "source": str(beir_folder())}, system=[{"name": "bm25", "kind": "bm25"}]
    )
    run_build(Build(profile, workspace.collection("tiny")), say=lambda line: None)
    return profile


def by_place(profile: Profile, workspace: Workspace) -> dict[str, Entry]:
    entries = inventory(profile, workspace.collection("tiny"))
    found = {entry.place.removeprefix("artifacts/"): entry for entry in entries}
    assert len(found) == len(entries), "each artifact once"
    return found


def test_after_a_build_everything_is_fresh_and_as_large_as_its_files(profile, workspace):
    found = by_place(profile, workspace)
    assert list(found) == ["tiny/collection", "tiny/bm25/bm25", "tiny/runs/bm25", "tiny/measures"]
    assert {entry.state for entry in found.values()} == {"up to date"}
    files = [path for path in (workspace.collection("tiny") / "runs" / "bm25").iterdir()]
    assert found["tiny/runs/bm25"].bytes == sum(len(path.read_bytes()) for path in files)
    assert found["tiny/measures"].command == "python scripts/build.py --profile artifacts/tiny/profile.json"


def test_a_changed_setting_a_cut_file_and_a_missing_folder_are_told_apart(profile, workspace):
    folder = workspace.collection("tiny")
    changed = profile.model_copy(update={"depth": 7})
    found = by_place(changed, workspace)
    assert (found["tiny/runs/bm25"].state, found["tiny/bm25/bm25"].state) == ("stale", "up to date")
    assert "setting depth was 1000, now 7" in found["tiny/runs/bm25"].reason

    run = folder / "runs" / "bm25" / "run.trec"
    run.write_text(run.read_text()[:-5])
    assert "run.trec is damaged" in by_place(profile, workspace)["tiny/runs/bm25"].reason
    shutil.rmtree(folder / "measures")
    missing = by_place(profile, workspace)["tiny/measures"]
    assert (missing.state, missing.bytes, missing.manifest) == ("missing", 0, None)


def using_model(profile: Profile) -> Profile:
    """Return the profile with another system, of the model "some"."""
    system = SystemSettings(name="dense", kind="dense", model="artifacts/models/some")
    return profile.model_copy(update={"system": [*profile.system, system]})


def test_imported_runs_models_and_leftovers_are_there_too(profile, workspace, tmp_path):
    (tmp_path / "mine.run").write_text("1 Q0 d1 1 1 t\n")
    folder = workspace.collection("tiny")
    import_runs(folder, [tmp_path / "mine.run"])
    with writing(workspace.model("artifacts/models/some"), "finetune", {}, {}) as partial:
        (partial / "config.json").write_text("{}")
    with writing(folder / "vectors" / "gone", "encode", {}, {}):
        pass
    (folder / "bm25" / ".bm25.partial").mkdir()
    found = by_place(read_profile(str(folder / "profile.json")), workspace)
    assert "models/some" not in found, "no system uses it"
    assert list(found)[-3:] == ["tiny/runs/mine", "tiny/measures", "tiny/vectors/gone"], "measures come after all runs"
    using = using_model(read_profile(str(folder / "profile.json")))
    found = by_place(using, workspace)
    assert found["tiny/runs/mine"].state == "up to date"
    assert found["tiny/runs/mine"].command == "python -m core.import_runs RUN --name tiny"
    assert found["models/some"].command == "python -m core.finetune"
    assert found["tiny/vectors/gone"].state == "outside this profile"
    assert not any(".partial" in place for place in found)
    (workspace.root / "models" / "some" / "config.json").write_text("{ }")
    (folder / "runs" / "mine" / "manifest.json").write_text("{")
    found = by_place(using, workspace)
    assert "config.json is damaged" in found["models/some"].reason
    assert found["tiny/runs/mine"].reason == "its manifest is damaged"
