"""The order of a ranking: by score, best first; documents of equal score in the collection's order."""

import numpy as np

BLOCKS = 4
"""Blocks of scores for each document that is wanted; fewer give a lower bound that more scores reach."""


NARROWEST = 128
"""Scores of a block; the maxima of narrower ones take longer than they save."""


def top_k(scores: np.ndarray, k: int, above: float | None = None) -> np.ndarray:
    """Return the positions of the k highest scores, best first, ties by position.

    Args:
        scores: float [n], no NaN.
        k: how many; all n when there are fewer.
        above: what a score must exceed; None for nothing.

    Returns:
        int64 [k], or fewer where fewer are above.
    """
    if k == 0:
        return np.empty(0, dtype=np.int64)
    floor = _floor(scores, k)
    candidates = np.flatnonzero(scores >= floor if above is None or floor > above else scores > above)
    found = scores[candidates]
    if k < len(found):
        # All that reach the k-th best score, so that ties at the border are settled by position too.
        reaches = found >= np.partition(found, -k)[-k]
        candidates, found = candidates[reaches], found[reaches]
    # numpy's stable sort takes five times as long as its fast one and a sort of what is equal.
    order = np.argsort(-found)
    found = found[order]
    place = np.cumsum(np.concatenate(([False], found[1:] != found[:-1])))
    order = np.sort(place * len(candidates) + order) % len(candidates)
    return candidates[order[:k]]


def _floor(scores: np.ndarray, k: int) -> float:
    """Return a score that at least k scores reach, -inf where there are not so many.

    In long arrays the k-th highest of the maxima of blocks, which is found faster and near the k-th highest score.
    """
    width = len(scores) // (BLOCKS * k)
    if width >= NARROWEST:
        scores = scores[: len(scores) // width * width].reshape(-1, width).max(axis=1)
    return float(np.partition(scores, -k)[-k]) if k < len(scores) else -np.inf
