#!/usr/bin/env python3
"""Compare the whole pipeline with published figures on SciFact (8 minutes on two cores; an hour with --mpnet).

    python scripts/tables/verify.py [--data FOLDER] [--models DIR] [--mpnet]

FOLDER is SciFact in the BEIR layout, downloaded if not given. The exit status is 1 if a figure does not agree.
"""

import argparse
import hashlib
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from core.build import run_build
from core.evaluation import figures
from core.evaluation.measures import evaluate, mean
from core.evaluation.results import Results
from core.evaluation.table_formats import plain_text
from core.formats.collections import Collection, read_built_collection
from core.formats.documents import Document
from core.formats.runs import built_run
from core.workspace import command_line
from core.workspace.stage import Build
from core.workspace.workspace import CollectionFolder


def cut(collection: Collection) -> Collection:
    """Return a fixed part of SciFact that is encoded in a quarter of a minute.

    It has the first 100 topics, the documents judged for them, and one in 100 of the other documents.
    """
    topics = sorted(collection.topics, key=lambda topic: int(topic.id))[:100]
    qrels = {topic.id: collection.qrels[topic.id] for topic in topics}
    judged = {document for judgments in qrels.values() for document in judgments}

    def kept(document: Document) -> bool:
        return document.id in judged or int(hashlib.sha256(document.id.encode()).hexdigest(), 16) % 100 == 0

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
    results = Results(folder, profile)
    table = figures.published(results)
    print(plain_text(table))
    print(plain_text(figures.means(results)))
    for system in (system for system in systems if system.kind == "dense"):
        print(f"{system.name:<20}nDCG@10 on the cut that CI encodes: {figure_of_cut(folder, system.name):.5f}")
    wrong = int((table.figures["agrees"] == "no").sum())
    failed = [outcome.reason for outcome in outcomes if outcome.result == "failed"]
    if failed or wrong or table.figures.empty:
        sys.exit("\n".join([*failed, f"{wrong} of {len(table.figures)} figures do not agree"]))


if __name__ == "__main__":
    command_line.run(main)
