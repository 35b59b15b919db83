"""Recall by similarity, equal documents exchanged, copies of texts in graphs and in the intrinsic dimension."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.indexes.distinct import group_equal_rows
from core.indexes.exact import ExactIndex
from core.indexes.hnsw import HnswIndex
from core.indexes.recall import EPSILON, TrueSimilarities, recall_at_k, ties_as_exact
from core.indexes.registry import make_index
from core.indexes.simulation import intrinsic_dimension, simulate

NOTHING = -np.inf


def copies(texts: int, times: int, dimension: int = 32, noise: float = 0.0, seed: int = 0) -> np.ndarray:
    """Vectors of texts that occur several times each, in a random order; `noise` is what batches of encoding add."""
    generator = np.random.default_rng(seed)
    rows = np.repeat(generator.normal(size=(texts, dimension)), times, axis=0)
    rows = rows / np.linalg.norm(rows, axis=1, keepdims=True) + noise * generator.normal(size=rows.shape)
    return generator.permutation(rows).astype(np.float32)


def cosines(queries: np.ndarray, vectors: np.ndarray) -> np.ndarray:
    """All cosines in float64, float64 [n_queries, n]."""
    queries, vectors = queries.astype(np.float64), vectors.astype(np.float64)
    lengths = np.linalg.norm(queries, axis=1)[:, None] * np.linalg.norm(vectors, axis=1)
    return queries @ vectors.T / lengths


def recall_of_ann_benchmarks(distances: np.ndarray, found: np.ndarray, k: int, epsilon: float) -> float:
    """As ann_benchmarks/plotting/metrics.py defines it: found within the distance of the true k-th and an epsilon."""
    shares = []
    for of_query, positions in zip(distances, found, strict=True):
        threshold = np.sort(of_query)[k - 1] + epsilon
        shares.append(sum(of_query[p] <= threshold for p in positions[:k] if p >= 0) / k)
    return float(np.mean(shares))


def test_recall_worked_by_hand():
    exact = np.array([[0.9, 0.8, 0.7, 0.6], [0.5, 0.5, 0.5, 0.5]])
    assert recall_at_k(exact, exact) == 1
    found = np.array([[0.9, 0.7, 0.6 - 1e-7, 0.59], [0.5, 0.5, NOTHING, NOTHING]])
    assert recall_at_k(found, exact) == (0.75 + 0.5) / 2
    assert recall_at_k(np.full((2, 4), NOTHING), exact) == 0
    few = np.array([[0.3, 0.2, NOTHING, NOTHING], [0.3, 0.2, NOTHING, NOTHING]])
    assert recall_at_k(few[:, ::-1], few) == 1, "a collection of two documents"
    assert recall_at_k(np.full((2, 4), [0.3, NOTHING, NOTHING, NOTHING]), few) == 0.5
    assert recall_at_k(np.full((1, 2), NOTHING), np.full((1, 2), NOTHING)) == 1, "there is nothing to be found"


@pytest.mark.parametrize("kind", ["exact", "hnsw", "hnswlib", "faiss-hnsw", "faiss-ivf", "faiss-sq8", "faiss-binary"])
@pytest.mark.parametrize("noise", [0.0, 2e-8])
def test_recall_is_that_of_ann_benchmarks_where_every_text_has_copies(kind, noise):
    vectors, queries = copies(60, 15, noise=noise), copies(40, 1, seed=1)
    index, exact = make_index(kind, "cosine"), ExactIndex("cosine")
    index.build(vectors)
    exact.build(vectors)
    found, truth = index.search(queries, 10)[0], exact.search(queries, 10)[0]
    near = TrueSimilarities(queries, vectors, "cosine")
    by_hand = recall_of_ann_benchmarks(1 - cosines(queries, vectors), found, 10, EPSILON)
    assert recall_at_k(near(found), near(truth)) == pytest.approx(by_hand, abs=1e-12)
    if kind == "exact":
        assert by_hand == 1


@pytest.mark.parametrize("similarity", ["cosine", "dot"])
def test_true_similarities_are_those_of_the_whole_vectors(similarity):
    generator = np.random.default_rng(5)
    vectors, queries = generator.normal(size=(50, 8)).astype(np.float32), generator.normal(size=(4, 8))
    vectors[7], queries[3] = 0, 0
    positions = np.array([[7, 1, 2], [3, -1, 4], [-1, -1, -1], [5, 6, 7]])
    found = TrueSimilarities(queries.astype(np.float32), vectors, similarity)(positions)
    for row, column in np.ndindex(positions.shape):
        position, query = positions[row, column], queries[row].astype(np.float32).astype(np.float64)
        vector = vectors[position].astype(np.float64)
        length = max(np.linalg.norm(v.astype(np.float64)) for v in vectors) if similarity == "dot" else None
        length = np.linalg.norm(vector) if length is None else length
        lengths = length * np.linalg.norm(query)
        expected = NOTHING if position < 0 else query @ vector / lengths if lengths else 0
        assert found[row, column] == pytest.approx(expected, rel=1e-6)


def exchanged(found: dict[int, float], exact: dict[int, float]) -> list[int]:
    arrays = [np.array(list(values)) for of in (found, exact) for values in (of.keys(), of.values())]
    return ties_as_exact(*arrays).tolist()


def test_equal_documents_are_exchanged_worked_by_hand():
    exact = {1: 0.9, 2: 0.8, 3: 0.8, 4: 0.7}
    assert exchanged(exact, exact) == [1, 2, 3, 4]
    assert exchanged({1: 0.9, 12: 0.8, 11: 0.8, 4: 0.7}, exact) == [1, 2, 3, 4], "copies stand for copies"
    assert exchanged({1: 0.9, 3: 0.8, 2: 0.8 - 1e-7, 4: 0.7}, exact) == [1, 2, 3, 4], "in exact search's order"
    assert exchanged({2: 0.8, 1: 0.9, 4: 0.7, 9: 0.6}, exact) == [2, 1, 4, 9], "the order of unequal ones stays"
    assert exchanged({11: 0.8, 12: 0.8, 3: 0.8, 4: 0.7}, exact) == [2, 3, 11, 4], "1 is missed, a third copy is not 1"
    assert exchanged({-1: NOTHING}, {5: 0.1}) == [-1]
    equal = dict.fromkeys([1, 2, 3, 4], 0.8)
    assert exchanged({9: 0.8, 4: 0.8, 5: 0.1}, equal) == [1, 4, 5], "one copy stands for another; 4 was found itself"


@given(st.data())
def test_exchanging_keeps_similarities_and_repeats_nothing(data):
    levels = data.draw(st.lists(st.sampled_from([0.9, 0.5, 0.1]), min_size=4, max_size=12))
    k = data.draw(st.integers(1, len(levels)))
    found = np.array(data.draw(st.permutations(range(len(levels))))[:k])
    exact = np.argsort(-np.array(levels), kind="stable")[:k]
    of_found, of_exact = np.array(levels)[found], np.array(levels)[exact]
    new = ties_as_exact(found, of_found, exact, of_exact)
    assert np.array_equal(np.array(levels)[new], of_found)
    assert len(set(new.tolist())) == k
    assert set(found.tolist()) & set(exact.tolist()) <= set(new.tolist()), "what was found is not missed"
    if sorted(of_found) == sorted(of_exact):
        assert set(new.tolist()) == set(exact.tolist()), "as near as exact search: nothing is missed"


# Copies


@pytest.mark.parametrize(("texts", "times"), [(60, 15), (60, 100), (20, 200), (300, 4)])
@pytest.mark.parametrize("noise", [0.0, 2e-8])
def test_our_graph_finds_copies_as_well_as_distinct_texts_and_better_with_a_larger_ef(texts, times, noise):
    vectors, queries = copies(texts, times, noise=noise), copies(50, 1, seed=1)
    distances = 1 - cosines(queries, vectors)
    index = HnswIndex("cosine")
    index.build(vectors)
    recalls = []
    for ef in (10, 20, 40, 80):
        recalls.append(recall_of_ann_benchmarks(distances, index.search(queries, 10, ef=ef)[0], 10, EPSILON))
    assert recalls == sorted(recalls)
    assert recalls[0] > 0.85 and recalls[-1] == 1


def test_our_graph_finds_copies_that_hnswlib_loses():
    vectors, queries = copies(60, 100), copies(50, 1, seed=1)
    distances = 1 - cosines(queries, vectors)
    recall = {}
    for kind in ("hnsw", "hnswlib"):
        index = make_index(kind, "cosine", ef=80)
        index.build(vectors)
        recall[kind] = recall_of_ann_benchmarks(distances, index.search(queries, 10)[0], 10, EPSILON)
    assert recall["hnsw"] == 1 > recall["hnswlib"]


def test_all_copies_are_returned_each_once_and_come_back_from_the_file(tmp_path):
    vectors = copies(7, 30)
    index, again = HnswIndex("dot"), HnswIndex("dot")
    index.build(vectors)
    index.save(tmp_path / "index")
    again.load(tmp_path / "index", vectors)
    queries = copies(5, 1, seed=1)
    for searched in (index, again):
        positions, found = searched.search(queries, 210)
        assert all(sorted(row) == list(range(210)) for row in positions.tolist())
        assert (np.diff(found) <= 0).all()
    assert (index.search(queries, 250)[0][:, 210:] == -1).all()


@given(texts=st.integers(1, 12), times=st.integers(1, 5), dimension=st.integers(1, 6), seed=st.integers(0, 99))
def test_rows_are_grouped_as_a_comparison_of_all_pairs_groups_them(texts, times, dimension, seed):
    generator = np.random.default_rng(seed)
    rows = np.repeat(generator.integers(-2, 3, size=(texts, dimension)), times, axis=0)
    rows = np.column_stack([generator.permutation(rows), np.full(len(rows), 3)])
    rows = (rows + 1e-7 * generator.uniform(-1, 1, size=rows.shape)).astype(np.float32)
    firsts = [int(np.flatnonzero(np.linalg.norm(rows - row, axis=1) < 0.1)[0]) for row in rows]
    numbers = {first: number for number, first in enumerate(sorted(set(firsts)))}
    assert group_equal_rows(rows).tolist() == [numbers[first] for first in firsts]


def test_the_intrinsic_dimension_is_that_of_the_distinct_vectors():
    generator = np.random.default_rng(3)
    inside = generator.normal(size=(3000, 5)) @ generator.normal(size=(5, 64))
    distinct = inside.astype(np.float32)  # scaled to unit length, they fill four dimensions
    once = intrinsic_dimension(distinct)
    assert once == pytest.approx(4, abs=0.5)
    assert intrinsic_dimension(np.repeat(distinct, 2, axis=0)) == pytest.approx(once, rel=0.1)
    assert intrinsic_dimension(np.repeat(distinct, 25, axis=0)[:50_000]) == pytest.approx(4, abs=0.5)


@pytest.mark.parametrize("vectors", [copies(60, 15), copies(1, 300), np.zeros((300, 8), np.float32), np.eye(200)])
def test_where_the_intrinsic_dimension_cannot_be_estimated_there_is_none(vectors):
    assert intrinsic_dimension(vectors.astype(np.float32)) is None


def test_what_is_simulated_from_copies_are_new_vectors():
    vectors = simulate(copies(40, 40), 2000, seed=3)
    assert len(np.unique(group_equal_rows(vectors[1600:]))) == 400
