"""Runs in the TREC format: topic Q0 document rank score tag, one line a retrieved document."""

import math
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import compress
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np

from core.artifacts import open_artifact
from core.errors import UserError
from core.exclusions import Exclusions, built_exclusions, left_out, without
from core.lines import read_lines

Scores = dict[str, dict[str, float]]
"""topic -> document -> score."""
FILE = "run.trec"
"""Of a run among the artifacts, in `runs/<system>`."""


EMPTY = "the run is empty: not one line in the file, as after an export that failed; export it again"


@dataclass(frozen=True)
class Run:
    """A run: its name, the scores, and what is odd about the file it came from, one sentence each.

    `left_out` are documents that the file holds and the scores do not, see `core.exclusions`.
    """

    name: str
    scores: Scores
    notices: list[str] = field(default_factory=list)
    left_out: Exclusions = field(default_factory=dict)

    def without(self, excluded: Exclusions) -> "Run":
        """Return the run without the documents that are excluded for their topics."""
        found = left_out(self.scores, excluded)
        return replace(self, scores=without(self.scores, found), left_out=found) if found else self


def built_run(folder: Path, system: str) -> Run:
    """Read the run of a system of the collection under `folder`, checked against its manifest.

    Documents that the collection excludes for a topic are left out (see `core.exclusions`): a run that was imported
    may hold them.

    An empty file is a run that retrieved nothing: the digest in the manifest says that it is whole.

    Raises:
        UserError: it is missing or damaged.
    """
    open_artifact(folder / "runs" / system)
    run = read_run(folder / "runs" / system / FILE, may_be_empty=True)
    return Run(system, run.scores).without(built_exclusions(folder))


def run_name(path: Path) -> str:
    """Return a file's name without .gz, .run, .txt, .trec: the name its run goes by."""
    name = path.name.removesuffix(".gz")
    for ending in (".run", ".txt", ".trec"):
        name = name.removesuffix(ending)
    return name


Entry = tuple[int, str, str, float, float]
"""One line of a run: its number, topic, document, rank and score. A plain tuple: a run has many thousands."""


class TopicLines(NamedTuple):
    """The lines of a run for one topic, a column each, in the file's order: numbers, ranks, document -> score."""

    numbers: list[int]
    ranks: list[float]
    scores: dict[str, float]


def read_entries(path: Path) -> Iterator[Entry | str]:
    """Yield each line of a run, plain or .gz, that is not empty: what it says, or a sentence on what is wrong with it.

    Wrong is a line that has not six columns, a rank or score that is no finite number, or a document that its topic
    had before. Three columns, as MS MARCO has them, are topic, document and rank: the score is minus the rank.

    Raises:
        UserError: the file itself cannot be read; see `core.lines.read_lines`.
    """
    seen: defaultdict[str, dict[str, int]] = defaultdict(dict)
    wanted = 0
    for number, line in read_lines(path):
        columns = line.split()
        if not columns:
            continue
        wanted = wanted or (3 if len(columns) == 3 else 6)
        if len(columns) != wanted:
            expected = "topic, document, rank" if wanted == 3 else "topic, Q0, document, rank, score, tag"
            yield f"{path.name}, line {number}: {len(columns)} columns, expected {expected}"
            continue
        if wanted == 3:
            topic, document, rank_text = columns
            if topic not in seen and rank_text not in ("0", "1"):
                yield (
                    f"{path.name}, line {number}: three columns are read as topic, document, rank, and the first rank "
                    f"of topic {topic} is {rank_text!r}, expected 1; scores need all of topic, Q0, document, rank, "
                    "score, tag"
                )
                continue
            score_text = f"-{rank_text}"
        else:
            topic, _, document, rank_text, score_text, _ = columns
        try:
            rank, score = float(rank_text), float(score_text)
        except ValueError:
            rank, score = _number(rank_text), _number(score_text)
        if not math.isfinite(rank) or not math.isfinite(score):
            column, value = ("score", score_text) if math.isfinite(rank) else ("rank", rank_text)
            yield f"{path.name}, line {number}: the {column} {value!r} is not a finite number"
        elif (first := seen[topic].setdefault(document, number)) != number:
            yield (
                f"{path.name}, line {number}: document {document} was retrieved for topic {topic} before, on line "
                f"{first}"
            )
        else:
            yield number, topic, document, rank, score


def add_entry(by_topic: dict[str, TopicLines], entry: Entry) -> None:
    """Add a line of a run to the lines of its topic."""
    number, topic, document, rank, score = entry
    lines = by_topic.get(topic)
    if lines is None:
        lines = by_topic[topic] = TopicLines([], [], {})
    lines.numbers.append(number)
    lines.ranks.append(rank)
    lines.scores[document] = score


def read_run(path: Path, order: Literal["score", "rank"] = "score", may_be_empty: bool = False) -> Run:
    """Read a run, plain or .gz.

    Args:
        order: "score", as trec_eval has it: the rank column is not looked at; or "rank", for files whose scores were
            rounded: each document then scores minus its rank.
        may_be_empty: take a file without lines for a run that retrieved nothing, with a notice.

    Raises:
        UserError: with the line, when one is wrong (see `read_entries`); also when the file is missing or cut short,
            or empty where it may not be.
    """
    by_topic: dict[str, TopicLines] = {}
    for entry in read_entries(path):
        if isinstance(entry, str):
            raise UserError(entry)
        add_entry(by_topic, entry)
    if not by_topic and not may_be_empty:
        raise UserError(f"{path.name}: {EMPTY}")
    return Run(run_name(path), as_scores(by_topic, order), notices(by_topic, order))


def as_scores(by_topic: Mapping[str, TopicLines], order: Literal["score", "rank"]) -> Scores:
    """Return the scores of a run's lines: as they stand, or minus the rank."""
    if order == "score":
        return {topic: lines.scores for topic, lines in by_topic.items()}
    return {
        topic: {document: -rank for document, rank in zip(lines.scores, lines.ranks, strict=True)}
        for topic, lines in by_topic.items()
    }


def run_topics(path: Path, excluded: Exclusions) -> set[str]:
    """Return the topics that a run has documents for that are not excluded, without reading more of it.

    Raises:
        UserError: the file is missing or cut short.
    """
    lines = (line.split(maxsplit=3) for _, line in read_lines(path))
    return {columns[0] for columns in lines if columns and columns[2] not in excluded.get(columns[0], ())}


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan


def notices(by_topic: Mapping[str, TopicLines], order: Literal["score", "rank"]) -> list[str]:
    """Say, with the first line of each, where ranks disagree with scores and where scores or ranks are tied."""
    disagreeing, tied, same_rank = [], [], []
    for lines in by_topic.values():
        by_rank = np.argsort(lines.ranks, kind="stable")
        numbers, ranks = np.array(lines.numbers)[by_rank], np.array(lines.ranks)[by_rank]
        scores = np.array(list(lines.scores.values()), dtype=np.float32)[by_rank]
        disagreeing += numbers[1:][scores[1:] > scores[:-1]][:1].tolist()
        tied += _first_repeated(numbers, scores)
        same_rank += _first_repeated(numbers, ranks)
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


def _first_repeated(numbers: np.ndarray, values: np.ndarray) -> list[int]:
    """Return a list of one: the line of the first value that an earlier line has; or an empty list."""
    first = np.zeros(len(values), dtype=bool)
    first[np.unique(values, return_index=True)[1]] = True
    return numbers[~first][:1].tolist()


def _where(lines: list[int], by_topic: Mapping[str, TopicLines]) -> str:
    return f"{len(lines)} of {len(by_topic)} topics, first on line {min(lines)}"


def ranked(by_document: Mapping[str, float]) -> list[tuple[str, float]]:
    """Return a topic's (document, score) as trec_eval ranks them: by score, ties by document id, both descending.

    trec_eval keeps scores as float32: what differs beyond that is a tie.
    """
    scores = np.array(list(by_document.values()), dtype=np.float32).tolist()
    order = sorted(zip(scores, by_document.items(), strict=True), key=lambda row: (row[0], row[1][0]), reverse=True)
    return [item for _, item in order]


def first_ranked(by_document: Mapping[str, float], k: int) -> list[str]:
    """Return the first k documents of `ranked`, without putting the others in order."""
    if 0 < k < len(by_document):
        scores = np.array(list(by_document.values()), dtype=np.float32)
        reaches = scores >= np.partition(scores, -k)[-k]
        by_document = {d: by_document[d] for d in compress(by_document, reaches)}
    return [document for document, _ in ranked(by_document)[:k]]


def run_of(topics: Iterable[str], documents: Sequence[str], positions: np.ndarray, scores: np.ndarray) -> Scores:
    """Return what an index found as a run, topic -> document -> score.

    Args:
        documents: their ids, in the index's order.
        positions: int64 [n_topics, k], -1 where there was no k-th document.
        scores: float32 [n_topics, k].
    """
    return {
        topic: {documents[i]: float(score) for i, score in zip(own, of_own, strict=True) if i >= 0}
        for topic, own, of_own in zip(topics, positions, scores, strict=True)
    }


def write_run(path: Path, tag: str, rankings: Iterable[tuple[str, list[tuple[str, float]]]]) -> None:
    """Write rankings, (topic, [(document, score)] best first), as a TREC run, each when it is there.

    Scores are written so that they read back as the same order: where a score does not fall from one rank to the next
    (a tie that the system settled), the next lower float32 stands in for it: trec_eval keeps scores as float32.

    Raises:
        UserError: a score is NaN or infinite.
    """
    with path.open("w", encoding="utf-8", newline="\n") as file:
        for topic, ranking in rankings:
            previous = np.float32(np.inf)
            for rank, (document, score) in enumerate(ranking, 1):
                if not math.isfinite(score):
                    raise UserError(f"{tag}: the score of document {document} for topic {topic} is {score}")
                previous = min(np.float32(score), np.nextafter(previous, np.float32(-np.inf)))
                file.write(f"{topic} Q0 {document} {rank} {float(previous)!r} {tag}\n")
