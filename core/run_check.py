"""What is wrong and what is odd about a run file, all of it at once, before the run is brought into a collection."""

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from core.errors import UserError
from core.exclusions import Exclusions, left_out, notice
from core.runs import EMPTY, TopicLines, add_entry, notices, read_entries, run_name

MOST_FAULTS = 20


@dataclass(frozen=True)
class RunCheck:
    """A run file looked through: with faults it cannot be read as a run; notices say how it will be treated."""

    name: str
    topics: int
    lines: int
    faults: list[str]
    notices: list[str]


def check_run(
    path: Path,
    judged: Collection[str],
    documents: Collection[str],
    order: Literal["score", "rank"] = "score",
    excluded: Exclusions | None = None,
) -> RunCheck:
    """Look through a run file, plain or .gz, for a collection.

    Args:
        judged: the collection's topics, all of which are judged.
        documents: the ids of its documents; empty where they are not known.
        order: whether the run will be read by score or by rank (see `core.runs.read_run`).
        excluded: what the collection leaves out (see `core.exclusions`).
    """
    by_topic: dict[str, TopicLines] = {}
    faults: list[str] = []
    try:
        for entry in read_entries(path):
            if isinstance(entry, str):
                faults.append(entry)
            else:
                add_entry(by_topic, entry)
    except UserError as error:
        faults.append(str(error))
    if not faults and not by_topic:
        faults.append(f"{path.name}: {EMPTY}")
    if not faults and not by_topic.keys() & set(judged):
        faults.append(f"{path.name}: the run and the judgments have no topic in common")
    if len(faults) > MOST_FAULTS:
        faults = [*faults[:MOST_FAULTS], f"{path.name}: {len(faults) - MOST_FAULTS} more lines are wrong"]
    odd = _unknown(by_topic, judged, documents) + notices(by_topic, order)
    if found := left_out({topic: lines.scores for topic, lines in by_topic.items()}, excluded or {}):
        odd.append(notice(found))
    return RunCheck(run_name(path), len(by_topic), sum(len(lines.numbers) for lines in by_topic.values()), faults, odd)


def _unknown(by_topic: dict[str, TopicLines], judged: Collection[str], documents: Collection[str]) -> list[str]:
    found = []
    if missing := sorted(set(judged) - by_topic.keys()):
        found.append(f"no documents for {len(missing)} of {len(judged)} judged topics, which count 0: {_few(missing)}")
    if unknown := [topic for topic in by_topic if topic not in judged]:
        line = min(by_topic[topic].numbers[0] for topic in unknown)
        found.append(
            f"{len(unknown)} topics are not among the collection's and are left out of the measures, first on line "
            f"{line}: {_few(unknown)}"
        )
    if not documents:
        return [*found, "whether its documents exist cannot be said: the collection was made of runs, without texts"]
    strange = [
        (number, document)
        for lines in by_topic.values()
        for number, document in zip(lines.numbers, lines.scores, strict=True)
        if document not in documents
    ]
    if strange:
        line, first = min(strange)
        found.append(
            f"{len(strange)} lines retrieve documents that the collection does not hold, first {first} on "
            f"line {line}; they are shown by their ids, and count as unjudged where no judgment names them"
        )
    return found


def _few(names: list[str]) -> str:
    return ", ".join(names[:5]) + (" …" if len(names) > 5 else "")
