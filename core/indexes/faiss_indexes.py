"""Approximate indexes of FAISS (Douze et al., 2024), each of one kind behind `core.indexes.base.VectorIndex`.

All search vectors of one length by inner product (see `core.indexes.base.of_one_length`), on as many threads as OpenMP
has.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import faiss
import numpy as np

from core.indexes.base import as_queries, check_beside, nothing_found, of_one_length, search_values, write_beside

TRAINING_POINTS = 256
"""What 8 bits of a product quantiser want at least; fewer vectors are repeated for the training."""


class FaissIndex:
    """What the kinds below share; each makes its own index and its own search parameters.

    The parameters of a search are handed to the library with the search (`params=`); nothing is set on its object, so
    that several threads may search with different ones.
    """

    search_parameter = ""

    def __init__(self, similarity: str, seed: int = 13, **search_defaults: int):
        self.similarity, self.seed, self.search_defaults = similarity, seed, search_defaults

    def _make(self, documents: int, dimension: int) -> Any:
        """Return an empty index."""
        raise NotImplementedError

    def _parameters(self, k: int, values: Mapping[str, int]) -> Any:
        """Return the library's object for the values of the search parameters; None where it has none."""
        return None

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

    def search(self, queries: np.ndarray, k: int, **parameters: int) -> tuple[np.ndarray, np.ndarray]:
        """See `VectorIndex`."""
        given = self._parameters(k, search_values(self.search_defaults, parameters))
        positions, similarities = nothing_found(len(queries), k)
        found = min(k, self._index.ntotal)
        if found:
            scores, places = self._index.search(as_queries(queries, self.similarity), found, params=given)
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
    """Inverted file (Sivic & Zisserman, 2003): vectors in cells by k-means, of which the `probes` nearest are searched.

    `cells` 0 makes 4 sqrt(n) of them, as FAISS's guidelines advise.
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
        """Small collections are no cause for a warning; for large ones the library's defaults take minutes a step."""
        index.cp.seed, index.cp.niter = self.seed, 10
        index.cp.min_points_per_centroid, index.cp.max_points_per_centroid = 1, 64

    def _parameters(self, k: int, values: Mapping[str, int]) -> Any:
        return faiss.SearchParametersIVF(nprobe=values["probes"])  # type: ignore[call-arg]


class FaissIvfPqIndex(FaissIvfIndex):
    """Inverted file of product-quantised vectors (Jégou et al., 2011), one byte a segment.

    The best `rescore` times k by the short codes are scored anew with the vectors themselves, which are kept beside.
    """

    def __init__(
        self, similarity: str, cells: int = 0, segments: int = 48, rescore: int = 10, probes: int = 8, seed: int = 13
    ):
        super().__init__(similarity, cells, probes, seed, rescore=rescore)
        self.segments = segments

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

    def search(self, queries: np.ndarray, k: int, **parameters: int) -> tuple[np.ndarray, np.ndarray]:
        """See `VectorIndex`."""
        values = search_values(self.search_defaults, parameters)
        queries = as_queries(queries, self.similarity)
        padded = np.ascontiguousarray(np.pad(queries, ((0, 0), (0, self._index.d - queries.shape[1]))))
        wanted = max(1, min(k * values["rescore"], len(self._vectors)))
        _, places = self._index.search(padded, wanted, params=self._parameters(k, values))
        return rescored(self._vectors, queries, places, k)

    @property
    def bytes(self) -> int:
        """See `VectorIndex`: codes and cells, and the vectors that the best are scored with."""
        return super().bytes + self._vectors.nbytes


class FaissScalarIndex(FaissIndex):
    """Exhaustive search in vectors of one byte a dimension (SQ8), a quarter of the memory; no search parameter."""

    def _make(self, documents: int, dimension: int) -> Any:
        return faiss.IndexScalarQuantizer(dimension, faiss.ScalarQuantizer.QT_8bit, faiss.METRIC_INNER_PRODUCT)


class FaissBinaryIndex(FaissIndex):
    """Exhaustive search in one bit a dimension, its sign; the best `rescore` times k are scored anew exactly."""

    search_parameter = "rescore"

    def __init__(self, similarity: str, rescore: int = 10, seed: int = 13):
        super().__init__(similarity, seed, rescore=rescore)

    def build(self, vectors: np.ndarray) -> None:
        """See `VectorIndex`."""
        self._vectors = of_one_length(vectors, self.similarity)
        bits = np.packbits(self._vectors > 0, axis=1)
        self._index = faiss.IndexBinaryFlat(8 * bits.shape[1])
        self._index.add(bits)

    def search(self, queries: np.ndarray, k: int, **parameters: int) -> tuple[np.ndarray, np.ndarray]:
        """See `VectorIndex`."""
        rescore = search_values(self.search_defaults, parameters)["rescore"]
        queries = as_queries(queries, self.similarity)
        wanted = max(1, min(k * rescore, self._index.ntotal))
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
