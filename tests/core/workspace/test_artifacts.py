"""Artifacts: whole or not at all, and honest about what made them."""

import getpass
import json
import platform
import re
import subprocess
import sys
from pathlib import Path

import pytest
from filelock import FileLock

from core.workspace.artifacts import (
    building,
    finish_seals,
    open_artifact,
    read_manifest,
    stale_reason,
    write_text,
    writing,
)
from core.workspace.errors import UserError

ROOT = Path(__file__).resolve().parents[3]


def make(folder, content="content", settings=None, inputs=None, **options):
    with writing(folder, "a stage", settings or {}, inputs or {}, **options) as partial:
        (partial / "deep").mkdir(exist_ok=True)
        (partial / "deep" / "file.txt").write_text(content)
        (partial / "other.bin").write_bytes(bytes(range(256)))
    return folder


def seen(folder):
    """What lies in a folder beside the locks, which stay for the next process."""
    return [path.name for path in folder.iterdir() if path.suffix != ".lock"]


def interrupt(folder, error, content="half", settings=None, **options):
    with pytest.raises(error), writing(folder, "a stage", settings or {}, {}, **options) as partial:
        (partial / "half.txt").write_text(content)
        raise error


def test_an_artifact_holds_its_files_and_a_manifest_and_nothing_else(tmp_path):
    folder = make(tmp_path / "a")
    files = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    assert files == ["deep/file.txt", "manifest.json", "other.bin"]
    assert seen(tmp_path) == ["a"]
    assert set(open_artifact(folder).files) == {"deep/file.txt", "other.bin"}


def test_the_manifest_has_the_digests_that_sha256sum_gives(tmp_path):
    folder = make(tmp_path / "a", content="abc")
    # FIPS 180-2, appendix B.1: the SHA-256 of "abc"
    expected = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert read_manifest(folder).files["deep/file.txt"] == {"bytes": 3, "sha256": expected}


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, UserError])
def test_an_exception_leaves_nothing(error, tmp_path):
    interrupt(tmp_path / "a", error)
    assert seen(tmp_path) == []


@pytest.mark.parametrize("resume", [False, True])
def test_an_exception_leaves_the_artifact_that_was_there(resume, tmp_path):
    folder = make(tmp_path / "a", "old")
    interrupt(folder, KeyboardInterrupt, resume=resume)
    open_artifact(folder)
    assert (folder / "deep" / "file.txt").read_text() == "old"


def test_what_is_made_again_replaces_the_old_whole(tmp_path):
    with writing(tmp_path / "a", "a stage", {}, {}) as partial:
        (partial / "gone.txt").write_text("old")
    folder = make(tmp_path / "a", "new")
    open_artifact(folder)
    assert not (folder / "gone.txt").exists()
    assert seen(tmp_path) == ["a"]


def test_what_a_killed_seal_left_is_put_in_order(tmp_path):
    make(tmp_path / "vectors" / "new", "new")
    make(tmp_path / "vectors" / ".new.old", "old")  # half removed: its manifest is gone
    (tmp_path / "vectors" / ".new.old" / "manifest.json").unlink()
    make(tmp_path / "vectors" / ".back.old", "old")
    busy = make(tmp_path / "vectors" / ".busy.old", "old")
    with writing(tmp_path / "vectors" / "else", "a stage", {}, {}), FileLock(tmp_path / "vectors" / ".busy.lock"):
        finish_seals(tmp_path)
        assert busy.exists(), "its writer is at work"
    assert sorted(seen(tmp_path / "vectors")) == [".busy.old", "back", "else", "new"]
    assert [(open_artifact(tmp_path / "vectors" / name).stage) for name in ("back", "new")] == ["a stage", "a stage"]
    assert (tmp_path / "vectors" / "new" / "deep" / "file.txt").read_text() == "new"


def test_an_interrupted_stage_goes_on_with_what_it_left(tmp_path):
    interrupt(tmp_path / "a", KeyboardInterrupt, "first half", resume=True)
    assert not (tmp_path / "a").exists()
    with writing(tmp_path / "a", "a stage", {}, {}, resume=True) as partial:
        assert (partial / "half.txt").read_text() == "first half"
    assert set(open_artifact(tmp_path / "a").files) == {"half.txt"}
    assert seen(tmp_path) == ["a"]


@pytest.mark.parametrize("options", [{"settings": {"seed": 2}, "resume": True}, {"settings": {"seed": 1}}])
def test_what_other_settings_left_is_not_gone_on_with(options, tmp_path):
    interrupt(tmp_path / "a", KeyboardInterrupt, settings={"seed": 1}, resume=True)
    assert set(open_artifact(make(tmp_path / "a", **options)).files) == {"deep/file.txt", "other.bin"}


DAMAGE = {
    "changed": lambda path: path.write_text("CONTENT"),
    "cut": lambda path: path.write_text("conten"),
    "lengthened": lambda path: path.write_text("content!"),
    "emptied": lambda path: path.write_text(""),
    "deleted": lambda path: path.unlink(),
}


@pytest.mark.parametrize("name", DAMAGE)
def test_a_damaged_file_is_found_out_and_named_with_the_command_that_mends_it(name, tmp_path):
    folder = make(tmp_path / "a")
    DAMAGE[name](folder / "deep" / "file.txt")
    with pytest.raises(UserError, match=r"file\.txt.*build\.py") as caught:
        open_artifact(folder)
    assert "\n" not in str(caught.value)
    assert "file.txt" in stale_reason(folder, {}, {})


@pytest.mark.parametrize("content", ["", "{", "[]", "{}", '{"stage": "a"}', '"text"', "\xff"])
def test_a_damaged_manifest_is_found_out_and_named(content, tmp_path):
    folder = make(tmp_path / "a")
    (folder / "manifest.json").write_bytes(content.encode("latin-1"))
    with pytest.raises(UserError, match=r"manifest\.json"):
        read_manifest(folder)
    assert "manifest" in stale_reason(folder, {}, {})


def test_a_missing_artifact_is_named_with_the_command_that_makes_it(workspace):
    folder = workspace.collection("trec-covid").bm25("bm25")
    with pytest.raises(UserError, match=r"artifacts/trec-covid/bm25/bm25 is missing.*python scripts/build\.py"):
        open_artifact(folder)
    assert stale_reason(folder, {}, {}) == "missing"


def test_a_model_is_made_again_by_its_training(workspace):
    assert workspace.model("artifacts/models/fine-tuned").command == "python -m core.finetune"
    assert workspace.model("artifacts/models/doc2query").command == "python -m core.doc2query train"


SETTINGS, INPUTS = {"k1": 0.9, "ef": [10, 20], "name": "é"}, {"collection": "abc", "model": "def"}
CHANGES = {
    "a value": (SETTINGS | {"k1": 1.2}, INPUTS, "setting k1 was 0.9, now 1.2"),
    "a value in a list": (SETTINGS | {"ef": [10]}, INPUTS, "setting ef: no longer 20"),
    "values in a list": (
        SETTINGS | {"ef": [10, *range(30, 90, 10)]},
        INPUTS,
        "ef: now also 30, 40, 50, 60 and 2 more; no",
    ),
    "the order of a list": (SETTINGS | {"ef": [20, 10]}, INPUTS, "setting ef was [10, 20], now [20, 10]"),
    "a new setting": (SETTINGS | {"b": 0.4}, INPUTS, "setting b"),
    "a setting that is gone": ({"k1": 0.9, "ef": [10, 20]}, INPUTS, "setting name"),
    "an input": (SETTINGS, INPUTS | {"model": "xyz"}, "input model changed"),
    "a new input": (SETTINGS, INPUTS | {"queries": "xyz"}, "input queries changed"),
    "an input that is gone": (SETTINGS, {"collection": "abc"}, "input model changed"),
    "a known input beside one that cannot be had": (SETTINGS, {"collection": "x", "model": ""}, "input collection"),
}


@pytest.mark.parametrize("name", CHANGES)
def test_a_change_makes_an_artifact_stale_and_is_named(name, tmp_path):
    settings, inputs, reason = CHANGES[name]
    folder = make(tmp_path / "a", settings=SETTINGS, inputs=INPUTS)
    assert reason in stale_reason(folder, settings, inputs)


@pytest.mark.parametrize("inputs", [INPUTS, INPUTS | {"model": ""}, dict(reversed(INPUTS.items()))])
@pytest.mark.parametrize("settings", [SETTINGS, SETTINGS | {"ef": (10, 20)}, dict(reversed(SETTINGS.items()))])
def test_an_artifact_is_fresh_while_nothing_changed_that_can_be_known(settings, inputs, tmp_path):
    assert stale_reason(make(tmp_path / "a", settings=SETTINGS, inputs=INPUTS), settings, inputs) is None


def test_the_digest_is_of_the_files_alone(tmp_path):
    first = read_manifest(make(tmp_path / "a", settings={"seed": 1}))
    second = read_manifest(make(tmp_path / "b", settings={"seed": 2}, facts={"documents": 3}))
    third = read_manifest(make(tmp_path / "c", "else"))
    assert first.digest == second.digest != third.digest


def test_a_manifest_holds_no_absolute_path_and_no_name_of_user_or_machine(tmp_path, workspace):
    for folder in (make(tmp_path / "a"), make(workspace.collection("tiny").vectors("a"))):
        text = (folder / "manifest.json").read_text()
        for secret in (str(tmp_path), str(Path.home()), str(ROOT), platform.node()):
            assert secret not in text
        assert not re.search(rf"\b{re.escape(getpass.getuser())}\b", text)
        assert not re.search(r'"(/|[A-Za-z]:\\\\)', text)


def test_a_manifest_says_what_made_the_artifact(tmp_path):
    facts = {}
    with writing(tmp_path / "a", "a stage", {"seed": 1}, {"collection": "abc"}, facts) as partial:
        (partial / "file").write_text("x")
        facts["documents"] = 7
    manifest = json.loads((tmp_path / "a" / "manifest.json").read_text())
    assert (manifest["stage"], manifest["settings"], manifest["inputs"]) == (
        "a stage",
        {"seed": 1},
        {"collection": "abc"},
    )
    assert manifest["facts"] == {"documents": 7}
    assert manifest["versions"]["python"] == platform.python_version()
    assert 0 <= manifest["seconds"] < 10
    assert re.fullmatch(r"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\dZ", manifest["finished"])


def test_a_text_is_replaced_whole(tmp_path):
    write_text(tmp_path / "a.txt", "old\n")
    write_text(tmp_path / "a.txt", "new é\n")
    assert (tmp_path / "a.txt").read_bytes() == "new é\n".encode()
    assert len(list(tmp_path.iterdir())) == 1


def test_two_builds_do_not_write_the_same_artifacts(tmp_path):
    with building(tmp_path / "a", "a"):
        with pytest.raises(UserError, match="another build"), building(tmp_path / "a", "a"):
            pass
        with building(tmp_path / "b", "b"):
            pass
    with building(tmp_path / "a", "a"):
        pass


def test_the_lock_of_a_build_that_was_killed_is_free(tmp_path):
    script = f"""
from pathlib import Path
from core.workspace.artifacts import building
with building(Path({str(tmp_path / "a")!r}), "a"):
    print("held", flush=True)
    input()
"""
    with subprocess.Popen(
        [sys.executable, "-c", script], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout.readline() == "held\n"
        with pytest.raises(UserError, match="another build"), building(tmp_path / "a", "a"):
            pass
        other.kill()
        other.wait()
    with building(tmp_path / "a", "a"):
        pass
