"""Measure approximate against exact search for every dense system: recall, latency, throughput, memory, nDCG@10.

Writes the artifact `ann/<system>`: `sweep.csv`, one row for each index and value of its search parameter, and
RankScope's HNSW graph, which the dashboard searches. With --size N the system's vectors are simulated to N documents,
or N of them are sampled if there are more (see `core.simulate`), and the artifact is `ann-simulated/<system>-N`.

Recall is computed by similarity (see `core.indexes.recall`). For nDCG and the relevant documents missed, documents of
equal similarity are replaced by those that exact search returns, because which of them an index returns is arbitrary.

Timings use one thread, or --threads. Single queries are timed after a warm-up round, interleaved over all indexes in a
new random order for each query, so that drift of the machine and the contents of its caches affect all alike. Built
indexes stay on disk until the end, so that an interrupted sweep resumes. With --engine ray, workers that share this
folder build indexes concurrently, which their build times reflect.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np

from core.evaluation.ann_sweep import (
    SWEEP,
    ann_inputs,
    ann_settings,
    build_by_workers,
    compare_similarities,
    excluded_positions,
    keep_own_graph,
    measure_indexes,
    with_ndcg,
)
from core.evaluation.sweep_rows import write_rows
from core.formats.collections import read_built_collection
from core.index import BUILDING, LINKS, QUICK
from core.indexes.base import equal_norm_vectors
from core.indexes.distinct import distinct_rows
from core.indexes.simulation import intrinsic_dimension, simulate
from core.retrieval.backends import prefixes, searched_vectors
from core.retrieval.encoder import topic_vectors
from core.workspace import command_line
from core.workspace.errors import UserError
from core.workspace.estimates import Cost, Rate, Sizes
from core.workspace.model_shapes import shape_of
from core.workspace.profile import SystemSettings
from core.workspace.stage import Build, Draft, Stage, Target

MEASURING = Rate("ann", 1.0)
"""Seconds of building and searching, as computed by `estimate`, per second."""


SCAN = 1.1e-7
"""Seconds to compare a query with a vector of 384 dimensions."""


def targets(build: Build) -> Iterator[Target[SystemSettings]]:
    """Yield the sweep of each chosen dense system that has vectors of its own, for the size of the build."""
    for system in (one for one in build.dense if one in build.chosen and not one.vectors_of):
        vectors = build.folder.vectors(system.name)
        yield Target(build.folder.sweep(system.name, build.size), system, (vectors,))


def settings(build: Build, system: SystemSettings) -> dict[str, Any]:
    """Return the settings that affect the sweep."""
    return ann_settings(build.profile, system, build.size)


def inputs(build: Build, system: SystemSettings) -> dict[str, str]:
    """Return the digests of the collection and the system's vectors."""
    return ann_inputs(system, build.folder)


def make(build: Build, system: SystemSettings, draft: Draft) -> None:
    """Measure the profile's indexes on the system's vectors, or on simulated ones.

    Raises:
        UserError: if vectors, the model or an index are unavailable, or an index does not have a parameter.
    """
    profile, folder, size, threads = build.profile, build.folder, build.size, build.threads
    if size and system.similarity != "cosine":
        problem = f"{system.name} uses {system.similarity} similarity, but vectors can only be simulated for cosine"
        raise UserError(f"{problem}; omit --size")
    stored, ids = searched_vectors(folder, system)
    collection = read_built_collection(folder)
    queries = prefixes(topic_vectors(profile, system, collection.topics, folder, build.device), system)
    vectors = simulate(np.array(stored), size, profile.ann.seed) if size else stored
    if build.executor.name != "here":
        build_by_workers(vectors, system.similarity, profile, draft.folder, draft.log, build.executor, threads)
    # Simulated documents are not in the collection, so none is excluded.
    excluded = [] if size else excluded_positions(collection, ids)
    # Indexes that keep full vectors share unit vectors; of others each would keep a scaled copy.
    searched = equal_norm_vectors(vectors, "cosine") if system.similarity == "cosine" else np.array(vectors)
    rows, top_tens = measure_indexes(
        searched, queries, excluded, system.similarity, profile, draft.folder, draft.log, threads
    )
    del searched
    if not size:
        vectors = np.array(stored)
        rows = with_ndcg(rows, top_tens, collection, ids)
        draft.facts["similarities"] = compare_similarities(collection, vectors, queries, excluded, ids)
    write_rows(draft / SWEEP, rows)
    draft.facts.update(documents=len(vectors), dimension=vectors.shape[1], queries=len(queries))
    draft.facts.update(built=build.executor.name, threads=threads, distinct_vectors=len(distinct_rows(vectors)))
    dimension = intrinsic_dimension(vectors) if system.similarity == "cosine" else None
    if dimension is not None:
        draft.facts["intrinsic_dimension"] = round(dimension, 2)
    keep_own_graph(profile, draft.folder)


def estimate(build: Build, system: SystemSettings, sizes: Sizes) -> Cost:
    """Return the cost of building and measuring the indexes; a larger graph takes longer per vector."""
    indexes, vectors = build.profile.ann.index, build.size or sizes.documents
    wide = (system.dimensions or shape_of(build.folder.workspace, system.model).width) / 384
    built = sum(BUILDING.get(index.kind, QUICK) for index in indexes) * (vectors / 1e5) ** 0.25
    queries = sizes.topics * (build.profile.ann.repeats + 2)
    searched = queries * SCAN * (1 + 0.1 * sum(max(1, len(index.values)) for index in indexes))
    size = LINKS * vectors
    return Cost(vectors * wide * (built + searched), MEASURING, size, 5.0)


STAGE = Stage("ann", targets, settings, inputs, make, resume=True, estimate=estimate)


def main(arguments: list[str] | None = None) -> None:
    """Run `python -m core.ann`: sweep every dense system of the profile."""
    command_line.run_stage(STAGE, "ann", __doc__, arguments, "systems", "size", "threads", "executor")


if __name__ == "__main__":
    command_line.run(main)
