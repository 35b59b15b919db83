"""What is wrong and what is odd about a run file, all of it at once, before the run is brought into a collection."""

import sys
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from core.formats.exclusions import Exclusions, left_out, notice
from core.formats.qrels import Qrels
from core.formats.runs import EMPTY, RunFile, Scores, as_scores, notices, read_run_file
from core.workspace.measure_names import parse_measure

MOST_FAULTS = 20


@dataclass(frozen=True)
class RunCheck:
    """A run file looked through: with faults it cannot be read as a run; notices say how it will be treated.

    `tag` is the last column of its first line.
    """

    tag: str
    topics: int
    lines: int
    faults: list[str]
    notices: list[str]


def check_run(
    path: Path,
    qrels: Qrels,
    documents: Collection[str],
    order: Literal["score", "rank"] = "score",
    excluded: Exclusions | None = None,
    measures: Sequence[str] = (),
) -> RunCheck:
    """Look through a run file, plain or .gz, for a collection.

    Args:
        qrels: the collection's judgments.
        documents: the ids of its documents; empty where they are not known.
        order: whether the run will be read by score or by rank (see `core.formats.runs.read_run`).
        excluded: what the collection leaves out (see `core.formats.exclusions`).
        measures: those that the run will be evaluated by.
    """
    return read_checked(path, qrels, documents, order, excluded, measures)[0]


def read_checked(
    path: Path,
    qrels: Qrels,
    documents: Collection[str],
    order: Literal["score", "rank"] = "score",
    excluded: Exclusions | None = None,
    measures: Sequence[str] = (),
) -> tuple[RunCheck, Scores]:
    """Look through a run file as `check_run` does, and return its scores, too."""
    file = read_run_file(path, MOST_FAULTS)
    faults = file.faults[:MOST_FAULTS]
    if not file.wrong and not file.by_topic:
        faults.append(f"{path.name}: {EMPTY}")
    if not faults and not file.by_topic.keys() & qrels.keys():
        faults.append(f"{path.name}: the run and the judgments have no topic in common")
    if file.wrong > MOST_FAULTS:
        faults.append(f"{path.name}: {file.wrong - MOST_FAULTS} more lines are wrong")
    found = left_out({topic: lines.scores for topic, lines in file.by_topic.items()}, excluded or {})
    odd = [
        *_topics(file, qrels),
        *_documents(file, qrels, documents),
        *([notice(found)] if found else []),
        *_depth(file, qrels, found, measures),
        *notices(file, order),
    ]
    lines = sum(len(lines.numbers) for lines in file.by_topic.values())
    return RunCheck(file.tag, len(file.by_topic), lines, faults, odd), as_scores(file.by_topic, order)


def _topics(file: RunFile, qrels: Qrels) -> Iterator[str]:
    if missing := sorted(qrels.keys() - file.by_topic.keys()):
        yield f"no documents for {len(missing)} of {len(qrels)} judged topics, which count 0: {_few(missing)}"
    if unknown := [topic for topic in file.by_topic if topic not in qrels]:
        line = min(file.by_topic[topic].numbers[0] for topic in unknown)
        yield (
            f"{len(unknown)} topics are not among the collection's and are left out of the measures, first on line "
            f"{line}: {_few(unknown)}"
        )


def _documents(file: RunFile, qrels: Qrels, documents: Collection[str]) -> Iterator[str]:
    judged = {document for by_document in qrels.values() for document in by_document}
    retrieved = {document for lines in file.by_topic.values() for document in lines.scores}
    if retrieved and judged.isdisjoint(retrieved):
        yield (
            f"no document of the run is judged for any topic: its ids are like {min(retrieved)}, those of the "
            f"judgments like {min(judged)}; are they ids of one collection?"
        )
    known = documents or judged
    if not retrieved.difference(known):
        return
    strange, (line, first) = 0, (sys.maxsize, "")
    for lines in file.by_topic.values():
        for number, document in zip(lines.numbers, lines.scores, strict=True):
            if document not in known:
                strange += 1
                line, first = min((line, first), (number, document))
    where = f"first {first} on line {line}"
    if documents:
        yield (
            f"{strange} lines retrieve documents that the collection does not hold, {where}; they are shown by "
            "their ids, and count as unjudged where no judgment names them"
        )
    else:
        yield (
            f"{strange} lines retrieve documents that no judgment names, {where}; they count as unjudged, and "
            "whether they exist cannot be said, since the collection has no texts"
        )


def _depth(file: RunFile, qrels: Qrels, left_out: Exclusions, measures: Sequence[str]) -> Iterator[str]:
    """Say for which measures how many topics have fewer documents than the cut-off; topics without any are told."""
    depths = [
        len(lines.scores) - len(left_out.get(topic, ())) for topic, lines in file.by_topic.items() if topic in qrels
    ]
    cutoffs = {name: parse_measure(name).cutoff for name in measures}
    short = {name: sum(depth < cutoff for depth in depths) for name, cutoff in cutoffs.items()}
    told = [f"{name} ({count} of {len(depths)} topics)" for name, count in short.items() if count]
    if told:
        yield f"fewer documents than the measure's cut-off: {', '.join(told)}; the empty ranks count as not relevant"


def _few(names: list[str]) -> str:
    return ", ".join(names[:5]) + (" …" if len(names) > 5 else "")
