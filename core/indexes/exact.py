"""Exact search: the reference for all other indexes."""

from collections.abc import Callable
from concurrent.futures import Executor, ThreadPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np

from core.indexes.base import empty_results, search_values, unit_rows
from core.workspace.compiled import compiled
from core.workspace.timing import allowed_threads

BLOCK = 1024
"""Number of documents scored at a time, so that the scores stay in the CPU cache."""


QUERIES = 1024
"""Maximum number of queries scored at a time."""


LEAST_FOR_THREADS = 1 << 22
"""Number of multiplications from which on a search uses several threads, which take a while to start."""


SPARE = 16
"""Number of candidates rescored in addition to k + k / 8."""


@compiled(nogil=True)
def _keep_best(
    products: np.ndarray,
    factors: np.ndarray,
    begin: int,
    rows: tuple[int, int],
    positions: np.ndarray,
    best: np.ndarray,
) -> None:
    """Merge a block's scores into the best so far, which stay sorted, ties by position.

    Args:
        products: inner products, float32 [n_documents of the block, n_queries].
        factors: the factor that turns a document's product into its score, float32 [n_documents of the collection].
        begin: the position of the block's first document.
        rows: the first query and the one after the last.
        positions, best: int64 and float32 [n_queries, k], updated in place.
    """
    k = best.shape[1]
    worst = best[:, k - 1].copy()
    for i in range(products.shape[0]):
        for row in range(rows[0], rows[1]):
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


@compiled(nogil=True)
def _rank(
    vectors: np.ndarray,
    factors: np.ndarray,
    queries: np.ndarray,
    candidates: np.ndarray,
    positions: np.ndarray,
    best: np.ndarray,
) -> None:
    """Rank the candidates by scores accumulated in float64.

    Args:
        vectors, factors: the collection's vectors and score factors.
        queries: float32 [n_queries, dimension].
        candidates: positions, int64 [n_queries, n_candidates].
        positions, best: int64 and float32 [n_queries, k] with k <= n_candidates; filled with positions and scores.
    """
    scores = np.empty(candidates.shape[1], np.float32)
    for row in range(len(queries)):
        ascending = np.sort(candidates[row])
        for i, position in enumerate(ascending):
            scores[i] = _score(vectors[position], queries[row]) * factors[position]
        order = np.argsort(-scores, kind="mergesort")[: best.shape[1]]
        positions[row], best[row] = ascending[order], scores[order]


def _in_slices(pool: Executor | None, threads: int, count: int, task: Callable[[slice], object]) -> None:
    """Run a task for consecutive slices of `count` rows, one per thread, or for all rows without a pool."""
    if pool is None:
        task(slice(0, count))
        return
    bounds = [count * i // threads for i in range(threads + 1)]
    list(pool.map(task, map(slice, bounds, bounds[1:])))


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
        for begin in range(0, len(queries), QUERIES):
            part = slice(begin, begin + QUERIES)
            self._search(queries[part], positions[part, :wanted], similarities[part, :wanted])
        return positions, similarities

    def _search(self, queries: np.ndarray, positions: np.ndarray, similarities: np.ndarray) -> None:
        """Fill positions and similarities, [n_queries, k] with k at most the number of documents."""
        documents, (count, k) = len(self.vectors), positions.shape
        vectors = np.asarray(self.vectors)  # numba does not support memory maps
        candidates, rough = empty_results(count, min(documents, k + k // 8 + SPARE))
        threads = allowed_threads() if vectors.size * count >= LEAST_FOR_THREADS else 1
        with ThreadPoolExecutor(threads) as pool:
            each = partial(_in_slices, pool if threads > 1 else None, threads)

            def keep(products: np.ndarray, begin: int) -> None:
                def of_queries(part: slice) -> None:
                    _keep_best(products, self.factors, begin, (part.start, part.stop), candidates, rough)

                each(count, of_queries)

            def rank(part: slice) -> None:
                _rank(vectors, self.factors, queries[part], candidates[part], positions[part], similarities[part])

            if count == 1:  # numpy's BLAS multiplies a matrix by one vector on a single thread
                products = np.empty(documents, np.float32)
                each(documents, lambda part: np.dot(vectors[part], queries[0], out=products[part]))
                keep(products[:, None], 0)
            else:
                # Documents times queries is a fifth faster than queries times documents.
                as_columns = np.ascontiguousarray(queries.T)
                for begin in range(0, documents, BLOCK):
                    keep(vectors[begin : begin + BLOCK] @ as_columns, begin)
            each(count, rank)
        # If even the last candidate is within rounding error, documents beyond the candidates may be among the best.
        doubtful = rough[:, k - 1] - rough[:, -1] <= self._rounding(queries)
        for row in np.flatnonzero(doubtful) if rough.shape[1] < documents else []:
            everything, one = np.arange(documents)[None], slice(row, row + 1)
            _rank(vectors, self.factors, queries[one], everything, positions[one], similarities[one])

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
