"""Private parts of libraries: each is there, and without it the public API gives the same results."""

import importlib
import inspect
import sys

import numba
import numpy as np
import pytest
import torch
from sentence_transformers import SentenceTransformer
from transformers import T5Config, T5ForConditionalGeneration

from core.training import t5_sampling
from core.training.t5_sampling import sample, sample_keys
from core.workspace import compiled
from core.workspace.library_internals import embed_columns, has_t5_decoder_layers, ignore_numba_cache_errors


def twice(values):
    return 2 * values


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
