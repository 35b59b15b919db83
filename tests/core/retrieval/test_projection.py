"""Vectors in two dimensions, against numpy's own singular value decomposition."""

import numpy as np
import pytest

from core.indexes.base import unit_rows
from core.retrieval import projection
from core.retrieval.projection import project


@pytest.mark.parametrize("similarity", ["cosine", "dot"])
def test_it_is_the_plane_of_the_two_largest_singular_values(similarity):
    vectors = (np.random.default_rng(1).normal(size=(60, 8)) * [9, 5, 3, 1, 1, 1, 1, 1] + 2).astype(np.float32)
    rows = unit_rows(vectors) if similarity == "cosine" else vectors
    left, sizes, _ = np.linalg.svd(rows - rows.mean(axis=0), full_matrices=False)
    points, shares = project(vectors, similarity)
    assert np.abs(points) == pytest.approx(np.abs(left[:, :2] * sizes[:2]), abs=1e-3)
    assert shares == pytest.approx((sizes**2 / (sizes**2).sum())[:2], abs=1e-4)
    assert project(vectors, similarity)[0] == pytest.approx(points)


def test_by_cosine_the_length_of_a_vector_does_not_count():
    vectors = np.random.default_rng(2).normal(size=(30, 4)).astype(np.float32)
    longer = vectors * np.arange(1, 31, dtype=np.float32)[:, None]
    assert project(longer, "cosine")[0] == pytest.approx(project(vectors, "cosine")[0], abs=1e-4)
    assert not np.allclose(project(longer, "dot")[0], project(vectors, "dot")[0], atol=0.1)


@pytest.mark.parametrize("shape", [(1, 8), (5, 1), (2, 8), (0, 8)])
def test_too_few_vectors_or_dimensions_leave_an_axis_at_zero(shape):
    vectors = np.random.default_rng(3).normal(size=shape).astype(np.float32)
    points, shares = project(vectors, "dot")
    assert points.shape == (shape[0], 2)
    assert np.isfinite(points).all()
    assert shares[1] == pytest.approx(0, abs=1e-6)


def test_vectors_that_are_all_the_same_are_one_point():
    assert not project(np.ones((4, 3), dtype=np.float32), "cosine")[0].any()


def test_equal_vectors_are_one_point_without_variance_and_a_range_of_one_is_no_equality():
    points, shares = project(np.tile(np.array([3, 4, 5], dtype=np.float32), (4, 1)), "dot")
    assert not points.any() and not shares.any()
    points, shares = project(np.array([[0, 0], [1, 0], [0, 0]], dtype=np.float32), "dot")
    assert np.abs(points[:, 0]) == pytest.approx([1 / 3, 2 / 3, 1 / 3])
    assert shares[0] == pytest.approx(1)


def test_two_vectors_lie_on_one_axis_at_their_distance():
    points, shares = project(np.array([[1, 1], [4, 5]], dtype=np.float32), "dot")
    assert np.ptp(points, axis=0) == pytest.approx([5, 0], abs=1e-5)
    assert shares == pytest.approx([1, 0], abs=1e-6)


@pytest.mark.parametrize("similarity", ["cosine", "dot"])
def test_components_of_many_vectors_come_from_evenly_spaced_ones(similarity, monkeypatch):
    monkeypatch.setattr(projection, "MOST_FITTED", 25)
    monkeypatch.setattr(projection, "BLOCK", 7)
    vectors = (np.random.default_rng(4).normal(size=(60, 5)) * [9, 5, 1, 1, 1] + 2).astype(np.float32)
    rows = unit_rows(vectors) if similarity == "cosine" else vectors
    fitted = rows[::3]
    _, sizes, axes = np.linalg.svd(fitted - fitted.mean(axis=0), full_matrices=False)
    points, shares = project(vectors, similarity)
    assert np.abs(points) == pytest.approx(np.abs((rows - fitted.mean(axis=0)) @ axes[:2].T), abs=1e-3)
    assert shares == pytest.approx((sizes**2 / (sizes**2).sum())[:2], abs=1e-4)
