#!/usr/bin/env python3
"""Compare the whole pipeline with published figures on SciFact (8 minutes on two cores; an hour with --mpnet).

    python scripts/tables/verify.py [--data FOLDER] [--models DIR] [--mpnet]

FOLDER is SciFact in the BEIR layout, downloaded if not given. The exit status is 1 if a figure deviates too much.
"""

import argparse
import hashlib
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from core.build import run_build
from core.evaluation.measures import evaluate, mean
from core.formats.collections import Collection, read_built_collection
from core.formats.documents import Document
from core.formats.runs import built_run
from core.workspace import command_line
from core.workspace.stage import Build
from core.workspace.workspace import CollectionFolder

PUBLISHED = {
    ("bm25-anserini", "nDCG@10"): (0.6789, 0.0001),
    ("bm25-anserini", "R@100"): (0.9253, 0.0001),
    ("all-MiniLM-L6-v2", "nDCG@10"): (0.6451, 0.0005),
    ("all-MiniLM-L6-v2", "R@100"): (0.9250, 0.0005),
    ("all-mpnet-base-v2", "nDCG@10"): (0.6557, 0.001),
    ("all-mpnet-base-v2", "R@100"): (0.9417, 0.001),
}
"""(system, measure) -> (published figure, tolerance): Anserini's regression for BM25, MTEB's results for the others."""


def cut(collection: Collection) -> Collection:
    """Return a fixed part of SciFact that is encoded in half a minute.

    It has the first 100 topics, the documents judged for them, and one in 25 of the other documents.
    """
    topics = sorted(collection.topics, key=lambda topic: int(topic.id))[:100]
    qrels = {topic.id: collection.qrels[topic.id] for topic in topics}
    judged = {document for judgments in qrels.values() for document in judgments}

    def kept(document: Document) -> bool:
        return document.id in judged or int(hashlib.sha256(document.id.encode()).hexdigest(), 16) % 25 == 0

    return Collection("scifact-cut", list(filter(kept, collection.documents)), topics, qrels, collection.excluded)


def figure_of_cut(folder: CollectionFolder, system: str) -> float:
    """Return nDCG@10 on the part made by `cut`, from the run over the full collection."""
    part = cut(read_built_collection(folder))
    kept = {document.id for document in part.documents}
    scores = built_run(folder, system).scores  # the run ranks every document for every topic
    run = {t.id: {d: s for d, s in scores[t.id].items() if d in kept} for t in part.topics}
    return mean(evaluate(run, part.qrels, ["nDCG@10"])["nDCG@10"])


def main() -> None:
    """Build SciFact and print each figure with the published one."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, help="SciFact in the BEIR layout (default: download it)")
    parser.add_argument("--models", type=Path, metavar="DIR", help="folder of models: DIR/NAME is used for NAME")
    parser.add_argument("--mpnet", action="store_true", help="also verify all-mpnet-base-v2")
    options = parser.parse_args()
    options.profile, options.collection = "scifact", str(options.data) if options.data else None
    options.name = options.split = options.unjudged = None
    options.keep_identical_ids = False
    profile, folder = command_line.profile_and_folder(options)
    systems = [s for s in profile.system if options.mpnet or s.name != "all-mpnet-base-v2"]
    profile = profile.model_copy(update={"system": systems, "depth": 6_000})
    outcomes = run_build(Build(profile, folder))
    for outcome in outcomes:
        step = outcome.step
        print(f"  {outcome.result:<7}{outcome.seconds:9.1f} s  {step.stage.name:<12}{step.artifact.name}")
    collection, wrong = read_built_collection(folder), 0
    for system in systems:
        values = evaluate(built_run(folder, system.name).scores, collection.qrels, ["nDCG@10", "R@100", "Judged@10"])
        for measure, by_topic in values.items():
            ours = mean(by_topic)
            if (system.name, measure) not in PUBLISHED:
                print(f"{system.name:<20}{measure:<10}{ours:.5f}")
                continue
            published, allowed = PUBLISHED[system.name, measure]
            off = abs(ours - published) > allowed
            wrong += off
            print(
                f"{system.name:<20}{measure:<10}{ours:.5f}  published {published:.4f}  "
                f"difference {ours - published:+.5f}, {allowed} allowed{'  OFF' if off else ''}"
            )
        print(f"{system.name:<20}nDCG@10 on the cut that CI encodes: {figure_of_cut(folder, system.name):.5f}")
    failed = [outcome.reason for outcome in outcomes if outcome.result == "failed"]
    if failed or wrong:
        sys.exit("\n".join([*failed, f"{wrong} figures are off"]))


if __name__ == "__main__":
    command_line.run(main)
