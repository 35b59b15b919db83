"""Benchmark of BM25 against rank_bm25, bm25s and, where they are installed, Lucene (pyserini and Java) and tantivy."""

import tempfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import bm25s
import numpy as np
import Stemmer
from rank_bm25 import BM25Okapi

from core.formats.collections import read_built_collection
from core.retrieval.bm25 import Bm25Index
from core.retrieval.bm25_fields import Bm25sField
from core.retrieval.token_numbers import Tokens
from core.workspace.profile import Bm25Settings, read_profile
from core.workspace.workspace import CollectionFolder
from scripts.benchmarks.measuring import WITHIN, Comparison, Scale, in_turns, shared

SECTION = "bm25"
SAME = 0.95
"""Minimum ratio for equal speed; RankScope builds with bm25s, two runs of which differ by this much."""
Search = Callable[[str, int], object]


def measure(folder: CollectionFolder, scale: Scale) -> Iterator[Comparison | str]:
    """Index the collection under `folder` and answer its topics one by one, all with RankScope's analyzer.

    RankScope returns document ids and scores; bm25s and Lucene return positions.
    """
    profile, collection = read_profile(str(folder.profile)), read_built_collection(folder)
    settings, analyzer = Bm25Settings(k1=profile.bm25.k1, b=profile.bm25.b), profile.analyzer
    documents = list(collection.documents)[: scale.documents]
    queries = [topic.text(profile.collection.topic_field) for topic in collection.topics]
    ours = Bm25Index.build(documents, settings, analyzer)
    words = ours.analyzer.tokens
    tokens, texts = [words(document.full_text) for document in documents], [d.full_text for d in documents]

    def by_bm25s(backend: str, csc: str = "numpy") -> Any:
        index = bm25s.BM25(method="lucene", k1=settings.k1, b=settings.b, backend=backend, csc_backend=csc)
        index.index(tokens, show_progress=False)
        return index

    fast, plain = by_bm25s("numba"), by_bm25s("numpy")
    slow = BM25Okapi(tokens, k1=settings.k1, b=settings.b)
    positions = np.arange(len(documents))
    builds: dict[str, Callable[[], object]] = {
        "RankScope": lambda: Bm25sField.of(Tokens.of(tokens), settings),
        "bm25s": lambda: by_bm25s("numpy"),
        "bm25s (numba, scipy)": lambda: by_bm25s("numba", "scipy"),
        "rank_bm25": lambda: BM25Okapi(tokens, k1=settings.k1, b=settings.b),
    }
    searches: dict[str, Search] = {
        "RankScope": ours.search,
        "bm25s": lambda query, k: plain.retrieve([words(query)], k=k, show_progress=False),
        "bm25s (numba)": lambda query, k: fast.retrieve([words(query)], k=k, show_progress=False),
        "rank_bm25": lambda query, k: slow.get_top_n(words(query), positions, n=k),
    }
    with tempfile.TemporaryDirectory() as place:
        lucene = open_lucene(Path(place), settings)
        if isinstance(lucene, str):
            yield lucene
        else:
            builds["Lucene (pyserini)"] = partial(lucene.index, tokens)
            searches["Lucene (pyserini)"] = lambda query, k: lucene.search(words(query), k)
        try:
            other = Tantivy()
        except ImportError:
            yield "tantivy: absent (not installed)"
        else:
            builds["tantivy"] = partial(other.index, tokens)
            searches["tantivy"] = lambda query, k: other.search(words(query), k)
        found = in_turns(builds, scale.rounds, scale.seconds)
        task = f"index {len(documents):,} documents, from tokens"
        yield Comparison(SECTION, task, "", "RankScope", found, {"bm25s": SAME, "bm25s (numba, scipy)": SAME})
        from_texts = {
            "RankScope": lambda: Bm25Index.build(documents, settings, analyzer),
            "bm25s": lambda: _tokenized_by_bm25s(texts),
        }
        found = in_turns(from_texts, scale.rounds, scale.seconds)
        task = f"index {len(documents):,} documents, from texts"
        yield Comparison(SECTION, task, "", "RankScope", found)
        targets = {"bm25s": WITHIN, "bm25s (numba)": WITHIN, "rank_bm25": 50}
        for k in dict.fromkeys(min(k, len(documents)) for k in (10, 1000)):
            rounds = {name: _round(search, queries, k) for name, search in searches.items()}
            found = shared(in_turns(rounds, scale.rounds, scale.seconds), len(queries))
            yield Comparison(SECTION, f"the best {k:,} for a query", "query", "RankScope", found, targets)


def _round(search: Search, queries: list[str], k: int) -> Callable[[], object]:
    return lambda: [search(query, k) for query in queries]


def _tokenized_by_bm25s(texts: list[str]) -> None:
    tokens = bm25s.tokenize(texts, stopwords="en", stemmer=Stemmer.Stemmer("english"), show_progress=False)
    bm25s.BM25(method="lucene").index(tokens, show_progress=False)


class Lucene:
    """Lucene through pyserini, over pre-analysed tokens; its indexes are folders under `place`."""

    def __init__(self, place: Path, settings: Bm25Settings):
        from pyserini.analysis import JWhiteSpaceAnalyzer
        from pyserini.index.lucene import LuceneIndexer
        from pyserini.search.lucene import LuceneSearcher

        self.place, self.settings = place, settings
        self._indexer, self._searcher, self._analyzer = LuceneIndexer, LuceneSearcher, JWhiteSpaceAnalyzer

    def index(self, tokens: list[list[str]]) -> None:
        """Index the documents' tokens; later searches use this index."""
        folder = tempfile.mkdtemp(dir=self.place)
        indexer = self._indexer(args=["-index", folder, "-pretokenized"], threads=1)
        for number, words in enumerate(tokens):
            indexer.add_doc_dict({"id": str(number), "contents": " ".join(words)})
        indexer.close()
        self._opened = self._searcher(folder)
        self._opened.set_analyzer(self._analyzer())
        self._opened.set_bm25(self.settings.k1, self.settings.b)

    def search(self, words: list[str], k: int) -> list[int]:
        """Return the positions of the k best documents."""
        return [int(hit.docid) for hit in self._opened.search(" ".join(words), k)]


class Tantivy:
    """tantivy in memory, over pre-analysed tokens, with its k1 of 1.2 and b of 0.75, which cannot be set."""

    def __init__(self) -> None:
        import tantivy

        self._tantivy = tantivy
        self._schema = tantivy.SchemaBuilder().add_text_field("body", tokenizer_name="whitespace").build()

    def index(self, tokens: list[list[str]]) -> None:
        """Index the documents' tokens on one thread; later searches use this index."""
        index = self._tantivy.Index(self._schema)
        writer = index.writer(num_threads=1)
        for words in tokens:
            writer.add_document(self._tantivy.Document(body=" ".join(words)))
        writer.commit()
        writer.wait_merging_threads()
        index.reload()
        self._searcher = index.searcher()

    def search(self, words: list[str], k: int) -> list[Any]:
        """Return (score, address) of the k best documents."""
        query, occur = self._tantivy.Query, self._tantivy.Occur.Should
        terms = [(occur, query.term_query(self._schema, "body", word)) for word in words]
        hits: list[Any] = self._searcher.search(query.boolean_query(terms), k).hits
        return hits


def open_lucene(place: Path, settings: Bm25Settings) -> Lucene | str:
    """Return Lucene, or a note on why it is unavailable."""
    try:
        return Lucene(place, settings)
    except Exception as error:  # pyserini or Java may be missing or incompatible in many ways
        return f"Lucene: absent (pyserini does not load here: {type(error).__name__})"
