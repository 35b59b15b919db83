"""The difference of two systems' nDCG@k on one topic, split by document.

nDCG@k as trec_eval's ndcg_cut has it (Järvelin & Kekäläinen, 2002, with the discount of Burges et al., 2005):

    nDCG@k = sum over the documents d at ranks r <= k of  share(d, r),    share(d, r) = gain(d) / log2(r + 1) / ideal

The gain is the grade, none for a grade below 1 and for an unjudged document; `ideal` is the same sum over all judged
documents of the topic, the highest grades first. nDCG being a sum over documents, so is the difference of two systems:
each document adds its share in one list minus its share in the other, and nothing is left over.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

Change = Literal["entered", "left", "moved", "stayed"]


CHANGES: tuple[Change, ...] = get_args(Change)


ROUNDING = 1e-12
"""Sums of shares that differ by less are equal."""


@dataclass(frozen=True)
class Part:
    """What one document adds to nDCG@k of a minus nDCG@k of b.

    Ranks are those of the whole lists, None where a list does not hold the document; the grade is None where it is
    unjudged. "entered" is in the first k of a and not of b, "left" the other way round.
    """

    document: str
    grade: int | None
    rank_a: int | None
    rank_b: int | None
    change: Change
    value: float


def ideal_ranking(judgments: Mapping[str, int]) -> list[tuple[str, int]]:
    """Return the topic's relevant (document, grade), best first; equal grades by document id, last first."""
    relevant = [(document, grade) for document, grade in judgments.items() if grade > 0]
    return sorted(relevant, key=lambda pair: (pair[1], pair[0]), reverse=True)


def shares(ranking: Sequence[str], judgments: Mapping[str, int], k: int) -> dict[str, float]:
    """Return the share of nDCG@k of each of a list's first k documents; their sum is nDCG@k.

    Args:
        ranking: documents, best first, in trec_eval's order (`core.formats.runs.ranked`).
    """
    gains = [grade for _, grade in ideal_ranking(judgments)[:k]]
    ideal = math.fsum(gain / math.log2(rank + 1) for rank, gain in enumerate(gains, 1))
    return {
        document: max(judgments.get(document, 0), 0) / math.log2(rank + 1) / ideal if ideal else 0.0
        for rank, document in enumerate(ranking[:k], 1)
    }


def total(parts: Sequence[Part]) -> float:
    """Return the sum of the parts, which is nDCG@k of a minus nDCG@k of b; what is left of rounding is 0."""
    value = math.fsum(part.value for part in parts)
    return value if abs(value) > ROUNDING else 0.0


def split_difference(a: Sequence[str], b: Sequence[str], judgments: Mapping[str, int], k: int) -> list[Part]:
    """Return a part for every document among the first k of either list.

    The values add up to nDCG@k of a minus nDCG@k of b. Parts that have the sign of that difference come first, the
    largest of them at the head; then those that go against it, again from the largest. Where the difference is 0, the
    parts are in the order of their size.
    """
    in_a, in_b = shares(a, judgments, k), shares(b, judgments, k)
    rank_a = {document: rank for rank, document in enumerate(a, 1)}
    rank_b = {document: rank for rank, document in enumerate(b, 1)}

    def change(document: str) -> Change:
        if document not in in_b:
            return "entered"
        if document not in in_a:
            return "left"
        return "stayed" if rank_a[document] == rank_b[document] else "moved"

    parts = [
        Part(
            document,
            judgments.get(document),
            rank_a.get(document),
            rank_b.get(document),
            change(document),
            in_a.get(document, 0.0) - in_b.get(document, 0.0),
        )
        for document in dict.fromkeys([*in_a, *in_b])
    ]
    difference = total(parts)
    return sorted(parts, key=lambda part: (part.value * difference <= 0 < abs(difference), -abs(part.value)))
