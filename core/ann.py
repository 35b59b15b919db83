"""Approximate against exact search: recall, latency and what nDCG loses, for every dense system of a collection.

Writes the artifact `ann/<system>`: `sweep.csv`, one row a setting. Timings are of single queries on one thread, after a
warm-up, exact and approximate in turns so that drift hits both alike.
"""

import argparse
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from threadpoolctl import threadpool_limits

from core import cli
from core.artifacts import open_artifact, read_manifest, writing
from core.collection import QRELS, TOPICS, collection_digests, read_built_collection
from core.encode import encode_texts, load_encoder, load_vectors
from core.hnswlib_index import HnswlibIndex
from core.index import ExactIndex, VectorIndex
from core.measures import evaluate, mean
from core.profile import Profile, SystemSettings

SWEEP = "sweep.csv"


def recall_at_k(found: np.ndarray, exact: np.ndarray) -> float:
    """Return the mean share of the exact k nearest neighbours that were found.

    Args:
        found: positions, int64 [n_queries, k], -1 where fewer were found.
        exact: positions by exhaustive search, int64 [n_queries, k].
    """
    pairs = [(ours[ours >= 0], true[true >= 0]) for ours, true in zip(found, exact, strict=True)]
    return float(np.mean([len(np.intersect1d(ours, true)) / len(true) for ours, true in pairs]))


def sweep(profile: Profile, system: SystemSettings, folder: Path, device: str = "auto") -> Path:
    """Measure hnswlib against exact search on the system's vectors and write the artifact `ann/<system>`."""
    settings = profile.ann
    facts: dict[str, Any] = {}
    target = folder / "ann" / system.name
    with writing(target, "ann", ann_settings(profile, system), ann_inputs(system, folder), facts) as partial:
        vectors, ids = load_vectors(folder, system.name)
        vectors = np.array(vectors)
        collection = read_built_collection(folder)
        encoder = load_encoder(system, device)
        texts = [system.query_prefix + t.text(profile.collection.topic_field) for t in collection.topics]
        queries = encode_texts(encoder, texts, "query")
        exact = ExactIndex(system.similarity)
        exact.build(vectors)
        graph = HnswlibIndex(system.similarity, settings.connections, settings.ef_construction, seed=settings.seed)
        started = time.perf_counter()
        graph.build(vectors)
        build_seconds = time.perf_counter() - started
        topics = [topic.id for topic in collection.topics]
        deep = min(100, len(ids))
        with threadpool_limits(limits=1):
            truth, _ = exact.search(queries, deep)
            rows: list[dict[str, Any]] = []
            for ef in [None, *settings.ef]:  # None: exact search
                index: VectorIndex = exact if ef is None else graph
                graph.ef = ef or graph.ef
                positions, similarities = index.search(queries, 10)
                run = {
                    topic: {ids[i]: float(s) for i, s in zip(found, scores, strict=True) if i >= 0}
                    for topic, found, scores in zip(topics, positions, similarities, strict=True)
                }
                rows.append(
                    {
                        "index": "exact" if ef is None else "hnswlib HNSW",
                        "ef": ef,
                        "recall@10": recall_at_k(positions, truth[:, :10]),
                        f"recall@{deep}": recall_at_k(index.search(queries, deep)[0], truth),
                        "nDCG@10": mean(evaluate(run, collection.qrels, ["nDCG@10"])["nDCG@10"]),
                    }
                )
            times = _latencies(exact, graph, queries, settings.ef, settings.repeats)
        for row, milliseconds in zip(rows, times, strict=True):
            quantiles = np.percentile(milliseconds, [50, 95, 99])
            row |= dict(zip(("p50_ms", "p95_ms", "p99_ms"), quantiles, strict=True))
            row["build_seconds"] = 0.0 if row["ef"] is None else build_seconds
            row["bytes"] = exact.bytes if row["ef"] is None else graph.bytes
        pd.DataFrame(rows).to_csv(partial / SWEEP, index=False, lineterminator="\n", float_format="%.6g")
        facts |= {"documents": len(ids), "dimension": vectors.shape[1], "queries": len(queries)}
    return target


def _latencies(
    exact: ExactIndex, graph: HnswlibIndex, queries: np.ndarray, efs: list[int], repeats: int
) -> list[list[float]]:
    """Return the milliseconds of every single query: [exact, *efs][n_queries * repeats], indexes taken in turns."""
    times: list[list[float]] = [[] for _ in range(1 + len(efs))]
    for repeat in range(repeats + 1):  # the first round warms up and is not counted
        for query in queries:
            for number, ef in enumerate([None, *efs]):
                index = exact if ef is None else graph
                graph.ef = ef or graph.ef
                started = time.perf_counter()
                index.search(query[None], 10)
                if repeat:
                    times[number].append(1000 * (time.perf_counter() - started))
    return times


def ann_settings(profile: Profile, system: SystemSettings) -> dict[str, Any]:
    """Return the settings that shape the sweep, for its manifest."""
    return profile.ann.model_dump() | {"similarity": system.similarity, "query_prefix": system.query_prefix}


def ann_inputs(system: SystemSettings, folder: Path) -> dict[str, str]:
    """Return the digests of the collection and the system's vectors."""
    vectors = read_manifest(folder / "vectors" / system.name).digest
    return collection_digests(folder, TOPICS, QRELS) | {"vectors": vectors}


def read_sweep(folder: Path, system: str) -> pd.DataFrame:
    """Return the sweep of a system of the collection under `folder`, one row a setting.

    Raises:
        UserError: it is missing or damaged.
    """
    open_artifact(folder / "ann" / system)
    return pd.read_csv(folder / "ann" / system / SWEEP)


def main(arguments: list[str] | None = None) -> None:
    """Run `python -m core.ann`: sweep every dense system of the profile."""
    parser = argparse.ArgumentParser(prog="python -m core.ann", description=__doc__)
    cli.add_profile_options(parser)
    parser.add_argument("--system", help="only this system")
    options = parser.parse_args(arguments)
    profile, folder = cli.profile_and_folder(options)
    for system in profile.system:
        if system.kind == "dense" and options.system in (None, system.name):
            print(sweep(profile, system, folder, options.device))


if __name__ == "__main__":
    cli.run(main)
