"""Exact search: the reference for all other indexes."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from core.indexes.base import empty_results, search_values, unit_rows
from core.workspace.compiled import compiled
from core.workspace.timing import allowed_threads

BLOCK = 1024
"""Number of documents scored at a time, so that the scores stay in the CPU cache."""


LEAST_FOR_THREADS = 1 << 22
"""Number of multiplications from which on one query uses several threads, which take a while to start."""


SPARE = 16
"""Number of candidates rescored in addition to k + k / 8."""


@compiled()
def _keep_best(products: np.ndarray, factors: np.ndarray, begin: int, positions: np.ndarray, best: np.ndarray) -> None:
    """Merge a block's scores into the best so far, which stay sorted, ties by position.

    Args:
        products: inner products, float32 [n_documents of the block, n_queries].
        factors: the factor that turns a document's product into its score, float32 [n_documents of the collection].
        begin: the position of the block's first document.
        positions, best: int64 and float32 [n_queries, k], updated in place.
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
    """Return the positions of the best candidates, int64 [n_queries, k], by scores accumulated in float64.

    Args:
        vectors, factors: the collection's vectors and score factors.
        queries: float32 [n_queries, dimension].
        candidates: positions, int64 [n_queries, n_candidates].
        best: float32 [n_queries, k] with k <= n_candidates; filled with the scores.
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


def _products(vectors: np.ndarray, query: np.ndarray) -> np.ndarray:
    """Return the inner products of vectors with one query, [n_documents], on all threads.

    numpy's BLAS multiplies a matrix by one vector on a single thread.
    """
    threads = allowed_threads() if vectors.size >= LEAST_FOR_THREADS else 1
    products: np.ndarray = np.empty(len(vectors), np.result_type(vectors, query))
    if threads == 1:
        np.dot(vectors, query, out=products)
        return products
    bounds = [len(vectors) * i // threads for i in range(threads + 1)]
    with ThreadPoolExecutor(threads) as pool:
        parts = map(slice, bounds, bounds[1:])
        list(pool.map(lambda part: np.dot(vectors[part], query, out=products[part]), parts))
    return products


class ExactIndex:
    """Exhaustive search: every document is compared with the query, so recall is 1 by construction.

    A batch of queries is scored with one matrix product. Since the last bits of a product depend on the shapes of the
    matrices, it only selects candidates: those within rounding error of the k-th best score are rescored in a way that
    depends only on query and document. A query thus has the same ranking in a batch as alone, and equal documents have
    equal scores.
    """

    search_parameter = ""

    def __init__(self, similarity: str):
        self.similarity = similarity
        self.search_defaults: dict[str, int] = {}

    def build(self, vectors: np.ndarray) -> None:
        """See `VectorIndex`; the vectors are not copied, so memory-mapped ones stay on disk."""
        self.vectors = vectors
        blocks = (vectors[begin : begin + BLOCK] for begin in range(0, len(vectors), BLOCK))
        # In blocks, as numpy squares all values before it adds them; the empty one is for an empty collection.
        norms = np.concatenate([np.empty(0, vectors.dtype), *(np.linalg.norm(block, axis=1) for block in blocks)])
        factors = 1 / np.where(norms == 0, 1, norms) if self.similarity == "cosine" else np.ones(len(vectors))
        self.factors = factors.astype(np.float32)
        self._longest = float((norms * factors).max(initial=0.0))

    def search(self, queries: np.ndarray, k: int, **parameters: int) -> tuple[np.ndarray, np.ndarray]:
        """See `VectorIndex`; ties by position."""
        search_values(self.search_defaults, parameters)
        if self.similarity == "cosine":
            queries = unit_rows(queries)
        positions, similarities = empty_results(len(queries), k)
        wanted = min(k, len(self.vectors))
        if not wanted:
            return positions, similarities
        candidates, rough_scores = empty_results(len(queries), min(len(self.vectors), wanted + wanted // 8 + SPARE))
        vectors = np.asarray(self.vectors)  # numba does not support memory maps
        if len(queries) == 1:
            _keep_best(_products(vectors, queries[0])[:, None], self.factors, 0, candidates, rough_scores)
        else:
            # Documents times queries is a fifth faster than queries times documents.
            as_columns = np.ascontiguousarray(queries.T)
            for begin in range(0, len(vectors), BLOCK):
                products = vectors[begin : begin + BLOCK] @ as_columns
                _keep_best(products, self.factors, begin, candidates, rough_scores)
        best = similarities[:, :wanted]
        positions[:, :wanted] = _rank(vectors, self.factors, queries, candidates, best)
        # If even the last candidate is within rounding error, documents beyond the candidates may be among the best.
        doubtful = rough_scores[:, wanted - 1] - rough_scores[:, -1] <= self._rounding(queries)
        for row in np.flatnonzero(doubtful) if candidates.shape[1] < len(vectors) else []:
            everything = np.arange(len(vectors))[None]
            one = slice(row, row + 1)
            positions[one, :wanted] = _rank(vectors, self.factors, queries[one], everything, best[one])
        return positions, similarities

    def _rounding(self, queries: np.ndarray) -> np.ndarray:
        """Return, for each query, the maximum difference of float32 products with equal true values, float [n_queries].

        It is twice the error bound of a dot product for any order of summation (Higham, 2002, section 3.1).
        """
        unit_roundoff = 2.0**-24
        lengths = np.linalg.norm(queries, axis=1) * self._longest
        bounds: np.ndarray = 2 * (queries.shape[1] + 2) * unit_roundoff * lengths
        return bounds

    def save(self, path: Path) -> None:
        """See `VectorIndex`; the file is empty, since the index is the vectors."""
        path.write_bytes(b"")

    def load(self, path: Path, vectors: np.ndarray) -> None:
        """See `VectorIndex`."""
        self.build(vectors)

    @property
    def bytes(self) -> int:
        """See `VectorIndex`."""
        return self.vectors.nbytes + self.factors.nbytes
