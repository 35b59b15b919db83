"""The parts of libraries outside their public API that the project uses, each with its fallback.

| library | part | why | pinned | fallback |
|---|---|---|---|---|
| numba | `Dispatcher._cache.load_overload`, `save_overload` | a full disk stops no search | 0.68.1 | no cache |
| transformers | the layers of a T5's decoder | samples of a document share its encoding | 5.23.0 | `generate` |
| transformers | `T5Tokenizer(_spm_precompiled_charsmap=)` | `spiece.model` alone | 5.23.0 | none, an error |
| transformers | `trainer_pt_utils.get_length_grouped_indices` | batches by length | 5.23.0 | no T5 training |
| sentence-transformers | `losses.merged_forward.embed_columns` | one forward pass for all queries | 6.2.0 | one each |
| sentence-transformers | `Transformer.model`, `modality_config` | weights that must be there | 6.2.0 | `uses_pooler` |
| sentence-transformers | `Transformer.model`, `modality_config` | OpenVINO in its place | 6.2.0 | torch |
| sentence-transformers | `model_card_data.model` | memory, when systems are opened in turn | 6.2.0 | freed later |
| bm25s | `BM25.scores`, `BM25.vocab_dict` | field weights, speed, explanations | 0.3.16 | no BM25 |
| milvus-lite | `server_manager_instance.release_server` | ends an embedded server | 3.2.2 | ends with the process |

Parts without a fallback affect results: a substitute would change them silently. Streamlit's are in
dashboard/streamlit_internals.py.

tests/core/workspace/test_library_internals.py has a contract test for each, which fails when a new version changes it,
and a test that no other module uses private names.
"""

from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

    import bm25s
    import numpy as np
    import torch


def ignore_numba_cache_errors(dispatcher: Any) -> bool:
    """Let a compiled function work even if its cache on disk cannot be read or written (a full disk, permissions).

    Returns False if numba has no such cache: compile the function without one then.
    """
    cache = getattr(dispatcher, "_cache", None)
    methods = {name: getattr(cache, name, None) for name in ("load_overload", "save_overload")}
    if not all(map(callable, methods.values())):
        return False
    for name, method in methods.items():
        setattr(cache, name, _without_os_errors(method))
    return True


def _without_os_errors(method: Any) -> Callable[..., Any]:
    def guarded(*arguments: Any) -> Any:
        with suppress(OSError):
            return method(*arguments)

    return guarded


def free_with_last_reference(model: Any) -> None:
    """Let a model of sentence-transformers be freed with the last reference to it.

    Its card refers back to it, so that it would wait for the garbage collector, which counts objects, not bytes: a
    build kept 150 MB of each MiniLM that it had opened.
    """
    if (card := getattr(model, "model_card_data", None)) is not None:
        card.model = None


T5_SENTINELS = 100
"""Number of sentinel tokens, which every T5 has after the pieces of its `spiece.model`."""
SELF_ATTENTION = ("layer_norm", *(f"SelfAttention.{name}" for name in "qkvo"))
CROSS_ATTENTION = ("layer_norm", *(f"EncDecAttention.{name}" for name in "qkvo"))


def has_t5_decoder_layers(model: Any) -> bool:
    """Return whether a T5's decoder consists of the layers that `core.training.t5_sampling` calls one by one."""
    model_parts = ("encoder", "lm_head", "decoder.embed_tokens", "decoder.final_layer_norm")
    if not all(_has(model, name) for name in model_parts) or not hasattr(model.config, "scale_decoder_outputs"):
        return False
    blocks = list(getattr(model.decoder, "block", []))
    return bool(blocks) and all(
        len(getattr(block, "layer", [])) == 3
        and all(_has(block.layer[0], name) for name in SELF_ATTENTION)
        and all(_has(block.layer[1], name) for name in CROSS_ATTENTION)
        and hasattr(block.layer[0].SelfAttention, "compute_bias")
        for block in blocks
    )


def _has(part: Any, name: str) -> bool:
    """Return whether a part has a callable attribute at a dotted path."""
    for step in name.split("."):
        part = getattr(part, step, None)
    return callable(part)


def t5_tokenizer(file: "Path") -> Any:
    """Return the tokenizer of a T5 in a `spiece.model`, which transformers itself reads only with sentencepiece.

    Raises:
        google.protobuf.message.DecodeError: if the file is damaged.
    """
    from transformers import T5Tokenizer
    from transformers.convert_slow_tokenizer import import_protobuf

    model = import_protobuf().ModelProto()
    model.ParseFromString(file.read_bytes())
    sentinels = [(f"<extra_id_{number}>", 0.0) for number in reversed(range(T5_SENTINELS))]
    pieces = [(piece.piece, piece.score) for piece in model.pieces]
    charsmap = model.normalizer_spec.precompiled_charsmap or None
    return T5Tokenizer(vocab=pieces + sentinels, _spm_precompiled_charsmap=charsmap, extra_ids=T5_SENTINELS)


def indices_by_length(lengths: list[int], batch: int, generator: "torch.Generator") -> list[int]:
    """Return the positions of an epoch's rows, each batch of similar length, shuffled by a generator."""
    from transformers.trainer_pt_utils import get_length_grouped_indices

    indices: list[int] = get_length_grouped_indices(lengths, batch, generator=generator)
    return indices


def transformer_modules(model: Any) -> list[Any]:
    """Return the modules of a `SentenceTransformer` that wrap a transformers model, which is their `model`."""
    from sentence_transformers.sentence_transformer.modules import Transformer

    return [module for module in model.modules() if isinstance(module, Transformer)]


def uses_pooler(module: Any) -> bool:
    """Return whether the output of a `Transformer` module is that of the model's own pooler.

    Without `modality_config` the answer is no, so that missing weights of the pooler are not reported.
    """
    return "pooler_output" in str(getattr(module, "modality_config", ""))


def output_name(module: Any) -> str:
    """Return the name of the transformers model's output that a `Transformer` module reads, "" if it is not one output.

    Without `modality_config` there is none.
    """
    text = getattr(module, "modality_config", {}).get("text", {})
    names = text.get("method_output_name")
    if text.get("method") != "forward":
        return ""
    if isinstance(names, str):
        return names
    return str(names[0]) if isinstance(names, list | tuple) and len(names) == 1 else ""


def postings(index: "bm25s.BM25") -> "tuple[np.ndarray, np.ndarray, np.ndarray, int]":
    """Return the postings of a bm25s index: the fields of `core.retrieval.postings.Postings`."""
    scores = index.scores
    return scores["data"], scores["indices"], scores["indptr"], int(scores["num_docs"])


def multiply_scores(index: "bm25s.BM25", weight: float) -> None:
    """Multiply all scores of a bm25s index by a weight."""
    data = index.scores["data"]
    index.scores["data"] = data * data.dtype.type(weight)


def vocabulary(index: "bm25s.BM25") -> dict[str, int]:
    """Return the column of each token in a bm25s index."""
    columns: dict[str, int] = index.vocab_dict
    return columns


def embed_columns(model: Any, columns: list[dict[str, Any]]) -> list[Any]:
    """Return the embeddings of each column of a batch, in one forward pass of a `SentenceTransformer` if possible."""
    try:
        from sentence_transformers.base.losses.merged_forward import embed_columns as merged
    except ImportError:
        return [model(features)["sentence_embedding"] for features in columns]
    return list(merged(model, columns, separate_first=False))


def release_embedded_milvus(uri: str) -> None:
    """Stop the server of an embedded Milvus; if that fails, it stops with this process."""
    with suppress(Exception):
        from milvus_lite.server_manager import server_manager_instance

        server_manager_instance.release_server(uri)
