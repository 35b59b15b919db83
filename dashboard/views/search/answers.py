"""Answers to a live query: every system searches in its own thread, and its answer is shown as soon as it is ready.

Latencies are measured afterwards, one system at a time: concurrent systems would slow each other down.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, replace

from core.retrieval.answer import Answer
from core.workspace.profile import SystemSettings
from core.workspace.timing import repeated
from dashboard.shared import data, live

PATIENCE_SECONDS = 0.5


def answer_query(
    opened: data.Opened,
    settings: SystemSettings,
    query: str,
    depth: int,
    explained: int,
    excluded: Collection[str] = (),
) -> Answer:
    """Search with one system.

    Args:
        depth: the number of documents to retrieve.
        explained: the number of top documents whose scores are explained.
        excluded: documents to leave out.

    Raises:
        UserError: the system cannot load.
    """
    from core.retrieval.systems import search_without

    ready = live.ready_system(opened, settings)
    with ready.lock:
        (answer,) = search_without(ready.system, [query], depth, [excluded])
        parts = {document: ready.system.explain(query, document) for document in answer.ranking[:explained]}
    return replace(answer, parts=parts)


@dataclass(frozen=True)
class Latency:
    """The seconds of each step of the median of `times` searches."""

    seconds: dict[str, float]
    times: int


def measure_latency(opened: data.Opened, settings: SystemSettings, query: str, depth: int) -> Latency | None:
    """Measure the latency of a query that the system has just answered, while no other system is being measured.

    Returns None if other measurements do not finish within PATIENCE_SECONDS.

    Raises:
        UserError: the system cannot load.
    """
    ready = live.ready_system(opened, settings)
    if not live.TIMING.acquire(timeout=PATIENCE_SECONDS):
        return None
    try:
        with ready.lock:
            runs = repeated(lambda: ready.system.search([query], depth)[0].seconds)
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
) -> Iterator[tuple[str, Answer | Exception]]:
    """Yield (system name, its answer or the exception), in the order in which the systems finish.

    Args:
        explained, excluded: as in `answer_query`; only BM25 scores are explained.
    """
    with ThreadPoolExecutor(max(len(systems), 1), "answer") as pool:
        asked = {
            pool.submit(answer_query, opened, s, query, depth, explained if s.kind == "bm25" else 0, excluded): s.name
            for s in systems
        }
        for done in as_completed(asked):
            try:
                yield asked[done], done.result()
            except Exception as error:  # one failing system must not stop the others
                yield asked[done], error


def places(answers: Mapping[str, Answer], labels: Mapping[str, str]) -> dict[str, str]:
    """Return a text with the rank of each retrieved document in each system.

    Args:
        labels: system name -> label.
    """
    where: dict[str, list[str]] = {}
    for name, answer in answers.items():
        for rank, document in enumerate(answer.ranking, 1):
            where.setdefault(document, []).append(f"{rank} in {labels[name]}")
    return {document: f"rank {', '.join(texts)}" for document, texts in where.items()}
