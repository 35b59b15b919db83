"""Packing and opening: what is in an archive, checked with zipfile and hashlib, and what comes in elsewhere."""

import hashlib
import json
import zipfile
from pathlib import Path

import numpy as np
import packed
import pytest
from safetensors.numpy import save_file

from core import open as open_command
from core import pack
from core.artifact_list import inventory
from core.build import run_build
from core.evaluation.results import Results, saved_profile
from core.formats.collections import read_built_collection
from core.workspace import opening, packing
from core.workspace.artifacts import alone, is_whole, read_manifest
from core.workspace.errors import UserError
from core.workspace.models import find_model, model_digest
from core.workspace.stage import Build
from core.workspace.workspace import VARIABLE, CollectionFolder, Workspace

PARTS = ("texts", "predicted-queries", "vectors", "models")
OF_PARTS = {
    "texts": {"artifacts/collection/corpus.jsonl"},
    "predicted-queries": {"artifacts/doc2query/expansions.jsonl", "artifacts/bm25/expanded/predicted.jsonl"},
    "vectors": {"artifacts/vectors/tuned/vectors.npy", "artifacts/vectors/given/vectors.npy"},
    "models": {"models/tuned/config.json", "models/tuned/model.safetensors"},
}


@pytest.fixture(scope="module")
def built(tmp_path_factory) -> CollectionFolder:
    """The tiny collection, not to be changed."""
    return packed.build(tmp_path_factory.mktemp("here") / "artifacts")


@pytest.fixture
def here(built, monkeypatch) -> CollectionFolder:
    monkeypatch.setenv(VARIABLE, str(built.workspace.root))
    return built


@pytest.fixture
def elsewhere(tmp_path, monkeypatch):
    """A function that makes another, empty workspace the one of the commands."""

    def move() -> Workspace:
        root = tmp_path / "elsewhere" / "artifacts"
        monkeypatch.setenv(VARIABLE, str(root))
        return Workspace(root)

    return move


def packed_to(path: Path, command, *options: str) -> Path:
    outcome = command(pack.main, packed.NAME, "--to", path, *options)
    assert outcome.status == 0, outcome.err
    return path


def test_the_index_lists_every_file_with_its_digest(here, tmp_path, command):
    members = packed.contents(packed_to(tmp_path / "a.zip", command))
    index = json.loads(members.pop("rankscope.json"))
    assert {name: about["sha256"] for name, about in index["files"].items()} == {
        name: hashlib.sha256(content).hexdigest() for name, content in members.items()
    }
    own = index.pop("sha256")
    assert own == hashlib.sha256(json.dumps(index, sort_keys=True, ensure_ascii=False).encode()).hexdigest()
    assert index["left_out"] == {} and index["without"] == []
    assert index["models"]["nobody/such-a-model"] == {"sha256": "ab" * 32, "included": False}
    assert index["models"]["artifacts/models/tuned"]["included"]


def test_an_archive_holds_the_files_of_all_artifacts_as_they_are(here, tmp_path, command):
    members = packed.contents(packed_to(tmp_path / "a.zip", command))
    for artifact in here.artifacts():
        for name in ("manifest.json", *read_manifest(artifact).files):
            assert members[f"artifacts/{here.place(artifact)}/{name}"] == (artifact / name).read_bytes()


def test_no_path_of_this_machine_is_in_an_archive(here, tmp_path, command):
    members = packed.contents(packed_to(tmp_path / "a.zip", command))
    places = [str(here.workspace.root), str(here.workspace.root.parent), str(tmp_path), str(Path.home())]
    for name, content in members.items():
        assert not any(place.encode() in content for place in places if len(place) > 5), name
    profile = json.loads(members["artifacts/profile.json"])
    assert [system["model"] for system in profile["system"]][2:] == ["artifacts/models/tuned", "nobody/such-a-model"]


def test_the_same_collection_gives_the_same_archive(here, tmp_path, command):
    first, second = (packed_to(tmp_path / name, command) for name in ("a.zip", "b.zip"))
    assert first.read_bytes() == second.read_bytes()


def test_the_size_is_said_beforehand(here, tmp_path):
    expected = packing.estimate(packing.contents(here))
    size = packing.write_archive(packing.contents(here), tmp_path / "a.zip")
    assert size == (tmp_path / "a.zip").stat().st_size == pytest.approx(expected.bytes, rel=0.15)


@pytest.mark.parametrize("part", PARTS)
def test_a_part_is_left_out_and_nothing_else(here, tmp_path, command, part):
    whole = packed.contents(packed_to(tmp_path / "a.zip", command))
    less = packed.contents(packed_to(tmp_path / "b.zip", command, "--without", part))
    assert whole.keys() - less.keys() == OF_PARTS[part]
    index = json.loads(less["rankscope.json"])
    assert {f"{place}/{name}" for place, names in index["left_out"].items() for name in names} == OF_PARTS[part]


def test_without_texts_no_words_of_a_document_in_their_order(here, tmp_path, command):
    members = packed.contents(packed_to(tmp_path / "a.zip", command, "--without", "texts,predicted-queries"))
    assert not any(b"slow the spread" in content or b'do masks help"' in content for content in members.values())


def test_everything_is_equal_and_up_to_date_elsewhere(here, tmp_path, command, elsewhere):
    archive = packed_to(tmp_path / "a.zip", command)
    there = elsewhere()
    outcome = command(open_command.main, archive)
    assert outcome.status == 0 and "brought in: models/tuned" in outcome.out
    assert "not on this machine: the model nobody/such-a-model; hf download nobody/such-a-model" in outcome.out
    before, after = packed.tree(here.path), packed.tree(there.root / "tiny")
    assert {name: digest for name, digest in before.items() if "/." not in f"/{name}"} == after
    assert packed.tree(here.workspace.root / "models" / "tuned") == packed.tree(there.root / "models" / "tuned")
    folder, profile = saved_profile(there, "tiny")
    stale_here = {entry.place: entry.state for entry in inventory(saved_profile(here.workspace, "tiny")[1], here)}
    assert {entry.place: entry.state for entry in inventory(profile, folder)} == stale_here
    assert sorted(path.name for path in there.root.iterdir()) == ["models", "tiny"]


def test_another_name_is_that_of_the_profile_and_of_every_command(here, tmp_path, command, elsewhere):
    archive = packed_to(tmp_path / "a.zip", command)
    there = elsewhere()
    assert "opened artifacts/other" in command(open_command.main, archive, "--name", "other").out
    folder, profile = saved_profile(there, "other")
    assert profile.collection.name == "other"
    for artifact in folder.artifacts():
        assert is_whole(artifact)
        assert read_manifest(artifact).command == artifact.command
        assert "tiny" not in artifact.command


def test_what_is_not_included_is_said_and_makes_nothing_stale(here, tmp_path, command, elsewhere):
    archive = packed_to(tmp_path / "a.zip", command, "--without", ",".join(PARTS))
    there = elsewhere()
    out = command(open_command.main, archive).out
    again = "python scripts/build.py --profile artifacts/tiny/profile.json --only"
    assert f"not included: artifacts/tiny/collection/corpus.jsonl; to make it: {again} collection" in out
    assert f"not included: artifacts/tiny/doc2query/expansions.jsonl; to make it: {again} doc2query" in out
    folder, profile = saved_profile(there, "tiny")
    states = {entry.place: (entry.state, entry.reason) for entry in inventory(profile, folder)}
    reason = "not included in the archive that it came from: corpus.jsonl"
    assert states["artifacts/tiny/collection"] == ("not included", reason)
    assert states["artifacts/tiny/bm25/bm25"] == states["artifacts/tiny/runs/bm25"] == ("up to date", "")
    assert states["artifacts/models/tuned"][0] == "not included"
    with pytest.raises(UserError, match=r"corpus.jsonl is not included .*open an archive that includes it"):
        list(read_built_collection(folder).documents)
    assert Results(folder, profile).documents == {}
    ours, theirs = Results(*saved_profile(here.workspace, "tiny")), Results(folder, profile)
    assert ours.measured.tidy.equals(theirs.measured.tidy)


def test_a_collection_without_parts_is_packed_again_as_it_is(here, tmp_path, command, elsewhere):
    first = packed_to(tmp_path / "a.zip", command, "--without", "texts,models")
    elsewhere()
    command(open_command.main, first)
    second = packed_to(tmp_path / "b.zip", command)
    one, two = packed.contents(first), packed.contents(second)
    left_out = [json.loads(members.pop("rankscope.json"))["left_out"] for members in (one, two)]
    assert left_out[0] == left_out[1] and one == two


def test_texts_that_come_later_replace_the_collection(here, tmp_path, command, elsewhere):
    less = packed_to(tmp_path / "a.zip", command, "--without", "texts,models")
    whole = packed_to(tmp_path / "b.zip", command)
    there = elsewhere()
    command(open_command.main, less)
    before = packed.tree(there.root)
    outcome = command(open_command.main, whole)
    assert outcome.refused_with("artifacts/tiny exists", "--name NAME", "--replace")
    assert packed.tree(there.root) == before
    assert command(open_command.main, whole, "--replace").status == 0
    assert is_whole(there.collection("tiny").collection) and is_whole(there.model(packed.MODEL))
    assert len(read_built_collection(there.collection("tiny")).documents) == 3


def test_a_model_that_is_there_is_kept(here, tmp_path, command, elsewhere):
    archive = packed_to(tmp_path / "a.zip", command)
    there = elsewhere()
    mine = there.root / "models" / "tuned"
    mine.mkdir(parents=True)
    (mine / "config.json").write_text("mine")
    outcome = command(open_command.main, archive)
    assert "not brought in: models/tuned; another model of this name is on this machine" in outcome.out
    assert packed.tree(mine) == {"config.json": hashlib.sha256(b"mine").hexdigest()}


def test_models_of_others_are_included_on_request(here, tmp_path, command, elsewhere, monkeypatch):
    given = tmp_path / "models" / "such-a-model"
    (given / "1_Pooling").mkdir(parents=True)
    for name in ("config.json", "1_Pooling/config.json"):
        (given / name).write_text('{"model_type": "bert"}')
    save_file({"weight": np.ones(2, dtype=np.float32)}, given / "model.safetensors")
    (given / "pytorch_model.bin").write_text("a pickle, which is not read")
    (given / "1_Pooling" / "desktop.ini").write_text("left by a file manager, as in a published all-mpnet-base-v2")
    (given / "Thumbs.db").write_text("as well")
    monkeypatch.setenv("RANKSCOPE_MODELS", "")
    archive = packed_to(tmp_path / "a.zip", command, "--with", "hub-models", "--models", str(tmp_path / "models"))
    monkeypatch.setenv("RANKSCOPE_MODELS", "")
    there = elsewhere()
    assert "brought in: hub-models/nobody--such-a-model" in command(open_command.main, archive).out
    found = find_model(there, "nobody/such-a-model")
    assert found == there.downloads / "nobody--such-a-model"
    assert model_digest(found) == model_digest(given)
    assert not {"pytorch_model.bin", "desktop.ini", "Thumbs.db"} & {path.name for path in found.rglob("*")}


def test_an_existing_file_is_replaced_on_request_only(here, tmp_path, command):
    target = tmp_path / "a.zip"
    target.write_text("mine")
    assert command(pack.main, packed.NAME, "--to", target).refused_with("a.zip exists", "--replace")
    assert target.read_text() == "mine"
    packed_to(target, command, "--replace")
    assert zipfile.is_zipfile(target)


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        (["nothing"], ["there is no built collection nothing"]),
        (["tiny", "--without", "words"], ["unknown part 'words'", "texts"]),
        (["tiny", "--with", "words"], ["--with words", "hub-models"]),
        (["tiny", "--with", "hub-models"], ["nobody/such-a-model is not on this machine"]),
    ],
)
def test_what_cannot_be_packed_is_said(here, tmp_path, command, arguments, parts):
    assert command(pack.main, *arguments, "--to", tmp_path / "a.zip").refused_with(*parts)
    assert command(pack.main, "tiny", "--to", tmp_path / "no" / "a.zip").refused_with("there is no folder")
    assert not list(tmp_path.glob("*.zip")) and not list(tmp_path.glob(".*"))


def test_a_damaged_artifact_is_not_packed(tmp_path, command, monkeypatch):
    folder = packed.build(tmp_path / "artifacts")
    monkeypatch.setenv(VARIABLE, str(folder.workspace.root))
    run = folder.run("bm25") / "run.trec"
    run.write_bytes(run.read_bytes().replace(b"1", b"2", 1))
    outcome = command(pack.main, "tiny", "--to", tmp_path / "a.zip")
    assert outcome.status == 2 and "runs/bm25/run.trec is damaged, or was replaced" in outcome.err
    run.unlink()
    assert command(pack.main, "tiny", "--to", tmp_path / "a.zip").refused_with("runs/bm25/run.trec is missing")
    assert not list(tmp_path.glob("*.zip")) and not list(tmp_path.glob(".*.partial"))


@pytest.mark.parametrize("error", [KeyboardInterrupt(), OSError(28, "No space left on device")])
def test_an_interrupted_archive_leaves_no_file(here, tmp_path, command, monkeypatch, error):
    members = packing.contents(here)

    def blocks(member):
        if member.name.endswith("run.trec"):
            raise error
        yield b""

    monkeypatch.setattr(packing.Member, "blocks", blocks)
    monkeypatch.setattr(packing, "_write_member", lambda archive, member, count: list(member.blocks()))
    with pytest.raises((KeyboardInterrupt, UserError)):
        packing.write_archive(members, tmp_path / "a.zip")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("error", [KeyboardInterrupt(), OSError(28, "No space left on device")])
@pytest.mark.parametrize("at", ["_extract", "_check_contents", "_name_here", "_kept_because"])
@pytest.mark.parametrize("replacing", [False, True])
def test_an_interrupted_opening_changes_nothing(here, tmp_path, command, elsewhere, monkeypatch, error, at, replacing):
    archive = packed_to(tmp_path / "a.zip", command)
    there = elsewhere()
    there.root.mkdir(parents=True)
    if replacing:
        command(open_command.main, archive)
    before = packed.tree(there.root)
    done = getattr(opening, at)

    def interrupted(*arguments):
        done(*arguments)
        raise error

    monkeypatch.setattr(opening, at, interrupted)
    with opening.opened(archive) as checked, pytest.raises((KeyboardInterrupt, UserError)):
        opening.open_archive(there, checked, replace_collection=replacing)
    assert packed.tree(there.root) == before


def test_a_failed_last_step_takes_the_models_back(here, tmp_path, command, elsewhere, monkeypatch):
    archive = packed_to(tmp_path / "a.zip", command)
    there = elsewhere()
    rename = Path.rename

    def failing(path, target):
        if Path(target).name == "tiny":
            raise OSError(28, "No space left on device")
        return rename(path, target)

    monkeypatch.setattr(Path, "rename", failing)
    assert command(open_command.main, archive).status == 2
    assert packed.tree(there.root) == {}


def test_what_a_killed_opening_left_is_put_back(here, tmp_path, command, elsewhere):
    archive = packed_to(tmp_path / "a.zip", command)
    there = elsewhere()
    command(open_command.main, archive)
    before = packed.tree(there.root)
    partial = there.root / ".tiny.partial"  # killed between the two renames of a replacement
    partial.mkdir()
    (there.root / "tiny").rename(partial / "old")
    (partial / "new").mkdir()
    (partial / "new" / "half").write_text("half")
    assert [folder.name for folder in there.collections()] == []
    assert command(open_command.main, archive, "--replace").status == 0
    assert packed.tree(there.root) == before


def test_two_that_open_at_once_do_not_disturb_each_other(here, tmp_path, command, elsewhere):
    archive = packed_to(tmp_path / "a.zip", command)
    there = elsewhere()
    partial = there.root / ".tiny.partial"
    (partial / "new").mkdir(parents=True)
    (partial / "new" / "half").write_text("half")
    with alone(partial / ".lock", "busy"):
        assert "another process is opening an archive as tiny" in command(open_command.main, archive).err
        assert packed.tree(partial / "new").keys() == {"half"}
    assert command(open_command.main, archive).status == 0 and not partial.exists()


def test_a_disk_that_is_too_small_is_said_before_anything_is_written(here, tmp_path, command, elsewhere, monkeypatch):
    archive = packed_to(tmp_path / "a.zip", command)
    there = elsewhere()
    monkeypatch.setattr("core.workspace.opening.free_bytes", lambda _: 100)
    assert command(open_command.main, archive).refused_with("but only 100 are free")
    assert not there.root.exists()
    assert list(tmp_path.glob("elsewhere/**/*")) == []


def test_a_disk_that_is_too_small_for_the_archive_is_said_beforehand(here, tmp_path, command, monkeypatch):
    monkeypatch.setattr("core.pack.free_bytes", lambda _: 100)
    outcome = command(pack.main, "tiny", "--to", tmp_path / "a.zip")
    assert outcome.refused_with("but only 0 MB are free") and list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("name", "elsewhere_named"),
    [
        ("org/model", "org/model"),
        ("model", "model"),
        ("artifacts/models/mine", "artifacts/models/mine"),
        ("{root}/models/mine", "artifacts/models/mine"),
        ("../elsewhere/models/mine", "artifacts/models/mine"),
        ("/home/someone/models/mine", "mine"),
        ("../../someone/mine", "mine"),
    ],
)
def test_models_are_named_as_on_any_machine(tmp_path, name, elsewhere_named):
    workspace = Workspace(tmp_path / "elsewhere", checkout=tmp_path / "project")
    assert packing.model_name(workspace, name.format(root=workspace.root)) == elsewhere_named


def test_files_beyond_two_gibibytes_are_written_and_read(tmp_path):
    # ZIP64 without gigabytes: the limit from which it is used is lowered.
    large = np.zeros(3 << 20, dtype=np.uint8).tobytes()
    member = packing.Member("artifacts/vectors/a/vectors.npy", large, 5 << 30, hashlib.sha256(large).hexdigest())
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        packing._write_member(archive, member, lambda _: None)
    with zipfile.ZipFile(tmp_path / "a.zip") as archive:
        assert archive.read(member.name) == large


@pytest.mark.parametrize("without", ["", "texts,predicted-queries,vectors,models"])
def test_a_build_makes_nothing_of_an_opened_collection(tmp_path, command, elsewhere, without):
    archive = tmp_path / "a.zip"
    assert command(pack.main, "sample", "--to", archive, *(["--without", without] if without else [])).status == 0
    there = elsewhere()
    assert command(open_command.main, archive, "--name", "copy").status == 0
    folder, profile = saved_profile(there, "copy")
    said: list[str] = []
    outcomes = run_build(Build(profile, folder), say=said.append)
    assert {outcome.result for outcome in outcomes} == {"up to date"}
    states = [line.strip().split("  ")[0] for line in said if line.startswith("  ")]
    assert ("not included" in states) == bool(without) and set(states) <= {"up to date", "not included"}
    assert any("make it with --only collection" in line for line in said) == bool(without)
    if without:
        outcomes = run_build(Build(profile, folder, systems=("bm25",)), only="bm25", force=True, say=said.append)
        assert [(outcome.result, "corpus.jsonl is not included" in outcome.reason) for outcome in outcomes] == [
            ("failed", True)
        ]
        assert is_whole(folder.bm25("bm25"))
