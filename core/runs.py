"""Runs in the TREC format: topic Q0 document rank score tag, one line a retrieved document."""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np

from core.artifacts import open_artifact
from core.errors import UserError
from core.lines import read_lines

Scores = dict[str, dict[str, float]]
"""topic -> document -> score."""
FILE = "run.trec"
"""Of a run among the artifacts, in `runs/<system>`."""


@dataclass(frozen=True)
class Run:
    """A run: its name, the scores, and what is odd about the file it came from, one sentence each."""

    name: str
    scores: Scores
    notices: list[str] = field(default_factory=list)


def built_run(folder: Path, system: str) -> Run:
    """Read the run of a system of the collection under `folder`, checked against its manifest.

    Raises:
        UserError: it is missing or damaged.
    """
    open_artifact(folder / "runs" / system)
    return Run(system, read_run(folder / "runs" / system / FILE).scores)


def run_name(path: Path) -> str:
    """Return a file's name without .gz, .run, .txt, .trec: the name its run goes by."""
    name = path.name.removesuffix(".gz")
    for ending in (".run", ".txt", ".trec"):
        name = name.removesuffix(ending)
    return name


class Entry(NamedTuple):
    """One line of a run."""

    line: int
    topic: str
    document: str
    rank: float
    score: float


def read_entries(path: Path) -> Iterator[Entry | str]:
    """Yield each line of a run, plain or .gz, that is not empty: what it says, or a sentence on what is wrong with it.

    Wrong is a line that has not six columns, a rank or score that is no finite number, or a document that its topic
    had before.

    Raises:
        UserError: the file itself cannot be read; see `core.lines.read_lines`.
    """
    seen: dict[str, dict[str, int]] = {}
    for number, line in read_lines(path):
        columns = line.split()
        if not columns:
            continue
        where = f"{path.name}, line {number}"
        if len(columns) != 6:
            yield f"{where}: {len(columns)} columns, expected topic, Q0, document, rank, score, tag"
            continue
        topic, _, document, rank, score, _ = columns
        entry = Entry(number, topic, document, _number(rank), _number(score))
        if not math.isfinite(entry.rank) or not math.isfinite(entry.score):
            column, value = ("score", score) if math.isfinite(entry.rank) else ("rank", rank)
            yield f"{where}: the {column} {value!r} is not a finite number"
        elif (first := seen.setdefault(topic, {}).setdefault(document, number)) != number:
            yield f"{where}: document {document} was retrieved for topic {topic} before, on line {first}"
        else:
            yield entry


def read_run(path: Path, order: Literal["score", "rank"] = "score") -> Run:
    """Read a run, plain or .gz.

    Args:
        order: "score", as trec_eval has it: the rank column is not looked at; or "rank", for files whose scores were
            rounded: each document then scores minus its rank.

    Raises:
        UserError: with the line, when one is wrong (see `read_entries`); also when the file is missing, cut short or
            empty.
    """
    by_topic: dict[str, list[Entry]] = {}
    for entry in read_entries(path):
        if isinstance(entry, str):
            raise UserError(entry)
        by_topic.setdefault(entry.topic, []).append(entry)
    if not by_topic:
        raise UserError(f"{path.name}: the run is empty")
    return Run(run_name(path), as_scores(by_topic, order), notices(by_topic, order))


def as_scores(by_topic: Mapping[str, list[Entry]], order: Literal["score", "rank"]) -> Scores:
    """Return the scores of a run's lines: as they stand, or minus the rank."""
    return {t: {e.document: e.score if order == "score" else -e.rank for e in es} for t, es in by_topic.items()}


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


def notices(by_topic: Mapping[str, list[Entry]], order: Literal["score", "rank"]) -> list[str]:
    """Say, with the first line of each, where ranks disagree with scores and where scores or ranks are tied."""
    disagreeing, tied, same_rank = [], [], []
    for entries in by_topic.values():
        by_rank = sorted(entries, key=lambda entry: entry.rank)
        scores = np.array([entry.score for entry in by_rank], dtype=np.float32).tolist()
        pairs = zip(by_rank[1:], scores, scores[1:], strict=False)
        disagreeing += [entry.line for entry, before, after in pairs if after > before][:1]
        tied += _first_repeated(by_rank, scores)
        same_rank += _first_repeated(by_rank, [entry.rank for entry in by_rank])
    if order == "rank":
        return [f"ranks are given twice in {_where(same_rank, by_topic)}"] if same_rank else []
    found = []
    if disagreeing:
        where = _where(disagreeing, by_topic)
        found.append(
            f"the rank column disagrees with the scores in {where}; measures follow the scores, as trec_eval does"
        )
    if tied:
        found.append(
            f"scores are tied in {_where(tied, by_topic)}; trec_eval orders ties by document id, last first, whatever "
            "the rank column says"
        )
    return found


def _first_repeated(entries: Sequence[Entry], values: Sequence[float]) -> list[int]:
    """Return a list of one: the line of the first entry whose value an earlier one has; or an empty list."""
    seen: set[float] = set()
    for entry, value in zip(entries, values, strict=True):
        if value in seen:
            return [entry.line]
        seen.add(value)
    return []


def _where(lines: list[int], by_topic: Mapping[str, list[Entry]]) -> str:
    return f"{len(lines)} of {len(by_topic)} topics, first on line {min(lines)}"


def ranked(by_document: Mapping[str, float]) -> list[tuple[str, float]]:
    """Return a topic's (document, score) as trec_eval ranks them: by score, ties by document id, both descending.

    trec_eval keeps scores as float32: what differs beyond that is a tie.
    """
    scores = np.array(list(by_document.values()), dtype=np.float32).tolist()
    order = sorted(zip(scores, by_document.items(), strict=True), key=lambda row: (row[0], row[1][0]), reverse=True)
    return [item for _, item in order]


def write_run(path: Path, tag: str, rankings: Iterable[tuple[str, list[tuple[str, float]]]]) -> None:
    """Write rankings, (topic, [(document, score)] best first), as a TREC run, each when it is there.

    Scores are written so that they read back as the same order: where a score does not fall from one rank to the next
    (a tie that the system settled), the next lower float32 stands in for it: trec_eval keeps scores as float32.
    """
    with path.open("w", encoding="utf-8", newline="\n") as file:
        for topic, ranking in rankings:
            previous = np.float32(np.inf)
            for rank, (document, score) in enumerate(ranking, 1):
                previous = min(np.float32(score), np.nextafter(previous, np.float32(-np.inf)))
                file.write(f"{topic} Q0 {document} {rank} {float(previous)!r} {tag}\n")
