"""Two-dimensional projection of vectors for display."""

from dataclasses import dataclass

import numpy as np

from core.indexes.base import unit_rows

MOST_FITTED = 20_000
"""Number of vectors that the components are computed from, evenly spaced if there are more."""
BLOCK = 8192
"""Number of vectors projected at a time, so that memory-mapped vectors stay on disk."""


@dataclass(frozen=True)
class Projection:
    """The plane of the first two principal components of a collection's vectors (Pearson, 1901; Hotelling, 1933).

    Attributes:
        similarity: "cosine" or "dot"; for "cosine" each vector is first scaled to unit length, since only its direction
            counts.
        mean: the mean of the vectors, float32 [dimension].
        axes: the components, float32 [2, dimension]; an axis that does not exist is 0.
        shares: the explained variance ratio of each axis, float64 [2].
    """

    similarity: str
    mean: np.ndarray
    axes: np.ndarray
    shares: np.ndarray

    def points(self, vectors: np.ndarray) -> np.ndarray:
        """Return the coordinates of vectors of documents or queries, float32 [n, 2].

        Args:
            vectors: float32 [n, dimension], which may be memory-mapped.
        """
        points = np.zeros((len(vectors), 2), dtype=np.float32)
        for begin in range(0, len(vectors), BLOCK):
            rows = scaled(vectors[begin : begin + BLOCK], self.similarity)
            points[begin : begin + BLOCK] = (rows - self.mean) @ self.axes.T
        return points


def scaled(vectors: np.ndarray, similarity: str) -> np.ndarray:
    """Return vectors as float32, of unit length if the similarity is "cosine"."""
    return unit_rows(vectors) if similarity == "cosine" else np.asarray(vectors, dtype=np.float32)


def evenly_spaced(vectors: np.ndarray, most: int) -> np.ndarray:
    """Return at most that many rows, evenly spaced."""
    return vectors[:: max(1, -(-len(vectors) // most))]


def fit_projection(vectors: np.ndarray, similarity: str) -> Projection:
    """Return the projection of vectors, which for a larger collection is computed from `MOST_FITTED` of them.

    Args:
        vectors: float32 [n, dimension], which may be memory-mapped.
        similarity: see `Projection`.
    """
    from sklearn.decomposition import PCA  # takes most of a second

    rows = scaled(evenly_spaced(vectors, MOST_FITTED), similarity)
    dimension = vectors.shape[1]
    mean, axes, shares = np.zeros(dimension, np.float32), np.zeros((2, dimension), np.float32), np.zeros(2)
    number = min(2, *rows.shape)
    if len(rows) >= 2 and np.ptp(rows, axis=0).max() > 0:
        pca = PCA(number, svd_solver="covariance_eigh").fit(rows)
        mean, axes[:number], shares[:number] = pca.mean_, pca.components_, pca.explained_variance_ratio_
    return Projection(similarity, mean, axes, shares)


def project(vectors: np.ndarray, similarity: str) -> tuple[np.ndarray, np.ndarray]:
    """Return the points of vectors on their own projection, float32 [n, 2], and the shares of its axes, float64 [2]."""
    projection = fit_projection(vectors, similarity)
    return projection.points(vectors), projection.shares
