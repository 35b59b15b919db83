"""Index vectors in Milvus (Wang et al., 2021), embedded (milvus-lite) or on a server: the artifact `milvus/<system>`.

The command builds the index of every dense system in the profile with `engine = "milvus"`.

    RANKSCOPE_MILVUS_URI      the server, such as http://localhost:19530; if unset, Milvus runs in this process
    RANKSCOPE_MILVUS_TOKEN    user:password or an API key, if the server requires one

Both are read from the environment and never written to disk. A collection on a server is named rankscope_ and a digest
of its vectors and settings; rebuilding replaces it, and all of these collections may be dropped.
"""

import os
from collections.abc import Iterator
from typing import Any

from core.indexes.milvus import FILE, URI, MilvusIndex
from core.retrieval.encoder import load_vectors
from core.workspace import command_line
from core.workspace.artifacts import read_manifest
from core.workspace.estimates import Cost, Rate, Sizes
from core.workspace.model_shapes import shape_of
from core.workspace.profile import SystemSettings
from core.workspace.stage import Build, Draft, Stage, Target

INDEXING = Rate("milvus", 1e6)
"""Values (vectors times dimension) per second."""


def targets(build: Build) -> Iterator[Target[SystemSettings]]:
    """Yield the index of each dense system that uses Milvus."""
    for system in build.dense:
        if system.engine == "milvus":
            yield Target(build.folder.milvus(system.name), system, (build.folder.vectors(system.name),))


def settings(build: Build, system: SystemSettings) -> dict[str, Any]:
    """Return the settings that affect the index."""
    return {"similarity": system.similarity}


def inputs(build: Build, system: SystemSettings) -> dict[str, str]:
    """Return the digest of the vectors."""
    return {"vectors": read_manifest(build.folder.vectors(system.name)).digest}


def make(build: Build, system: SystemSettings, draft: Draft) -> None:
    """Index a system's vectors in Milvus."""
    vectors, _ = load_vectors(build.folder, system.name)
    index = MilvusIndex(system.similarity)
    index.build(vectors)
    index.save(draft / FILE)
    draft.facts.update(served=bool(os.environ.get(URI)), documents=len(vectors), dimension=vectors.shape[1])


def estimate(build: Build, system: SystemSettings, sizes: Sizes) -> Cost:
    """Return the cost of indexing."""
    values = sizes.documents * shape_of(build.folder.workspace, system.model).width
    return Cost(values, INDEXING, 4.4 * values, 5.0)


STAGE = Stage("milvus", targets, settings, inputs, make, estimate=estimate)


def main(arguments: list[str] | None = None) -> None:
    """Run `python -m core.milvus_index`."""
    command_line.run_stage(STAGE, "milvus_index", __doc__, arguments, "systems")


if __name__ == "__main__":
    command_line.run(main)
