"""Stages: what a description of one kind of artifact leads to."""

from collections import Counter

import pytest

from core.build import run_build
from core.stages import STAGES
from core.workspace.artifacts import read_manifest
from core.workspace.errors import UserError
from core.workspace.profile import Profile
from core.workspace.stage import Build, Stage, Target
from core.workspace.workspace import CHECKOUT


class Source:
    """A stage that copies a text, which is its input, and counts how often it is asked for what."""

    def __init__(self, text: str = "before"):
        self.text, self.asked = text, Counter()

    def targets(self, build):
        return [Target(build.folder.artifact("copies/a"), build.profile)]

    def settings(self, build, subject):
        self.asked["settings"] += 1
        return {"depth": subject.depth}

    def inputs(self, build, subject):
        self.asked["inputs"] += 1
        if not self.text:
            raise UserError("the text is missing")
        return {"text": self.text, "other": "same"}

    def make(self, build, subject, draft):
        self.asked["make"] += 1
        (draft / "copy.txt").write_text(self.text)

    def stage(self, **options):
        return Stage("copy", self.targets, self.settings, self.inputs, options.pop("make", self.make), **options)


@pytest.fixture
def build(workspace):
    collection = {"name": "tiny", "source": str(workspace.root / "nothing")}
    profile = Profile(collection=collection, system=[{"name": "bm25", "kind": "bm25"}])
    return Build(profile, workspace.collection("tiny"), "cpu")


def test_a_run_computes_the_settings_once_and_the_inputs_once_before_and_once_after(build):
    source = Source()
    (artifact,) = source.stage().run_all(build)
    assert source.asked == {"settings": 1, "make": 1, "inputs": 2}
    manifest = read_manifest(artifact)
    assert (manifest.stage, manifest.settings) == ("copy", {"depth": build.profile.depth})
    assert manifest.inputs == {"text": "before", "other": "same"}


@pytest.mark.parametrize("resume", [False, True])
def test_an_input_that_changes_while_the_artifact_is_made_is_refused(resume, build):
    source = Source()

    def make(build, subject, draft):
        source.make(build, subject, draft)
        source.text = "after"

    stage = source.stage(make=make, resume=resume)
    with pytest.raises(
        UserError, match="^text changed while artifacts/tiny/copies/a was being made; run the command again$"
    ):
        stage.run_all(build)
    (target,) = stage.targets(build)
    assert not target.artifact.path.exists()
    (artifact,) = stage.run_all(build)
    assert (artifact / "copy.txt").read_text() == "after"
    assert read_manifest(artifact).inputs["text"] == "after"


def test_an_input_that_make_finds_unreadable_may_be_taken_out(build):
    source = Source()

    def make(build, subject, draft):
        source.make(build, subject, draft)
        del draft.inputs["text"]
        source.text = "after"

    (artifact,) = source.stage(make=make).run_all(build)
    assert read_manifest(artifact).inputs == {"other": "same"}


def test_an_artifact_is_stale_by_its_settings_inputs_and_files(build):
    source = Source()
    stage = source.stage()
    (target,) = stage.targets(build)
    assert stage.stale(build, target) == "missing"
    stage.run(build, target)
    assert stage.stale(build, target) is None
    source.text = "after"
    assert stage.stale(build, target) == "its input text changed"
    source.text = ""
    assert stage.stale(build, target) == "an input is missing"
    source.text = "before"
    deeper = Target(target.artifact, build.profile.model_copy(update={"depth": 7}))
    assert stage.stale(build, deeper) == f"setting depth was {build.profile.depth}, now 7"
    (target.artifact / "copy.txt").write_text("damage")
    assert "is damaged" in stage.stale(build, target)


def test_without_an_artifact_a_missing_input_is_one_that_is_yet_to_come(build):
    stage = Source("").stage()
    (target,) = stage.targets(build)
    assert stage.stale(build, target) == "an input does not exist yet"


def test_a_trained_model_stays_fresh_whatever_its_inputs_are_now(build):
    source = Source()
    stage = source.stage(trains=True)
    (target,) = stage.targets(build)
    assert stage.stale(build, target)
    stage.run(build, target)
    source.text = ""
    assert stage.stale(build, target) is None
    (target.artifact / "copy.txt").unlink()
    assert "copy.txt is missing" in stage.stale(build, target)


def test_manifests_name_the_stage_as_recorded_and_prepare_comes_before_the_inputs(build):
    source = Source("")

    def prepare(build, subject):
        source.text = "fetched"

    (artifact,) = source.stage(recorded="copy text", prepare=prepare).run_all(build)
    assert read_manifest(artifact).stage == "copy text"
    assert (artifact / "copy.txt").read_text() == "fetched"


# The stages of the project


def test_names_are_unique_and_all_are_listed_where_a_stage_is_unknown(build):
    names = [stage.name for stage in STAGES]
    assert len(set(names)) == len(names)
    with pytest.raises(UserError) as refused:
        run_build(build, only="nothing", say=lambda line: None)
    assert str(refused.value) == f"unknown stage 'nothing'; use one of {', '.join(names)}"


def test_the_reference_has_every_stage_of_only_and_its_command():
    lines = (CHECKOUT / "docs" / "commands.md").read_text(encoding="utf-8").splitlines()
    assert [line for line in lines if line.endswith(f": {', '.join(stage.name for stage in STAGES)} |")]
    assert {f"## {stage.targets.__module__.removeprefix('core.')}" for stage in STAGES} <= set(lines)


@pytest.mark.slow
def test_a_plan_of_all_kinds_of_systems_has_every_stage(workspace):
    expanded = {"expanded": True, "expansion": {"keep": 0.5}}
    profile = Profile(
        collection={"name": "tiny", "source": str(workspace.root / "nothing")},
        doc2query={"model": "artifacts/models/own-t5", "scorer": "served"},
        finetune={"model": "artifacts/models/own"},
        system=[
            {"name": "bm25", "kind": "bm25", **expanded},
            {"name": "dense", "kind": "dense", "model": "artifacts/models/own"},
            {"name": "served", "kind": "dense", "model": "artifacts/models/own", "backend": "milvus"},
            {"name": "sparse", "kind": "sparse", "model": "artifacts/models/own"},
        ],
    )
    lines: list[str] = []
    with pytest.raises(UserError):  # there is no such collection; the plan has been printed
        run_build(Build(profile, workspace.collection("tiny"), "cpu"), say=lines.append)
    planned = {line.split()[1] for line in lines if line.startswith("  make")}
    assert planned == {stage.name for stage in STAGES}
