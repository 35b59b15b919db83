"""Rank fusion: one ranking from those of several systems, by reciprocal ranks or by normalised scores."""

import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from core.formats.runs import ranked
from core.retrieval.answer import Answer, depths
from core.workspace.errors import UserError
from core.workspace.profile import FusionSettings, SystemSettings

if TYPE_CHECKING:
    from core.retrieval.systems import System

K = FusionSettings().k

Hits = Sequence[tuple[str, float]]
"""(document, score) pairs, best first."""


def contributions(
    lists: Sequence[Hits], settings: FusionSettings, lowest: Sequence[float] = ()
) -> dict[str, list[float]]:
    """Return what each list adds to the fused score of each document, in the order of the lists.

    By reciprocal ranks (Cormack, Clarke & Büttcher, 2009), a list adds weight / (k + rank). By normalised scores
    (Bruch, Gai & Ingber, 2023), it adds weight * normalised score; the weights are divided by their sum. A list adds 0
    to the documents that it lacks; by z-score it adds what it adds to its last document, since 0 would be its mean.

    Args:
        lowest: the lowest possible score of each list's system, for "theoretical".
    """
    weights = np.array(settings.weights or [1.0] * len(lists))
    if settings.by != "reciprocal ranks":
        weights = weights / weights.sum()
    documents = list(dict.fromkeys(document for hits in lists for document, _ in hits))
    row = {document: i for i, document in enumerate(documents)}
    table = np.zeros((len(documents), len(lists)))
    for column, (hits, weight) in enumerate(zip(lists, weights, strict=True)):
        if not hits:
            continue
        if settings.by == "reciprocal ranks":
            values = 1 / (settings.k + np.arange(1, len(hits) + 1))
        else:
            values = _normalised(
                np.array([score for _, score in hits]), settings.by, lowest[column] if lowest else None
            )
        if settings.by == "z-score":
            table[:, column] = weight * values.min()
        table[[row[document] for document, _ in hits], column] = weight * values
    return dict(zip(documents, table.tolist(), strict=True))


def _normalised(scores: np.ndarray, by: str, lowest: float | None) -> np.ndarray:
    """Return a list's scores, shifted and scaled, float64 [n].

    "min-max" maps the lowest retrieved score to 0 and the highest to 1, "theoretical" the lowest possible score to 0
    and the highest retrieved to 1, and "z-score" the mean to 0 and the standard deviation to 1. Scores that are all the
    same become 1, and 0 by z-score.
    """
    if by == "z-score":
        return np.asarray((scores - scores.mean()) / (scores.std() or 1.0))
    least = scores.min() if lowest is None else lowest
    return np.asarray((scores - least) / (scores.max() - least)) if scores.max() > least else np.ones(len(scores))


def lowest_score(system: SystemSettings) -> float:
    """Return the lowest score that a system can give.

    Raises:
        UserError: if its scores have no lower bound that is known.
    """
    if system.kind == "bm25" or (system.kind == "fusion" and system.fusion.by != "z-score"):
        return 0.0
    if system.kind == "dense" and system.similarity == "cosine":
        return -1.0
    raise UserError(
        f'the scores of {system.name} have no known lower bound, which fusion by = "theoretical" needs; use "min-max"'
    )


def fuse(lists: Sequence[Hits], settings: FusionSettings, lowest: Sequence[float] = ()) -> list[tuple[str, float]]:
    """Return the documents with the sums of their `contributions`, in trec_eval's order."""
    return ranked({document: sum(parts) for document, parts in contributions(lists, settings, lowest).items()})


def reciprocal_rank_fusion(rankings: Sequence[Sequence[str]], k: int = K) -> list[tuple[str, float]]:
    """Fuse rankings, document ids without duplicates, by reciprocal ranks; see `contributions`."""
    return fuse([[(document, 0.0) for document in ranking] for ranking in rankings], FusionSettings(k=k))


def fuse_answers(answers: Mapping[str, Answer]) -> Answer:
    """Fuse the answers of several systems, by name, by reciprocal ranks."""
    return Answer(fuse([answer.hits for answer in answers.values()], FusionSettings()))


class FusionSystem:
    """The fusion of other systems, each searched to the same depth whatever number of documents is asked for."""

    def __init__(self, settings: SystemSettings, parts: Sequence["System"], depth: int):
        """Take the open systems in the order of `settings.of`.

        Args:
            depth: number of documents from each of them.
        """
        self.settings, self.parts, self.depth = settings, parts, depth
        by_bound = settings.fusion.by == "theoretical"
        self._lowest = [lowest_score(part.settings) for part in parts] if by_bound else []
        self._last: tuple[str, list[Answer], dict[str, list[float]]] = ("", [], {})

    def search(self, queries: Sequence[str], k: int | Sequence[int]) -> list[Answer]:
        """See `System`; the seconds of the parts are added up by step."""
        if not queries:
            return []
        found = [part.search(queries, self.depth) for part in self.parts]
        answers = []
        for query, depth, *lists in zip(queries, depths(queries, k), *found, strict=True):
            started = time.perf_counter()
            parts = contributions([answer.hits for answer in lists], self.settings.fusion, self._lowest)
            hits = ranked({document: sum(values) for document, values in parts.items()})[:depth]
            seconds: dict[str, float] = {}
            for answer in lists:
                for step, duration in answer.seconds.items():
                    seconds[step] = seconds.get(step, 0.0) + duration
            answers.append(Answer(hits, seconds | {"fuse": time.perf_counter() - started}))
            self._last = query, lists, parts
        return answers

    def explain(self, query: str, document: str) -> list[tuple[str, float]]:
        """See `System`; one contribution per system, with the document's rank in it; none if no system retrieved it."""
        if not self._last[1] or self._last[0] != query:
            self.search([query], 1)
        _, lists, parts = self._last
        if document not in parts:
            return []
        named = []
        for part, answer, value in zip(self.parts, lists, parts[document], strict=True):
            ranking = answer.ranking
            place = f"rank {ranking.index(document) + 1}" if document in ranking else f"not in its first {self.depth}"
            named.append((f"{part.settings.label or part.settings.name}, {place}", value))
        return named
