#!/usr/bin/env python3
"""Measure every page of the dashboard and live queries: seconds, processor time and the server's memory.

    python scripts/benchmarks/page_costs.py --collection trec-covid [--times 3] [--queries 200] [--json FILE]
    python scripts/benchmarks/page_costs.py --collection trec-covid --live    # the live queries alone

Starts its own servers on this machine and acts like a browser tab (see scripts/campaigns/load.py), so the time that a
browser needs to draw a page is not included; page_speed.py measures that. Linux only, as it reads /proc.

- cold: the first visit to a server that was just started, including everything that the page reads;
- first: the first visit to a page, or the first use of a control, on a server that has drawn the pages above it;
- again: the median of further visits or of other values of the control;
- memory: resident memory of that server after the visit, and how much of it is files mapped from disk, which the
  operating system can drop;
- live query: each system alone, one query at a time on one thread as on the Search page, with the median and the 95th
  percentile of each step (encode, search, fuse, re-rank) after those of the query; and the page with all systems.
"""

import argparse
import asyncio
import json
import os
import re
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from websockets.asyncio.client import ClientConnection

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from core.formats.collections import read_built_topics
from core.formats.topics import Topic
from core.retrieval.kinds import cannot_answer, open_system
from core.workspace.artifacts import host, versions
from core.workspace.profile import Profile, read_profile
from core.workspace.timing import limited_threads
from core.workspace.workspace import CollectionFolder, Workspace
from dashboard.shared.links import PAGES
from dashboard.views.search.answers import DEPTH
from scripts.campaigns.load import draw, open_tab
from scripts.start import child, free_port, server_command, wait_for

PORT = 8760
VIEWS = ("difference", "positions")


@dataclass
class Cost:
    """What one visit took: wall-clock and processor seconds of the server, and its memory afterwards in bytes."""

    seconds: float
    processor: float
    memory: int
    mapped: int


def interactions(profile: Profile, topics: list[Topic], times: int) -> Iterator[tuple[str, str, list[dict[str, str]]]]:
    """Yield (page, what is done, the parameters of each visit): first every page, then the common interactions."""
    for page in PAGES:
        yield page.name, "visit", [{}] * (times + 1)
    systems = [system.name for system in profile.system if system.kind != "run"]
    dense = [system.name for system in profile.system if system.kind == "dense"]
    ids = [topic.id for topic in topics]

    def each(name: str, values: list[str], **fixed: str) -> list[dict[str, str]]:
        return [{name: values[i % len(values)]} | fixed for i in range(times + 1)]

    yield "summary", "another baseline", each("baseline", systems)
    yield "summary", "significance", [{"cells": "letters", "measure": m} for m in profile.measures[: times + 1]]
    yield "topics", "another measure", each("measure", profile.measures[1:])
    yield "topics", "another pair", [{"a": a, "b": systems[0]} for a in systems[1:][: times + 1]]
    yield "topic", "another topic", each("topic", ids)
    yield "topic", "another pair", [{"a": a, "b": systems[0]} for a in systems[1:][: times + 1]]
    for view in VIEWS:
        yield "topic", f"view {view}", each("topic", ids, view=view)
    yield "search", "query, BM25 systems", each("query", texts(topics), systems=",".join(set(systems) - set(dense)))
    yield "search", "query, all systems", each("query", texts(topics), systems=",".join(systems))
    yield "search", "query, fused", each("query", texts(topics), systems=",".join(systems), fused="on")
    yield "documents", "another topic", each("topic", ids)
    yield "documents", "another model", each("system", dense)
    yield "documents", "SVG", each("topic", ids, svg="on")
    yield "ann", "query", each("query", texts(topics))
    yield "expansion", "another topic", each("topic", ids)
    yield "report", "another topic", each("topics", ids)


def texts(topics: list[Topic], count: int = 200) -> list[str]:
    """Return `count` different queries: the topics' short queries with a number."""
    return [f"{topics[i % len(topics)].query} {i}" for i in range(count)]


class Server:
    """A dashboard that runs as long as the block, and its costs."""

    def __init__(self, log: Path):
        self.port = free_port(PORT)
        self._log = log.open("ab")
        self._child = child(server_command(sys.executable, self.port), os.environ, self._log, self._log)

    def __enter__(self) -> "Server":
        """Start it and wait until it answers."""
        self.process = self._child.__enter__()
        if not wait_for(self.process, self.port):
            sys.exit("the dashboard did not start")
        return self

    def __exit__(self, *error: Any) -> None:
        """Stop it."""
        self._child.__exit__(*error)
        self._log.close()

    def processor(self) -> float:
        """Return the processor seconds that it has used."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def memory(self) -> tuple[int, int]:
        """Return its resident memory in bytes, and the part of it that is mapped from files."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        found = {key: 1024 * int(value) for key, value in re.findall(r"(VmRSS|RssFile):\s+(\d+) kB", status)}
        return found["VmRSS"], found["RssFile"]

    async def visit(self, tab: ClientConnection, page: str, parameters: dict[str, str]) -> Cost:
        """Request a page and wait until it is complete.

        Raises:
            RuntimeError: if the page shows an error.
        """
        begun, started = self.processor(), time.perf_counter()
        _, errors = await draw(tab, page, parameters)
        if errors:
            raise RuntimeError(f"{parameters}: {errors[0]}")
        return Cost(time.perf_counter() - started, self.processor() - begun, *self.memory())


async def hashes(server: Server, collection: str) -> dict[str, str]:
    """Return the hash of each page, which a tab learns from its first visit to a page that reads nothing."""
    async with open_tab(f"http://localhost:{server.port}") as tab:
        pages, _ = await draw(tab, "", {"collection": collection})
    return pages


async def cold(collection: str, page: str, pages: dict[str, str], log: Path) -> Cost:
    """Return the cost of the first visit to a page on a new server."""
    with Server(log) as server:
        async with open_tab(f"http://localhost:{server.port}") as tab:
            return await server.visit(tab, pages[page], {"collection": collection})


async def measured(options: argparse.Namespace, profile: Profile, topics: list[Topic]) -> list[dict[str, Any]]:
    """Return a row for every page and interaction: cold (pages only), first and again."""
    rows = []
    log = Path(options.log)
    with Server(log) as server:
        pages = await hashes(server, options.collection)
    with Server(log) as server:
        async with open_tab(f"http://localhost:{server.port}") as tab:
            for page, what, visits in interactions(profile, topics, options.times):
                if options.only and page not in options.only:
                    continue
                alone = await cold(options.collection, page, pages, log) if what == "visit" else None
                costs = [await server.visit(tab, pages[page], {"collection": options.collection} | v) for v in visits]
                rows.append(
                    {
                        "page": page,
                        "what": what,
                        "cold": asdict(alone) if alone else None,
                        "first": asdict(costs[0]),
                        "again": [asdict(cost) for cost in costs[1:]],
                    }
                )
                print(line(rows[-1]), flush=True)
    return rows


def line(row: dict[str, Any]) -> str:
    """Return a row of the table."""

    def shown(cost: dict[str, Any] | None) -> str:
        return f"{cost['seconds']:7.2f} ({cost['processor']:5.2f})" if cost else f"{'':15}"

    middle = (
        {key: median(cost[key] for cost in row["again"]) for key in ("seconds", "processor")} if row["again"] else None
    )
    last = (row["again"] or [row["first"]])[-1]
    memory = f"{last['memory'] / 2**30:6.2f} ({last['mapped'] / 2**30:4.2f})"
    return f"{row['page']:<11}{row['what']:<20}{shown(row['cold'])}{shown(row['first'])}{shown(middle)}{memory}"


def live(folder: CollectionFolder, profile: Profile, queries: list[str]) -> dict[str, list[dict[str, float]]]:
    """Return the seconds, processor seconds and seconds by step of each query, for each system that can answer."""
    found = {}
    for settings in profile.system:
        if cannot_answer(profile, settings):
            continue
        system = open_system(profile, settings, folder)
        system.search(queries[:1], DEPTH)  # loads the model, and with it the libraries whose threads are limited
        with limited_threads(1):
            for query in queries[:5]:
                system.search([query], DEPTH)
            of_system = []
            for query in queries:
                started, begun = time.perf_counter(), time.process_time()
                (answer,) = system.search([query], DEPTH)
                whole = {"seconds": time.perf_counter() - started, "processor": time.process_time() - begun}
                of_system.append(whole | answer.seconds)
        found[settings.name] = of_system
        steps = {step: [query[step] for query in of_system] for step in list(of_system[0])[2:]}
        by_step = "".join(
            f"  {step} {percentile(every, 50):.1f} {percentile(every, 95):.1f}" for step, every in steps.items()
        )
        print(latency(f"{settings.name} ({settings.kind})", of_system) + by_step, flush=True)
    return found


async def search_page(options: argparse.Namespace, profile: Profile, queries: list[str]) -> list[dict[str, float]]:
    """Return the seconds and processor seconds of the Search page with all systems for each query, after a first one.

    The page searches with all systems at once, draws their answers, and then measures each system's latency.
    """
    systems = ",".join(system.name for system in profile.system if not cannot_answer(profile, system))
    with Server(Path(options.log)) as server:
        pages = await hashes(server, options.collection)
        async with open_tab(f"http://localhost:{server.port}") as tab:
            fixed = {"collection": options.collection, "systems": systems}
            costs = [await server.visit(tab, pages["search"], fixed | {"query": query}) for query in queries]
    return [{"seconds": cost.seconds, "processor": cost.processor} for cost in costs[1:]]


def percentile(seconds: list[float], q: int) -> float:
    """Return a percentile of times in milliseconds."""
    return 1000 * float(np.percentile(seconds, q))


def latency(name: str, costs: list[dict[str, float]]) -> str:
    """Return the percentiles of wall-clock and processor time as a line."""
    columns = [percentile([cost[time] for cost in costs], q) for time in ("seconds", "processor") for q in (50, 95)]
    return f"{name:<36}{''.join(f'{value:9.1f}' for value in columns)}{len(costs):6}"


def main() -> None:
    """Measure, print two tables and write JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--collection", default="sample")
    parser.add_argument("--times", type=int, default=3, help="further visits of each page (default: 3)")
    parser.add_argument("--queries", type=int, default=200, help="number of live queries; 0 for none (default: 200)")
    parser.add_argument("--only", nargs="*", help="only these pages")
    parser.add_argument("--live", action="store_true", help="only the live queries")
    parser.add_argument("--log", default=os.devnull, help="file for the output of the servers")
    parser.add_argument("--json", type=Path, help="output file for all times, with versions and machine")
    options = parser.parse_args()
    folder = Workspace.default().collection(options.collection)
    profile, topics = read_profile(str(folder.profile)), read_built_topics(folder)[0]
    about = {"collection": options.collection, "host": host(), "versions": versions()}
    if not options.live:
        seconds = "".join(f"{name:>15}" for name in ("cold", "first", "again"))
        print(f"{'seconds (processor)':<31}{seconds}   GiB (mapped)")
        about["pages"] = asyncio.run(measured(options, profile, topics))
    if options.queries:
        heads = "".join(f"{name:>9}" for name in ("p50", "p95", "cpu p50", "cpu p95"))
        print(f"\n{'live query, milliseconds':<36}{heads}{'n':>6}  p50 and p95 of each step")
        queries = texts(topics, options.queries)
        about["live"] = live(folder, profile, queries)
        about["search page"] = asyncio.run(search_page(options, profile, queries[: max(2, len(queries) // 5)]))
        print(latency("Search page, all systems", about["search page"]))
    if options.json:
        options.json.write_text(json.dumps(about, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
