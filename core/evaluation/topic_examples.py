"""Example topics of a comparison: the largest win, the largest loss, and the same score with different documents."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import pandas as pd

from core.evaluation.ndcg_decomposition import split_difference
from core.evaluation.rank_overlap import rank_biased_overlap
from core.evaluation.rank_tables import contribution, split_cutoff, title_of
from core.evaluation.table_formats import Table, shortened
from core.evaluation.topic_tables import CLOSE
from core.formats.documents import Document
from core.formats.qrels import Qrels, highest_grade
from core.formats.runs import Scores, ranked

NAME = 60
"""Maximum number of characters of a title in a sentence."""
TOP = 3
"""Number of documents shown of each list."""
Kind = Literal["Largest win", "Largest loss", "Same score, different documents"]


class Listed(NamedTuple):
    """A document of a list; the grade is None if it is unjudged, the title its id where there are no texts."""

    document: str
    grade: int | None
    title: str


@dataclass(frozen=True)
class Example:
    """A topic, the values of both systems, what made the difference, and the top documents of both lists."""

    kind: Kind
    topic: str
    query: str
    a: float
    b: float
    sentence: str
    top_a: Sequence[Listed]
    top_b: Sequence[Listed]


def find_examples(
    table: pd.DataFrame, measure: str, runs: tuple[Scores, Scores], qrels: Qrels, documents: Mapping[str, Document]
) -> list[Example]:
    """Return an example of each kind that occurs.

    Args:
        table: the table of `topic_tables.differences`, largest first.
        runs: the runs of systems a and b.
    """

    def lists(topic: str) -> tuple[list[str], list[str]]:
        of_a, of_b = ([document for document, _ in ranked(run.get(topic, {}))] for run in runs)
        return of_a, of_b

    found = []
    for kind, topic in _chosen(table, lists, split_cutoff(measure)).items():
        row = table[table["topic"] == topic].iloc[0]
        of_a, of_b = lists(topic)
        judgments = qrels.get(topic, {})
        titles = {name: title_of(documents.get(name), name) for name in {*of_a[:TOP], *of_b[:TOP]}}
        top_a, top_b = (
            [Listed(name, judgments.get(name), titles[name]) for name in ranking[:TOP]] for ranking in (of_a, of_b)
        )
        if kind == "Same score, different documents":
            said = _same(row["a"], row["b"], of_a, of_b, measure)
        else:
            said = _changed(row["difference"], of_a, of_b, judgments, measure, documents, highest_grade(qrels))
        found.append(Example(kind, topic, row["query"], row["a"], row["b"], said, top_a, top_b))
    return found


def _chosen(table: pd.DataFrame, lists: Callable[[str], tuple[list[str], list[str]]], k: int) -> dict[Kind, str]:
    """Return the topic of each kind; of equal scores those above 0 come first, then that with the least overlap."""
    chosen: dict[Kind, str] = {}
    if table.empty:
        return chosen
    if table["difference"].iloc[0] > 0:
        chosen["Largest win"] = table["topic"].iloc[0]
    if table["difference"].iloc[-1] < 0:
        chosen["Largest loss"] = table["topic"].iloc[-1]
    overlaps = {}
    tied = table[table["difference"].abs() <= CLOSE]
    for topic, value in zip(tied["topic"], tied["a"], strict=True):
        of_a, of_b = lists(topic)
        if topic not in chosen.values() and of_a[:k] != of_b[:k]:
            overlaps[topic] = (value <= 0, rank_biased_overlap(of_a, of_b))
    if overlaps:
        chosen["Same score, different documents"] = min(overlaps, key=overlaps.__getitem__)
    return chosen


def _changed(
    difference: float,
    of_a: Sequence[str],
    of_b: Sequence[str],
    judgments: Mapping[str, int],
    measure: str,
    documents: Mapping[str, Document],
    highest: int,
) -> str:
    """Return the difference and the document that contributes most to it in a sentence."""
    k = split_cutoff(measure)
    first = f"{difference:+.4f} {measure}"
    part = next(iter(split_difference(of_a, of_b, judgments, k)), None)
    if part is None or part.value * difference <= 0:
        return f"{first}."
    name = shortened(title_of(documents.get(part.document), part.document), NAME)
    of_ndcg = "" if measure == f"nDCG@{k}" else f" to nDCG@{k}"
    return f"{first}; largest contribution{of_ndcg}: {contribution(part, k, {part.document: name}, highest)}."


def _same(a: float, b: float, of_a: Sequence[str], of_b: Sequence[str], measure: str) -> str:
    k = split_cutoff(measure)
    common = len(set(of_a[:k]) & set(of_b[:k]))
    values = f"Both have {measure} {a:.4f}" if a == b else f"{measure} {a:.4f} and {b:.4f} (equal within {CLOSE})"
    return f"{values}, with {common} of the top {k} documents in common."


def examples_table(found: Sequence[Example], labels: tuple[str, str], measure: str, collection: str) -> Table:
    """Return the top documents of both systems on each example topic, and a sentence on each.

    Args:
        labels: the labels of systems a and b.
    """
    rows = [
        (one.topic, one.kind, label, rank, listed.document, listed.grade, listed.title)
        for one in found
        for label, top in zip(labels, (one.top_a, one.top_b), strict=True)
        for rank, listed in enumerate(top, 1)
    ]
    table = pd.DataFrame(rows, columns=["topic", "example", "system", "rank", "document", "grade", "title"])
    said = [f"{one.kind}: topic {one.topic} ({one.query}). {one.sentence}" for one in found]
    caption = f"{collection}, {measure}: example topics, {labels[0]} and {labels[1]}"
    return Table(table.astype({"grade": "Int64"}).set_index("topic"), caption, sentences=said)
