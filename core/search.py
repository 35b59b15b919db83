"""Search every topic of a collection with a system: the artifact `runs/<system>`, a TREC run.

Topics are searched in batches. Then the latency of a query is measured (see `core.workspace.timing`): topics are
searched again, one at a time, on one thread or on --threads.
"""

import argparse
import functools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tqdm import tqdm

from core.bm25 import index_settings
from core.formats.collections import TOPICS, collection_digests, read_built_topics
from core.formats.exclusions import EXCLUDED, built_exclusions
from core.formats.runs import FILE, write_run
from core.retrieval.systems import open_system, search_without
from core.workspace import command_line
from core.workspace.artifacts import read_manifest, writing
from core.workspace.profile import Profile, SystemSettings
from core.workspace.timing import PROCEDURE, THREADS, TIMING_PROCEDURE, latency

BATCH = 64
"""Topics that are searched together: with more, the scores and hits in memory grow and the time hardly falls."""


def search_topics(
    profile: Profile, settings: SystemSettings, folder: Path, device: str = "auto", threads: int = THREADS
) -> Path:
    """Answer every topic of the built collection under `folder` and write the run as the artifact `runs/<system>`.

    Args:
        threads: on which its latency is measured.
    """
    target = folder / "runs" / settings.name
    facts: dict[str, Any] = {}
    with writing(target, "search", run_settings(profile, settings), run_inputs(settings, folder), facts) as partial:
        system = open_system(profile, settings, folder, device)
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

        def seconds(query: str) -> float:
            (answer,) = system.search([query], profile.depth)
            return sum(answer.seconds.values())

        write_run(partial / FILE, settings.name, rankings())
        facts |= {"topics": len(topics)} | latency(seconds, list(texts.values()), threads)
    return target


def run_settings(profile: Profile, settings: SystemSettings) -> dict[str, Any]:
    """Return the settings that shape the run beyond those of its index or vectors, for its manifest."""
    shared = {"depth": profile.depth, "topic_field": profile.collection.topic_field, PROCEDURE: TIMING_PROCEDURE}
    if settings.kind == "bm25":
        return shared | {"engine": profile.bm25.engine} | index_settings(profile, settings)
    engine = {} if settings.engine == "exact" else {"engine": settings.engine}
    return shared | {"similarity": settings.similarity, "query_prefix": settings.query_prefix} | engine


def run_inputs(settings: SystemSettings, folder: Path) -> dict[str, str]:
    """Return the digests of the topics, of what is left out for them, and of the system's index or vectors."""
    made_from = {stage: read_manifest(folder / stage / settings.name).digest for stage in searched_stages(settings)}
    return collection_digests(folder, TOPICS, EXCLUDED) | made_from


def searched_stages(settings: SystemSettings) -> list[str]:
    """Return the stages whose artifacts a system searches."""
    if settings.kind == "bm25":
        return ["bm25"]
    return ["vectors", "milvus"] if settings.engine == "milvus" else ["vectors"]


def main(arguments: list[str] | None = None) -> None:
    """Run `python -m core.search`: search the collection's topics with every system of the profile."""
    parser = argparse.ArgumentParser(prog="python -m core.search", description=__doc__)
    command_line.add_profile_options(parser)
    command_line.add_systems_option(parser)
    command_line.add_threads_option(parser)
    options = parser.parse_args(arguments)
    profile, folder = command_line.profile_and_folder(options)
    command_line.each(
        (s.name, functools.partial(search_topics, profile, s, folder, options.device, options.threads))
        for s in command_line.chosen_systems(profile, options.systems)
        if s.kind != "run"
    )


if __name__ == "__main__":
    command_line.run(main)
