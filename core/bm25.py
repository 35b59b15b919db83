"""BM25 over one or more fields (Robertson & Zaragoza, 2009; Lucene's variant of Kamphuis et al., 2020).

    score(q, d) = sum over fields f, over terms t of q:  idf_f(t) * tf / (tf + k1 * (1 - b + b * length / mean length))
    idf_f(t)    = ln(1 + (N - n + 0.5) / (n + 0.5))

Searched with bm25s (Lù, 2024); rank_bm25 is the reference engine, slower and with the same ranking.
"""

import argparse
import json
from pathlib import Path
from typing import Any

import bm25s
import numpy as np
from rank_bm25 import BM25Okapi

from core import cli
from core.analyzer import Analyzer
from core.artifacts import open_artifact, read_manifest, writing
from core.collection import CORPUS, Document, collection_digests, read_built_collection
from core.expansions import read_expansions
from core.profile import AnalyzerSettings, Bm25Settings, Profile, SystemSettings
from core.ranking import top_k


class RankBm25Engine(BM25Okapi):
    """rank_bm25's Okapi scoring with Lucene's idf in place of its own, which is floored where it would be negative."""

    def _calc_idf(self, nd: dict[str, int]) -> None:
        self.idf = {term: float(np.log(1 + (self.corpus_size - n + 0.5) / (n + 0.5))) for term, n in nd.items()}


class Field:
    """The index of one field."""

    def __init__(self, engine: str, index: Any):
        self.engine, self.index = engine, index

    @classmethod
    def build(cls, tokens: list[list[str]], settings: Bm25Settings) -> "Field":
        """Index the tokens of every document's field."""
        if not any(tokens):  # both engines want one token at least; no query has this one
            tokens = [*tokens[:-1], ["\0"]]
        if settings.engine == "rank_bm25":
            return cls("rank_bm25", RankBm25Engine(tokens, k1=settings.k1, b=settings.b))
        index = bm25s.BM25(method="lucene", k1=settings.k1, b=settings.b)
        index.index(tokens, show_progress=False)
        return cls("bm25s", index)

    def scores(self, tokens: list[str]) -> np.ndarray:
        """Return the score of every document for a query's tokens, float32 [n_documents]."""
        if self.engine == "rank_bm25":
            with np.errstate(invalid="ignore"):  # 0 / 0 for a document without the term when k1 (1 - b + b ...) is 0
                by_term = [np.nan_to_num(self.index.get_scores([token])) for token in tokens]
            # Okapi's numerator has the constant factor (k1 + 1), which Lucene leaves out.
            total = np.sum(by_term, axis=0) if by_term else np.zeros(self.index.corpus_size)
            return (total / (self.index.k1 + 1)).astype(np.float32)
        known = [token for token in tokens if token in self.index.vocab_dict]
        if not known:
            return np.zeros(self.index.scores["num_docs"], dtype=np.float32)
        return self.index.get_scores(known)

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


class Bm25Index:
    """BM25 over the documents of a collection, fields added up."""

    def __init__(self, document_ids: list[str], fields: list[Field], analyzer: Analyzer):
        self.document_ids, self.fields, self.analyzer = document_ids, fields, analyzer

    @classmethod
    def build(
        cls,
        documents: list[Document],
        settings: Bm25Settings,
        analyzer_settings: AnalyzerSettings,
        expansions: dict[str, list[str]] | None = None,
    ) -> "Bm25Index":
        """Index documents; with `expansions`, each one's predicted queries are appended to its (last) field."""
        analyzer = Analyzer(analyzer_settings)
        texts = field_texts(documents, settings, expansions)
        fields = [Field.build([analyzer.tokens(text) for text in field], settings) for field in texts]
        return cls([document.id for document in documents], fields, analyzer)

    def scores(self, query: str) -> np.ndarray:
        """Return the score of every document for a query, float32 [n_documents]."""
        tokens = self.analyzer.tokens(query)
        return np.sum([field.scores(tokens) for field in self.fields], axis=0)

    def search(self, query: str, k: int) -> list[tuple[str, float]]:
        """Return the k best (document, score) for a query, best first; documents without any match are left out."""
        scores = self.scores(query)
        best = top_k(scores, k)
        return [(self.document_ids[i], float(scores[i])) for i in best if scores[i] > 0]


def field_texts(
    documents: list[Document], settings: Bm25Settings, expansions: dict[str, list[str]] | None
) -> list[list[str]]:
    """Return the text of each document for each field: [n_fields][n_documents]."""
    bodies = [document.full_text if settings.fields == "one" else document.text for document in documents]
    if expansions is not None:
        bodies = [" ".join([body, *expansions.get(d.id, [])]) for body, d in zip(bodies, documents, strict=True)]
    if settings.fields == "one":
        return [bodies]
    return [[document.title for document in documents], bodies]


# The stage


def build_index(profile: Profile, system: SystemSettings, folder: Path) -> Path:
    """Index the built collection under `folder` for one BM25 system as the artifact `bm25/<system>`."""
    target = folder / "bm25" / system.name
    facts: dict[str, Any] = {}
    with writing(target, "bm25", index_settings(profile, system), index_inputs(system, folder), facts) as partial:
        collection = read_built_collection(folder)
        expansions = read_expansions(folder) if system.expanded else None
        settings = profile.bm25.model_copy(update={"engine": "bm25s"})
        index = Bm25Index.build(collection.documents, settings, profile.analyzer, expansions)
        for number, field in enumerate(index.fields):
            field.index.save(partial / f"field-{number}", show_progress=False)
        (partial / "document_ids.json").write_text(json.dumps(index.document_ids), encoding="utf-8")
        facts |= {"documents": len(index.document_ids), "terms": len(index.fields[-1].index.vocab_dict)}
    return target


def index_settings(profile: Profile, system: SystemSettings) -> dict[str, Any]:
    """Return the settings that shape the index, for its manifest."""
    bm25 = profile.bm25.model_dump(exclude={"engine"})
    return bm25 | profile.analyzer.model_dump() | {"expanded": system.expanded}


def index_inputs(system: SystemSettings, folder: Path) -> dict[str, str]:
    """Return the digests of what the index is made from."""
    inputs = collection_digests(folder, CORPUS)
    if system.expanded:
        inputs["doc2query"] = read_manifest(folder / "doc2query").digest
    return inputs


def load_index(profile: Profile, system: SystemSettings, folder: Path) -> Bm25Index:
    """Open the artifact `bm25/<system>`; with the engine rank_bm25, index the collection anew in memory.

    Raises:
        UserError: the artifact is missing or damaged.
    """
    if profile.bm25.engine == "rank_bm25":
        expansions = read_expansions(folder) if system.expanded else None
        documents = read_built_collection(folder).documents
        return Bm25Index.build(documents, profile.bm25, profile.analyzer, expansions)
    target = folder / "bm25" / system.name
    open_artifact(target)
    ids = json.loads((target / "document_ids.json").read_text(encoding="utf-8"))
    fields = [
        Field("bm25s", bm25s.BM25.load(path, mmap=True, show_progress=False)) for path in sorted(target.glob("field-*"))
    ]
    return Bm25Index(ids, fields, Analyzer(profile.analyzer))


def main(arguments: list[str] | None = None) -> None:
    """Run `python -m core.bm25`: index the built collection for every BM25 system of the profile."""
    parser = argparse.ArgumentParser(prog="python -m core.bm25", description=__doc__)
    cli.add_profile_options(parser)
    profile, folder = cli.profile_and_folder(parser.parse_args(arguments))
    for system in profile.system:
        if system.kind == "bm25":
            print(build_index(profile, system, folder))


if __name__ == "__main__":
    cli.run(main)
