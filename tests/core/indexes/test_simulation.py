"""Simulated vectors and the intrinsic dimension, against the definitions written out and spheres of known dimension."""

import numpy as np
import pytest

from core.indexes.simulation import NEIGHBOURS, SPREAD, intrinsic_dimension, simulate


def squared_distances(vectors: np.ndarray) -> np.ndarray:
    """The squared distances of all pairs, float64 [n, n], ascending in each row; the first is to the vector itself."""
    vectors = vectors.astype(np.float64)
    return np.sort(((vectors[:, None] - vectors[None]) ** 2).sum(axis=2), axis=1)


def on_a_sphere(rows: int, dimension: int, seed: int = 0) -> np.ndarray:
    """Vectors that are uniform on a sphere of some dimension, in a random subspace of 48: float32 [rows, 48]."""
    generator = np.random.default_rng(seed)
    points = generator.normal(size=(rows, dimension + 1))
    points /= np.linalg.norm(points, axis=1, keepdims=True)
    axes, _ = np.linalg.qr(generator.normal(size=(48, dimension + 1)))
    return (points @ axes.T).astype(np.float32)


def test_simulated_vectors_spread_around_real_ones_as_far_as_their_neighbours():
    """A simulated vector is a real one plus independent multiples of the differences to its 32 nearest, of mean 0.

    So the variance of the simulated vectors is that of the real ones plus 1.7 squared times the mean squared distance
    to a neighbour (law of total variance). The vectors fill a small cap, where scaling to unit length changes little.
    """
    assert (NEIGHBOURS, SPREAD) == (32, 1.7)
    generator = np.random.default_rng(1)
    cap = np.concatenate([np.ones((300, 1)), 0.003 * generator.normal(size=(300, 20))], axis=1).astype(np.float32)
    real = cap / np.linalg.norm(cap, axis=1, keepdims=True)
    simulated = simulate(real, 300 + 20_000, seed=5)[300:].astype(np.float64)
    of_neighbours = squared_distances(real)[:, 1:33].mean()
    added = simulated.var(axis=0).sum() - real.astype(np.float64).var(axis=0).sum()
    assert np.sqrt(added / of_neighbours) == pytest.approx(1.7, rel=0.03)
    assert simulated.mean(axis=0) == pytest.approx(real.mean(axis=0), abs=4e-4)
    assert np.linalg.norm(simulated, axis=1) == pytest.approx(np.ones(20_000), abs=1e-6)


@pytest.mark.parametrize("dimension", [2, 5, 9])
def test_simulated_vectors_fill_as_many_dimensions_as_the_real_ones(dimension):
    real = on_a_sphere(1500, dimension)
    assert intrinsic_dimension(simulate(real, 6000, seed=3)) == pytest.approx(intrinsic_dimension(real), rel=0.15)


@pytest.mark.parametrize(("dimension", "rows"), [(1, 600), (2, 4000), (4, 4000), (8, 4000)])
def test_the_intrinsic_dimension_of_a_sphere_is_the_spheres(dimension, rows):
    assert intrinsic_dimension(on_a_sphere(rows, dimension)) == pytest.approx(dimension, rel=0.08)


@pytest.mark.parametrize("neighbours", [5, 20])
def test_the_intrinsic_dimension_is_the_estimate_of_levina_and_bickel(neighbours):
    """Of each vector 1/m = mean of ln(T_k / T_j) over j < k (equation 8); of all, 1 / mean of 1/m (MacKay, 2005)."""
    vectors = on_a_sphere(400, 6, seed=7)
    distances = np.sqrt(squared_distances(vectors))[:, 1 : neighbours + 1]
    inverse = [np.mean([np.log(row[-1] / nearer) for nearer in row[:-1]]) for row in distances]
    assert intrinsic_dimension(vectors, neighbours) == pytest.approx(1 / np.mean(inverse), rel=1e-3)
