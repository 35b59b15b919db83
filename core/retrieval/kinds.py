"""Kinds of systems: how each is opened, and which artifacts and settings determine its run.

To add a kind, write a class with the interface `core.retrieval.systems.System` and register it in `KINDS`. The class
and its libraries are imported only when a system is opened, since plans and pages need just artifacts and settings.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from core.workspace.artifacts import Artifact
from core.workspace.errors import UserError
from core.workspace.profile import Profile, SystemSettings
from core.workspace.workspace import CollectionFolder

if TYPE_CHECKING:
    from core.retrieval.systems import System


@dataclass(frozen=True)
class Kind:
    """A kind of system.

    Attributes:
        open: opens a system, given its profile and settings, the collection's folder and the device.
        searched: returns the artifacts that a system searches, keyed by their names among the inputs of its run.
        settings: returns the settings that determine its run, other than those of the artifacts that it searches.
    """

    open: Callable[[Profile, SystemSettings, CollectionFolder, str], "System"]
    searched: Callable[[CollectionFolder, SystemSettings], dict[str, Artifact]]
    settings: Callable[[Profile, SystemSettings], dict[str, Any]]


def _open_bm25(profile: Profile, system: SystemSettings, folder: CollectionFolder, device: str) -> "System":
    from core.retrieval.bm25 import load_index
    from core.retrieval.systems import Bm25System

    return Bm25System(system, load_index(profile, system, folder))


def _bm25_settings(profile: Profile, system: SystemSettings) -> dict[str, Any]:
    from core.retrieval.bm25 import index_settings

    return {"engine": profile.bm25_of(system).engine} | index_settings(profile, system)


def _open_dense(profile: Profile, system: SystemSettings, folder: CollectionFolder, device: str) -> "System":
    from core.indexes.exact import ExactIndex
    from core.indexes.milvus import MilvusIndex, open_served
    from core.retrieval.encoder import load_encoder_of, load_vectors
    from core.retrieval.systems import DenseSystem

    vectors, document_ids = load_vectors(folder, system.name)
    index: ExactIndex | MilvusIndex
    if system.engine == "milvus":
        index = open_served(system, folder, vectors)
    else:
        index = ExactIndex(system.similarity)
        index.build(vectors)
    return DenseSystem(system, lambda: load_encoder_of(folder, system, device), index, document_ids)


def _dense_searched(folder: CollectionFolder, system: SystemSettings) -> dict[str, Artifact]:
    vectors = {"vectors": folder.vectors(system.name)}
    return vectors | {"milvus": folder.milvus(system.name)} if system.engine == "milvus" else vectors


def _dense_settings(profile: Profile, system: SystemSettings) -> dict[str, Any]:
    backend = {} if system.engine == "exact" else {"engine": system.engine}
    return {"similarity": system.similarity, "query_prefix": system.query_prefix} | backend


def _refuse(profile: Profile, system: SystemSettings, folder: CollectionFolder, device: str) -> "System":
    raise UserError(f"{system.name} is an imported run without an index, so it cannot answer new queries")


KINDS = {
    "bm25": Kind(_open_bm25, lambda folder, system: {"bm25": folder.bm25(system.name)}, _bm25_settings),
    "dense": Kind(_open_dense, _dense_searched, _dense_settings),
    "run": Kind(_refuse, lambda folder, system: {}, lambda profile, system: {}),
}


def open_system(profile: Profile, system: SystemSettings, folder: CollectionFolder, device: str = "auto") -> "System":
    """Open one system over a collection's artifacts.

    Raises:
        UserError: if an artifact that it needs is missing or damaged; the message names the command that rebuilds it.
    """
    return KINDS[system.kind].open(profile, system, folder, device)
