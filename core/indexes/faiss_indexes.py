"""FAISS indexes (Douze et al., 2024) behind `core.indexes.base.VectorIndex`.

All search by inner product among vectors of equal norm (see `core.indexes.base.equal_norm_vectors`), with OpenMP's
number of threads.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import faiss
import numpy as np

from core.indexes.base import (
    check_sidecar,
    empty_results,
    equal_norm_queries,
    equal_norm_vectors,
    search_values,
    write_sidecar,
)

TRAINING_POINTS = 256
"""Minimum number of training vectors for an 8-bit product quantiser; smaller collections are repeated to reach it."""


faiss.cvar.product_quantizer_compute_codes_bs = 4096  # type: ignore[attr-defined]
"""Number of vectors that FAISS quantises at a time. For each it holds the distances to all centroids; with FAISS's own
262,144, all of a block of 32,768 took 1.6 GB for 48 segments of 16 dimensions or more."""


class FaissIndex:
    """Base class of the indexes below, which create the FAISS index and its search parameters.

    Search parameters are passed with each search (`params=`) rather than set on the index, so that several threads may
    search with different ones.
    """

    search_parameter = ""

    def __init__(self, similarity: str, seed: int = 13, **search_defaults: int):
        self.similarity, self.seed, self.search_defaults = similarity, seed, search_defaults

    def _make(self, documents: int, dimension: int) -> Any:
        """Return an empty index."""
        raise NotImplementedError

    def _parameters(self, k: int, values: Mapping[str, int]) -> Any:
        """Return FAISS's search parameter object, or None if the index has no search parameters."""
        return None

    def _rows(self, vectors: np.ndarray) -> np.ndarray:
        """Return the vectors in the form that is indexed."""
        return equal_norm_vectors(vectors, self.similarity)

    def build(self, vectors: np.ndarray) -> None:
        """See `VectorIndex`."""
        rows = self._rows(vectors)
        self._index = self._make(*rows.shape)
        if not self._index.is_trained:
            self._index.train(
                np.resize(rows, (TRAINING_POINTS, rows.shape[1])) if len(rows) < TRAINING_POINTS else rows
            )
        self._index.add(rows)

    def search(self, queries: np.ndarray, k: int, **parameters: int) -> tuple[np.ndarray, np.ndarray]:
        """See `VectorIndex`."""
        given = self._parameters(k, search_values(self.search_defaults, parameters))
        positions, similarities = empty_results(len(queries), k)
        found = min(k, self._index.ntotal)
        if found:
            scores, places = self._index.search(equal_norm_queries(queries, self.similarity), found, params=given)
            positions[:, :found] = places
            similarities[:, :found] = np.where(places < 0, -np.inf, scores)
        return positions, similarities

    def save(self, path: Path) -> None:
        """See `VectorIndex`; a sidecar `<path>.json` lets `load` check the file."""
        faiss.write_index(self._index, str(path))
        write_sidecar(path, self._index.ntotal, self._index.d)

    def load(self, path: Path, vectors: np.ndarray) -> None:
        """See `VectorIndex`.

        Raises:
            UserError: if the file is damaged or indexes other vectors.
        """
        check_sidecar(path, len(vectors), self._rows(vectors[:1]).shape[1])
        self._index = faiss.read_index(str(path))

    @property
    def bytes(self) -> int:
        """See `VectorIndex`: the size of the serialised index, which equals its size in memory."""
        return _serialised_bytes(faiss.write_index, self._index)


def _serialised_bytes(write: Callable[[Any, Any], None], index: Any) -> int:
    """Return the size that FAISS's writing function gives the index, without a copy of it in memory."""
    sizes: list[int] = []
    writer = faiss.PyCallbackIOWriter(lambda block: sizes.append(len(block)))  # type: ignore[attr-defined]
    write(index, writer)
    del writer  # flushes its buffer
    return sum(sizes)


class FaissHnswIndex(FaissIndex):
    """HNSW (Malkov & Yashunin, 2018); parameters as in `core.indexes.hnswlib_index`."""

    search_parameter = "ef"

    def __init__(
        self, similarity: str, connections: int = 16, ef_construction: int = 200, ef: int = 80, seed: int = 13
    ):
        super().__init__(similarity, seed, ef=ef)
        self.connections, self.ef_construction = connections, ef_construction

    def _make(self, documents: int, dimension: int) -> Any:
        index = faiss.IndexHNSWFlat(dimension, self.connections, faiss.METRIC_INNER_PRODUCT)
        index.hnsw.efConstruction = self.ef_construction
        return index

    def _parameters(self, k: int, values: Mapping[str, int]) -> Any:
        return faiss.SearchParametersHNSW(efSearch=max(values["ef"], k))  # type: ignore[attr-defined]


class FaissIvfIndex(FaissIndex):
    """Inverted file (Sivic & Zisserman, 2003): k-means cells, of which the `probes` nearest to the query are searched.

    `cells` is FAISS's nlist, where 0 means 4 sqrt(n) as its guidelines advise; `probes` is its nprobe.
    """

    search_parameter = "probes"

    def __init__(self, similarity: str, cells: int = 0, probes: int = 8, seed: int = 13, **search_defaults: int):
        super().__init__(similarity, seed, probes=probes, **search_defaults)
        self.cells = cells

    def _cells(self, documents: int) -> int:
        return max(1, min(self.cells or round(4 * documents**0.5), documents // 4))

    def _make(self, documents: int, dimension: int) -> Any:
        quantizer = faiss.IndexFlatIP(dimension)
        index = faiss.IndexIVFFlat(quantizer, dimension, self._cells(documents), faiss.METRIC_INNER_PRODUCT)
        self._set_training(index)
        return index

    def _set_training(self, index: Any) -> None:
        """Silence the warning about small collections, and shorten training, which takes minutes on large ones."""
        index.cp.seed, index.cp.niter = self.seed, 10
        index.cp.min_points_per_centroid, index.cp.max_points_per_centroid = 1, 64

    def _parameters(self, k: int, values: Mapping[str, int]) -> Any:
        return faiss.SearchParametersIVF(nprobe=values["probes"])  # type: ignore[call-arg]


class FaissIvfPqIndex(FaissIvfIndex):
    """Inverted file with product quantisation (Jégou et al., 2011), one byte per segment.

    The `rescore` * k best candidates by code are re-ranked with the full vectors, which are kept in memory.
    """

    def __init__(
        self, similarity: str, cells: int = 0, segments: int = 48, rescore: int = 10, probes: int = 8, seed: int = 13
    ):
        super().__init__(similarity, cells, probes, seed, rescore=rescore)
        self.segments = segments

    def _rows(self, vectors: np.ndarray) -> np.ndarray:
        rows = equal_norm_vectors(vectors, self.similarity)
        missing = -rows.shape[1] % self.segments
        return np.ascontiguousarray(np.pad(rows, ((0, 0), (0, missing)))) if missing else rows

    def _make(self, documents: int, dimension: int) -> Any:
        quantizer = faiss.IndexFlatIP(dimension)
        cells = self._cells(documents)
        index = faiss.IndexIVFPQ(quantizer, dimension, cells, self.segments, 8, faiss.METRIC_INNER_PRODUCT)
        self._set_training(index)
        index.pq.cp.seed, index.pq.cp.min_points_per_centroid = self.seed, 1
        return index

    def build(self, vectors: np.ndarray) -> None:
        """See `VectorIndex`."""
        super().build(vectors)
        self._vectors = equal_norm_vectors(vectors, self.similarity)

    def load(self, path: Path, vectors: np.ndarray) -> None:
        """See `FaissIndex`."""
        super().load(path, vectors)
        self._vectors = equal_norm_vectors(vectors, self.similarity)

    def search(self, queries: np.ndarray, k: int, **parameters: int) -> tuple[np.ndarray, np.ndarray]:
        """See `VectorIndex`."""
        values = search_values(self.search_defaults, parameters)
        queries = equal_norm_queries(queries, self.similarity)
        padded = np.ascontiguousarray(np.pad(queries, ((0, 0), (0, self._index.d - queries.shape[1]))))
        wanted = max(1, min(k * values["rescore"], len(self._vectors)))
        _, places = self._index.search(padded, wanted, params=self._parameters(k, values))
        return rescored(self._vectors.__getitem__, queries, places, k)

    @property
    def bytes(self) -> int:
        """See `VectorIndex`: codes, cells and the full vectors for re-ranking."""
        return super().bytes + self._vectors.nbytes


class FaissScalarIndex(FaissIndex):
    """Exhaustive search in vectors quantised to one byte per dimension (SQ8), a quarter of the memory."""

    def _make(self, documents: int, dimension: int) -> Any:
        return faiss.IndexScalarQuantizer(dimension, faiss.ScalarQuantizer.QT_8bit, faiss.METRIC_INNER_PRODUCT)

    def similarity_at(self, query: np.ndarray, position: int) -> float:
        """See `core.indexes.base.Quantised`."""
        return float(equal_norm_queries(query, self.similarity)[0] @ self._index.reconstruct(position))


class FaissBinaryIndex(FaissIndex):
    """Exhaustive search in sign bits, one per dimension; the `rescore` * k best are re-ranked with the full vectors."""

    search_parameter = "rescore"

    def __init__(self, similarity: str, rescore: int = 10, seed: int = 13):
        super().__init__(similarity, seed, rescore=rescore)

    def build(self, vectors: np.ndarray) -> None:
        """See `VectorIndex`."""
        self._vectors = equal_norm_vectors(vectors, self.similarity)
        bits = np.packbits(self._vectors > 0, axis=1)
        self._index = faiss.IndexBinaryFlat(8 * bits.shape[1])
        self._index.add(bits)

    def search(self, queries: np.ndarray, k: int, **parameters: int) -> tuple[np.ndarray, np.ndarray]:
        """See `VectorIndex`."""
        rescore = search_values(self.search_defaults, parameters)["rescore"]
        queries = equal_norm_queries(queries, self.similarity)
        wanted = max(1, min(k * rescore, self._index.ntotal))
        _, places = self._index.search(np.packbits(queries > 0, axis=1), wanted)
        return rescored(self._vectors.__getitem__, queries, places, k)

    def save(self, path: Path) -> None:
        """See `FaissIndex`."""
        faiss.write_index_binary(self._index, str(path))
        write_sidecar(path, self._index.ntotal, self._index.d)

    def load(self, path: Path, vectors: np.ndarray) -> None:
        """See `FaissIndex`."""
        self._vectors = equal_norm_vectors(vectors, self.similarity)
        check_sidecar(path, len(vectors), 8 * -(-self._vectors.shape[1] // 8))
        self._index = faiss.read_index_binary(str(path))

    @property
    def bytes(self) -> int:
        """See `VectorIndex`: bits and the full vectors for re-ranking."""
        return _serialised_bytes(faiss.write_index_binary, self._index) + self._vectors.nbytes


class FaissBinaryCodesIndex(FaissIndex):
    """Exhaustive search in sign bits, one per dimension, without the vectors: a 32nd of the memory.

    The `rescore` * k nearest codes by Hamming distance are re-ranked by the inner product of the full query with the
    signs, scaled to unit length (as in Yamada et al., 2021).
    """

    search_parameter = "rescore"

    def __init__(self, similarity: str, rescore: int = 10, seed: int = 13):
        super().__init__(similarity, seed, rescore=rescore)

    def build(self, vectors: np.ndarray) -> None:
        """See `VectorIndex`."""
        rows = equal_norm_vectors(vectors, self.similarity)
        bits = np.packbits(rows > 0, axis=1)
        self._dimension, self._index = rows.shape[1], faiss.IndexBinaryFlat(8 * bits.shape[1])
        self._index.add(bits)

    def _signs(self, positions: np.ndarray) -> np.ndarray:
        """Return the unit vectors that the codes at some positions stand for, float32 [n_positions, dimension]."""
        shape = self._index.ntotal, self._index.code_size
        codes = faiss.rev_swig_ptr(self._index.xb.data(), shape[0] * shape[1]).reshape(shape)
        bits = np.unpackbits(codes[positions], axis=1, count=self._dimension)
        return (2 * bits.astype(np.float32) - 1) / np.float32(self._dimension**0.5)

    def search(self, queries: np.ndarray, k: int, **parameters: int) -> tuple[np.ndarray, np.ndarray]:
        """See `VectorIndex`."""
        rescore = search_values(self.search_defaults, parameters)["rescore"]
        queries = equal_norm_queries(queries, self.similarity)
        _, places = self._index.search(np.packbits(queries > 0, axis=1), max(1, min(k * rescore, self._index.ntotal)))
        return rescored(self._signs, queries, places, k)

    def similarity_at(self, query: np.ndarray, position: int) -> float:
        """See `core.indexes.base.Quantised`."""
        return float(equal_norm_queries(query, self.similarity)[0] @ self._signs(np.array([position]))[0])

    def save(self, path: Path) -> None:
        """See `FaissIndex`."""
        faiss.write_index_binary(self._index, str(path))
        write_sidecar(path, self._index.ntotal, self._dimension)

    def load(self, path: Path, vectors: np.ndarray) -> None:
        """See `FaissIndex`."""
        self._dimension = vectors.shape[1] + (self.similarity == "dot")
        check_sidecar(path, len(vectors), self._dimension)
        self._index = faiss.read_index_binary(str(path))

    @property
    def bytes(self) -> int:
        """See `VectorIndex`."""
        return _serialised_bytes(faiss.write_index_binary, self._index)


def rescored(
    vectors_at: Callable[[np.ndarray], np.ndarray], queries: np.ndarray, places: np.ndarray, k: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return the k best of each query's candidates by inner product with their vectors, ties by position.

    Args:
        vectors_at: returns the vectors at some positions.
        places: candidate positions, int64 [n_queries, n_candidates], padded with -1.
    """
    positions, similarities = empty_results(len(queries), k)
    for row, query in enumerate(queries):
        candidates = np.sort(places[row][places[row] >= 0])
        scores = vectors_at(candidates) @ query
        best = np.argsort(-scores, kind="stable")[:k]
        positions[row, : len(best)], similarities[row, : len(best)] = candidates[best], scores[best]
    return positions, similarities
