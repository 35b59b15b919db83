"""The order of a ranking: by score, best first; documents of equal score in the collection's order."""

import numpy as np


def top_k(scores: np.ndarray, k: int) -> np.ndarray:
    """Return the positions of the k highest scores, best first, ties by position.

    Args:
        scores: float [n], no NaN.
        k: how many; all n when there are fewer.

    Returns:
        int64 [min(k, n)].
    """
    if k == 0:
        return np.empty(0, dtype=np.int64)
    if k < len(scores):
        # All that reach the k-th best score, so that ties at the border are settled by position too.
        threshold = np.partition(scores, len(scores) - k)[len(scores) - k]
        candidates = np.flatnonzero(scores >= threshold)
    else:
        candidates = np.arange(len(scores))
    order = np.argsort(-scores[candidates], kind="stable")
    return candidates[order[:k]]
