"""Search in a Milvus server, or in an embedded Milvus Lite."""

import hashlib
import importlib.util
import json
import logging
import os
import tarfile
import tempfile
import weakref
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np

from core.indexes.base import (
    check_sidecar,
    empty_results,
    equal_norm_queries,
    equal_norm_vectors,
    search_values,
    write_sidecar,
)
from core.indexes.hnswlib_index import graph_bytes
from core.workspace.artifacts import value_digest
from core.workspace.errors import UserError
from core.workspace.library_internals import release_embedded_milvus

URI, TOKEN = "RANKSCOPE_MILVUS_URI", "RANKSCOPE_MILVUS_TOKEN"


BATCH = 1000
"""Number of vectors per request: half a megabyte at 128 dimensions, and below Milvus' request limit at 4,096."""


SECONDS = 20.0
"""Timeout of a search, in seconds; `BUILD_SECONDS` is that of building an index."""


BUILD_SECONDS = 24 * 3600.0


MAX_NEIGHBOURS = 16_384
"""Maximum number of neighbours that Milvus returns for a query."""


class MilvusIndex:
    """HNSW (Malkov & Yashunin, 2018) in Milvus; parameters as in `core.indexes.hnswlib_index`."""

    search_parameter = "ef"

    def __init__(
        self, similarity: str, connections: int = 16, ef_construction: int = 200, ef: int = 80, seed: int = 13
    ):
        """Take the same parameters as other HNSW indexes; `seed` is ignored, since Milvus cannot be seeded."""
        self.similarity, self.connections, self.ef_construction = similarity, connections, ef_construction
        self.search_defaults = {"ef": ef}
        self.metric = "COSINE" if similarity == "cosine" else "IP"
        self._client: Any = None

    def build(self, vectors: np.ndarray) -> None:
        """See `VectorIndex`.

        Raises:
            UserError: Milvus is not installed, or the server is not reached or gives up.
        """
        self.vectors = vectors
        rows = vectors if self.similarity == "cosine" else equal_norm_vectors(vectors, self.similarity)
        self.documents, self.dimension = rows.shape
        self._open()
        settings = [self.similarity, self.connections, self.ef_construction]
        self.name = f"rankscope_{value_digest([_digest(rows), *settings])[:16]}"
        with _one_sentence("building the index"):
            from pymilvus import DataType

            if self._client.has_collection(self.name):
                self._client.drop_collection(self.name)
            schema = self._client.create_schema(auto_id=False)
            schema.add_field("id", DataType.INT64, is_primary=True)
            schema.add_field("vector", DataType.FLOAT_VECTOR, dim=self.dimension)
            parameters = {"M": self.connections, "efConstruction": self.ef_construction}
            graph = self._client.prepare_index_params()
            graph.add_index("vector", index_type="HNSW", metric_type=self.metric, params=parameters)
            self._client.create_collection(self.name, schema=schema, consistency_level="Strong", timeout=SECONDS)
            for begin in range(0, self.documents, BATCH):
                batch = np.asarray(rows[begin : begin + BATCH], np.float32)
                self._client.insert(
                    self.name, [{"id": begin + i, "vector": row} for i, row in enumerate(batch)], timeout=BUILD_SECONDS
                )
            self._client.flush(self.name, timeout=BUILD_SECONDS)
            self._client.create_index(self.name, graph, timeout=BUILD_SECONDS)
            self._client.load_collection(self.name, timeout=BUILD_SECONDS)

    def search(self, queries: np.ndarray, k: int, **parameters: int) -> tuple[np.ndarray, np.ndarray]:
        """See `VectorIndex`.

        Raises:
            UserError: if the queries have another dimension, or the server does not answer.
        """
        ef = search_values(self.search_defaults, parameters)["ef"]
        given = queries if self.similarity == "cosine" else equal_norm_queries(queries, self.similarity)
        if given.shape[1] != self.dimension:
            padding = int(self.similarity == "dot")
            raise UserError(
                f"the query vector has {queries.shape[1]} dimensions, but the vectors in Milvus have "
                f"{self.dimension - padding}: the index was made with another model; build it again"
            )
        positions, similarities = empty_results(len(queries), k)
        wanted = min(k, self.documents, MAX_NEIGHBOURS)
        if not wanted:
            return positions, similarities
        with _one_sentence("searching"):
            results = self._client.search(
                self.name,
                list(np.ascontiguousarray(given, np.float32)),
                limit=wanted,
                search_params={"metric_type": self.metric, "params": {"ef": max(ef, wanted)}},
                output_fields=["id"],
                timeout=SECONDS,
            )
        for row, hits in enumerate(results):
            positions[row, : len(hits)] = [hit["id"] for hit in hits]
            similarities[row, : len(hits)] = [hit["distance"] for hit in hits]
        return positions, similarities

    def save(self, path: Path) -> None:
        """See `VectorIndex`: the file is an archive of an embedded index, or the name of a collection on the server."""
        if self._folder is None:
            path.write_text(json.dumps({"collection": self.name}), encoding="utf-8")
        else:
            with tarfile.open(path, "w") as archive:
                archive.add(self._folder.name, arcname=".")
        write_sidecar(path, self.documents, self.dimension)

    def load(self, path: Path, vectors: np.ndarray) -> None:
        """See `VectorIndex`; an embedded index is unpacked into a temporary folder, where Milvus may write.

        Raises:
            UserError: if the file is damaged, the server lacks the collection, or the index is of other vectors.
        """
        self.vectors = vectors
        self.documents, self.dimension = len(vectors), vectors.shape[1] + (self.similarity == "dot")
        check_sidecar(path, self.documents, self.dimension)
        if tarfile.is_tarfile(path):
            self._open(path)
        elif not os.environ.get(URI):
            raise UserError(f"this index is on a Milvus server; set {URI} to its address")
        else:
            self._open()
        with _one_sentence("opening the index"):
            if self._folder is None:
                self.name = json.loads(path.read_text(encoding="utf-8"))["collection"]
            else:
                self.name = self._client.list_collections()[0]
            if not self._client.has_collection(self.name):
                raise UserError(f"the Milvus server no longer has the collection {self.name}; build the index again")
            fields = self._client.describe_collection(self.name)["fields"]
            dimension = next(int(field["params"]["dim"]) for field in fields if field["name"] == "vector")
            if dimension != self.dimension:
                raise UserError(
                    f"the Milvus collection has {dimension} dimensions, but the vectors have {self.dimension}; "
                    "build the index again"
                )
            self._client.load_collection(self.name, timeout=BUILD_SECONDS)

    def _open(self, packed: Path | None = None) -> None:
        """Connect to the server named in the environment, or start an embedded Milvus in a temporary folder."""
        if importlib.util.find_spec("pymilvus") is None:
            raise UserError("pymilvus is not installed; run pip install -r requirements-scale.txt")
        logging.getLogger("pymilvus").setLevel(logging.CRITICAL)
        logging.getLogger("milvus_lite").setLevel(logging.CRITICAL)
        uri = os.environ.get(URI) if packed is None else None
        self._folder = None if uri else tempfile.TemporaryDirectory(prefix="milvus-", ignore_cleanup_errors=True)
        if self._folder is not None:
            if importlib.util.find_spec("milvus_lite") is None:
                raise UserError(
                    f"milvus-lite is not installed and {URI} is not set; "
                    f"run pip install -r requirements-scale.txt or set {URI} to a server's address"
                )
            if packed is not None:
                with tarfile.open(packed) as archive:
                    archive.extractall(self._folder.name, filter="data")
            uri = str(Path(self._folder.name) / "milvus.db")
        with _one_sentence("connecting"):
            from pymilvus import MilvusClient

            self._client = MilvusClient(uri=uri, token=os.environ.get(TOKEN, ""), timeout=SECONDS)
        weakref.finalize(self, _close, self._client, self._folder, uri)

    @property
    def bytes(self) -> int:
        """See `VectorIndex`: estimated as for hnswlib, since Milvus does not report it."""
        return graph_bytes(self.documents, self.dimension, self.connections)


def _close(client: Any, folder: tempfile.TemporaryDirectory[str] | None, uri: str | None) -> None:
    with suppress(Exception):  # the server may already be gone
        client.close()
    if folder is not None:
        release_embedded_milvus(str(uri))
        folder.cleanup()


@contextmanager
def _one_sentence(doing: str) -> Iterator[None]:
    """Turn any Milvus exception into a UserError without its message, which may hold the URI and with it a password."""
    try:
        yield
    except UserError:
        raise
    except Exception as error:  # from pymilvus, from gRPC, or from whatever a wrong URI reaches
        where = f"the Milvus server that {URI} names" if os.environ.get(URI) else "the embedded Milvus"
        raise UserError(
            f"{where} failed while {doing} ({type(error).__name__}); check that it is running and that URI "
            "and token are correct"
        ) from None


def _digest(rows: np.ndarray) -> str:
    digest = hashlib.sha256()
    for begin in range(0, len(rows), BATCH):
        digest.update(np.ascontiguousarray(rows[begin : begin + BATCH], np.float32).data)
    return digest.hexdigest()
