"""Training loop, trainer arguments, early stopping and resuming, shared by the trainings.

Training resumes from the checkpoints of transformers' trainer, which include the states of the optimizer and the random
number generators; all other stages resume with `core.workspace.progress`.
"""

import json
import re
from pathlib import Path
from typing import Any

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
    accumulate = settings.accumulate if isinstance(settings, FinetuneSettings) else 1
    precision = chosen_precision(settings.precision, device)
    steps = max(1, int(n_rows / settings.batch / accumulate * settings.epochs))
    every = min(settings.evaluate_every, steps)
    return {
        "output_dir": str(checkpoints),
        "num_train_epochs": settings.epochs,
        "per_device_train_batch_size": settings.batch,
        "per_device_eval_batch_size": settings.batch,
        "gradient_accumulation_steps": accumulate,
        "learning_rate": settings.learning_rate,
        "lr_scheduler_type": settings.schedule,
        "warmup_steps": int(steps * settings.warmup),
        "eval_strategy": "steps" if best_by else "no",
        "eval_steps": every,
        "save_steps": every,
        "save_total_limit": 1,
        "load_best_model_at_end": bool(best_by),
        "metric_for_best_model": best_by or "eval_loss",
        "greater_is_better": best_by not in (None, "eval_loss"),
        "restore_callback_states_from_checkpoint": True,
        "logging_steps": 10,
        "report_to": "none",
        "seed": settings.seed,
        "bf16": precision == "bf16",
        "fp16": precision == "fp16",
        "use_cpu": device == "cpu",
        "dataloader_pin_memory": False,
    }


def fit(
    trainer_class: Any,
    arguments_class: Any,
    model: Any,
    loss: Any,
    training: Any,
    validation: Any | None,
    settings: FinetuneSettings,
    checkpoints: Path,
    evaluator: Any | None,
    **own: Any,
) -> list[dict[str, Any]]:
    """Train a model of sentence-transformers in place and return the trainer's log: step, losses and measures.

    With `validation`, the best checkpoint is loaded at the end.

    Args:
        own: arguments that this kind of model alone has.
    """
    best_by = "eval_loss" if validation else None
    if validation and evaluator and settings.best_by == "mrr":
        best_by = f"eval_{evaluator.primary_metric}"
    arguments = trainer_arguments(settings, len(training), checkpoints, model.device.type, best_by)
    trainer = trainer_class(
        model=model,
        args=arguments_class(**arguments, **own),
        train_dataset=training,
        eval_dataset=validation,
        loss=loss,
        evaluator=evaluator if validation else None,
        callbacks=early_stopping(settings.patience if validation else 0),
    )
    trainer.train(resume_from_checkpoint=last_checkpoint(checkpoints))
    history: list[dict[str, Any]] = trainer.state.log_history
    return history


def early_stopping(patience: int) -> list[TrainerCallback]:
    """Return the callbacks that stop training after `patience` validations without improvement; none for 0."""
    return [EarlyStoppingCallback(patience)] if patience else []


def last_checkpoint(checkpoints: Path) -> str | None:
    """Return the newest complete checkpoint, and delete incomplete ones left by an interruption.

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
    return str(max(complete, key=lambda path: int(re.sub(r"\D", "", path.name)))) if complete else None
