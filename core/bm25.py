"""Index the documents of a collection for each of its BM25 systems: the artifact `bm25/<system>`."""

import argparse
import functools
from pathlib import Path
from typing import Any

from core.formats.collections import collection_digests, read_built_collection
from core.formats.documents import CORPUS, write_ids
from core.formats.predicted_queries import (
    SCORES_FOLDER,
    write_by_document,
)
from core.retrieval.analyzer import VERSION
from core.retrieval.bm25 import PREDICTED, Bm25Index, searched_queries
from core.workspace import command_line
from core.workspace.artifacts import read_manifest, writing
from core.workspace.profile import Profile, SystemSettings

# The stage


def build_index(profile: Profile, system: SystemSettings, folder: Path) -> Path:
    """Index the built collection under `folder` for one BM25 system as the artifact `bm25/<system>`."""
    target = folder / "bm25" / system.name
    facts: dict[str, Any] = {}
    with writing(target, "bm25", index_settings(profile, system), index_inputs(system, folder), facts) as partial:
        collection = read_built_collection(folder)
        predicted = searched_queries(system, folder)
        settings = profile.bm25.model_copy(update={"engine": "bm25s"})
        index = Bm25Index.build(collection.documents, settings, profile.analyzer, predicted, system.expansion)
        if predicted is not None:
            write_by_document(partial / PREDICTED, "queries", predicted)
            facts["predicted_queries"] = sum(map(len, predicted.values()))
        facts |= {"documents": len(index.document_ids), "terms": index.save(partial)}
        write_ids(partial / "document_ids.json", index.document_ids)
    return target


def index_settings(profile: Profile, system: SystemSettings) -> dict[str, Any]:
    """Return the settings that shape the index, for its manifest."""
    bm25 = profile.bm25.model_dump(exclude={"engine"})
    expansion = {"expansion": system.expansion.model_dump()} if system.expanded else {}
    analyzer = profile.analyzer.model_dump() | {"analyzer_version": VERSION}
    return bm25 | analyzer | {"expanded": system.expanded} | expansion


def index_inputs(system: SystemSettings, folder: Path) -> dict[str, str]:
    """Return the digests of what the index is made from."""
    inputs = collection_digests(folder, CORPUS)
    if system.expanded:
        inputs["doc2query"] = read_manifest(folder / "doc2query").digest
        if system.expansion.keep < 1:
            inputs[SCORES_FOLDER] = read_manifest(folder / SCORES_FOLDER).digest
    return inputs


def main(arguments: list[str] | None = None) -> None:
    """Run `python -m core.bm25`: index the built collection for every BM25 system of the profile."""
    parser = argparse.ArgumentParser(prog="python -m core.bm25", description=__doc__)
    command_line.add_profile_options(parser)
    command_line.add_systems_option(parser)
    options = parser.parse_args(arguments)
    profile, folder = command_line.profile_and_folder(options)
    lexical = [system for system in command_line.chosen_systems(profile, options.systems) if system.kind == "bm25"]
    command_line.each((system.name, functools.partial(build_index, profile, system, folder)) for system in lexical)


if __name__ == "__main__":
    command_line.run(main)
