"""Runs in the TREC format: topic Q0 document rank score tag, one line a retrieved document."""

import gzip
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np

from core.errors import UserError

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
    opener = gzip.open if path.suffix == ".gz" else open
    scores: Scores = {}
    ranks: dict[str, dict[str, float]] = {}
    number = 0
    try:
        with opener(path, "rt", encoding="utf-8", newline="\n") as file:
            for number, line in enumerate(file, 1):
                columns = line.split()
                if len(columns) != 6:
                    if not columns:
                        continue
                    raise UserError(
                        f"{path.name}, line {number}: {len(columns)} columns, "
                        "expected topic, Q0, document, rank, score, tag"
                    )
                topic, _, document, rank, score, _ = columns
                rank_value, score_value = _number(rank), _number(score)
                if not math.isfinite(rank_value) or not math.isfinite(score_value):
                    column, value = ("score", score) if math.isfinite(rank_value) else ("rank", rank)
                    raise UserError(f"{path.name}, line {number}: the {column} {value!r} is not a finite number")
                by_document = scores.setdefault(topic, {})
                if document in by_document:
                    raise UserError(
                        f"{path.name}, line {number}: document {document} was retrieved for topic {topic} before"
                    )
                by_document[document] = score_value
                ranks.setdefault(topic, {})[document] = rank_value
    except FileNotFoundError:
        raise UserError(f"{path}: there is no such run") from None
    except (EOFError, gzip.BadGzipFile, UnicodeDecodeError) as error:
        raise UserError(f"{path.name}: damaged or cut short after line {number} ({error})") from None
    if not scores:
        raise UserError(f"{path.name}: the run is empty")
    notices = _notices(scores, ranks)
    if order == "rank":
        scores = {topic: {document: -rank for document, rank in by.items()} for topic, by in ranks.items()}
    return Run(run_name(path), scores, notices)


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan


def _notices(scores: Scores, ranks: dict[str, dict[str, float]]) -> list[str]:
    disagreeing = tied = 0
    for topic, by_document in scores.items():
        by_rank = sorted(by_document, key=ranks[topic].__getitem__)
        values = [by_document[document] for document in by_rank]
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
    """Return a topic's (document, score) as trec_eval ranks them: by score, ties by document id, both descending."""
    return sorted(by_document.items(), key=lambda item: (item[1], item[0]), reverse=True)


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
