"""Pooling, input limit and prompts of a Sentence Transformers model, from its configuration files."""

import json
from pathlib import Path
from typing import Any

POOLING_MODES = {  # of versions before 6, whose files have a flag for each mode
    "pooling_mode_cls_token": "cls",
    "pooling_mode_max_tokens": "max",
    "pooling_mode_mean_tokens": "mean",
    "pooling_mode_mean_sqrt_len_tokens": "mean_sqrt_len_tokens",
    "pooling_mode_weightedmean_tokens": "weightedmean",
    "pooling_mode_lasttoken": "lasttoken",
}
ROLES = ("query", "document")
OFFSET_POSITIONS = ("roberta", "xlm-roberta", "camembert", "mpnet")
"""Architectures whose positions begin after the padding position, so that two embeddings are unused."""


def describe_model(folder: Path) -> dict[str, Any]:
    """Return what a model's files state, for the facts of its vectors, without loading it.

    Returns:
        "pooling": the mode, such as "mean" (several are joined by "+"); "model_max_tokens": the model's own input limit
        in tokens; "prompts": its own prompts for queries and documents, if it has any.
    """
    # Sentence Transformers pools a plain transformer by the mean.
    about: dict[str, Any] = {} if (folder / "modules.json").is_file() else {"pooling": "mean"}
    # A model with two towers has each file twice.
    if modes := {mode for file in folder.glob("**/*Pooling/config.json") if (mode := _pooling(read_table(file)))}:
        about["pooling"] = ", ".join(sorted(modes))
    if limits := [limit for file in folder.glob("**/tokenizer_config.json") if (limit := input_limit(file.parent))]:
        about["model_max_tokens"] = min(limits)
    prompts = read_table(folder / "config_sentence_transformers.json").get("prompts")
    if isinstance(prompts, dict) and (own := {role: prompts[role] for role in ROLES if prompts.get(role)}):
        about["prompts"] = own
    return about


def is_sparse_encoder(folder: Path) -> bool:
    """Return whether a model is a sparse encoder: one of sentence-transformers, or a masked language model (SPLADE).

    Of any other model sentence-transformers would make a `SparseEncoder` with random weights.
    """
    if (folder / "modules.json").is_file():
        return read_table(folder / "config_sentence_transformers.json").get("model_type") == "SparseEncoder"
    architectures = read_table(folder / "config.json").get("architectures")
    return isinstance(architectures, list) and any(str(name).endswith("ForMaskedLM") for name in architectures)


def is_cross_encoder(folder: Path) -> bool:
    """Return whether a model is a sequence classifier, of which sentence-transformers would make mean vectors."""
    architectures = read_table(folder / "config.json").get("architectures")
    listed = architectures if isinstance(architectures, list) else []
    classifies = any(str(name).endswith("ForSequenceClassification") for name in listed)
    return classifies and not (folder / "modules.json").is_file()


def is_multi_vector_encoder(folder: Path) -> bool:
    """Return whether a model is a multi-vector encoder of sentence-transformers, PyLate or Stanford's ColBERT.

    Of any other model sentence-transformers would make a `MultiVectorEncoder` with a random projection.
    """
    stated = read_table(folder / "config_sentence_transformers.json").get("model_type")
    architectures = read_table(folder / "config.json").get("architectures")
    return stated in ("MultiVectorEncoder", "ColBERT") or architectures == ["HF_ColBERT"]


def _pooling(settings: dict[str, Any]) -> str:
    mode = settings.get("pooling_mode", "")
    if mode:
        return "+".join(map(str, mode)) if isinstance(mode, (list, tuple)) else str(mode)
    return "+".join(name for key, name in POOLING_MODES.items() if settings.get(key) is True)


def input_limit(folder: Path) -> int:
    """Return the limit of one transformer, as Sentence Transformers determines it; 0 if it is not stated."""
    stated = read_table(folder / "sentence_bert_config.json").get("max_seq_length")
    model = read_table(folder / "config.json")
    positions = model.get("max_position_embeddings")
    if isinstance(positions, int) and model.get("model_type") in OFFSET_POSITIONS:
        positions -= 2
    stated = stated or read_table(folder / "tokenizer_config.json").get("model_max_length")
    return int(min((limit for limit in (stated, positions) if isinstance(limit, int) and limit > 0), default=0))


def read_table(file: Path) -> dict[str, Any]:
    """Return the JSON object in a file of a model; empty if there is none, or it is damaged."""
    try:
        table = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return table if isinstance(table, dict) else {}
