"""The overfitting test: a model must learn a few pairs by heart, or its loss, pooling or data are at fault.

It is the shortest test of a training as a whole. What it learns means nothing.
"""

from pathlib import Path
from typing import Any

from core.formats.triples import Triple
from core.training import bi_encoder
from core.workspace.profile import FinetuneSettings, ReplaySettings

PAIRS = 10
STEPS = 100
LEARNING_RATE = 2e-4
"""The least learning rate: that of a profile would take many more steps."""


def settings_of(settings: FinetuneSettings) -> FinetuneSettings:
    """Return the settings of the test: those of a training on triples, without what keeps it from overfitting."""
    changed: dict[str, Any] = {
        "data": "triples",
        "teacher": "",
        "hard_negatives": 0,
        "batch": PAIRS,
        "accumulate": 1,
        "epochs": STEPS,
        "steps": STEPS,
        "learning_rate": max(settings.learning_rate, LEARNING_RATE),
        "schedule": "constant_with_warmup",
        "warmup": 0.0,
        "dropout": 0.0,
        "precision": "fp32",
        "evaluate_every": 5,
        "held_out_rows": 0,
        "best_by": "last",
        "average_last": 1,
        "base_share": 0.0,
        "patience": 0,
        "replay": ReplaySettings(),
    }
    return settings.model_copy(update=changed)


def learn_by_heart(
    settings: FinetuneSettings, base: Path, triples: list[Triple], device: str
) -> tuple[list[dict[str, Any]], float]:
    """Train on a few triples until they are known by heart.

    Returns:
        The trainer's log, and MRR@10 among the triples' passages before training.
    """
    model = bi_encoder.build_model(settings, base, device)
    evaluator = bi_encoder.held_out_evaluator(triples, settings.similarity)
    before = float(evaluator(model)[str(evaluator.primary_metric)])
    rows = bi_encoder.triple_rows(triples, settings.use_negative)
    return bi_encoder.fit(model, rows, rows, settings, None, evaluator), before
