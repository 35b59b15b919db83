"""What the trainings of the bi-encoder and the T5 share: the trainer's arguments, early stopping, resuming.

Training resumes from the checkpoints of transformers' own trainer, which hold the optimizer's and the random number
generators' states; all other stages resume by `core.workspace.progress`.
"""

import json
import re
from pathlib import Path
from typing import Any

from transformers import EarlyStoppingCallback, TrainerCallback

from core.workspace.artifacts import remove_tree
from core.workspace.profile import Doc2querySettings, FinetuneSettings


def trainer_arguments(
    settings: FinetuneSettings | Doc2querySettings, n_rows: int, checkpoints: Path, on_cpu: bool, best_by: str | None
) -> dict[str, Any]:
    """Return the arguments of `transformers.TrainingArguments`, and of its subclasses, for a training on `n_rows` rows.

    The model is validated, and a checkpoint written, every `settings.evaluate_every` steps, or at the end of a shorter
    training; only the best and the last checkpoint are kept.

    Args:
        best_by: the metric of the best checkpoint, which the model ends as; without validation, None.
    """
    accumulate = settings.accumulate if isinstance(settings, FinetuneSettings) else 1
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
        "bf16": settings.precision == "bf16",
        "fp16": settings.precision == "fp16",
        "use_cpu": on_cpu,
        "dataloader_pin_memory": False,
    }


def early_stopping(patience: int) -> list[TrainerCallback]:
    """Return the callbacks that end a training after `patience` validations without a better one; none for 0."""
    return [EarlyStoppingCallback(patience)] if patience else []


def last_checkpoint(checkpoints: Path) -> str | None:
    """Return the newest whole checkpoint, and remove those that an interruption cut short.

    The trainer writes its state last: a checkpoint without it is not whole.
    """
    found = []
    for path in checkpoints.glob("checkpoint-*"):
        try:
            json.loads((path / "trainer_state.json").read_text(encoding="utf-8"))
        except (OSError, ValueError):
            remove_tree(path)
            continue
        found.append(path)
    return str(max(found, key=lambda path: int(re.sub(r"\D", "", path.name)))) if found else None
