"""Recall of approximate search against exact search."""

import numpy as np


def recall_at_k(found: np.ndarray, exact: np.ndarray) -> float:
    """Return the mean share of the exact k nearest neighbours that were found.

    Args:
        found: positions, int64 [n_queries, k], -1 where fewer were found.
        exact: positions by exhaustive search, int64 [n_queries, k].
    """
    pairs = [(ours[ours >= 0], true[true >= 0]) for ours, true in zip(found, exact, strict=True)]
    return float(np.mean([len(np.intersect1d(ours, true)) / len(true) for ours, true in pairs]))
