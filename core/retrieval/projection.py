"""Two-dimensional projection of vectors for display."""

import numpy as np
from sklearn.decomposition import PCA

from core.indexes.base import unit_rows

MOST_FITTED = 20_000
"""Number of vectors that the components are computed from, evenly spaced if there are more."""
BLOCK = 8192
"""Number of vectors projected at a time, so that memory-mapped vectors stay on disk."""


def project(vectors: np.ndarray, similarity: str) -> tuple[np.ndarray, np.ndarray]:
    """Project vectors onto their first two principal components (Pearson, 1901; Hotelling, 1933).

    In a larger collection the components and their variance are those of `MOST_FITTED` vectors.

    Args:
        vectors: float32 [n, dimension], which may be memory-mapped.
        similarity: "cosine" or "dot"; for "cosine" each vector is first scaled to unit length, since only its direction
            counts.

    Returns:
        Points, float32 [n, 2], and the explained variance ratio of each axis, float64 [2]; both are 0 for an axis that
        does not exist.
    """

    def scaled(some: np.ndarray) -> np.ndarray:
        return unit_rows(some) if similarity == "cosine" else np.asarray(some, dtype=np.float32)

    points, shares = np.zeros((len(vectors), 2), dtype=np.float32), np.zeros(2)
    rows = scaled(vectors[:: max(1, -(-len(vectors) // MOST_FITTED))])
    axes = min(2, *rows.shape)
    if len(rows) < 2 or np.ptp(rows, axis=0).max() == 0:
        return points, shares
    pca = PCA(axes, svd_solver="covariance_eigh").fit(rows)
    for begin in range(0, len(vectors), BLOCK):
        points[begin : begin + BLOCK, :axes] = pca.transform(scaled(vectors[begin : begin + BLOCK]))
    shares[:axes] = pca.explained_variance_ratio_
    return points, shares
