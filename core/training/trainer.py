"""Training loop, trainer arguments, early stopping and resuming, shared by the trainings.

Training resumes from the checkpoints of transformers' trainer, which include the states of the optimizer and the random
number generators; all other stages resume with `core.workspace.progress`.
"""

import json
import re
from math import ceil
from pathlib import Path
from typing import Any

import torch
from datasets import DatasetDict
from sentence_transformers.base.sampler import DefaultBatchSampler
from torch.utils.data import SequentialSampler
from transformers import EarlyStoppingCallback, TrainerCallback

from core.workspace.artifacts import remove_tree
from core.workspace.models import chosen_precision
from core.workspace.profile import Doc2querySettings, FinetuneSettings


def trainer_arguments(
    settings: FinetuneSettings | Doc2querySettings, n_rows: int, checkpoints: Path, device: str, best_by: str | None
) -> dict[str, Any]:
    """Return arguments for `transformers.TrainingArguments` or a subclass, to train on `n_rows` rows.

    The model is validated and a checkpoint saved every `settings.evaluate_every` steps, or at the end if training is
    shorter; only the best and the last checkpoint are kept.

    Args:
        best_by: the metric that selects the checkpoint loaded at the end; None without validation.
    """
    finetune = settings if isinstance(settings, FinetuneSettings) else FinetuneSettings()
    accumulate = finetune.accumulate
    precision = chosen_precision(settings.precision, device)
    steps = steps_of(n_rows, settings.batch, accumulate, settings.epochs, finetune.steps)
    every = min(settings.evaluate_every, steps)
    return {
        "output_dir": str(checkpoints),
        "num_train_epochs": settings.epochs,
        "max_steps": steps if finetune.steps else -1,
        "per_device_train_batch_size": settings.batch,
        "per_device_eval_batch_size": settings.batch,
        "gradient_accumulation_steps": accumulate,
        "learning_rate": settings.learning_rate,
        "lr_scheduler_type": settings.schedule,
        "warmup_steps": int(steps * settings.warmup),
        "max_grad_norm": finetune.clip,
        "eval_strategy": "steps" if best_by else "no",
        "eval_steps": every,
        "save_steps": every,
        "save_total_limit": finetune.average_last,
        "load_best_model_at_end": bool(best_by),
        "metric_for_best_model": best_by or "eval_loss",
        "greater_is_better": not (best_by or "loss").endswith("loss"),
        "restore_callback_states_from_checkpoint": True,
        "logging_steps": min(10, every),
        "report_to": "none",
        "seed": settings.seed,
        "bf16": precision == "bf16",
        "fp16": precision == "fp16",
        "use_cpu": device == "cpu",
        "dataloader_pin_memory": False,
    }


def steps_of(n_rows: int, batch: int, accumulate: int, epochs: float, most: int = 0) -> int:
    """Return the number of optimizer steps of a training, as transformers counts them.

    Args:
        most: the maximum; 0 for none.
    """
    of_epoch = max(1, ceil(ceil(n_rows / batch) / accumulate))
    steps = max(1, ceil(of_epoch * epochs))
    return min(steps, most) if most else steps


def rows_of(training: Any, batch: int) -> int:
    """Return the number of rows that training data has; several sources count as many as their batches hold."""
    if not isinstance(training, DatasetDict):
        return len(training)
    return sum(ceil(len(source) / batch) * batch for source in training.values())


def fit(
    trainer_class: Any,
    arguments_class: Any,
    model: Any,
    loss: Any,
    training: Any,
    validation: Any | None,
    settings: FinetuneSettings,
    checkpoints: Path | None,
    evaluator: Any | None,
    **own: Any,
) -> list[dict[str, Any]]:
    """Train a model of sentence-transformers in place and return the trainer's log: step, losses and measures.

    With `validation`, the best checkpoint is loaded at the end, unless `settings.best_by` is "last".

    Args:
        training: the rows, or a `DatasetDict` of several sources, of which the first is validated; batches are drawn
            from each in proportion to its size. `loss` has one for each of them, by name.
        checkpoints: their folder; None to save none, so that the training cannot be resumed.
        own: arguments that this kind of model alone has.
    """
    best_by = "eval_loss" if validation else None
    if validation and isinstance(training, DatasetDict):
        first = next(iter(training))
        validation, best_by = DatasetDict({first: validation}), f"eval_{first}_loss"
    if validation and evaluator and settings.best_by == "mrr":
        best_by = f"eval_{evaluator.primary_metric}"
    rows = rows_of(training, settings.batch)
    arguments = trainer_arguments(settings, rows, checkpoints or Path(), model.device.type, best_by)
    if settings.best_by == "last" or checkpoints is None:
        arguments["load_best_model_at_end"] = False
    if checkpoints is None:
        arguments["save_strategy"] = "no"
    if not settings.shuffle:
        own["batch_sampler"] = in_order
    trainer = trainer_class(
        model=model,
        args=arguments_class(**arguments, **own),
        train_dataset=training,
        eval_dataset=validation,
        loss=loss,
        evaluator=evaluator if validation else None,
        callbacks=early_stopping(settings.patience if validation else 0),
    )
    trainer.train(resume_from_checkpoint=last_checkpoint(checkpoints) if checkpoints else None)
    if settings.average_last > 1 and checkpoints:
        average_weights(model, [type(model)(str(folder), device="cpu") for folder in whole_checkpoints(checkpoints)])
    history: list[dict[str, Any]] = trainer.state.log_history
    return history


def in_order(dataset: Any, **settings: Any) -> DefaultBatchSampler:
    """Return a batch sampler that takes the rows in their order."""
    return DefaultBatchSampler(SequentialSampler(dataset), **settings)


@torch.no_grad()
def average_weights(model: torch.nn.Module, others: list[torch.nn.Module]) -> None:
    """Set a model's weights to the mean of those of other models of its shape (Izmailov et al., 2018)."""
    states = [other.state_dict() for other in others]
    for name, weight in model.state_dict().items():
        if weight.is_floating_point():
            weight.copy_(torch.stack([state[name].to(weight) for state in states]).mean(0))


def early_stopping(patience: int) -> list[TrainerCallback]:
    """Return the callbacks that stop training after `patience` validations without improvement; none for 0."""
    return [EarlyStoppingCallback(patience)] if patience else []


def last_checkpoint(checkpoints: Path) -> str | None:
    """Return the newest complete checkpoint; see `whole_checkpoints`."""
    complete = whole_checkpoints(checkpoints)
    return str(complete[-1]) if complete else None


def whole_checkpoints(checkpoints: Path) -> list[Path]:
    """Return the complete checkpoints, oldest first, and delete incomplete ones left by an interruption.

    The trainer writes its state last, so a checkpoint without it is incomplete.
    """
    complete = []
    for path in checkpoints.glob("checkpoint-*"):
        try:
            json.loads((path / "trainer_state.json").read_text(encoding="utf-8"))
        except (OSError, ValueError):
            remove_tree(path)
            continue
        complete.append(path)
    return sorted(complete, key=lambda path: int(re.sub(r"\D", "", path.name)))
