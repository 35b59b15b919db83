"""Answers to a live query: every system searches in a thread of its own, and is handed over when it is done.

Latencies are measured afterwards, one system at a time: beside one another, systems wait for each other.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, field

from core.formats.exclusions import kept_hits
from core.retrieval.fusion import reciprocal_rank_fusion
from core.workspace.profile import SystemSettings
from core.workspace.timing import repeated
from dashboard.shared import data, live

PATIENCE_SECONDS = 0.5


@dataclass(frozen=True)
class Found:
    """What a system found, best first; and by document, what its score is made of and where other lists have it."""

    hits: list[tuple[str, float]]
    parts: dict[str, list[tuple[str, float]]] = field(default_factory=dict)
    where: dict[str, str] = field(default_factory=dict)


def answer_query(
    opened: data.Opened,
    settings: SystemSettings,
    query: str,
    depth: int,
    explained: int,
    excluded: Collection[str] = (),
) -> Found:
    """Let one system answer.

    Args:
        depth: how many documents to find.
        excluded: documents that are left out.
        explained: of how many of them, the first ones, the scores are taken apart.

    Raises:
        UserError: the system cannot load.
    """
    ready = live.open_system(opened, settings)
    with ready.lock:
        found = ready.system.search(query, depth + len(excluded))
        hits = kept_hits(found.hits, excluded, depth)
        parts = {document: ready.system.explain(query, document) for document, _ in hits[:explained]}
    return Found(hits, parts)


@dataclass(frozen=True)
class Latency:
    """The seconds of each step of a search, of the median one of `times` searches."""

    seconds: dict[str, float]
    times: int


def measure_latency(opened: data.Opened, settings: SystemSettings, query: str, depth: int) -> Latency | None:
    """Measure how long a system takes for a query that it has answered just now; no other is measured meanwhile.

    Returns None where others are being measured, and its turn has not come within PATIENCE_SECONDS.

    Raises:
        UserError: the system cannot load.
    """
    ready = live.open_system(opened, settings)
    if not live.TIMING.acquire(timeout=PATIENCE_SECONDS):
        return None
    try:
        with ready.lock:
            runs = repeated(lambda: ready.system.search(query, depth).seconds)
    finally:
        live.TIMING.release()
    in_order = sorted(runs, key=lambda seconds: sum(seconds.values()))
    return Latency(in_order[len(in_order) // 2], len(in_order))


def as_they_come(
    opened: data.Opened,
    systems: Sequence[SystemSettings],
    query: str,
    depth: int,
    explained: int,
    excluded: Collection[str] = (),
) -> Iterator[tuple[str, Found | Exception]]:
    """Yield (name of the system, what it found or why it cannot answer), whichever is done first.

    Args:
        explained, excluded: as in `answer_query`; only BM25's scores are taken apart.
    """
    with ThreadPoolExecutor(max(len(systems), 1), "answer") as pool:
        asked = {
            pool.submit(answer_query, opened, s, query, depth, explained if s.kind == "bm25" else 0, excluded): s.name
            for s in systems
        }
        for done in as_completed(asked):
            try:
                yield asked[done], done.result()
            except Exception as error:  # whatever befell one system, the others answer
                yield asked[done], error


def fuse(answers: Mapping[str, Found], labels: Mapping[str, str]) -> Found:
    """Fuse what the systems found by reciprocal ranks, and say where each of them had a document.

    Args:
        labels: what the systems are called.
    """
    rankings = {name: [document for document, _ in found.hits] for name, found in answers.items()}
    ranks = {name: {document: rank for rank, document in enumerate(by, 1)} for name, by in rankings.items()}
    fused = reciprocal_rank_fusion(list(rankings.values()))
    where = {
        document: ", ".join(f"{ranks[name][document]} in {labels[name]}" for name in ranks if document in ranks[name])
        for document, _ in fused
    }
    return Found(fused, where=where)
