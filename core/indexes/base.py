"""The interface of a nearest-neighbour index, and what several of them share.

To add an index, write a class with this interface and register it in `core.indexes.registry`.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

import numpy as np

from core.workspace.artifacts import file_digest
from core.workspace.errors import UserError


class VectorIndex(Protocol):
    """An index of vectors. Positions are rows of the vectors that it was built from.

    Its constructor takes the similarity, "cosine" or "dot", the parameters of construction and the defaults of the
    search parameters.

    Attributes:
        search_parameter: the search parameter that trades recall for speed, "" where there is none.
        search_defaults: all search parameters, with their defaults.
    """

    search_parameter: str
    search_defaults: dict[str, int]

    def build(self, vectors: np.ndarray) -> None:
        """Index vectors, float32 [n, dimension]."""

    def search(self, queries: np.ndarray, k: int, **parameters: int) -> tuple[np.ndarray, np.ndarray]:
        """Return positions int64 [n_queries, k] and similarities float32 [n_queries, k], best first.

        Where fewer than k are found, position -1 with similarity -inf fills the row. Several threads may search at the
        same time, each with its own parameters.

        Args:
            queries: float32 [n_queries, dimension].
            parameters: search parameters, such as ef=40; the others have their defaults.

        Raises:
            UserError: the index has no such search parameter.
        """

    def save(self, path: Path) -> None:
        """Write the index to one file."""

    def load(self, path: Path, vectors: np.ndarray) -> None:
        """Read the index of `vectors` from the file that `save` wrote."""

    @property
    def bytes(self) -> int:
        """Size in memory, in bytes."""


def search_values(defaults: dict[str, int], parameters: Mapping[str, int]) -> dict[str, int]:
    """Return the values of all search parameters for one search.

    Raises:
        UserError: a parameter is not among the defaults.
    """
    if unknown := parameters.keys() - defaults.keys():
        known = f"it has {', '.join(defaults)}" if defaults else "it has none"
        raise UserError(f"the index has no search parameter {min(unknown)}; {known}")
    return defaults | dict(parameters)


def unit_rows(vectors: np.ndarray) -> np.ndarray:
    """Return the rows scaled to unit length, float32; a row of zeros stays one."""
    norms = np.linalg.norm(vectors, axis=1, keepdims=True)
    return (vectors / np.where(norms == 0, 1, norms)).astype(np.float32)


def of_one_length(vectors: np.ndarray, similarity: str) -> np.ndarray:
    """Return vectors of one length whose inner products with `as_queries` rank as the similarity does, float32.

    For cosine they are scaled to unit length. For dot product, where a long vector is near to everything and a walk
    from neighbour to neighbour would end there, each vector x gets a coordinate more, sqrt(L^2 - |x|^2) with L the
    longest length (Bachrach et al., 2014): all are then of length L, and the query, with a zero there, finds the inner
    products that it would have found. A graph or cells made of such vectors are made by a true distance.
    """
    if similarity == "cosine":
        return np.ascontiguousarray(unit_rows(vectors))
    squares = np.einsum("ij,ij->i", vectors, vectors, dtype=np.float64)
    more = np.sqrt(squares.max(initial=0.0) - squares)
    return np.ascontiguousarray(np.column_stack([vectors, more]), dtype=np.float32)


def as_queries(queries: np.ndarray, similarity: str) -> np.ndarray:
    """Return queries for vectors of `of_one_length`, float32."""
    if similarity == "cosine":
        return np.ascontiguousarray(unit_rows(queries))
    return np.ascontiguousarray(np.column_stack([queries, np.zeros(len(queries))]), dtype=np.float32)


def nothing_found(queries: int, k: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the positions and similarities of a search that finds nothing, to be filled in."""
    return np.full((queries, k), -1, dtype=np.int64), np.full((queries, k), -np.inf, dtype=np.float32)


# Libraries read whatever file they are given, out of bounds where it is damaged: what must hold stands beside it.


def write_beside(path: Path, documents: int, dimension: int) -> None:
    """Write, into `<path>.json`, what `check_beside` asks of an index's file."""
    about = {"vectors": [documents, dimension], "sha256": file_digest(path)}
    path.with_name(f"{path.name}.json").write_text(json.dumps(about), encoding="utf-8")


def check_beside(path: Path, documents: int, dimension: int) -> None:
    """Check an index's file before a library reads it.

    Raises:
        UserError: it is damaged, or of other vectors.
    """
    try:
        about = json.loads(path.with_name(f"{path.name}.json").read_text(encoding="utf-8"))
        fits = about == {"vectors": [documents, dimension], "sha256": file_digest(path)}
    except (OSError, ValueError):
        fits = False
    if not fits:
        raise UserError(f"{path.name}: damaged, or not an index of these vectors; build it again")
