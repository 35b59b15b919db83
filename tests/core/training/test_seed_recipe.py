"""The profile seed-recipe: what the exercise's notebook records, and its training loop written out."""

import random

import pytest
import torch
from sentence_transformers import SentenceTransformerTrainingArguments
from transformers import get_cosine_with_hard_restarts_schedule_with_warmup, get_scheduler

from core.formats.triples import Triple, split_by_row
from core.training.bi_encoder import build_model, fit, triple_rows
from core.training.trainer import trainer_arguments
from core.workspace.errors import UserError
from core.workspace.profile import find_settings, read_profile

RECIPE = read_profile("seed-recipe")


def test_the_settings_on_record():
    settings = RECIPE.finetune
    assert (settings.pooling, settings.towers, settings.similarity, settings.use_negative) == (
        "cls",
        "two",
        "dot",
        False,
    )
    assert (settings.learning_rate, settings.batch, settings.max_tokens, settings.epochs) == (2e-5, 32, 256, 15)
    assert settings.base == "microsoft/MiniLM-L12-H384-uncased" and settings.seed == 42
    dot, cosine = find_settings(RECIPE, "seed-recipe"), find_settings(RECIPE, "seed-recipe-cosine")
    assert (dot.similarity, cosine.similarity) == ("dot", "cosine")
    assert (cosine.vectors_of, cosine.model, cosine.max_tokens) == ("seed-recipe", dot.model, 256)


def test_the_split_is_the_notebook_s():
    """Which rows of the 11,000 its output shows among the training rows, and which it lacks there."""
    triples = [Triple(str(row), "a", "b") for row in range(11_000)]
    training, held_out = split_by_row(triples, RECIPE.finetune.held_out_rows, RECIPE.finetune.seed)
    rows = [int(triple.query) for triple in training]
    assert (len(training), len(held_out)) == (10_000, 1_000)
    assert rows[:5] == [0, 1, 2, 4, 5] and rows[-3:] == [10_995, 10_996, 10_997]
    assert set(rows) | {int(triple.query) for triple in held_out} == set(range(11_000))
    with pytest.raises(UserError, match="only 11000 triples"):
        split_by_row(triples, 11_000, 42)


def test_the_learning_rate_of_every_step_is_the_notebook_s(tmp_path):
    arguments = trainer_arguments(RECIPE.finetune, 10_000, tmp_path, "cpu", None)
    assert (arguments["eval_steps"], arguments["warmup_steps"], arguments["max_grad_norm"]) == (313, 469, 0)
    steps = 15 * 313

    def rates(scheduler_of):
        optimizer = torch.optim.AdamW([torch.nn.Parameter(torch.zeros(1))], lr=2e-5)
        scheduler, found = scheduler_of(optimizer), []
        for _ in range(steps):
            found.append(optimizer.param_groups[0]["lr"])
            optimizer.step()
            scheduler.step()
        return found

    theirs = rates(lambda optimizer: get_cosine_with_hard_restarts_schedule_with_warmup(optimizer, 469, steps))
    given = SentenceTransformerTrainingArguments(**arguments)
    ours = rates(
        lambda optimizer: get_scheduler(given.lr_scheduler_type, optimizer, given.get_warmup_steps(steps), steps)
    )
    assert ours == theirs
    assert max(ours) == 2e-5 and ours[0] == 0


@pytest.mark.slow
def test_a_training_is_the_notebook_s_loop_written_out(tiny_bert, words, tmp_path):
    """Two towers, the rows in their order, its own way to write the loss: each step has the same loss and rate."""
    generator = random.Random(3)
    rows = [Triple(" ".join(generator.sample(words, 3)), " ".join(generator.sample(words, 6)), "-") for _ in range(20)]
    epochs, batch = 8, 8
    changed = {"base": str(tiny_bert), "epochs": epochs, "batch": batch, "dropout": 0.0, "learning_rate": 3e-3}
    settings = RECIPE.finetune.model_copy(update={**changed, "evaluate_every": 1})
    model = build_model(settings, tiny_bert, "cpu")
    history = fit(model, triple_rows(rows, False), None, settings, None)

    expected = build_model(settings, tiny_bert, "cpu").train()
    optimizer = torch.optim.AdamW(expected.parameters(), lr=3e-3, weight_decay=0.0)
    steps = epochs * 3
    scheduler = get_cosine_with_hard_restarts_schedule_with_warmup(optimizer, int(0.1 * steps), steps)
    losses, rates = [], []
    for _ in range(epochs):
        for first in range(0, 20, batch):
            part = rows[first : first + batch]
            columns = ([row.query for row in part], "query"), ([row.relevant for row in part], "document")
            queries, passages = (
                expected(expected.preprocess(texts, task=role), task=role)["sentence_embedding"]
                for texts, role in columns
            )
            similarity = queries @ passages.T
            loss = -torch.log(torch.diag(similarity.exp()) / similarity.exp().sum(1)).mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
            rates.append(scheduler.get_last_lr()[0])
            scheduler.step()
    logged = [entry for entry in history if "loss" in entry]
    assert [entry["learning_rate"] for entry in logged] == pytest.approx(rates)
    assert losses[-1] < 0.2 * losses[2]
    # Rounding errors grow from step to step, so that only the first steps are the same.
    assert [entry["loss"] for entry in logged][:9] == pytest.approx(losses[:9], rel=0.01)
