"""BM25 over one or more fields (Robertson & Zaragoza, 2009; Lucene's variant of Kamphuis et al., 2020).

    score(q, d) = sum over fields f, over terms t of q:  idf_f(t) * tf / (tf + k1 * (1 - b + b * length / mean length))
    idf_f(t)    = ln(1 + (N - n + 0.5) / (n + 0.5))

Each field is indexed by one of two libraries, see `core.retrieval.bm25_fields`.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from core.formats.collections import read_built_collection
from core.formats.documents import Document, read_ids
from core.formats.predicted_queries import check_scores, kept_queries, read_by_document, read_expansions, read_scores
from core.retrieval.analyzer import VERSION, Analyzer
from core.retrieval.bm25_fields import Bm25sField, Field, field_class
from core.retrieval.ranking import top_k
from core.workspace.artifacts import Manifest, read_manifest, read_whole
from core.workspace.errors import UserError
from core.workspace.profile import AnalyzerSettings, Bm25Settings, ExpansionSettings, Profile, SystemSettings
from core.workspace.workspace import CollectionFolder

PREDICTED = "predicted.jsonl"
"""In the artifact: the predicted queries that are searched, {"_id", "queries"} a line."""


class Bm25Index:
    """BM25 over the documents of a collection, fields added up."""

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
        """Index documents; they are read once for each field, and once for their ids.

        Args:
            predicted: queries of each document; appended to its (last) field, or the last field of all.
            expansion: which of the two, and the weight.
        """
        analyzer, expansion = Analyzer(analyzer_settings), expansion or ExpansionSettings()
        build = field_class(settings).build
        appended = predicted if expansion.field == "appended" else None
        count = 1 if settings.fields == "one" else 2
        fields = [
            build((analyzer.tokens(field_texts(d, settings, appended)[number]) for d in documents), settings)
            for number in range(count)
        ]
        if predicted is not None and expansion.field == "own":
            tokens = (analyzer.tokens(" ".join(predicted.get(document.id, []))) for document in documents)
            fields.append(build(tokens, settings, expansion.weight))
        return cls([document.id for document in documents], fields, analyzer)

    def save(self, folder: Path) -> int:
        """Write the fields' indexes into folders `field-<number>`, and return how many terms the last one has.

        Raises:
            TypeError: the index was not built by bm25s.
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


def index_settings(profile: Profile, system: SystemSettings) -> dict[str, Any]:
    """Return the settings that shape a system's index, for its manifest."""
    bm25 = profile.bm25.model_dump(exclude={"engine"})
    expansion = {"expansion": system.expansion.model_dump()} if system.expanded else {}
    analyzer = profile.analyzer.model_dump() | {"analyzer_version": VERSION}
    return bm25 | analyzer | {"expanded": system.expanded} | expansion


def searched_queries(system: SystemSettings, folder: CollectionFolder) -> dict[str, list[str]] | None:
    """Return the predicted queries of each document that a system searches, None where it searches none.

    Raises:
        UserError: queries or scores are missing or damaged, the scores are of other queries, or more queries are wanted
            than were predicted.
    """
    if not system.expanded:
        return None
    wanted, predicted = system.expansion.queries, read_manifest(folder.predicted_queries).settings.get("queries", 0)
    if wanted > predicted > 0:
        raise UserError(f"{system.name}: expansion.queries is {wanted}, and doc2query.queries is {predicted}")
    if system.expansion.keep == 1:
        return kept_queries(read_expansions(folder), None, system.expansion)
    check_scores(folder)
    return kept_queries(read_expansions(folder), read_scores(folder), system.expansion)


def read_predicted(folder: CollectionFolder, system: str) -> dict[str, list[str]]:
    """Return the predicted queries of each document that the artifact `bm25/<system>` holds.

    Raises:
        UserError: the artifact is missing or damaged, or was made without.
    """
    target = folder.bm25(system)

    def read(manifest: Manifest) -> dict[str, list[str]]:
        if PREDICTED not in manifest.files:
            raise UserError(f"{target.shown} holds no predicted queries; rebuild it with {target.command}")
        return read_by_document(target / PREDICTED, "queries")

    return read_whole(target, read)


def load_index(profile: Profile, system: SystemSettings, folder: CollectionFolder) -> Bm25Index:
    """Open the artifact `bm25/<system>`; a library whose indexes are not stored indexes the collection in memory.

    Raises:
        UserError: the artifact is missing or damaged.
    """
    if field_class(profile.bm25) is not Bm25sField:
        documents, predicted = read_built_collection(folder).documents, searched_queries(system, folder)
        return Bm25Index.build(documents, profile.bm25, profile.analyzer, predicted, system.expansion)
    target = folder.bm25(system.name)

    def read(manifest: Manifest) -> Bm25Index:
        names = {name.split("/")[0] for name in manifest.files}
        ids = read_ids(target / "document_ids.json")
        fields = [Bm25sField.load(target / name) for name in sorted(names) if name.startswith("field-")]
        return Bm25Index(ids, fields, Analyzer(profile.analyzer))

    return read_whole(target, read)
