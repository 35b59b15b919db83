"""Measuring side by side: tasks in turns, what is kept of them, and the table of one or of several measurings."""

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from statistics import median
from typing import Any

PAUSE_SECONDS = 0.05
"""Before each turn: threads of the library before it wait for work by turning round and round, and take a core."""


@dataclass(frozen=True)
class Scale:
    """How much is measured: the default takes ten minutes on two cores, TOY shows that every section works."""

    rounds: int = 5
    documents: int = 200_000
    """Of the collection, for BM25: all where there are fewer."""
    texts: int = 384
    """Documents that are encoded in a round."""
    vectors: int = 171_332
    """To which a collection's vectors are simulated; TREC-COVID's number."""
    runs: int = 100
    starts: int = 3
    """Of the dashboard."""
    seconds: float = 60.0
    """After these no new round of a comparison begins."""


WITHIN = 1 / 1.2
"""The least ratio of a library's time to ours where ours may be 1.2 times as long."""
TOY = Scale(rounds=2, documents=100, texts=8, vectors=1500, runs=2, starts=1, seconds=5)


@dataclass(frozen=True)
class Comparison:
    """One task, done by us and by others in turns.

    Attributes:
        per: what a time is of: "query", "document", "run"; "" for the whole task.
        ours: our name among those who did it.
        seconds: name -> seconds of each round.
        targets: name -> the least ratio of its time to ours.
        limit: the most seconds that ours may take.
    """

    section: str
    task: str
    per: str
    ours: str
    seconds: dict[str, list[float]]
    targets: dict[str, float] = field(default_factory=dict)
    limit: float | None = None


@dataclass(frozen=True)
class Figure:
    """A figure that is no time, with the highest absolute value that it may have."""

    section: str
    name: str
    value: float
    limit: float | None = None


def in_turns(
    tasks: Mapping[str, Callable[[], object]], rounds: int, seconds: float = float("inf"), warm_up: bool = True
) -> dict[str, list[float]]:
    """Return the seconds of each task in each round, A B A B, so that drift of the machine hits all alike.

    Args:
        seconds: after these no new round begins; there is always one.
        warm_up: begin with a round that is not counted.
    """
    found: dict[str, list[float]] = {name: [] for name in tasks}
    until = time.perf_counter() + seconds
    for number in range(0 if warm_up else 1, rounds + 1):
        if number > 1 and time.perf_counter() > until:
            break
        for name, task in tasks.items():
            time.sleep(PAUSE_SECONDS)
            started = time.perf_counter()
            task()
            if number:
                found[name].append(time.perf_counter() - started)
    return found


def shared(seconds: Mapping[str, list[float]], parts: int) -> dict[str, list[float]]:
    """Return seconds for one of the parts that each round has."""
    return {name: [value / parts for value in values] for name, values in seconds.items()}


# The table


def ratios(theirs: list[float], ours: list[float]) -> list[float]:
    """Return how many times longer they took than we did, round by round."""
    return [a / b for a, b in zip(theirs, ours, strict=True)]


def table(results: list[dict[str, Any]]) -> str:
    """Return results, each what a file holds, as a Markdown table.

    Of one result: medians of its rounds, and the lowest and the highest. Of several: the median of their medians, and
    the lowest and the highest of these.
    """
    rows = ["| task | RankScope | library | its time | ratio | target |", "|---|---|---|---|---|---|"]
    for key in dict.fromkeys((c["section"], c["task"]) for result in results for c in result["comparisons"]):
        same = [c for result in results for c in result["comparisons"] if (c["section"], c["task"]) == key]
        rows += _comparison_rows(same)
    for key in dict.fromkeys((f["section"], f["name"]) for result in results for f in result["figures"]):
        same = [f for result in results for f in result["figures"] if (f["section"], f["name"]) == key]
        value, limit = median(f["value"] for f in same), same[0]["limit"]
        target = "" if limit is None else _verdict(f"within {limit:g}", abs(value) <= limit)
        rows.append(f"| {key[0]}: {key[1]} | {value:.4f} | | | | {target} |")
    return "\n".join(rows)


def _comparison_rows(same: list[dict[str, Any]]) -> list[str]:
    first = same[0]
    ours, per = first["ours"], first["per"]
    own = _pooled(c["seconds"][ours] for c in same)
    limit = first["limit"]
    target = "" if limit is None else _verdict(f"at most {_duration(limit)}", median(own) <= limit)
    begin = f"| {first['section']}: {first['task']} | {_times(own, per)} |"
    rows = [f"{begin} | | | {target} |"] if target or len(first["seconds"]) == 1 else []
    for name in first["seconds"]:
        having = [c for c in same if name in c["seconds"]]
        if name == ours:
            continue
        found = _pooled(ratios(c["seconds"][name], c["seconds"][ours]) for c in having)
        wanted = first["targets"].get(name)
        target = "" if wanted is None else _verdict(f"at least {wanted:.3g}", median(found) >= wanted)
        theirs = _times(_pooled(c["seconds"][name] for c in having), per)
        rows.append(
            f"{begin} {name} | {theirs} | **{median(found):.3g}** ({min(found):.3g} to {max(found):.3g}) | {target} |"
        )
    return rows


def _pooled(of_files: Iterable[list[float]]) -> list[float]:
    """Return the values of one file as they are, and the medians of several."""
    lists = list(of_files)
    return lists[0] if len(lists) == 1 else [median(values) for values in lists]


def _verdict(target: str, met: bool) -> str:
    return f"{target}: {'met' if met else '**missed**'}"


def _times(seconds: list[float], per: str) -> str:
    middle, lowest, highest = median(seconds), min(seconds), max(seconds)
    if per == "document":
        return f"{1 / middle:.0f} documents/s ({1 / highest:.0f} to {1 / lowest:.0f})"
    return f"{_duration(middle)}{f' a {per}' if per else ''} ({_duration(lowest)} to {_duration(highest)})"


def _duration(seconds: float) -> str:
    for unit, size in (("s", 1.0), ("ms", 1e-3)):
        if seconds >= size:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds / 1e-6:.3g} µs"
