"""Answers to a live query: every system searches in a thread of its own, and is handed over when it is done.

Latencies are measured afterwards, one system at a time: beside one another, systems wait for each other.
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
    """Let one system answer.

    Args:
        depth: how many documents to retrieve.
        explained: the number of documents, from the first, whose scores are explained.
        excluded: documents that are left out.

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
    """The seconds of each step of a search, of the median one of `times` searches."""

    seconds: dict[str, float]
    times: int


def measure_latency(opened: data.Opened, settings: SystemSettings, query: str, depth: int) -> Latency | None:
    """Measure how long a system takes for a query that it has answered just now; no other is measured meanwhile.

    Returns None where others are being measured, and its turn has not come within PATIENCE_SECONDS.

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
    """Yield (name of the system, its answer or why it cannot answer), the first to finish first.

    Args:
        explained, excluded: as in `answer_query`; only BM25's scores are explained.
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


def places(answers: Mapping[str, Answer], labels: Mapping[str, str]) -> dict[str, str]:
    """Return where each system ranks a document, as a text, for every document that one of them has.

    Args:
        labels: of the systems.
    """
    where: dict[str, list[str]] = {}
    for name, answer in answers.items():
        for rank, document in enumerate(answer.ranking, 1):
            where.setdefault(document, []).append(f"{rank} in {labels[name]}")
    return {document: ", ".join(texts) for document, texts in where.items()}
