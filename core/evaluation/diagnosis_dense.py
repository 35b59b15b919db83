"""A dense system searched with other prompts, another input limit, pooling or similarity, for a diagnosis."""

import time
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np

from core.evaluation.diagnosis_bm25 import PARTS, part_of, topic_fields
from core.evaluation.diagnosis_changes import Configuration
from core.formats.documents import Document
from core.formats.runs import Scores
from core.formats.topics import Topic
from core.indexes.exact import ExactIndex
from core.retrieval.encoder import encode_texts
from core.workspace.models import limit_tokens, longest_input

LIMITS = (128, 256, 384, 512)
POOLINGS = ("mean", "cls", "max", "lasttoken")
SIMILARITIES = ("cosine", "dot", "Euclidean distance")
QUERY_PROMPTS = ("", "query: ", "search_query: ", "Represent this sentence for searching relevant passages: ")
"""No prompt, and those of E5, of Nomic's models and of BGE."""
DOCUMENT_PROMPTS = ("", "passage: ", "search_document: ")
OF_DOCUMENTS = ("indexed text", "document prompt", "input limit (tokens)", "pooling")
"""Settings that change the documents' vectors."""
OF_QUERIES = ("topic field", "query prompt", "input limit (tokens)", "pooling")
MOST_KEPT = 2_000_000_000
"""Bytes of vectors of other settings that are kept in memory."""


class DenseSearcher:
    """See `core.evaluation.diagnosis_changes.Searcher`; the search is exact.

    A setting of `OF_DOCUMENTS` means to encode all documents again.
    """

    known = encodes = True

    def __init__(
        self,
        documents: Sequence[Document],
        topics: Mapping[str, Topic],
        vectors: np.ndarray,
        start: Configuration,
        published: Configuration,
        load: Callable[[], Any],
        depth: int = 1000,
        encoding: float = 0.0,
    ):
        """Take the documents, the topics that are searched, the vectors of the documents and the configurations.

        Args:
            vectors: float32 [n_documents, dimension].
            load: loads the system's encoder without prompts.
            depth: number of documents per topic.
            encoding: estimated time in seconds to encode all documents.
        """
        self.documents, self.topics, self.start, self._own = documents, topics, start, published
        self.published: Configuration | None = published
        self.depth, self.encoding, self._load = depth, encoding, load
        self._stored, self._vectors = vectors, dict[tuple[Any, ...], np.ndarray]()
        self._queries: dict[tuple[Any, ...], np.ndarray] = {}

    @cached_property
    def encoder(self) -> Any:
        """The encoder, loaded at first use."""
        return self._load()

    def options(self) -> Mapping[str, Sequence[Any]]:
        """See `Searcher`; settings that take long come last."""
        limit = longest_input(self.encoder) or max(LIMITS)
        own = self._own
        return {
            "similarity": SIMILARITIES,
            "topic field": topic_fields(self.topics.values(), self.start["topic field"]),
            "query prompt": (own["query prompt"], *QUERY_PROMPTS),
            "input limit (tokens)": [one for one in (own["input limit (tokens)"], *LIMITS) if one <= limit],
            "pooling": POOLINGS if self.start["pooling"] in POOLINGS else (),
            "indexed text": PARTS,
            "document prompt": (own["document prompt"], *DOCUMENT_PROMPTS),
        }

    def seconds(self, configuration: Configuration) -> float:
        """Return about how long the documents take to encode; 0 if their vectors are there."""
        key = tuple(configuration[name] for name in OF_DOCUMENTS)
        return 0.0 if key in self._vectors or key == self._start_key else self.encoding

    @property
    def _start_key(self) -> tuple[Any, ...]:
        return tuple(self.start[name] for name in OF_DOCUMENTS)

    def search(self, configuration: Configuration) -> Scores:
        """See `Searcher`."""
        vectors, queries = self._of_documents(configuration), self._of_queries(configuration)
        similarity = configuration["similarity"]
        if similarity == SIMILARITIES[2]:
            # |q - d|^2 = |q|^2 - 2 (q d - |d|^2 / 2): the order of distances is that of these products.
            squares = (vectors.astype(np.float32) ** 2).sum(axis=1, keepdims=True)
            vectors = np.hstack([vectors, -squares / 2])
            queries = np.hstack([queries, np.ones((len(queries), 1), np.float32)])
        index = ExactIndex("cosine" if similarity == "cosine" else "dot")
        index.build(vectors)
        positions, scores = index.search(queries, min(self.depth, len(self.documents)))
        ids = [document.id for document in self.documents]
        return {
            topic: {ids[i]: score for i, score in zip(row, values, strict=True)}
            for topic, row, values in zip(self.topics, positions.tolist(), scores.tolist(), strict=True)
        }

    def _of_documents(self, configuration: Configuration) -> np.ndarray:
        key = tuple(configuration[name] for name in OF_DOCUMENTS)
        if key == self._start_key:
            return np.asarray(self._stored)
        if key not in self._vectors:
            started = time.perf_counter()
            part, prompt, *_ = key
            texts = [prompt + part_of(document, part).full_text for document in self.documents]
            found = encode_texts(self._set(configuration), texts, "document")
            while self._vectors and found.nbytes + sum(one.nbytes for one in self._vectors.values()) > MOST_KEPT:
                del self._vectors[next(iter(self._vectors))]
            self._vectors[key] = found
            self.encoding = time.perf_counter() - started
        return self._vectors[key]

    def _of_queries(self, configuration: Configuration) -> np.ndarray:
        key = tuple(configuration[name] for name in OF_QUERIES)
        if key not in self._queries:
            field, prompt, *_ = key
            texts = [prompt + topic.text(field) for topic in self.topics.values()]
            self._queries[key] = encode_texts(self._set(configuration), texts, "query", batch=1)
        return self._queries[key]

    def _set(self, configuration: Configuration) -> Any:
        """Return the encoder with the input limit and the pooling of a configuration."""
        from sentence_transformers.sentence_transformer.modules import Pooling

        encoder = self.encoder
        limit_tokens(encoder, configuration["input limit (tokens)"], "the input limit")
        for module in encoder.modules():
            if isinstance(module, Pooling) and configuration["pooling"] in POOLINGS:
                module.pooling_mode = configuration["pooling"]
        encoder.copies = []  # copies for the threads of OpenVINO have the settings of before
        return encoder
