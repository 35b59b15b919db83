"""Two-dimensional projection of vectors for display."""

import numpy as np
from sklearn.decomposition import PCA

from core.indexes.base import unit_rows


def project(vectors: np.ndarray, similarity: str) -> tuple[np.ndarray, np.ndarray]:
    """Project vectors onto their first two principal components (Pearson, 1901; Hotelling, 1933).

    Args:
        vectors: float32 [n, dimension].
        similarity: "cosine" or "dot"; for "cosine" each vector is first scaled to unit length, since only its direction
            counts.

    Returns:
        Points, float32 [n, 2], and the explained variance ratio of each axis, float64 [2]; both are 0 for an axis that
        does not exist.
    """
    rows = unit_rows(vectors) if similarity == "cosine" else np.asarray(vectors, dtype=np.float32)
    points, shares = np.zeros((len(rows), 2), dtype=np.float32), np.zeros(2)
    axes = min(2, *rows.shape)
    if len(rows) < 2 or np.ptp(rows, axis=0).max() == 0:
        return points, shares
    pca = PCA(axes, svd_solver="covariance_eigh")
    points[:, :axes] = pca.fit_transform(rows)
    shares[:axes] = pca.explained_variance_ratio_
    return points, shares
