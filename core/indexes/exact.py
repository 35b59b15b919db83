"""Exact search: the reference for all other indexes."""

from pathlib import Path

import numpy as np

from core.indexes.base import nothing_found, search_values, unit_rows
from core.workspace.compiled import compiled

BLOCK = 1024
"""Documents whose scores are in the cache at a time."""


SPARE = 16
"""Candidates beyond k that are scored again, and one more for every eight of k."""


@compiled()
def _keep_best(products: np.ndarray, factors: np.ndarray, begin: int, positions: np.ndarray, best: np.ndarray) -> None:
    """Merge the scores of a block of documents into the best so far, sorted, ties by position.

    Args:
        products: inner products, float32 [n_documents of the block, n_queries].
        factors: what makes scores of them, float32 [n_documents of the collection].
        begin: the position of the block's first document.
        positions, best: int64 and float32 [n_queries, k], changed in place.
    """
    k = best.shape[1]
    worst = best[:, k - 1].copy()
    for i in range(products.shape[0]):
        for row in range(products.shape[1]):
            score = products[i, row] * factors[begin + i]
            if score <= worst[row]:
                continue
            place = k - 1
            while place > 0 and best[row, place - 1] < score:
                best[row, place], positions[row, place] = best[row, place - 1], positions[row, place - 1]
                place -= 1
            best[row, place], positions[row, place] = score, begin + i
            worst[row] = best[row, k - 1]


@compiled(fastmath={"reassoc", "contract"})
def _score(vector: np.ndarray, query: np.ndarray) -> float:
    total = 0.0
    for i in range(len(query)):
        total += np.float64(vector[i]) * query[i]
    return total


@compiled()
def _rank(
    vectors: np.ndarray, factors: np.ndarray, queries: np.ndarray, candidates: np.ndarray, best: np.ndarray
) -> np.ndarray:
    """Return the positions of the best candidates, int64 [n_queries, k], by scores added up in float64.

    Args:
        vectors, factors: those of the collection.
        queries: float32 [n_queries, dimension].
        candidates: positions, int64 [n_queries, n_candidates].
        best: float32 [n_queries, k], k <= n_candidates, filled with the scores.
    """
    positions = np.empty(best.shape, np.int64)
    scores = np.empty(candidates.shape[1], np.float32)
    for row in range(len(queries)):
        ascending = np.sort(candidates[row])
        for i, position in enumerate(ascending):
            scores[i] = _score(vectors[position], queries[row]) * factors[position]
        order = np.argsort(-scores, kind="mergesort")[: best.shape[1]]
        positions[row], best[row] = ascending[order], scores[order]
    return positions


class ExactIndex:
    """Exhaustive search: every document is compared with the query, so recall is 1 by construction.

    A batch of queries takes one matrix product. The last bits of a product depend on the shapes of the matrices, so it
    only chooses candidates: those that reach the k-th best score within its rounding error are scored again, in a way
    that depends on query and document alone. A query has the same ranking in a batch and alone, and equal documents
    have equal scores.
    """

    search_parameter = ""

    def __init__(self, similarity: str):
        self.similarity = similarity
        self.search_defaults: dict[str, int] = {}

    def build(self, vectors: np.ndarray) -> None:
        """See `VectorIndex`; the vectors are kept as they are, memory-mapped ones on disk."""
        self.vectors = vectors
        norms = np.linalg.norm(vectors, axis=1)
        factors = 1 / np.where(norms == 0, 1, norms) if self.similarity == "cosine" else np.ones(len(vectors))
        self.factors = factors.astype(np.float32)
        self._longest = float((norms * factors).max(initial=0.0))

    def search(self, queries: np.ndarray, k: int, **parameters: int) -> tuple[np.ndarray, np.ndarray]:
        """See `VectorIndex`; ties by position."""
        search_values(self.search_defaults, parameters)
        if self.similarity == "cosine":
            queries = unit_rows(queries)
        positions, similarities = nothing_found(len(queries), k)
        wanted = min(k, len(self.vectors))
        if not wanted:
            return positions, similarities
        near, rough = nothing_found(len(queries), min(len(self.vectors), wanted + wanted // 8 + SPARE))
        # Documents times queries: the matrix product is a fifth faster so than the other way round.
        as_columns = np.ascontiguousarray(queries.T)
        for begin in range(0, len(self.vectors), BLOCK):
            products = self.vectors[begin : begin + BLOCK] @ as_columns
            _keep_best(products, self.factors, begin, near, rough)
        vectors = np.asarray(self.vectors)  # numba knows no memory maps
        best = similarities[:, :wanted]
        positions[:, :wanted] = _rank(vectors, self.factors, queries, near, best)
        # Where as many candidates lie within the rounding error, documents that are none may be among the best.
        doubtful = rough[:, wanted - 1] - rough[:, -1] <= self._rounding(queries)
        for row in np.flatnonzero(doubtful) if near.shape[1] < len(vectors) else []:
            everything = np.arange(len(vectors))[None]
            one = slice(row, row + 1)
            positions[one, :wanted] = _rank(vectors, self.factors, queries[one], everything, best[one])
        return positions, similarities

    def _rounding(self, queries: np.ndarray) -> np.ndarray:
        """Return how far apart float32 products of each query may be whose true values are equal, float [n_queries].

        Twice the bound of a dot product's rounding error in any order of additions (Higham, 2002, section 3.1).
        """
        unit_roundoff = 2.0**-24
        lengths = np.linalg.norm(queries, axis=1) * self._longest
        bounds: np.ndarray = 2 * (queries.shape[1] + 2) * unit_roundoff * lengths
        return bounds

    def save(self, path: Path) -> None:
        """See `VectorIndex`; there is nothing to keep beside the vectors."""
        path.write_bytes(b"")

    def load(self, path: Path, vectors: np.ndarray) -> None:
        """See `VectorIndex`."""
        self.build(vectors)

    @property
    def bytes(self) -> int:
        """See `VectorIndex`."""
        return self.vectors.nbytes + self.factors.nbytes
