"""A model whose files lack weights is refused: transformers gives those random values and goes on.

Which weights are missing is read from the .safetensors files themselves, beside the library's report.
"""

import gc
import json
import shutil
import weakref

import numpy as np
import pytest
import torch
from beir_files import of_words
from safetensors.torch import load_file, save_file
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.modules import Dense, LayerNorm, Pooling, Router, Transformer
from stages import make
from transformers import (
    BertForMaskedLM,
    BertModel,
    DistilBertConfig,
    DistilBertModel,
    MPNetConfig,
    MPNetModel,
    RobertaConfig,
    RobertaModel,
)

from core import doc2query, encode
from core.build import run_build
from core.formats.documents import Document
from core.formats.runs import write_run
from core.retrieval.encoder import encode_texts, load_encoder, load_encoder_of
from core.retrieval.kinds import open_system
from core.retrieval.word_attribution import token_shares
from core.training.bi_encoder import build_model
from core.training.t5 import open_predictor
from core.workspace.artifacts import is_whole, read_manifest, stale_reason
from core.workspace.errors import UserError
from core.workspace.models import check_finite, load_sentence_transformer, longest_input, model_digest
from core.workspace.profile import Doc2querySettings, FinetuneSettings, Profile, SystemSettings, find_settings
from core.workspace.stage import Build

pytestmark = pytest.mark.slow

FILE = "model.safetensors"


def system(folder, **settings):
    return SystemSettings(name="a", kind="dense", model=str(folder), **settings)


def with_weights(source, target, change, file=FILE):
    """Copy a model, its weights changed by a function of name -> tensor."""
    shutil.copytree(source, target)
    weights = {key: value.contiguous().clone() for key, value in change(load_file(target / file)).items()}
    save_file(weights, target / file, metadata={"format": "pt"})
    return target


def without(part):
    return lambda weights: {key: value for key, value in weights.items() if part not in key}


def renamed(old, new):
    return lambda weights: {new if key == old else key: value for key, value in weights.items()}


def prefixed(prefix):
    return lambda weights: {prefix + key: value for key, value in weights.items()}


def with_value(key, value):
    def change(weights):
        weights[key].view(-1)[3] = value
        return weights

    return change


MISSING = {
    "a layer": without("layer.1."),
    "the words": without("word_embeddings"),
    "one bias": without("layer.0.output.dense.bias"),
    "an unknown name": renamed("encoder.layer.0.output.dense.bias", "encoder.layer.0.output.dense.offset"),
    "all prefixed": prefixed("model."),
    "as DataParallel saves": prefixed("module."),
}


@pytest.mark.parametrize("case", MISSING)
def test_missing_weights_are_refused_and_counted(case, encoder, tmp_path, workspace):
    folder = with_weights(encoder, tmp_path / "cut", MISSING[case])
    expected = {key for key in load_file(encoder / FILE) if "pooler" not in key}
    missing = sorted(expected - load_file(folder / FILE).keys())
    with pytest.raises(UserError) as caught:
        load_encoder(workspace, system(folder), "cpu")
    sentence = str(caught.value)
    assert sentence.count("\n") == 0
    assert f"{len(missing)} weight" in sentence
    assert missing[0] in sentence
    assert "cut" in sentence
    with pytest.raises(UserError, match=missing[0].replace(".", r"\.")):
        build_model(FinetuneSettings(base=str(folder), max_tokens=16), folder, "cpu")


@pytest.mark.parametrize("case", [without("pooler"), prefixed("bert."), lambda w: w | {"head.weight": torch.ones(2)}])
def test_what_shapes_no_vector_may_be_missing_or_too_much(case, encoder, tmp_path, workspace):
    folder = with_weights(encoder, tmp_path / "whole", case)
    texts = ["ban bar bas", "den", ""]
    expected = SentenceTransformer(str(encoder), device="cpu").encode(texts)
    vectors = encode_texts(load_encoder(workspace, system(folder), "cpu"), texts, "document")
    assert vectors == pytest.approx(expected, abs=2e-6)


def test_a_cross_encoder_is_no_dense_system(tiny_cross_encoder, workspace):
    with pytest.raises(UserError, match=r"a: the model .* is a cross-encoder; use kind = .rerank."):
        load_encoder(workspace, system(tiny_cross_encoder), "cpu")


def test_an_encoder_is_freed_with_its_last_reference(encoder, workspace):
    loaded = load_encoder(workspace, system(encoder), "cpu")
    encode_texts(loaded, ["ban"], "query")
    freed = weakref.ref(loaded)
    gc.disable()
    try:
        del loaded
        assert freed() is None
    finally:
        gc.enable()


def test_loaded_weights_are_those_of_the_file(encoder, workspace):
    loaded = load_sentence_transformer(workspace, str(encoder), "cpu")[0].model.state_dict()
    for key, weight in load_file(encoder / FILE).items():
        assert torch.equal(loaded[key], weight), key


def test_weights_of_another_shape_are_refused(encoder, tmp_path, workspace):
    key = "embeddings.position_embeddings.weight"
    folder = with_weights(encoder, tmp_path / "cut", lambda weights: weights | {key: weights[key][:100]})
    with pytest.raises(UserError, match=rf"1 weight is of a different shape .*{key}"):
        load_encoder(workspace, system(folder), "cpu")


def test_a_configuration_of_more_layers_than_there_are_is_refused(encoder, tmp_path, workspace):
    folder = shutil.copytree(encoder, tmp_path / "cut")
    config = (folder / "config.json").read_text()
    (folder / "config.json").write_text(config.replace('"num_hidden_layers": 2', '"num_hidden_layers": 3'))
    with pytest.raises(UserError, match=r"16 weights are missing .*encoder\.layer\.2"):
        load_encoder(workspace, system(folder), "cpu")


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
@pytest.mark.parametrize("key", ["embeddings.word_embeddings.weight", "encoder.layer.1.output.LayerNorm.weight"])
def test_weights_that_are_not_finite_are_refused(key, value, encoder, tmp_path, workspace):
    folder = with_weights(encoder, tmp_path / "bad", with_value(key, value))
    with pytest.raises(UserError, match=rf"{key} has values that are NaN or infinite"):
        load_encoder(workspace, system(folder), "cpu")
    with pytest.raises(UserError, match="NaN or infinite"):
        build_model(FinetuneSettings(base=str(folder), max_tokens=16), folder, "cpu")


def test_large_weights_are_finite():
    layer = torch.nn.Linear(4, 4)
    layer.weight.data.fill_(3e38)  # their sum is infinite, in float32
    check_finite("a", layer)


@pytest.fixture
def modular(tiny_bert, tmp_path):
    """Return a model with a Dense and a LayerNorm behind its pooling."""
    modules = [Transformer(str(tiny_bert)), Pooling(64), Dense(64, 32), LayerNorm(32)]
    SentenceTransformer(modules=modules, device="cpu").save(str(tmp_path / "modular"))
    return tmp_path / "modular"


@pytest.mark.parametrize(("module", "key"), [("2_Dense", "linear.weight"), ("3_LayerNorm", "norm.bias")])
def test_all_modules_must_be_whole(module, key, modular, tmp_path, workspace):
    load_encoder(workspace, system(modular), "cpu")
    file = f"{module}/{FILE}"
    for case, change in {
        "missing": without(key),
        "short": lambda weights: weights | {key: weights[key][:5]},
        "nan": with_value(key, float("nan")),
    }.items():
        folder = with_weights(modular, tmp_path / case, change, file)
        with pytest.raises(UserError, match=r"cannot be loaded|NaN"):
            load_encoder(workspace, system(folder), "cpu")
    shutil.copytree(modular, tmp_path / "cut")
    content = (tmp_path / "cut" / file).read_bytes()
    (tmp_path / "cut" / file).write_bytes(content[: len(content) // 2])
    with pytest.raises(UserError, match="cannot be loaded"):
        load_encoder(workspace, system(tmp_path / "cut"), "cpu")


def test_each_tower_must_be_whole(tiny_bert, tmp_path, workspace):
    settings = FinetuneSettings(base=str(tiny_bert), max_tokens=16, towers="two")
    build_model(settings, tiny_bert, "cpu").save(str(tmp_path / "two"))
    load_encoder(workspace, system(tmp_path / "two"), "cpu")
    for tower in ("query_0_Transformer", "document_0_Transformer"):
        folder = with_weights(tmp_path / "two", tmp_path / tower, without("layer.0.attention"), f"{tower}/{FILE}")
        with pytest.raises(UserError, match=rf"10 weights are missing in .*{tower}"):
            load_encoder(workspace, system(folder), "cpu")


def test_a_masked_language_model_is_a_whole_base(tiny_bert, tmp_path):
    folder = shutil.copytree(tiny_bert, tmp_path / "masked", ignore=shutil.ignore_patterns(FILE, "config.json"))
    base = BertModel.from_pretrained(tiny_bert)
    masked = BertForMaskedLM(base.config)
    masked.bert.load_state_dict(base.state_dict(), strict=False)
    masked.save_pretrained(folder)
    assert any(key.startswith("cls.") for key in load_file(folder / FILE))
    own = build_model(FinetuneSettings(base=str(folder), max_tokens=16), folder, "cpu")
    other = build_model(FinetuneSettings(base=str(tiny_bert), max_tokens=16), tiny_bert, "cpu")
    assert np.array_equal(own.encode(["ban bar"]), other.encode(["ban bar"]))


# T5


def t5_settings(folder):
    return Doc2querySettings(model=str(folder), base=str(folder), queries=2, max_query_tokens=6)


@pytest.mark.parametrize("part", ["decoder.block.0.layer.1", "encoder.final_layer_norm", "shared.weight"])
def test_a_t5_with_missing_weights_is_refused(part, tiny_t5, tmp_path, workspace):
    folder = with_weights(tiny_t5, tmp_path / "cut", without(part))
    missing = load_file(tiny_t5 / FILE).keys() - load_file(folder / FILE).keys()
    with pytest.raises(UserError, match=r"weights? (is|are) missing") as caught:
        open_predictor(workspace, t5_settings(folder), "cpu")
    tied = {"shared.weight": "embed_tokens.weight"}  # named by those that are tied to it
    assert any(tied.get(key, key) in str(caught.value) for key in missing)
    (tmp_path / "triples.tsv").write_text("".join(f"masks{n}\tthe bats\tslow fruit\n" for n in range(40)))
    profile = Profile(
        collection={"name": "tiny"},
        system=[{"name": "bm25", "kind": "bm25"}],
        triples={"source": str(tmp_path / "triples.tsv"), "held_out": 0.2},
        doc2query=t5_settings(folder).model_copy(update={"model": str(workspace.root / "models" / "t5")}),
    )
    with pytest.raises(UserError, match="missing"):
        make(doc2query.TRAIN, profile, workspace.collection("tiny"))
    assert not (workspace.root / "models" / "t5").exists()


def test_a_t5_with_nan_is_refused_and_tied_weights_are_no_missing_ones(tiny_t5, tmp_path, workspace):
    stored = load_file(tiny_t5 / FILE)
    assert "lm_head.weight" not in stored  # tied to shared.weight
    assert open_predictor(workspace, t5_settings(tiny_t5), "cpu")([Document("d", "", "masks slow the spread")])[0]["d"]
    folder = with_weights(tiny_t5, tmp_path / "bad", with_value("shared.weight", float("nan")))
    with pytest.raises(UserError, match="NaN or infinite"):
        open_predictor(workspace, t5_settings(folder), "cpu")


# Digests


def test_the_digest_covers_pickles_that_are_read_and_those_alone(modular, tmp_path, workspace):
    weights = load_file(modular / "2_Dense" / FILE)
    (modular / "2_Dense" / FILE).unlink()
    torch.save(weights, modular / "2_Dense" / "pytorch_model.bin")
    before, texts = model_digest(modular), ["ban bar"]
    vectors = encode_texts(load_encoder(workspace, system(modular), "cpu"), texts, "query")
    torch.save({key: value * 2 + 1 for key, value in weights.items()}, modular / "2_Dense" / "pytorch_model.bin")
    assert model_digest(modular) != before
    assert not np.allclose(encode_texts(load_encoder(workspace, system(modular), "cpu"), texts, "query"), vectors)
    # beside safetensors a pickle is not read, and cards, hidden files and other frameworks' weights are not either
    before = model_digest(modular)
    for name in ("pytorch_model.bin", "README.md", ".gitattributes", "tf_model.h5", ".git/config.json"):
        (modular / name).parent.mkdir(exist_ok=True)
        (modular / name).write_bytes(b"another")
        assert model_digest(modular) == before, name
    for name in ("vocab.bpe", "sentencepiece.model", "dict.txt", "2_Dense/config.json"):
        before = model_digest(modular)
        (modular / name).write_bytes(b"{}")
        assert model_digest(modular) != before, name


@pytest.fixture
def profile(encoder, words, beir_folder, workspace):
    source = beir_folder(of_words(words))
    return Profile(
        collection={"name": "tiny", "source": str(source)},
        system=[{"name": "bm25", "kind": "bm25"}, {"name": "dense", "kind": "dense", "model": str(encoder)}],
        ann={"index": [{"kind": "hnsw", "values": [10]}], "repeats": 1},
    )


def with_model(profile, folder, **settings):
    dense = profile.system[1].model_copy(update={"model": str(folder), **settings})
    return profile.model_copy(update={"system": [profile.system[0], dense]})


def results(profile, folder, **options):
    outcomes = run_build(Build(profile, folder, "cpu"), say=lambda _: None, **options)
    return {f"{o.step.stage.name}/{o.step.artifact.name}": o.result for o in outcomes}, outcomes


def test_an_exchanged_dense_makes_vectors_stale_and_is_not_searched_with(profile, modular, workspace):
    weights = load_file(modular / "2_Dense" / FILE)
    (modular / "2_Dense" / FILE).unlink()
    torch.save(weights, modular / "2_Dense" / "pytorch_model.bin")
    profile, folder = with_model(profile, modular), workspace.collection("tiny")
    assert set(results(profile, folder)[0].values()) == {"made"}
    torch.save({key: value + 1 for key, value in weights.items()}, modular / "2_Dense" / "pytorch_model.bin")
    dense = find_settings(profile, "dense")
    build = Build(profile, folder, "cpu")
    stale = stale_reason(folder / "vectors" / "dense", encode.settings(build, dense), encode.inputs(build, dense))
    assert stale == "its input model changed"
    with pytest.raises(UserError, match="not those that made"):
        open_system(profile, dense, folder, "cpu").search(["ban"], 1)
    with pytest.raises(UserError, match="not those that made"):
        load_encoder_of(folder, dense, "cpu")


def test_a_model_exchanged_while_it_encodes_seals_nothing(profile, encoder, workspace, tmp_path, monkeypatch):
    folder, model = workspace.collection("tiny"), shutil.copytree(encoder, tmp_path / "model")
    profile = with_model(profile, model)
    results(profile, folder, only="collection")
    from core.retrieval import encoder

    def exchanged(*arguments):
        weights = {key: value * 2 for key, value in load_file(model / FILE).items()}
        save_file(weights, model / FILE, metadata={"format": "pt"})
        return encode_texts(*arguments)

    monkeypatch.setattr(encoder, "encode_texts", exchanged)
    with pytest.raises(UserError, match="model changed while artifacts/tiny/vectors/dense was being made"):
        make(encode.STAGE, profile, folder, find_settings(profile, "dense"))
    assert not is_whole(folder / "vectors" / "dense")


# Vectors and runs that are no numbers, or zero


class Broken:
    """An encoder that gives one vector with a value that is no number."""

    device = torch.device("cpu")

    def encode_document(self, texts, **_):
        return np.array([[1.0, np.nan if text == "bad" else 2.0] for text in texts])


def test_vectors_that_are_not_finite_stop_the_encoding(profile, workspace, monkeypatch):
    with pytest.raises(UserError, match='for the document "bad"'):
        encode_texts(Broken(), ["good", "bad"], "document")

    folder = workspace.collection("tiny")
    loaded = load_encoder(workspace, profile.system[1], "cpu")
    monkeypatch.setattr(loaded, "encode_document", lambda texts, **_: np.full((len(texts), 3), np.inf))
    monkeypatch.setattr("core.encode.load_encoder", lambda *_: loaded)
    made, _ = results(profile, folder)
    assert made["encode/dense"] == "failed"
    assert not is_whole(folder / "vectors" / "dense")
    assert made["search/bm25"] == made["evaluate/measures"] == "made"


@pytest.mark.parametrize("score", [float("nan"), float("inf"), float("-inf")])
def test_a_score_that_is_not_finite_makes_no_run(score, tmp_path):
    with pytest.raises(UserError, match="document d2 for topic 7"):
        write_run(tmp_path / "run.trec", "a", [("7", [("d1", 1.0), ("d2", score)])])


def test_vectors_of_length_zero_have_similarity_zero(profile, encoder, workspace, tmp_path):
    def no_output(weights):
        last = "encoder.layer.1.output.LayerNorm."
        return weights | {last + name: torch.zeros_like(weights[last + name]) for name in ("weight", "bias")}

    folder = workspace.collection("tiny")
    profile = with_model(profile, with_weights(encoder, tmp_path / "zero", no_output))
    made, outcomes = results(profile, folder)
    assert set(made.values()) == {"made"}, [outcome.reason for outcome in outcomes]
    answering = open_system(profile, find_settings(profile, "dense"), folder, "cpu")
    hits = answering.search(["ban bar"], 5)[0].hits
    assert [score for _, score in hits] == [0.0] * 5
    assert sum(share for _, share in answering.explain("ban bar", "d1")) == 0.0
    document = Document("d1", "", "ban bar bas")
    assert sum(share for _, share in answering.explain_words("ban bar", document)) == 0.0
    assert read_manifest(folder / "ann" / "dense").facts["similarities"]["longest vector"] == 0.0


def test_a_query_of_length_zero_shares_nothing(encoder, workspace):
    loaded = load_encoder(workspace, system(encoder), "cpu")
    shares = token_shares(loaded, np.zeros(64, dtype=np.float32), "ban bar", "cosine")
    assert [share for _, share in shares] == [0.0] * 4


# Longer inputs than a model has positions for


def of_type(kind, bert, folder):
    """Write a model of another architecture with 40 positions, and return its folder."""
    sizes = {"vocab_size": 245, "max_position_embeddings": 40}
    bertlike = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
    torch.manual_seed(2)
    models = {
        "roberta": lambda: RobertaModel(RobertaConfig(pad_token_id=1, **sizes, **bertlike)),
        "mpnet": lambda: MPNetModel(MPNetConfig(pad_token_id=1, **sizes, **bertlike)),
        "distilbert": lambda: DistilBertModel(DistilBertConfig(dim=16, n_layers=1, n_heads=2, hidden_dim=16, **sizes)),
    }
    folder = shutil.copytree(bert, folder, ignore=shutil.ignore_patterns(FILE, "config.json"))
    models[kind]().save_pretrained(folder)
    return folder


@pytest.mark.parametrize("kind", ["roberta", "mpnet", "distilbert"])
def test_the_longest_input_is_the_longest_that_the_model_can_read(kind, tiny_bert, tmp_path, workspace):
    folder = of_type(kind, tiny_bert, tmp_path / kind)
    loaded = load_sentence_transformer(workspace, str(folder), "cpu")
    limit = longest_input(loaded)
    assert load_encoder(workspace, system(folder), "cpu").max_seq_length <= limit
    loaded.max_seq_length = 1000
    text = "ban " * 200
    assert len(loaded.tokenizer(text, truncation=True, max_length=limit)["input_ids"]) == limit
    loaded.max_seq_length = limit
    encode_texts(loaded, [text], "document")
    loaded.max_seq_length = limit + 1
    with pytest.raises((IndexError, RuntimeError)):
        encode_texts(loaded, [text], "document")
    encode_texts(load_encoder(workspace, system(folder, max_tokens=limit), "cpu"), [text], "document")
    with pytest.raises(UserError, match=rf"max_tokens of a is {limit + 1}, but the model reads at most {limit} tokens"):
        load_encoder(workspace, system(folder, max_tokens=limit + 1), "cpu")
    with pytest.raises(UserError, match="finetune.max_tokens"):
        build_model(FinetuneSettings(base=str(folder), max_tokens=limit + 1), folder, "cpu")


def test_a_limit_of_the_model_s_own_is_cut_to_its_positions(encoder, tmp_path, workspace):
    folder = shutil.copytree(encoder, tmp_path / "long")
    config = json.loads((folder / "sentence_bert_config.json").read_text()) | {"max_seq_length": 2000}
    (folder / "sentence_bert_config.json").write_text(json.dumps(config))
    assert SentenceTransformer(str(folder), device="cpu").max_seq_length == 2000
    loaded = load_encoder(workspace, system(folder), "cpu")
    assert loaded.max_seq_length == 512
    encode_texts(loaded, ["ban " * 3000], "document")


def test_a_tower_counts_too(tiny_bert, tmp_path):
    short = of_type("distilbert", tiny_bert, tmp_path / "short")
    towers = [[Transformer(str(f), max_seq_length=16), Pooling(w)] for f, w in ((tiny_bert, 64), (short, 16))]
    router = SentenceTransformer(modules=[Router.for_query_document(*towers)], device="cpu")
    assert longest_input(router) == 40
