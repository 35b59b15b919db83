"""The authors' own implementation of HNSW, the library hnswlib."""

import threading
from pathlib import Path
from typing import Any

import numpy as np

from core.indexes.base import as_queries, check_beside, nothing_found, of_one_length, search_values, write_beside
from core.workspace.errors import UserError


class HnswlibIndex:
    """Hierarchical navigable small world graph (Malkov & Yashunin, 2018) by the authors' library hnswlib.

    `connections` is the paper's M, `ef_construction` the number of candidates while building, `ef` the number of
    candidates while searching. In the library ef belongs to the index and not to a search, so that searches by several
    threads wait for one another.
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
                "run python3 scripts/start.py again once one is there"
            ) from None
        return hnswlib.Index(space="ip", dim=dimension)

    def build(self, vectors: np.ndarray) -> None:
        """See `VectorIndex`; on one thread, so that the same vectors give the same graph."""
        rows = of_one_length(vectors, self.similarity)
        self._index = self._empty(rows.shape[1])
        self._index.init_index(
            len(rows), M=self.connections, ef_construction=self.ef_construction, random_seed=self.seed
        )
        self._index.add_items(rows, np.arange(len(rows)), num_threads=1)

    def search(self, queries: np.ndarray, k: int, **parameters: int) -> tuple[np.ndarray, np.ndarray]:
        """See `VectorIndex`; on one thread."""
        ef = search_values(self.search_defaults, parameters)["ef"]
        queries = as_queries(queries, self.similarity)
        found = min(k, self._index.get_current_count())
        with self._searching:
            self._index.set_ef(max(ef, found))
            labels, distances = self._index.knn_query(queries, k=found, num_threads=1)
        positions, similarities = nothing_found(len(queries), k)
        positions[:, :found], similarities[:, :found] = labels, 1 - distances
        return positions, similarities

    def save(self, path: Path) -> None:
        """See `VectorIndex`; what `load` must know of the file beforehand goes beside it, into `<path>.json`."""
        self._index.save_index(str(path))
        write_beside(path, self._index.get_current_count(), self._index.dim)

    def load(self, path: Path, vectors: np.ndarray) -> None:
        """See `VectorIndex`.

        Raises:
            UserError: the file is not an index of such vectors, or is damaged.
        """
        dimension = vectors.shape[1] + (self.similarity == "dot")
        check_beside(path, len(vectors), dimension)
        self._index = self._empty(dimension)
        self._index.load_index(str(path), max_elements=len(vectors))

    @property
    def bytes(self) -> int:
        """See `VectorIndex`."""
        return graph_bytes(self._index.get_current_count(), self._index.dim, self.connections)


def graph_bytes(documents: int, dimension: int, connections: int) -> int:
    """Return the bytes of vectors, labels and links, of which the upper layers' are an expectation.

    An element has 2M links in the bottom layer, and M in each upper one: of these it is in 1 / (M - 1) on average.
    """
    bottom = 4 * dimension + 4 * (2 * connections + 1) + 8
    upper = (4 * connections + 4) / (connections - 1)
    return int(documents * (bottom + upper))
