"""Retrieval systems behind one interface, used by batch runs and live search alike."""

import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any, Protocol

import numpy as np

from core.formats.documents import Document
from core.formats.exclusions import kept_hits
from core.indexes.base import Quantised, VectorIndex
from core.indexes.exact import ExactIndex
from core.retrieval.answer import Answer, depths
from core.retrieval.backends import prefixes
from core.retrieval.bm25 import Bm25Index
from core.retrieval.encoder import encode_texts
from core.retrieval.word_attribution import token_shares
from core.workspace.profile import SystemSettings


class System(Protocol):
    """A retrieval system."""

    settings: SystemSettings

    def search(self, queries: Sequence[str], k: int | Sequence[int]) -> list[Answer]:
        """Return the k best documents for each query; the answer to a query is the same in a batch as alone.

        Args:
            k: one number for all queries, or one per query.
        """

    def explain(self, query: str, document: str) -> list[tuple[str, float]]:
        """Return (name, contribution) pairs that add up to a document's score for a query."""


class Bm25System:
    """BM25 over the documents, optionally expanded with predicted queries."""

    def __init__(self, settings: SystemSettings, index: Bm25Index):
        self.settings, self.index = settings, index

    @cached_property
    def _position(self) -> dict[str, int]:
        return {name: i for i, name in enumerate(self.index.document_ids)}

    def search(self, queries: Sequence[str], k: int | Sequence[int]) -> list[Answer]:
        """See `System`; a query with no term in the index has no hits.

        Queries are processed one at a time: they share no work, and each needs an array with the scores of all
        documents.
        """
        answers = []
        for query, depth in zip(queries, depths(queries, k), strict=True):
            started = time.perf_counter()
            hits = self.index.search(query, depth)
            answers.append(Answer(hits, {"search": time.perf_counter() - started}))
        return answers

    def explain(self, query: str, document: str) -> list[tuple[str, float]]:
        """See `System`; one contribution per query term, largest first; none for a document outside the index."""
        position = self._position.get(document)
        if position is None:
            return []
        weights: dict[str, float] = {}
        for token in self.index.analyzer.tokens(query):
            weight = sum(field.weight(token, position) for field in self.index.fields)
            weights[token] = weights.get(token, 0.0) + weight
        return sorted(((t, w) for t, w in weights.items() if w > 0), key=lambda part: -part[1])


class DenseSystem:
    """A bi-encoder with exact search in its vectors, or with another search backend."""

    def __init__(
        self,
        settings: SystemSettings,
        encoder: Callable[[], Any],
        index: VectorIndex,
        vectors: np.ndarray,
        document_ids: list[str],
        depth: int = 1000,
        given: Mapping[str, np.ndarray] | None = None,
    ):
        """Take a function that loads the encoder, which is called at the first query, and the vectors of the index.

        Args:
            vectors: float32 [n_documents, dimension].
            depth: number of documents that an index other than exact search is asked for in every search.
            given: vectors of queries that need no encoder, float32 [dimension].
        """
        self._depth, self._given = depth, given or {}
        self.settings, self.index, self.vectors, self.document_ids = settings, index, vectors, document_ids
        self._load_encoder = encoder

    @cached_property
    def _position(self) -> dict[str, int]:
        return {name: i for i, name in enumerate(self.document_ids)}

    @cached_property
    def encoder(self) -> Any:
        """The encoder, loaded at first use."""
        return self._load_encoder()

    def encode(self, queries: Sequence[str]) -> np.ndarray:
        """Return the queries' vectors, float32 [n_queries, dimension]; each is the same in a batch as alone.

        The model encodes one query at a time: padding and batch size change the last bits of a vector, and thereby the
        order of documents whose scores are that close.
        """
        texts = [self.settings.query_prefix + query for query in queries if query not in self._given]
        encoded = iter(encode_texts(self.encoder, texts, "query", batch=1) if texts else [])
        vectors = [self._given[query] if query in self._given else next(encoded) for query in queries]
        return prefixes(np.stack(vectors), self.settings)

    def search(self, queries: Sequence[str], k: int | Sequence[int]) -> list[Answer]:
        """See `System`; queries with the same k are searched together."""
        if not queries:
            return []
        wanted = depths(queries, k)
        started = time.perf_counter()
        vectors = self.encode(queries)
        encoded = time.perf_counter()
        hits: list[list[tuple[str, float]]] = [[] for _ in queries]
        for depth in set(wanted):
            rows = [row for row, query_depth in enumerate(wanted) if query_depth == depth]
            results = self._search(vectors[rows], min(depth, len(self.document_ids)))
            for row, positions, similarities in zip(rows, *(array.tolist() for array in results), strict=True):
                ranked = zip(positions, similarities, strict=True)
                hits[row] = [(self.document_ids[i], similarity) for i, similarity in ranked if i >= 0]
        steps = {"encode": encoded - started, "search": time.perf_counter() - encoded}
        seconds = {step: duration / len(queries) for step, duration in steps.items()}
        return [Answer(query_hits, dict(seconds)) for query_hits in hits]

    def _search(self, vectors: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
        """See `VectorIndex.search`.

        Only exact search has the same results in a batch as for one vector, and the same first results at any k.
        """
        if isinstance(self.index, ExactIndex):
            return self.index.search(vectors, k)
        depth = min(self._depth, len(self.document_ids))
        positions, similarities = zip(*(self.index.search(vector[None], depth) for vector in vectors), strict=True)
        return np.concatenate(positions)[:, :k], np.concatenate(similarities)[:, :k]

    def explain(self, query: str, document: str) -> list[tuple[str, float]]:
        """See `System`; the contributions are the similarity, and the error of an index that quantises vectors."""
        position, vector = self._position[document], self.encode([query])
        one = ExactIndex(self.settings.similarity)
        one.build(self.vectors[position : position + 1])
        similarity = float(one.search(vector, 1)[1][0, 0])
        parts = [(f"{self.settings.similarity} similarity", similarity)]
        if isinstance(self.index, Quantised):
            parts.append(("quantisation", self.index.similarity_at(vector, position) - similarity))
        return parts

    def explain_words(self, query: str, document: Document) -> list[tuple[str, float]]:
        """Return (word, contribution) pairs in document order; see `core.retrieval.word_attribution`.

        Raises:
            UserError: if the model does not use mean pooling.
        """
        vector = self.encode([query])[0]
        text = self.settings.document_prefix + document.full_text
        return token_shares(self.encoder, vector, text, self.settings.similarity)


def search_without(system: System, queries: Sequence[str], k: int, excluded: Sequence[Collection[str]]) -> list[Answer]:
    """Return the k best documents for each query, leaving out the documents excluded for it.

    The system is asked for as many extra documents as are excluded for the query.

    Args:
        excluded: the excluded document ids of each query.
    """
    answers = system.search(queries, [k + len(documents) for documents in excluded])
    return [
        replace(answer, hits=kept_hits(answer.hits, documents, k))
        for answer, documents in zip(answers, excluded, strict=True)
    ]
