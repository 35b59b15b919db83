"""The command finetune: the overfitting test, checks before and after, and a rehearsal."""

import random
from pathlib import Path

import pytest

from core import finetune
from core.training.histories import overfitting_sentence, read_checks, read_training
from core.workspace.artifacts import read_manifest
from core.workspace.profile import RECORDED_IF_SET

pytestmark = pytest.mark.slow

PROFILE = """
[collection]
name = "none"
[triples]
source = "{triples}"
held_out = 0.2
distractors = 10
[finetune]
base = "{base}"
model = "artifacts/models/own"
batch = 10
epochs = {epochs}
learning_rate = {rate}
max_tokens = 16
evaluate_every = 10
[[system]]
name = "own"
kind = "dense"
model = "artifacts/models/own"
similarity = "{similarity}"
"""


@pytest.fixture
def write(tmp_path, tiny_bert, words):
    """Return a function that writes a profile of a training on 60 triples, whose queries and passages share no word."""
    generator = random.Random(5)

    def text(some, length):
        return " ".join(generator.sample(some, length))

    triples = tmp_path / "triples.tsv"
    rows = ["\t".join([text(words[::2], 3), text(words[1::2], 6), text(words[1::2], 6)]) for _ in range(60)]
    triples.write_text("".join(f"{row}\n" for row in rows))

    def profile(**changed) -> Path:
        values = {"triples": triples, "base": tiny_bert, "epochs": 2, "rate": 2e-3, "similarity": "cosine"} | changed
        path = tmp_path / "own.toml"
        path.write_text(PROFILE.format(**values))
        return path

    return profile


def test_ten_pairs_are_learned_by_heart_and_the_history_is_kept(command, write, workspace, tiny_bert, monkeypatch):
    monkeypatch.setattr("core.training.overfitting.STEPS", 40)
    ended = command(finetune.main, "--profile", write(), "--overfit", "--device", "cpu")
    assert ended.status == 0, ended.err
    assert "Learned 10 pairs by heart: the loss went from " in ended.out
    test = read_training(workspace.overfitting(str(tiny_bert)))
    assert list(test.history["step"]) == list(range(5, 41, 5))
    assert test.history["loss"].iloc[0] > 1 > 0.05 > test.history["loss"].iloc[-1]
    assert test.manifest.facts["mrr@10 before"] < 1 == test.history["held-out MRR@10"].iloc[-1]
    assert not (workspace.root / "models").exists()


def test_pairs_that_are_not_learned_are_no_success(command, write, workspace, tiny_bert, monkeypatch):
    monkeypatch.setattr("core.training.overfitting.LEARNING_RATE", 1e-9)
    monkeypatch.setattr("core.training.overfitting.STEPS", 5)
    command(finetune.main, "--profile", write(rate=1e-9), "--overfit", "--device", "cpu")
    sentence = overfitting_sentence(read_training(workspace.overfitting(str(tiny_bert))))
    assert sentence.startswith("Did not learn 10 pairs by heart") and "--check" in sentence


def test_a_training_is_checked_before_and_after(command, write, workspace):
    """The system of the profile searches by another similarity."""
    profile = write(similarity="dot", epochs=12)
    before = command(finetune.main, "--profile", profile, "--check", "--device", "cpu")
    assert before.status == 0 and "after training" not in before.out, before.err
    ended = command(finetune.main, "--profile", profile, "--device", "cpu")
    own = workspace.model("artifacts/models/own")
    assert (own / "checks.csv").is_file() and ended.status == 0, ended.err
    assert not set(RECORDED_IF_SET) & set(read_manifest(own).settings), "older models stay up to date"
    again = command(finetune.main, "--profile", profile, "--check", "--device", "cpu")
    assert again.status == 0, again.err
    checks = read_checks(workspace, "artifacts/models/own")
    assert checks.artifact == workspace.checks("own")
    assert list(dict.fromkeys(checks.findings["when"])) == ["before training", "after training"]
    (fault,) = [fault for fault in checks.faults if "dot product" in fault]
    assert fault.startswith("own searches by the dot product, but the model was trained with cosine")
    assert f"after training, similarity: {fault}" in again.out and checks.sentence in again.out
    assert " pairs (held-out triples) found " in checks.sentence
    assert {"loss", "held-out MRR@10", "[CLS] against mean"} <= set(checks.findings["check"])


def test_a_model_by_name_is_checked_without_its_training(command, write, workspace, encoder):
    ended = command(finetune.main, "--profile", write(), "--check", encoder, "--device", "cpu")
    assert ended.status == 0 and "before training" not in ended.out, ended.err
    assert read_checks(workspace, str(encoder)) is not None


def test_a_rehearsal_trains_a_few_steps_under_another_name(command, write, workspace):
    ended = command(finetune.main, "--profile", write(epochs=40), "--dev", "--device", "cpu")
    assert ended.status == 0, ended.err
    manifest = read_manifest(workspace.model("artifacts/models/own-dev"))
    assert manifest.settings["steps"] == 20
    assert read_training(workspace.model("artifacts/models/own-dev")).history["step"].max() == 20
    assert "all 240 steps would take about" in ended.err and "mean nothing" in ended.err
    assert not workspace.model("artifacts/models/own").path.exists()


def test_the_last_checkpoints_are_averaged(command, write, workspace):
    profile = write(epochs=4)
    profile.write_text(profile.read_text().replace("[finetune]", '[finetune]\nbest_by = "last"\naverage_last = 2'))
    ended = command(finetune.main, "--profile", profile, "--device", "cpu")
    assert ended.status == 0, ended.err
    assert read_manifest(workspace.model("artifacts/models/own")).settings["average_last"] == 2


def test_a_cross_encoder_is_not_checked(command, write):
    profile = write()
    profile.write_text(profile.read_text().replace("[finetune]", '[finetune]\narchitecture = "cross-encoder"'))
    for mode in ("--check", "--overfit"):
        assert command(finetune.main, "--profile", profile, mode).refused_with("are for bi-encoders")
