"""Effectiveness and time per query of a re-ranker by the number of documents that it reads."""

import statistics
from collections.abc import Sequence
from typing import TYPE_CHECKING, cast

import pandas as pd

from core.evaluation.measures import Evaluator, mean
from core.evaluation.results import Results
from core.evaluation.table_formats import Table
from core.retrieval.kinds import open_system
from core.retrieval.systems import System, search_without
from core.workspace.errors import UserError
from core.workspace.profile import SystemSettings, find_settings
from core.workspace.timing import THREADS, limited_threads

if TYPE_CHECKING:
    from core.retrieval.rerank import RerankSystem

DEPTHS = (10, 20, 50, 100)


def rerank_depths(results: Results, system: str = "", measure: str = "", depths: Sequence[int] = DEPTHS) -> Table:
    """A re-ranker by the number of documents that it reads: effectiveness, and seconds per query on one thread.

    Raises:
        UserError: if there is no such re-ranker, one of its artifacts or its model is missing, or a depth is not from 1
            to the profile's.
    """
    profile, settings = results.profile, _reranker(results, system)
    if wrong := [depth for depth in depths if not 1 <= depth <= profile.depth]:
        raise UserError(f"--depths {wrong[0]}: expected numbers from 1 to {profile.depth}, the profile's depth")
    reranked = cast("RerankSystem", open_system(profile, settings, results.folder))
    first = reranked.first
    measure = measure or profile.measures[0]
    evaluator = Evaluator(results.qrels, [measure])
    label = first.settings.label or first.settings.name
    rows = {f"0 ({label})": _row(results, first, evaluator, measure)}
    for depth in sorted(set(depths)):
        reranked.settings = settings.model_copy(update={"depth": depth})
        rows[str(depth)] = _row(results, reranked, evaluator, measure)
    table = pd.DataFrame(rows).T.rename_axis("documents read")
    about = f"{results.labels.get(settings.name, settings.name)} over {label}: {measure} and seconds per query"
    how = f"Median over {len(results.topics)} topics, {THREADS} thread, {reranked.model.runtime['runtime']}"
    return Table(table, f"{results.folder.name}: {about} by number of documents read. {how}.")


def _reranker(results: Results, system: str) -> SystemSettings:
    rerankers = [one for one in results.profile.system if one.kind == "rerank"]
    if system:
        rerankers = [one for one in rerankers if one.name == find_settings(results.profile, system).name]
    if not rerankers:
        raise UserError(
            f"{system} is no re-ranker" if system else f"the profile of {results.folder.name} has no re-ranker"
        )
    return rerankers[0]


def _row(results: Results, system: System, evaluator: Evaluator, measure: str) -> dict[str, float]:
    """Return the mean of a measure over the topics and the median time of a query, in all and of the re-ranking."""
    field = results.profile.collection.topic_field
    scores: dict[str, dict[str, float]] = {}
    seconds: list[dict[str, float]] = []
    with limited_threads(THREADS):
        for topic in results.topics.values():
            excluded = results.excluded.get(topic.id, set())
            (answer,) = search_without(system, [topic.text(field)], results.profile.depth, [excluded])
            # The rank is the score, as ties of scores are the system's to break.
            scores[topic.id] = {name: -float(rank) for rank, name in enumerate(answer.ranking)}
            seconds.append(answer.seconds)
    return {
        measure: mean(evaluator.evaluate(scores)[measure]),
        "seconds per query": statistics.median(sum(one.values()) for one in seconds),
        "of these re-ranking": statistics.median(one.get("rerank", 0.0) for one in seconds),
    }
