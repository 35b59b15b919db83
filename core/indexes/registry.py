"""The registry of vector indexes. To add one, write a class and register it here."""

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


def make_index(kind: str, similarity: str, **parameters: int) -> VectorIndex:
    """Return an empty index of the given kind.

    Raises:
        UserError: if there is no such kind, or it has no such parameter.
    """
    if kind not in KINDS:
        raise UserError(f"unknown index {kind!r}; the indexes are {', '.join(KINDS)}")
    try:
        index: VectorIndex = KINDS[kind].index(similarity, **parameters)
    except TypeError:
        raise UserError(f"the index {kind} does not accept the parameters {', '.join(parameters)}") from None
    return index
