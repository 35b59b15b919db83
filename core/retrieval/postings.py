"""An inverted index: for each term, the documents that it occurs in and its weight in each of them."""

from typing import NamedTuple

import numpy as np

from core.workspace.compiled import compiled


class Postings(NamedTuple):
    """A sparse matrix of weights [n_documents, n_terms] in compressed columns, a column per term.

    Attributes:
        data: the weight of each posting, float32 [n_postings].
        indices: the document of each posting, int [n_postings].
        indptr: where the postings of each term begin, int [n_terms + 1].
        n_documents: number of documents.
    """

    data: np.ndarray
    indices: np.ndarray
    indptr: np.ndarray
    n_documents: int

    def scores(self, columns: np.ndarray, weights: np.ndarray) -> np.ndarray:
        """Return the dot product of every document with a query, float32 [n_documents].

        Args:
            columns: the query's terms, int64 [n]; a term may be listed more than once.
            weights: their weights, float32 [n].
        """
        total = np.zeros(self.n_documents, dtype=np.float32)
        _add_postings(self.data, self.indices, self.indptr, columns, weights, total)
        return total

    def weight(self, column: int, document: int) -> float:
        """Return the weight of a term in a document, 0 if the term does not occur in it."""
        begin, end = self.indptr[column : column + 2]
        at = np.flatnonzero(self.indices[begin:end] == document)
        return float(self.data[begin:end][at].sum())

    def is_consistent(self) -> bool:
        """Return whether every position is within bounds: compiled code reads the arrays without checks."""
        data, indices, indptr, documents = self
        numbers = data.dtype == np.float32 and all(np.issubdtype(a.dtype, np.integer) for a in (indices, indptr))
        if not numbers or any(array.ndim != 1 for array in (data, indices, indptr)) or len(data) != len(indices):
            return False
        if len(indptr) < 2 or indptr[0] != 0 or indptr[-1] != len(data) or (np.diff(indptr) < 0).any():
            return False
        return not len(indices) or bool(0 <= indices.min() <= indices.max() < documents)


@compiled(nogil=True)
def _add_postings(
    data: np.ndarray,
    indices: np.ndarray,
    indptr: np.ndarray,
    columns: np.ndarray,
    weights: np.ndarray,
    total: np.ndarray,
) -> None:
    """Add the weighted postings of each column to `total`, float32 [n_documents].

    With weights of 1 the same as bm25s' `get_scores` in a third of the time; bm25s' own numba scorer is recompiled for
    every index.
    """
    for number in range(len(columns)):
        column, weight = columns[number], weights[number]
        for posting in range(indptr[column], indptr[column + 1]):
            total[indices[posting]] += weight * data[posting]


@compiled(nogil=True)
def count_postings(tokens: np.ndarray, lengths: np.ndarray, n_terms: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return `indptr` int64, `indices` int32 and the number of occurrences float32 of each posting; see `Postings`.

    Args:
        tokens: the terms of one document after the other, int32 [n_tokens].
        lengths: number of tokens of each document, int32 [n_documents].
    """
    last = np.full(n_terms, -1, dtype=np.int32)  # the last document in which a term was seen
    indptr = np.zeros(n_terms + 1, dtype=np.int64)
    position = 0
    for document in range(len(lengths)):
        for token in tokens[position : position + lengths[document]]:
            if last[token] != document:
                last[token] = document
                indptr[token + 1] += 1
        position += lengths[document]
    indptr = np.cumsum(indptr)
    ends = indptr[:-1].copy()
    indices = np.empty(indptr[-1], dtype=np.int32)
    counts = np.zeros(indptr[-1], dtype=np.float32)
    last[:] = -1
    position = 0
    for document in range(len(lengths)):
        for token in tokens[position : position + lengths[document]]:
            if last[token] != document:
                last[token] = document
                indices[ends[token]] = document
                ends[token] += 1
            counts[ends[token] - 1] += 1
        position += lengths[document]
    return indptr, indices, counts


@compiled(nogil=True)
def weigh_postings(
    indptr: np.ndarray, indices: np.ndarray, counts: np.ndarray, idf: np.ndarray, norms: np.ndarray
) -> None:
    """Replace the number of occurrences tf of each posting by BM25's weight: idf tf / (norm + tf).

    Args:
        idf: of each term, float32 [n_terms].
        norms: k1 (1 - b + b length / mean length) of each document, float64 [n_documents].
    """
    for term in range(len(idf)):
        for posting in range(indptr[term], indptr[term + 1]):
            count = np.float64(counts[posting])
            counts[posting] = np.float64(idf[term]) * (count / (norms[indices[posting]] + count))
