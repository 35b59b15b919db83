"""Index the vectors of dense systems: the artifacts `indexes/<name>` and `milvus/<system>`.

The command builds the index of every dense system of the profile whose `backend` is not exact search. Systems that
search the same vectors with the same construction parameters share an index. The same vectors give the same index,
except by Milvus (Wang et al., 2021): RankScope's HNSW is built on all threads, the others on one.

Milvus runs embedded (milvus-lite) or on a server:

    RANKSCOPE_MILVUS_URI      the server, such as http://localhost:19530; if unset, Milvus runs in this process
    RANKSCOPE_MILVUS_TOKEN    user:password or an API key, if the server requires one

Both are read from the environment and never written to disk. A collection on a server is named rankscope_ and a digest
of its vectors and settings; rebuilding replaces it, and all of these collections may be dropped.
"""

import os
from collections.abc import Iterator
from contextlib import nullcontext
from typing import Any

from core.indexes.milvus import URI
from core.indexes.registry import make_index
from core.retrieval.backends import FILE, MILVUS, construction, index_artifact, index_settings, searched_vectors
from core.workspace import command_line
from core.workspace.artifacts import Artifact, read_manifest
from core.workspace.estimates import Cost, Rate, Sizes
from core.workspace.model_shapes import shape_of
from core.workspace.profile import EXACT, SystemSettings
from core.workspace.stage import Build, Draft, Stage, Target
from core.workspace.timing import limited_threads

GRAPH, QUICK = 6e-4, 5e-6
BUILDING = {"hnsw": GRAPH, "hnswlib": GRAPH, "faiss-hnsw": GRAPH, "faiss-ivf": 8e-5, "faiss-ivf-pq": 1.3e-4}
BUILDING |= {MILVUS: 3.8e-4}
"""Seconds to index a vector of 384 dimensions among 100,000; `QUICK` for other kinds."""


LINKS = 142
"""Size of a graph per vector in bytes."""


def vector_bytes(kind: str, width: int) -> float:
    """Return the estimated size of an index on disk per vector of this dimension, in bytes."""
    full = 4.0 * width
    by_kind = {"hnsw": LINKS, "faiss-ivf": full + 8, "faiss-ivf-pq": 56, "faiss-sq8": width}
    by_kind |= {"faiss-binary": width / 8, "faiss-binary-codes": width / 8}
    return by_kind.get(kind, full + LINKS)


def targets(build: Build) -> Iterator[Target[SystemSettings]]:
    """Yield the index of each dense system whose backend has one, each once.

    Raises:
        UserError: if a system's backend does not exist or has no such parameter.
    """
    seen: set[Artifact] = set()
    for system in (system for system in build.dense if system.backend.kind != EXACT):
        artifact = index_artifact(build.folder, system)
        if artifact not in seen:
            seen.add(artifact)
            yield Target(artifact, system, (build.folder.vectors(system.vectors_name),))


def settings(build: Build, system: SystemSettings) -> dict[str, Any]:
    """Return the settings that affect the index."""
    return index_settings(system)


def inputs(build: Build, system: SystemSettings) -> dict[str, str]:
    """Return the digest of the vectors."""
    vectors = build.folder.vectors(system.vectors_name)
    # An index of its own is of the vectors of its system, unless their name says otherwise.
    name = "vectors" if system.backend.kind == MILVUS and not system.vectors_of else build.folder.place(vectors)
    return {name: read_manifest(vectors).digest}


def make(build: Build, system: SystemSettings, draft: Draft) -> None:
    """Index the vectors that a system searches."""
    vectors, _ = searched_vectors(build.folder, system)
    index = make_index(system.backend.kind, system.similarity, **construction(system))
    with nullcontext() if system.backend.kind == "hnsw" else limited_threads(1):
        index.build(vectors)
    index.save(draft / FILE)
    draft.facts.update(documents=len(vectors), dimension=vectors.shape[1], memory_bytes=index.bytes)
    if system.backend.kind == MILVUS:
        draft.facts.update(served=bool(os.environ.get(URI)))


def estimate(build: Build, system: SystemSettings, sizes: Sizes) -> Cost:
    """Return the cost of indexing, in seconds; a larger graph takes longer per vector."""
    kind = system.backend.kind
    width = system.dimensions or shape_of(build.folder.workspace, system.model).width
    each = BUILDING.get(kind, QUICK) * width / 384 * (sizes.documents / 1e5) ** 0.25
    size = sizes.documents * vector_bytes(kind, width)
    return Cost(sizes.documents * each, Rate(f"index {kind}", 1.0), size, 3.0)


STAGE = Stage("index", targets, settings, inputs, make, estimate=estimate)


def main(arguments: list[str] | None = None) -> None:
    """Run `python -m core.index`: index the vectors of every dense system of the profile that has a backend."""
    command_line.run_stage(STAGE, "index", __doc__, arguments, "systems")


if __name__ == "__main__":
    command_line.run(main)
