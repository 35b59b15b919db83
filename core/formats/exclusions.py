"""Documents that are excluded from the results of a topic.

If the topics are documents of the collection (ArguAna, Quora), a topic's own document would be first in every list, so
BEIR's evaluation removes hits whose id is the topic id. BRIGHT lists documents for some topics ("excluded_ids").

    excluded.tsv    query-id TAB corpus-id, with that header

A built collection has all of them in this file, which search, evaluation and pages read; without exclusions it has no
such file. As in BEIR, judgments are not changed: an excluded document that is judged relevant is still in the ideal
ranking.
"""

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from core.formats.text_lines import read_lines
from core.workspace.artifacts import MANIFEST, open_artifact, read_manifest
from core.workspace.errors import UserError
from core.workspace.workspace import CollectionFolder

EXCLUDED = "excluded.tsv"


HEADER = ["query-id", "corpus-id"]


NONE = "N/A"
"""Entry of an empty list in BRIGHT."""


Exclusions = dict[str, set[str]]
"""Excluded documents: topic -> set of documents."""


def read_excluded(path: Path) -> Exclusions:
    """Read a file of excluded documents, plain or .gz.

    Raises:
        UserError: if a line does not have two columns (the message names it), or the file is missing or truncated.
    """
    excluded: Exclusions = {}
    for number, line in read_lines(path):
        columns = line.split()
        if not columns or (number == 1 and columns == HEADER):
            continue
        if len(columns) != len(HEADER):
            raise UserError(f"{path.name}, line {number}: {len(columns)} columns, expected query-id, corpus-id")
        excluded.setdefault(columns[0], set()).add(columns[1])
    return excluded


def listed_ids(entry: Mapping[str, Any], where: str) -> set[str]:
    """Return the document ids in "excluded_ids" of a JSON object.

    Raises:
        UserError: if they are not a list of ids.
    """
    ids = entry.get("excluded_ids") or []
    if not isinstance(ids, list) or not all(
        type(name) in (str, int) and re.fullmatch(r"\S+", str(name)) for name in ids
    ):
        raise UserError(f'{where}: "excluded_ids" must be a list of document ids')
    return {str(name) for name in ids} - {NONE}


def write_excluded(path: Path, excluded: Mapping[str, Collection[str]]) -> None:
    """Write excluded documents; no file is written if there are none."""
    if not any(excluded.values()):
        return
    with path.open("w", encoding="utf-8", newline="\n") as file:
        file.write("\t".join(HEADER) + "\n")
        for topic, documents in excluded.items():
            file.writelines(f"{topic}\t{document}\n" for document in sorted(documents))


def built_exclusions(folder: CollectionFolder) -> Exclusions:
    """Return the exclusions of a built collection, empty if the collection does not exist.

    Raises:
        UserError: if the collection's manifest or the file is damaged.
    """
    built = folder.collection
    if not (built / MANIFEST).is_file() or EXCLUDED not in read_manifest(built).files:
        return {}
    open_artifact(built, EXCLUDED)
    return read_excluded(built / EXCLUDED)


def own_documents(topics: Iterable[str]) -> Exclusions:
    """Return for each topic the document with the same id, which BEIR's evaluation removes."""
    return {topic: {topic} for topic in topics}


def together(*exclusions: Exclusions) -> Exclusions:
    """Return the union of exclusions."""
    topics = dict.fromkeys(topic for one in exclusions for topic in one)
    return {topic: set().union(*(one.get(topic, ()) for one in exclusions)) for topic in topics}


def kept_hits(hits: Sequence[tuple[str, float]], excluded: Collection[str], k: int) -> list[tuple[str, float]]:
    """Return the first k (document, score) whose documents are not excluded."""
    return [hit for hit in hits if hit[0] not in excluded][:k] if excluded else list(hits[:k])


def left_out(scores: Mapping[str, Collection[str]], excluded: Exclusions) -> Exclusions:
    """Return the excluded documents that a run retrieved, without topics that have none."""
    retrieved = {topic: documents.intersection(scores.get(topic, ())) for topic, documents in excluded.items()}
    return {topic: documents for topic, documents in retrieved.items() if documents}


def without(scores: dict[str, dict[str, float]], removed: Exclusions) -> dict[str, dict[str, float]]:
    """Return a run, topic -> document -> score, without some documents and without topics that have no others.

    Args:
        removed: the documents to remove, as `left_out` returns them.
    """
    kept = scores | {
        topic: {name: score for name, score in scores[topic].items() if name not in documents}
        for topic, documents in removed.items()
    }
    return {topic: by_document for topic, by_document in kept.items() if by_document or topic not in removed}


def notice(removed: Exclusions) -> str:
    """Describe how many hits were removed, in one sentence."""
    count, identical = sum(map(len, removed.values())), sum(topic in documents for topic, documents in removed.items())
    return (
        f"hits excluded from the evaluation: {count}, in {len(removed)} topics; {identical} have the id of their "
        f"topic, as in BEIR's evaluation, and {count - identical} are documents that the collection excludes"
    )
