"""Similarity of two rankings regardless of relevance: rank-biased overlap and the Jaccard coefficient."""

from collections.abc import Sequence

PERSISTENCE = 0.9
"""RBO's parameter p, with which the top 10 ranks carry 86 % of the weight (Webber et al., 2010, equation 21)."""


def rank_biased_overlap(a: Sequence[str], b: Sequence[str], p: float = PERSISTENCE) -> float:
    """Return the extrapolated rank-biased overlap of two lists without ties, from 0 (disjoint) to 1 (identical).

    This is RBO_ext of Webber, Moffat & Zobel, "A similarity measure for indefinite rankings" (2010), equation 32: the
    weighted mean, over depths d, of the share of documents common to the top d of both lists. Each depth weighs p times
    the one before, and agreement is extrapolated beyond the ends of the lists.

    Args:
        a, b: document ids, best first, without duplicates; the lists may differ in length.
        p: between 0 and 1, exclusive; higher values give more weight to deeper ranks.
    """
    short, long = sorted((a, b), key=len)
    s, n = len(short), len(long)
    if s == 0:
        return float(n == 0)
    seen_short: set[str] = set()
    seen_long: set[str] = set()
    common, total, common_at_s = 0, 0.0, 0
    for depth, document in enumerate(long, 1):
        seen_long.add(document)
        common += document in seen_short
        if depth <= s:
            seen_short.add(short[depth - 1])
            common += short[depth - 1] in seen_long
            common_at_s = common
        total += common / depth * p**depth
        if depth > s:
            total += common_at_s * (depth - s) / (s * depth) * p**depth
    return (1 - p) / p * total + ((common - common_at_s) / n + common_at_s / s) * p**n


def jaccard(a: Sequence[str], b: Sequence[str], k: int) -> float:
    """Return the Jaccard coefficient (Jaccard, 1912) of the top k of two lists."""
    first_a, first_b = set(a[:k]), set(b[:k])
    return len(first_a & first_b) / len(first_a | first_b) if first_a | first_b else 1.0
