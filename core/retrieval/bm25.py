"""BM25 over one or more fields (Robertson & Zaragoza, 2009; Lucene's variant of Kamphuis et al., 2020).

    score(q, d) = sum over fields f and terms t of q:  idf_f(t) * tf / (tf + k1 * (1 - b + b * length / mean length))
    idf_f(t)    = ln(1 + (N - n + 0.5) / (n + 0.5))

Each field is indexed by one of two libraries; see `core.retrieval.bm25_fields`.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from core.formats.collections import read_built_collection
from core.formats.documents import Document, read_ids
from core.formats.predicted_queries import (
    check_scores,
    kept_queries,
    most_queries,
    read_expansions,
    read_scores,
    stored_by_document,
)
from core.retrieval.analyzer import Analyzer, open_analyzer, recorded_settings
from core.retrieval.bm25_fields import Bm25sField, Field, field_class
from core.retrieval.ranking import top_k
from core.workspace.artifacts import Manifest, read_manifest, read_whole
from core.workspace.errors import UserError
from core.workspace.profile import AnalyzerSettings, Bm25Settings, ExpansionSettings, Profile, SystemSettings
from core.workspace.workspace import CollectionFolder

PREDICTED = "predicted.jsonl"
"""File of the artifact with the indexed predicted queries, one JSON object {"_id", "queries"} per line."""


class Bm25Index:
    """BM25 index of a collection; a document's score is the sum over its fields."""

    def __init__(self, document_ids: list[str], fields: Sequence[Field], analyzer: Analyzer):
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
        """Index documents, which are iterated over once per field and once for their ids.

        Args:
            predicted: the predicted queries of each document, or None for no expansion.
            expansion: whether the queries are appended to the document's last field or form a field of their own, and
                the weight of that field.
        """
        expansion, build = expansion or ExpansionSettings(), field_class(settings).build
        appended = predicted if expansion.field == "appended" else None
        fields = []
        for number in range(1 if settings.fields == "one" else 2):
            texts = (field_texts(document, settings, appended)[number] for document in documents)
            fields.append(build(texts, analyzer_settings, settings))
        if predicted is not None and expansion.field == "own":
            texts = (" ".join(predicted.get(document.id, [])) for document in documents)
            fields.append(build(texts, analyzer_settings, settings, expansion.weight))
        return cls([document.id for document in documents], fields, open_analyzer(analyzer_settings))

    def save(self, folder: Path) -> int:
        """Write each field's index to a folder `field-<number>` and return the vocabulary size of the last one.

        Raises:
            TypeError: if a field was not built by bm25s.
        """
        terms = 0
        for number, field in enumerate(self.fields):
            if not isinstance(field, Bm25sField):
                raise TypeError(f"{type(field).__name__} cannot be saved")
            field.save(folder / f"field-{number}")
            terms = len(field.vocabulary)
        return terms

    def scores(self, query: str) -> np.ndarray:
        """Return the score of every document for a query, float32 [n_documents]."""
        tokens = self.analyzer.tokens(query)
        first, *others = (field.scores(tokens) for field in self.fields)
        return sum(others, first)

    def search(self, query: str, k: int) -> list[tuple[str, float]]:
        """Return the k best (document, score) pairs for a query, best first, without documents that match no term."""
        scores = self.scores(query)
        best = top_k(scores, k, above=0)
        documents = [self.document_ids[i] for i in best.tolist()]
        return list(zip(documents, scores[best].tolist(), strict=True))


def field_texts(
    document: Document, settings: Bm25Settings, appended: Mapping[str, list[str]] | None = None
) -> list[str]:
    """Return a document's text for each field, with its predicted queries appended to the last one."""
    texts = [document.full_text] if settings.fields == "one" else [document.title, document.text]
    if appended is not None:
        texts[-1] = " ".join([texts[-1], *appended.get(document.id, [])])
    return texts


# Score explanation


@dataclass(frozen=True)
class Origin:
    """The contribution of a query term to a document's score, by source.

    Attributes:
        document: the contribution of the term's occurrences in the document's text.
        predicted: the contribution of its occurrences in predicted queries.
        queries: the predicted queries that contain the term.
    """

    term: str
    document: float
    predicted: float
    queries: list[str]


def origins(
    index: Bm25Index, settings: Bm25Settings, query: str, document: Document, predicted: list[str]
) -> list[Origin]:
    """Return each query term's contribution to a document's score, split by source, largest first.

    When queries are appended to the text, a term's weight is shared equally by its occurrences in text and queries;
    when they form a separate field, all of that field's weight is theirs. The contributions add up to the score.

    Args:
        predicted: the document's predicted queries that the index was built with; see `stored_predicted`.
    """
    tokens = index.analyzer.tokens
    position = index.document_ids.index(document.id)
    text_counts = [Counter(tokens(text)) for text in field_texts(document, settings)]
    query_terms = [(text, set(tokens(text))) for text in predicted]
    query_counts = Counter(token for text in predicted for token in tokens(text))
    term_origins = []
    for term, times in Counter(tokens(query)).items():
        by_document = by_queries = 0.0
        for number, field in enumerate(index.fields):
            weight = times * field.weight(term, position)
            in_text = text_counts[number][term] if number < len(text_counts) else 0
            in_queries = query_counts[term] if number == len(index.fields) - 1 else 0
            share = in_queries / (in_text + in_queries) if in_text + in_queries else 0.0
            by_document += weight * (1 - share)
            by_queries += weight * share
        if by_document + by_queries > 0:
            containing = [text for text, terms in query_terms if term in terms]
            term_origins.append(Origin(term, by_document, by_queries, containing))
    return sorted(term_origins, key=lambda origin: -(origin.document + origin.predicted))


def index_settings(profile: Profile, system: SystemSettings) -> dict[str, Any]:
    """Return the settings that shape a system's index, for its manifest."""
    bm25 = profile.bm25_of(system).model_dump(exclude={"engine"})
    if bm25["lengths"] == "exact":
        del bm25["lengths"]  # indexes made before this setting existed stay up to date
    expansion = {"expansion": system.expansion.model_dump()} if system.expanded else {}
    analyzer = recorded_settings(profile.analyzer_of(system))
    return bm25 | analyzer | {"expanded": system.expanded} | expansion


def searched_queries(system: SystemSettings, folder: CollectionFolder) -> dict[str, list[str]] | None:
    """Return the predicted queries of each document that a system indexes, or None if it does not use expansion.

    Raises:
        UserError: if queries or scores are missing or damaged, the scores belong to other queries, or the system asks
            for more queries than were predicted.
    """
    if not system.expanded:
        return None
    wanted, predicted = system.expansion.queries, most_queries(read_manifest(folder.predicted_queries))
    if wanted > predicted > 0:
        raise UserError(
            f"{system.name}: expansion.queries is {wanted}, but only {predicted} were predicted for a document; lower "
            "expansion.queries or predict more (doc2query.queries)"
        )
    if system.expansion.keep == 1:
        return kept_queries(read_expansions(folder), None, system.expansion)
    check_scores(folder)
    return kept_queries(read_expansions(folder), read_scores(folder), system.expansion)


def stored_predicted(folder: CollectionFolder, system: str) -> Mapping[str, list[str]]:
    """Return the predicted queries of each document in the artifact `bm25/<system>`, read from disk when asked for.

    Raises:
        UserError: if the artifact is missing or damaged, or was built without predicted queries.
    """
    target = folder.bm25(system)

    def read(manifest: Manifest) -> Mapping[str, list[str]]:
        if PREDICTED not in manifest.files:
            raise UserError(f"{target.shown} holds no predicted queries; rebuild it with {target.command}")
        return stored_by_document(target / PREDICTED, "queries")

    return read_whole(target, read)


def load_index(profile: Profile, system: SystemSettings, folder: CollectionFolder) -> Bm25Index:
    """Open the artifact `bm25/<system>`; if the library cannot store its index, the collection is indexed in memory.

    Raises:
        UserError: if the artifact is missing or damaged.
    """
    bm25, analyzer = profile.bm25_of(system), profile.analyzer_of(system)
    if field_class(bm25) is not Bm25sField:
        documents, predicted = read_built_collection(folder).documents, searched_queries(system, folder)
        return Bm25Index.build(documents, bm25, analyzer, predicted, system.expansion)
    target = folder.bm25(system.name)

    def read(manifest: Manifest) -> Bm25Index:
        names = {name.split("/")[0] for name in manifest.files}
        ids = read_ids(target / "document_ids.json")
        fields = [Bm25sField.load(target / name) for name in sorted(names) if name.startswith("field-")]
        return Bm25Index(ids, fields, open_analyzer(analyzer))

    return read_whole(target, read, included=True)  # predicted queries, which are only shown, may be left out
