"""Checks of a fine-tuning: planted faults are found, and good models have none."""

import random

import numpy as np
import pandas as pd
import pytest
import torch
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.modules import Pooling, Router

from core.formats.triples import Triple
from core.training import checks
from core.training.bi_encoder import build_model, fit, triple_rows
from core.training.checks import AFTER, BEFORE, Pairs
from core.workspace.models import locate_model
from core.workspace.profile import FinetuneSettings, Profile
from core.workspace.stage import Build
from core.workspace.workspace import CHECKOUT, Workspace

pytestmark = pytest.mark.slow

MINILM = "sentence-transformers/all-MiniLM-L6-v2"
PROJECT = Workspace(CHECKOUT / "artifacts")
PROFILE = {"collection": {"name": "sample"}, "system": [{"name": "bm25", "kind": "bm25"}]}


def faults(findings):
    """Return the names of the checks that found a fault."""
    return [finding.check for finding in findings if finding.fault]


def sentences(findings):
    return " ".join(finding.fault for finding in findings)


@pytest.fixture(scope="module")
def pairs():
    """Documents of the sample with their first predicted queries; the negative is the next one's document."""
    predicted = checks.predicted_pairs(Build(Profile(**PROFILE), PROJECT.collection("sample"))).triples
    texts = [" ".join(triple.relevant.split()[:40]) for triple in predicted]
    rows = zip(predicted, texts, [*texts[1:], texts[0]], strict=True)
    return Pairs([Triple(triple.query, own, other) for triple, own, other in rows], "predicted queries")


@pytest.fixture(scope="module")
def minilm():
    return SentenceTransformer(str(locate_model(PROJECT, MINILM)), device="cpu")


@pytest.fixture(scope="module")
def encoded(minilm, pairs):
    return checks.encode(minilm, pairs.queries, "query"), checks.encode(minilm, pairs.passages, "document")


def trained(tiny_bert, words, folder, **changed):
    """Return a tiny model that knows 60 unrelated pairs by heart, the pairs, its settings and its history."""
    generator = random.Random(5)

    def text(some, length):
        return " ".join(generator.sample(some, length))

    triples = [Triple(text(words[::2], 3), text(words[1::2], 6), text(words[1::2], 5)) for _ in range(60)]
    settings = FinetuneSettings(
        **({"epochs": 16, "batch": 20, "learning_rate": 2e-3, "max_tokens": 16, "base": str(tiny_bert)} | changed)
    )
    torch.manual_seed(1)
    model = build_model(settings, tiny_bert, "cpu")
    log = fit(model, triple_rows(triples), None, settings, None)
    history = pd.DataFrame([{"step": row["step"], "loss": float(row["loss"])} for row in log if "loss" in row])
    return model, checks.pairs_of(triples, []), settings, history


# Good models


@pytest.mark.parametrize("name", ["artifacts/models/fine-tuned", MINILM])
def test_a_good_model_has_no_fault(name, pairs, minilm):
    model = minilm if name == MINILM else SentenceTransformer(str(CHECKOUT / name), device="cpu")
    some = Pairs(pairs.triples[:16], pairs.source)
    found = checks.after_training(model, Profile(**PROFILE), some)
    found += checks.before_training(PROJECT, FinetuneSettings(base=MINILM), model, some, ())
    assert faults(found) == []
    assert len(found) > 12


def test_two_towers_that_learned_have_no_fault_and_swapped_ones_are_found(tiny_bert, words, tmp_path):
    model, pairs, settings, history = trained(tiny_bert, words, tmp_path, towers="two")
    assert faults(checks.check_model(model, settings, pairs)) == []
    assert faults(checks.check_history(history, settings)) == []
    (router,) = [module for module in model if isinstance(module, Router)]
    router.sub_modules["query"], router.sub_modules["document"] = (
        router.sub_modules["document"],
        router.sub_modules["query"],
    )
    assert "towers are confused" in sentences(checks.check_model(model, settings, pairs))


# Faults of settings and data


@pytest.mark.parametrize(("pooling", "fault"), [("cls", 'pools by "mean"'), ("mean", "")])
def test_another_pooling_than_the_base_s_own(pooling, fault):
    (found,) = checks.check_pooling(PROJECT, FinetuneSettings(base=MINILM, pooling=pooling))
    assert fault in found.fault and bool(found.fault) == bool(fault)


def test_queries_and_documents_swapped(pairs):
    swapped = Pairs([Triple(t.relevant, t.query, t.not_relevant) for t in pairs.triples], "")
    assert faults(checks.check_columns(swapped)) == ["columns"]
    assert faults(checks.check_columns(pairs)) == []


def test_a_batch_with_duplicate_positives():
    rows = [Triple(f"q{n // 2}", f"relevant {n}", f"other {n}") for n in range(8)]
    in_order = FinetuneSettings(batch=4, shuffle=False)
    (found,) = checks.check_duplicates(rows, in_order)
    assert found.measured == "2 of 2 batches" and "shuffle = true" in found.fault
    assert faults(checks.check_duplicates(rows[::2], in_order)) == []
    negative_of_another = [Triple("a", "p", "x"), Triple("b", "r", "p")]
    assert faults(checks.check_duplicates(negative_of_another, in_order)) == ["duplicates"]
    assert (
        faults(checks.check_duplicates(negative_of_another, in_order.model_copy(update={"use_negative": False}))) == []
    )
    assert list(checks.check_duplicates(rows, FinetuneSettings())) == []


# Faults of a model


def test_a_model_read_from_another_token_than_it_was_trained_for(pairs):
    """The base has no configuration of its pooling that could tell."""
    settings = FinetuneSettings(pooling="cls", max_tokens=128)
    model = build_model(settings, locate_model(PROJECT, MINILM), "cpu")
    queries, passages = (
        checks.encode(model, pairs.queries, "query"),
        checks.encode(model, pairs.passages, "document"),
    )
    (found,) = checks.check_other_pooling(queries, passages, settings, BEFORE)
    assert 'Set pooling = "mean"' in found.fault


def test_pooled_vectors_are_those_of_the_library(encoded):
    queries, _ = encoded
    cosine = checks.similarities(queries.vectors, queries.poolings["mean"], "cosine")
    assert np.diag(cosine) == pytest.approx(1, abs=1e-4)


class Unmasked(Pooling):
    """Mean pooling that counts the padding."""

    def forward(self, features):
        return super().forward(features | {"attention_mask": torch.ones_like(features["attention_mask"])})


def test_padding_that_changes_a_vector(tiny_bert, words):
    model = build_model(FinetuneSettings(max_tokens=16), tiny_bert, "cpu")
    pairs = Pairs([Triple(words[0], " ".join(words[:n]), "") for n in (2, 10)], "")
    assert faults(checks.check_padding(model, pairs, AFTER)) == []
    unmasked = SentenceTransformer(modules=[model[0], Unmasked(64)], device="cpu")
    (found,) = checks.check_padding(unmasked, pairs, AFTER)
    assert "padding is part of it" in found.fault


def test_collapsed_vectors(encoded):
    _, passages = encoded
    constant = np.ones_like(passages.vectors) + 1e-4 * passages.vectors
    assert faults(checks.check_vectors(constant, AFTER)) == ["spread"]
    assert faults(checks.check_vectors(np.zeros_like(constant), AFTER)) == ["lengths"]
    assert faults(checks.check_vectors(constant * np.nan, AFTER)) == ["lengths"]
    assert faults(checks.check_vectors(passages.vectors, AFTER)) == []


def test_a_range_of_scores_too_narrow_for_the_softmax(encoded):
    vectors = encoded[0].vectors, encoded[1].vectors

    def found(**settings):
        return sentences(checks.check_temperature(*vectors, FinetuneSettings(**settings), BEFORE))

    assert "scale 1" in found(scale=1)
    assert "vectors this short" in found(similarity="dot")  # all-MiniLM-L6-v2 gives unit vectors
    assert found(scale=20) == found(scale=10) == ""
    long = checks.check_temperature(*(9 * part for part in vectors), FinetuneSettings(similarity="dot"), BEFORE)
    assert faults(long) == []


def test_the_lowest_loss_is_that_of_torch(encoded):
    """With one passage at a cosine of 1 and the others at 0."""
    logits = 3 * torch.eye(1, 64)
    lowest = float(torch.nn.functional.cross_entropy(logits, torch.tensor([0])))
    (found,) = checks.check_temperature(encoded[0].vectors, encoded[1].vectors, FinetuneSettings(scale=3), BEFORE)
    assert f"below {lowest:.2f}" in found.fault


def test_a_wrong_sign_and_shifted_rows(encoded):
    scores = checks.similarities(encoded[0].vectors, encoded[1].vectors, "cosine")
    assert faults(checks.check_order(scores, AFTER, True)) == []
    assert "the sign is wrong" in sentences(checks.check_order(-scores, BEFORE, False))
    shifted = np.roll(scores, 7, axis=1)
    assert "rows are shifted" in sentences(checks.check_order(shifted, AFTER, True))
    assert faults(checks.check_order(shifted, BEFORE, False)) == []


def test_figures_of_rankings_by_hand():
    scores = np.array([[3.0, 1, 2], [5, 4, 6], [1, 1, 1]])
    assert checks.standing_out(scores[:2, [0, 1, 2]]) == pytest.approx([1.5 / 0.5, -1.5 / 0.5])
    assert checks.mrr(scores) == pytest.approx((1 + 1 / 3 + 1 / 3) / 3)
    assert checks.ordered(scores) == pytest.approx((2 + 0 + 2 * 0.5) / 6)


def test_relevant_and_other_passages_swapped(encoded, minilm, pairs):
    queries, passages = (part.vectors for part in encoded)
    negatives = np.roll(passages, 1, axis=0)
    assert faults(checks.check_labels(queries, passages, negatives, "cosine", BEFORE)) == []
    assert faults(checks.check_labels(queries, negatives, passages, "cosine", BEFORE)) == ["labels"]


def test_a_first_loss_at_its_floor_and_one_that_is_summed(pairs, minilm, encoded):
    settings = FinetuneSettings(batch=8, use_negative=False)
    easy = [Triple(t.relevant, t.relevant, "") for t in pairs.triples[:8]]
    rows = [Triple(t.query, t.relevant, "") for t in pairs.triples[:8]]
    loss, candidates = checks.first_loss(minilm, settings, rows)
    scores = torch.tensor(20 * checks.similarities(encoded[0].vectors[:8], encoded[1].vectors[:8], "cosine"))
    assert loss == pytest.approx(float(torch.nn.functional.cross_entropy(scores, torch.arange(8))), abs=1e-3)
    assert candidates == 8
    assert "nothing to learn" in sentences(checks.check_first_loss(*checks.first_loss(minilm, settings, easy)))
    assert "summed over the batch" in sentences(checks.check_first_loss(32 * np.log(64), 64))
    assert faults(checks.check_first_loss(float("nan"), 64)) == ["first loss"]
    assert faults(checks.check_first_loss(1.6, 64)) == []


# Faults that a training shows


@pytest.mark.parametrize(
    ("losses", "fault"),
    [
        ([4.1, 4.1, 4.1, 4.1], "does not fall"),
        ([1.0, 1.5, 3.0, float("nan")], "rises"),
        ([1.0, 1.2, 2.0, 3.0], "rises"),
        ([133.0, 90.0, 60.0, 30.0], "summed"),
        ([0.001, 0.001, 0.0005, 0.0], "nothing was learned"),
        ([2.0, 1.0, 0.5, 0.4], ""),
    ],
)
def test_a_loss_that_does_not_do_what_it_should(losses, fault):
    history = pd.DataFrame({"step": range(4), "loss": losses})
    found = sentences(checks.check_history(history, FinetuneSettings()))
    assert fault in found and bool(found) == bool(fault)


def test_a_learning_rate_too_low_to_learn(tiny_bert, words, tmp_path):
    *_, settings, history = trained(tiny_bert, words, tmp_path, epochs=4, learning_rate=1e-9, evaluate_every=2)
    assert "learning rate is too low" in sentences(checks.check_history(history, settings))


def test_a_model_that_unlearned():
    assert faults(checks.check_gain(0.98, 0.71)) == ["held-out MRR@10"]
    assert faults(checks.check_gain(0.9865, 0.9795)) == []


def test_a_search_by_another_similarity_than_the_training_s(encoded):
    systems = [
        {"name": "own", "kind": "dense", "model": "m"},
        {"name": "dot", "kind": "dense", "model": "m", "similarity": "dot"},
    ]
    profile = Profile(collection={"name": "x"}, finetune={"model": "m"}, system=systems)
    vectors = encoded[1].vectors
    assert faults(checks.check_systems(vectors, profile)) == [], "unit vectors have the same ranking by both"
    uneven = vectors * np.linspace(1, 5, len(vectors))[:, None]
    (found,) = [finding.fault for finding in checks.check_systems(uneven, profile) if finding.fault]
    assert found.startswith("dot searches by the dot product, but the model was trained with cosine")
