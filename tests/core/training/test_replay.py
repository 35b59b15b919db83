"""Replay: several sources at once, each with its loss, in the proportions that were set."""

from collections import Counter

import numpy as np
import pytest
import torch
from datasets import DatasetDict
from pydantic import ValidationError
from safetensors.torch import load_file
from scipy.special import softmax
from scipy.stats import entropy
from sentence_transformers.sentence_transformer.losses import MultipleNegativesRankingLoss

from core.formats.triples import Triple
from core.training import bi_encoder, histories
from core.training.bi_encoder import KEPT, REPLAYED, build_model, fit, mix_weights, training_rows, triple_rows
from core.training.overfitting import settings_of
from core.workspace.profile import FinetuneSettings, ReplaySettings, recorded
from core.workspace.workspace import Workspace

pytestmark = pytest.mark.slow

BATCH = 4


def settings(**changed):
    """Return settings of a short training with replay."""
    own = {"batch": BATCH, "max_tokens": 16, "learning_rate": 1e-3, "replay": {"triples": 0.5, "base": 1.0}}
    return FinetuneSettings(**(own | changed))


def some_triples(words, count, seed=5):
    """Return triples of random words, no text twice."""
    generator = np.random.default_rng(seed)
    texts = [[" ".join(generator.choice(words, n)) for n in (4, 9, 9)] for _ in range(count)]
    return [Triple(*(f"{text} {words[n]}" for text in row)) for n, row in enumerate(texts)]


def rows_of_all(tiny_bert, words, tmp_path, **changed):
    """Return an untrained model, and training and validation rows of 32 and 8 triples."""
    model = build_model(settings(**changed), tiny_bert, "cpu")
    folder = Workspace(tmp_path).collection("none")
    triples, held_out = some_triples(words, 32), some_triples(words, 8, seed=6)
    return model, training_rows(settings(**changed), folder, triples, held_out, model)


def batch_of(model, rows, begin=0):
    """Return the features and labels of a batch of rows, as the library's collator makes them."""
    columns = [name for name in rows.column_names if name != "label"]
    features = [model.preprocess(rows[name][begin : begin + BATCH]) for name in columns]
    label = torch.tensor(rows["label"][begin : begin + BATCH]) if "label" in rows.column_names else None
    return features, label


@pytest.mark.parametrize("similarity", ["cosine", "dot"])
def test_a_model_that_says_what_its_base_says_learns_nothing_from_it(similarity, tiny_bert, words, tmp_path):
    changed = {"similarity": similarity, "dropout": 0.0, "teacher_temperature": 2.0}
    model, (training, _) = rows_of_all(tiny_bert, words, tmp_path, **changed)
    loss = bi_encoder.training_loss(model, settings(**changed).model_copy(update=bi_encoder.SETTINGS_OF[KEPT]))
    value = loss(*batch_of(model, training[KEPT]))
    value.backward()
    assert abs(value.item()) < 1e-5
    assert all(weight.grad.abs().max() < 1e-4 for weight in model.parameters() if weight.grad is not None)


def test_its_loss_is_the_divergence_from_the_bases_distribution(tiny_bert, words, tmp_path):
    """Worked by scipy's relative entropy, each query alone."""
    base, (training, _) = rows_of_all(tiny_bert, words, tmp_path)
    rows = training[KEPT]
    model = build_model(settings(), tiny_bert, "cpu").eval()
    with torch.no_grad():
        for weight in model.parameters():
            weight.add_(0.02 * torch.randn(weight.shape, generator=torch.Generator().manual_seed(1)))
    chosen = settings(teacher_temperature=3.0).model_copy(update=bi_encoder.SETTINGS_OF[KEPT])
    loss = bi_encoder.training_loss(model, chosen)
    with torch.no_grad():
        ours = loss(*batch_of(model, rows, BATCH)).item()

    def distributions(encoder):
        texts = [rows[name][BATCH : 2 * BATCH] for name in ("query_1", "document")]
        queries, documents = (encoder.encode(column, normalize_embeddings=True) for column in texts)
        return softmax(20 * queries @ documents.T, axis=1)

    expected = np.mean([entropy(*pair) for pair in zip(distributions(base), distributions(model), strict=True)])
    assert ours > 1e-3 and ours == pytest.approx(expected, rel=1e-3)


def test_replayed_triples_have_the_library_s_loss(tiny_bert, words, tmp_path):
    changed = {"dropout": 0.0}
    model, (training, _) = rows_of_all(tiny_bert, words, tmp_path, **changed)
    features, label = batch_of(model, training[REPLAYED])
    chosen = settings(data="pseudo-labels").model_copy(update=bi_encoder.SETTINGS_OF[REPLAYED])
    own = bi_encoder.training_loss(model, chosen)
    theirs = MultipleNegativesRankingLoss(model)
    assert own(features, label).item() == pytest.approx(theirs(features, None).item(), rel=1e-5)


def watched(monkeypatch, stop_at=0):
    """Return a list to which the losses of a training are written as (rows have labels, value)."""
    seen, make = [], bi_encoder.training_loss

    def training_loss(model, settings):
        loss = make(model, settings)
        forward = loss.forward

        def write(features, labels):
            value = forward(features, labels)
            if model.training:
                seen.append((labels is not None, value.item()))
            if len(seen) == stop_at:
                raise KeyboardInterrupt
            return value

        loss.forward = write
        return loss

    monkeypatch.setattr(bi_encoder, "training_loss", training_loss)
    return seen


def test_an_epoch_has_each_source_in_its_proportion_and_scored_batches_whole(tiny_bert, words, tmp_path, monkeypatch):
    changed = {"learning_rate": 1e-12, "dropout": 0.0}
    model, (training, validation) = rows_of_all(tiny_bert, words, tmp_path, **changed)
    assert {name: len(rows) for name, rows in training.items()} == {"triples": 32, REPLAYED: 16, KEPT: 32}
    seen = watched(monkeypatch)
    history = fit(model, training, validation, settings(**changed), tmp_path / "checkpoints")
    assert Counter(scored for scored, _ in seen) == {False: 8 + 4, True: 8}
    assert max(value for scored, value in seen if scored) < 1e-4, "the scores are those of their batch"
    assert [scored for scored, _ in seen] != sorted(scored for scored, _ in seen), "sources alternate"
    assert histories.as_table(history)["held-out loss"].notna().any()


def test_a_training_that_is_stopped_ends_the_same(tiny_bert, words, tmp_path, monkeypatch):
    changed = {"epochs": 2, "dropout": 0.1, "evaluate_every": 6}
    ended = []
    for name, stop_at in (("whole", 0), ("stopped", 17)):
        torch.manual_seed(1)
        model, (training, validation) = rows_of_all(tiny_bert, words, tmp_path, **changed)
        if stop_at:
            with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
                watched(patched, stop_at)
                fit(model, training, validation, settings(**changed), tmp_path / name)
            model, (training, validation) = rows_of_all(tiny_bert, words, tmp_path, **changed)
        fit(model, training, validation, settings(**changed), tmp_path / name)
        ended.append(model.state_dict())
    assert all(torch.equal(weight, ended[1][name]) for name, weight in ended[0].items())


def test_the_last_checkpoints_are_averaged_and_then_mixed_with_the_base(tiny_bert, words, tmp_path):
    changed = {"best_by": "last", "average_last": 3, "evaluate_every": 4, "base_share": 0.25}
    model, (training, validation) = rows_of_all(tiny_bert, words, tmp_path, **changed)
    fit(model, training, validation, settings(**changed), tmp_path / "checkpoints")
    base = build_model(settings(**changed), tiny_bert, "cpu")
    mix_weights(model, base, 0.25)
    steps = [load_file(tmp_path / "checkpoints" / f"checkpoint-{n}" / "model.safetensors") for n in (12, 16, 20)]
    of_base, own = base[0].auto_model.state_dict(), model[0].auto_model.state_dict()
    for name in steps[0]:
        expected = 0.25 * of_base[name] + 0.75 * (steps[0][name] + steps[1][name] + steps[2][name]) / 3
        assert torch.allclose(own[name], expected, atol=1e-6), name


def test_a_training_without_replay_is_recorded_as_before():
    assert "replay" not in recorded(FinetuneSettings())
    assert recorded(settings())["replay"] == {"triples": 0.5, "base": 1.0, "collections": []}
    assert settings_of(settings()).replay == ReplaySettings(), "ten pairs are learned by heart without it"
    with pytest.raises(ValidationError, match="a cross-encoder has no setting replay"):
        settings(architecture="cross-encoder")
    with pytest.raises(ValidationError, match='add data = "pseudo-labels"'):
        settings(replay={"collections": ["scifact"]})


def test_without_replay_there_is_one_source(tiny_bert, words, tmp_path):
    _, (training, _) = rows_of_all(tiny_bert, words, tmp_path, replay=ReplaySettings())
    assert not isinstance(training, DatasetDict)
    assert training.column_names == triple_rows(some_triples(words, 1)).column_names
