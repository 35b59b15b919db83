"""Effect of unjudged documents on nDCG: condensed lists, and bounds over all possible judgments."""

from collections.abc import Callable, Iterable, Mapping, Sequence

import numpy as np

from core.evaluation.measures import Evaluator, mean
from core.formats.qrels import Qrels, highest_grade
from core.formats.runs import Scores, first_ranked

Range = tuple[float, float]
"""Lower and upper bound."""


def condensed(scores: Scores, qrels: Qrels) -> Scores:
    """Return the run without its unjudged documents (condensed lists; Sakai, 2007).

    A topic without retrieved judged documents is left out, and so counts as 0 in the evaluation.
    """
    kept = {
        topic: {document: by_document[document] for document in by_document.keys() & qrels.get(topic, {}).keys()}
        for topic, by_document in scores.items()
    }
    return {topic: by_document for topic, by_document in kept.items() if by_document}


def judged_by_grade(qrels: Qrels, highest: int) -> dict[str, np.ndarray]:
    """Return, for each topic, the number of documents judged 1 or more, 2 or more, ..., int [highest]."""
    grades = np.arange(1, highest + 1)[:, None]
    return {topic: (np.array(list(by.values())) >= grades).sum(axis=1) for topic, by in qrels.items()}


def ndcg_range(
    a: Scores, b: Scores, qrels: Qrels, k: int, highest: int, counts: Mapping[str, np.ndarray] | None = None
) -> dict[str, Range]:
    """Return, for each judged topic, the bounds of nDCG@k of a minus nDCG@k of b over all possible judgments.

    Every unjudged document in the top k of a or b may get any integer grade from 0 to `highest`, the same in both
    lists. The ideal ranking changes accordingly, since these documents become judged; all other documents keep their
    status.
    The bounds are exact: each is attained by some assignment of grades.

    Args:
        b: the other run; {} for the bounds of a alone.
        highest: the highest grade of the collection.
        counts: the result of `judged_by_grade`, which many runs share.
    """
    counts = counts or judged_by_grade(qrels, highest)
    depth = np.arange(2, k + 2)
    bounds = {}
    for topic, judgments in qrels.items():
        weights: dict[str, float] = {}
        for sign, scores in ((1.0, a), (-1.0, b)):
            first = first_ranked(scores.get(topic, {}), k)
            for document, discount in zip(first, sign / np.log2(depth), strict=False):
                weights[document] = weights.get(document, 0.0) + float(discount)
        fixed = sum(weight * max(judgments.get(document, 0), 0) for document, weight in weights.items())
        free = [weight for document, weight in weights.items() if document not in judgments]
        lowest = -_highest_ratio(-fixed, [-weight for weight in free], counts[topic], k)
        bounds[topic] = (lowest, _highest_ratio(fixed, free, counts[topic], k))
    return bounds


def figures(
    systems: Iterable[str], scores_of: Callable[[str], Scores], baseline: str, qrels: Qrels, k: int
) -> dict[str, dict[str, float]]:
    """Return means over topics for each system.

    They are Judged@k, nDCG@k, plain and of the condensed list, its bounds, and those of its difference to the baseline.

    Args:
        scores_of: returns a system's run; called for one system at a time, so that not all runs are in memory.
    """
    measure, judged = f"nDCG@{k}", f"Judged@{k}"
    highest = max(1, highest_grade(qrels))
    counts, evaluator = judged_by_grade(qrels, highest), Evaluator(qrels, [measure, judged])

    def first(scores: Scores) -> Scores:
        """Return the first k documents of each judged topic, which are all that the figures need."""
        return {t: {d: scores[t][d] for d in first_ranked(scores[t], k)} for t in qrels if t in scores}

    b = first(scores_of(baseline))
    of_b = mean(evaluator.evaluate(b)[measure])
    rows = {}
    for system in systems:
        scores = scores_of(system)
        a = first(scores)
        of_a = evaluator.evaluate(a)
        own, apart = (ndcg_range(a, other, qrels, k, highest, counts).values() for other in ({}, b))
        rows[system] = {
            judged: mean(of_a[judged]),
            "nDCG": mean(of_a[measure]),
            "condensed": mean(evaluator.evaluate(first(condensed(scores, qrels)))[measure]),
            "lowest": sum(low for low, _ in own) / len(qrels),
            "highest": sum(high for _, high in own) / len(qrels),
            "difference": mean(of_a[measure]) - of_b,
            "difference lowest": sum(low for low, _ in apart) / len(qrels),
            "difference highest": sum(high for _, high in apart) / len(qrels),
        }
    return rows


def _highest_ratio(fixed: float, weights: Sequence[float], judged: np.ndarray, k: int) -> float:
    """Return the highest (fixed + sum of weight * grade) / ideal DCG over all integer grades of the free documents.

    Both sums split into layers, one per grade g: n(g) free documents get grade g or more, in the numerator those with
    the highest weights, and the ideal has judged[g - 1] + n(g) documents. The best ratio is found with Dinkelbach's
    algorithm (1967): the n(g) that are best for the current ratio, chosen independently in each layer, give a higher
    ratio, until it no longer improves.

    Args:
        weights: what grade 1 of each free document adds to the numerator, float [n_free].
        judged: the number of judged documents with grade 1 or more, 2 or more, ..., int [highest grade].
    """
    added = np.concatenate([[0.0], np.cumsum(np.sort(weights)[::-1])])
    discounts = np.concatenate([[0.0], np.cumsum(1 / np.log2(np.arange(2, k + 2)))])
    ideal = discounts[np.minimum(judged[:, None] + np.arange(len(added)), k)]  # [layers, n_free + 1]
    best = fixed / ideal[:, 0].sum() if ideal[:, 0].any() else 0.0
    while True:
        gain = added - best * ideal
        if best < 0:
            # Independent layers could now assign grade 2 to more documents than grade 1, which is impossible, so all
            # layers must use the same n.
            gain = np.broadcast_to(gain.sum(axis=0), gain.shape)
        chosen = len(added) - 1 - gain[:, ::-1].argmax(axis=1)
        below = ideal[np.arange(len(judged)), chosen].sum()
        ratio = (fixed + added[chosen].sum()) / below if below else 0.0
        if ratio <= best + 1e-12:
            return float(best)
        best = ratio
