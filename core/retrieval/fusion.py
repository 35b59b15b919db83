"""Rank fusion."""

from collections.abc import Mapping, Sequence

from core.formats.runs import ranked
from core.retrieval.answer import Answer

K = 60
"""The paper's constant; the larger it is, the less the top ranks dominate."""


def reciprocal_rank_fusion(rankings: Sequence[Sequence[str]], k: int = K) -> list[tuple[str, float]]:
    """Fuse rankings by reciprocal rank (Cormack, Clarke & Büttcher, 2009): score(d) = sum of 1 / (k + rank of d).

    A ranking contributes nothing to documents that it does not contain.

    Args:
        rankings: document ids, best first, without duplicates within a ranking.

    Returns:
        (document, score) pairs in trec_eval's order: by descending score, ties by descending document id.
    """
    scores: dict[str, float] = {}
    for ranking in rankings:
        for rank, document in enumerate(ranking, 1):
            scores[document] = scores.get(document, 0.0) + 1 / (k + rank)
    return ranked(scores)


def fuse(answers: Mapping[str, Answer]) -> Answer:
    """Fuse the answers of several systems, by name, by reciprocal ranks."""
    return Answer(reciprocal_rank_fusion([answer.ranking for answer in answers.values()]))
