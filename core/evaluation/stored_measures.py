"""The files of the artifact `measures`."""

from pathlib import Path

import pandas as pd

from core.evaluation.measures import PerTopic

MEASURES_FILE, AGREEMENT_FILE = "measures.csv", "sentence_transformers.csv"


COLUMNS = ["collection", "system", "topic", "measure", "value"]
"""The columns of `measures.csv`."""


AGREEMENT = {"nDCG@10": "ndcg@10", "P@10": "precision@10", "R@100": "recall@100", "AP": "map", "RR": "mrr"}
"""Measures and sentence-transformers' names for them, with binary relevance, and AP and RR to the run's depth."""


def read_table(measures: Path, name: str) -> pd.DataFrame:
    """Read a table of the artifact `measures`, with topic ids such as "NA" and "007" kept as text."""
    return pd.read_csv(measures / name, dtype={"topic": str, "system": str}, keep_default_na=False)


def tidy(collection: str, system: str, values: PerTopic) -> list[tuple[str, str, str, str, float]]:
    """Return values as rows with the columns `COLUMNS`."""
    return [
        (collection, system, topic, measure, value)
        for measure, by_topic in values.items()
        for topic, value in by_topic.items()
    ]
