"""How each system was configured, from the manifests of its artifacts: tables of dense, sparse and BM25 systems."""

from collections.abc import Iterable, Mapping
from typing import Any

import pandas as pd

from core.evaluation.table_formats import Table
from core.workspace.artifacts import Manifest
from core.workspace.model_configuration import describe_model
from core.workspace.models import find_model
from core.workspace.profile import SystemSettings
from core.workspace.workspace import Workspace

BM25_COLUMNS = {
    "k1": "k1",
    "b": "b",
    "fields": "fields",
    "lengths": "document lengths",
    "tokenizer": "tokenizer",
    "stop_words": "stop words",
    "stemmer": "stemmer",
    "unify_names": "virus names unified",
}
"""Settings in the manifest of a BM25 index -> their columns."""


def described(workspace: Workspace, system: SystemSettings, facts: Mapping[str, Any]) -> dict[str, Any]:
    """Return the facts of a dense system's vectors.

    Pooling and the model's own limit, which older vectors lack, are added from the model if it is on this machine.
    """
    if "pooling" in facts and "model_max_tokens" in facts:
        return dict(facts)
    model = find_model(workspace, system.model)
    return (describe_model(model) if model else {}) | dict(facts)


def dense_table(
    workspace: Workspace,
    systems: Iterable[SystemSettings],
    manifests: Mapping[str, Manifest],
    labels: Mapping[str, str],
    collection: str,
) -> Table:
    """Return the configuration of the dense systems that have vectors; what was not recorded is missing.

    Args:
        manifests: manifests keyed by the artifact's place.
    """
    rows = {}
    for system in systems:
        vectors, run = manifests.get(f"vectors/{system.vectors_name}"), manifests.get(f"runs/{system.name}")
        if system.kind != "dense" or vectors is None:
            continue
        facts = described(workspace, system, vectors.facts)
        prompts = facts.get("prompts", {})
        rows[labels[system.name]] = {
            "model": facts.get("model"),
            "input limit (tokens)": facts.get("max_tokens"),
            "the model's own limit": facts.get("model_max_tokens"),
            "pooling": facts.get("pooling"),
            "similarity": run.settings.get("similarity") if run else None,
            "query prompt": (run.settings.get("query_prefix") if run else None) or prompts.get("query"),
            "document prompt": vectors.settings.get("document_prefix") or prompts.get("document"),
            "dimension": facts.get("dimension"),
            "runtime": facts.get("runtime"),
            "precision": facts.get("precision") or vectors.settings.get("precision", "fp32"),
        }
    table = pd.DataFrame.from_dict(rows, orient="index").rename_axis("system")
    whole = ["input limit (tokens)", "the model's own limit", "dimension"]
    return Table(
        table.astype(dict.fromkeys(whole, "Int64")) if rows else table, f"{collection}: configuration of dense systems"
    )


def sparse_table(
    systems: Iterable[SystemSettings], manifests: Mapping[str, Manifest], labels: Mapping[str, str], collection: str
) -> Table:
    """Return the configuration of the learned sparse systems that have an index; see `dense_table`."""
    rows = {}
    for system in systems:
        index, run = manifests.get(f"sparse/{system.name}"), manifests.get(f"runs/{system.name}")
        if system.kind != "sparse" or index is None:
            continue
        facts = index.facts
        prompts = facts.get("prompts", {})
        rows[labels[system.name]] = {
            "model": facts.get("model"),
            "input limit (tokens)": facts.get("max_tokens"),
            "query prompt": (run.settings.get("query_prefix") if run else None) or prompts.get("query"),
            "document prompt": index.settings.get("document_prefix") or prompts.get("document"),
            "terms": facts.get("terms"),
            "terms per document": facts.get("terms_per_document"),
            "most terms kept of a document": index.settings.get("max_document_terms"),
            "most terms kept of a query": (run.settings.get("max_query_terms") if run else None) or None,
            "runtime": facts.get("runtime"),
            "precision": facts.get("precision"),
        }
    table = pd.DataFrame.from_dict(rows, orient="index").rename_axis("system")
    whole = ["input limit (tokens)", "terms", "most terms kept of a document", "most terms kept of a query"]
    return Table(
        table.astype(dict.fromkeys(whole, "Int64")) if rows else table,
        f"{collection}: configuration of learned sparse systems",
    )


def bm25_table(
    systems: Iterable[SystemSettings], manifests: Mapping[str, Manifest], labels: Mapping[str, str], collection: str
) -> Table:
    """Return the configuration of the BM25 systems that have an index; see `dense_table`."""
    rows = {}
    for system in systems:
        index = manifests.get(f"bm25/{system.name}")
        if system.kind != "bm25" or index is None:
            continue
        made = bm25_settings(index)
        row = {column: made.get(key) for key, column in BM25_COLUMNS.items()}
        row |= {name: f"{row[name]:g}" for name in ("k1", "b") if isinstance(row[name], (int, float))}
        rows[labels[system.name]] = row | {"predicted queries": index.facts.get("predicted_queries")}
    table = pd.DataFrame.from_dict(rows, orient="index").rename_axis("system")
    if rows:
        table = table.astype({"predicted queries": "Int64"})
    return Table(table, f"{collection}: configuration of BM25 systems")


def fusion_table(
    systems: Iterable[SystemSettings], manifests: Mapping[str, Manifest], labels: Mapping[str, str], collection: str
) -> Table:
    """Return the configuration of the fusions that have a run; see `dense_table`."""
    rows = {}
    for system in systems:
        run = manifests.get(f"runs/{system.name}")
        if system.kind != "fusion" or run is None:
            continue
        made, weights = run.settings, run.settings.get("weights") or []
        rows[labels[system.name]] = {
            "of": ", ".join(labels.get(part["system"], part["system"]) for part in made["of"]),
            "by": f"reciprocal ranks, k {made['k']}" if made["by"] == "reciprocal ranks" else f"scores, {made['by']}",
            "weights": ", ".join(f"{weight:g}" for weight in weights) or "equal",
            "weights chosen on": system.fusion.chosen_on or ("unknown" if weights else None),
            "documents of each": made["depth"],
        }
    return Table(pd.DataFrame.from_dict(rows, orient="index").rename_axis("system"), f"{collection}: fusions")


def bm25_settings(index: Manifest) -> dict[str, Any]:
    """Return the settings of a BM25 index, with those that are recorded only if they are not the default."""
    return {"lengths": "exact", "tokenizer": "rankscope"} | index.settings
