"""How a model was fine-tuned, in a sentence."""

from types import SimpleNamespace

import pandas as pd
import pytest

from core.evaluation.training_figures import held_out_sentence, other_base_sentence, recipe_sentence, settings_table
from core.training.histories import Training
from core.workspace.workspace import Workspace

BASE = "nobody/base-model"


def training(**settings: object) -> Training:
    manifest = SimpleNamespace(settings={"base": BASE, **settings}, facts={"rows": 1234, "device": "cpu"}, seconds=2400)
    return Training(SimpleNamespace(name="tuned"), manifest, pd.DataFrame())  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"data": "pseudo-labels"}, "predicted queries, by distillation of a teacher's scores; topics and judgments"),
        ({"data": "triples", "teacher": "hub/large"}, "triples, by distillation of the scores of large"),
        ({"data": "triples", "teacher": ""}, "MS MARCO triples, with cross-entropy over in-batch negatives"),
        (
            {"data": "pseudo-labels", "replay": {"triples": 0.5, "base": 0.0, "collections": ["scifact"]}},
            "were not used; replayed: MS MARCO triples, the pseudo-labels of scifact (",
        ),
    ],
)
def test_the_recipe_names_base_data_and_loss(settings: dict[str, object], words: str) -> None:
    said = recipe_sentence(training(**settings, epochs=0.5, batch=64, learning_rate=5e-5))
    assert said.startswith("Model tuned: base-model, fine-tuned on ")
    assert words in said
    assert said.endswith("(1,234 rows, 0.5 epochs, batches of 64, learning rate 5e-5, 40 min on a CPU).")
    assert recipe_sentence(training(**settings)) in settings_table(training(**settings)).sentences


@pytest.mark.parametrize(
    ("settings", "before", "foreign", "saturated"),
    [
        ({"data": "pseudo-labels"}, 0.99, True, True),
        ({"data": "pseudo-labels", "replay": {"base": 0.5}}, 0.99, False, True),
        ({"data": "pseudo-labels", "replay": {"collections": ["scifact"]}}, 0.6, True, False),
        ({"data": "triples"}, 0.2, False, False),
    ],
)
def test_it_is_said_what_held_out_queries_tell(settings, before, foreign, saturated) -> None:
    trained = training(**settings)
    trained.manifest.facts["held_out_mrr@10"] = {"before": before, "after": 0.98}
    said = held_out_sentence(trained)
    assert ("MS MARCO is not in its training data" in said) == foreign
    assert ("The base is near 1 here" in said) == saturated


def test_ablations_of_another_base_model_are_said_to_be(workspace: Workspace) -> None:
    ablations = SimpleNamespace(settings={"recipe": {"base": "rasyosef/splade-tiny"}})
    said = other_base_sentence(workspace, ablations, training())  # type: ignore[arg-type]
    assert "another base model, splade-tiny (4 M parameters), not of base-model, the base of tuned" in said
    ablations.settings["recipe"]["base"] = BASE
    assert other_base_sentence(workspace, ablations, training()) == ""  # type: ignore[arg-type]
