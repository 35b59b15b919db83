"""The arguments that both trainings share."""

import pytest
from sentence_transformers import SentenceTransformerTrainingArguments
from transformers import Seq2SeqTrainingArguments, TrainerControl, TrainerState

from core.training.trainer import early_stopping, last_checkpoint, trainer_arguments
from core.workspace.profile import Doc2querySettings, FinetuneSettings

COMMON = {"batch": 8, "epochs": 2, "learning_rate": 1e-3, "warmup": 0.1, "evaluate_every": 50, "seed": 7}


def test_both_trainers_get_the_same_arguments_from_the_same_settings(tmp_path):
    fine_tuned, t5 = (
        kind(**trainer_arguments(settings, 801, tmp_path, "cpu", "eval_loss"))
        for kind, settings in (
            (SentenceTransformerTrainingArguments, FinetuneSettings(**COMMON, schedule="linear")),
            (Seq2SeqTrainingArguments, Doc2querySettings(**COMMON, schedule="linear")),
        )
    )
    shared = set(trainer_arguments(Doc2querySettings(), 1, tmp_path, "cpu", None))
    assert {name: getattr(fine_tuned, name) for name in shared} == {name: getattr(t5, name) for name in shared}
    assert t5.warmup_steps == 20, "a tenth of 801 / 8 * 2 steps"
    assert (t5.eval_steps, t5.save_steps, t5.seed) == (50, 50, 7)
    assert t5.load_best_model_at_end and not t5.greater_is_better


def test_accumulated_batches_make_fewer_steps_and_a_short_training_ends_with_a_validation(tmp_path):
    settings = FinetuneSettings(**COMMON, accumulate=4)
    arguments = trainer_arguments(settings, 800, tmp_path, "cpu", "eval_held-out_cosine_mrr@10")
    assert arguments["warmup_steps"] == 5, "a tenth of 800 / 8 / 4 * 2 steps"
    assert arguments["greater_is_better"]
    assert trainer_arguments(settings, 300, tmp_path, "cpu", None)["eval_steps"] == 18
    assert trainer_arguments(settings, 0, tmp_path, "cpu", None)["eval_steps"] == 1


def test_without_validation_nothing_is_compared(tmp_path):
    arguments = SentenceTransformerTrainingArguments(**trainer_arguments(FinetuneSettings(), 10, tmp_path, "cpu", None))
    assert arguments.eval_strategy == "no"
    assert not arguments.load_best_model_at_end


def test_training_ends_after_so_many_validations_without_a_better_one(tmp_path):
    assert early_stopping(0) == []
    (callback,) = early_stopping(2)
    arguments = Seq2SeqTrainingArguments(**trainer_arguments(Doc2querySettings(), 10, tmp_path, "cpu", "eval_loss"))
    state, control, stopped = TrainerState(best_metric=1.0), TrainerControl(), []
    for loss in (1.5, 0.9, 1.2, 1.1):
        callback.on_evaluate(arguments, state, control, metrics={"eval_loss": loss})
        stopped.append(control.should_training_stop)
    assert stopped == [False, False, False, True]


@pytest.mark.parametrize("state", [None, "", '{"global_step": 3'])
def test_a_checkpoint_that_was_cut_short_is_removed(state, tmp_path):
    for step in (9, 10):
        (tmp_path / f"checkpoint-{step}").mkdir()
        (tmp_path / f"checkpoint-{step}" / "trainer_state.json").write_text("{}")
    assert last_checkpoint(tmp_path) == str(tmp_path / "checkpoint-10")
    newest = tmp_path / "checkpoint-11"
    newest.mkdir()
    if state is not None:
        (newest / "trainer_state.json").write_text(state)
    assert last_checkpoint(tmp_path) == str(tmp_path / "checkpoint-10")
    assert not newest.exists()
    assert last_checkpoint(tmp_path / "none") is None
