"""The order of a ranking: by descending score, ties in collection order."""

import numpy as np

BLOCKS = 4
"""Blocks of scores per requested document; with fewer blocks the lower bound is looser and more candidates pass."""


MIN_BLOCK_WIDTH = 128
"""Minimum number of scores per block; taking the maxima of narrower blocks costs more than it saves."""


def top_k(scores: np.ndarray, k: int, above: float | None = None) -> np.ndarray:
    """Return the positions of the k highest scores, best first, ties by position.

    Args:
        scores: float [n], without NaN.
        k: the number of positions; all n are returned if k exceeds n.
        above: only scores greater than this count; None for no threshold.

    Returns:
        int64 [k], or shorter if fewer scores qualify.
    """
    if k == 0:
        return np.empty(0, dtype=np.int64)
    floor = _floor(scores, k)
    candidates = np.flatnonzero(scores >= floor if above is None or floor > above else scores > above)
    values = scores[candidates]
    if k < len(values):
        # Keep all scores that reach the k-th best, so that ties at the cut-off are broken by position too.
        reaches = values >= np.partition(values, -k)[-k]
        candidates, values = candidates[reaches], values[reaches]
    # numpy's stable sort takes five times as long as its fast sort followed by sorting the ties.
    order = np.argsort(-values)
    values = values[order]
    place = np.cumsum(np.concatenate(([False], values[1:] != values[:-1])))
    order = np.sort(place * len(candidates) + order) % len(candidates)
    return candidates[order[:k]]


def _floor(scores: np.ndarray, k: int) -> float:
    """Return a lower bound of the k-th highest score, or -inf if there are at most k scores.

    For long arrays the bound is the k-th highest block maximum, which is close to the k-th highest score and faster to
    compute.
    """
    width = len(scores) // (BLOCKS * k)
    if width >= MIN_BLOCK_WIDTH:
        scores = scores[: len(scores) // width * width].reshape(-1, width).max(axis=1)
    return float(np.partition(scores, -k)[-k]) if k < len(scores) else -np.inf
