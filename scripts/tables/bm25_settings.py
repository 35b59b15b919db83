#!/usr/bin/env python3
"""Print the effect of BM25's settings on nDCG@10, changing one setting at a time.

    python scripts/tables/bm25_settings.py FOLDER[:SPLIT] ...

Each FOLDER is a collection in the BEIR layout; SPLIT names its qrels (default: test).
"""

import argparse
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from core.evaluation.measures import evaluate, mean
from core.formats.collections import Collection
from core.formats.exclusions import kept_hits
from core.formats.sources import read_collection
from core.retrieval.bm25 import Bm25Index
from core.workspace import command_line
from core.workspace.profile import AnalyzerSettings, Bm25Settings, CollectionSettings

CHANGES: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "as shipped": ({}, {}),
    "scikit-learn's stop words": ({"stop_words": "glasgow"}, {}),
    "33 stop words": ({"stop_words": "short"}, {}),
    "no stop words": ({"stop_words": "none"}, {}),
    "no stemming": ({"stemmer": "none"}, {}),
    "Porter stemmer": ({"stemmer": "porter"}, {}),
    "names as spelled": ({"unify_names": False}, {}),
    "title and text as two fields": ({}, {"fields": "two"}),
    "Anserini's settings": (
        {"tokenizer": "lucene", "stop_words": "short", "stemmer": "porter", "unify_names": False},
        {"k1": 0.9, "b": 0.4, "lengths": "lucene"},
    ),
    **{f"k1 {k1}, b {b}": ({}, {"k1": k1, "b": b}) for k1 in (0.9, 1.2, 1.5, 1.8) for b in (0.3, 0.4, 0.5, 0.75)},
}
"""Label -> the settings of the analyzer and of BM25 that differ from the defaults."""


def ndcg(collection: Collection, analyzer: AnalyzerSettings, bm25: Bm25Settings) -> float:
    """Return mean nDCG@10 with the topics' questions as queries."""
    index = Bm25Index.build(collection.documents, bm25, analyzer)
    run = {}
    for topic in collection.topics:
        excluded = collection.excluded.get(topic.id, set())
        run[topic.id] = dict(kept_hits(index.search(topic.question, 10 + len(excluded)), excluded, 10))
    return mean(evaluate(run, collection.qrels, ["nDCG@10"])["nDCG@10"])


def main() -> None:
    """Print one row per change and one column per collection."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", nargs="+", metavar="FOLDER[:SPLIT]")
    collections = []
    for given in parser.parse_args().folders:
        folder, _, split = given.partition(":")
        settings = CollectionSettings(name=Path(folder).name, split=split or "test")
        collections.append(read_collection(Path(folder), settings))
    for change, (analyzer, bm25) in CHANGES.items():
        figures = [ndcg(c, AnalyzerSettings(**analyzer), Bm25Settings(**bm25)) for c in collections]
        print(f"{change:<30}" + "".join(f"{figure:9.4f}" for figure in figures), flush=True)


if __name__ == "__main__":
    command_line.run(main)
