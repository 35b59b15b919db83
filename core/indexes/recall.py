"""Recall of approximate search against exact search, measured by similarity, so that the choice among ties is free.

Everything is computed from true similarities, those of the full vectors, not from those that an index reports.
"""

from collections.abc import Mapping

import numpy as np

EPSILON = 1e-5
"""Maximum difference of similarities that count as equal. A text encoded in two batches differs by about 1e-6 in
float32; ann-benchmarks allows 1e-3, but many different texts have cosines that close."""


class TrueSimilarities:
    """The similarities of documents to queries by the full vectors.

    They are cosines, or dot products divided by the norms of the query and of the longest vector, so that `EPSILON`
    suits both; those of a zero vector are 0.
    """

    def __init__(self, queries: np.ndarray, vectors: np.ndarray, similarity: str):
        """Take queries, float32 [n_queries, dimension], vectors, float32 [n, dimension], and "cosine" or "dot"."""
        self.queries, self.vectors, self.similarity = queries.astype(np.float64), vectors, similarity
        self._longest = np.linalg.norm(vectors, axis=1).max(initial=0.0) if similarity == "dot" else 0.0

    def __call__(self, positions: np.ndarray) -> np.ndarray:
        """Return the similarities, float64, of the vectors at positions, int64 [n_queries, k]; -inf for position -1."""
        similarities = np.full(positions.shape, -np.inf)
        for row, query in enumerate(self.queries):
            valid = positions[row] >= 0
            documents = self.vectors[positions[row][valid]].astype(np.float64)
            lengths = np.full(len(documents), self._longest)
            if self.similarity == "cosine":
                lengths = np.linalg.norm(documents, axis=1)
            products, lengths = documents @ query, lengths * np.linalg.norm(query)
            similarities[row, valid] = np.divide(products, lengths, out=np.zeros_like(products), where=lengths > 0)
        return similarities


def recall_at_k(found: np.ndarray, exact: np.ndarray) -> float:
    """Return recall@k, averaged over queries: the share of results as near as the k-th nearest one (ann-benchmarks).

    A query with no documents counts as 1.

    Args:
        found: true similarities of the documents found, float64 [n_queries, k], padded with -inf.
        exact: true similarities of the documents of exhaustive search, float64 [n_queries, k], padded with -inf.
    """
    documents = np.isfinite(exact).sum(axis=1)
    farthest = np.min(exact, axis=1, where=np.isfinite(exact), initial=np.inf)
    within = np.isfinite(found) & (found >= farthest[:, None] - EPSILON)
    return float(np.mean(np.where(documents, within.sum(axis=1) / np.maximum(documents, 1), 1)))


def ties_as_exact(found: np.ndarray, of_found: np.ndarray, exact: np.ndarray, of_exact: np.ndarray) -> np.ndarray:
    """Return a query's results with ties resolved as in exact search.

    The ranks of results with one similarity are reassigned among all documents of that similarity in either list, those
    of the exact list first and in its order. A document of the exact list that is absent afterwards was truly missed,
    and no document that was found is reported as missed.

    Args:
        found, exact: result positions of one query, int64 [k], without duplicates, padded with -1.
        of_found, of_exact: their true similarities, float64 [k].
    """
    similarities = dict(zip([*exact.tolist(), *found.tolist()], [*of_exact, *of_found], strict=True))
    similarities.pop(-1, None)
    exact_rank = {position: rank for rank, position in enumerate(exact.tolist())}
    were_found = set(found.tolist())
    exchanged = found.copy()
    for equal in _of_equal_similarity(similarities):
        ranks = [rank for rank, position in enumerate(found.tolist()) if position in equal]
        wanted = [p for p in exact_rank if p in equal]
        chosen = sorted(wanted, key=lambda p: p not in were_found)
        chosen += sorted(p for p in equal if p not in exact_rank)
        exchanged[ranks] = sorted(chosen[: len(ranks)], key=lambda p: (exact_rank.get(p, len(exact)), p))
    return exchanged


def _of_equal_similarity(similarities: Mapping[int, float]) -> list[set[int]]:
    """Return the positions grouped so that adjacent similarities in a group differ by at most EPSILON."""
    groups: list[set[int]] = []
    previous = np.inf
    for position in sorted(similarities, key=lambda position: -similarities[position]):
        if previous - similarities[position] > EPSILON:
            groups.append(set())
        groups[-1].add(position)
        previous = similarities[position]
    return groups
