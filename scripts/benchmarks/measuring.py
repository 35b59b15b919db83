"""Timing of tasks in turns, their results, and the table of one or several result files."""

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from statistics import median
from typing import Any

PAUSE_SECONDS = 0.05
"""Pause before each turn, since idle threads of the previous library spin for a while and occupy a core."""


@dataclass(frozen=True)
class Scale:
    """Size of the benchmark: the default takes ten minutes on two cores; TOY only shows that every section works."""

    rounds: int = 5
    documents: int = 200_000
    """Maximum number of the collection's documents for BM25."""
    texts: int = 384
    """Number of documents encoded per round."""
    vectors: int = 171_332
    """Number of vectors, most of them simulated; that of TREC-COVID."""
    runs: int = 100
    starts: int = 3
    """Number of starts of the dashboard."""
    seconds: float = 60.0
    """Time after which a comparison begins no new round."""


WITHIN = 1 / 1.2
"""Minimum ratio of a library's time to RankScope's if RankScope may take 1.2 times as long."""
TOY = Scale(rounds=2, documents=100, texts=8, vectors=1500, runs=2, starts=1, seconds=5)


@dataclass(frozen=True)
class Comparison:
    """The times of one task, done by RankScope and by other libraries in turns.

    Attributes:
        per: the unit that times refer to: "query", "document", "run"; "" for the whole task.
        ours: RankScope's name among the contestants.
        seconds: name -> seconds of each round.
        targets: name -> the minimum ratio of its time to RankScope's.
        limit: the maximum seconds that RankScope may take.
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
    """A figure other than a time, with the maximum absolute value allowed."""

    section: str
    name: str
    value: float
    limit: float | None = None


def in_turns(
    tasks: Mapping[str, Callable[[], object]], rounds: int, seconds: float = float("inf"), warm_up: bool = True
) -> dict[str, list[float]]:
    """Return the seconds of each task in each round; tasks alternate, so that drift of the machine affects all alike.

    Args:
        seconds: the time after which no new round begins; there is at least one round.
        warm_up: whether to begin with a round that is not counted.
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
    """Return the seconds per part of rounds that consist of `parts` parts."""
    return {name: [value / parts for value in values] for name, values in seconds.items()}


# The table


def ratios(theirs: list[float], ours: list[float]) -> list[float]:
    """Return the library's time divided by RankScope's, round by round."""
    return [a / b for a, b in zip(theirs, ours, strict=True)]


def table(results: list[dict[str, Any]]) -> str:
    """Return results, each read from a file, as a Markdown table.

    For a single result, cells show the median, lowest and highest of its rounds; for several, those of their medians.
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
    """Return the values of a single file, or the medians of several."""
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
