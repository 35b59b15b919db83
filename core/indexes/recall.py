"""Recall of approximate search against exact search, by similarity: which one of equal documents is found is arbitrary.

All is computed from true similarities, those of the whole vectors, and not from those that an index reports.
"""

from collections.abc import Mapping

import numpy as np

EPSILON = 1e-5
"""Similarities that differ by no more count as equal: one text encoded in two batches differs by about 1e-6 in float32.
ann-benchmarks allows 1e-3, but many different texts have cosines that close to one another."""


class TrueSimilarities:
    """The similarities of documents to queries, by the whole vectors.

    They are cosines, or dot products over the lengths of the query and of the longest vector, so that `EPSILON` fits
    both; those of a vector of zeros are 0.
    """

    def __init__(self, queries: np.ndarray, vectors: np.ndarray, similarity: str):
        """Take queries, float32 [n_queries, dimension], vectors, float32 [n, dimension], and "cosine" or "dot"."""
        self.queries, self.vectors, self.similarity = queries.astype(np.float64), vectors, similarity
        self._longest = np.linalg.norm(vectors, axis=1).max(initial=0.0) if similarity == "dot" else 0.0

    def __call__(self, positions: np.ndarray) -> np.ndarray:
        """Return the similarities of the vectors at positions, int64 [n_queries, k], as float64; -inf for -1."""
        similarities = np.full(positions.shape, -np.inf)
        for row, query in enumerate(self.queries):
            there = positions[row] >= 0
            found = self.vectors[positions[row][there]].astype(np.float64)
            lengths = np.full(len(found), self._longest)
            if self.similarity == "cosine":
                lengths = np.linalg.norm(found, axis=1)
            products, lengths = found @ query, lengths * np.linalg.norm(query)
            similarities[row, there] = np.divide(products, lengths, out=np.zeros_like(products), where=lengths > 0)
        return similarities


def recall_at_k(found: np.ndarray, exact: np.ndarray) -> float:
    """Return the mean share of the k documents that are as near to the query as the k-th nearest one (ann-benchmarks).

    A query for which there is no document counts 1.

    Args:
        found: true similarities of the documents found, float64 [n_queries, k], -inf where fewer were found.
        exact: those of exhaustive search, float64 [n_queries, k], -inf where there are fewer documents.
    """
    documents = np.isfinite(exact).sum(axis=1)
    farthest = np.min(exact, axis=1, where=np.isfinite(exact), initial=np.inf)
    within = np.isfinite(found) & (found >= farthest[:, None] - EPSILON)
    return float(np.mean(np.where(documents, within.sum(axis=1) / np.maximum(documents, 1), 1)))


def ties_as_exact(found: np.ndarray, of_found: np.ndarray, exact: np.ndarray, of_exact: np.ndarray) -> np.ndarray:
    """Return what was found for a query with documents of equal similarity exchanged as exact search has them.

    The ranks that documents of one similarity take are given to documents of that similarity out of both lists, those
    of the exact list first and in its order. What the exact list has beyond that was missed; what was found itself
    never is.

    Args:
        found, exact: positions of a query, int64 [k], none twice, -1 where there are fewer.
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
    """Return the positions in groups: within one, each similarity is at most EPSILON from the next."""
    groups: list[set[int]] = []
    previous = np.inf
    for position in sorted(similarities, key=lambda position: -similarities[position]):
        if previous - similarities[position] > EPSILON:
            groups.append(set())
        groups[-1].add(position)
        previous = similarities[position]
    return groups
