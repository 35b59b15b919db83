"""Learned sparse retrieval: SPLADE (Formal et al., 2021) and other models of sentence-transformers' `SparseEncoder`.

A model gives a text a weight for each term of its vocabulary, most of them 0. The score of a document is the dot
product of its weights with those of the query, computed on an inverted index.
"""

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any, Literal

import numpy as np
from scipy import sparse

from core.formats.documents import read_ids, write_ids
from core.retrieval.answer import Answer, depths
from core.retrieval.encoder import Encoder
from core.retrieval.postings import Postings
from core.retrieval.ranking import top_k
from core.workspace.artifacts import Manifest, file_digest, read_whole
from core.workspace.errors import UserError
from core.workspace.profile import SystemSettings
from core.workspace.progress import ProgressLog
from core.workspace.workspace import CollectionFolder

CPU_BATCH, GPU_BATCH = 4, 32
"""Texts per forward pass: each token has a value for every term of the vocabulary, which takes 120 kB."""


CHUNK = 16
"""Tokens of a text that are pooled at a time on a CPU: 1.2 times as fast as all at once, and in less memory."""


ARRAYS = ("data", "indices", "indptr")
TERMS, DOCUMENT_IDS = "terms.json", "document_ids.json"
"""Files of the artifact beside the arrays, which are .npy files."""


# Encoding


def encode_sparse(
    encoder: Any, texts: list[str], role: Literal["query", "document"], batch: int, most: int = 0, pool: Any = None
) -> sparse.csr_array:
    """Encode texts, float32 [n_texts, n_terms].

    Args:
        batch: the number of texts per forward pass.
        most: the number of terms of a text that keep their weights, the largest; 0 for the model's own limit.
        pool: see `core.retrieval.encoder.encode_texts`.

    Raises:
        UserError: if a weight is NaN or infinite.
    """
    method = encoder.encode_query if role == "query" else encoder.encode_document
    options = {"pool": pool, "chunk_size": -(-len(texts) // len(pool["processes"]))} if pool else {}
    found = method(
        texts, batch_size=batch, show_progress_bar=False, save_to_cpu=True, max_active_dims=most or None, **options
    ).coalesce()
    weights = found.values().float().numpy()
    if not np.isfinite(weights).all():
        raise UserError(
            f"the model gives weights that are NaN or infinite for a {role}; use another precision or other weights"
        )
    rows = sparse.coo_array((weights, tuple(found.indices().numpy())), shape=tuple(found.shape)).tocsr()
    rows.eliminate_zeros()
    return rows


class SparseDocumentEncoder(Encoder):
    """Holds a sparse encoder in a worker process and encodes shards of documents, on several GPUs if there are."""

    def __init__(self, load: Callable[[], Any], most: int):
        """Load the model; see `Encoder` and `encode_sparse`."""
        from sentence_transformers.sparse_encoder.modules import SpladePooling

        super().__init__(load, "document")
        self.most = most
        on_cpu = self.model.device.type == "cpu"
        self.batch = CPU_BATCH if on_cpu else GPU_BATCH
        for module in self.model.modules():
            if isinstance(module, SpladePooling) and on_cpu:
                module.chunk_size = CHUNK

    def __call__(self, texts: list[str]) -> tuple[sparse.csr_array, dict[str, Any]]:
        """Return weights, float32 [n_texts, n_terms], and the device and token limit that they were made with."""
        return encode_sparse(self.model, texts, self.role, self.batch, self.most, self._pool), self.about


def terms_of(encoder: Any, number: int) -> list[str]:
    """Return the names of an encoder's terms: its vocabulary, but numbers for those of a sparse autoencoder."""
    from sentence_transformers.sparse_encoder.modules import SparseAutoEncoder

    learned = any(isinstance(module, SparseAutoEncoder) for module in encoder.modules())
    names = {} if learned else {position: token for token, position in encoder.tokenizer.get_vocab().items()}
    return [names.get(position, f"dimension {position}") for position in range(number)]


class LoggedRows:
    """The rows of a sparse matrix in one .npz file per shard, with the digest of each file in a log.

    The interface is that of `core.workspace.progress.LoggedArray`.
    """

    def __init__(self, folder: Path, log: ProgressLog):
        """Take the folder of the files, which an interrupted run may have left."""
        self.folder, self.log = folder, log
        folder.mkdir(exist_ok=True)

    def _file(self, shard: str) -> Path:
        return self.folder / f"{shard}.npz"

    def holds(self, shard: str, rows: list[int], made_from: str) -> bool:
        """Return whether the rows were written for this shard from the same input and are intact."""
        file = self._file(shard)
        return file.is_file() and self.log.done.get(file.name) == [made_from, rows, file_digest(file)]

    def write(self, shard: str, rows: list[int], made_from: str, values: sparse.csr_array) -> None:
        """Write the rows of a shard, float32 [len(rows), n_columns]."""
        file = self._file(shard)
        sparse.save_npz(file, values, compressed=False)
        self.log.add({file.name: [made_from, rows, file_digest(file)]})

    def matrix(self, n_rows: int) -> sparse.csc_array:
        """Return all rows, float32 [n_rows, n_columns], in compressed columns with sorted row numbers."""
        parts = []
        for name, (_, rows, _) in self.log.done.items():
            part = sparse.load_npz(self.folder / name).tocoo()
            columns = part.shape[1]
            parts.append((part.data, np.array(rows, dtype=np.int32)[part.row], part.col.astype(np.int32)))
        data, row, column = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
        matrix = sparse.csc_array((data, (row, column)), shape=(n_rows, columns))
        matrix.sort_indices()
        return matrix


# The index


@dataclass(frozen=True)
class SparseIndex:
    """The inverted index of a collection.

    Attributes:
        postings: the weights of the documents, a column per term.
        terms: the term of each column.
        document_ids: the id of each document.
    """

    postings: Postings
    terms: list[str]
    document_ids: list[str]

    def save(self, folder: Path) -> None:
        """Write the index to files in a folder."""
        for name in ARRAYS:
            np.save(folder / f"{name}.npy", getattr(self.postings, name), allow_pickle=False)
        (folder / TERMS).write_text(json.dumps(self.terms, ensure_ascii=False, indent=0), encoding="utf-8")
        write_ids(folder / DOCUMENT_IDS, self.document_ids)

    @classmethod
    def load(cls, folder: Path) -> "SparseIndex":
        """Open the index that `save` wrote; its arrays are memory-mapped.

        Raises:
            UserError: if its files do not fit together.
        """
        try:
            data, indices, indptr = (
                np.load(folder / f"{name}.npy", mmap_mode="r", allow_pickle=False) for name in ARRAYS
            )
            terms, ids = read_ids(folder / TERMS), read_ids(folder / DOCUMENT_IDS)
            index = cls(Postings(data, indices, indptr, len(ids)), terms, ids)
            fits = index.postings.is_consistent() and len(index.postings.indptr) == len(terms) + 1
        except (OSError, ValueError, TypeError):
            fits = False
        if not fits or not np.isfinite(index.postings.data).all():
            raise UserError(f"{folder.name}: damaged, or not a sparse index; build it again")
        return index


def load_index(folder: CollectionFolder, system: str) -> SparseIndex:
    """Open the artifact `sparse/<system>`.

    Raises:
        UserError: if it is missing or damaged.
    """
    target = folder.sparse(system)

    def read(_: Manifest) -> SparseIndex:
        return SparseIndex.load(target.path)

    return read_whole(target, read)


# The system


class SparseSystem:
    """A sparse encoder with exact search in an inverted index."""

    def __init__(self, settings: SystemSettings, encoder: Callable[[], Any], index: SparseIndex):
        """Take a function that loads the encoder; it is called at the first query."""
        self.settings, self.index = settings, index
        self._load_encoder = encoder
        self._explained = lru_cache(1)(lambda query: self.encode([query]))

    @cached_property
    def _encoder(self) -> Any:
        return self._load_encoder()

    @cached_property
    def _position(self) -> dict[str, int]:
        return {name: i for i, name in enumerate(self.index.document_ids)}

    def encode(self, queries: Sequence[str]) -> sparse.csr_array:
        """Return the queries' weights, float32 [n_queries, n_terms]; each is the same in a batch as alone.

        Queries are encoded one at a time, as those of a `core.retrieval.systems.DenseSystem`.

        Raises:
            UserError: if the model gives queries other terms than documents.
        """
        texts = [self.settings.query_prefix + query for query in queries]
        rows = encode_sparse(self._encoder, texts, "query", 1, self.settings.max_query_terms)
        if rows.shape[1] != len(self.index.terms):
            raise UserError(
                f"{self.settings.name}: the model gives queries weights for {rows.shape[1]} terms, but the documents' "
                f"index has {len(self.index.terms)}; use a model whose queries and documents have one vocabulary"
            )
        return rows

    def search(self, queries: Sequence[str], k: int | Sequence[int]) -> list[Answer]:
        """See `core.retrieval.systems.System`; a query without a term in the index has no hits."""
        answers = []
        for query, depth in zip(queries, depths(queries, k), strict=True):
            started = time.perf_counter()
            weights = self.encode([query])
            encoded = time.perf_counter()
            scores = self.index.postings.scores(weights.indices.astype(np.int64), weights.data)
            best = top_k(scores, depth, above=0)
            hits = [(self.index.document_ids[i], score) for i, score in zip(best, scores[best].tolist(), strict=True)]
            seconds = {"encode": encoded - started, "search": time.perf_counter() - encoded}
            answers.append(Answer(hits, seconds))
        return answers

    def explain_terms(self, query: str, document: str) -> list[tuple[str, float, float]]:
        """Return (term, weight in the query, weight in the document) of all shared terms, the largest product first.

        There are none for a document outside the index.
        """
        if document not in self._position:
            return []
        row, position = self._explained(query), self._position[document]
        pairs = zip(row.indices.tolist(), row.data.tolist(), strict=True)
        weights = [(self.index.terms[i], weight, self.index.postings.weight(i, position)) for i, weight in pairs]
        return sorted((found for found in weights if found[2]), key=lambda found: -found[1] * found[2])

    def explain(self, query: str, document: str) -> list[tuple[str, float]]:
        """See `core.retrieval.systems.System`; the contribution of a term is the product of its weights."""
        return [(term, of_query * of_document) for term, of_query, of_document in self.explain_terms(query, document)]
