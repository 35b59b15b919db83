"""Training of cross-encoders: what is learnt, the rows of each kind of data, resuming, and what is refused."""

import random

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from torch.nn import Identity
from transformers import set_seed

from core.formats.triples import Triple
from core.training.bi_encoder import triple_rows
from core.training.cross_encoder import _queries_of, build_model, fit, held_out_evaluator, listed, training_rows
from core.training.histories import as_table
from core.training.pseudo_labels import Batch
from core.workspace.errors import UserError
from core.workspace.profile import FinetuneSettings

SETTINGS = {"architecture": "cross-encoder", "learning_rate": 2e-3, "max_tokens": 24, "batch": 10, "evaluate_every": 4}


def settings(**others):
    return FinetuneSettings(**(SETTINGS | others))


def triples_of(words, number, seed=5):
    """Return triples whose relevant passage repeats a word of the query."""
    generator = random.Random(seed)
    made = []
    for _ in range(number):
        drawn = generator.sample(words, 12)
        made.append(Triple(" ".join(drawn[:2]), " ".join([drawn[0], *drawn[2:6]]), " ".join(drawn[7:12])))
    return made


def test_a_small_model_learns_its_triples(tiny_bert, words, tmp_path):
    triples = triples_of(words, 30)
    set_seed(3)
    model = build_model(settings(), tiny_bert, "cpu")
    chosen = settings(epochs=10, candidates=3, evaluate_every=100)
    history = fit(model, triple_rows(triples), None, chosen, tmp_path / "checkpoints")
    losses = [entry["loss"] for entry in history if "loss" in entry]
    assert losses[0] > 0.9  # near the logarithm of 3 candidates
    assert losses[-1] < 0.6
    pairs = [(t.query, passage) for t in triples for passage in (t.relevant, t.not_relevant)]
    scores = model.predict(pairs, activation_fn=Identity()).reshape(-1, 2)
    assert (scores[:, 0] > scores[:, 1]).mean() > 0.85


def test_the_evaluators_figure_is_mrr_by_hand(tiny_bert, words):
    triples = triples_of(words, 8)
    evaluator = held_out_evaluator(triples, 5)
    model = build_model(settings(), tiny_bert, "cpu")
    ranks = []
    for sample in evaluator.samples:
        candidates = [*sample["positive"], *(text for text in sample["documents"] if text not in sample["positive"])]
        assert len(sample["documents"]) == 5
        scores = model.predict([(sample["query"], text) for text in candidates], activation_fn=Identity())
        ranks.append(1 + int((scores > scores[0]).sum()))
    expected = np.mean([1 / rank for rank in ranks])
    assert evaluator(model)[evaluator.primary_metric] == pytest.approx(expected)


def test_a_model_takes_the_first_layers_of_its_base(tiny_bert):
    whole, first = (build_model(settings(layers=layers), tiny_bert, "cpu").model.bert for layers in (0, 1))
    assert (len(whole.encoder.layer), len(first.encoder.layer)) == (2, 1)
    for name, weight in first.encoder.layer[0].state_dict().items():
        assert torch.equal(weight, whole.encoder.layer[0].state_dict()[name])


def test_a_training_that_is_interrupted_goes_on_and_ends_the_same(tiny_bert, words, tmp_path):
    rows, held_out = triple_rows(triples_of(words, 30)), triple_rows(triples_of(words, 8, seed=6))

    def trained(name, stop_at=None):
        chosen = settings(epochs=4, candidates=3, dropout=0.1, warmup=0)
        set_seed(chosen.seed)
        model = build_model(chosen, tiny_bert, "cpu")
        evaluator = held_out_evaluator(triples_of(words, 8, seed=6), 4)
        evaluate = evaluator.__call__
        if stop_at:

            class Stopped(type(evaluator)):
                def __call__(self, model, output_path=None, epoch=-1, steps=-1):
                    if steps >= stop_at:
                        raise KeyboardInterrupt
                    return evaluate(model, output_path, epoch, steps)

            evaluator.__class__ = Stopped
        history = fit(model, rows, held_out, chosen, tmp_path / name, evaluator)
        evaluated = [entry["eval_held-out_mrr@10"] for entry in history if "eval_loss" in entry]
        assert as_table(history)["held-out MRR@10"].dropna().tolist() == evaluated  # BM25's are in the history, too
        return model.state_dict()

    whole = trained("whole")
    with pytest.raises(KeyboardInterrupt):
        trained("stopped", stop_at=8)
    assert [path.name for path in (tmp_path / "stopped").glob("checkpoint-*")] == ["checkpoint-4"]
    resumed = trained("stopped")
    assert all(torch.equal(weight, resumed[name]) for name, weight in whole.items())


def test_pseudo_labels_give_the_own_document_the_best_others_and_random_ones():
    scores = np.random.default_rng(4).normal(size=(9, 2, 9)).astype(np.float32)
    batch = Batch([f"d{i}" for i in range(9)], [[f"q{i}a", f"q{i}b"] for i in range(9)], scores, False)
    found = list(_queries_of(batch, 6, random.Random(1)))
    assert [query for query, _, _ in found] == [query for of_document in batch.queries for query in of_document]
    for place, (_, candidates, values) in enumerate(found):
        own, number = divmod(place, 2)
        others = sorted(set(range(9)) - {own}, key=lambda i: -scores[own, number, i])
        assert candidates[:4] == [f"d{own}", *(f"d{i}" for i in others[:3])]
        assert len(set(candidates)) == 6
        assert values == [float(scores[own, number, int(name[1:])]) for name in candidates]
    assert all(len(candidates) == 9 for _, candidates, _ in _queries_of(batch, 20, random.Random(1)))


def test_listed_rows_are_what_listnet_takes(tiny_bert, words):
    from core.training.cross_encoder import training_loss

    triples = triples_of(words, 3)
    rows = listed(triple_rows(triples).add_column("label", [[3.0, 1.0], [2.0, 2.0], [0.0, 4.0]]), 2.0)
    model = build_model(settings(), tiny_bert, "cpu")
    loss = training_loss(model, settings(teacher="a teacher"))
    found = loss([list(rows["query"]), list(rows["passages"])], [torch.tensor(label) for label in rows["label"]])
    pairs = [(t.query, passage) for t in triples for passage in (t.relevant, t.not_relevant)]
    logits = torch.tensor(model.predict(pairs, activation_fn=Identity())).view(3, 2)
    target = torch.tensor([[3.0, 1.0], [2.0, 2.0], [0.0, 4.0]]).div(2).softmax(1)
    assert float(found.detach()) == pytest.approx(float(-(target * logits.log_softmax(1)).sum(1).mean()), abs=1e-5)


@pytest.mark.parametrize("given", [{"pooling": "cls"}, {"towers": "two"}, {"chunk": 8}, {"base_share": 0.5}])
def test_settings_of_the_other_architecture_are_refused(given):
    with pytest.raises(ValidationError, match=f"a cross-encoder has no setting {next(iter(given))}"):
        settings(**given)
    with pytest.raises(ValidationError, match="a bi-encoder has no setting layers"):
        FinetuneSettings(layers=2)


def test_negatives_need_a_teacher_that_mines_them(words, workspace, tiny_bert):
    triples = triples_of(words, 3)
    with pytest.raises(UserError, match="set finetune.teacher"):
        training_rows(settings(hard_negatives=2), workspace.collection("tiny"), triples, triples, None)
