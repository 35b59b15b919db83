"""Approximate indexes of FAISS (Douze et al., 2024), each of one kind behind `core.indexes.base.VectorIndex`.

All search vectors of one length by inner product (see `core.indexes.base.of_one_length`), on as many threads as OpenMP
has.
"""

from pathlib import Path
from typing import Any

import faiss
import numpy as np

from core.indexes.base import as_queries, check_beside, nothing_found, of_one_length, write_beside

TRAINING_POINTS = 256
"""What 8 bits of a product quantiser want at least; fewer vectors are repeated for the training."""


class FaissIndex:
    """What the kinds below share; each says how its index is made, and its dial."""

    dial = ""

    def __init__(self, similarity: str, seed: int = 13):
        self.similarity, self.seed = similarity, seed

    def _make(self, documents: int, dimension: int) -> Any:
        """Return an empty index."""
        raise NotImplementedError

    def _turn(self, k: int) -> None:
        """Hand the dial's value to the library."""

    def _rows(self, vectors: np.ndarray) -> np.ndarray:
        """Return what is indexed of the vectors."""
        return of_one_length(vectors, self.similarity)

    def build(self, vectors: np.ndarray) -> None:
        """See `VectorIndex`."""
        rows = self._rows(vectors)
        self._index = self._make(*rows.shape)
        if not self._index.is_trained:
            self._index.train(
                np.resize(rows, (TRAINING_POINTS, rows.shape[1])) if len(rows) < TRAINING_POINTS else rows
            )
        self._index.add(rows)

    def search(self, queries: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
        """See `VectorIndex`."""
        self._turn(k)
        positions, similarities = nothing_found(len(queries), k)
        found = min(k, self._index.ntotal)
        if found:
            scores, places = self._index.search(as_queries(queries, self.similarity), found)
            positions[:, :found] = places
            similarities[:, :found] = np.where(places < 0, -np.inf, scores)
        return positions, similarities

    def save(self, path: Path) -> None:
        """See `VectorIndex`; what `load` must know of the file beforehand goes beside it, into `<path>.json`."""
        faiss.write_index(self._index, str(path))
        write_beside(path, self._index.ntotal, self._index.d)

    def load(self, path: Path, vectors: np.ndarray) -> None:
        """See `VectorIndex`.

        Raises:
            UserError: the file is not an index of such vectors, or is damaged.
        """
        check_beside(path, len(vectors), self._rows(vectors[:1]).shape[1])
        self._index = faiss.read_index(str(path))

    @property
    def bytes(self) -> int:
        """See `VectorIndex`: what the library would write to a file, which is what it holds in memory."""
        return int(faiss.serialize_index(self._index).nbytes)


class FaissHnswIndex(FaissIndex):
    """HNSW (Malkov & Yashunin, 2018); parameters as in `core.indexes.hnsw`."""

    dial = "ef"

    def __init__(
        self, similarity: str, connections: int = 16, ef_construction: int = 200, ef: int = 80, seed: int = 13
    ):
        super().__init__(similarity, seed)
        self.connections, self.ef_construction, self.ef = connections, ef_construction, ef

    def _make(self, documents: int, dimension: int) -> Any:
        index = faiss.IndexHNSWFlat(dimension, self.connections, faiss.METRIC_INNER_PRODUCT)
        index.hnsw.efConstruction = self.ef_construction
        return index

    def _turn(self, k: int) -> None:
        self._index.hnsw.efSearch = max(self.ef, k)


class FaissIvfIndex(FaissIndex):
    """Inverted file (Sivic & Zisserman, 2003): vectors in cells by k-means, of which the `probes` nearest are searched.

    `cells` 0 makes 4 sqrt(n) of them, as faiss's guidelines advise.
    """

    dial = "probes"

    def __init__(self, similarity: str, cells: int = 0, probes: int = 8, seed: int = 13):
        super().__init__(similarity, seed)
        self.cells, self.probes = cells, probes

    def _cells(self, documents: int) -> int:
        return max(1, min(self.cells or round(4 * documents**0.5), documents // 4))

    def _make(self, documents: int, dimension: int) -> Any:
        quantizer = faiss.IndexFlatIP(dimension)
        index = faiss.IndexIVFFlat(quantizer, dimension, self._cells(documents), faiss.METRIC_INNER_PRODUCT)
        self._set_training(index)
        return index

    def _set_training(self, index: Any) -> None:
        """Small collections are no cause for a warning; for large ones the library's defaults take minutes a step."""
        index.cp.seed, index.cp.niter = self.seed, 10
        index.cp.min_points_per_centroid, index.cp.max_points_per_centroid = 1, 64

    def _turn(self, k: int) -> None:
        self._index.nprobe = self.probes


class FaissIvfPqIndex(FaissIvfIndex):
    """Inverted file of product-quantised vectors (Jégou et al., 2011), one byte a segment.

    The best `rescore` times k by the short codes are scored anew with the vectors themselves, which are kept beside.
    """

    def __init__(
        self, similarity: str, cells: int = 0, segments: int = 48, rescore: int = 10, probes: int = 8, seed: int = 13
    ):
        super().__init__(similarity, cells, probes, seed)
        self.segments, self.rescore = segments, rescore

    def _rows(self, vectors: np.ndarray) -> np.ndarray:
        rows = of_one_length(vectors, self.similarity)
        return np.ascontiguousarray(np.pad(rows, ((0, 0), (0, -rows.shape[1] % self.segments))))

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
        self._vectors = of_one_length(vectors, self.similarity)

    def load(self, path: Path, vectors: np.ndarray) -> None:
        """See `FaissIndex`."""
        super().load(path, vectors)
        self._vectors = of_one_length(vectors, self.similarity)

    def search(self, queries: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
        """See `VectorIndex`."""
        self._turn(k)
        queries = as_queries(queries, self.similarity)
        padded = np.pad(queries, ((0, 0), (0, self._index.d - queries.shape[1])))
        _, places = self._index.search(np.ascontiguousarray(padded), max(1, min(k * self.rescore, len(self._vectors))))
        return rescored(self._vectors, queries, places, k)

    @property
    def bytes(self) -> int:
        """See `VectorIndex`: codes and cells, and the vectors that the best are scored with."""
        return super().bytes + self._vectors.nbytes


class FaissScalarIndex(FaissIndex):
    """Exhaustive search in vectors of one byte a dimension (SQ8): a quarter of the memory, and no dial."""

    def _make(self, documents: int, dimension: int) -> Any:
        return faiss.IndexScalarQuantizer(dimension, faiss.ScalarQuantizer.QT_8bit, faiss.METRIC_INNER_PRODUCT)


class FaissBinaryIndex(FaissIndex):
    """Exhaustive search in one bit a dimension, its sign; the best `rescore` times k are scored anew exactly."""

    dial = "rescore"

    def __init__(self, similarity: str, rescore: int = 10, seed: int = 13):
        super().__init__(similarity, seed)
        self.rescore = rescore

    def build(self, vectors: np.ndarray) -> None:
        """See `VectorIndex`."""
        self._vectors = of_one_length(vectors, self.similarity)
        bits = np.packbits(self._vectors > 0, axis=1)
        self._index = faiss.IndexBinaryFlat(8 * bits.shape[1])
        self._index.add(bits)

    def search(self, queries: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
        """See `VectorIndex`."""
        queries = as_queries(queries, self.similarity)
        wanted = max(1, min(k * self.rescore, self._index.ntotal))
        _, places = self._index.search(np.packbits(queries > 0, axis=1), wanted)
        return rescored(self._vectors, queries, places, k)

    def save(self, path: Path) -> None:
        """See `FaissIndex`."""
        faiss.write_index_binary(self._index, str(path))
        write_beside(path, self._index.ntotal, self._index.d)

    def load(self, path: Path, vectors: np.ndarray) -> None:
        """See `FaissIndex`."""
        self._vectors = of_one_length(vectors, self.similarity)
        check_beside(path, len(vectors), 8 * -(-self._vectors.shape[1] // 8))
        self._index = faiss.read_index_binary(str(path))

    @property
    def bytes(self) -> int:
        """See `VectorIndex`: bits, and the vectors that the best are scored with."""
        return int(faiss.serialize_index_binary(self._index).nbytes) + self._vectors.nbytes


def rescored(vectors: np.ndarray, queries: np.ndarray, places: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the k best of each query's candidates by the vectors themselves, ties by position.

    Args:
        places: int64 [n_queries, n_candidates], -1 where there is none.
    """
    positions, similarities = nothing_found(len(queries), k)
    for row, query in enumerate(queries):
        candidates = np.sort(places[row][places[row] >= 0])
        scores = vectors[candidates] @ query
        best = np.argsort(-scores, kind="stable")[:k]
        positions[row, : len(best)], similarities[row, : len(best)] = candidates[best], scores[best]
    return positions, similarities
