"""Faults that ending, damaging and filling found, each with the test that keeps it away."""

import errno
import getpass
import json
import multiprocessing
import re
import shutil
import zipfile
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from small_build import prepare
from stages import folder_at
from stages import make as make_stage

from core import encode
from core.build import run_build
from core.derive import derive
from core.evaluation.ann_sweep import _built
from core.formats.collections import collection_digests
from core.import_runs import import_runs
from core.indexes.exact import ExactIndex
from core.retrieval.encoder import load_encoder
from core.retrieval.kinds import open_system
from core.training.length_batches import LengthSampler
from core.workspace.artifacts import (
    is_whole,
    open_artifact,
    read_manifest,
    stale_reason,
    write_text,
    writing,
)
from core.workspace.command_line import save_profile
from core.workspace.errors import UserError
from core.workspace.models import model_digest
from core.workspace.profile import IndexSettings, Profile, find_settings, read_profile
from core.workspace.progress import ProgressLog, new_array
from core.workspace.stage import Build

pytestmark = pytest.mark.slow


def make(folder, content="content", **options):
    with writing(folder, "a stage", {}, {}, **options) as partial:
        (partial / "file.txt").write_text(content)
    return folder


# Ended in the middle


def test_what_was_killed_while_it_was_sealed_goes_on_and_is_whole(tmp_path):
    with pytest.raises(KeyboardInterrupt), writing(tmp_path / "a", "a stage", {}, {}, resume=True) as partial:
        (partial / "file.txt").write_text("content")
        write_text(partial / "manifest.json", "{}")
        (partial / ".manifest.json.tmp").write_text("{")
        raise KeyboardInterrupt
    make(tmp_path / "a", resume=True)
    assert set(open_artifact(tmp_path / "a").files) == {"file.txt"}
    assert {path.name for path in (tmp_path / "a").iterdir()} == {"file.txt", "manifest.json"}


def test_what_was_killed_between_two_renames_is_still_there(tmp_path):
    make(tmp_path / "a", "old")
    (tmp_path / "a").rename(tmp_path / ".a.old")
    with pytest.raises(ValueError), writing(tmp_path / "a", "a stage", {}, {}):
        raise ValueError
    assert (tmp_path / "a" / "file.txt").read_text() == "old"
    assert is_whole(tmp_path / "a")


def write_while_another_does(folder, answers):
    try:
        make(folder)
        answers.put("made")
    except UserError as error:
        answers.put(str(error))


def test_two_processes_do_not_write_one_artifact(tmp_path):
    context = multiprocessing.get_context("fork")
    answers = context.Queue()
    with writing(tmp_path / "a", "a stage", {}, {}) as partial:
        (partial / "file.txt").write_text("ours")
        other = context.Process(target=write_while_another_does, args=(tmp_path / "a", answers))
        other.start()
        assert answers.get(timeout=30) == "another process is writing a; wait until it has finished"
        other.join()
    assert (tmp_path / "a" / "file.txt").read_text() == "ours"


def test_batches_of_an_epoch_do_not_depend_on_the_epochs_before():
    lengths = [1, 7, 3, 9, 2, 8, 4, 6] * 8
    through, resumed = LengthSampler(4, lengths, 13), LengthSampler(4, lengths, 13)
    first = list(through)
    through.set_epoch(1)
    resumed.set_epoch(1)
    second = list(through)
    assert second == list(resumed)
    assert sorted(first) == sorted(second) == list(range(64))
    assert first != second


@pytest.mark.parametrize("kind", ["hnsw", "hnswlib", "faiss-sq8"])
@pytest.mark.parametrize("left", ["cut", "without its file", "without what stands beside it"])
def test_an_index_that_an_interruption_left_in_part_is_built_anew(kind, left, tmp_path):
    vectors = np.random.default_rng(1).normal(size=(60, 8)).astype(np.float32)
    settings = IndexSettings(kind=kind)
    log = ProgressLog(tmp_path)
    with pytest.raises(KeyboardInterrupt), log:
        _built(settings, "cosine", vectors, 13, tmp_path, log)
        raise KeyboardInterrupt
    path = tmp_path / f"index-{kind}"
    if left == "cut":
        path.write_bytes(path.read_bytes()[:-40])
    elif left == "without its file":
        path.unlink()
    else:
        path.with_name(f"{path.name}.json").unlink(missing_ok=True)
    with ProgressLog(tmp_path) as log:
        assert log.done
        index, _, _ = _built(settings, "cosine", vectors, 13, tmp_path, log)
    exact = ExactIndex("cosine")
    exact.build(vectors)
    assert np.array_equal(index.search(vectors[:5], 1)[0], exact.search(vectors[:5], 1)[0])


# A full disk


def test_a_full_disk_is_a_sentence_whatever_the_library_says(tmp_path, monkeypatch):
    said = "the disk is full: a could not be written; free some space"
    with pytest.raises(UserError, match=said), writing(tmp_path / "a", "a stage", {}, {}):
        raise OSError(errno.ENOSPC, "No space left on device")
    with pytest.raises(RuntimeError), writing(tmp_path / "a", "a stage", {}, {}):
        raise RuntimeError("a fault of ours")
    monkeypatch.setattr("core.workspace.artifacts.shutil.disk_usage", lambda _: SimpleNamespace(free=0))
    with pytest.raises(UserError, match="the disk is full"), writing(tmp_path / "a", "a stage", {}, {}):
        raise RuntimeError("write failed")
    assert not (tmp_path / "a").exists()


def test_the_space_of_vectors_is_taken_before_they_are_written(tmp_path):
    rows = new_array(tmp_path / "vectors.npy", (1000, 100))
    assert rows.shape == (1000, 100)
    status = (tmp_path / "vectors.npy").stat()
    assert status.st_size >= 400_000
    if hasattr(status, "st_blocks"):
        assert 512 * status.st_blocks >= 400_000


# Damaged


CHANGES = [('"documents": 777', '"documents": 377'), ('"k1": 1.5', '"k1": 1.4'), ('"corpus": "b"', '"corpus": "c"')]


@pytest.mark.parametrize("change", CHANGES)
def test_a_figure_changed_in_a_manifest_is_found_out(change, tmp_path):
    with writing(tmp_path / "a", "a stage", {"k1": 1.5}, {"corpus": "b"}, {"documents": 777}) as partial:
        (partial / "file").write_text("x")
    path = tmp_path / "a" / "manifest.json"
    text = path.read_text()
    assert change[0] in text
    path.write_text(text.replace(*change))
    with pytest.raises(UserError, match=r"manifest\.json is damaged"):
        open_artifact(tmp_path / "a")
    assert stale_reason(tmp_path / "a", {"k1": 1.5}, {"corpus": "b"}) == "its manifest is damaged"


def test_a_manifest_of_an_earlier_version_is_read(tmp_path):
    path = make(tmp_path / "a") / "manifest.json"
    table = json.loads(path.read_text())
    del table["sha256"]
    path.write_text(json.dumps(table))
    assert is_whole(tmp_path / "a")
    with pytest.raises(UserError, match=r"does not list other\.txt"):
        open_artifact(tmp_path / "a", "other.txt")


def test_a_manifest_of_another_artifact_is_a_sentence(dense):
    _, folder, _ = dense
    shutil.copy(folder / "measures" / "manifest.json", folder / "collection" / "manifest.json")
    with pytest.raises(UserError, match=r"collection/manifest\.json does not list corpus\.jsonl"):
        collection_digests(folder, "corpus.jsonl")


def test_a_saved_profile_that_was_changed_is_found_out(tmp_path):
    save_profile(Profile.model_validate({"collection": {"name": "a"}, "system": []}), folder_at(tmp_path))
    path = tmp_path / "profile.json"
    assert read_profile(str(path)).depth == 1000
    path.write_text(path.read_text().replace('"depth": 1000', '"depth": 1001'))
    with pytest.raises(UserError, match=r"profile\.json: damaged, or edited"):
        read_profile(str(path))


@pytest.fixture
def dense(encoder, beir_folder, workspace):
    """A profile with a dense system whose model is in the workspace, and its vectors."""
    model = shutil.copytree(encoder, workspace.root / "models" / "mine")
    profile = Profile.model_validate(
        {
            "collection": {"name": "tiny", "source": str(beir_folder())},
            "system": [{"name": "dense", "kind": "dense", "model": "artifacts/models/mine"}],
            "ann": {"index": []},
        }
    )
    folder = workspace.collection("tiny")
    run_build(Build(profile, folder, "cpu"), say=lambda _: None)
    return profile, folder, model


def test_a_query_is_not_answered_by_another_model_than_made_the_vectors(dense):
    profile, folder, model = dense
    system = find_settings(profile, "dense")
    assert open_system(profile, system, folder, "cpu").search(["masks"], 2)[0].hits
    weights = next(model.rglob("*.safetensors"))
    content = bytearray(weights.read_bytes())
    content[-5] ^= 1
    weights.write_bytes(content)
    with pytest.raises(UserError, match=r"models/mine are not those that made artifacts/tiny/vectors/dense.*build\.py"):
        open_system(profile, system, folder, "cpu").search(["masks"], 2)


def test_a_trained_model_that_is_damaged_is_named_with_its_training(dense, workspace):
    profile, folder, model = dense
    sealed = workspace.model("artifacts/models/sealed")
    with writing(sealed, "finetune", {}, {}) as partial:
        shutil.copytree(model, partial, dirs_exist_ok=True)
    (sealed / "config_sentence_transformers.json").write_text("{}")
    system = find_settings(profile, "dense").model_copy(update={"model": "artifacts/models/sealed"})
    with pytest.raises(UserError, match=r"sealed/config_sentence.*damaged.*python -m core\.finetune$"):
        load_encoder(workspace, system, "cpu")


def test_the_digest_of_a_model_is_taken_when_it_was_fetched(dense, monkeypatch):
    profile, folder, model = dense
    system = find_settings(profile, "dense")
    kept = model.rename(model.with_name("elsewhere"))
    fetched = encode.locate_model

    def fetch(workspace, name):
        if not model.exists():
            kept.rename(model)
        return fetched(workspace, name)

    monkeypatch.setattr(encode, "locate_model", fetch)
    make_stage(encode.STAGE, profile, folder, system)
    assert read_manifest(folder.vectors("dense")).inputs["model"] == model_digest(model)


def test_commands_that_mend_are_commands_that_there_are(workspace):
    damaged = make(workspace.model("artifacts/models/fine-tuned"))
    (damaged / "file.txt").write_text("CONTENT")
    with pytest.raises(UserError, match=r"python -m core\.finetune$"):  # which knows no --force
        open_artifact(damaged)
    assert "--force" not in workspace.collection("trec-covid").bm25("bm25").command


@pytest.fixture
def imported(workspace, tmp_path):
    """A collection of one imported run, the run and its qrels."""
    run, qrels = tmp_path / "a.run", tmp_path / "qrels.txt"
    run.write_text("1 Q0 d1 1 2.0 t\n1 Q0 d2 2 1.0 t\n")
    qrels.write_text("1 0 d1 0\n1 0 d2 1\n")
    folder = workspace.collection("mine")
    import_runs(folder, [run], qrels)
    return folder, run, qrels


def test_imported_judgments_that_are_damaged_come_in_again(imported):
    folder, run, qrels = imported
    path = folder / "collection" / "qrels" / "test.tsv"
    path.write_text(path.read_text().replace("d2\t1", "d2\t2"))
    with pytest.raises(UserError, match=r"test\.tsv is damaged .*import_runs RUN --name mine --qrels FILE"):
        import_runs(folder, [run])
    import_runs(folder, [run], qrels)
    assert is_whole(folder.collection)
    (folder / "runs" / "a" / "run.trec").unlink()
    with pytest.raises(UserError, match=r"run\.trec is missing.*import_runs RUN --name mine$"):
        open_artifact(folder.run("a"))


def test_a_derivation_that_was_killed_can_be_made_again(imported, workspace):
    _, _, qrels = imported
    folder = derive(workspace, "mine", "again", qrels)
    folder.profile.unlink()  # it is written when the collection and the runs are
    derive(workspace, "mine", "again", qrels)
    with pytest.raises(UserError, match="a collection named again already exists"):
        derive(workspace, "mine", "again", qrels)


# The small build of the campaigns


def test_no_manifest_names_a_place_or_a_person(workspace, tmp_path):
    profile = prepare(tmp_path / "source", workspace.root, documents=20)
    systems = [system for system in profile.system if system.name in ("bm25", "tiny")]
    plain = profile.model_copy(update={"system": systems})
    folder = workspace.collection("small")
    outcomes = run_build(Build(plain, folder, "cpu"), say=lambda _: None)
    assert {outcome.result for outcome in outcomes} == {"made"}
    committed = Path(__file__).resolve().parents[2] / "artifacts" / "sample"
    found = [*folder.path.rglob("manifest.json"), *committed.rglob("manifest.json")]
    assert len(found) > 15
    for path in found:
        text = path.read_text()
        assert not re.search(r'"(/|[A-Za-z]:\\\\|~/|file:)', text), path
        assert str(tmp_path) not in text
        assert not re.search(rf"\b{re.escape(getpass.getuser())}\b", text), path


def test_an_upload_of_a_zip_is_refused_as_a_run(tmp_path):
    from core.formats.runs import read_run

    with zipfile.ZipFile(tmp_path / "a.run", "w") as file:
        file.writestr("x", "1 Q0 d1 1 1 t\n")
    with pytest.raises(UserError, match=r"a\.run"):
        read_run(tmp_path / "a.run")
