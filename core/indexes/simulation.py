"""Simulation of vectors that resemble real ones, and estimation of the intrinsic dimension."""

import numpy as np

from core.indexes.base import unit_rows
from core.indexes.distinct import distinct_rows, group_equal_rows
from core.indexes.exact import ExactIndex
from core.workspace.errors import UserError

NEIGHBOURS = 32


SPREAD = 1.7


BATCH = 4096


LEAST_DISTINCT = 101
"""Minimum number of distinct vectors for an estimate of the intrinsic dimension."""


def simulate(vectors: np.ndarray, size: int, seed: int, rows: np.ndarray | None = None) -> np.ndarray:
    """Return `size` vectors of unit length, float32 [size, dimension]: the given ones first, then simulated ones.

    A simulated vector is a real one plus a random combination of its differences to its nearest distinct neighbours. If
    there are more than `size` vectors, a random sample is returned in the original order.

    Args:
        rows: the array to write to, such as a memory map; None allocates one.

    Raises:
        UserError: if there are too few distinct vectors to simulate from.
    """
    if 0 < size < len(vectors):
        drawn = np.random.default_rng(seed).choice(len(vectors), size, replace=False)
        return unit_rows(vectors[np.sort(drawn)])
    real = unit_rows(vectors)
    groups = group_equal_rows(real)
    distinct = real[np.unique(groups, return_index=True)[1]]
    if not len(distinct) > NEIGHBOURS or len(vectors) > size:
        raise UserError(
            f"cannot simulate {size} vectors from {len(distinct)} distinct ones; more than {NEIGHBOURS} are needed"
        )
    rows = np.empty((size, vectors.shape[1]), np.float32) if rows is None else rows
    rows[: len(vectors)] = real
    exact = ExactIndex("cosine")
    exact.build(distinct)
    neighbours = np.concatenate(
        [exact.search(distinct[i : i + BATCH], NEIGHBOURS + 1)[0] for i in range(0, len(distinct), BATCH)]
    )
    generator = np.random.default_rng(seed)
    for begin in range(len(real), size, BATCH):
        base = generator.integers(0, len(real), min(BATCH, size - begin))
        differences = distinct[neighbours[groups[base], 1:]] - real[base][:, None]
        weights = generator.normal(0, SPREAD / NEIGHBOURS**0.5, (len(base), NEIGHBOURS)).astype(np.float32)
        rows[begin : begin + len(base)] = unit_rows(real[base] + np.einsum("bk,bkd->bd", weights, differences))
    return rows


def intrinsic_dimension(vectors: np.ndarray, neighbours: int = 20, sample: int = 1000, seed: int = 13) -> float | None:
    """Return the maximum likelihood estimate of the intrinsic dimension of the vectors, scaled to unit length.

    The estimator is that of Levina & Bickel (2004), averaging inverse estimates (MacKay & Ghahramani, 2005), over a
    sample of the distinct vectors. Returns None if there are fewer than LEAST_DISTINCT or all distances are equal.
    """
    distinct = unit_rows(vectors)
    distinct = distinct[distinct_rows(distinct)]
    if len(distinct) < max(LEAST_DISTINCT, neighbours + 1):
        return None
    exact = ExactIndex("cosine")
    exact.build(distinct)
    chosen = np.random.default_rng(seed).choice(len(distinct), min(sample, len(distinct)), replace=False)
    _, cosines = exact.search(distinct[chosen], neighbours + 1)
    distances = np.sqrt(np.maximum(2 - 2 * cosines[:, 1:].astype(np.float64), 0))
    distances = distances[distances[:, 0] > 1e-3]  # smaller distances are dominated by rounding of the cosine
    if not len(distances):
        return None
    inverse = float(np.log(distances[:, -1:] / distances[:, :-1]).mean())
    return 1 / inverse if inverse > 1e-6 else None
