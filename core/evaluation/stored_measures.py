"""The files of the artifact `measures`."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd

from core.evaluation.measures import PerTopic
from core.workspace.errors import UserError

MEASURES_FILE, AGREEMENT_FILE = "measures.csv", "sentence_transformers.csv"


VARIATIONS_FILE, VARIATIONS_NAMES = "variations.npy", "variations.json"
"""Values of the measures that tell how robust a ranking is; artifacts of earlier versions lack these files."""


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


@dataclass(frozen=True)
class Variations:
    """Values of further measures: float64 [n_systems, n_measures, n_topics]."""

    systems: Sequence[str] = ()
    measures: Sequence[str] = ()
    topics: Sequence[str] = ()
    values: np.ndarray = field(default_factory=lambda: np.empty((0, 0, 0)))

    def of_measure(self, measure: str) -> dict[str, dict[str, float]]:
        """Return the values of a measure, system -> topic -> value; empty if it is not stored."""
        if measure not in self.measures:
            return {}
        rows = self.values[:, self.measures.index(measure)].tolist()
        return {
            system: dict(zip(self.topics, row, strict=True)) for system, row in zip(self.systems, rows, strict=True)
        }

    def of_system(self, system: str) -> PerTopic:
        """Return the values of a system, measure -> topic -> value; empty if it is not stored."""
        if system not in self.systems:
            return {}
        rows = self.values[self.systems.index(system)].tolist()
        return {name: dict(zip(self.topics, row, strict=True)) for name, row in zip(self.measures, rows, strict=True)}


def write_variations(measures: Path, values: Mapping[str, PerTopic]) -> None:
    """Write the values of further measures, system -> measure -> topic -> value; all systems have the same ones."""
    first = next(iter(values.values()), {})
    topics = list(next(iter(first.values()), {}))
    array = [[[by_topic[topic] for topic in topics] for by_topic in own.values()] for own in values.values()]
    shape = (len(values), len(first), len(topics))
    np.save(measures / VARIATIONS_FILE, np.array(array, dtype=np.float64).reshape(shape), allow_pickle=False)
    names = {"systems": list(values), "measures": list(first), "topics": topics}
    (measures / VARIATIONS_NAMES).write_text(json.dumps(names), encoding="utf-8")


def read_variations(measures: Path) -> Variations:
    """Read the values of further measures; there are none if the files are missing.

    Raises:
        UserError: if a file is damaged.
    """
    path = measures / VARIATIONS_FILE
    if not path.is_file():
        return Variations()
    problem = UserError(f"{path.name}: damaged; evaluate again")
    try:
        values = np.load(path, allow_pickle=False)
        found = json.loads((measures / VARIATIONS_NAMES).read_text(encoding="utf-8"))
        read = Variations(found["systems"], found["measures"], found["topics"], values)
        damaged = values.dtype != np.float64 or values.shape != (
            len(read.systems),
            len(read.measures),
            len(read.topics),
        )
    except (OSError, ValueError, KeyError, TypeError, EOFError):
        raise problem from None
    if damaged:
        raise problem
    return read
