"""Fine-tuning: a model that can learn learns, and a training that stopped goes on."""

import random

import pytest
import torch
from transformers import BertModel, BertTokenizerFast

from core.finetune import build_model, fit, held_out_evaluator
from core.profile import FinetuneSettings
from core.triples import Triple


def pairs_of_unrelated_words(words, number, seed=5):
    """Return triples whose queries share no word with their passages: what is right can only be learned by heart."""
    generator = random.Random(seed)
    of_queries, of_passages = words[::2], words[1::2]

    def text(words, length):
        return " ".join(generator.sample(words, length))

    return [Triple(text(of_queries, 3), text(of_passages, 6), text(of_passages, 6)) for _ in range(number)]


def training_mrr(model, triples, similarity):
    """Return MRR@10 among the relevant passages of all queries."""
    evaluator = held_out_evaluator([Triple(t.query, t.relevant, t.relevant) for t in triples], similarity)
    return evaluator(model)[evaluator.primary_metric]


@pytest.mark.parametrize(("similarity", "use_negative", "epochs"), [("cosine", True, 16), ("dot", False, 32)])
def test_a_small_model_learns_a_hundred_pairs_by_heart(similarity, use_negative, epochs, tiny_bert, words, tmp_path):
    triples = pairs_of_unrelated_words(words, 100)
    settings = FinetuneSettings(
        similarity=similarity, use_negative=use_negative, epochs=epochs, batch=25, learning_rate=2e-3, max_tokens=16
    )
    model = build_model(tiny_bert, "mean", 16, "cpu")
    assert training_mrr(model, triples, similarity) < 0.3
    history = fit(model, triples, [], settings, tmp_path / "checkpoints")
    losses = [entry["loss"] for entry in history if "loss" in entry]
    assert losses[0] > 2
    assert losses[-1] < 0.05
    assert training_mrr(model, triples, similarity) == 1.0


@pytest.mark.parametrize("pooling", ["mean", "cls"])
def test_a_fresh_model_pools_as_its_setting_says(pooling, tiny_bert):
    model = build_model(tiny_bert, pooling, 16, "cpu")
    bert, tokenizer = BertModel.from_pretrained(tiny_bert).eval(), BertTokenizerFast.from_pretrained(tiny_bert)
    with torch.inference_mode():
        states = bert(**tokenizer(["ban dor fes"], return_tensors="pt")).last_hidden_state[0]
    expected = states.mean(0) if pooling == "mean" else states[0]
    assert model.encode(["ban dor fes"])[0] == pytest.approx(expected.numpy(), abs=1e-5)


def test_texts_are_cut_at_the_settings_length(tiny_bert, words):
    model = build_model(tiny_bert, "mean", 8, "cpu")
    whole, cut = " ".join(words[:20]), " ".join(words[:6])
    assert (model.encode([whole]) == model.encode([cut])).all()  # 8 with [CLS] and [SEP]


def test_the_evaluator_ranks_relevant_passages_among_all():
    triples = [Triple("q1", "a", "b"), Triple("q1", "c", "b"), Triple("q2", "b", "a")]
    evaluator = held_out_evaluator(triples, "cosine")
    texts = {number: text for number, text in zip(evaluator.corpus_ids, evaluator.corpus, strict=True)}
    assert sorted(texts.values()) == ["a", "b", "c"]
    relevant = {query: {texts[number] for number in evaluator.relevant_docs[query]} for query in ("q1", "q2")}
    assert relevant == {"q1": {"a", "c"}, "q2": {"b"}}
