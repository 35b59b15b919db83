"""Fusion of rankings into one."""

from collections.abc import Mapping, Sequence

from core.formats.runs import ranked
from core.retrieval.answer import Answer

K = 60
"""The constant of the paper: the larger, the less the first ranks weigh against the later ones."""


def reciprocal_rank_fusion(rankings: Sequence[Sequence[str]], k: int = K) -> list[tuple[str, float]]:
    """Fuse rankings by their ranks alone (Cormack, Clarke & Büttcher, 2009): score(d) = sum of 1 / (k + rank of d).

    A ranking that does not hold a document adds nothing for it.

    Args:
        rankings: documents, best first, none twice in one ranking.

    Returns:
        (document, score) of every document, in trec_eval's order: by score, ties by document id, both descending.
    """
    scores: dict[str, float] = {}
    for ranking in rankings:
        for rank, document in enumerate(ranking, 1):
            scores[document] = scores.get(document, 0.0) + 1 / (k + rank)
    return ranked(scores)


def fuse(answers: Mapping[str, Answer]) -> Answer:
    """Fuse the answers of several systems, by name, by reciprocal ranks."""
    return Answer(reciprocal_rank_fusion([answer.ranking for answer in answers.values()]))
