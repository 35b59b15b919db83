"""The BM25 index of one field, by either of two libraries.

Searches use bm25s (Lù, 2024). rank_bm25 is the reference: slower, independent, and with the same scores.
"""

import math
from collections import Counter
from collections.abc import Collection, Iterable
from itertools import chain
from pathlib import Path
from typing import Any, Protocol

import bm25s
import numpy as np
from rank_bm25 import BM25Okapi

from core.retrieval.analyzer import open_analyzer
from core.retrieval.lucene import stored_length
from core.retrieval.postings import Postings, count_postings, weigh_postings
from core.retrieval.token_numbers import NOTHING, Tokens, analysed
from core.workspace import library_internals
from core.workspace.errors import UserError
from core.workspace.profile import AnalyzerSettings, Bm25Settings


class Field(Protocol):
    """The BM25 index of one field of all documents."""

    @classmethod
    def build(
        cls, texts: Iterable[str], analyzer: AnalyzerSettings, settings: Bm25Settings, weight: float = 1.0
    ) -> "Field":
        """Index the text of every document's field; its scores are multiplied by `weight`."""

    def scores(self, tokens: list[str]) -> np.ndarray:
        """Return the score of every document for a query's tokens, float32 [n_documents]."""

    @property
    def vocabulary(self) -> Collection[str]:
        """The tokens that are in the index."""

    def weight(self, token: str, position: int) -> float:
        """Return the contribution of one query occurrence of a token to the score of the document at a position."""


class Bm25sIndex(bm25s.BM25):  # type: ignore[misc]
    """The index of bm25s with the same scores, counted by compiled code.

    With Lucene's document lengths, empty documents count neither for N nor for the mean length.
    """

    def __init__(self, settings: Bm25Settings):
        super().__init__(method="lucene", k1=settings.k1, b=settings.b)
        self.lengths = settings.lengths

    def build_index_from_ids(
        self, unique_token_ids: list[int], corpus_token_ids: tuple[np.ndarray, np.ndarray], *_: Any, **__: Any
    ) -> dict[str, Any]:
        """Return the postings, as the method of bm25s does, which its documentation invites to override."""
        self.nonoccurrence_array = None  # as for every method but BM25L and BM25+; `save` reads it
        tokens, lengths = corpus_token_ids
        indptr, indices, counts = count_postings(tokens, lengths, len(unique_token_ids))
        n_documents, counted = len(lengths), lengths.astype(np.float64)
        if self.lengths == "lucene":
            n_documents = int(np.count_nonzero(lengths))
            counted = np.array(list(map(stored_length, lengths.tolist())), dtype=np.float64)
        norms = self.k1 * ((1 - self.b) + self.b * counted / (len(tokens) / n_documents))
        idf = [math.log(1 + (n_documents - n + 0.5) / (n + 0.5)) for n in np.diff(indptr).tolist()]
        weigh_postings(indptr, indices, counts, np.array(idf, dtype=np.float32), norms)
        return {"data": counts, "indices": indices, "indptr": indptr, "num_docs": len(lengths)}


class Bm25sField:
    """A field indexed by bm25s, whose index can be saved and is memory-mapped when loaded."""

    def __init__(self, index: bm25s.BM25):
        self.index = index

    @classmethod
    def build(
        cls, texts: Iterable[str], analyzer: AnalyzerSettings, settings: Bm25Settings, weight: float = 1.0
    ) -> "Bm25sField":
        """See `Field`."""
        return cls.of(analysed(texts, analyzer), settings, weight)

    @classmethod
    def of(cls, tokens: Tokens, settings: Bm25Settings, weight: float = 1.0) -> "Bm25sField":
        """Index the tokens of every document's field."""
        if not tokens.vocab:
            tokens = Tokens.of([*([] for _ in tokens.ids[1][1:]), [NOTHING]])
        index = Bm25sIndex(settings)
        index.index(tokens, show_progress=False)
        if weight != 1.0:
            library_internals.multiply_scores(index, weight)
        return cls(index)

    @classmethod
    def load(cls, folder: Path) -> "Bm25sField":
        """Open the index that `save` wrote.

        Raises:
            UserError: if its arrays do not fit together: compiled code reads them without checks.
        """
        try:
            index = bm25s.BM25.load(folder, mmap=True, show_progress=False)
            fits = _fits(Postings(*library_internals.postings(index)), library_internals.vocabulary(index))
        except (OSError, ValueError, TypeError, KeyError, AttributeError, EOFError):
            fits = False
        if not fits:
            raise UserError(f"{folder.name}: damaged, or not an index of bm25s; build it again")
        return cls(index)

    def save(self, folder: Path) -> None:
        """Write the index to a folder."""
        self.index.save(folder, show_progress=False)

    @property
    def vocabulary(self) -> dict[str, int]:
        """The number of each token."""
        return library_internals.vocabulary(self.index)

    @property
    def _postings(self) -> Postings:
        return Postings(*library_internals.postings(self.index))

    def scores(self, tokens: list[str]) -> np.ndarray:
        """See `Field`."""
        vocabulary = self.vocabulary
        columns = np.array([vocabulary[token] for token in tokens if token in vocabulary], dtype=np.int64)
        return self._postings.scores(columns, np.ones(len(columns), dtype=np.float32))

    def weight(self, token: str, position: int) -> float:
        """See `Field`."""
        if token not in self.vocabulary:
            return 0.0
        return self._postings.weight(self.vocabulary[token], position)


def _fits(postings: Postings, vocabulary: dict[str, int]) -> bool:
    """Return whether the postings are consistent and have a column for every token."""
    columns = len(postings.indptr) - 1
    # bm25s adds the empty token, beyond the last column if no document has one; no query contains it.
    found = all(isinstance(column, int) and 0 <= column < columns for token, column in vocabulary.items() if token)
    return postings.is_consistent() and found


class RankBm25Field:
    """A field indexed by rank_bm25, in memory only."""

    def __init__(self, index: Any):
        self.index = index

    @classmethod
    def build(
        cls, texts: Iterable[str], analyzer: AnalyzerSettings, settings: Bm25Settings, weight: float = 1.0
    ) -> "RankBm25Field":
        """See `Field`; Lucene's idf replaces the library's, which has a floor for negative values."""
        lists = list(map(open_analyzer(analyzer).tokens, texts))
        index = BM25Okapi(lists if any(lists) else [*lists[:-1], [NOTHING]], k1=settings.k1, b=settings.b)
        documents_with = Counter(chain.from_iterable(index.doc_freqs))
        n_documents = index.corpus_size
        if settings.lengths == "lucene":
            n_documents = np.count_nonzero(index.doc_len)
            index.avgdl = sum(index.doc_len) / n_documents
            index.doc_len = [stored_length(length) for length in index.doc_len]
        index.idf = {
            term: weight * float(np.log(1 + (n_documents - n + 0.5) / (n + 0.5))) for term, n in documents_with.items()
        }
        return cls(index)

    @property
    def vocabulary(self) -> Collection[str]:
        """See `Field`."""
        return self.index.idf.keys()  # type: ignore[no-any-return]

    # Okapi's numerator has the constant factor (k1 + 1), which Lucene leaves out.

    def scores(self, tokens: list[str]) -> np.ndarray:
        """See `Field`."""
        with np.errstate(invalid="ignore"):  # 0 / 0 for a document without the term when k1 (1 - b + b ...) is 0
            by_term = [np.nan_to_num(self.index.get_scores([token])) for token in tokens]
        total = np.sum(by_term, axis=0) if by_term else np.zeros(self.index.corpus_size)
        scores: np.ndarray = (total / (self.index.k1 + 1)).astype(np.float32)
        return scores

    def weight(self, token: str, position: int) -> float:
        """See `Field`."""
        if token not in self.index.doc_freqs[position]:
            return 0.0
        return float(self.index.get_batch_scores([token], [position])[0] / (self.index.k1 + 1))


FIELD_CLASSES: dict[str, type[Field]] = {"bm25s": Bm25sField, "rank_bm25": RankBm25Field}
"""The class of each BM25 backend, by the setting that names it (`engine` in profiles and manifests)."""


def field_class(settings: Bm25Settings) -> type[Field]:
    """Return the class that the settings name."""
    return FIELD_CLASSES[settings.engine]
