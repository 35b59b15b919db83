"""The registry of vector indexes. To add one, write a class and register it here."""

import inspect
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from core.indexes import faiss_indexes
from core.indexes.base import VectorIndex
from core.indexes.exact import ExactIndex
from core.indexes.hnsw import HnswIndex
from core.indexes.hnswlib_index import HnswlibIndex
from core.indexes.milvus import MilvusIndex
from core.workspace.errors import UserError


@dataclass(frozen=True)
class Kind:
    """An index class (see `core.indexes.base.VectorIndex`) and its display name."""

    index: Any
    label: str


KINDS = {
    "exact": Kind(ExactIndex, "Exact"),
    "hnsw": Kind(HnswIndex, "HNSW (RankScope)"),
    "hnswlib": Kind(HnswlibIndex, "HNSW (hnswlib)"),
    "faiss-hnsw": Kind(faiss_indexes.FaissHnswIndex, "HNSW (FAISS)"),
    "faiss-ivf": Kind(faiss_indexes.FaissIvfIndex, "IVF-Flat (FAISS)"),
    "faiss-ivf-pq": Kind(faiss_indexes.FaissIvfPqIndex, "IVF-PQ + re-ranking (FAISS)"),
    "faiss-sq8": Kind(faiss_indexes.FaissScalarIndex, "SQ8 (FAISS)"),
    "faiss-binary": Kind(faiss_indexes.FaissBinaryIndex, "Binary + re-ranking (FAISS)"),
    "faiss-binary-codes": Kind(faiss_indexes.FaissBinaryCodesIndex, "Binary codes (FAISS)"),
    "milvus": Kind(MilvusIndex, "HNSW (Milvus)"),
}


LABELS = {name: kind.label for name, kind in KINDS.items()}


GRAPHS = ("hnsw", "hnswlib", "faiss-hnsw", "milvus")
"""The implementations of HNSW; where one stands for all, it is the first that was measured."""


PARAMETER_LABELS = {
    "connections": "M",
    "cells": "nlist",
    "probes": "nprobe",
    "segments": "PQ segments",
    "rescore": "oversampling",
}
"""What the literature calls the parameters of indexes, where profiles have another name."""


def parameters_of(kind: str) -> dict[str, int]:
    """Return the parameters of an index with their defaults, those of construction and of search.

    Raises:
        UserError: if there is no such index.
    """
    if kind not in KINDS:
        raise UserError(f"unknown index {kind!r}; the indexes are {', '.join(KINDS)}")
    signature = inspect.signature(KINDS[kind].index.__init__).parameters.values()
    return {p.name: p.default for p in signature if isinstance(p.default, int)}


def construction_parameters(kind: str, parameters: Mapping[str, int]) -> dict[str, int]:
    """Return those of an index's parameters that it is built with and that are not the defaults, sorted by name.

    Raises:
        UserError: if there is no such index, or it has no such parameter or value.
    """
    index, defaults = make_index(kind, "cosine", **parameters), parameters_of(kind)
    built_with = parameters.keys() - index.search_defaults.keys()
    return {name: parameters[name] for name in sorted(built_with) if parameters[name] != defaults[name]}


def make_index(kind: str, similarity: str, **parameters: int) -> VectorIndex:
    """Return an empty index of the given kind.

    Raises:
        UserError: if there is no such kind, or it has no such parameter or value.
    """
    defaults = parameters_of(kind)
    if unknown := parameters.keys() - defaults.keys():
        known = f"its parameters are {', '.join(defaults)}" if defaults else "it has none"
        raise UserError(f"the index {kind} has no parameter {min(unknown)}; {known}")
    for name, value in parameters.items():
        least = 0 if name == "seed" or not defaults[name] else 1
        if value < least:
            raise UserError(f"{name} of the index {kind} is {value}, but must be at least {least}")
    index: VectorIndex = KINDS[kind].index(similarity, **parameters)
    return index
