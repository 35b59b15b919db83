"""What unjudged documents may do to nDCG: condensed lists, and bounds over all possible judgments."""

from collections.abc import Sequence

import numpy as np

from core.evaluation.measures import evaluate, mean
from core.formats.qrels import Qrels
from core.formats.runs import Scores, first_ranked

Range = tuple[float, float]
"""Lowest, highest."""


def condensed(scores: Scores, qrels: Qrels) -> Scores:
    """Return the run without its unjudged documents, the others moved up (condensed lists, Sakai, 2007).

    A topic of which nothing judged was retrieved is left out, and counts 0 when the rest is evaluated.
    """
    kept = {
        topic: {document: score for document, score in by_document.items() if document in qrels.get(topic, {})}
        for topic, by_document in scores.items()
    }
    return {topic: by_document for topic, by_document in kept.items() if by_document}


def ndcg_range(a: Scores, b: Scores, qrels: Qrels, k: int, highest: int) -> dict[str, Range]:
    """Return for each judged topic the lowest and the highest nDCG@k of a minus nDCG@k of b that judging could give.

    Judged is every document among the first k of a or b that has no judgment yet, with any whole grade from 0 to
    `highest`, each document the same grade in both lists. The ideal list changes with it: a document that is found
    relevant now belongs to the topic's judged documents. Documents that neither list shows stay as they are. The
    bounds are exact: some assignment of grades gives each.

    Args:
        b: {} for the range of a alone.
        highest: the highest grade of the collection.
    """
    depth = np.arange(2, k + 2)
    found = {}
    for topic, judgments in qrels.items():
        weights: dict[str, float] = {}
        for sign, scores in ((1.0, a), (-1.0, b)):
            first = first_ranked(scores.get(topic, {}), k)
            for document, discount in zip(first, sign / np.log2(depth), strict=False):
                weights[document] = weights.get(document, 0.0) + float(discount)
        gains = np.array([max(grade, 0) for grade in judgments.values()])
        fixed = sum(weight * max(judgments.get(document, 0), 0) for document, weight in weights.items())
        free = [weight for document, weight in weights.items() if document not in judgments]
        judged = np.array([(gains >= grade).sum() for grade in range(1, highest + 1)])
        lowest = -_highest_ratio(-fixed, [-weight for weight in free], judged, k)
        found[topic] = (lowest, _highest_ratio(fixed, free, judged, k))
    return found


def figures(a: Scores, b: Scores, qrels: Qrels, k: int) -> dict[str, float]:
    """Return the means over topics of what the unjudged documents do to nDCG@k of a, and to its difference to b."""
    measure, judged = f"nDCG@{k}", f"Judged@{k}"
    highest = max(1, max(grade for judgments in qrels.values() for grade in judgments.values()))
    of_a, of_b = (evaluate(scores, qrels, [measure, judged]) for scores in (a, b))
    left = condensed(a, qrels)
    own, apart = (ndcg_range(a, other, qrels, k, highest).values() for other in ({}, b))
    return {
        judged: mean(of_a[judged]),
        "nDCG": mean(of_a[measure]),
        "condensed": mean(evaluate(left, qrels, [measure])[measure]),
        "lowest": sum(low for low, _ in own) / len(qrels),
        "highest": sum(high for _, high in own) / len(qrels),
        "difference": mean(of_a[measure]) - mean(of_b[measure]),
        "difference lowest": sum(low for low, _ in apart) / len(qrels),
        "difference highest": sum(high for _, high in apart) / len(qrels),
    }


def _highest_ratio(fixed: float, weights: Sequence[float], judged: np.ndarray, k: int) -> float:
    """Return the highest (fixed + sum of weight * grade) / ideal DCG over all whole grades for the free documents.

    Both sums part into layers, one a grade g: the n(g) free documents that get g or more, for the numerator those of
    the highest weights, and judged[g - 1] + n(g) documents in the ideal. The best ratio is found as Dinkelbach (1967)
    does: for the ratio at hand, the best n(g) of every layer by itself gives a higher one, until none does.

    Args:
        weights: what a grade of 1 for each free document adds to the numerator, float [n_free].
        judged: how many judged documents have grade 1 or more, 2 or more, ..., int [highest grade].
    """
    added = np.concatenate([[0.0], np.cumsum(np.sort(weights)[::-1])])
    discounts = np.concatenate([[0.0], np.cumsum(1 / np.log2(np.arange(2, k + 2)))])
    ideal = discounts[np.minimum(judged[:, None] + np.arange(len(added)), k)]  # [layers, n_free + 1]
    best = fixed / ideal[:, 0].sum() if ideal[:, 0].any() else 0.0
    while True:
        gain = added - best * ideal
        if best < 0:
            # More free documents now pay most where fewest are judged, which would give more of them 2 than 1: as
            # a document of grade 2 is also one of grade 1, all layers take the same number.
            gain = np.broadcast_to(gain.sum(axis=0), gain.shape)
        chosen = len(added) - 1 - gain[:, ::-1].argmax(axis=1)
        below = ideal[np.arange(len(judged)), chosen].sum()
        ratio = (fixed + added[chosen].sum()) / below if below else 0.0
        if ratio <= best + 1e-12:
            return float(best)
        best = ratio
