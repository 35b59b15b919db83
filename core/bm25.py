"""Index the documents of a collection for each BM25 system: the artifact `bm25/<system>`."""

from collections.abc import Iterator
from typing import Any

from core.formats.collections import collection_digests, read_built_collection
from core.formats.documents import CORPUS, write_ids
from core.formats.predicted_queries import QUERY_CHARACTERS, SCORES_FOLDER, expected_queries, write_by_document
from core.retrieval.bm25 import PREDICTED, Bm25Index, index_settings, searched_queries
from core.workspace import command_line
from core.workspace.artifacts import Artifact, read_manifest
from core.workspace.estimates import Cost, Rate, Sizes
from core.workspace.profile import SystemSettings
from core.workspace.stage import Build, Draft, Stage, Target

INDEXING = Rate("bm25", 1.2e7)
"""Characters of documents and predicted queries per second, on two cores."""


INDEX_BYTES, SMALLEST_BYTES = 0.55, 3e5
"""Size of an index per character, and of the vocabulary of a small collection."""


def targets(build: Build) -> Iterator[Target[SystemSettings]]:
    """Yield the index of each BM25 system."""
    for system in build.lexical:
        needs: tuple[Artifact, ...] = (build.folder.predicted_queries,) if system.expanded else ()
        if system.expanded and system.expansion.keep < 1:
            needs = (*needs, build.folder.query_scores)
        yield Target(build.folder.bm25(system.name), system, needs)


def settings(build: Build, system: SystemSettings) -> dict[str, Any]:
    """Return the settings that affect the index."""
    return index_settings(build.profile, system)


def inputs(build: Build, system: SystemSettings) -> dict[str, str]:
    """Return the digests of the documents, and of predicted queries and their scores if they are used."""
    digests = collection_digests(build.folder, CORPUS)
    if system.expanded:
        digests["doc2query"] = read_manifest(build.folder.predicted_queries).digest
        if system.expansion.keep < 1:
            digests[SCORES_FOLDER] = read_manifest(build.folder.query_scores).digest
    return digests


def make(build: Build, system: SystemSettings, draft: Draft) -> None:
    """Index the built collection."""
    profile = build.profile
    collection = read_built_collection(build.folder)
    predicted = searched_queries(system, build.folder)
    bm25 = profile.bm25_of(system).model_copy(update={"engine": "bm25s"})
    index = Bm25Index.build(collection.documents, bm25, profile.analyzer_of(system), predicted, system.expansion)
    if predicted is not None:
        write_by_document(draft / PREDICTED, "queries", predicted)
        draft.facts["predicted_queries"] = sum(map(len, predicted.values()))
    draft.facts.update(documents=len(index.document_ids), terms=index.save(draft.folder))
    write_ids(draft / "document_ids.json", index.document_ids)


def estimate(build: Build, system: SystemSettings, sizes: Sizes) -> Cost:
    """Return the cost of indexing; predicted queries are indexed and written."""
    queries = 0.0
    if system.expanded:
        kept = system.expansion.keep * expected_queries(build, sizes, system.expansion.queries)
        queries = QUERY_CHARACTERS * kept
    size = INDEX_BYTES * (sizes.characters + queries) + queries + SMALLEST_BYTES
    return Cost(sizes.characters + queries, INDEXING, size, 0.3)


STAGE = Stage("bm25", targets, settings, inputs, make, estimate=estimate)


def main(arguments: list[str] | None = None) -> None:
    """Run `python -m core.bm25`: index the built collection for every BM25 system of the profile."""
    command_line.run_stage(STAGE, "bm25", __doc__, arguments, "systems")


if __name__ == "__main__":
    command_line.run(main)
