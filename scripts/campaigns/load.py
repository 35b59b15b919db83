#!/usr/bin/env python3
"""Let many sessions browse and search a dashboard of this machine at once; count pages, errors, times and memory.

    python scripts/campaigns/load.py                            # 20 sessions for 180 seconds
    python scripts/campaigns/load.py --sessions 3 --seconds 20 --collection my-collection

Starts its own server on localhost and stops it at the end. A session acts like a browser tab: it opens a WebSocket,
requests a page with its URL parameters and receives its elements as Streamlit's messages, and pauses before it requests
the next page. The time that a browser needs to draw a page is not included.
"""

import argparse
import asyncio
import json
import os
import random
import re
import socket
import statistics
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from websockets.asyncio.client import ClientConnection, connect

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from core.formats.collections import read_built_collection
from core.workspace.workspace import Workspace
from dashboard.streamlit_internals import messages
from scripts.start import child, server_command, wait_for

BackMsg, ForwardMsg = messages()
QUERIES = (
    "loss of smell",
    "do masks slow the spread",
    "remdesivir trial",
    "children and schools",
    "long covid fatigue",
)
LONGEST_WAIT = 60
LARGEST_MESSAGE = 200 << 20
WARM = 30.0


@dataclass
class Tally:
    """Results of the load: the seconds of each rendered page, by name, and the errors.

    `warm` has the seconds of pages requested after the server's first `WARM` seconds, in which all sessions wait for
    the first page and for the models of the first query.
    """

    seconds: dict[str, list[float]] = field(default_factory=dict)
    warm: list[float] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)


def open_tab(address: str) -> connect:
    """Return a connection (a context manager) to the dashboard at an address, like that of a browser tab."""
    stream = f"ws{address.removeprefix('http')}/_stcore/stream"
    return connect(stream, subprotocols=["streamlit"], max_size=LARGEST_MESSAGE)  # type: ignore


async def draw(tab: ClientConnection, page: str, parameters: dict[str, str]) -> tuple[dict[str, str], list[str]]:
    """Request a page and wait until it is rendered.

    Args:
        page: the page's hash, "" for the first.

    Returns:
        The available pages, name -> hash, and the errors that the page shows.
    """
    ask = BackMsg()
    ask.rerun_script.query_string = urlencode(parameters)
    ask.rerun_script.page_script_hash = page
    await tab.send(ask.SerializeToString())
    pages: dict[str, str] = {}
    errors: list[str] = []
    while True:
        message = ForwardMsg()
        content = await asyncio.wait_for(tab.recv(), LONGEST_WAIT)
        message.ParseFromString(content if isinstance(content, bytes) else content.encode())
        kind = message.WhichOneof("type")
        if kind == "navigation":
            pages = {p.url_pathname or "summary": p.page_script_hash for p in message.navigation.app_pages}
        elif kind == "delta" and message.delta.new_element.WhichOneof("type") == "exception":
            errors.append(message.delta.new_element.exception.message)
        elif kind == "script_finished":
            if message.script_finished == ForwardMsg.FINISHED_WITH_COMPILE_ERROR:
                errors.append("the script does not compile")
            if message.script_finished != ForwardMsg.FINISHED_EARLY_FOR_RERUN:
                return pages, errors


async def session(
    port: int, collection: str, topics: list[str], number: int, until: float, think: float, tally: Tally
) -> None:
    """Browse until the time is up."""
    generator, begun = random.Random(number), time.perf_counter()
    try:
        async with open_tab(f"http://localhost:{port}") as tab:
            pages, name = {"summary": ""}, "summary"
            while time.monotonic() < until:
                parameters = {"collection": collection}
                if name in ("search", "ann"):
                    parameters["query"] = f"{generator.choice(QUERIES)} {generator.randrange(1000)}"
                if name in ("topic", "search"):
                    parameters["topic"] = generator.choice(topics)
                started = time.perf_counter()
                known, errors = await draw(tab, pages[name], parameters)
                seconds = time.perf_counter() - started
                tally.seconds.setdefault(name, []).append(seconds)
                tally.warm += [seconds] if started > begun + WARM else []
                tally.errors += [f"{name}: {error}" for error in errors]
                pages = known or pages
                name = "search" if generator.random() < 0.4 else generator.choice(list(pages))
                await asyncio.sleep(generator.uniform(0.5, 1.5) * think)
    except Exception as error:
        tally.errors.append(f"session {number}: {type(error).__name__}: {error}")


async def watch(process: int, until: float, memory: list[int]) -> None:
    """Record the server's resident memory, in bytes, every second."""
    status = Path(f"/proc/{process}/status")
    while time.monotonic() < until:
        if status.exists() and (found := re.search(r"VmRSS:\s+(\d+) kB", status.read_text())):
            memory.append(1024 * int(found[1]))
        await asyncio.sleep(1)


async def load(port: int, process: int, options: argparse.Namespace) -> tuple[Tally, list[int]]:
    """Run the sessions, and return the results and the server's memory over time."""
    tally, memory = Tally(), list[int]()
    topics = [topic.id for topic in read_built_collection(Workspace.default().collection(options.collection)).topics]
    until = time.monotonic() + options.seconds
    tabs = [
        session(port, options.collection, topics, number, until, options.think, tally)
        for number in range(options.sessions)
    ]
    await asyncio.gather(watch(process, until, memory), *tabs)
    return tally, memory


def p95(seconds: list[float]) -> float:
    """Return the 95th percentile, rounded to milliseconds."""
    return round(sorted(seconds)[int(0.95 * (len(seconds) - 1))], 3)


def summary(tally: Tally, memory: list[int], sessions: int, log: str) -> dict[str, Any]:
    """Return the figures of a load test, with times in seconds and memory in MiB."""
    times = [value for values in tally.seconds.values() for value in values]
    tenth = max(1, len(memory) // 10)
    parts = {"start": memory[:tenth], "middle": memory[len(memory) // 2 :][:tenth], "end": memory[-tenth:]}
    return {
        "sessions": sessions,
        "pages drawn": len(times),
        "errors": len(tally.errors) + log.count("Traceback"),
        "median": round(statistics.median(times), 3) if times else None,
        "p95": p95(times) if times else None,
        f"p95 after {WARM:.0f} s": p95(tally.warm) if tally.warm else None,
        "p95 by page": {name: p95(values) for name, values in sorted(tally.seconds.items())},
        "memory": {name: round(statistics.median(part) / 2**20) for name, part in parts.items() if part},
    }


def main() -> None:
    """Start the server, run the load, print the figures and stop the server."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sessions", type=int, default=20)
    parser.add_argument("--seconds", type=float, default=180)
    parser.add_argument(
        "--think", type=float, default=3.0, help="mean pause between two pages of a session, in seconds"
    )
    parser.add_argument("--collection", default="sample", help="a built one")
    parser.add_argument("--port", type=int, default=0, help="port (default: any free port)")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    options = parser.parse_args()
    port = options.port
    if not port:
        with socket.socket() as free:
            free.bind(("localhost", 0))
            port = free.getsockname()[1]
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "server.log"
        with (
            log.open("wb") as output,
            child(server_command(sys.executable, port), os.environ, output, output) as server,
        ):
            if not wait_for(server, port):
                sys.exit(f"the dashboard did not start: {log.read_text(encoding='utf-8', errors='replace')[-2000:]}")
            tally, memory = asyncio.run(load(port, server.pid, options))
        found = summary(tally, memory, options.sessions, log.read_text(errors="replace"))
    if options.json:
        print(json.dumps(found))
    else:
        for name, value in found.items():
            print(f"{name:<18}{value}")
    for error in list(dict.fromkeys(tally.errors))[:10]:
        print(f"  ERROR {error}", file=sys.stderr)
    sys.exit(bool(found["errors"]))


if __name__ == "__main__":
    main()
