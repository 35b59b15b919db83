"""Search every topic of a collection with a system: the artifact `runs/<system>`, a TREC run.

Topics are searched in batches. Then the query latency is measured (see `core.workspace.timing`): topics are searched
again, one at a time, on one thread or the number in --threads.
"""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from tqdm import tqdm

from core.formats.collections import TOPICS, collection_digests, read_built_topics
from core.formats.exclusions import EXCLUDED, built_exclusions
from core.formats.runs import FILE, write_run
from core.retrieval.kinds import open_system, other_inputs, query_cost, search_settings, searched
from core.retrieval.systems import search_without
from core.workspace import command_line
from core.workspace.artifacts import read_manifest
from core.workspace.estimates import Cost, Sizes
from core.workspace.models import locate_model
from core.workspace.profile import SystemSettings
from core.workspace.stage import Build, Draft, Stage, Target
from core.workspace.timing import MOST_QUERIES, PROCEDURE, ROUNDS, TIMING_PROCEDURE, latency

BATCH = 64
"""Number of topics per batch; larger batches use more memory and are hardly faster."""


RUN_BYTES = 47
"""Mean size of a line of a run."""


def targets(build: Build) -> Iterator[Target[SystemSettings]]:
    """Yield the run of each system that is not imported: BM25, which is the fastest, first; what builds on it last."""
    systems = [system for system in build.chosen if system.kind != "run"]
    for system in sorted(systems, key=lambda one: (len(build.profile.built_on(one)), one.kind != "bm25")):
        needs = tuple(searched(build.profile, system, build.folder).values())
        trained = build.profile.finetune.model
        rerankers = [one for one in (*build.profile.built_on(system), system) if one.kind == "rerank"]
        models = (build.folder.model(trained),) if any(one.model == trained for one in rerankers) else ()
        yield Target(build.folder.run(system.name), system, (*needs, *models))


def settings(build: Build, system: SystemSettings) -> dict[str, Any]:
    """Return the settings that affect the run, except those of vectors."""
    profile = build.profile
    shared = {"depth": profile.depth, "topic_field": profile.collection.topic_field, PROCEDURE: TIMING_PROCEDURE}
    return shared | search_settings(profile, system)


def inputs(build: Build, system: SystemSettings) -> dict[str, str]:
    """Return the digests of the topics, their excluded documents, and the indexes and vectors searched."""
    artifacts = searched(build.profile, system, build.folder)
    made_from = {name: read_manifest(artifact).digest for name, artifact in artifacts.items()}
    own = other_inputs(build.profile, system, build.folder)
    return collection_digests(build.folder, TOPICS, EXCLUDED) | made_from | own


def prepare(build: Build, system: SystemSettings) -> None:
    """Download the cross-encoders that are not on this machine, so that the manifest records them."""
    for one in (*build.profile.built_on(system), system):
        if one.kind == "rerank":
            locate_model(build.folder.workspace, one.model)


def make(build: Build, settings: SystemSettings, draft: Draft) -> None:
    """Search every topic of the built collection, then measure the query latency."""
    profile, folder = build.profile, build.folder
    system = open_system(profile, settings, folder, build.device)
    topics, _ = read_built_topics(folder)
    excluded = built_exclusions(folder)
    texts = {topic.id: topic.text(profile.collection.topic_field) for topic in topics}

    def rankings() -> Iterator[tuple[str, list[tuple[str, float]]]]:
        with tqdm(total=len(topics), desc=f"search {settings.name}", unit="topic") as bar:
            for begin in range(0, len(topics), BATCH):
                ids = [topic.id for topic in topics[begin : begin + BATCH]]
                left_out = [excluded.get(topic, set()) for topic in ids]
                answers = search_without(system, [texts[topic] for topic in ids], profile.depth, left_out)
                yield from ((topic, answer.hits) for topic, answer in zip(ids, answers, strict=True))
                bar.update(len(ids))

    def seconds(query: str) -> dict[str, float]:
        (answer,) = system.search([query], profile.depth)
        return answer.seconds

    write_run(draft / FILE, settings.name, rankings())
    draft.facts.update({"topics": len(topics)} | latency(seconds, list(texts.values()), build.threads))


def estimate(build: Build, system: SystemSettings, sizes: Sizes) -> Cost:
    """Return the cost of searching all topics and of measuring the latency."""
    queries = sizes.topics + ROUNDS * min(sizes.topics, MOST_QUERIES)
    size = RUN_BYTES * sizes.topics * min(build.profile.depth, sizes.documents)
    cost = query_cost(build.profile, system, build.folder, sizes)
    return replace(cost, units=queries * cost.units, bytes=size)


STAGE = Stage("search", targets, settings, inputs, make, prepare=prepare, estimate=estimate)


def main(arguments: list[str] | None = None) -> None:
    """Run `python -m core.search`: search the collection's topics with every system of the profile."""
    command_line.run_stage(STAGE, "search", __doc__, arguments, "systems", "threads")


if __name__ == "__main__":
    command_line.run(main)
