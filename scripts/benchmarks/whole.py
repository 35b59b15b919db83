"""Benchmark of what users wait for: the dashboard's start, live queries by system and stage, the sample's build."""

import asyncio
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from core.formats.collections import read_built_collection
from core.retrieval.kinds import open_system
from core.retrieval.systems import System
from core.workspace.artifacts import read_manifest
from core.workspace.errors import UserError
from core.workspace.profile import read_profile
from core.workspace.workspace import CHECKOUT, SHOWN, VARIABLE, CollectionFolder, Workspace
from scripts.benchmarks.measuring import Comparison, Scale
from scripts.campaigns.load import draw, open_tab
from scripts.serving import server

PORT = 8731
HITS = 10


def cold(folder: CollectionFolder, scale: Scale) -> Iterator[Comparison]:
    """Start the dashboard repeatedly, timing its first answer and its first page."""
    healthy, drawn = [], []
    for _ in range(scale.starts):
        started = time.perf_counter()
        with server(PORT) as address:
            healthy.append(time.perf_counter() - started)
            asyncio.run(_first_page(address, folder.name))
            drawn.append(time.perf_counter() - started)
    yield Comparison("cold", "start of the dashboard, until it answers", "", "RankScope", {"RankScope": healthy})
    yield Comparison("cold", "start of the dashboard, until Summary is made", "", "RankScope", {"RankScope": drawn})


async def _first_page(address: str, collection: str) -> None:
    """Request the Summary page as a browser tab does, and wait until the server has rendered it."""
    async with open_tab(address) as tab:
        _, errors = await draw(tab, "", {"collection": collection})
    if errors:
        raise UserError(f"the Summary page shows an error: {errors[0]}")


def live(folder: CollectionFolder, scale: Scale) -> Iterator[Comparison | str]:
    """Send the topics to every system of the collection, in turns, as the Search page does."""
    profile, topics = read_profile(str(folder.profile)), read_built_collection(folder).topics
    systems: dict[str, System] = {}
    for settings in profile.system:
        if settings.kind == "run":
            continue
        try:
            system = open_system(profile, settings, folder)
            system.search(["the first query loads the model"], HITS)
        except UserError as error:
            yield f"live: {settings.name} is left out: {error}"
            continue
        systems[settings.name] = system
    seconds: dict[str, dict[str, list[float]]] = {name: {} for name in systems}
    until = time.perf_counter() + scale.seconds
    for number, topic in enumerate(topics):
        if number and time.perf_counter() > until:
            break
        for name, system in systems.items():
            (answer,) = system.search([topic.text(profile.collection.topic_field)], HITS)
            by_stage = answer.seconds
            total = {"all": sum(by_stage.values())} if len(by_stage) > 1 else {}
            for stage, value in (by_stage | total).items():
                seconds[name].setdefault(stage, []).append(value)
    for name, by_stage_of in seconds.items():
        for stage, values in by_stage_of.items():
            yield Comparison("live", f"{name}, {stage}", "query", "RankScope", {"RankScope": values})


def pipeline() -> Iterator[Comparison]:
    """Build the embedded sample from its texts and predicted queries, in a temporary workspace.

    The queries are not predicted again, since the model that generated them is not shipped.
    """
    embedded = Workspace(CHECKOUT / SHOWN).collection("sample")
    with tempfile.TemporaryDirectory() as place:
        own = Workspace(Path(place))
        sample = own.collection("sample")
        given = {embedded.collection: sample.collection, embedded.predicted_queries: sample.predicted_queries}
        for artifact, copy in given.items():
            shutil.copytree(artifact, copy)
        command = [sys.executable, str(CHECKOUT / "scripts" / "build.py"), "--profile", "sample"]
        environment = os.environ | {VARIABLE: str(own.root)}
        started = time.perf_counter()
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        everything = time.perf_counter() - started
        if done.returncode:
            raise UserError(f"the sample was not built: {' '.join((done.stdout + done.stderr).splitlines()[-1:])}")
        stages: dict[str, float] = {}
        for artifact in [*own.models(), *sample.artifacts()]:
            if artifact not in given.values():
                manifest = read_manifest(artifact)
                stages[manifest.stage] = stages.get(manifest.stage, 0.0) + manifest.seconds
    for stage, seconds in stages.items():
        yield Comparison("pipeline", f"sample, {stage}", "", "RankScope", {"RankScope": [seconds]})
    task = "sample, all stages, with Python's start and the libraries'"
    yield Comparison("pipeline", task, "", "RankScope", {"RankScope": [everything]})
