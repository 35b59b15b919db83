"""Validate the simulation of large collections: compare simulated vectors with real ones.

A simulated vector is a real one plus a random combination of the differences to its nearest neighbours, so that it
preserves the local structure: x + spread / sqrt(k) * sum of g_j (x_j - x), with g_j from the standard normal
distribution, scaled to unit length. Independent noise would fill all dimensions equally, and approximate search would
look worse than it is.

NEIGHBOURS and SPREAD were chosen so that half of a real collection, simulated to full size, resembles the whole in
intrinsic dimension, similarity of neighbours, and the recall curve of an HNSW graph.
"""

import argparse
import math

import numpy as np

from core.formats.collections import read_built_collection
from core.indexes.base import unit_rows
from core.indexes.exact import ExactIndex
from core.indexes.hnsw import HnswIndex
from core.indexes.recall import TrueSimilarities, recall_at_k
from core.indexes.simulation import intrinsic_dimension, simulate
from core.retrieval.backends import prefixes, searched_vectors
from core.workspace import command_line


def likeness(vectors: np.ndarray, queries: np.ndarray, seed: int = 13) -> list[dict[str, float]]:
    """Return figures of all vectors, and of half of them simulated to the same size, one row each."""
    real = unit_rows(vectors)
    half = real[np.sort(np.random.default_rng(seed).permutation(len(real))[: len(real) // 2])]
    rows = []
    for rows_of_kind in (real, simulate(half, len(real), seed)):
        exact, graph = ExactIndex("cosine"), HnswIndex("cosine")
        exact.build(rows_of_kind)
        graph.build(rows_of_kind)
        true_similarities = TrueSimilarities(queries, rows_of_kind, "cosine")
        exact_similarities = true_similarities(exact.search(queries, 10)[0])
        figures = {"intrinsic dimension": intrinsic_dimension(rows_of_kind) or math.nan}
        _, cosines = exact.search(rows_of_kind[:1000], 2)
        figures["cosine to the nearest"] = float(cosines[:, 1].mean())
        for ef in (10, 20, 40, 80):
            positions, _ = graph.search(queries, 10, ef=ef)
            figures[f"recall@10, ef {ef}"] = recall_at_k(true_similarities(positions), exact_similarities)
        rows.append(figures)
    return rows


def main(arguments: list[str] | None = None) -> None:
    """Run `python -m core.simulate`: compare all vectors of a dense system with half of them simulated to that size."""
    from core.retrieval.encoder import topic_vectors

    parser = argparse.ArgumentParser(prog="python -m core.simulate", description=__doc__)
    command_line.add_profile_options(parser)
    options = parser.parse_args(arguments)
    profile, folder = command_line.profile_and_folder(options)
    topics = read_built_collection(folder).topics
    for system in profile.system:
        if system.name in profile.encoded:
            vectors, _ = searched_vectors(folder, system)
            queries = prefixes(topic_vectors(profile, system, topics, folder, options.device), system)
            real, simulated = likeness(np.array(vectors), queries)
            print(f"{system.name}: all {len(vectors)} vectors, and half of them simulated to that size")
            for name in real:
                print(f"  {name:<24}{real[name]:8.3f}{simulated[name]:8.3f}")


if __name__ == "__main__":
    command_line.run(main)
