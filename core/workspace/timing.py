"""How latencies are measured: single queries, after a warm-up, on a number of threads that is said, several times."""

import statistics
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

from threadpoolctl import threadpool_limits

T = TypeVar("T")


PROCEDURE = "timing_procedure"
"""The setting, in the manifest of every artifact that holds latencies, whose value is TIMING_PROCEDURE."""


TIMING_PROCEDURE = 2
"""Version of the procedures of this module and of `core.ann`. To be raised when they change so that figures from before
and after cannot be compared: artifacts from before are then stale."""


OLDER_TIMING = "measured by an older timing procedure, not comparable with latencies measured now"


THREADS = 1


ROUNDS = 3


MOST_QUERIES = 50


MOST_SECONDS = 60.0
"""After these no new round begins; there is always one."""


@contextmanager
def limited_threads(threads: int) -> Iterator[None]:
    """Let torch, BLAS and OpenMP use so many threads."""
    torch = sys.modules.get("torch")
    before = torch.get_num_threads() if torch else 0
    with threadpool_limits(limits=threads):
        if torch:
            torch.set_num_threads(threads)
        try:
            yield
        finally:
            if torch:
                torch.set_num_threads(before)


def latency(seconds: Callable[[T], float], queries: Sequence[T], threads: int = THREADS) -> dict[str, Any]:
    """Return the median latency of a query in milliseconds, and how it was measured, for a manifest's facts.

    At most MOST_QUERIES queries, evenly spread over all, are asked ROUNDS times, round by round, so that other work on
    the machine for some seconds spoils one round of them. A query's latency is the median of its rounds.

    Args:
        seconds: answers a query and returns the seconds which that took; every query was asked once already.
        queries: at least one.
    """
    asked = [queries[i * len(queries) // MOST_QUERIES] for i in range(MOST_QUERIES)]
    asked = list(queries) if len(queries) <= MOST_QUERIES else asked
    rounds: list[list[float]] = []
    until = time.perf_counter() + MOST_SECONDS
    with limited_threads(threads):
        while not rounds or (len(rounds) < ROUNDS and time.perf_counter() < until):
            rounds.append([seconds(query) for query in asked])
    median = statistics.median(statistics.median(of_query) for of_query in zip(*rounds, strict=True))
    about = {"threads": threads, "queries": len(asked), "rounds": len(rounds), "warm_up_rounds": 1}
    return {"median_milliseconds": round(1000 * median, 3), "latency": about}


def repeated(ask: Callable[[], T], most: int = 6, budget: float = 0.15) -> list[T]:
    """Return the results of calls one after the other, without the first one, which warms up, where there are more.

    Args:
        most: how many calls.
        budget: seconds after which no further call begins.
    """
    until = time.perf_counter() + budget
    results = [ask()]
    while len(results) < most and time.perf_counter() < until:
        results.append(ask())
    return results[1:] or results


def is_comparable(settings: Mapping[str, Any]) -> bool:
    """Say whether an artifact of such settings, as its manifest has them, was timed by the present procedure."""
    return settings.get(PROCEDURE) == TIMING_PROCEDURE
