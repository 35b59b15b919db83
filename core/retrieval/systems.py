"""Systems: the ways to answer a query. One interface serves the batch run and the live box alike."""

import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any, Protocol

import numpy as np

from core.formats.documents import Document
from core.formats.exclusions import kept_hits
from core.indexes.exact import ExactIndex
from core.indexes.milvus import MilvusIndex
from core.retrieval.answer import Answer
from core.retrieval.bm25 import Bm25Index
from core.retrieval.encoder import encode_texts
from core.retrieval.word_attribution import token_shares
from core.workspace.errors import UserError
from core.workspace.profile import Profile, SystemSettings


class System(Protocol):
    """A way to answer queries."""

    settings: SystemSettings

    def search(self, queries: Sequence[str], k: int | Sequence[int]) -> list[Answer]:
        """Return the k best documents for each query; a query has the same answer in a batch and alone.

        Args:
            k: for all queries, or one number for each.
        """

    def explain(self, query: str, document: str) -> list[tuple[str, float]]:
        """Return what a document's score is made of, as (name of the part, its share); the shares add up to it."""


class Bm25System:
    """BM25, over the documents alone or expanded with predicted queries."""

    def __init__(self, settings: SystemSettings, index: Bm25Index):
        self.settings, self.index = settings, index

    @cached_property
    def _position(self) -> dict[str, int]:
        return {name: i for i, name in enumerate(self.index.document_ids)}

    def search(self, queries: Sequence[str], k: int | Sequence[int]) -> list[Answer]:
        """See `System`; a query without a term of the index has no hits.

        One query after the other: no step is shared, and the scores of all documents are held for one query at a time.
        """
        answers = []
        for query, depth in zip(queries, _depths(queries, k), strict=True):
            started = time.perf_counter()
            hits = self.index.search(query, depth)
            answers.append(Answer(hits, {"search": time.perf_counter() - started}))
        return answers

    def explain(self, query: str, document: str) -> list[tuple[str, float]]:
        """See `System`; one part a term of the query, the heaviest first."""
        position = self._position[document]
        weights: dict[str, float] = {}
        for token in self.index.analyzer.tokens(query):
            weight = sum(field.weight(token, position) for field in self.index.fields)
            weights[token] = weights.get(token, 0.0) + weight
        return sorted(((t, w) for t, w in weights.items() if w > 0), key=lambda part: -part[1])


class DenseSystem:
    """A bi-encoder with a search in its vectors, by exact search or another backend."""

    def __init__(
        self,
        settings: SystemSettings,
        encoder: Callable[[], Any],
        index: ExactIndex | MilvusIndex,
        document_ids: list[str],
    ):
        """Take a function that loads the encoder: it is called with the first query, not before."""
        self.settings, self.index, self.document_ids = settings, index, document_ids
        self._load_encoder = encoder
        self._encoder: Any = None

    @cached_property
    def _position(self) -> dict[str, int]:
        return {name: i for i, name in enumerate(self.document_ids)}

    def encode(self, queries: Sequence[str]) -> np.ndarray:
        """Return the queries' vectors, float32 [n_queries, dimension]; each is the same in a batch and alone.

        The model reads one query at a time: padding and the number of texts in a forward pass change the last bits of
        a vector, and with them the order of documents whose scores are that close.
        """
        if self._encoder is None:
            self._encoder = self._load_encoder()
        return encode_texts(self._encoder, [self.settings.query_prefix + query for query in queries], "query", batch=1)

    def search(self, queries: Sequence[str], k: int | Sequence[int]) -> list[Answer]:
        """See `System`; queries with the same k are searched together."""
        if not queries:
            return []
        depths = _depths(queries, k)
        started = time.perf_counter()
        vectors = self.encode(queries)
        encoded = time.perf_counter()
        hits: list[list[tuple[str, float]]] = [[] for _ in queries]
        for depth in set(depths):
            rows = [row for row, own in enumerate(depths) if own == depth]
            found = self.index.search(vectors[rows], min(depth, len(self.document_ids)))
            for row, positions, similarities in zip(rows, *(array.tolist() for array in found), strict=True):
                ranked = zip(positions, similarities, strict=True)
                hits[row] = [(self.document_ids[i], similarity) for i, similarity in ranked if i >= 0]
        steps = {"encode": encoded - started, "search": time.perf_counter() - encoded}
        return [Answer(own, {step: seconds / len(queries) for step, seconds in steps.items()}) for own in hits]

    def explain(self, query: str, document: str) -> list[tuple[str, float]]:
        """See `System`; a dense score is one number, the similarity."""
        position = self._position[document]
        one = ExactIndex(self.settings.similarity)
        one.build(self.index.vectors[position : position + 1])
        return [(f"{self.settings.similarity} similarity", float(one.search(self.encode([query]), 1)[1][0, 0]))]

    def explain_words(self, query: str, document: Document) -> list[tuple[str, float]]:
        """Return (word, share of the score) in the document's order; see `core.retrieval.word_attribution`.

        Raises:
            UserError: the model does not take the mean of its tokens.
        """
        vector = self.encode([query])[0]
        text = self.settings.document_prefix + document.full_text
        return token_shares(self._encoder, vector, text, self.settings.similarity)


def _depths(queries: Sequence[str], k: int | Sequence[int]) -> Sequence[int]:
    return [k] * len(queries) if isinstance(k, int) else k


def search_without(system: System, queries: Sequence[str], k: int, excluded: Sequence[Collection[str]]) -> list[Answer]:
    """Return the k best documents for each query that are not excluded for it.

    A system is asked for as many more as a query has excluded documents.

    Args:
        excluded: documents, for each query.
    """
    answers = system.search(queries, [k + len(own) for own in excluded])
    return [replace(answer, hits=kept_hits(answer.hits, own, k)) for answer, own in zip(answers, excluded, strict=True)]


def find_settings(profile: Profile, name: str) -> SystemSettings:
    """Return the settings of the profile's system of that name.

    Raises:
        UserError: there is none.
    """
    for settings in profile.system:
        if settings.name == name:
            return settings
    raise UserError(f"no system {name!r} in this profile; it has {', '.join(s.name for s in profile.system)}")
