"""What the project reaches into libraries for, beyond their public API: each part here, with its fallback.

| library | part | why | pinned | without it |
|---|---|---|---|---|
| numba | `Dispatcher._cache.load_overload`, `save_overload` | a full disk ends no search | 0.68.1 | no cache |
| transformers | the layers of a T5's decoder | samples of a document share its encoding | 5.23.0 | `generate` |
| sentence-transformers | `losses.merged_forward.embed_columns` | one forward pass for all queries | 6.2.0 | one each |
| milvus-lite | `server_manager_instance.release_server` | ends an embedded server | 3.2.2 | ends with the process |

tests/core/workspace/test_library_internals.py has a contract test for each, which fails where a new version changes it.
"""

from collections.abc import Callable
from contextlib import suppress
from typing import Any


def ignore_numba_cache_errors(dispatcher: Any) -> bool:
    """Let a compiled function be used where its code on disk cannot be read or written (a full disk, permissions).

    Returns False if numba has no such cache: the function is then to be compiled without one.
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


SELF_ATTENTION = ("layer_norm", *(f"SelfAttention.{name}" for name in "qkvo"))
CROSS_ATTENTION = ("layer_norm", *(f"EncDecAttention.{name}" for name in "qkvo"))


def has_t5_decoder_layers(model: Any) -> bool:
    """Say whether a T5's decoder is made of the layers that `core.training.t5_sampling` calls one by one."""
    of_model = ("encoder", "lm_head", "decoder.embed_tokens", "decoder.final_layer_norm")
    if not all(_has(model, name) for name in of_model) or not hasattr(model.config, "scale_decoder_outputs"):
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
    """Say whether a part has a callable under a dotted name."""
    for step in name.split("."):
        part = getattr(part, step, None)
    return callable(part)


def embed_columns(model: Any, columns: list[dict[str, Any]]) -> list[Any]:
    """Return the embeddings of each column of a batch, by one forward pass of a `SentenceTransformer` if possible."""
    try:
        from sentence_transformers.base.losses.merged_forward import embed_columns as merged
    except ImportError:
        return [model(features)["sentence_embedding"] for features in columns]
    return list(merged(model, columns, separate_first=False))


def release_embedded_milvus(uri: str) -> None:
    """End the server of an embedded Milvus; where that fails, it ends with this process."""
    with suppress(Exception):
        from milvus_lite.server_manager import server_manager_instance

        server_manager_instance.release_server(uri)
