"""Vectors for collections of a size that is not at hand: real ones, and new ones around them that keep local structure.

A new vector is a real one plus a random combination of the differences to its nearest neighbours, so that it lies where
the collection's own vectors vary: x + spread / sqrt(k) * sum of g_j (x_j - x), with g_j from the standard normal
distribution, scaled to unit length. Independent noise would fill all dimensions alike, and approximate search would
look worse than it is.

NEIGHBOURS and SPREAD are those with which half of a real collection, simulated to its full size, is most like the whole
(`python -m core.simulate`): intrinsic dimension, similarity of neighbours, and the recall curve of an HNSW graph.
"""

import argparse
import math

import numpy as np

from core import cli
from core.collection import read_built_collection
from core.distinct import distinct_rows, group_equal_rows
from core.encode import load_vectors
from core.errors import UserError
from core.hnsw import HnswIndex
from core.index import ExactIndex, unit_rows
from core.recall import TrueSimilarities, recall_at_k

NEIGHBOURS = 32
SPREAD = 1.7
BATCH = 4096
LEAST_DISTINCT = 101
"""Distinct vectors that an estimate of the intrinsic dimension takes."""


def simulate(vectors: np.ndarray, size: int, seed: int, rows: np.ndarray | None = None) -> np.ndarray:
    """Return `size` vectors of unit length, float32 [size, dimension]: the given ones first, then simulated ones.

    Of more vectors than wanted some are returned, drawn at random and in their order. A vector's neighbours are those
    that differ from it: of copies, nothing new could be made.

    Args:
        rows: where they are written, such as a file mapped into memory; None makes an array.

    Raises:
        UserError: there are too few distinct vectors to simulate from.
    """
    if 0 < size < len(vectors):
        drawn = np.random.default_rng(seed).choice(len(vectors), size, replace=False)
        return unit_rows(vectors[np.sort(drawn)])
    real = unit_rows(vectors)
    groups = group_equal_rows(real)
    distinct = real[np.unique(groups, return_index=True)[1]]
    if not len(distinct) > NEIGHBOURS or len(vectors) > size:
        raise UserError(
            f"{size} vectors cannot be simulated from {len(distinct)} distinct ones; more than {NEIGHBOURS} are needed"
        )
    rows = np.empty((size, vectors.shape[1]), np.float32) if rows is None else rows
    rows[: len(vectors)] = real
    exact = ExactIndex("cosine")
    exact.build(distinct)
    neighbours = np.concatenate(
        [exact.search(distinct[i : i + BATCH], NEIGHBOURS + 1)[0] for i in range(0, len(distinct), BATCH)]
    )
    generator = np.random.default_rng(seed)
    for begin in range(len(real), size, BATCH):
        base = generator.integers(0, len(real), min(BATCH, size - begin))
        differences = distinct[neighbours[groups[base], 1:]] - real[base][:, None]
        weights = generator.normal(0, SPREAD / NEIGHBOURS**0.5, (len(base), NEIGHBOURS)).astype(np.float32)
        rows[begin : begin + len(base)] = unit_rows(real[base] + np.einsum("bk,bkd->bd", weights, differences))
    return rows


def intrinsic_dimension(vectors: np.ndarray, neighbours: int = 20, sample: int = 1000, seed: int = 13) -> float | None:
    """Return the maximum likelihood estimate of the dimension that vectors of unit length locally fill.

    Levina & Bickel (2004), with the mean of the inverse estimates (MacKay & Ghahramani, 2005); over a sample of the
    distinct vectors. None where there are fewer than LEAST_DISTINCT, or all are at one distance from one another.
    """
    distinct = unit_rows(vectors)
    distinct = distinct[distinct_rows(distinct)]
    if len(distinct) < max(LEAST_DISTINCT, neighbours + 1):
        return None
    exact = ExactIndex("cosine")
    exact.build(distinct)
    chosen = np.random.default_rng(seed).choice(len(distinct), min(sample, len(distinct)), replace=False)
    _, cosines = exact.search(distinct[chosen], neighbours + 1)
    distances = np.sqrt(np.maximum(2 - 2 * cosines[:, 1:].astype(np.float64), 0))
    distances = distances[distances[:, 0] > 1e-3]  # below, rounding of the cosine is as large
    if not len(distances):
        return None
    inverse = float(np.log(distances[:, -1:] / distances[:, :-1]).mean())
    return 1 / inverse if inverse > 1e-6 else None


def likeness(vectors: np.ndarray, queries: np.ndarray, seed: int = 13) -> list[dict[str, float]]:
    """Return figures of the whole collection, and of half of it simulated to its size, one row each."""
    real = unit_rows(vectors)
    half = real[np.sort(np.random.default_rng(seed).permutation(len(real))[: len(real) // 2])]
    rows = []
    for rows_of_kind in (real, simulate(half, len(real), seed)):
        exact, graph = ExactIndex("cosine"), HnswIndex("cosine")
        exact.build(rows_of_kind)
        graph.build(rows_of_kind)
        true_similarities = TrueSimilarities(queries, rows_of_kind, "cosine")
        of_truth = true_similarities(exact.search(queries, 10)[0])
        figures = {"intrinsic dimension": intrinsic_dimension(rows_of_kind) or math.nan}
        _, cosines = exact.search(rows_of_kind[:1000], 2)
        figures["cosine to the nearest"] = float(cosines[:, 1].mean())
        for ef in (10, 20, 40, 80):
            graph.ef = ef
            figures[f"recall@10, ef {ef}"] = recall_at_k(true_similarities(graph.search(queries, 10)[0]), of_truth)
        rows.append(figures)
    return rows


def main(arguments: list[str] | None = None) -> None:
    """Run `python -m core.simulate`: compare half of each dense system's vectors, simulated to full size, with all."""
    from core.ann import topic_vectors

    parser = argparse.ArgumentParser(prog="python -m core.simulate", description=__doc__)
    cli.add_profile_options(parser)
    options = parser.parse_args(arguments)
    profile, folder = cli.profile_and_folder(options)
    topics = read_built_collection(folder).topics
    for system in profile.system:
        if system.kind == "dense":
            vectors, _ = load_vectors(folder, system.name)
            queries = topic_vectors(profile, system, topics, folder, options.device)
            real, simulated = likeness(np.array(vectors), queries)
            print(f"{system.name}: all {len(vectors)} vectors, and half of them simulated to that size")
            for name in real:
                print(f"  {name:<24}{real[name]:8.3f}{simulated[name]:8.3f}")


if __name__ == "__main__":
    cli.run(main)
