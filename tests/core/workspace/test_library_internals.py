"""Private parts of libraries: each is there, and without it the public API gives the same results."""

import ast
import importlib
import inspect
import sys

import bm25s
import numba
import numpy as np
import pytest
import scipy.sparse
import torch
from datasets import Dataset
from sentence_transformers import SentenceTransformer
from sentence_transformers.base.sampler import DefaultBatchSampler
from sentence_transformers.sentence_transformer.modules import Transformer
from tiny_models import T5_WORDS, write_pieces
from transformers import T5Config, T5ForConditionalGeneration

from core.training import t5_sampling
from core.training.t5_sampling import sample, sample_keys
from core.training.trainer import in_order
from core.workspace import compiled
from core.workspace.library_internals import (
    embed_columns,
    has_t5_decoder_layers,
    ignore_numba_cache_errors,
    indices_by_length,
    multiply_scores,
    postings,
    t5_tokenizer,
    transformer_modules,
    uses_pooler,
    vocabulary,
)
from core.workspace.workspace import CHECKOUT


def twice(values):
    return 2 * values


def test_contract_transformers_segments_as_sentencepiece_does(tmp_path):
    """Unigram segmentation by hand: the whole words have higher scores than their letters together."""
    write_pieces(tmp_path / "spiece.model")
    tokenizer = t5_tokenizer(tmp_path / "spiece.model")
    number = {word: 3 + place for place, word in enumerate(T5_WORDS)}
    letter = {piece: 3 + len(T5_WORDS) + place for place, piece in enumerate("▁abcdefghijklmnopqrstuvwxyz")}
    ids = tokenizer("masks  slow bat 7")["input_ids"]
    spelt = [letter[piece] for piece in "▁bat"]
    assert ids == [number["masks"], number["slow"], *spelt, letter["▁"], 2, 1]
    assert tokenizer.decode([number["bats"], *spelt, 1], skip_special_tokens=True) == "bats bat"
    assert len(tokenizer) == 3 + len(T5_WORDS) + 27 + 100


def test_contract_numba_reads_and_writes_its_cache_by_these_methods():
    dispatcher = numba.njit(cache=True)(twice)
    assert list(inspect.signature(dispatcher._cache.load_overload).parameters) == ["sig", "target_context"]
    assert list(inspect.signature(dispatcher._cache.save_overload).parameters) == ["sig", "data"]
    assert ignore_numba_cache_errors(dispatcher)


def test_without_numbas_cache_functions_are_compiled_in_each_process(monkeypatch):
    monkeypatch.setattr(numba.core.dispatcher.Dispatcher, "enable_caching", lambda self: delattr(self, "_cache"))
    assert not ignore_numba_cache_errors(numba.njit(cache=True)(twice))
    doubled = compiled.compiled()(twice)
    assert np.array_equal(doubled(np.arange(3)), [0, 2, 4])
    assert not ignore_numba_cache_errors(object())


@pytest.fixture
def t5():
    torch.manual_seed(2)
    sizes = {"vocab_size": 40, "d_model": 24, "d_kv": 8, "d_ff": 32, "num_layers": 2, "num_heads": 3}
    return T5ForConditionalGeneration(T5Config(decoder_start_token_id=0, **sizes)).eval()


def test_contract_a_t5_has_the_decoder_layers_that_sampling_calls(t5):
    assert has_t5_decoder_layers(t5)


@pytest.mark.parametrize("missing", ["q", "o", "layer_norm", "final_layer_norm"])
def test_a_t5_without_one_of_these_layers_is_told(missing, t5):
    block = t5.decoder.block[1]
    owner = {"q": block.layer[0].SelfAttention, "o": block.layer[1].EncDecAttention, "layer_norm": block.layer[1]}
    delattr(owner.get(missing, t5.decoder), missing)
    assert not has_t5_decoder_layers(t5)


def test_without_the_layers_generate_writes_the_same_texts(t5, monkeypatch):
    ids = torch.randint(2, 40, (4, 9), generator=torch.Generator().manual_seed(3))
    mask = (torch.arange(9) < torch.tensor([3, 5, 9, 9])[:, None]).long()
    batch, keys = {"input_ids": ids * mask, "attention_mask": mask}, sample_keys(7, list("abcd"), 10)
    by_layers = sample(t5, batch, keys, 38, 3.0, 12)
    monkeypatch.setattr(t5_sampling, "has_t5_decoder_layers", lambda model: False)
    assert torch.equal(sample(t5, batch, keys, 38, 3.0, 12), by_layers)


def test_contract_and_fallback_of_merged_columns(encoder, monkeypatch):
    name = "sentence_transformers.base.losses.merged_forward"
    merged = importlib.import_module(name).embed_columns
    assert {"model", "separate_first"} <= set(inspect.signature(merged).parameters)
    model = SentenceTransformer(str(encoder), device="cpu").eval()
    columns = [model.preprocess(texts) for texts in (["ban", "masks help"], ["spread of bats and fruit", "ban"])]
    with torch.no_grad():
        together = embed_columns(model, columns)
        monkeypatch.setitem(sys.modules, name, None)
        apart = embed_columns(model, columns)
    for one, other in zip(together, apart, strict=True):
        torch.testing.assert_close(one, other)


def test_contract_an_embedded_milvus_can_be_ended():
    manager = pytest.importorskip("milvus_lite.server_manager")
    assert callable(manager.server_manager_instance.release_server)


def test_contract_batches_of_similar_length_are_drawn_by_the_generator_alone():
    lengths = [1, 7, 3, 9, 2, 8, 4, 6] * 8

    def drawn(seed):
        return indices_by_length(lengths, 4, torch.Generator().manual_seed(seed))

    torch.manual_seed(1)
    first = drawn(5)
    torch.manual_seed(2)
    assert drawn(5) == first
    assert drawn(6) != first
    assert sorted(first) == list(range(64))
    assert lengths[first[0]] == 9, "the longest first: it shows at once whether a batch fits into memory"
    spans = [np.ptp([lengths[i] for i in first[start : start + 4]]) for start in range(0, 64, 4)]
    assert np.mean(spans) < 3, "at random it would be 5"


def test_contract_the_modules_of_a_sentence_transformer(encoder):
    model = SentenceTransformer(str(encoder), device="cpu")
    (module,) = transformer_modules(model)
    assert module.model.config.model_type == "bert"
    assert {name for name, _ in module.model.named_modules()} >= {"embeddings", "pooler"}
    assert not uses_pooler(module)


def test_contract_a_module_says_that_it_uses_the_pooler(tiny_bert):
    pooled = {"text": {"method": "forward", "method_output_name": "pooler_output"}}
    module = Transformer(str(tiny_bert), modality_config=pooled, module_output_name="sentence_embedding")
    assert uses_pooler(module)
    del module.modality_config
    assert not uses_pooler(module)


def test_contract_the_postings_of_bm25s_are_the_scores_that_it_returns():
    columns = {"apple": 0, "banana": 1, "cherry": 2}
    documents = [[0, 1, 0], [1], [2, 2, 1], []]
    index = bm25s.BM25(method="lucene", k1=1.2, b=0.7)
    index.index((documents, dict(columns)), show_progress=False)
    assert {token: vocabulary(index)[token] for token in columns} == columns
    data, indices, indptr, n_documents = postings(index)
    matrix = scipy.sparse.csc_array((data, indices, indptr), shape=(n_documents, len(indptr) - 1)).toarray()
    assert n_documents == 4
    for token, column in columns.items():
        np.testing.assert_array_equal(matrix[:, column], index.get_scores([token]))
    multiply_scores(index, 0.5)
    np.testing.assert_array_equal(index.get_scores(["apple"]), matrix[:, 0] / 2)


def test_contract_a_function_may_choose_the_batches_of_a_bi_encoder():
    rows = Dataset.from_dict({"a": list("abcde")})
    taken = ("batch_size", "drop_last", "valid_label_columns", "generator", "seed")
    assert set(inspect.signature(DefaultBatchSampler).parameters) == {"dataset", *taken}
    sampler = in_order(rows, batch_size=2, drop_last=False, valid_label_columns=[], generator=None, seed=3)
    sampler.set_epoch(1)
    assert list(sampler) == [[0, 1], [2, 3], [4]]


# The rule: no other module uses private parts.

INTERNALS = ("core/workspace/library_internals.py", "dashboard/streamlit_internals.py")
NOT_PUBLIC = ("milvus_lite", "sentence_transformers.base.losses", "streamlit.config", "streamlit.proto")
NOT_PUBLIC += ("streamlit.runtime", "streamlit.util", "streamlit.web", "transformers.trainer_pt_utils")
EXCEPTIONS = {
    ("core/workspace/artifacts.py", "_lru_cache_wrapper"): "the type of functools.lru_cache, in annotations only",
    ("scripts/attached.py", "_exit"): "a documented function of os",
    ("scripts/campaigns/cache.py", "_keep_best"): "our own function",
    ("scripts/campaigns/campaign.py", "_exit"): "a documented function of os",
    ("scripts/campaigns/damage.py", "_file_digest"): "our own function",
    ("scripts/tables/commands.py", "_SubParsersAction"): "argparse has no public name for subcommands",
    ("scripts/tables/commands.py", "_actions"): "argparse has no public list of a parser's arguments",
}
"""(file, name) -> why it may be used there."""


NAMED_TUPLES = ("_asdict", "_fields", "_replace")
"""Documented attributes of named tuples."""


def is_private(name):
    return name.startswith("_") and not name.startswith("__") and name not in NAMED_TUPLES


def private_uses(source):
    """Yield the private names that a module takes from elsewhere, and which of NOT_PUBLIC it imports.

    Attributes of `self` and `cls` are left to `inherited_uses`.
    """
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Attribute) and is_private(node.attr):
            if not (isinstance(node.value, ast.Name) and node.value.id in ("self", "cls")):
                yield node.attr
        elif isinstance(node, ast.Import | ast.ImportFrom):
            module = getattr(node, "module", None)
            for name in (f"{module}.{alias.name}" if module else alias.name for alias in node.names):
                yield from filter(is_private, name.split("."))
                yield from (part for part in NOT_PUBLIC if f"{name}.".startswith(f"{part}."))


def inherited_uses(module):
    """Yield the private names of a library's class that a class of the module overrides or uses."""
    nodes = ast.walk(ast.parse(inspect.getsource(module)))
    attributes = {node.attr for node in nodes if isinstance(node, ast.Attribute)}
    ours = {"core", *sys.stdlib_module_names}
    for own in (value for value in vars(module).values() if inspect.isclass(value)):
        if own.__module__ != module.__name__:
            continue
        bases = [base for base in own.__mro__[1:] if base.__module__.split(".")[0] not in ours]
        for name in filter(is_private, attributes | set(vars(own))):
            if name != "_abc_impl" and any(name in vars(base) for base in bases):  # every abstract class has that one
                yield f"{own.__name__}.{name}"


def sources(*folders):
    return [path for folder in folders for path in sorted((CHECKOUT / folder).rglob("*.py"))]


def test_no_other_module_uses_private_names():
    used = {
        (path.relative_to(CHECKOUT).as_posix(), name)
        for path in sources("core", "dashboard", "scripts")
        for name in private_uses(path.read_text(encoding="utf-8"))
    }
    assert {use for use in used if use[0] not in INTERNALS} == set(EXCEPTIONS)


def test_no_class_overrides_or_uses_a_private_name_of_a_library_class():
    names = [path.relative_to(CHECKOUT).with_suffix("").as_posix().replace("/", ".") for path in sources("core")]
    modules = [importlib.import_module(name) for name in names if not name.endswith(("__init__", "__main__"))]
    assert [use for module in modules for use in inherited_uses(module)] == []


@pytest.mark.parametrize(
    ("source", "uses"),
    [
        ("import a\na.b._c", ["_c"]),
        ("import a\na().b()[0]._c()", ["_c"]),
        ("from a._b import c", ["_b"]),
        ("from a import _b", ["_b"]),
        ("from streamlit import config", ["streamlit.config"]),
        ("import streamlit.proto.BackMsg_pb2", ["streamlit.proto"]),
        ("import a\nself._b, a.__name__, a.b", []),
        ("import streamlit.configuration", []),
    ],
)
def test_what_counts_as_a_private_name(source, uses):
    assert list(private_uses(source)) == uses


def test_what_counts_as_an_override(tmp_path, monkeypatch):
    (tmp_path / "made_up_trainer.py").write_text(
        "from transformers import Trainer\n"
        "class Own(Trainer):\n"
        "    def _get_train_sampler(self): pass\n"
        "    def _of_its_own(self): return self._of_its_own\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    assert list(inherited_uses(importlib.import_module("made_up_trainer"))) == ["Own._get_train_sampler"]
