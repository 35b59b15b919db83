"""HNSW by hnswlib, the reference implementation of the paper's authors."""

import threading
from pathlib import Path
from typing import Any

import numpy as np

from core.indexes.base import (
    check_sidecar,
    empty_results,
    equal_norm_queries,
    equal_norm_vectors,
    search_values,
    write_sidecar,
)
from core.workspace.errors import UserError


class HnswlibIndex:
    """Hierarchical navigable small world graph (Malkov & Yashunin, 2018) by the authors' library hnswlib.

    `connections` is the paper's M, `ef_construction` the size of the candidate list during construction, and `ef` its
    size during search. In hnswlib ef is a property of the index, so searches from several threads are serialised.
    """

    search_parameter = "ef"

    def __init__(
        self, similarity: str, connections: int = 16, ef_construction: int = 200, ef: int = 80, seed: int = 13
    ):
        self.similarity, self.connections, self.ef_construction = similarity, connections, ef_construction
        self.seed, self.search_defaults = seed, {"ef": ef}
        self._searching = threading.Lock()

    def _empty(self, dimension: int) -> Any:
        try:
            import hnswlib
        except ImportError:
            raise UserError(
                "hnswlib is not installed (it needs a C++ compiler or a wheel for this Python); "
                "install a compiler and run python3 scripts/start.py again"
            ) from None
        return hnswlib.Index(space="ip", dim=dimension)

    def build(self, vectors: np.ndarray) -> None:
        """See `VectorIndex`; single-threaded, so that the same vectors give the same graph."""
        rows = equal_norm_vectors(vectors, self.similarity)
        self._index = self._empty(rows.shape[1])
        self._index.init_index(
            len(rows), M=self.connections, ef_construction=self.ef_construction, random_seed=self.seed
        )
        self._index.add_items(rows, np.arange(len(rows)), num_threads=1)

    def search(self, queries: np.ndarray, k: int, **parameters: int) -> tuple[np.ndarray, np.ndarray]:
        """See `VectorIndex`; single-threaded."""
        ef = search_values(self.search_defaults, parameters)["ef"]
        queries = equal_norm_queries(queries, self.similarity)
        count = min(k, self._index.get_current_count())
        with self._searching:
            self._index.set_ef(max(ef, count))
            labels, distances = self._index.knn_query(queries, k=count, num_threads=1)
        positions, similarities = empty_results(len(queries), k)
        positions[:, :count], similarities[:, :count] = labels, 1 - distances
        return positions, similarities

    def save(self, path: Path) -> None:
        """See `VectorIndex`; a sidecar `<path>.json` lets `load` check the file."""
        self._index.save_index(str(path))
        write_sidecar(path, self._index.get_current_count(), self._index.dim)

    def load(self, path: Path, vectors: np.ndarray) -> None:
        """See `VectorIndex`.

        Raises:
            UserError: if the file is damaged or indexes other vectors.
        """
        dimension = vectors.shape[1] + (self.similarity == "dot")
        check_sidecar(path, len(vectors), dimension)
        self._index = self._empty(dimension)
        self._index.load_index(str(path), max_elements=len(vectors))

    @property
    def bytes(self) -> int:
        """See `VectorIndex`."""
        return graph_bytes(self._index.get_current_count(), self._index.dim, self.connections)


def graph_bytes(documents: int, dimension: int, connections: int) -> int:
    """Return the bytes of vectors, labels and links; for the upper layers this is the expected value.

    An element has 2M links in the bottom layer and M in each upper layer, and is in 1 / (M - 1) upper layers on
    average.
    """
    bottom = 4 * dimension + 4 * (2 * connections + 1) + 8
    upper = (4 * connections + 4) / (connections - 1)
    return int(documents * (bottom + upper))
