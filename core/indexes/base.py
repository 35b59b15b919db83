"""The interface of nearest-neighbour indexes and the functions that they share.

To add an index, write a class with this interface and register it in `core.indexes.registry`.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np

from core.workspace.artifacts import file_digest
from core.workspace.errors import UserError


class VectorIndex(Protocol):
    """A nearest-neighbour index. Positions are row numbers of the vectors that it was built from.

    The constructor takes the similarity ("cosine" or "dot"), the construction parameters and defaults for the search
    parameters.

    Attributes:
        search_parameter: the search parameter that trades recall for speed, or "" if there is none.
        search_defaults: all search parameters with their defaults.
    """

    search_parameter: str
    search_defaults: dict[str, int]

    def build(self, vectors: np.ndarray) -> None:
        """Index vectors, float32 [n, dimension]."""

    def search(self, queries: np.ndarray, k: int, **parameters: int) -> tuple[np.ndarray, np.ndarray]:
        """Return positions int64 [n_queries, k] and similarities float32 [n_queries, k], best first.

        If fewer than k vectors are found, the row is padded with position -1 and similarity -inf. Several threads may
        search at the same time, each with its own parameters.

        Args:
            queries: float32 [n_queries, dimension].
            parameters: search parameters that override the defaults, such as ef=40.

        Raises:
            UserError: if the index has no such search parameter.
        """

    def save(self, path: Path) -> None:
        """Write the index to a file."""

    def load(self, path: Path, vectors: np.ndarray) -> None:
        """Read an index of `vectors` from a file written by `save`."""

    @property
    def bytes(self) -> int:
        """The size in memory, in bytes."""


@runtime_checkable
class Quantised(Protocol):
    """An index whose similarities are those of vectors that it stores in fewer bits."""

    def similarity_at(self, query: np.ndarray, position: int) -> float:
        """Return the similarity of a query, float32 [1, dimension], to the stored vector at a position."""


def search_values(defaults: dict[str, int], parameters: Mapping[str, int]) -> dict[str, int]:
    """Return the defaults overridden by the parameters of one search.

    Raises:
        UserError: if a parameter is not among the defaults.
    """
    if unknown := parameters.keys() - defaults.keys():
        known = f"it accepts {', '.join(defaults)}" if defaults else "it has no search parameters"
        raise UserError(f"the index has no search parameter {min(unknown)}; {known}")
    return defaults | dict(parameters)


def unit_rows(vectors: np.ndarray) -> np.ndarray:
    """Return the rows scaled to unit length, float32; zero rows stay zero."""
    norms = np.linalg.norm(vectors, axis=1, keepdims=True)
    scaled: np.ndarray = vectors / np.where(norms == 0, 1, norms)
    return scaled.astype(np.float32, copy=False)


def equal_norm_vectors(vectors: np.ndarray, similarity: str) -> np.ndarray:
    """Return vectors of equal norm whose inner products with `equal_norm_queries` rank as the similarity, float32.

    For "cosine", vectors are scaled to unit length. For "dot", each vector x gets one more coordinate,
    sqrt(L^2 - |x|^2), where L is the largest norm (Bachrach et al., 2014): all vectors then have norm L, and queries,
    which get a zero there, keep their inner products. Without this, a few long vectors would be near to everything and
    trap graph searches; among vectors of equal norm, inner product orders as Euclidean distance does.

    Vectors that have unit length already are returned themselves, so that several indexes share them in memory.
    """
    if similarity == "cosine":
        return vectors if _are_unit_rows(vectors) else np.ascontiguousarray(unit_rows(vectors))
    squares = np.einsum("ij,ij->i", vectors, vectors, dtype=np.float64)
    extra = np.sqrt(squares.max(initial=0.0) - squares)
    return np.ascontiguousarray(np.column_stack([vectors, extra]), dtype=np.float32)


def _are_unit_rows(vectors: np.ndarray) -> bool:
    """Return whether all vectors have length 1 up to rounding, or 0, in an array that compiled code takes as it is.

    Such an array is contiguous and writable float32; for others numba would compile the code once more.
    """
    if vectors.dtype != np.float32 or not (vectors.flags.c_contiguous and vectors.flags.writeable):
        return False
    squares = np.einsum("ij,ij->i", vectors, vectors)  # makes no copy of the vectors
    return bool(((abs(squares - 1) < 4e-6) | (squares == 0)).all())


def equal_norm_queries(queries: np.ndarray, similarity: str) -> np.ndarray:
    """Return queries to search the vectors of `equal_norm_vectors` with, float32."""
    if similarity == "cosine":
        return np.ascontiguousarray(unit_rows(queries))
    return np.ascontiguousarray(np.column_stack([queries, np.zeros(len(queries))]), dtype=np.float32)


def empty_results(queries: int, k: int) -> tuple[np.ndarray, np.ndarray]:
    """Return positions filled with -1 and similarities filled with -inf, to be overwritten with results."""
    return np.full((queries, k), -1, dtype=np.int64), np.full((queries, k), -np.inf, dtype=np.float32)


# The libraries read out of bounds when an index file is damaged, so its digest is stored next to it and checked first.


def write_sidecar(path: Path, documents: int, dimension: int) -> None:
    """Write the shape of the indexed vectors and the file's SHA-256 to `<path>.json`, for `check_sidecar`."""
    sidecar = {"vectors": [documents, dimension], "sha256": file_digest(path)}
    path.with_name(f"{path.name}.json").write_text(json.dumps(sidecar), encoding="utf-8")


def check_sidecar(path: Path, documents: int, dimension: int) -> None:
    """Check an index file against `<path>.json` before a library reads it.

    Raises:
        UserError: if the file is damaged or indexes other vectors.
    """
    try:
        sidecar = json.loads(path.with_name(f"{path.name}.json").read_text(encoding="utf-8"))
        fits = sidecar == {"vectors": [documents, dimension], "sha256": file_digest(path)}
    except (OSError, ValueError):
        fits = False
    if not fits:
        raise UserError(f"{path.name}: damaged, or not an index of these vectors; build it again")
