"""Latency measurement: single queries, after a warm-up, several rounds, on a stated number of threads."""

import operator
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

import numpy as np
from threadpoolctl import threadpool_info, threadpool_limits

T = TypeVar("T")


PROCEDURE = "timing_procedure"
"""Name of the setting that records TIMING_PROCEDURE in the manifest of every artifact with latencies."""


TIMING_PROCEDURE = 2
"""Version of the measuring procedures of this module and of `core.ann`. Increase it when a change makes new figures
incomparable with old ones; older artifacts are then stale."""


OLDER_TIMING = "measured by an older timing procedure, not comparable with latencies measured now"


THREADS = 1


ROUNDS = 3


MOST_QUERIES = 50


MOST_SECONDS = 60.0
"""Time in seconds after which no new round begins; the first round is always completed."""


@contextmanager
def limited_threads(threads: int) -> Iterator[None]:
    """Limit torch, BLAS and OpenMP to this number of threads."""
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


def allowed_threads() -> int:
    """Return the number of threads that BLAS and OpenMP may use: that of the cores, or a lower limit."""
    return max((pool["num_threads"] for pool in threadpool_info()), default=1)


def latency(
    seconds: Callable[[T], Mapping[str, float]], queries: Sequence[T], threads: int = THREADS
) -> dict[str, Any]:
    """Return the median latency of a query in milliseconds, and how it was measured, for a manifest's facts.

    Besides the median it has the 95th percentile, and the median of each step.

    At most MOST_QUERIES queries, evenly spaced over all of them, are timed in ROUNDS rounds, so that a few seconds of
    other load on the machine affect one round only. A query's latency is the median over its rounds.

    Args:
        seconds: answers a query and returns the time that each step took; every query has been answered once already.
        queries: at least one.
    """
    asked = [queries[i * len(queries) // MOST_QUERIES] for i in range(MOST_QUERIES)]
    asked = list(queries) if len(queries) <= MOST_QUERIES else asked
    rounds: list[list[Mapping[str, float]]] = []
    until = time.perf_counter() + MOST_SECONDS
    with limited_threads(threads):
        while not rounds or (len(rounds) < ROUNDS and time.perf_counter() < until):
            rounds.append([seconds(query) for query in asked])

    def of_queries(time_of: Callable[[Mapping[str, float]], float]) -> list[float]:
        return [1000 * statistics.median(map(time_of, times)) for times in zip(*rounds, strict=True)]

    totals = of_queries(lambda steps: sum(steps.values()))
    by_step = {
        step: round(statistics.median(of_queries(operator.methodcaller("get", step, 0.0))), 3) for step in rounds[0][0]
    }
    about = {"threads": threads, "queries": len(asked), "rounds": len(rounds), "warm_up_rounds": 1}
    return {
        "median_milliseconds": round(statistics.median(totals), 3),
        "p95_milliseconds": round(float(np.percentile(totals, 95)), 3),
        "step_milliseconds": by_step,
        "latency": about,
    }


def repeated(ask: Callable[[], T], most: int = 6, budget: float = 0.15) -> list[T]:
    """Call a function repeatedly and return the results, without the first (the warm-up) if there are more.

    Args:
        most: maximum number of calls.
        budget: time in seconds after which no further call begins.
    """
    until = time.perf_counter() + budget
    results = [ask()]
    while len(results) < most and time.perf_counter() < until:
        results.append(ask())
    return results[1:] or results


def is_comparable(settings: Mapping[str, Any]) -> bool:
    """Return whether an artifact with these settings in its manifest was timed by the current procedure."""
    return settings.get(PROCEDURE) == TIMING_PROCEDURE
