"""BM25 over one or more fields (Robertson & Zaragoza, 2009; Lucene's variant of Kamphuis et al., 2020).

    score(q, d) = sum over fields f, over terms t of q:  idf_f(t) * tf / (tf + k1 * (1 - b + b * length / mean length))
    idf_f(t)    = ln(1 + (N - n + 0.5) / (n + 0.5))

Searched with bm25s (Lù, 2024); rank_bm25 is the reference engine, slower and with the same ranking.
"""

from array import array
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import bm25s
import numpy as np
from rank_bm25 import BM25Okapi

from core.formats.collections import read_built_collection
from core.formats.documents import Document, read_ids
from core.formats.predicted_queries import check_scores, kept_queries, read_by_document, read_expansions, read_scores
from core.retrieval.analyzer import Analyzer
from core.retrieval.ranking import top_k
from core.workspace.artifacts import Manifest, read_manifest, read_whole, rebuild_command, shown
from core.workspace.compiled import compiled
from core.workspace.errors import UserError
from core.workspace.profile import AnalyzerSettings, Bm25Settings, ExpansionSettings, Profile, SystemSettings

PREDICTED = "predicted.jsonl"
"""In the artifact: the predicted queries that are searched, {"_id", "queries"} a line."""


class RankBm25Engine(BM25Okapi):
    """rank_bm25's Okapi scoring with Lucene's idf in place of its own, which is floored where it would be negative."""

    def _calc_idf(self, nd: dict[str, int]) -> None:
        self.idf = {term: float(np.log(1 + (self.corpus_size - n + 0.5) / (n + 0.5))) for term, n in nd.items()}


class Field:
    """The index of one field."""

    def __init__(self, engine: str, index: Any):
        self.engine, self.index = engine, index

    @classmethod
    def build(cls, tokens: Iterable[list[str]], settings: Bm25Settings, weight: float = 1.0) -> "Field":
        """Index the tokens of every document's field; its scores are multiplied by `weight`."""
        nothing = "\0"  # both engines want one token at least; no query has this one
        if settings.engine == "rank_bm25":
            lists = list(tokens)
            engine = RankBm25Engine(lists if any(lists) else [*lists[:-1], [nothing]], k1=settings.k1, b=settings.b)
            engine.idf = {term: weight * idf for term, idf in engine.idf.items()}
            return cls("rank_bm25", engine)
        # Four bytes a token: the words of ten million documents would fill a memory.
        vocabulary: dict[str, int] = {}
        numbers = [array("i", [vocabulary.setdefault(token, len(vocabulary)) for token in own]) for own in tokens]
        if not vocabulary:
            vocabulary, numbers[-1] = {nothing: 0}, array("i", [0])
        index = bm25s.BM25(method="lucene", k1=settings.k1, b=settings.b)
        index.index((numbers, vocabulary), show_progress=False)
        if weight != 1.0:
            index.scores["data"] = index.scores["data"] * np.float32(weight)
        return cls("bm25s", index)

    def scores(self, tokens: list[str]) -> np.ndarray:
        """Return the score of every document for a query's tokens, float32 [n_documents]."""
        if self.engine == "rank_bm25":
            with np.errstate(invalid="ignore"):  # 0 / 0 for a document without the term when k1 (1 - b + b ...) is 0
                by_term = [np.nan_to_num(self.index.get_scores([token])) for token in tokens]
            # Okapi's numerator has the constant factor (k1 + 1), which Lucene leaves out.
            total = np.sum(by_term, axis=0) if by_term else np.zeros(self.index.corpus_size)
            return (total / (self.index.k1 + 1)).astype(np.float32)
        vocabulary, index = self.index.vocab_dict, self.index.scores
        columns = np.array([vocabulary[token] for token in tokens if token in vocabulary], dtype=np.int64)
        total = np.zeros(index["num_docs"], dtype=np.float32)
        _add_postings(index["data"], index["indices"], index["indptr"], columns, total)
        return total

    def weight(self, token: str, position: int) -> float:
        """Return what one occurrence of a token in the query adds to the score of the document at a position."""
        if self.engine == "rank_bm25":
            if token not in self.index.doc_freqs[position]:
                return 0.0
            return self.index.get_batch_scores([token], [position])[0] / (self.index.k1 + 1)
        if token not in self.index.vocab_dict:
            return 0.0
        column, index = self.index.vocab_dict[token], self.index.scores
        begin, end = index["indptr"][column : column + 2]
        at = np.flatnonzero(index["indices"][begin:end] == position)
        return float(index["data"][begin:end][at].sum())


@compiled(nogil=True)
def _add_postings(
    data: np.ndarray, indices: np.ndarray, indptr: np.ndarray, columns: np.ndarray, total: np.ndarray
) -> None:
    """Add the scores of each column's postings to `total`, float32 [n_documents].

    What bm25s' `get_scores` does, in a third of its time; its own numba scorer is compiled anew for every index.
    """
    for column in columns:
        for posting in range(indptr[column], indptr[column + 1]):
            total[indices[posting]] += data[posting]


class Bm25Index:
    """BM25 over the documents of a collection, fields added up."""

    def __init__(self, document_ids: list[str], fields: list[Field], analyzer: Analyzer):
        self.document_ids, self.fields, self.analyzer = document_ids, fields, analyzer

    @classmethod
    def build(
        cls,
        documents: Sequence[Document],
        settings: Bm25Settings,
        analyzer_settings: AnalyzerSettings,
        predicted: Mapping[str, list[str]] | None = None,
        expansion: ExpansionSettings | None = None,
    ) -> "Bm25Index":
        """Index documents; they are read once for each field, and once for their ids.

        Args:
            predicted: queries of each document; appended to its (last) field, or the last field of all.
            expansion: which of the two, and the weight.
        """
        analyzer, expansion = Analyzer(analyzer_settings), expansion or ExpansionSettings()
        appended = predicted if expansion.field == "appended" else None
        count = 1 if settings.fields == "one" else 2
        fields = [
            Field.build((analyzer.tokens(field_texts(d, settings, appended)[number]) for d in documents), settings)
            for number in range(count)
        ]
        if predicted is not None and expansion.field == "own":
            tokens = (analyzer.tokens(" ".join(predicted.get(document.id, []))) for document in documents)
            fields.append(Field.build(tokens, settings, expansion.weight))
        return cls([document.id for document in documents], fields, analyzer)

    def scores(self, query: str) -> np.ndarray:
        """Return the score of every document for a query, float32 [n_documents]."""
        tokens = self.analyzer.tokens(query)
        first, *others = (field.scores(tokens) for field in self.fields)
        return sum(others, first)

    def search(self, query: str, k: int) -> list[tuple[str, float]]:
        """Return the k best (document, score) for a query, best first; documents without any match are left out."""
        scores = self.scores(query)
        best = top_k(scores, k, above=0)
        documents = [self.document_ids[i] for i in best.tolist()]
        return list(zip(documents, scores[best].tolist(), strict=True))


def field_texts(
    document: Document, settings: Bm25Settings, appended: Mapping[str, list[str]] | None = None
) -> list[str]:
    """Return a document's text for each field, its queries appended to the last one."""
    texts = [document.full_text] if settings.fields == "one" else [document.title, document.text]
    if appended is not None:
        texts[-1] = " ".join([texts[-1], *appended.get(document.id, [])])
    return texts


# Where a match comes from


@dataclass(frozen=True)
class Origin:
    """What a term of a query adds to a document's score.

    Attributes:
        document: the part that the document's own words earn.
        predicted: the part that predicted queries earn.
        queries: the predicted queries that hold the term.
    """

    term: str
    document: float
    predicted: float
    queries: list[str]


def origins(
    index: Bm25Index, settings: Bm25Settings, query: str, document: Document, predicted: list[str]
) -> list[Origin]:
    """Split each term's weight in a document's score by where the term stands, the heaviest first.

    Where queries are appended to the text, a term's occurrences share its weight alike; in a field of their own, the
    field's weight is theirs. The parts add up to the score.

    Args:
        predicted: the document's queries that the index was built with, see `read_predicted`.
    """
    tokens = index.analyzer.tokens
    position = index.document_ids.index(document.id)
    own = [Counter(tokens(text)) for text in field_texts(document, settings)]
    of_queries = [(text, set(tokens(text))) for text in predicted]
    said = Counter(token for text in predicted for token in tokens(text))
    found = []
    for term, times in Counter(tokens(query)).items():
        by_document = by_queries = 0.0
        for number, field in enumerate(index.fields):
            weight = times * field.weight(term, position)
            ours = own[number][term] if number < len(own) else 0
            theirs = said[term] if number == len(index.fields) - 1 else 0
            share = theirs / (ours + theirs) if ours + theirs else 0.0
            by_document += weight * (1 - share)
            by_queries += weight * share
        if by_document + by_queries > 0:
            found.append(Origin(term, by_document, by_queries, [text for text, its in of_queries if term in its]))
    return sorted(found, key=lambda origin: -(origin.document + origin.predicted))


def searched_queries(system: SystemSettings, folder: Path) -> dict[str, list[str]] | None:
    """Return the predicted queries of each document that a system searches, None where it searches none.

    Raises:
        UserError: queries or scores are missing or damaged, the scores are of other queries, or more queries are wanted
            than were predicted.
    """
    if not system.expanded:
        return None
    wanted, predicted = system.expansion.queries, read_manifest(folder / "doc2query").settings.get("queries", 0)
    if wanted > predicted > 0:
        raise UserError(f"{system.name}: expansion.queries is {wanted}, and doc2query.queries is {predicted}")
    if system.expansion.keep == 1:
        return kept_queries(read_expansions(folder), None, system.expansion)
    check_scores(folder)
    return kept_queries(read_expansions(folder), read_scores(folder), system.expansion)


def read_predicted(folder: Path, system: str) -> dict[str, list[str]]:
    """Return the predicted queries of each document that the artifact `bm25/<system>` holds.

    Raises:
        UserError: the artifact is missing or damaged, or was made without.
    """
    target = folder / "bm25" / system

    def read(manifest: Manifest) -> dict[str, list[str]]:
        if PREDICTED not in manifest.files:
            raise UserError(f"{shown(target)} holds no predicted queries; rebuild it with {rebuild_command(target)}")
        return read_by_document(target / PREDICTED, "queries")

    return read_whole(target, read)


def load_index(profile: Profile, system: SystemSettings, folder: Path) -> Bm25Index:
    """Open the artifact `bm25/<system>`; with the engine rank_bm25, index the collection anew in memory.

    Raises:
        UserError: the artifact is missing or damaged.
    """
    if profile.bm25.engine == "rank_bm25":
        documents, predicted = read_built_collection(folder).documents, searched_queries(system, folder)
        return Bm25Index.build(documents, profile.bm25, profile.analyzer, predicted, system.expansion)
    target = folder / "bm25" / system.name

    def read(manifest: Manifest) -> Bm25Index:
        names = {name.split("/")[0] for name in manifest.files}
        ids = read_ids(target / "document_ids.json")
        fields = [
            Field("bm25s", bm25s.BM25.load(target / name, mmap=True, show_progress=False))
            for name in sorted(names)
            if name.startswith("field-")
        ]
        return Bm25Index(ids, fields, Analyzer(profile.analyzer))

    return read_whole(target, read)
