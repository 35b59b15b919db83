"""Runs in the TREC format: topic Q0 document rank score tag, one line a retrieved document."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np

from core.errors import UserError
from core.lines import read_lines

Scores = dict[str, dict[str, float]]
"""topic -> document -> score."""


@dataclass(frozen=True)
class Run:
    """A run: its name, the scores, and what is odd about the file it came from, one sentence each."""

    name: str
    scores: Scores
    notices: list[str] = field(default_factory=list)


def run_name(path: Path) -> str:
    """Return a file's name without .gz, .run, .txt, .trec: the name its run goes by."""
    name = path.name.removesuffix(".gz")
    for ending in (".run", ".txt", ".trec"):
        name = name.removesuffix(ending)
    return name


def read_run(path: Path, order: Literal["score", "rank"] = "score") -> Run:
    """Read a run, plain or .gz.

    Args:
        order: "score", as trec_eval has it: the rank column is not looked at; or "rank", for files whose scores were
            rounded: each document then scores minus its rank.

    Raises:
        UserError: with the line, when it has not six columns, a rank or score that is no finite number, or a document
            that its topic had before; also when the file is missing, cut short or empty.
    """
    scores: Scores = {}
    ranks: Scores = {}
    for number, line in read_lines(path):
        columns = line.split()
        if not columns:
            continue
        if len(columns) != 6:
            raise UserError(
                f"{path.name}, line {number}: {len(columns)} columns, expected topic, Q0, document, rank, score, tag"
            )
        topic, _, document, rank, score, _ = columns
        rank_value, score_value = _number(rank), _number(score)
        if not math.isfinite(rank_value) or not math.isfinite(score_value):
            column, value = ("score", score) if math.isfinite(rank_value) else ("rank", rank)
            raise UserError(f"{path.name}, line {number}: the {column} {value!r} is not a finite number")
        by_document = scores.setdefault(topic, {})
        if document in by_document:
            raise UserError(f"{path.name}, line {number}: document {document} was retrieved for topic {topic} before")
        by_document[document] = score_value
        ranks.setdefault(topic, {})[document] = rank_value
    if not scores:
        raise UserError(f"{path.name}: the run is empty")
    if order == "score":
        return Run(run_name(path), scores, _notices(scores, ranks))
    by_rank = {topic: {document: -rank for document, rank in by.items()} for topic, by in ranks.items()}
    return Run(run_name(path), by_rank)


def run_topics(path: Path) -> set[str]:
    """Return the topics that a run has documents for, without reading more of it.

    Raises:
        UserError: the file is missing or cut short.
    """
    return {columns[0] for _, line in read_lines(path) if (columns := line.split(maxsplit=1))}


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan


def _notices(scores: Scores, ranks: dict[str, dict[str, float]]) -> list[str]:
    disagreeing = tied = 0
    for topic, by_document in scores.items():
        by_rank = sorted(by_document, key=ranks[topic].__getitem__)
        values = [np.float32(by_document[document]) for document in by_rank]
        disagreeing += any(after > before for before, after in zip(values, values[1:], strict=False))
        tied += len(set(values)) < len(values)
    notices = []
    if disagreeing:
        notices.append(
            f"the rank column disagrees with the scores in {disagreeing} of {len(scores)} topics; "
            "measures follow the scores, as trec_eval does"
        )
    if tied:
        notices.append(
            f"scores are tied in {tied} of {len(scores)} topics; trec_eval orders ties by document id, last first, "
            "whatever the rank column says"
        )
    return notices


def ranked(by_document: Mapping[str, float]) -> list[tuple[str, float]]:
    """Return a topic's (document, score) as trec_eval ranks them: by score, ties by document id, both descending.

    trec_eval keeps scores as float32: what differs beyond that is a tie.
    """
    scores = np.array(list(by_document.values()), dtype=np.float32).tolist()
    order = sorted(zip(scores, by_document.items(), strict=True), key=lambda row: (row[0], row[1][0]), reverse=True)
    return [item for _, item in order]


def write_run(path: Path, tag: str, rankings: Mapping[str, list[tuple[str, float]]]) -> None:
    """Write rankings (topic -> (document, score), best first) as a TREC run.

    Scores are written so that they read back as the same order: where a score does not fall from one rank to the next
    (a tie that the system settled), the next lower float32 stands in for it: trec_eval keeps scores as float32.
    """
    with path.open("w", encoding="utf-8", newline="\n") as file:
        for topic, ranking in rankings.items():
            previous = np.float32(np.inf)
            for rank, (document, score) in enumerate(ranking, 1):
                previous = min(np.float32(score), np.nextafter(previous, np.float32(-np.inf)))
                file.write(f"{topic} Q0 {document} {rank} {float(previous)!r} {tag}\n")
