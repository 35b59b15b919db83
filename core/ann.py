"""Approximate against exact search: recall, latency, throughput, memory, and what nDCG loses, for every dense system.

Writes the artifact `ann/<system>`: `sweep.csv`, a row an index and a value of its dial, and the graph of our own HNSW
for the live panel. With --size N the system's vectors are simulated to N documents, or N of them drawn where there
are more (see `core.simulate`), and the artifact is `ann-simulated/<system>-N`.

Recall is computed by similarity (see `core.indexes.recall`). For nDCG and for the relevant documents missed, documents
of equal similarity are exchanged as exact search has them: which of them an index returns is arbitrary.

Timings are of one thread, or of --threads. Single queries are timed after a warm-up round, all indexes in turns and in
a new order for each query, so that drift of the machine and what the processor's cache holds hit all alike. Indexes
that are built stay on disk until the end: an interrupted sweep goes on. With --engine ray the workers build them side
by side, which their build times show, on machines that share this folder.
"""

import argparse
import functools
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from core.evaluation.ann_sweep import (
    SWEEP,
    add_ndcg,
    ann_inputs,
    ann_settings,
    build_by_workers,
    compare_similarities,
    excluded_positions,
    keep_own_graph,
    measure_indexes,
)
from core.formats.collections import read_built_collection
from core.indexes.distinct import distinct_rows
from core.indexes.simulation import intrinsic_dimension, simulate
from core.retrieval.encoder import load_vectors, topic_vectors
from core.workspace import command_line, executors
from core.workspace.artifacts import (
    writing,
)
from core.workspace.errors import UserError
from core.workspace.executors import HERE, Engine
from core.workspace.profile import Profile, SystemSettings
from core.workspace.progress import ProgressLog
from core.workspace.timing import THREADS


def sweep(
    profile: Profile,
    system: SystemSettings,
    folder: Path,
    device: str = "auto",
    size: int = 0,
    engine: Engine = HERE,
    threads: int = THREADS,
) -> Path:
    """Measure the profile's indexes on the system's vectors, or on `size` simulated ones, and write the artifact.

    Raises:
        UserError: vectors, model or an index are unavailable, or an index does not know a parameter.
    """
    target = folder / f"ann-simulated/{system.name}-{size}" if size else folder / "ann" / system.name
    facts: dict[str, Any] = {}
    settings, inputs = ann_settings(profile, system) | {"size": size}, ann_inputs(system, folder)
    if size and system.similarity != "cosine":
        raise UserError(f"{system.name} searches by {system.similarity}: vectors are simulated for cosine alone")
    with writing(target, "ann", settings, inputs, facts, resume=True) as partial, ProgressLog(partial) as log:
        stored, ids = load_vectors(folder, system.name)
        collection = read_built_collection(folder)
        queries = topic_vectors(profile, system, collection.topics, folder, device)
        vectors = simulate(np.array(stored), size, profile.ann.seed) if size else np.array(stored)
        if engine.name != "here":
            build_by_workers(vectors, system.similarity, profile, partial, log, engine, threads)
        # Simulated documents are none of the collection's.
        excluded = [] if size else excluded_positions(collection, ids)
        rows = measure_indexes(vectors, queries, excluded, system.similarity, profile, partial, log, threads)
        if not size:
            add_ndcg(rows, collection, ids)
            facts["similarities"] = compare_similarities(collection, vectors, queries, excluded, ids)
        table = pd.DataFrame([{k: v for k, v in row.items() if k != "found"} for row in rows])
        table.to_csv(partial / SWEEP, index=False, lineterminator="\n", float_format="%.6g")
        facts |= {"documents": len(vectors), "dimension": vectors.shape[1], "queries": len(queries)}
        facts |= {"built": engine.name, "threads": threads}
        facts["distinct_vectors"] = len(distinct_rows(vectors))
        dimension = intrinsic_dimension(vectors) if system.similarity == "cosine" else None
        if dimension is not None:
            facts["intrinsic_dimension"] = round(dimension, 2)
        keep_own_graph(profile, partial)
    return target


def main(arguments: list[str] | None = None) -> None:
    """Run `python -m core.ann`: sweep every dense system of the profile."""
    parser = argparse.ArgumentParser(prog="python -m core.ann", description=__doc__)
    command_line.add_profile_options(parser)
    command_line.add_systems_option(parser)
    parser.add_argument("--size", type=int, default=0, help="simulate this number of documents, or draw so few of them")
    command_line.add_threads_option(parser)
    executors.add_options(parser)
    options = parser.parse_args(arguments)
    profile, folder = command_line.profile_and_folder(options)
    engine, threads = executors.chosen(options), options.threads
    chosen = [s for s in command_line.chosen_systems(profile, options.systems) if s.kind == "dense"]
    command_line.each(
        (s.name, functools.partial(sweep, profile, s, folder, options.device, options.size, engine, threads))
        for s in chosen
    )


if __name__ == "__main__":
    command_line.run(main)
