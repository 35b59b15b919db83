#!/usr/bin/env python3
"""Compare the recall of RankScope's HNSW with hnswlib's, over many queries and several graphs with different seeds.

    python scripts/benchmarks/hnsw_recall.py --collection trec-covid/ --system all-MiniLM-L6-v2 --size 171332 --graphs 3

Fifty topics and single graphs cannot resolve a difference of 0.01. Both libraries use the profile's settings. Queries
are simulated from the topics' vectors in the way of `core.simulate`. Prints mean recall@10 at each ef, and its standard
deviation over graphs.
"""

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import numpy as np
from threadpoolctl import threadpool_limits
from tqdm import tqdm

from core.formats.collections import read_built_topics
from core.indexes.exact import ExactIndex
from core.indexes.recall import TrueSimilarities, recall_at_k
from core.indexes.registry import make_index
from core.indexes.simulation import simulate
from core.retrieval.encoder import load_vectors, topic_vectors
from core.workspace import command_line
from core.workspace.profile import find_settings

K = 10
KINDS = ("hnsw", "hnswlib")


def main() -> None:
    """Build the graphs, search and print one line per ef."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    command_line.add_profile_options(parser)
    parser.add_argument("--system", required=True)
    parser.add_argument(
        "--size", type=int, default=0, help="simulate this number of documents (default: the collection's own)"
    )
    parser.add_argument("--queries", type=int, default=1000)
    parser.add_argument("--graphs", type=int, default=6, help="number of graphs of each library (default: 6)")
    options = parser.parse_args()
    profile, folder = command_line.profile_and_folder(options)
    system = find_settings(profile, options.system)
    real = np.array(load_vectors(folder, system.name)[0])
    vectors = simulate(real, options.size, profile.ann.seed) if options.size else real
    topics = topic_vectors(profile, system, read_built_topics(folder)[0], folder, options.device)
    queries = simulate(topics, len(topics) + options.queries, profile.ann.seed)[len(topics) :]
    exact = ExactIndex(system.similarity)
    exact.build(vectors)
    true_similarities = TrueSimilarities(queries, vectors, system.similarity)
    of_truth = true_similarities(exact.search(queries, K)[0])
    settings = {index.kind: index for index in profile.ann.index}
    widths = settings[KINDS[0]].values
    print(f"{len(vectors):,} documents, {len(queries):,} queries, {options.graphs} graphs of each; recall@{K}")
    found: dict[str, np.ndarray] = {}
    for kind in KINDS:
        recalls = []
        for seed in tqdm(range(options.graphs), desc=kind, unit="graph"):
            index = make_index(kind, system.similarity, **settings[kind].build, seed=seed)
            with threadpool_limits(limits=1):
                index.build(vectors)
            for ef in widths:
                found_by_index, _ = index.search(queries, K, ef=ef)
                recalls.append(recall_at_k(true_similarities(found_by_index), of_truth))
        found[kind] = np.reshape(recalls, (options.graphs, len(widths)))
    ours, theirs = (found[kind] for kind in KINDS)
    for number, ef in enumerate(widths):
        means = [f"{name} {of[:, number].mean():.4f} (sd {of[:, number].std():.4f})" for name, of in found.items()]
        print(f"ef {ef:<4}", *means, f"difference {ours[:, number].mean() - theirs[:, number].mean():+.4f}")


if __name__ == "__main__":
    command_line.run(main)
