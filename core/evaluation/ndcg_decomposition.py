"""Decomposition of the difference of two systems' nDCG@k on one topic by document.

nDCG@k is defined as trec_eval's ndcg_cut (Järvelin & Kekäläinen, 2002, with the discount of Burges et al., 2005):

    nDCG@k = sum over the documents d at ranks r <= k of  share(d, r),    share(d, r) = gain(d) / log2(r + 1) / ideal

The gain is the grade, or 0 for grades below 1 and unjudged documents; `ideal` is the DCG@k of the topic's judged
documents sorted by grade. Since nDCG is a sum over documents, so is the difference of two systems: each document
contributes its share in one list minus its share in the other.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

Change = Literal["entered", "dropped out", "re-ranked", "unchanged"]


CHANGES: tuple[Change, ...] = get_args(Change)


ROUNDING = 1e-12
"""Tolerance below which sums of shares count as equal."""


@dataclass(frozen=True)
class Part:
    """The contribution of one document to nDCG@k of a minus nDCG@k of b.

    Ranks refer to the full lists and are None if the document is missing; the grade is None if it is unjudged. An
    "entered" document is in the top k of a only, one that "dropped out" is in the top k of b only.
    """

    document: str
    grade: int | None
    rank_a: int | None
    rank_b: int | None
    change: Change
    value: float


def ideal_ranking(judgments: Mapping[str, int]) -> list[tuple[str, int]]:
    """Return the topic's relevant (document, grade) pairs, by descending grade, ties by descending document id."""
    relevant = [(document, grade) for document, grade in judgments.items() if grade > 0]
    return sorted(relevant, key=lambda pair: (pair[1], pair[0]), reverse=True)


def shares(ranking: Sequence[str], judgments: Mapping[str, int], k: int) -> dict[str, float]:
    """Return the share of nDCG@k of each document in the top k of a list; the shares add up to nDCG@k.

    Args:
        ranking: document ids, best first, in trec_eval's order (`core.formats.runs.ranked`).
    """
    gains = [grade for _, grade in ideal_ranking(judgments)[:k]]
    ideal = math.fsum(gain / math.log2(rank + 1) for rank, gain in enumerate(gains, 1))
    return {
        document: max(judgments.get(document, 0), 0) / math.log2(rank + 1) / ideal if ideal else 0.0
        for rank, document in enumerate(ranking[:k], 1)
    }


def total(parts: Sequence[Part]) -> float:
    """Return the sum of the parts, nDCG@k of a minus nDCG@k of b, with rounding residue set to 0."""
    value = math.fsum(part.value for part in parts)
    return value if abs(value) > ROUNDING else 0.0


def split_difference(a: Sequence[str], b: Sequence[str], judgments: Mapping[str, int], k: int) -> list[Part]:
    """Return a part for every document in the top k of either list.

    The values add up to nDCG@k of a minus nDCG@k of b. Parts with the sign of that difference come first, then the
    others, both by descending magnitude. If the difference is 0, all parts are sorted by descending magnitude.
    """
    in_a, in_b = shares(a, judgments, k), shares(b, judgments, k)
    rank_a = {document: rank for rank, document in enumerate(a, 1)}
    rank_b = {document: rank for rank, document in enumerate(b, 1)}

    def change(document: str) -> Change:
        if document not in in_b:
            return "entered"
        if document not in in_a:
            return "dropped out"
        return "unchanged" if rank_a[document] == rank_b[document] else "re-ranked"

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
