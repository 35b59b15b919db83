"""BM25 searched with other settings, for a diagnosis."""

import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from core.evaluation.diagnosis_changes import Configuration
from core.formats.documents import Document
from core.formats.runs import Scores
from core.formats.topics import Topic
from core.retrieval.analyzer import open_analyzer
from core.retrieval.bm25 import Bm25Index, field_texts
from core.retrieval.bm25_fields import Bm25sField
from core.retrieval.token_numbers import Tokens, analysed
from core.workspace.profile import AnalyzerSettings, Bm25Settings

ANSERINI = {
    **{"k1": 0.9, "b": 0.4, "fields": "one", "lengths": "lucene", "tokenizer": "lucene", "stop_words": "short"},
    **{"stemmer": "porter", "unify_names": False},
}
"""The configuration of Anserini's regressions with one field, which a published BM25 is taken to have."""
TOPIC_FIELDS = ("query", "question", "narrative")
PARTS = ("title and text", "title", "text")
PARAMETERS = ((0.9, 0.4), (1.2, 0.75), (1.5, 0.75), (1.5, 0.4), (0.82, 0.68), (2.0, 0.75))
"""k1 and b: Anserini's, Lucene's, rank_bm25's, RankScope's, Anserini's for MS MARCO, those of older papers."""
MOST_ANALYSED = 4
"""Number of fields whose tokens are kept."""
OPTIONS: dict[str, Sequence[Any]] = {
    "fields": ("one", "two"),
    "indexed text": PARTS,
    "k1 and b": PARAMETERS,
    "document lengths": ("exact", "lucene"),
    "stop words": ("none", "short", "long", "glasgow"),
    "stemmer": ("none", "porter", "english"),
    "tokenizer": ("rankscope", "lucene"),
    "virus names unified": (True, False),
}


def bm25_configuration(
    bm25: Bm25Settings, analyzer: AnalyzerSettings, topic_field: str = "question", part: str = "title and text"
) -> dict[str, Any]:
    """Return a configuration of BM25.

    Args:
        part: the part of the documents that is indexed.
    """
    return {
        "topic field": topic_field,
        "fields": bm25.fields,
        "indexed text": part,
        "k1 and b": (bm25.k1, bm25.b),
        "document lengths": bm25.lengths,
        "stop words": analyzer.stop_words,
        "stemmer": analyzer.stemmer,
        "tokenizer": analyzer.tokenizer,
        "virus names unified": analyzer.unify_names,
    }


def published_configuration(settings: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return the configuration in `bm25` of a published figure, None if it has none."""
    if not settings:
        return None
    bm25 = {key: settings[key] for key in ("k1", "b", "fields", "lengths") if key in settings}
    analyzer = {key: settings[key] for key in ("stop_words", "stemmer", "tokenizer", "unify_names") if key in settings}
    return bm25_configuration(Bm25Settings(**bm25), AnalyzerSettings(**analyzer))


def part_of(document: Document, part: str) -> Document:
    """Return a document with its title and its text, or with one of them."""
    return Document(document.id, document.title if part != "text" else "", document.text if part != "title" else "")


def topic_fields(topics: Iterable[Topic], asked: str) -> list[str]:
    """Return the topic fields that are not the same as the one that is asked."""
    every = list(topics)
    return [name for name in TOPIC_FIELDS if any(topic.text(name) != topic.text(asked) for topic in every)]


class Bm25Searcher:
    """See `core.evaluation.diagnosis_changes.Searcher`."""

    encodes = False

    def __init__(
        self,
        documents: Sequence[Document],
        topics: Mapping[str, Topic],
        start: Configuration,
        published: Configuration | None,
        known: bool,
        depth: int = 1000,
    ):
        """Take the documents, the topics that are searched, and the configurations.

        Args:
            depth: number of documents per topic.
        """
        self.documents, self.topics, self.depth = documents, topics, depth
        self.start, self.published, self.known = start, published, known
        self._seconds = 0.0
        self._analysed: dict[tuple[str, str, int, str], Tokens] = {}

    def options(self) -> Mapping[str, Sequence[Any]]:
        """See `Searcher`."""
        return {"topic field": topic_fields(self.topics.values(), self.start["topic field"]), **OPTIONS}

    def seconds(self, configuration: Configuration) -> float:
        """Return how long the last search took."""
        return self._seconds

    def search(self, configuration: Configuration) -> Scores:
        """See `Searcher`."""
        started = time.perf_counter()
        k1, b = configuration["k1 and b"]
        bm25 = Bm25Settings(k1=k1, b=b, fields=configuration["fields"], lengths=configuration["document lengths"])
        tokenizer = configuration["tokenizer"]
        analyzer = AnalyzerSettings(
            stop_words=configuration["stop words"],
            stemmer=configuration["stemmer"],
            tokenizer=tokenizer,
            unify_names=configuration["virus names unified"] and tokenizer != "lucene",  # which does not unify names
        )
        part = configuration["indexed text"]
        fields = [
            Bm25sField.of(self._tokens(part, bm25, number, analyzer), bm25)
            for number in range(1 if bm25.fields == "one" else 2)
        ]
        index = Bm25Index([document.id for document in self.documents], fields, open_analyzer(analyzer))
        asked = {name: topic.text(configuration["topic field"]) for name, topic in self.topics.items()}
        scores = {name: dict(index.search(query, self.depth)) for name, query in asked.items()}
        self._seconds = time.perf_counter() - started
        return scores

    def _tokens(self, part: str, bm25: Bm25Settings, number: int, analyzer: AnalyzerSettings) -> Tokens:
        """Return the tokens of a field, analysed once for all parameters of BM25."""
        key = part, bm25.fields, number, analyzer.model_dump_json()
        if key not in self._analysed:
            texts = (field_texts(part_of(document, part), bm25)[number] for document in self.documents)
            while len(self._analysed) >= MOST_ANALYSED:
                del self._analysed[next(iter(self._analysed))]
            self._analysed[key] = analysed(texts, analyzer)
        return self._analysed[key]
