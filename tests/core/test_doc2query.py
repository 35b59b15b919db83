"""Sampling of predicted queries: honest draws that depend on the document alone."""

import json

import numpy as np
import pytest
import torch
from scipy import stats
from transformers import PreTrainedTokenizerFast, T5Config, T5ForConditionalGeneration

from core import doc2query
from core.collection import Document, build_collection
from core.doc2query import QueryPredictor, SeededTopK, generate, row_keys
from core.expansions import read_expansions
from core.profile import Doc2querySettings, Profile

LOGITS = torch.tensor([0.0, 2.0, -1.0, 1.5, 0.3, 1.0, -3.0, 0.9])
TOP_5 = [1, 3, 5, 7, 4]


def draw(processor, logits=LOGITS):
    """Return the token that is drawn for each row."""
    rows = len(processor.rows)
    scores = processor(torch.zeros((rows, 1), dtype=torch.long), logits.expand(rows, -1).clone())
    assert (torch.isfinite(scores).sum(dim=1) == 1).all()
    return scores.argmax(dim=1).tolist()


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
    keys = row_keys(seed, [f"d{number}" for number in range(2000)], 5)
    assert chi_square_p(draw(SeededTopK(keys, 5, temperature)), temperature) > 1e-3


def test_draws_over_steps_follow_the_softmax_of_the_top_k():
    processor = SeededTopK(row_keys(1, ["d"], 8), 5, 1.0)
    assert chi_square_p([token for _ in range(1500) for token in draw(processor)], 1.0) > 1e-3


@pytest.mark.parametrize("apart", ["steps", "samples", "documents"])
def test_neighbouring_draws_are_independent(apart):
    keys = row_keys(3, [f"d{number}" for number in range(3000)], 2)
    processor = SeededTopK(keys, 5, 1.0)
    first, second = draw(processor), draw(processor)
    pairs = {
        "steps": list(zip(first, second, strict=True)),
        "samples": list(zip(first[::2], first[1::2], strict=True)),
        "documents": list(zip(first[:-2:2], first[2::2], strict=True)),
    }[apart]
    table = [[pairs.count((a, b)) for b in TOP_5] for a in TOP_5]
    assert stats.chi2_contingency(table).pvalue > 1e-3


def test_a_row_draws_the_same_in_whatever_batch_it_stands():
    names = [f"d{number}" for number in range(50)]
    whole = draw_steps(names)
    assert draw_steps(names[::-1]) == dict(reversed(whole.items()))
    assert draw_steps(names[20:23]) == {name: whole[name] for name in names[20:23]}
    assert draw_steps(["d7"]) == {"d7": whole["d7"]}


def draw_steps(names, seed=13, samples=3, steps=30):
    processor = SeededTopK(row_keys(seed, names, samples), 5, 1.0)
    drawn = list(zip(*[draw(processor) for _ in range(steps)], strict=True))
    return {name: drawn[i * samples : (i + 1) * samples] for i, name in enumerate(names)}


def test_another_seed_and_another_sample_draw_otherwise():
    assert draw_steps(["d1"])["d1"] != draw_steps(["d1"], seed=14)["d1"]
    first, second, third = draw_steps(["d1"])["d1"]
    assert len({first, second, third}) == 3


def test_with_one_candidate_it_is_greedy():
    assert set(draw(SeededTopK(row_keys(1, ["a", "b"], 5), 1, 1.0))) == {1}


def test_keys_are_distinct_and_fit():
    names = [f"d{number}" for number in range(3000)] + ["d1 0", "d10"]
    keys = row_keys(13, names[:-2], 5).tolist() + row_keys(13, ["d1,0", "d1 0"], 5).tolist()
    assert len(set(keys)) == len(keys)
    assert all(0 <= key < 2**62 for key in keys)


# The whole way, with a T5 of random weights


@pytest.fixture(scope="module")
def tiny_t5(tmp_path_factory):
    from tokenizers import Tokenizer, models, pre_tokenizers, processors

    folder = tmp_path_factory.mktemp("models") / "tiny-t5"
    words = ["<pad>", "</s>", "<unk>", *["which", "masks", "slow", "the", "spread", "of", "bats", "and", "fruit"]]
    tokenizer = Tokenizer(models.WordLevel({word: number for number, word in enumerate(words)}, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(single="$A </s>", special_tokens=[("</s>", 1)])
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="<pad>", eos_token="</s>", unk_token="<unk>"
    ).save_pretrained(folder)
    torch.manual_seed(1)
    configuration = T5Config(
        vocab_size=len(words), d_model=16, d_kv=8, d_ff=32, num_layers=1, num_heads=2, decoder_start_token_id=0
    )
    T5ForConditionalGeneration(configuration).save_pretrained(folder)
    return folder


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


@pytest.fixture
def built(tiny_t5, tmp_path, beir_folder):
    corpus = "".join(json.dumps({"_id": d.id, "title": d.title, "text": d.text}) + "\n" for d in DOCUMENTS)
    profile = Profile(
        collection={"name": "tiny", "source": str(beir_folder({"corpus.jsonl": corpus}))},
        doc2query=SETTINGS | {"model": str(tiny_t5)},
        system=[],
    )
    build_collection(profile, tmp_path / "built")
    return profile, tmp_path / "built"


def test_generation_that_was_interrupted_goes_on_and_ends_the_same(built, monkeypatch):
    profile, folder = built
    generate(profile, folder, "cpu", batch=1)
    expected = read_expansions(folder)
    assert list(expected) == [document.id for document in DOCUMENTS]
    assert all(len(queries) == 3 for queries in expected.values())

    generate_until_interrupted(profile, folder, monkeypatch, batches=2)
    seen = []
    predict = QueryPredictor.predict
    monkeypatch.setattr(
        QueryPredictor, "predict", lambda self, names, tokens: seen.extend(names) or predict(self, names, tokens)
    )
    generate(profile, folder, "cpu", batch=1)
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
        generate(profile, folder, "cpu", batch=1)
    # what a computer that stopped in the middle of a line leaves
    with (folder / ".doc2query.partial" / "progress.jsonl").open("a") as file:
        file.write('[["d3", ["which')


def test_an_interruption_with_another_batch_size_loses_no_document(built, monkeypatch):
    profile, folder = built
    generate_until_interrupted(profile, folder, monkeypatch, batches=2)
    generate(profile, folder, "cpu", batch=3)
    assert list(read_expansions(folder)) == [document.id for document in DOCUMENTS]


def test_the_manifest_holds_no_absolute_path(built):
    profile, folder = built
    manifest = (generate(profile, folder, "cpu") / "manifest.json").read_text()
    assert str(profile.doc2query.model) not in manifest
    assert doc2query.locate_model(profile.doc2query.model).is_absolute()
