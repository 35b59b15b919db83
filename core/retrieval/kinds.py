"""Kinds of systems: how each is opened, and which artifacts and settings determine its run.

To add a kind, see "To add a kind" in docs/house.md. A system's class and its libraries are imported only when it is
opened, since plans and pages need just artifacts and settings.
"""

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from core.formats.collections import built_documents, collection_digests, read_built_topics
from core.formats.documents import CORPUS
from core.formats.runs import built_run
from core.workspace.artifacts import Artifact, read_manifest
from core.workspace.errors import UserError
from core.workspace.estimates import Cost, Rate, Sizes
from core.workspace.model_shapes import shape_of
from core.workspace.models import digest_if_here
from core.workspace.profile import EXACT, Profile, SystemSettings
from core.workspace.workspace import CollectionFolder

if TYPE_CHECKING:
    from core.retrieval.systems import System

SCANNING = Rate("search dense", 3.5e9)
"""Values of vectors that exact search reads per second, for single queries on one thread."""


SCORING = Rate("search bm25", 2.5e8)
"""Documents that BM25 scores per second."""


ADDING = Rate("search sparse", 5e7)
"""Documents that a learned sparse system scores per second, with the encoding of the query."""


MICROSECONDS = 1e6
FUSING = Rate("search fusion", MICROSECONDS)
"""Microseconds, on the reference machine, of the systems that are fused."""


RERANKING = Rate("rerank", 1.5e11, "fp32")
"""Floating-point operations per second of a cross-encoder on one thread."""


@dataclass(frozen=True)
class Kind:
    """A kind of system; what it builds on (`SystemSettings.of`) is added by the functions below.

    Attributes:
        open: opens a system, given its profile and settings, the collection's folder, the device, and the open systems
            that it builds on, in the order of `of`.
        searched: returns the artifacts of its own that a system searches, keyed by their names among the inputs of its
            run.
        settings: returns the settings that determine its run, other than those of the artifacts that it searches.
        cost: returns what one query costs it, given its settings, the collection's folder and size.
        answers: whether it can answer new queries.
        inputs: returns the digests of what else determines its run and no artifact that it searches records.
    """

    open: Callable[[Profile, SystemSettings, CollectionFolder, str, Sequence["System"]], "System"]
    searched: Callable[[CollectionFolder, SystemSettings], dict[str, Artifact]]
    settings: Callable[[Profile, SystemSettings], dict[str, Any]]
    cost: Callable[[CollectionFolder, SystemSettings, Sizes], Cost]
    answers: bool = True
    inputs: Callable[[CollectionFolder, SystemSettings], dict[str, str]] = lambda folder, system: {}


def _open_bm25(
    profile: Profile, system: SystemSettings, folder: CollectionFolder, device: str, parts: Sequence["System"]
) -> "System":
    from core.retrieval.bm25 import load_index
    from core.retrieval.systems import Bm25System

    return Bm25System(system, load_index(profile, system, folder))


def _bm25_settings(profile: Profile, system: SystemSettings) -> dict[str, Any]:
    from core.retrieval.bm25 import index_settings

    return {"engine": profile.bm25_of(system).engine} | index_settings(profile, system)


def _open_dense(
    profile: Profile, system: SystemSettings, folder: CollectionFolder, device: str, parts: Sequence["System"]
) -> "System":
    from core.retrieval.backends import open_index, searched_vectors
    from core.retrieval.encoder import load_encoder_of
    from core.retrieval.systems import DenseSystem

    vectors, document_ids = searched_vectors(folder, system)
    index, depth = open_index(folder, system, vectors), system.backend.depth or profile.depth
    load: Callable[[], Any] = functools.partial(load_encoder_of, folder, system, device)
    if not system.vectors:
        return DenseSystem(system, load, index, vectors, document_ids, depth)
    from core.retrieval.own_vectors import checked_encoder, given_queries

    dimension = read_manifest(folder.vectors(system.vectors_name)).facts["dimension"]
    load, given = checked_encoder(load, system, dimension), given_queries(profile, folder, system)
    return DenseSystem(system, load, index, vectors, document_ids, depth, given)


def _dense_searched(folder: CollectionFolder, system: SystemSettings) -> dict[str, Artifact]:
    vectors = folder.vectors(system.vectors_name)
    artifacts = {folder.place(vectors) if system.vectors_of else "vectors": vectors}
    if system.backend.kind == EXACT:
        return artifacts
    from core.retrieval.backends import MILVUS, index_artifact

    index = index_artifact(folder, system)
    return artifacts | {MILVUS if system.backend.kind == MILVUS else folder.place(index): index}


def _dense_settings(profile: Profile, system: SystemSettings) -> dict[str, Any]:
    settings = {"similarity": system.similarity, "query_prefix": system.query_prefix}
    if system.is_exact:
        return settings
    from core.retrieval.backends import search_settings

    return settings | search_settings(system)


def _dense_cost(folder: CollectionFolder, system: SystemSettings, sizes: Sizes) -> Cost:
    width = system.dimensions or shape_of(folder.workspace, system.model).width
    return Cost(sizes.documents * width, SCANNING, startup=6.0)


def _open_sparse(
    profile: Profile, system: SystemSettings, folder: CollectionFolder, device: str, parts: Sequence["System"]
) -> "System":
    from core.retrieval.encoder import load_encoder_of
    from core.retrieval.sparse import SparseSystem, load_index

    return SparseSystem(system, lambda: load_encoder_of(folder, system, device), load_index(folder, system.name))


def _sparse_settings(profile: Profile, system: SystemSettings) -> dict[str, Any]:
    kept = {"max_query_terms": system.max_query_terms} if system.max_query_terms else {}
    return {"query_prefix": system.query_prefix} | kept


def _open_fusion(
    profile: Profile, system: SystemSettings, folder: CollectionFolder, device: str, parts: Sequence["System"]
) -> "System":
    from core.retrieval.fusion import FusionSystem
    from core.retrieval.imported import RunSystem

    of_topics = [part.topics for part in parts if isinstance(part, RunSystem)]
    if of_topics and not set.intersection(*of_topics):
        raise UserError(f"{' and '.join(system.of)} share no topic, so that there is nothing to fuse")
    return FusionSystem(system, parts, system.fusion.depth or profile.depth)


def _fusion_settings(profile: Profile, system: SystemSettings) -> dict[str, Any]:
    return system.fusion.model_dump(exclude={"chosen_on"}) | {"depth": system.fusion.depth or profile.depth}


def _open_rerank(
    profile: Profile, system: SystemSettings, folder: CollectionFolder, device: str, parts: Sequence["System"]
) -> "System":
    from core.retrieval.late_interaction import LateInteractionSystem
    from core.retrieval.rerank import RerankSystem, load_reranker

    kind = LateInteractionSystem if system.architecture == "multi-vector" else RerankSystem
    documents = built_documents(folder)
    return kind(system, parts[0], documents, lambda: load_reranker(folder.workspace, system, device))


def _rerank_settings(profile: Profile, system: SystemSettings) -> dict[str, Any]:
    limits: dict[str, Any] = {"depth": system.depth, "max_tokens": system.max_tokens, "precision": system.precision}
    limits |= {"architecture": system.architecture} if system.architecture != "cross-encoder" else {}
    return limits | {"query_prefix": system.query_prefix, "document_prefix": system.document_prefix}


def _rerank_inputs(folder: CollectionFolder, system: SystemSettings) -> dict[str, str]:
    if CORPUS not in read_manifest(folder.collection).files:
        raise UserError(
            f"{system.name} re-ranks by the texts of documents, but {folder.name} has runs and judgments alone; build "
            "it from a source with texts"
        )
    return collection_digests(folder, CORPUS) | {"model": digest_if_here(folder.workspace, system.model)}


def _rerank_cost(folder: CollectionFolder, system: SystemSettings, sizes: Sizes) -> Cost:
    shape = shape_of(folder.workspace, system.model)
    pair = sizes.total(shape.encoding, system.max_tokens or shape.limit) / sizes.documents
    return Cost(min(system.depth, sizes.documents) * pair, RERANKING, startup=8.0)


def _open_run(
    profile: Profile, system: SystemSettings, folder: CollectionFolder, device: str, parts: Sequence["System"]
) -> "System":
    from core.retrieval.imported import RunSystem

    topics, _ = read_built_topics(folder)
    texts = {topic.id: topic.text(profile.collection.topic_field) for topic in topics}
    return RunSystem(system, built_run(folder, system.name).scores, texts)


KINDS = {
    "bm25": Kind(
        _open_bm25,
        lambda folder, system: {"bm25": folder.bm25(system.name)},
        _bm25_settings,
        lambda folder, system, sizes: Cost(sizes.documents, SCORING, startup=1.0),
    ),
    "dense": Kind(_open_dense, _dense_searched, _dense_settings, _dense_cost),
    "sparse": Kind(
        _open_sparse,
        lambda folder, system: {"sparse": folder.sparse(system.name)},
        _sparse_settings,
        lambda folder, system, sizes: Cost(sizes.documents, ADDING, startup=8.0),
    ),
    "fusion": Kind(
        _open_fusion,
        lambda folder, system: {},
        _fusion_settings,
        lambda folder, system, sizes: Cost(0, FUSING),
    ),
    "rerank": Kind(_open_rerank, lambda folder, system: {}, _rerank_settings, _rerank_cost, inputs=_rerank_inputs),
    "run": Kind(
        _open_run,
        lambda folder, system: {"run": folder.run(system.name)},
        lambda profile, system: {},
        lambda folder, system, sizes: Cost(0, SCORING),
        answers=False,
    ),
}


def open_system(
    profile: Profile,
    system: SystemSettings,
    folder: CollectionFolder,
    device: str = "auto",
    opened: Mapping[str, "System"] | None = None,
) -> "System":
    """Open one system over a collection's artifacts, after those that it builds on.

    Args:
        opened: systems that are open already, by name.

    Raises:
        UserError: if an artifact that it needs is missing or damaged; the message names the command that rebuilds it.
    """
    known = dict(opened or {})
    for one in [*profile.built_on(system), system]:
        if one.name not in known:
            known[one.name] = KINDS[one.kind].open(profile, one, folder, device, [known[name] for name in one.of])
    return known[system.name]


def searched(profile: Profile, system: SystemSettings, folder: CollectionFolder) -> dict[str, Artifact]:
    """Return the artifacts that a system searches, by name: its own, then by place those of what it builds on."""
    own = KINDS[system.kind].searched(folder, system)
    others = [
        artifact for one in profile.built_on(system) for artifact in KINDS[one.kind].searched(folder, one).values()
    ]
    return own | {folder.place(artifact): artifact for artifact in others}


def search_settings(profile: Profile, system: SystemSettings) -> dict[str, Any]:
    """Return the settings that determine a system's run, with those of the systems that it builds on."""
    own = KINDS[system.kind].settings(profile, system)
    by_name = {one.name: one for one in profile.built_on(system)}
    parts = [{"system": name} | search_settings(profile, by_name[name]) for name in system.of]
    return own | {"of": parts} if parts else own


def other_inputs(profile: Profile, system: SystemSettings, folder: CollectionFolder) -> dict[str, str]:
    """Return the digests of what determines a system's run beside the artifacts, with those of what it builds on."""
    found = KINDS[system.kind].inputs(folder, system)
    for one in profile.built_on(system):
        found |= {f"{one.name}: {name}": digest for name, digest in KINDS[one.kind].inputs(folder, one).items()}
    return found


def query_cost(profile: Profile, system: SystemSettings, folder: CollectionFolder, sizes: Sizes) -> Cost:
    """Return what one query costs a system, with what it builds on; in microseconds if it builds on others."""
    own = KINDS[system.kind].cost(folder, system, sizes)
    if not system.of:
        return own
    every = [own, *(KINDS[one.kind].cost(folder, one, sizes) for one in profile.built_on(system))]
    seconds = sum(cost.units / cost.rate.per_second for cost in every)
    rate = Rate(f"search {system.kind}", MICROSECONDS, own.rate.probe)
    return Cost(MICROSECONDS * seconds, rate, startup=sum(cost.startup for cost in every))


def cannot_answer(profile: Profile, system: SystemSettings) -> UserError | None:
    """Return why a system cannot answer new queries, None if it can.

    It is or builds on an imported run, or a system without a model.
    """
    every = [*profile.built_on(system), system]
    runs = [one.name for one in every if not KINDS[one.kind].answers]
    if without := [one.name for one in every if one.vectors and not one.model]:
        return UserError(f"{without[0]} has vectors of the topics alone, and no model that could encode other queries")
    if not runs:
        return None
    return UserError("an imported run, which has no index" if system.name in runs else f"builds on the run {runs[0]}")
