"""Documents that are left out of what is retrieved for a topic.

Where topics are documents of the collection (ArguAna, Quora), a topic's own document would stand first in every list:
BEIR's evaluation leaves out a hit whose id is the topic's. BRIGHT names documents for some topics ("excluded_ids").

    excluded.tsv    query-id TAB corpus-id, with that header

A built collection has all of them in this one file, which search, evaluation and pages read; it has no such file where
nothing is left out. Judgments stay as they are, as in BEIR: a document that is left out and judged relevant is still in
the ideal list.
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
"""What BRIGHT writes into a list of none."""


Exclusions = dict[str, set[str]]
"""topic -> documents."""


def read_excluded(path: Path) -> Exclusions:
    """Read a file of excluded documents, plain or .gz.

    Raises:
        UserError: with the line, when it has not two columns; also when the file is missing or cut short.
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
    """Return the documents that the "excluded_ids" of a JSON object name.

    Raises:
        UserError: they are not a list of ids.
    """
    ids = entry.get("excluded_ids") or []
    if not isinstance(ids, list) or not all(
        type(name) in (str, int) and re.fullmatch(r"\S+", str(name)) for name in ids
    ):
        raise UserError(f'{where}: "excluded_ids" must be a list of document ids')
    return {str(name) for name in ids} - {NONE}


def write_excluded(path: Path, excluded: Mapping[str, Collection[str]]) -> None:
    """Write excluded documents; no file where there are none."""
    if not any(excluded.values()):
        return
    with path.open("w", encoding="utf-8", newline="\n") as file:
        file.write("\t".join(HEADER) + "\n")
        for topic, documents in excluded.items():
            file.writelines(f"{topic}\t{document}\n" for document in sorted(documents))


def built_exclusions(folder: CollectionFolder) -> Exclusions:
    """Return what the built collection under `folder` leaves out; nothing where there is no collection.

    Raises:
        UserError: the collection's manifest or its file is damaged.
    """
    built = folder.collection
    if not (built / MANIFEST).is_file() or EXCLUDED not in read_manifest(built).files:
        return {}
    open_artifact(built, EXCLUDED)
    return read_excluded(built / EXCLUDED)


def own_documents(topics: Iterable[str]) -> Exclusions:
    """Return for each topic the document of the same id, which BEIR's evaluation leaves out."""
    return {topic: {topic} for topic in topics}


def together(*exclusions: Exclusions) -> Exclusions:
    """Return what any of some exclusions leaves out."""
    topics = dict.fromkeys(topic for one in exclusions for topic in one)
    return {topic: set().union(*(one.get(topic, ()) for one in exclusions)) for topic in topics}


def kept_hits(hits: Sequence[tuple[str, float]], excluded: Collection[str], k: int) -> list[tuple[str, float]]:
    """Return the first k (document, score) that are not excluded."""
    return [hit for hit in hits if hit[0] not in excluded][:k] if excluded else list(hits[:k])


def left_out(scores: Mapping[str, Collection[str]], excluded: Exclusions) -> Exclusions:
    """Return the excluded documents that a run retrieved, of the topics for which it retrieved any."""
    found = {topic: documents.intersection(scores.get(topic, ())) for topic, documents in excluded.items()}
    return {topic: documents for topic, documents in found.items() if documents}


def without(scores: dict[str, dict[str, float]], found: Exclusions) -> dict[str, dict[str, float]]:
    """Return a run, topic -> document -> score, without documents; a topic that has no others is left out whole.

    Args:
        found: what `left_out` returns.
    """
    kept = scores | {
        topic: {name: score for name, score in scores[topic].items() if name not in documents}
        for topic, documents in found.items()
    }
    return {topic: by_document for topic, by_document in kept.items() if by_document or topic not in found}


def notice(found: Exclusions) -> str:
    """Say how many hits were left out."""
    count, own = sum(map(len, found.values())), sum(topic in documents for topic, documents in found.items())
    return (
        f"hits excluded from the evaluation: {count}, in {len(found)} topics; {own} have the id of their topic, as in "
        f"BEIR's evaluation, and {count - own} are documents that the collection excludes"
    )
