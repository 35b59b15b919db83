"""Validation of a run file before it is imported into a collection: all errors and warnings at once."""

import sys
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from core.formats.exclusions import Exclusions, left_out, notice
from core.formats.qrels import Qrels
from core.formats.runs import EMPTY, RunFile, Scores, as_scores, notices, read_run_file, reordered_topics
from core.workspace.measure_names import parse_measure

MOST_FAULTS = 20


@dataclass(frozen=True)
class RunCheck:
    """The result of checking a run file: `faults` prevent its import, `notices` are warnings.

    `faults` are errors, with which it cannot be imported; `notices` are warnings about how it is evaluated. `tag` is
    the last column of its first line, `depth` the largest number of documents of a judged topic, and `reordered` the
    number of judged topics whose order by score differs from that by rank.
    """

    tag: str
    topics: int
    lines: int
    faults: list[str]
    notices: list[str]
    depth: int
    reordered: int


def check_run(
    path: Path,
    qrels: Qrels,
    documents: Collection[str],
    order: Literal["score", "rank"] = "score",
    excluded: Exclusions | None = None,
    measures: Sequence[str] = (),
) -> RunCheck:
    """Check a run file, plain or .gz, against a collection.

    Args:
        qrels: the collection's judgments.
        documents: the collection's document ids; empty if unknown.
        order: whether the run is ranked by score or by rank (see `core.formats.runs.read_run`).
        excluded: the documents that the collection excludes (see `core.formats.exclusions`).
        measures: the measures that the run will be evaluated by.
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
    """Check a run file as `check_run` does, and return its scores as well."""
    file = read_run_file(path, MOST_FAULTS)
    faults = file.faults[:MOST_FAULTS]
    if not file.wrong and not file.by_topic:
        faults.append(f"{path.name}: {EMPTY}")
    if not faults and not file.by_topic.keys() & qrels.keys():
        faults.append(f"{path.name}: the run and the qrels have no topic in common")
    if file.wrong > MOST_FAULTS:
        faults.append(f"{path.name}: {file.wrong - MOST_FAULTS} more lines are invalid")
    removed = left_out({topic: lines.scores for topic, lines in file.by_topic.items()}, excluded or {})
    depths = [len(lines.scores) - len(removed.get(t, ())) for t, lines in file.by_topic.items() if t in qrels]
    sentences = [
        *_topics(file, qrels),
        *_documents(file, qrels, documents),
        *([notice(removed)] if removed else []),
        *_shallow(depths, measures),
        *notices(file, order),
    ]
    count = sum(len(lines.numbers) for lines in file.by_topic.values())
    reordered = 0 if faults else reordered_topics({t: lines for t, lines in file.by_topic.items() if t in qrels})
    check = RunCheck(
        file.tag, len(file.by_topic), count, faults, sentences, depth=max(depths, default=0), reordered=reordered
    )
    return check, as_scores(file.by_topic, order)


def _topics(file: RunFile, qrels: Qrels) -> Iterator[str]:
    if missing := sorted(qrels.keys() - file.by_topic.keys()):
        yield f"judged topics without documents, which score 0: {len(missing)} of {len(qrels)} ({_few(missing)})"
    if unknown := [topic for topic in file.by_topic if topic not in qrels]:
        line = min(file.by_topic[topic].numbers[0] for topic in unknown)
        yield (
            f"topics without judgments, which are not evaluated: {len(unknown)}, first on line {line} ({_few(unknown)})"
        )


def _documents(file: RunFile, qrels: Qrels, documents: Collection[str]) -> Iterator[str]:
    judged = {document for by_document in qrels.values() for document in by_document}
    retrieved = {document for lines in file.by_topic.values() for document in lines.scores}
    if retrieved and judged.isdisjoint(retrieved):
        yield (
            f"none of the run's documents is judged: the run has ids such as {min(retrieved)}, the qrels have ids "
            f"such as {min(judged)}; check that both belong to the same collection"
        )
    known = documents or judged
    if not retrieved.difference(known):
        return
    unknown, (line, first) = 0, (sys.maxsize, "")
    for lines in file.by_topic.values():
        for number, document in zip(lines.numbers, lines.scores, strict=True):
            if document not in known:
                unknown += 1
                line, first = min((line, first), (number, document))
    where = f"first {first} on line {line}"
    if documents:
        yield (
            f"lines with documents that are not in the collection: {unknown}, {where}; these are shown without text, "
            "and count as unjudged unless they are in the qrels"
        )
    else:
        yield (
            f"lines with documents that are not in the qrels: {unknown}, {where}; they count as unjudged, and cannot "
            "be checked, since the collection has no texts"
        )


def _shallow(depths: Sequence[int], measures: Sequence[str]) -> Iterator[str]:
    """Warn about measures whose cut-off exceeds the depth of topics; topics without documents are not counted."""
    cutoffs = {name: parse_measure(name).cutoff for name in measures}
    short = {name: sum(depth < cutoff for depth in depths) for name, cutoff in cutoffs.items()}
    counts = [f"{name} ({count} of {len(depths)} topics)" for name, count in short.items() if count]
    if counts:
        yield f"fewer documents than the measure's cut-off: {', '.join(counts)}; missing ranks count as not relevant"


def _few(names: list[str]) -> str:
    return ", ".join(names[:5]) + (" …" if len(names) > 5 else "")
