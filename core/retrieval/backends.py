"""Search backends of dense systems: an index of `core.indexes.registry` over the vectors, or over their prefixes.

The exact backend searches the artifact `vectors/<system>`. The others have an index of these vectors as an artifact,
which systems with the same vectors and construction parameters share.
"""

from typing import Any

import numpy as np

from core.indexes.base import VectorIndex
from core.indexes.registry import construction_parameters, make_index
from core.retrieval.encoder import load_vectors
from core.workspace.artifacts import Artifact, Manifest, read_whole
from core.workspace.errors import UserError
from core.workspace.profile import EXACT, SystemSettings
from core.workspace.workspace import CollectionFolder

FILE = "index"
MILVUS = "milvus"


def index_artifact(folder: CollectionFolder, system: SystemSettings) -> Artifact:
    """Return the index that a dense system searches, whether or not it exists; the exact backend has none.

    Raises:
        UserError: if there is no such backend, or it has no such parameter.
    """
    kind, built_with = system.backend.kind, construction(system)
    if kind == MILVUS:
        return folder.milvus(system.name)
    parts = [system.vectors_name, *([str(system.dimensions)] if system.dimensions else []), kind]
    parts += ["dot"] if system.similarity == "dot" else []
    return folder.index("+".join([*parts, *(f"{name}{value}" for name, value in built_with.items())]))


def construction(system: SystemSettings) -> dict[str, int]:
    """Return the construction parameters of a system's backend that are not the defaults, by name.

    Raises:
        UserError: if there is no such backend, or it has no such parameter.
    """
    try:
        return construction_parameters(system.backend.kind, system.backend.parameters)
    except UserError as error:
        raise UserError(f"the backend of {system.name}: {error}") from None


def index_settings(system: SystemSettings) -> dict[str, Any]:
    """Return the settings that affect a system's index, for its manifest."""
    # The kind of a Milvus index and what is the default are not recorded, so that older indexes stay up to date.
    kind = {} if system.backend.kind == MILVUS else {"kind": system.backend.kind}
    dimensions = {"dimensions": system.dimensions} if system.dimensions else {}
    return {"similarity": system.similarity} | kind | dimensions | construction(system)


def search_settings(system: SystemSettings) -> dict[str, Any]:
    """Return the settings of the backend that affect a system's run, for its manifest; empty for the default."""
    backend = system.backend
    if backend.kind == MILVUS and not backend.parameters and not backend.depth:
        settings: dict[str, Any] = {"engine": MILVUS}  # the setting's former name, so that older runs stay up to date
    else:
        depth = {"depth": backend.depth} if backend.depth else {}
        settings = {} if backend.kind == EXACT else {"backend": {"kind": backend.kind} | depth | backend.parameters}
    return settings | ({"dimensions": system.dimensions} if system.dimensions else {})


def searched_vectors(folder: CollectionFolder, system: SystemSettings) -> tuple[np.ndarray, list[str]]:
    """Return the vectors that a dense system searches, float32 [n_documents, dimension], and the documents' ids.

    Those with all dimensions are memory-mapped; prefixes are in memory.

    Raises:
        UserError: if the vectors are missing or damaged, or have fewer dimensions than the system.
    """
    vectors, ids = load_vectors(folder, system.vectors_name)
    return (np.ascontiguousarray(prefixes(vectors, system)) if system.dimensions else vectors), ids


def prefixes(vectors: np.ndarray, system: SystemSettings) -> np.ndarray:
    """Return the dimensions of vectors that a system searches, as a view.

    Raises:
        UserError: if there are fewer.
    """
    if system.dimensions > vectors.shape[1]:
        raise UserError(
            f"{system.name}: dimensions is {system.dimensions}, but its vectors have {vectors.shape[1]}; "
            "choose a smaller number"
        )
    return vectors[:, : system.dimensions] if system.dimensions else vectors


def open_index(folder: CollectionFolder, system: SystemSettings, vectors: np.ndarray) -> VectorIndex:
    """Return the index of a dense system's vectors, ready to search.

    Raises:
        UserError: if its artifact is missing or damaged, its parameters are invalid, or Milvus does not answer.
    """
    index = make_index(system.backend.kind, system.similarity, **system.backend.parameters)
    if system.backend.kind == EXACT:
        index.build(vectors)
        return index
    target = index_artifact(folder, system)

    def read(_: Manifest) -> VectorIndex:
        index.load(target / FILE, vectors)
        return index

    return read_whole(target, read)
