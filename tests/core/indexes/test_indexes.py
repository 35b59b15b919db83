"""Exact and approximate search in vectors."""

import itertools
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.indexes import hnsw
from core.indexes.base import equal_norm_vectors, unit_rows
from core.indexes.exact import ExactIndex
from core.indexes.faiss_indexes import (
    FaissBinaryIndex,
    FaissHnswIndex,
    FaissIvfIndex,
    FaissIvfPqIndex,
    FaissScalarIndex,
)
from core.indexes.hnsw import HnswIndex
from core.indexes.hnswlib_index import HnswlibIndex
from core.indexes.recall import TrueSimilarities, recall_at_k
from core.indexes.registry import KINDS, make_index
from core.indexes.simulation import simulate
from core.workspace.errors import UserError

SIMILARITIES = ["cosine", "dot"]
GRAPHS = [HnswIndex, HnswlibIndex]


def random_vectors(rows, dimension=16, seed=0):
    return np.random.default_rng(seed).normal(size=(rows, dimension)).astype(np.float32)


def similarities_in_float64(similarity, queries, vectors):
    queries, vectors = queries.astype(np.float64), vectors.astype(np.float64)
    products = queries @ vectors.T
    if similarity == "dot":
        return products
    lengths = np.linalg.norm(queries, axis=1)[:, None] * np.linalg.norm(vectors, axis=1)[None]
    return np.divide(products, lengths, out=np.zeros_like(products), where=lengths > 0)


def assert_nearest(index, similarity, queries, vectors, k):
    """Check what the index finds against a full sort in float64, but for ties within float32's precision."""
    truth = similarities_in_float64(similarity, queries, vectors)
    positions, found = index.search(queries, k)
    filled = min(k, len(vectors))
    assert positions.shape == found.shape == (len(queries), k)
    assert (positions.dtype, found.dtype) == (np.int64, np.float32)
    assert (positions[:, filled:] == -1).all()
    assert np.isneginf(found[:, filled:]).all()
    best = -np.sort(-truth, axis=1)[:, :filled]
    scale = max(1.0, np.abs(truth).max())
    assert found[:, :filled] == pytest.approx(best, abs=1e-5 * scale)
    assert np.take_along_axis(truth, positions[:, :filled], axis=1) == pytest.approx(best, abs=1e-5 * scale)
    assert all(len(set(row)) == filled for row in positions[:, :filled].tolist())


@pytest.mark.parametrize("threads", [2, 5])
def test_our_graph_is_the_same_on_any_number_of_threads(threads, monkeypatch):
    vectors, graphs = random_vectors(2000), []
    for allowed in (1, threads):
        monkeypatch.setattr(hnsw, "allowed_threads", lambda allowed=allowed: allowed)
        index = HnswIndex("cosine", connections=4, ef_construction=20)
        index.build(vectors)
        graphs.append((index._entry, index._graph.links.tobytes(), index._graph.counts.tobytes()))
    assert graphs[0] == graphs[1]


@pytest.mark.parametrize("similarity", SIMILARITIES)
@given(rows=st.integers(1, 30), dimension=st.integers(1, 9), k=st.integers(1, 40), seed=st.integers(0, 999))
def test_exact_search_is_a_full_sort(similarity, rows, dimension, k, seed):
    generator = np.random.default_rng(seed)
    vectors = generator.integers(-2, 3, size=(rows, dimension)).astype(np.float32)  # ties, duplicates and zeros
    queries = generator.normal(size=(3, dimension)).astype(np.float32)
    index = ExactIndex(similarity)
    index.build(vectors)
    assert_nearest(index, similarity, queries, vectors, k)


@pytest.mark.parametrize("similarity", SIMILARITIES)
@pytest.mark.parametrize("k", [1, 10, 150, 1000])
def test_exact_search_ranks_a_query_in_a_batch_as_it_does_alone(k, similarity):
    """Whatever the shape of the matrix product, whose last bits depend on it: copies of documents show that."""
    vectors = np.repeat(random_vectors(1500, 384), 2, axis=0) * np.float32(0.05)
    queries = random_vectors(70, 384, seed=1)
    index = ExactIndex(similarity)
    index.build(vectors)
    positions, found = index.search(queries, k)
    for row in range(len(queries)):
        alone, of_alone = index.search(queries[row : row + 1], k)
        assert np.array_equal(positions[row], alone[0])
        assert np.array_equal(found[row], of_alone[0])
    assert (np.diff(positions[:, : k // 2 * 2].reshape(-1, 2)) == 1).all() or k == 1, "copies side by side, in order"


@pytest.mark.parametrize("similarity", SIMILARITIES)
def test_of_many_equal_documents_exact_search_returns_the_first(similarity):
    vectors = np.tile(random_vectors(3, 384), (400, 1))
    index = ExactIndex(similarity)
    index.build(vectors)
    positions, found = index.search(vectors[1:2], 30)
    assert positions[0].tolist() == list(range(1, 90, 3))
    assert len(set(found[0])) == 1


@pytest.mark.parametrize("similarity", SIMILARITIES)
@pytest.mark.parametrize("kind", GRAPHS)
@pytest.mark.parametrize("k", [1, 10, 300, 310])
def test_hnsw_as_wide_as_the_collection_is_exact(k, kind, similarity):
    vectors, queries = random_vectors(300), random_vectors(20, seed=1)
    index = kind(similarity, ef=300)
    index.build(vectors)
    assert_nearest(index, similarity, queries, vectors, k)


@pytest.mark.parametrize("similarity", SIMILARITIES)
@given(
    rows=st.integers(1, 120),
    values=st.integers(1, 3),
    dimension=st.integers(1, 5),
    connections=st.integers(2, 4),
    k=st.integers(1, 130),
    seed=st.integers(0, 999),
)
def test_our_graph_as_wide_as_the_collection_is_exact_whatever_the_vectors(
    similarity, rows, values, dimension, connections, k, seed
):
    """Many equal vectors, zeros, one dimension, one document: where the paper's graph loses nodes, ours does not."""
    generator = np.random.default_rng(seed)
    vectors = generator.integers(-values + 1, values, size=(rows, dimension)).astype(np.float32)
    queries = generator.normal(size=(3, dimension)).astype(np.float32)
    index = HnswIndex(similarity, connections=connections, ef_construction=8, ef=rows)
    index.build(vectors)
    assert_nearest(index, similarity, queries, vectors, k)


@pytest.mark.parametrize("ef", [10, 20, 40])
def test_our_graph_finds_what_hnswlib_finds(ef):
    """On clustered vectors, with the same M and ef, recall within 0.01 of the authors' library."""
    generator = np.random.default_rng(4)
    centres = generator.normal(size=(40, 32))
    vectors = (centres[generator.integers(0, 40, 4000)] + 0.6 * generator.normal(size=(4000, 32))).astype(np.float32)
    queries = (centres[generator.integers(0, 40, 300)] + 0.6 * generator.normal(size=(300, 32))).astype(np.float32)
    exact = ExactIndex("cosine")
    exact.build(vectors)
    true_similarities = TrueSimilarities(queries, vectors, "cosine")
    of_truth = true_similarities(exact.search(queries, 10)[0])
    recall = {}
    for kind in GRAPHS:
        index = kind("cosine", connections=12, ef_construction=100, ef=ef)
        index.build(vectors)
        recall[kind] = recall_at_k(true_similarities(index.search(queries, 10)[0]), of_truth)
    assert recall[HnswIndex] > recall[HnswlibIndex] - 0.01
    assert recall[HnswIndex] > 0.6


@pytest.mark.parametrize("similarity", SIMILARITIES)
@pytest.mark.parametrize("kind", [ExactIndex, *GRAPHS])
def test_equal_documents_are_all_found(kind, similarity):
    vectors = np.repeat(random_vectors(3), 40, axis=0)
    index = kind(similarity)
    index.build(vectors)
    positions, found = index.search(vectors[:1], 40)
    assert sorted(positions[0]) == list(range(40)) or similarity == "dot"
    assert np.ptp(found[0]) == pytest.approx(0, abs=1e-5)


@pytest.mark.parametrize("kind", [ExactIndex, *GRAPHS])
@pytest.mark.parametrize("similarity", SIMILARITIES)
def test_vectors_of_zeros_are_like_nothing_and_break_nothing(kind, similarity):
    vectors = np.vstack([np.zeros((2, 4)), np.eye(4)]).astype(np.float32)
    index = kind(similarity)
    index.build(vectors)
    positions, found = index.search(np.array([[0, 0, 2, 0], [0, 0, 0, 0]], dtype=np.float32), 6)
    assert positions[0, 0] == 4
    assert found[0, 0] == pytest.approx(1 if similarity == "cosine" else 2)
    assert found[0, 1:] == pytest.approx(np.zeros(5))
    assert found[1] == pytest.approx(np.zeros(6))


def test_cosine_does_not_look_at_lengths_and_dot_does():
    vectors = np.array([[1, 0], [10, 10]], dtype=np.float32)
    query = np.array([[3, 0]], dtype=np.float32)
    for similarity, best in (("cosine", 0), ("dot", 1)):
        index = ExactIndex(similarity)
        index.build(vectors)
        assert index.search(query, 1)[0][0, 0] == best


def test_unit_rows_have_length_1_and_zeros_stay():
    rows = unit_rows(np.array([[3, 4], [0, 0]], dtype=np.float32))
    assert rows == pytest.approx(np.array([[0.6, 0.8], [0, 0]]))
    assert rows.dtype == np.float32


def test_unit_vectors_are_shared_and_others_are_scaled_in_a_copy():
    vectors = random_vectors(300)
    unit = unit_rows(np.vstack([vectors, np.zeros(16, np.float32)]))
    assert equal_norm_vectors(unit, "cosine") is unit
    fixed = unit.copy()
    fixed.flags.writeable = False
    for others in (fixed, unit.astype(np.float64), np.asfortranarray(unit), vectors, unit * np.float32(1.00001)):
        rows = equal_norm_vectors(others, "cosine")
        assert rows is not others
        assert (rows.dtype, rows.flags.c_contiguous, rows.flags.writeable) == (np.float32, True, True)
        assert rows == pytest.approx(unit_rows(others))
    assert equal_norm_vectors(unit, "dot").shape == (301, 17)


@pytest.mark.parametrize("similarity", SIMILARITIES)
@pytest.mark.parametrize("kind", [ExactIndex, *GRAPHS])
def test_a_saved_index_answers_as_before(kind, similarity, tmp_path):
    vectors, queries = random_vectors(200), random_vectors(9, seed=1)
    index, again = kind(similarity), kind(similarity)
    index.build(vectors)
    index.save(tmp_path / "index")
    again.load(tmp_path / "index", vectors)
    for before, after in zip(index.search(queries, 10), again.search(queries, 10), strict=True):
        assert (before == after).all()


@pytest.mark.parametrize("kind", GRAPHS)
def test_the_same_vectors_give_the_same_graph(kind, tmp_path):
    for name in ("first", "second"):
        index = kind("cosine")
        index.build(random_vectors(200))
        index.save(tmp_path / name)
    assert (tmp_path / "first").read_bytes() == (tmp_path / "second").read_bytes()


@pytest.mark.parametrize("kind", GRAPHS)
@pytest.mark.parametrize("connections", [4, 16])
def test_the_size_counts_vectors_and_links(connections, kind):
    index = kind("cosine", connections=connections)
    vectors = random_vectors(200)
    index.build(vectors)
    bottom_links = 200 * 2 * connections * 4
    assert vectors.nbytes + bottom_links <= index.bytes <= 1.2 * (vectors.nbytes + bottom_links) + 200 * 20


@pytest.mark.parametrize("connections", [4, 16])
def test_the_size_of_hnswlibs_graph_is_that_of_its_file(connections, tmp_path):
    index = HnswlibIndex("cosine", connections=connections)
    index.build(random_vectors(2000))
    index.save(tmp_path / "index")
    assert (tmp_path / "index").stat().st_size == pytest.approx(index.bytes, rel=0.05)


DAMAGE = {
    "cut by a byte": lambda content: content[:-1],
    "cut in half": lambda content: content[: len(content) // 2],
    "cut to its head": lambda content: content[:10],
    "empty": lambda content: b"",
    "with bytes after its end": lambda content: content + b"more",
    "of another kind": lambda content: b"x" * len(content),
}


@pytest.mark.parametrize("name", DAMAGE)
def test_a_damaged_graph_is_refused(name, tmp_path):
    index = HnswlibIndex("cosine")
    index.build(random_vectors(200))
    index.save(tmp_path / "index")
    (tmp_path / "index").write_bytes(DAMAGE[name]((tmp_path / "index").read_bytes()))
    with pytest.raises(UserError, match="index"):
        HnswlibIndex("cosine").load(tmp_path / "index", random_vectors(200))


@pytest.mark.parametrize("name", [name for name in DAMAGE if "after its end" not in name] + ["with a byte flipped"])
def test_a_damaged_graph_of_our_own_is_refused(name, tmp_path):
    flip = {"with a byte flipped": lambda content: content[:9000] + bytes([content[9000] ^ 255]) + content[9001:]}
    index = HnswIndex("cosine")
    index.build(random_vectors(200))
    index.save(tmp_path / "index")
    (tmp_path / "index").write_bytes((DAMAGE | flip)[name]((tmp_path / "index").read_bytes()))
    with pytest.raises(UserError, match="index"):
        HnswIndex("cosine").load(tmp_path / "index", random_vectors(200))


def changed_at(array, at, value):
    array[at] = value
    return array


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("links", lambda array: changed_at(array, 3, 200)),
        ("links", lambda array: changed_at(array, -1, -1)),
        ("links", lambda array: array.astype(np.int64)),
        ("counts", lambda array: changed_at(array, 0, 9)),
        ("counts", lambda array: changed_at(array, -1, 5)),
        ("counts", lambda array: changed_at(array, 5, -1)),
        ("layers", lambda array: changed_at(array, 0, -1)),
        # Layers of two nodes exchanged: the sizes fit, but neighbours in an upper layer are not in it.
        ("layers", lambda array: changed_at(array, [array.argmax(), array.argmin()], [array.min(), array.max()])),
        ("settings", lambda array: changed_at(array, 2, 200)),
        ("settings", lambda array: changed_at(array, 0, 0)),
    ],
)
def test_a_graph_that_leads_out_of_bounds_is_refused(name, change, tmp_path):
    vectors = random_vectors(200)
    index = HnswIndex("cosine", connections=4)
    index.build(vectors)
    index.save(tmp_path / "index")
    HnswIndex("cosine").load(tmp_path / "index", vectors)
    with np.load(tmp_path / "index") as stored:
        arrays = dict(stored)
    with (tmp_path / "index").open("wb") as file:
        np.savez(file, **(arrays | {name: change(arrays[name].copy())}))
    with pytest.raises(UserError, match="damaged, or not an HNSW index"):
        HnswIndex("cosine").load(tmp_path / "index", vectors)


@pytest.mark.parametrize("kind", GRAPHS)
@pytest.mark.parametrize("vectors", [random_vectors(100), random_vectors(300), random_vectors(200, dimension=8)])
def test_a_graph_of_other_vectors_is_refused(vectors, kind, tmp_path):
    index = kind("cosine")
    index.build(random_vectors(200))
    index.save(tmp_path / "index")
    with pytest.raises(UserError, match="index"):
        kind("cosine").load(tmp_path / "index", vectors)


@pytest.mark.parametrize("kind", GRAPHS)
def test_a_graph_that_is_not_there_is_refused(kind, tmp_path):
    with pytest.raises(UserError, match="nothing"):
        kind("cosine").load(tmp_path / "nothing", random_vectors(9))


WIDEST = {
    "exact": {},
    "hnsw": {"ef": 10_000},
    "hnswlib": {"ef": 10_000},
    "faiss-hnsw": {"ef": 10_000},
    "faiss-ivf": {"probes": 10_000},
    "faiss-ivf-pq": {"probes": 10_000, "rescore": 10_000, "segments": 4},
    "faiss-binary": {"rescore": 10_000},
}
"""Each index that can be exact, at its highest setting."""


@pytest.mark.parametrize("similarity", SIMILARITIES)
@pytest.mark.parametrize("kind", WIDEST)
@pytest.mark.parametrize(("rows", "dimension", "k"), [(300, 16, 10), (300, 16, 310), (1, 7, 3), (40, 1, 5)])
def test_an_index_with_its_dial_at_the_end_is_exact(rows, dimension, k, kind, similarity):
    vectors, queries = random_vectors(rows, dimension), random_vectors(9, dimension, seed=1)
    index = make_index(kind, similarity, **WIDEST[kind])
    index.build(vectors)
    assert_nearest(index, similarity, queries, vectors, k)


@pytest.mark.parametrize("kind", KINDS)
def test_every_index_gives_sorted_results_without_repetition(kind):
    if kind == "milvus":
        pytest.importorskip("milvus_lite")
    vectors = np.vstack([np.repeat(random_vectors(60), 4, axis=0), np.zeros((5, 16), np.float32)])
    index = make_index(kind, "cosine", **({"segments": 4} if kind == "faiss-ivf-pq" else {}))
    index.build(vectors)
    positions, found = index.search(random_vectors(20, seed=2), 30)
    for row, similarities in zip(positions, found, strict=True):
        real = row[row >= 0]
        assert (np.diff(similarities[row >= 0]) <= 1e-6).all()
        assert len(real) > 5 and len(set(real)) == len(real) and real.max() < len(vectors)
    assert index.bytes >= vectors.size / 8  # a bit per value at least


@pytest.mark.parametrize("similarity", SIMILARITIES)
@pytest.mark.parametrize("kind", [FaissHnswIndex, FaissIvfIndex, FaissIvfPqIndex, FaissScalarIndex, FaissBinaryIndex])
def test_an_index_of_faiss_comes_back_from_its_file_or_is_refused(kind, similarity, tmp_path):
    options = {"segments": 4} if kind is FaissIvfPqIndex else {}
    vectors, queries = random_vectors(400), random_vectors(9, seed=1)
    index, again = kind(similarity, **options), kind(similarity, **options)
    index.build(vectors)
    index.save(tmp_path / "index")
    again.load(tmp_path / "index", vectors)
    for before, after in zip(index.search(queries, 10), again.search(queries, 10), strict=True):
        assert (before == after).all()
    with pytest.raises(UserError, match="index"):
        again.load(tmp_path / "index", vectors[:300])
    content = (tmp_path / "index").read_bytes()
    (tmp_path / "index").write_bytes(content[:-9])
    with pytest.raises(UserError, match="damaged"):
        again.load(tmp_path / "index", vectors)


NARROW_AND_WIDE = {"ef": (10, 200), "probes": (1, 40), "rescore": (1, 20)}


@pytest.mark.parametrize("kind", [name for name, kind in KINDS.items() if kind.index.search_parameter])
def test_threads_search_one_index_with_different_parameters(kind):
    if kind == "milvus":
        pytest.importorskip("milvus_lite")
    vectors, queries = random_vectors(2000), random_vectors(30, seed=1)
    shared = make_index(kind, "cosine", **({"segments": 4} if kind == "faiss-ivf-pq" else {}))
    shared.build(vectors)
    name = shared.search_parameter
    expected = {value: shared.search(queries, 5, **{name: value})[0] for value in NARROW_AND_WIDE[name]}
    narrow, wide = expected.values()
    assert not np.array_equal(narrow, wide), "a search with the other's parameter would be noticed"

    def agreement(value):
        return [np.array_equal(shared.search(queries, 5, **{name: value})[0], expected[value]) for _ in range(100)]

    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        with ThreadPoolExecutor(4) as pool:
            assert all(itertools.chain.from_iterable(pool.map(agreement, [*expected] * 2)))
    finally:
        sys.setswitchinterval(before)


def test_threads_take_turns_in_our_own_hnsw(monkeypatch):
    """The interpreter switches threads in the middle of a search that is not compiled."""
    vectors, queries = random_vectors(300), random_vectors(3, seed=1)
    index = HnswIndex("cosine")
    index.build(vectors)
    expected = index.search(queries, 5)[0]
    for name in ("_search", "_search_layer"):
        monkeypatch.setattr(hnsw, name, getattr(hnsw, name).py_func)
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        with ThreadPoolExecutor(4) as pool:
            answers = list(pool.map(lambda _: index.search(queries, 5)[0], range(12)))
    finally:
        sys.setswitchinterval(before)
    assert all(np.array_equal(answer, expected) for answer in answers)


@pytest.mark.parametrize("kind", [name for name, kind in KINDS.items() if kind.index.search_parameter])
def test_a_parameter_of_one_search_is_the_default_of_an_index_made_with_it(kind):
    if kind == "milvus":
        pytest.importorskip("milvus_lite")
    vectors, queries = random_vectors(500), random_vectors(9, seed=1)
    name, fixed = KINDS[kind].index.search_parameter, {"segments": 4} if kind == "faiss-ivf-pq" else {}
    index = make_index(kind, "dot", **fixed)
    index.build(vectors)
    by_default = index.search(queries, 10)
    for value in NARROW_AND_WIDE[name]:
        of_its_own = make_index(kind, "dot", **fixed, **{name: value})
        of_its_own.build(vectors)
        for one, other in zip(index.search(queries, 10, **{name: value}), of_its_own.search(queries, 10), strict=True):
            assert np.array_equal(one, other)
    for before, after in zip(by_default, index.search(queries, 10), strict=True):
        assert np.array_equal(before, after), "the default stays"


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "milvus"])
def test_an_unknown_search_parameter_is_refused(kind):
    index = make_index(kind, "cosine", **({"segments": 4} if kind == "faiss-ivf-pq" else {}))
    index.build(random_vectors(300))
    parameter = index.search_parameter
    known = f"it accepts .*{parameter}" if parameter else "it has no search parameters"
    with pytest.raises(UserError, match=f"no search parameter depth; {known}"):
        index.search(random_vectors(1), 5, depth=3)


def test_unknown_kinds_and_parameters_are_refused():
    with pytest.raises(UserError, match="unknown index 'annoy'"):
        make_index("annoy", "cosine")
    with pytest.raises(UserError, match="exact has no parameter ef; it has none"):
        make_index("exact", "cosine", ef=3)


def test_fewer_documents_than_there_are_are_drawn_from_them_in_their_order():
    rows = [tuple(row) for row in unit_rows(random_vectors(100)).tolist()]
    drawn = [tuple(row) for row in simulate(random_vectors(100), 20, seed=3).tolist()]
    places = [rows.index(row) for row in drawn]
    assert len(places) == 20 and places == sorted(set(places))


@pytest.mark.parametrize("similarity", SIMILARITIES)
@pytest.mark.parametrize("k", [1, 3, 40, 2500])
def test_of_documents_tied_at_rank_k_exact_search_returns_the_first(similarity, k):
    """Directions of which many are equal, in three blocks of documents: scores are small integers, or their cosines."""
    generator = np.random.default_rng(k)
    vectors = np.eye(6, dtype=np.float32)[generator.integers(0, 6, 2500)]
    queries = generator.integers(-2, 3, size=(5, 6)).astype(np.float32)
    index = ExactIndex(similarity)
    index.build(vectors)
    expected = np.argsort(-(queries @ vectors.T), axis=1, kind="stable")[:, :k]
    assert index.search(queries, k)[0].tolist() == expected.tolist()
    assert [index.search(query[None], k)[0][0].tolist() for query in queries] == expected.tolist()
