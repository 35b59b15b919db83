"""Re-ranking: a model reads the query and each of the first documents of another system.

`RerankSystem` is that of a cross-encoder, which reads both together; `core.retrieval.late_interaction` has the other.

After Nogueira & Cho (2019), "Passage Re-ranking with BERT". The documents below the depth follow in the order of the
first system.
"""

import re
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from core.formats.documents import Document
from core.retrieval.answer import Answer, depths
from core.retrieval.encoder import load_to_run, use_own_prefixes
from core.retrieval.systems import System
from core.workspace.errors import UserError
from core.workspace.library_internals import transformer_modules
from core.workspace.models import load_cross_encoder, load_multi_vector_encoder, pick_device
from core.workspace.profile import SystemSettings
from core.workspace.workspace import Workspace

BATCH = 16
"""Pairs per forward pass. On a CPU a pass is as fast on 4; on a GPU all pairs of a query fit in a few."""


REST = "the rest"
"""Name of what remains of a score after the losses of single words."""


class RerankSystem:
    """A cross-encoder over the first documents of another system."""

    def __init__(
        self, settings: SystemSettings, first: System, documents: Mapping[str, Document], load: Callable[[], Any]
    ):
        """Take the first system, the collection's documents by id, and a function that loads the cross-encoder.

        The model is loaded at the first query.

        Raises:
            UserError: if the collection has no texts.
        """
        if not documents:
            raise UserError(
                f"{settings.name} re-ranks by the texts of documents, but this collection has none; build it from a "
                "source with texts"
            )
        self.settings, self.first, self.documents = settings, first, documents
        self._load = load
        self._model: Any = None

    @property
    def model(self) -> Any:
        """The `CrossEncoder`, or another architecture's model."""
        if self._model is None:
            self._model = self._load()
        return self._model

    def scores(self, query: str, texts: Sequence[str]) -> np.ndarray:
        """Return the model's scores of texts for a query, before its activation function; float32 [n_texts].

        The activation does not change the order, but a sigmoid turns high scores into ties.

        Raises:
            UserError: if a score is NaN or infinite.
        """
        if not texts:
            return np.empty(0, dtype=np.float32)
        prefix = self.settings.document_prefix
        found = self._scores(self.settings.query_prefix + query, [prefix + text for text in texts])
        if not np.isfinite(found).all():
            raise UserError(
                f"{self.settings.name}: the model gives a score that is NaN or infinite for the query {query[:60]!r}; "
                "use another precision or other weights"
            )
        return found

    def _scores(self, query: str, texts: list[str]) -> np.ndarray:
        """Return the scores of at least one text, prefixes included; float32 [n_texts]."""
        from torch.nn import Identity

        pairs = [(query, text) for text in texts]
        found: np.ndarray = self.model.predict(
            pairs, batch_size=BATCH, activation_fn=Identity(), show_progress_bar=False
        )
        return found.astype(np.float32)

    def search(self, queries: Sequence[str], k: int | Sequence[int]) -> list[Answer]:
        """See `System`; the pairs of a query are scored together, so that its scores do not depend on other queries.

        The parts of an answer say at which rank the first system has a document.
        """
        wanted, label = depths(queries, k), self.first.settings.label or self.first.settings.name
        before = self.first.search(queries, [max(one, self.settings.depth) for one in wanted])
        answers = []
        for query, one, answer in zip(queries, wanted, before, strict=True):
            started = time.perf_counter()
            hits = self._reordered(query, answer.hits)
            seconds = dict(answer.seconds)
            seconds["rerank"] = seconds.get("rerank", 0.0) + time.perf_counter() - started
            ranks = {document: rank for rank, document in enumerate(answer.ranking[: self.settings.depth], 1)}
            parts = {name: [(f"rank {ranks[name]} in {label}", score)] for name, score in hits[: len(ranks)]}
            answers.append(Answer(hits[:one], seconds, parts))
        return answers

    def _reordered(self, query: str, hits: list[tuple[str, float]]) -> list[tuple[str, float]]:
        """Return hits by the scores of the model, ties in the first system's order; those below the depth follow.

        The scores of those below fall by one from the lowest score of the model.
        """
        first = [document for document, _ in hits[: self.settings.depth]]
        scores = self.scores(query, [self._text(document) for document in first])
        order = np.argsort(-scores, kind="stable").tolist()
        lowest = float(scores.min(initial=np.inf))
        below = [(document, lowest - place) for place, (document, _) in enumerate(hits[len(first) :], 1)]
        return [(first[i], float(scores[i])) for i in order] + below

    def _text(self, document: str) -> str:
        try:
            return self.documents[document].full_text
        except KeyError:
            raise UserError(
                f"{self.settings.name} cannot re-rank document {document} of {self.first.settings.name}: the "
                "collection does not have it"
            ) from None

    def explain(self, query: str, document: str) -> list[tuple[str, float]]:
        """See `System`: what the score loses without each word of the query, largest first, and the rest.

        A cross-encoder's score is not a sum over words: the losses are those of leaving out one word at a time. The
        name of the rest says at which rank the first system has the document. A document below the depth has no score
        of the model.
        """
        before = self.rank_before(query, document)
        if not before:
            return []
        words = list(dict.fromkeys(query.split()))
        shorter = [" ".join(other for other in query.split() if other != word) for word in words]
        text = self._text(document)
        score, *without = (float(self.scores(one, [text])[0]) for one in [query, *shorter])
        losses = sorted(((w, score - less) for w, less in zip(words, without, strict=True)), key=lambda part: -part[1])
        rest = f"{REST} ({before})"
        return [*losses, (rest, score - sum(loss for _, loss in losses))]

    def rank_before(self, query: str, document: str) -> str:
        """Return at which rank the first system has a document, as words; "" if it is below the depth."""
        (answer,) = self.first.search([query], self.settings.depth)
        label = self.first.settings.label or self.first.settings.name
        return f"rank {answer.ranking.index(document) + 1} in {label}" if document in answer.ranking else ""

    def explain_words(self, query: str, document: Document) -> list[tuple[str, float]]:
        """Return (word, loss) pairs in document order: what the score loses if all occurrences of a word are left out.

        The losses do not add up to the score. Only the text that the model reads is left out of.
        """
        text = self._read(query, document.full_text)
        words = [(match.group(), match.start(), match.end()) for match in re.finditer(r"\w+", text)]
        distinct = list(dict.fromkeys(word.casefold() for word, _, _ in words))
        shorter = [_without(text, words, word) for word in distinct]
        score, *without = self.scores(query, [text, *shorter]).tolist()
        losses = {word: score - less for word, less in zip(distinct, without, strict=True)}
        return [(word, losses[word.casefold()]) for word, _, _ in words]

    def _read(self, query: str, text: str) -> str:
        """Return the part of a text that the model reads beside a query."""
        encoded = self.model.tokenizer(
            self.settings.query_prefix + query,
            self.settings.document_prefix + text,
            truncation=True,
            max_length=self.model.max_seq_length,
            return_offsets_mapping=True,
        )
        sides = encoded.sequence_ids()
        ends = [end for side, (_, end) in zip(sides, encoded["offset_mapping"], strict=True) if side == 1]
        return text[: max(max(ends, default=0) - len(self.settings.document_prefix), 0)]


def _without(text: str, words: Sequence[tuple[str, int, int]], left_out: str) -> str:
    parts, begin = [], 0
    for word, start, end in words:
        if word.casefold() == left_out:
            parts.append(text[begin:start])
            begin = end
    return "".join([*parts, text[begin:]])


def load_reranker(workspace: Workspace, system: SystemSettings, device: str = "auto") -> Any:
    """Return the system's `CrossEncoder` or `MultiVectorEncoder`, ready to score.

    It has a `runtime` as in `core.retrieval.encoder`. On a CPU its transformer runs on OpenVINO, or else on torch, and
    a note says why.

    Raises:
        UserError: if the model is unavailable, incomplete, no cross-encoder with one label or no multi-vector encoder,
            or its input limit is below the system's `max_tokens`.
    """
    precision = "bf16" if system.precision == "bf16" else "fp32"

    def load(device: str, precision: str) -> Any:
        if system.architecture == "cross-encoder":
            return load_cross_encoder(workspace, system.model, device, precision)
        model = load_multi_vector_encoder(workspace, system.model, device, precision)
        use_own_prefixes(model, system)
        for part in transformer_modules(model) if system.max_tokens else []:
            part.document_length = system.max_tokens  # it comes before the model's limit
        return model

    return load_to_run(load, workspace, system, pick_device(device), precision, "re-ranked")
