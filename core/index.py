"""Exact and approximate nearest-neighbour indexes behind one small interface."""

import json
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from core.artifacts import file_digest
from core.errors import UserError
from core.ranking import top_k


class VectorIndex(Protocol):
    """What an index of vectors can do. Positions are rows of the vectors it was built from."""

    def build(self, vectors: np.ndarray) -> None:
        """Index vectors, float32 [n, dimension]."""

    def search(self, queries: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
        """Return positions int64 [n_queries, k] and similarities float32 [n_queries, k], best first.

        Where fewer than k are found, position -1 with similarity -inf fills the row.
        """

    def save(self, path: Path) -> None:
        """Write the index to one file."""

    def load(self, path: Path, vectors: np.ndarray) -> None:
        """Read the index of `vectors` from the file that `save` wrote."""

    @property
    def bytes(self) -> int:
        """Size in memory, in bytes."""


def unit_rows(vectors: np.ndarray) -> np.ndarray:
    """Return the rows scaled to unit length, float32; a row of zeros stays one."""
    norms = np.linalg.norm(vectors, axis=1, keepdims=True)
    return (vectors / np.where(norms == 0, 1, norms)).astype(np.float32)


class ExactIndex:
    """Exhaustive search: every document is compared with the query, so recall is 1 by construction."""

    def __init__(self, similarity: str):
        """Take "cosine" or "dot"."""
        self.similarity = similarity

    def build(self, vectors: np.ndarray) -> None:
        """See `VectorIndex`; the vectors are kept as they are, memory-mapped ones on disk."""
        self.vectors = vectors
        norms = np.linalg.norm(vectors, axis=1)
        self.inverse_norms = (1 / np.where(norms == 0, 1, norms)).astype(np.float32)

    def scores(self, queries: np.ndarray) -> np.ndarray:
        """Return the similarity of every query to every document, float32 [n_queries, n_documents]."""
        if self.similarity == "dot":
            return queries @ self.vectors.T
        return unit_rows(queries) @ self.vectors.T * self.inverse_norms

    def search(self, queries: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
        """See `VectorIndex`."""
        positions = np.full((len(queries), k), -1, dtype=np.int64)
        similarities = np.full((len(queries), k), -np.inf, dtype=np.float32)
        for row, scores in enumerate(self.scores(queries)):
            best = top_k(scores, k)
            positions[row, : len(best)] = best
            similarities[row, : len(best)] = scores[best]
        return positions, similarities

    def save(self, path: Path) -> None:
        """See `VectorIndex`; there is nothing to keep beside the vectors."""
        path.write_bytes(b"")

    def load(self, path: Path, vectors: np.ndarray) -> None:
        """See `VectorIndex`."""
        self.build(vectors)

    @property
    def bytes(self) -> int:
        """See `VectorIndex`."""
        return self.vectors.nbytes + self.inverse_norms.nbytes


class HnswlibIndex:
    """Hierarchical navigable small world graph (Malkov & Yashunin, 2018) by the authors' library hnswlib.

    `connections` is the paper's M, `ef_construction` the width of the search while building, `ef` the width of the
    search while querying: the one to turn for recall against speed.
    """

    def __init__(
        self, similarity: str, connections: int = 16, ef_construction: int = 200, ef: int = 80, seed: int = 13
    ):
        self.similarity, self.connections, self.ef_construction = similarity, connections, ef_construction
        self.ef, self.seed = ef, seed

    def _empty(self, dimension: int) -> Any:
        try:
            import hnswlib
        except ImportError:
            raise UserError(
                "hnswlib is not installed (it needs a C++ compiler or a wheel for this Python); "
                "run python3 scripts/start.py again once one is there"
            ) from None
        return hnswlib.Index(space="cosine" if self.similarity == "cosine" else "ip", dim=dimension)

    def build(self, vectors: np.ndarray) -> None:
        """See `VectorIndex`; on one thread, so that the same vectors give the same graph."""
        self._index = self._empty(vectors.shape[1])
        self._index.init_index(
            len(vectors), M=self.connections, ef_construction=self.ef_construction, random_seed=self.seed
        )
        self._index.add_items(vectors, np.arange(len(vectors)), num_threads=1)

    def search(self, queries: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
        """See `VectorIndex`; on one thread."""
        found = min(k, self._index.get_current_count())
        self._index.set_ef(max(self.ef, found))
        labels, distances = self._index.knn_query(queries, k=found, num_threads=1)
        positions = np.full((len(queries), k), -1, dtype=np.int64)
        similarities = np.full((len(queries), k), -np.inf, dtype=np.float32)
        positions[:, :found], similarities[:, :found] = labels, 1 - distances
        return positions, similarities

    def save(self, path: Path) -> None:
        """See `VectorIndex`; what `load` must know of the file beforehand goes beside it, into `<path>.json`."""
        self._index.save_index(str(path))
        about = {"vectors": [self._index.get_current_count(), self._index.dim], "sha256": file_digest(path)}
        _beside(path).write_text(json.dumps(about), encoding="utf-8")

    def load(self, path: Path, vectors: np.ndarray) -> None:
        """See `VectorIndex`.

        hnswlib reads whatever it is given, out of bounds where the file is damaged: it is checked first.

        Raises:
            UserError: the file is not an index of such vectors, or is damaged.
        """
        try:
            about = json.loads(_beside(path).read_text(encoding="utf-8"))
            fits = about == {"vectors": list(vectors.shape), "sha256": file_digest(path)}
        except (OSError, ValueError):
            fits = False
        if not fits:
            raise UserError(f"{path.name}: damaged, or not an hnswlib index of these vectors; build it again")
        self._index = self._empty(vectors.shape[1])
        self._index.load_index(str(path), max_elements=len(vectors))

    @property
    def bytes(self) -> int:
        """See `VectorIndex`: vectors, labels and links, of which the upper layers' are an expectation.

        An element has 2M links in the bottom layer, and M in each upper one: of these it is in 1 / (M - 1) on average.
        """
        bottom = 4 * self._index.dim + 4 * (2 * self.connections + 1) + 8
        upper = (4 * self.connections + 4) / (self.connections - 1)
        return int(self._index.get_current_count() * (bottom + upper))


def _beside(path: Path) -> Path:
    return path.with_name(path.name + ".json")
