"""Sums of randomly signed differences for many pairs of systems at once, compiled."""

import numpy as np

from core.workspace.compiled import compiled

TILE = 256
"""Number of resamples at a time, whose uniform numbers stay in the cache while all pairs use them."""


@compiled(nogil=True)
def add_weights(
    uniform: np.ndarray,
    sizes: np.ndarray,
    positive: np.ndarray,
    tilt: np.ndarray,
    log_cosh: np.ndarray,
    observed: np.ndarray,
    added: np.ndarray,
) -> None:
    """Add the weights of the resamples whose sum is at least the observed one; see `significance._weights`.

    Args:
        uniform: uniform random numbers, float64 [n_topics, n_resamples].
        sizes: the absolute differences, float64 [n_pairs, n_topics].
        positive: the probabilities of a positive sign, float64 [n_pairs, n_topics].
        tilt, log_cosh, observed: float64 [n_pairs].
        added: the summed weights and their squares, float64 [2, n_pairs], updated in place.
    """
    topics, resamples = uniform.shape
    draws = np.empty(TILE)
    for begin in range(0, resamples, TILE):
        count = min(TILE, resamples - begin)
        for pair in range(len(sizes)):
            draws[:count] = -sizes[pair].sum()
            for topic in range(topics):
                twice, share = 2 * sizes[pair, topic], positive[pair, topic]
                row = uniform[topic, begin : begin + count]
                for i in range(count):
                    draws[i] += twice if row[i] < share else 0.0
            for i in range(count):
                if draws[i] >= observed[pair]:
                    weight = np.exp(log_cosh[pair] - tilt[pair] * draws[i])
                    added[0, pair] += weight
                    added[1, pair] += weight * weight
