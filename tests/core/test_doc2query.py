"""Sampling of predicted queries: honest draws that depend on the document alone, and the whole way with a tiny T5."""

import json
import os
import random
import subprocess
import sys

import numpy as np
import pytest
import torch
from scipy import stats
from stages import folder_at, make
from transformers import (
    AutoTokenizer,
    LogitsProcessor,
    LogitsProcessorList,
    Seq2SeqTrainer,
    T5Config,
    T5ForConditionalGeneration,
)

from core import collection, doc2query
from core.formats.documents import Document
from core.formats.predicted_queries import read_expansions
from core.formats.triples import read_triples, split_by_query
from core.training.t5 import QueryPredictor, fuse_gelu
from core.training.t5_sampling import CPU_ENCODED, draw, sample, sample_keys
from core.workspace.artifacts import read_manifest
from core.workspace.profile import Doc2querySettings, Profile, read_profile
from core.workspace.workspace import CHECKOUT

LOGITS = torch.tensor([0.0, 2.0, -1.0, 1.5, 0.3, 1.0, -3.0, 0.9])
TOP_5 = [1, 3, 5, 7, 4]


def drawn(keys, step=0, temperature=1.0, top_k=5, logits=LOGITS):
    """Return the token that is drawn for each key."""
    return draw(logits.expand(keys.numel(), -1), keys.flatten(), step, top_k, temperature).tolist()


def softmax_of_top_5(temperature):
    return torch.softmax(LOGITS[TOP_5] / temperature, 0).double().numpy()


def chi_square_p(tokens, temperature):
    counts = np.array([tokens.count(token) for token in TOP_5])
    assert counts.sum() == len(tokens), "only the five best tokens are drawn"
    expected = softmax_of_top_5(temperature)
    return stats.chisquare(counts, expected / expected.sum() * len(tokens)).pvalue


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.0])
@pytest.mark.parametrize("seed", [1, 2])
def test_draws_over_documents_follow_the_softmax_of_the_top_k(temperature, seed):
    keys = sample_keys(seed, [f"d{number}" for number in range(2000)], 5)
    assert chi_square_p(drawn(keys, temperature=temperature), temperature) > 1e-3


def test_draws_over_steps_follow_the_softmax_of_the_top_k():
    keys = sample_keys(1, ["d"], 8)
    assert chi_square_p([token for step in range(1500) for token in drawn(keys, step)], 1.0) > 1e-3


@pytest.mark.parametrize("apart", ["steps", "samples", "documents"])
def test_neighbouring_draws_are_independent(apart):
    keys = sample_keys(3, [f"d{number}" for number in range(3000)], 2)
    first, second = drawn(keys, 0), drawn(keys, 1)
    pairs = {
        "steps": list(zip(first, second, strict=True)),
        "samples": list(zip(first[::2], first[1::2], strict=True)),
        "documents": list(zip(first[:-2:2], first[2::2], strict=True)),
    }[apart]
    table = [[pairs.count((a, b)) for b in TOP_5] for a in TOP_5]
    assert stats.chi2_contingency(table).pvalue > 1e-3


def test_a_sample_draws_the_same_in_whatever_batch_it_stands():
    names = [f"d{number}" for number in range(50)]
    whole = draw_steps(names)
    assert draw_steps(names[::-1]) == dict(reversed(whole.items()))
    assert draw_steps(names[20:23]) == {name: whole[name] for name in names[20:23]}
    assert draw_steps(["d7"]) == {"d7": whole["d7"]}


def draw_steps(names, seed=13, samples=3, steps=30):
    keys = sample_keys(seed, names, samples)
    by_sample = list(zip(*[drawn(keys, step) for step in range(steps)], strict=True))
    return {name: by_sample[i * samples : (i + 1) * samples] for i, name in enumerate(names)}


def test_another_seed_and_another_sample_draw_otherwise():
    assert draw_steps(["d1"])["d1"] != draw_steps(["d1"], seed=14)["d1"]
    first, second, third = draw_steps(["d1"])["d1"]
    assert len({first, second, third}) == 3


def test_with_one_candidate_it_is_greedy():
    assert set(drawn(sample_keys(1, ["a", "b"], 5), top_k=1)) == {1}


def test_keys_are_distinct_and_fit():
    names = [f"d{number}" for number in range(3000)] + ["d1 0", "d10"]
    keys = sample_keys(13, names[:-2], 5).flatten().tolist()
    keys += sample_keys(13, ["d1,0", "d1 0"], 5).flatten().tolist()
    assert len(set(keys)) == len(keys)
    assert all(0 <= key < 2**62 for key in keys)


# Against transformers' own generation


class Drawn(LogitsProcessor):
    """Lets `generate` take the tokens that `draw` draws."""

    def __init__(self, keys, top_k, temperature):
        self.keys, self.top_k, self.temperature, self.step = keys.flatten(), top_k, temperature, 0

    def __call__(self, input_ids, scores):
        tokens = draw(scores, self.keys, self.step, self.top_k, self.temperature)
        self.step += 1
        return torch.full_like(scores, -torch.inf).scatter_(1, tokens[:, None], 0.0)


KINDS = {
    "T5 1.0": {"feed_forward_proj": "relu", "tie_word_embeddings": True, "scale_decoder_outputs": True},
    "T5 1.1": {"feed_forward_proj": "gated-gelu", "tie_word_embeddings": False},
}


def random_t5(**settings):
    torch.manual_seed(2)
    sizes = {"vocab_size": 40, "d_model": 24, "d_kv": 8, "d_ff": 32, "num_layers": 2, "num_heads": 3}
    model = T5ForConditionalGeneration(T5Config(decoder_start_token_id=0, **sizes, **settings)).eval()
    if not settings["tie_word_embeddings"]:  # a T5Config of transformers 5 ties them whatever it is given
        model.lm_head.weight = torch.nn.Parameter(torch.randn_like(model.lm_head.weight))
    return model


@pytest.mark.parametrize("kind", KINDS)
def test_tokens_are_those_that_transformers_generates(kind):
    model = random_t5(**KINDS[kind])
    generator = torch.Generator().manual_seed(3)
    lengths = [3, 5, 9, 9, 14, 2, 7, 8, 11]
    assert len(lengths) > CPU_ENCODED, "they are encoded in two parts"
    ids = torch.randint(2, 40, (len(lengths), max(lengths)), generator=generator)
    mask = (torch.arange(max(lengths)) < torch.tensor(lengths)[:, None]).long()
    batch = {"input_ids": ids * mask, "attention_mask": mask}
    keys = sample_keys(7, [str(length) for length in range(len(lengths))], 30)
    theirs = model.generate(
        input_ids=batch["input_ids"].repeat_interleave(30, 0),
        attention_mask=mask.repeat_interleave(30, 0),
        logits_processor=LogitsProcessorList([Drawn(keys, 38, 3.0)]),
        do_sample=False,
        num_beams=1,
        max_new_tokens=12,
    )[:, 1:]
    ours = sample(fuse_gelu(model), batch, keys, 38, 3.0, 12).flatten(0, 1)
    ended = (theirs == 1).any(1)
    assert 20 < ended.sum() < 250, "some samples end before the others"
    assert (ours[:, : theirs.shape[1]] == theirs).all()
    assert (ours[:, theirs.shape[1] :] == 0).all()


def test_the_fused_gelu_is_that_of_the_model():
    model, batch = random_t5(**KINDS["T5 1.1"]), torch.arange(2, 14)[None]
    before = model(input_ids=batch, decoder_input_ids=batch).logits
    after = fuse_gelu(model)(input_ids=batch, decoder_input_ids=batch).logits
    assert "NewGELU" not in str(model)
    assert torch.allclose(before, after, atol=1e-5)


# The whole way, with a T5 of random weights


DOCUMENTS = [
    Document("d1", "masks", "slow the spread"),
    Document("d2", "", "bats and fruit and masks and the spread of bats"),
    Document("d3", "", "fruit"),
    Document("d4", "", ""),
]
SETTINGS = {"queries": 3, "top_k": 5, "max_query_tokens": 8, "max_document_tokens": 16}


def test_a_document_gets_the_same_queries_alone_and_in_any_batch(tiny_t5):
    predictor = QueryPredictor(tiny_t5, Doc2querySettings(**SETTINGS), "cpu")
    tokens = dict(zip([d.id for d in DOCUMENTS], predictor.tokens(DOCUMENTS), strict=True))

    def predict(names):
        return dict(zip(names, predictor.predict(names, [tokens[name] for name in names]), strict=True))

    together = predict(["d1", "d2", "d3"])
    assert predict(["d3", "d2", "d1"]) == together
    assert {name: predict([name])[name] for name in together} == together
    assert all(len(queries) == 3 for queries in together.values())
    assert len({tuple(queries) for queries in together.values()}) == 3


def test_more_queries_begin_with_the_fewer(tiny_t5):
    few, many = (
        QueryPredictor(tiny_t5, Doc2querySettings(**SETTINGS | {"queries": queries}), "cpu") for queries in (3, 11)
    )
    tokens = few.tokens(DOCUMENTS[:3])
    names = [document.id for document in DOCUMENTS[:3]]
    expected, found = few.predict(names, tokens), many.predict(names, tokens)
    assert [own[:3] for own in found] == expected
    assert all(len(own) == 11 for own in found)


def test_in_bf16_a_document_gets_queries_too(tiny_t5):
    predictor = QueryPredictor(tiny_t5, Doc2querySettings(**SETTINGS, precision="bf16"), "cpu")
    assert predictor.model.dtype == torch.bfloat16
    (queries,) = predictor.predict(["d2"], predictor.tokens(DOCUMENTS[1:2]))
    assert len(queries) == 3
    assert all(queries)


@pytest.mark.parametrize(("able", "precision"), [(True, "bf16"), (False, "fp32")])
def test_auto_is_bf16_on_a_processor_that_computes_in_it(able, precision, built, monkeypatch):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx512_bf16": able})
    profile, folder = built
    auto = Profile(
        **profile.model_dump(exclude={"doc2query"}), doc2query=profile.doc2query.model_dump() | {"precision": "auto"}
    )
    make(doc2query.GENERATE, auto, folder, device="cpu")
    manifest = read_manifest(folder.predicted_queries)
    assert manifest.settings["precision"] == "auto"
    assert manifest.facts["precision"] == precision
    named = Profile(
        **profile.model_dump(exclude={"doc2query"}), doc2query=profile.doc2query.model_dump() | {"precision": precision}
    )
    queries = read_expansions(folder)
    make(doc2query.GENERATE, named, folder, device="cpu")
    assert read_expansions(folder) == queries


@pytest.fixture
def built(tiny_t5, beir_folder, workspace):
    corpus = "".join(json.dumps({"_id": d.id, "title": d.title, "text": d.text}) + "\n" for d in DOCUMENTS)
    profile = Profile(
        collection={"name": "tiny", "source": str(beir_folder({"corpus.jsonl": corpus}))},
        doc2query=SETTINGS | {"model": str(tiny_t5)},
        system=[],
    )
    make(collection.STAGE, profile, workspace.collection("built"))
    return profile, workspace.collection("built")


def test_generation_that_was_interrupted_goes_on_and_ends_the_same(built, monkeypatch):
    profile, folder = built
    make(doc2query.GENERATE, profile, folder, batch=1)
    expected = read_expansions(folder)
    assert list(expected) == [document.id for document in DOCUMENTS]
    assert all(len(queries) == 3 for queries in expected.values())

    generate_until_interrupted(profile, folder, monkeypatch, batches=2)
    seen = []
    predict = QueryPredictor.predict
    monkeypatch.setattr(
        QueryPredictor, "predict", lambda self, names, tokens: seen.extend(names) or predict(self, names, tokens)
    )
    make(doc2query.GENERATE, profile, folder, batch=1)
    assert len(seen) == 2, "what was done before the interruption is not done again"
    assert read_expansions(folder) == expected


def generate_until_interrupted(profile, folder, monkeypatch, batches):
    predict, done = QueryPredictor.predict, []

    def interrupted(self, names, tokens):
        if len(done) == batches:
            raise KeyboardInterrupt
        done.append(names)
        return predict(self, names, tokens)

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(QueryPredictor, "predict", interrupted)
        make(doc2query.GENERATE, profile, folder, batch=1)
    # what a computer that stopped in the middle of a line leaves
    with (folder / ".doc2query.partial" / "progress.log").open("a") as file:
        file.write('[["d3", ["which')


def test_an_interruption_with_another_batch_size_loses_no_document(built, monkeypatch):
    profile, folder = built
    generate_until_interrupted(profile, folder, monkeypatch, batches=2)
    make(doc2query.GENERATE, profile, folder, batch=3)
    assert list(read_expansions(folder)) == [document.id for document in DOCUMENTS]


def test_the_manifest_holds_no_absolute_path(built):
    profile, folder = built
    manifest = (make(doc2query.GENERATE, profile, folder) / "manifest.json").read_text()
    assert str(profile.doc2query.model) not in manifest
    assert doc2query.locate_model(folder.workspace, profile.doc2query.model).is_absolute()


KILL_FIVE_TIMES = """
import os, random, signal, sys, time
from pathlib import Path
from core import doc2query
from core.workspace.profile import read_profile
from stages import folder_at, make

profile, folder, size = read_profile(sys.argv[1]), folder_at(Path(sys.argv[2])), int(sys.argv[3])
progress = folder / ".doc2query.partial" / "progress.log"
chance = random.Random()
for _ in range(5):
    written = progress.stat().st_size if progress.exists() else 0
    until = written + chance.randint(1, size // 7)
    child = os.fork()  # with everything imported: to start Python five times would take half a minute
    if child == 0:
        make(doc2query.GENERATE, profile, folder, batch=1)
        os._exit(0)
    while not progress.exists() or progress.stat().st_size < until:
        assert os.waitpid(child, os.WNOHANG) == (0, 0), "it ended before it was killed"
        time.sleep(0.001)
    time.sleep(chance.uniform(0, 0.005))
    os.kill(child, signal.SIGKILL)
    assert os.waitpid(child, 0)[1] == signal.SIGKILL
    print(progress.stat().st_size, flush=True)
make(doc2query.GENERATE, profile, folder, batch=1)
"""


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="processes are killed by forking")
def test_generation_that_is_killed_five_times_ends_as_if_it_never_was(tiny_t5, tmp_path, beir_folder):
    words = ["which", "masks", "slow", "the", "spread", "of", "bats", "and", "fruit"]
    chance = random.Random(4)
    corpus = "".join(
        json.dumps({"_id": f"d{n}", "text": " ".join(chance.choices(words, k=chance.randint(1, 14)))}) + "\n"
        for n in range(150)
    )
    source = str(beir_folder({"corpus.jsonl": corpus}))
    settings = {"collection": {"name": "tiny", "source": source}, "doc2query": SETTINGS | {"model": str(tiny_t5)}}
    (tmp_path / "profile.json").write_text(json.dumps(settings | {"system": []}))
    profile = read_profile(str(tmp_path / "profile.json"))
    for name in ("whole", "killed"):
        make(collection.STAGE, profile, folder_at(tmp_path / name))
    make(doc2query.GENERATE, profile, folder_at(tmp_path / "whole"), batch=1)
    expected = (tmp_path / "whole" / "doc2query" / "expansions.jsonl").read_bytes()

    environment = os.environ | {
        "TOKENIZERS_PARALLELISM": "false",
        "PYTHONPATH": os.pathsep.join([str(CHECKOUT), str(CHECKOUT / "tests")]),
    }
    arguments = [tmp_path / "profile.json", tmp_path / "killed", str(len(expected) * 3 // 4)]
    ended = subprocess.run(
        [sys.executable, "-c", KILL_FIVE_TIMES, *arguments],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr[-3000:]
    sizes = [int(line) for line in ended.stdout.split()]
    assert len(sizes) == 5
    assert sizes == sorted(set(sizes)), "each time some of the work was done, and none of it was lost"
    assert (tmp_path / "killed" / "doc2query" / "expansions.jsonl").read_bytes() == expected


# Training


@pytest.fixture
def triples_file(tmp_path):
    """A hundred passages of which the query is the first word, and some that no training sees."""
    chance = random.Random(5)
    words = ["masks", "slow", "spread", "of", "bats", "and", "fruit"]
    passages = sorted({" ".join(chance.choices(words, k=6)) for _ in range(140)})
    lines = [f"which {passage.split()[0]} {number}\t{passage}\tthe the\n" for number, passage in enumerate(passages)]
    path = tmp_path / "triples.tsv"
    path.write_text("".join(lines))
    return path


def training_profile(tiny_t5, **settings):
    recipe = {"base": str(tiny_t5), "max_query_tokens": 8, "max_document_tokens": 16, "batch": 10, "evaluate_every": 10}
    return Profile(
        collection={"name": "tiny"},
        triples={"held_out": 0.2},
        doc2query=recipe | settings,
        system=[{"name": "bm25", "kind": "bm25"}],
    )


def held_out_losses(manifest):
    return {entry["step"]: entry["eval_loss"] for entry in manifest.facts["history"] if "eval_loss" in entry}


@pytest.mark.slow
def test_training_learns_and_keeps_the_checkpoint_of_the_lowest_held_out_loss(tiny_t5, triples_file, workspace):
    profile = training_profile(tiny_t5, epochs=9, learning_rate=0.3, schedule="constant_with_warmup", patience=2)
    folder = make(doc2query.TRAIN, profile, workspace.collection("tiny"), triples=triples_file)
    manifest = read_manifest(folder)
    losses = held_out_losses(manifest)
    best = min(losses, key=losses.__getitem__)
    assert manifest.facts["best"] == {"step": best, "held_out_loss": losses[best]}
    assert manifest.facts["steps"] == best + 20 < 90, "it ended after two losses without a better one"
    assert sorted(path.suffix for path in folder.path.iterdir() if path.is_dir()) == [], "no checkpoint is left"

    _, held_out = split_by_query(read_triples(triples_file), 0.2)
    tokenizer = AutoTokenizer.from_pretrained(folder.path)
    model = T5ForConditionalGeneration.from_pretrained(folder.path, dtype=torch.float32).eval()
    batch = tokenizer([t.relevant for t in held_out], return_tensors="pt", padding=True)
    labels = tokenizer([t.query for t in held_out], return_tensors="pt", padding=True)["input_ids"]
    with torch.inference_mode():
        loss = float(model(**batch, labels=labels.masked_fill(labels == 0, -100)).loss)
    assert loss == pytest.approx(losses[best], rel=0.02), "the weights are that checkpoint's, in half precision"
    assert loss < 0.9 * max(losses.values())


@pytest.mark.slow
def test_an_interrupted_training_goes_on_from_its_checkpoint(tiny_t5, triples_file, workspace, monkeypatch):
    profile = training_profile(tiny_t5, epochs=3, learning_rate=0.01)
    step, steps = Seq2SeqTrainer.training_step, []

    def interrupted(self, *arguments, **options):
        steps.append(self.state.global_step)
        if len(steps) == 15:
            raise KeyboardInterrupt
        return step(self, *arguments, **options)

    monkeypatch.setattr(Seq2SeqTrainer, "training_step", interrupted)
    with pytest.raises(KeyboardInterrupt):
        make(doc2query.TRAIN, profile, workspace.collection("tiny"), triples=triples_file)
    folder = make(doc2query.TRAIN, profile, workspace.collection("tiny"), triples=triples_file)
    assert steps[15] == 10, "from the checkpoint, not from the beginning"
    assert sorted(held_out_losses(read_manifest(folder)))[:2] == [10, 20]
