"""Answers to a live query: every system searches in its own thread, and its answer is shown as soon as it is ready.

Latencies are measured afterwards, one system at a time: concurrent systems would slow each other down.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, replace

from core.evaluation.measures import evaluate
from core.retrieval.answer import Answer
from core.workspace.profile import SystemSettings
from core.workspace.timing import repeated
from dashboard.shared import data, live
from dashboard.shared.ranked_lists import Chip, rank_chip

PATIENCE_SECONDS = 0.5
TOGETHER_SECONDS = 0.2
"""Answers that are ready within this time are drawn together, once; later ones as they come."""
DEPTH = 100
"""Number of documents retrieved from each system, for fusion and for the ranks in other columns."""
NDCG = "nDCG@10"
UNEXPLAINED = ("dense", "rerank")
"""Kinds of systems whose scores are not explained in the lists."""


def answer_query(
    opened: data.Opened, settings: SystemSettings, query: str, explained: int, excluded: Collection[str] = ()
) -> Answer:
    """Search with one system.

    Args:
        explained: the number of top documents whose scores are explained.
        excluded: documents to leave out.

    Raises:
        UserError: the system cannot load.
    """
    from core.retrieval.systems import search_without

    ready = live.ready_system(opened, settings)
    with ready.lock:
        (answer,) = search_without(ready.system, [query], DEPTH, [excluded])
        parts = {document: ready.system.explain(query, document) for document in answer.ranking[:explained]}
    return replace(answer, parts={**answer.parts, **parts})


@dataclass(frozen=True)
class Latency:
    """The seconds of each step of the median of `times` searches."""

    seconds: dict[str, float]
    times: int


def measure_latency(opened: data.Opened, settings: SystemSettings, query: str) -> Latency | None:
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
            runs = repeated(lambda: ready.system.search([query], DEPTH)[0].seconds)
    finally:
        live.TIMING.release()
    in_order = sorted(runs, key=lambda seconds: sum(seconds.values()))
    return Latency(in_order[len(in_order) // 2], len(in_order))


Batch = dict[str, Answer | Exception]
"""system -> its answer, or why it has none."""


def in_batches(
    opened: data.Opened,
    systems: Sequence[SystemSettings],
    query: str,
    explained: int,
    excluded: Collection[str] = (),
) -> Iterator[Batch]:
    """Yield the answers in batches: those ready within TOGETHER_SECONDS, which may be none, then others as they come.

    Args:
        explained, excluded: as in `answer_query`. The score of a dense system is not explained, since it has one part;
            that of a re-ranker is by its answer, since to explain more takes a pass of the model per word.
    """
    with ThreadPoolExecutor(max(len(systems), 1), "answer") as pool:
        asked = {
            pool.submit(answer_query, opened, s, query, 0 if s.kind in UNEXPLAINED else explained, excluded): s.name
            for s in systems
        }
        done, waiting = wait(asked, TOGETHER_SECONDS)
        yield {asked[future]: _result(future) for future in done}
        while waiting:
            done, waiting = wait(waiting, return_when=FIRST_COMPLETED)
            yield {asked[future]: _result(future) for future in done}


def _result(future: "Future[Answer]") -> Answer | Exception:
    try:
        return future.result()
    except Exception as error:  # one failing system must not stop the others
        return error


def shared_documents(rankings: Iterable[Sequence[str]], k: int) -> set[str]:
    """Return the documents in the top k of every ranking."""
    return set.intersection(*(set(ranking[:k]) for ranking in rankings))


def chips(document: str, rank: int, others: Mapping[str, tuple[str, str, Mapping[str, int]]], k: int) -> list[Chip]:
    """Return the rank of a document in the other systems, after "new" if none of them has it in its top k.

    Args:
        rank: its rank here.
        others: system -> its letter, its label, and the rank of each document.
    """
    ranks = {name: by_document.get(document) for name, (_, _, by_document) in others.items()}
    is_new = bool(others) and all(there is None or there > k for there in ranks.values())
    first = [Chip("new", f"in the top {k} of no other system", "new")] if is_new else []
    return first + [rank_chip(letter, rank, ranks[name], label) for name, (letter, label, _) in others.items()]


def topic_ndcg(answer: Answer, topic: str, judgments: Mapping[str, int]) -> float:
    """Return the nDCG@10 of the answer to a judged topic."""
    return evaluate({topic: dict(answer.hits)}, {topic: dict(judgments)}, [NDCG])[NDCG][topic]
