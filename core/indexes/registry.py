"""The kinds of indexes by name. To add one, write a class and register it here."""

from typing import Any

from core.indexes import faiss_indexes
from core.indexes.base import VectorIndex
from core.indexes.exact import ExactIndex
from core.indexes.hnsw import HnswIndex
from core.indexes.hnswlib_index import HnswlibIndex
from core.indexes.milvus import MilvusIndex
from core.workspace.errors import UserError

KINDS: dict[str, Any] = {
    "exact": ExactIndex,
    "hnsw": HnswIndex,
    "hnswlib": HnswlibIndex,
    "faiss-hnsw": faiss_indexes.FaissHnswIndex,
    "faiss-ivf": faiss_indexes.FaissIvfIndex,
    "faiss-ivf-pq": faiss_indexes.FaissIvfPqIndex,
    "faiss-sq8": faiss_indexes.FaissScalarIndex,
    "faiss-binary": faiss_indexes.FaissBinaryIndex,
    "milvus": MilvusIndex,
}


LABELS = {
    "exact": "Exact",
    "hnsw": "HNSW, our own",
    "hnswlib": "HNSW, hnswlib",
    "faiss-hnsw": "HNSW, faiss",
    "faiss-ivf": "IVF-Flat, faiss",
    "faiss-ivf-pq": "IVF-PQ rescored, faiss",
    "faiss-sq8": "SQ8, faiss",
    "faiss-binary": "Binary rescored, faiss",
    "milvus": "HNSW, Milvus",
}


def make_index(kind: str, similarity: str, **parameters: int) -> VectorIndex:
    """Return an empty index of a kind.

    Raises:
        UserError: there is no such kind, or it has no such parameter.
    """
    if kind not in KINDS:
        raise UserError(f"there is no index {kind!r}; there are {', '.join(KINDS)}")
    try:
        index: VectorIndex = KINDS[kind](similarity, **parameters)
    except TypeError:
        raise UserError(f"the index {kind} does not have the parameters {', '.join(parameters)}") from None
    return index
