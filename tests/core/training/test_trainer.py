"""The arguments that both trainings share."""

import pytest
import torch
from sentence_transformers import SentenceTransformerTrainingArguments
from transformers import Seq2SeqTrainingArguments, Trainer, TrainerControl, TrainerState, TrainingArguments

from core.training.trainer import average_weights, early_stopping, last_checkpoint, steps_of, trainer_arguments
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
    assert trainer_arguments(settings, 300, tmp_path, "cpu", None)["eval_steps"] == 20, "10 steps of 4 batches, twice"
    assert trainer_arguments(settings, 0, tmp_path, "cpu", None)["eval_steps"] == 2


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


@pytest.mark.parametrize(("rows", "batch", "accumulate", "epochs"), [(801, 8, 1, 2), (300, 8, 4, 2), (10, 16, 1, 0.5)])
def test_steps_are_those_that_transformers_takes(rows, batch, accumulate, epochs, tmp_path):
    arguments = TrainingArguments(
        str(tmp_path), per_device_train_batch_size=batch, gradient_accumulation_steps=accumulate,
        num_train_epochs=epochs, use_cpu=True,
    )  # fmt: skip
    trainer = Trainer(torch.nn.Linear(1, 1), arguments, train_dataset=list(range(rows)), data_collator=list)
    *_, steps = trainer.set_initial_training_values(arguments, trainer.get_train_dataloader())
    assert steps_of(rows, batch, accumulate, epochs) == steps
    assert steps_of(rows, batch, accumulate, epochs, 3) == min(3, steps)


def test_weights_are_averaged():
    """Worked by hand."""
    models = [torch.nn.Linear(2, 1) for _ in range(3)]
    for model, value in zip(models[1:], (1.0, 4.0), strict=True):
        torch.nn.init.constant_(model.weight, value)
        torch.nn.init.constant_(model.bias, -value)
    average_weights(models[0], models[1:])
    assert models[0].weight.tolist() == [[2.5, 2.5]] and models[0].bias.tolist() == [-2.5]
    assert models[1].weight.tolist() == [[1, 1]]
