"""Measure approximate indexes against exact search, and read the measurements."""

import functools
import statistics
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from tqdm import tqdm

from core.evaluation.measures import Evaluator, evaluate, mean
from core.evaluation.sweep_rows import SweepRow, as_table, read_rows
from core.formats.collections import QRELS, TOPICS, Collection, collection_digests
from core.formats.exclusions import EXCLUDED
from core.formats.runs import Scores, run_of
from core.indexes.base import VectorIndex, empty_results
from core.indexes.exact import ExactIndex
from core.indexes.recall import TrueSimilarities, recall_at_k, ties_as_exact
from core.indexes.registry import make_index
from core.workspace.artifacts import (
    Artifact,
    Manifest,
    read_manifest,
    read_whole,
)
from core.workspace.errors import UserError
from core.workspace.executors import Executor, over_shards
from core.workspace.profile import IndexSettings, Profile, SystemSettings
from core.workspace.progress import ProgressLog
from core.workspace.timing import PROCEDURE, TIMING_PROCEDURE, limited_threads
from core.workspace.workspace import CollectionFolder

SWEEP = "sweep.csv"


OWN_GRAPH = "hnsw"
"""The kind of index that is kept in the artifact."""


def build_by_workers(
    vectors: np.ndarray,
    similarity: str,
    profile: Profile,
    partial: Path,
    log: ProgressLog,
    executor: Executor,
    threads: int,
) -> None:
    """Let workers build the profile's indexes in a folder that they share with this process, which measures them."""
    place = partial / "index-vectors.npy"  # `keep_own_graph` removes it, too
    np.save(place, vectors)
    open_builder = functools.partial(IndexBuilder, place, similarity, profile.ann.seed, partial, threads)
    left = (
        (_file_name(settings), settings)
        for settings in profile.ann.index
        if _read_index(settings, similarity, vectors, profile.ann.seed, partial, log) is None
    )
    for name, seconds in over_shards(executor, open_builder, left, on_gpu=False):
        log.add({name: seconds})


class IndexBuilder:
    """Builds indexes of the vectors in a file, in a worker, and saves them for the sweep."""

    def __init__(self, place: Path, similarity: str, seed: int, partial: Path, threads: int):
        self.vectors = np.load(place)
        self.similarity, self.seed, self.partial, self.threads = similarity, seed, partial, threads

    def __call__(self, settings: IndexSettings) -> float:
        """Build and save an index; return the build time in seconds."""
        with limited_threads(self.threads):
            _, seconds = _build(settings, self.similarity, self.vectors, self.seed, self.partial)
        return seconds


def excluded_positions(collection: Collection, ids: list[str]) -> list[set[int]]:
    """Return the positions of the excluded documents of each topic, or [] if no topic excludes any."""
    if not collection.excluded:
        return []
    positions = {name: position for position, name in enumerate(ids)}
    names = [collection.excluded.get(topic.id, set()) for topic in collection.topics]
    return [{positions[name] for name in own if name in positions} for own in names]


def search_without(
    index: VectorIndex, queries: np.ndarray, k: int, excluded: Sequence[set[int]], **parameters: int
) -> tuple[np.ndarray, np.ndarray]:
    """Search as `VectorIndex.search`, for the k best documents that are not excluded.

    The index is searched for k documents plus the number of excluded ones, and these are dropped from the results.

    Args:
        excluded: positions, for each query; [] if no query excludes any.
        parameters: of the search.
    """
    if not any(excluded):
        return index.search(queries, k, **parameters)
    positions, similarities = empty_results(len(queries), k)
    for more in {len(own) for own in excluded}:
        rows = [row for row, own in enumerate(excluded) if len(own) == more]
        for row, found, scores in zip(rows, *index.search(queries[rows], k + more, **parameters), strict=True):
            kept = np.flatnonzero(~np.isin(found, list(excluded[row])))[:k]
            positions[row, : len(kept)], similarities[row, : len(kept)] = found[kept], scores[kept]
    return positions, similarities


def measure_indexes(
    vectors: np.ndarray,
    queries: np.ndarray,
    excluded: Sequence[set[int]],
    similarity: str,
    profile: Profile,
    partial: Path,
    log: ProgressLog,
    threads: int,
) -> tuple[list[SweepRow], list[np.ndarray]]:
    """Measure exact search and the profile's indexes, each with every value of its search parameter.

    Latency is that of searching ten documents, regardless of exclusions.

    Returns:
        The rows, without nDCG and missed documents, and the positions of each row's top 10, int64 [n_queries, 10], with
        ties resolved as in exact search.
    """
    settings = profile.ann
    exact = ExactIndex(similarity)
    exact.build(vectors)
    deep = min(100, len(vectors))
    truth, _ = search_without(exact, queries, deep, excluded)
    true_similarities = TrueSimilarities(queries, vectors, similarity)
    of_truth = true_similarities(truth)
    points: list[tuple[VectorIndex, dict[str, int]]] = []
    rows: list[dict[str, Any]] = []
    top_tens = []
    with limited_threads(threads):
        for of_kind in [IndexSettings(kind="exact"), *settings.index]:
            index, seconds, on_disk = _built(of_kind, similarity, vectors, settings.seed, partial, log)
            in_memory = index.bytes
            name = index.search_parameter
            for value in of_kind.values if name else [None]:
                points.append((index, {} if value is None else {name: value}))
                row: dict[str, Any] = {"index": of_kind.kind, "build": of_kind.build}
                row |= {"parameter": name or None, "value": value}
                rows.append(row | {"build_seconds": seconds, "bytes": in_memory, "disk_bytes": on_disk})
        for (index, parameters), row in zip(tqdm(points, desc="recall", unit="point"), rows, strict=True):
            found, _ = search_without(index, queries, 10, excluded, **parameters)  # also reads the index into memory
            row["queries_per_second"] = len(queries) / _batch_seconds(index, parameters, queries, settings.repeats)
            of_found = true_similarities(found)
            row["recall"] = recall_at_k(of_found, of_truth[:, :10])
            if deep != 10:
                deeper, _ = search_without(index, queries, deep, excluded, **parameters)
                row |= {"deep": deep, "recall_deep": recall_at_k(true_similarities(deeper), of_truth)}
            lists = zip(found, of_found, truth[:, :10], of_truth[:, :10], strict=True)
            top_tens.append(np.array([ties_as_exact(*of_query) for of_query in lists]))
        for row, milliseconds in zip(rows, _latencies(points, queries, settings.repeats, settings.seed), strict=True):
            quantiles = np.percentile(milliseconds, [50, 95, 99])
            row |= dict(zip(("p50_ms", "p95_ms", "p99_ms"), quantiles, strict=True))
    return [SweepRow(**row) for row in rows], top_tens


def _batch_seconds(index: VectorIndex, parameters: dict[str, int], queries: np.ndarray, repeats: int) -> float:
    """Return the median seconds of a batch search for all queries."""
    seconds = []
    for _ in range(repeats):
        started = time.perf_counter()
        index.search(queries, 10, **parameters)
        seconds.append(time.perf_counter() - started)
    return statistics.median(seconds)


def _built(
    settings: IndexSettings, similarity: str, vectors: np.ndarray, seed: int, partial: Path, log: ProgressLog
) -> tuple[VectorIndex, float, int]:
    """Return a built index, its build time in seconds and its bytes on disk; a finished one is read."""
    path = partial / _file_name(settings)
    index = _read_index(settings, similarity, vectors, seed, partial, log)
    if index is None:
        index, seconds = _build(settings, similarity, vectors, seed, partial)
        log.add({path.name: seconds})
    return index, log.done[path.name], path.stat().st_size


def _file_name(settings: IndexSettings) -> str:
    """Return the name of an index's file, which is also its name in the log."""
    return "-".join(["index", settings.kind, *(f"{name}{value}" for name, value in sorted(settings.build.items()))])


def keep_own_graph(profile: Profile, partial: Path) -> None:
    """Delete all index files except the first of kind `OWN_GRAPH`, which is kept as `index-<OWN_GRAPH>`."""
    kept = partial / f"index-{OWN_GRAPH}"
    own = next((settings for settings in profile.ann.index if settings.kind == OWN_GRAPH), None)
    if own is not None:
        (partial / _file_name(own)).replace(kept)
    for path in partial.glob("index-*"):
        if path != kept:
            path.unlink()


def _new_index(settings: IndexSettings, similarity: str, seed: int) -> VectorIndex:
    parameters = settings.build if settings.kind == "exact" else settings.build | {"seed": seed}
    return make_index(settings.kind, similarity, **parameters)


def _read_index(
    settings: IndexSettings, similarity: str, vectors: np.ndarray, seed: int, partial: Path, log: ProgressLog
) -> VectorIndex | None:
    """Return an index that an interrupted sweep built, or None if there is none or its files are damaged."""
    path = partial / _file_name(settings)
    if path.name not in log.done or not path.exists():
        return None
    index = _new_index(settings, similarity, seed)
    with suppress(UserError):  # damaged files, or an index that a server no longer has
        index.load(path, vectors)
        return index
    return None


def _build(
    settings: IndexSettings, similarity: str, vectors: np.ndarray, seed: int, partial: Path
) -> tuple[VectorIndex, float]:
    """Build and save an index; return it and its build time in seconds."""
    if settings.kind == OWN_GRAPH:  # load the compiled code before timing
        make_index(OWN_GRAPH, similarity).build(vectors[:50])
    index = _new_index(settings, similarity, seed)
    started = time.perf_counter()
    index.build(vectors)
    seconds = time.perf_counter() - started
    index.save(partial / _file_name(settings))
    return index, seconds


def _latencies(
    points: list[tuple[VectorIndex, dict[str, int]]], queries: np.ndarray, repeats: int, seed: int
) -> list[list[float]]:
    """Return the latencies of single queries at each point, in milliseconds, [n_points][n_queries * repeats]."""
    times: list[list[float]] = [[] for _ in points]
    order = np.random.default_rng(seed)
    for repeat in tqdm(range(repeats + 1), desc="latency", unit="round"):  # the first round warms up
        for query in queries:
            # In a new order each time: the processor's cache holds the path of a search that was just made in the same
            # index, and nothing useful after exact search.
            for number in order.permutation(len(points)):
                index, parameters = points[number]
                started = time.perf_counter()
                index.search(query[None], 10, **parameters)
                if repeat:
                    times[number].append(1000 * (time.perf_counter() - started))
    return times


def with_ndcg(
    rows: Sequence[SweepRow], top_tens: Sequence[np.ndarray], collection: Collection, ids: list[str]
) -> list[SweepRow]:
    """Return rows with nDCG@10 and, for each topic, its difference from exact search and relevant documents missed.

    Args:
        rows: the rows of the collection itself, exact search first.
        top_tens: the positions of each row's top 10, see `measure_indexes`.
        ids: the document ids, by position.
    """
    evaluator = Evaluator(collection.qrels, ["nDCG@10"])
    topics = [topic.id for topic in collection.topics]
    complete: list[SweepRow] = []
    of_exact: dict[str, set[str]] = {}
    exact: dict[str, float] = {}
    for row, positions in zip(rows, top_tens, strict=True):
        run = _ranked_run(topics, ids, positions)
        relevant = {
            topic: {d for d in found if collection.qrels.get(topic, {}).get(d, 0) > 0} for topic, found in run.items()
        }
        of_exact = of_exact or relevant
        missed = {topic: sorted(of_exact[topic] - relevant[topic]) for topic in run}
        values = evaluator.evaluate(run)["nDCG@10"]
        exact = exact or values
        apart = {topic: round(value - exact[topic], 6) for topic, value in values.items() if value != exact[topic]}
        missed = {topic: documents for topic, documents in missed.items() if documents}
        complete.append(row.model_copy(update={"ndcg": mean(values), "missed": missed, "differences": apart}))
    return complete


def _ranked_run(topics: list[str], ids: list[str], positions: np.ndarray) -> Scores:
    """Return positions, int64 [n_topics, k], best first, as a run whose scores follow ranks, so that none are tied."""
    scores = np.broadcast_to(-np.arange(positions.shape[1], dtype=np.float32), positions.shape)
    return run_of(topics, ids, positions, scores)


def compare_similarities(
    collection: Collection,
    vectors: np.ndarray,
    queries: np.ndarray,
    excluded: Sequence[set[int]],
    ids: list[str],
) -> dict[str, float]:
    """Return nDCG@10 by cosine and by dot product, the overlap of their top 10, and the range of vector norms."""
    figures, first_ten = {}, []
    for similarity in ("cosine", "dot"):
        exact = ExactIndex(similarity)
        exact.build(vectors)
        positions, _ = search_without(exact, queries, 10, excluded)
        first_ten.append(positions)
        run = _ranked_run([topic.id for topic in collection.topics], ids, positions)
        figures[f"nDCG@10 by {similarity}"] = mean(evaluate(run, collection.qrels, ["nDCG@10"])["nDCG@10"])
    lengths = np.linalg.norm(vectors, axis=1)
    cosines = TrueSimilarities(queries, vectors, "cosine")
    figures["first ten in common"] = recall_at_k(cosines(first_ten[1]), cosines(first_ten[0]))
    figures |= {"shortest vector": float(lengths.min()), "longest vector": float(lengths.max())}
    return {name: round(value, 4) for name, value in figures.items()}


def ann_settings(profile: Profile, system: SystemSettings, size: int = 0) -> dict[str, Any]:
    """Return the settings that determine the sweep, for the manifest."""
    about = {"similarity": system.similarity, "query_prefix": system.query_prefix, "size": size}
    field = profile.collection.topic_field
    # Recorded only where it is not the default, so that sweeps made before it was recorded stay up to date.
    about |= {"topic_field": field} if field != "question" else {}
    about |= {"dimensions": system.dimensions} if system.dimensions else {}
    return profile.ann.model_dump() | about | {PROCEDURE: TIMING_PROCEDURE}


def ann_inputs(system: SystemSettings, folder: CollectionFolder) -> dict[str, str]:
    """Return the digests of the collection and the system's vectors."""
    vectors = read_manifest(folder.vectors(system.name)).digest
    return collection_digests(folder, TOPICS, QRELS, EXCLUDED) | {"vectors": vectors}


def read_sweep(folder: CollectionFolder, system: str) -> pd.DataFrame:
    """Read the sweep of a system of the collection under `folder`; see `core.evaluation.sweep_rows.as_table`.

    Raises:
        UserError: if it is missing or damaged, or of an older version.
    """
    return as_table(read_measurements(folder.sweep(system)))


def read_growth(folder: CollectionFolder, system: str) -> pd.DataFrame:
    """Read the sweeps of a system at all measured sizes as one table.

    Raises:
        UserError: if a sweep is damaged or of an older version, or that of the collection itself is missing.
    """
    return as_table(row for target in sweeps_of(folder, system) for row in read_measurements(target))


def measured_sweeps(folder: CollectionFolder, system: str) -> list[str]:
    """Return the places of the existing sweeps of `sweeps_of`, such as "ann/bge" or "ann-simulated/bge-100000"."""
    sweeps = [place.path for place in sweeps_of(folder, system) if place.path.is_dir()]
    return [place.relative_to(folder.path).as_posix() for place in sweeps]


def sweeps_of(folder: CollectionFolder, system: str) -> list[Artifact]:
    """Return a system's sweep artifacts: that of the collection first, then those of other sizes, ascending."""
    return [folder.sweep(system), *folder.simulated_sweeps(system)]


def read_measurements(target: Artifact) -> list[tuple[SweepRow, int]]:
    """Read the rows of a sweep, each with the number of documents it was measured on.

    Raises:
        UserError: if it is missing or damaged, or of an older version.
    """

    def read(manifest: Manifest) -> list[tuple[SweepRow, int]]:
        rows = read_rows(target / SWEEP, f"{target.shown}/{SWEEP}", target.command)
        return [(row, manifest.facts["documents"]) for row in rows]

    return read_whole(target, read)
