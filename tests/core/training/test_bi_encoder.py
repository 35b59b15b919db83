"""Fine-tuning: a model that can learn learns, and a training that stopped goes on."""

import json
import os
import random
import subprocess
import sys

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from sentence_transformers.sentence_transformer.losses import MultipleNegativesRankingLoss
from transformers import BertModel, BertTokenizerFast

from core.formats.triples import Triple
from core.training.bi_encoder import (
    InBatchDistillation,
    InBatchNegatives,
    build_model,
    embed_by_length,
    fit,
    held_out_evaluator,
    mined_rows,
    mix_weights,
    training_loss,
    training_rows,
    triple_rows,
    with_teacher_scores,
)
from core.workspace.errors import UserError
from core.workspace.profile import FinetuneSettings
from core.workspace.workspace import CHECKOUT

pytestmark = pytest.mark.slow


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
    model = build_model(settings, tiny_bert, "cpu")
    assert training_mrr(model, triples, similarity) < 0.3
    history = fit(model, triple_rows(triples, use_negative), None, settings, tmp_path / "checkpoints")
    losses = [entry["loss"] for entry in history if "loss" in entry]
    assert losses[0] > 2
    assert losses[-1] < 0.05
    assert training_mrr(model, triples, similarity) == 1.0


@pytest.mark.parametrize("pooling", ["mean", "cls"])
def test_a_fresh_model_pools_as_its_setting_says(pooling, tiny_bert):
    model = build_model(FinetuneSettings(pooling=pooling, max_tokens=16), tiny_bert, "cpu")
    bert, tokenizer = BertModel.from_pretrained(tiny_bert).eval(), BertTokenizerFast.from_pretrained(tiny_bert)
    with torch.inference_mode():
        states = bert(**tokenizer(["ban dor fes"], return_tensors="pt")).last_hidden_state[0]
    expected = states.mean(0) if pooling == "mean" else states[0]
    assert model.encode(["ban dor fes"])[0] == pytest.approx(expected.numpy(), abs=1e-5)


def test_texts_are_cut_at_the_settings_length(tiny_bert, words):
    model = build_model(FinetuneSettings(max_tokens=8), tiny_bert, "cpu")
    whole, cut = " ".join(words[:20]), " ".join(words[:6])
    assert (model.encode([whole]) == model.encode([cut])).all()  # 8 with [CLS] and [SEP]


def test_the_evaluator_ranks_relevant_passages_among_all():
    triples = [Triple("q1", "a", "b"), Triple("q1", "c", "b"), Triple("q2", "b", "a")]
    evaluator = held_out_evaluator(triples, "cosine")
    texts = {number: text for number, text in zip(evaluator.corpus_ids, evaluator.corpus, strict=True)}
    assert sorted(texts.values()) == ["a", "b", "c"]
    relevant = {query: {texts[number] for number in evaluator.relevant_docs[query]} for query in ("q1", "q2")}
    assert relevant == {"q1": {"a", "c"}, "q2": {"b"}}


@pytest.mark.parametrize("similarity", ["cosine", "dot"])
def test_the_evaluators_figure_is_mrr_by_hand(tiny_bert, words, similarity):
    triples = [Triple(words[n], words[n + 40], words[n + 41]) for n in range(0, 30, 3)]
    triples += [Triple(words[0], words[90], words[91])]  # two relevant ones: here MRR and nDCG part
    evaluator = held_out_evaluator(triples, similarity)
    model = build_model(FinetuneSettings(max_tokens=8), tiny_bert, "cpu")
    figure = evaluator(model)[evaluator.primary_metric]
    reciprocal = []
    vectors = model.encode(evaluator.corpus, normalize_embeddings=similarity == "cosine")
    for query in evaluator.queries_ids:
        best = np.argsort(-(vectors @ model.encode(query)))[:10]
        hits = [evaluator.corpus_ids[i] in evaluator.relevant_docs[query] for i in best]
        reciprocal.append(1 / (1 + hits.index(True)) if any(hits) else 0)
    assert 0 < figure < 1 and figure == pytest.approx(np.mean(reciprocal))


def fitted(tiny_bert, triples, folder, validation=None, **settings):
    """Return a model trained on triples, and the history."""
    settings = FinetuneSettings(**{"batch": 25, "learning_rate": 2e-3, "max_tokens": 16, "epochs": 4} | settings)
    torch.manual_seed(settings.seed)
    model = build_model(settings, tiny_bert, "cpu")
    history = fit(model, triple_rows(triples, settings.use_negative), validation, settings, folder / "checkpoints")
    return model, history


def test_two_towers_learn_apart(tiny_bert, words, tmp_path):
    triples = pairs_of_unrelated_words(words, 100)
    model, _ = fitted(tiny_bert, triples, tmp_path, towers="two", epochs=16)
    assert training_mrr(model, triples, "cosine") == 1.0
    text = triples[0].query
    assert not np.allclose(model.encode_query([text]), model.encode_document([text]), atol=1e-2)


def test_chunks_change_no_result(tiny_bert, words, tmp_path):
    triples = pairs_of_unrelated_words(words, 50)
    whole, _ = fitted(tiny_bert, triples, tmp_path / "whole", dropout=0.0)
    chunked, _ = fitted(tiny_bert, triples, tmp_path / "chunked", dropout=0.0, chunk=5)
    for name, weight in whole.state_dict().items():
        assert torch.allclose(weight, chunked.state_dict()[name], atol=1e-4), name


@pytest.mark.parametrize("autocast", [False, True])
def test_recomputing_keeps_fewer_tensors_and_gives_the_same_gradients(autocast, tiny_bert, words):
    """With dropout, whose random numbers must be drawn again."""
    generator = np.random.default_rng(5)
    texts = [" ".join(generator.choice(words, generator.integers(1, 14))) for _ in range(12)]
    model = build_model(FinetuneSettings(max_tokens=16, dropout=0.3), tiny_bert, "cpu").train()
    saved = []

    def keep(tensor):
        saved.append(tensor.nbytes)
        return tensor

    results = []
    for recompute in (False, True):
        model.zero_grad()
        saved.clear()
        torch.manual_seed(1)
        with (
            torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor),
            torch.autocast("cpu", torch.bfloat16, enabled=autocast),
        ):
            vectors = embed_by_length(model, model.preprocess(texts), 3, recompute)
        vectors.float().pow(3).sum().backward()
        results.append((sum(saved), vectors, [w.grad.clone() for w in model.parameters() if w.grad is not None]))
    (memory, vectors, gradients), (memory_of_recomputed, same_vectors, same_gradients) = results
    assert memory_of_recomputed < memory / 10
    assert torch.equal(vectors, same_vectors)
    assert len(gradients) == len(same_gradients) > 10
    assert all(torch.equal(*pair) for pair in zip(gradients, same_gradients, strict=True))


def test_one_seed_gives_one_model(tiny_bert, words, tmp_path):
    triples = pairs_of_unrelated_words(words, 50)
    first, _ = fitted(tiny_bert, triples, tmp_path / "1", dropout=0.1)
    second, _ = fitted(tiny_bert, triples, tmp_path / "2", dropout=0.1)
    other, _ = fitted(tiny_bert, triples, tmp_path / "3", dropout=0.1, seed=14)
    name = next(name for name, _ in first.named_parameters() if "query.weight" in name)
    assert all(torch.equal(weight, second.state_dict()[name]) for name, weight in first.state_dict().items())
    assert not torch.equal(first.state_dict()[name], other.state_dict()[name])


def test_training_stops_when_nothing_gets_better_and_keeps_the_best(tiny_bert, words, tmp_path):
    triples = pairs_of_unrelated_words(words, 50)
    unlearnable = triple_rows(pairs_of_unrelated_words(words, 50, seed=9))
    settings = {"epochs": 40, "evaluate_every": 4, "patience": 3}
    model, history = fitted(tiny_bert, triples, tmp_path, unlearnable, **settings)
    losses = {entry["step"]: entry["eval_loss"] for entry in history if "eval_loss" in entry}
    assert max(losses) < 80, "40 epochs of 2 steps were not needed"
    best = min(losses, key=losses.__getitem__)
    assert max(losses) - best == 3 * 4
    kept = load_file(tmp_path / "checkpoints" / f"checkpoint-{best}" / "model.safetensors")
    own = model[0].auto_model.state_dict()
    assert all(torch.equal(weight, own[name]) for name, weight in kept.items())


def test_the_average_of_weights_is_one(tiny_bert, words, tmp_path):
    settings = FinetuneSettings(max_tokens=16)
    base = build_model(settings, tiny_bert, "cpu")
    model, _ = fitted(tiny_bert, pairs_of_unrelated_words(words, 25), tmp_path, epochs=1)
    tuned = {name: weight.clone() for name, weight in model.state_dict().items()}
    mix_weights(model, base, 0.25)
    for name, weight in model.state_dict().items():
        if weight.is_floating_point():
            expected = 0.75 * tuned[name] + 0.25 * base.state_dict()[name]
            assert torch.allclose(weight, expected, atol=1e-6), name


def test_mined_passages_are_near_and_not_the_relevant_one(tiny_bert, words):
    triples = pairs_of_unrelated_words(words, 30)
    model = build_model(FinetuneSettings(max_tokens=16), tiny_bert, "cpu")
    rows = mined_rows(triples, model, 2)
    assert rows.column_names == ["query", "relevant", "negative_1", "negative_2"]
    relevant = {triple.query: triple.relevant for triple in triples}
    passages = {passage for triple in triples for passage in (triple.relevant, triple.not_relevant)}
    for row in rows:
        assert relevant[row["query"]] == row["relevant"]
        negatives = {row["negative_1"], row["negative_2"]}
        assert len(negatives) == 2 and negatives < passages - {row["relevant"]}


def test_a_student_takes_over_its_teachers_order(tiny_bert, words, tmp_path):
    triples = pairs_of_unrelated_words(words, 60)
    teacher, _ = fitted(tiny_bert, triples, tmp_path / "teacher", epochs=16)
    settings = FinetuneSettings(teacher="it", batch=20, epochs=12, learning_rate=2e-3, max_tokens=16)
    rows = with_teacher_scores(triple_rows(triples), teacher, settings.scale)
    scores = np.array(rows["label"][:])
    assert scores.shape == (60, 2)
    query, passage = (teacher.encode([text])[0] for text in (triples[7].query, triples[7].not_relevant))
    cosine = query @ passage / np.linalg.norm(query) / np.linalg.norm(passage)
    assert scores[7, 1] == pytest.approx(20 * cosine, abs=1e-3)
    student = build_model(settings, tiny_bert, "cpu")
    before = training_mrr(student, triples, "cosine")
    fit(student, rows, None, settings, tmp_path / "checkpoints")
    assert training_mrr(student, triples, "cosine") > before + 0.3


@pytest.mark.parametrize("negative", [True, False])
def test_passages_in_chunks_give_the_library_s_loss_and_gradients(negative, tiny_bert, words):
    generator = np.random.default_rng(5)
    columns = [[" ".join(generator.choice(words, generator.integers(1, 14))) for _ in range(11)] for _ in range(3)]
    model = build_model(FinetuneSettings(max_tokens=16, dropout=0.0), tiny_bert, "cpu")
    results = []
    for loss in (MultipleNegativesRankingLoss(model), InBatchNegatives(model, 4)):
        model.zero_grad()
        value = loss([model.preprocess(column) for column in columns[: 3 if negative else 2]], None)
        value.backward()
        results.append((value.item(), {n: w.grad.clone() for n, w in model.named_parameters() if w.grad is not None}))
    (theirs, their_gradients), (ours, our_gradients) = results
    assert ours == pytest.approx(theirs, rel=1e-5)
    assert their_gradients.keys() == our_gradients.keys()
    assert all(torch.allclose(own, our_gradients[name], atol=1e-5) for name, own in their_gradients.items())


def test_only_a_cpu_encodes_passages_in_chunks(tiny_bert):
    settings = FinetuneSettings(max_tokens=16, chunk=4)
    model = build_model(settings, tiny_bert, "cpu")
    assert isinstance(loss := training_loss(model, settings), InBatchNegatives)
    assert (loss.chunk, loss.recompute) == (4, True)
    assert type(training_loss(model.to("meta"), settings)) is MultipleNegativesRankingLoss


@pytest.mark.parametrize("chunk", [2, 64])
def test_in_batch_distillation_is_the_divergence_of_the_two_distributions(chunk, tiny_bert, words):
    """Worked by scipy's relative entropy, each query alone."""
    from scipy.special import softmax
    from scipy.stats import entropy

    generator = np.random.default_rng(3)
    model = build_model(FinetuneSettings(max_tokens=16), tiny_bert, "cpu").eval()
    queries = [[" ".join(generator.choice(words, 3)) for _ in range(4)] for _ in range(2)]  # 2 columns of 4 documents
    documents = sorted((" ".join(generator.choice(words, n)) for n in (3, 5, 8, 12)), key=len)
    scores = generator.normal(size=(4, 2, 4)).astype(np.float32) * 5
    settings = FinetuneSettings(data="pseudo-labels", batch=4, chunk=chunk, teacher_temperature=2.0)
    loss = training_loss(model, settings)
    assert isinstance(loss, InBatchDistillation)
    features = [model.preprocess(column) for column in [*queries, documents]]
    with torch.no_grad():
        ours = float(loss(features, torch.from_numpy(scores.reshape(4, -1))))
    of_documents = model.encode(documents, normalize_embeddings=True)
    expected = []
    for document in range(4):
        for column in range(2):
            query = model.encode([queries[column][document]], normalize_embeddings=True)[0]
            student = softmax(20 * of_documents @ query)
            expected.append(entropy(softmax(scores[document, column] / 2), student))
    assert ours == pytest.approx(np.mean(expected), rel=1e-3)


def test_a_teacher_needs_passages_to_tell_apart(tiny_bert, tmp_path):
    settings = FinetuneSettings(teacher="some", use_negative=False)
    model = build_model(settings, tiny_bert, "cpu")
    with pytest.raises(UserError, match="use_negative or hard_negatives"):
        training_rows(settings, tmp_path, [Triple("a", "b", "c")], [Triple("a", "b", "c")], model)


PROFILE = """
[collection]
name = "none"
[triples]
source = "{triples}"
held_out = 0.2
[finetune]
base = "{base}"
model = "{model}"
batch = 5
epochs = 5
learning_rate = 1e-3
max_tokens = 16
dropout = 0.1
evaluate_every = 3
[[system]]
name = "bm25"
kind = "bm25"
"""


KILL_TWICE = """
import os, signal, sys, time
from pathlib import Path
import core.training.bi_encoder  # once for all processes below, since it takes seconds
from core import finetune

folder = Path(sys.argv[1])
checkpoints = folder / ".killed.partial" / "checkpoints"

def start(name):
    child = os.fork()
    if child == 0:
        finetune.main(["--profile", str(folder / f"{name}.toml"), "--device", "cpu"])
        os._exit(0)
    return child

assert os.waitpid(start("whole"), 0)[1] == 0
for after in (6, 30):  # while it goes on, and later
    child = start("killed")
    while not any(int(path.name.split("-")[1]) >= after for path in checkpoints.glob("checkpoint-*")):
        assert os.waitpid(child, os.WNOHANG) == (0, 0), "it ended before it was killed"
        time.sleep(0.01)
    os.kill(child, signal.SIGKILL)
    assert os.waitpid(child, 0)[1] == signal.SIGKILL
assert os.waitpid(start("killed"), 0)[1] == 0
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="processes are killed by forking")
def test_a_training_that_is_killed_goes_on_and_ends_the_same(tiny_bert, words, tmp_path):
    triples = pairs_of_unrelated_words(words, 60)
    file = tmp_path / "triples.tsv"
    file.write_text("".join(f"{t.query}\t{t.relevant}\t{t.not_relevant}\n" for t in triples))
    for name in ("whole", "killed"):
        profile = PROFILE.format(triples=file, base=tiny_bert, model=tmp_path / name)
        (tmp_path / f"{name}.toml").write_text(profile)
    environment = os.environ | {"RANKSCOPE_ARTIFACTS": str(tmp_path), "TOKENIZERS_PARALLELISM": "false"}
    command = [sys.executable, "-c", KILL_TWICE, str(tmp_path)]
    ended = subprocess.run(command, cwd=CHECKOUT, env=environment, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr[-3000:]
    whole, killed = (load_file(tmp_path / name / "model.safetensors") for name in ("whole", "killed"))
    assert all(torch.equal(whole[name], killed[name]) for name in whole)
    history = json.loads((tmp_path / "killed" / "history.json").read_text())
    assert [entry["step"] for entry in history if "eval_loss" in entry][:3] == [3, 6, 9]
    assert not (tmp_path / "killed" / "checkpoints").exists()
