#!/usr/bin/env python3
"""Validate the embedded sample: counts, lengths, near-duplicates, judgments, format of ids, licence.

    python scripts/tables/check_sample.py

Prints tables of the topics and of the systems by topic type. The exit status is 1, with a list of faults, if any.
"""

import itertools
import re
import statistics
import sys
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from core.evaluation.measures import evaluate, mean
from core.formats.collections import Collection, read_built_collection
from core.formats.runs import built_run
from core.workspace import command_line
from core.workspace.profile import read_profile
from core.workspace.workspace import Workspace

SAMPLE = Workspace.default().collection("sample")
KINDS = {"meaning": 8, "exact": 8, "negation": 4, "broad": 3, "general": 1}
"""Topic type -> minimum number of topics."""


def shingles(text: str) -> set[tuple[str, ...]]:
    """Return the word trigrams of a text (Broder, 1997)."""
    words = re.findall(r"\w+", text.lower())
    return set(zip(words, words[1:], words[2:], strict=False))


def document_faults(collection: Collection) -> list[str]:
    """Return the faults of the documents."""
    documents = collection.documents
    faults = [] if len(documents) >= 600 else [f"{len(documents)} documents, at least 600 are expected"]
    for document in documents:
        words = len(document.text.split())
        if not 60 <= words <= 160:
            faults.append(f"document {document.id} has {words} words, 60 to 160 are expected")
        if not re.fullmatch(r"rs\d{4}", document.id):
            faults.append(f"document id {document.id!r} is not spelled rs and four digits")
        if not document.title.strip() or not document.metadata.get("form"):
            faults.append(f"document {document.id} has no title or no form")
    sets = [(document.id, shingles(document.full_text)) for document in documents]
    for (one, a), (other, b) in itertools.combinations(sets, 2):
        shared = len(a & b)
        if shared and shared / len(a | b) >= 0.5:
            faults.append(f"documents {one} and {other} are near-duplicates")
    return faults


def topic_faults(collection: Collection) -> list[str]:
    """Return the faults of the topics and their judgments."""
    topics = collection.topics
    faults = [] if len(topics) >= 40 else [f"{len(topics)} topics, at least 40 are expected"]
    kinds = Counter(topic.kind for topic in topics)
    faults += [
        f"{kinds[kind]} topics of kind {kind}, at least {least} are expected"
        for kind, least in KINDS.items()
        if kinds[kind] < least
    ]
    faults += [f"topics are of the unknown kind {kind!r}" for kind in kinds.keys() - KINDS.keys()]
    known = {document.id for document in collection.documents}
    for topic in topics:
        grades = collection.qrels[topic.id]
        if not topic.query or not topic.question or not topic.narrative:
            faults.append(f"topic {topic.id} lacks its query, question or narrative")
        if sum(grade > 0 for grade in grades.values()) < 6:
            faults.append(f"topic {topic.id} has fewer than six relevant documents")
        if not any(grade == 0 for grade in grades.values()):
            faults.append(f"topic {topic.id} has no document judged not relevant")
        if set(grades.values()) - {0, 1, 2}:
            faults.append(f"topic {topic.id} has a grade that is not 0, 1 or 2")
        if unknown := grades.keys() - known:
            faults.append(f"topic {topic.id} has a judgment of {min(unknown)}, which is no document")
    return faults


def main() -> None:
    """Print the tables and the faults."""
    profile = read_profile(str(SAMPLE.profile))
    collection = read_built_collection(SAMPLE)
    faults = document_faults(collection) + topic_faults(collection)
    if "CC0" not in (SAMPLE / "LICENSE.md").read_text(encoding="utf-8"):
        faults.append("artifacts/sample/LICENSE.md does not say CC0")
    words = [len(document.text.split()) for document in collection.documents]
    print(f"{len(words)} documents of {min(words)} to {max(words)} words, median {statistics.median(words):.0f}")
    print("topic  kind      grade 2  grade 1  grade 0  question")
    for topic in collection.topics:
        counts = Counter(collection.qrels[topic.id].values())
        print(f"{topic.id:>5}  {topic.kind:<8}{counts[2]:>9}{counts[1]:>9}{counts[0]:>9}  {topic.question}")
    kinds = sorted({topic.kind for topic in collection.topics})
    print(f"\n{'nDCG@10':<20}{'all':>9}" + "".join(f"{kind:>9}" for kind in kinds) + f"{'judged@10':>11}")
    for system in profile.system:
        values = evaluate(built_run(SAMPLE, system.name).scores, collection.qrels, ["nDCG@10", "Judged@10"])
        ndcg, judged = values["nDCG@10"], mean(values["Judged@10"])
        by_kind = [mean({t.id: ndcg[t.id] for t in collection.topics if t.kind == kind}) for kind in kinds]
        figures = "".join(f"{value:9.4f}" for value in [mean(ndcg), *by_kind])
        print(f"{system.name:<20}{figures}{judged:11.3f}")
        least = 0.99 if system.of else 1  # a fusion lifts a few documents that no judged list had in its top 10
        if judged < least:
            faults.append(f"{system.name}: judged@10 is {judged:.3f}, at least {least} is expected")
        if not 0.30 <= mean(ndcg) <= 0.90:
            faults.append(f"{system.name}: nDCG@10 is {mean(ndcg):.4f}, between 0.30 and 0.90 is expected")
    print("\n".join(f"FAULT {fault}" for fault in faults) or "no fault found")
    sys.exit(bool(faults))


if __name__ == "__main__":
    command_line.run(main)
