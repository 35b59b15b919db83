#!/usr/bin/env python3
"""Send signals to scripts/start.py at random moments, and start it again.

    python scripts/campaigns/signals.py --rounds 25

The campaign uses a copy of the checkout whose sample lacks some artifacts. Signals are sent during the build, while the
server starts and while it serves, to one start or to two at once. Passed: it ends without a traceback, no process is
left after some seconds, the port is free, and the next start serves the complete sample.
"""

import asyncio
import contextlib
import os
import random
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from scripts.campaigns import campaign
from scripts.campaigns.campaign import ROOT, Count

WORK = campaign.workspace("start")

import psutil  # noqa: E402

from core.workspace.artifacts import is_whole  # noqa: E402
from core.workspace.workspace import SHOWN, CollectionFolder, Workspace  # noqa: E402
from scripts.campaigns.load import draw, open_tab  # noqa: E402

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGKILL)
MARK = "RANKSCOPE_STARTED_BY"
"""Environment variable of all processes that this campaign starts, by which remaining ones are found."""
LEFT_SECONDS, SERVED_SECONDS = 20, 600
REMOVED = ("measures", "profile.json", "bm25/bm25", "runs/bm25", "runs/fine-tuned", "vectors/fine-tuned")
BEGUN = {"build": "Making what the sample lacks", "server": "", "serving": "RankScope is at"}
"""Phases after whose begin a signal is sent, with the output line that marks each."""


@dataclass
class Start:
    """A process of scripts/start.py and its output."""

    process: "subprocess.Popen[bytes]"
    log: Path

    @property
    def said(self) -> str:
        """Its output so far."""
        return self.log.read_text(errors="replace")

    @property
    def port(self) -> int:
        """The port on which it serves, or 0."""
        found = re.search(r"RankScope is at http://localhost:(\d+)", self.said)
        return int(found[1]) if found else 0

    def wait_for(self, line: str) -> bool:
        """Wait for a line of output, and tell whether it came before the process ended."""
        return until(lambda: line in self.said or self.process.poll() is not None, SERVED_SECONDS) and line in self.said


def until(condition: Callable[[], Any], seconds: float) -> bool:
    """Wait until a condition holds, and tell whether it did in time."""
    end = time.monotonic() + seconds
    while not (holds := condition()) and time.monotonic() < end:
        time.sleep(0.05)
    return bool(holds)


def start(rounds: int, generator: random.Random) -> dict[str, Count]:
    """Send signals to scripts/start.py in a copy of the checkout, and start it again."""
    checkout, workspace = campaign.copy_checkout(WORK / "checkout"), Workspace.default()
    sample = workspace.collection("sample")
    (checkout / ".venv").symlink_to(sys.prefix)
    for name in ("sample", "models"):
        shutil.copytree(ROOT / SHOWN / name, checkout / SHOWN / name, ignore=shutil.ignore_patterns(".*"))
    shutil.copytree(checkout / SHOWN / "sample", sample)
    subprocess.run(
        [sys.executable, "scripts/build.py", "--profile", "sample"], cwd=checkout, check=True, stdout=subprocess.DEVNULL
    )
    shutil.copytree(sample, WORK / "sample")
    durations = {"build": 5.0, "server": 5.0, "serving": 1.0}
    counts = {f"{number.name}, {moment}": Count() for moment in durations for number in SIGNALS}
    counts |= {"two at once, one ended": Count(), "two at once, both ended": Count()}
    for number in range(rounds):
        campaign.empty(workspace.root)
        shutil.copytree(WORK / "sample", sample)
        moment, sent, wanted = generator.choice(list(durations)), generator.choice(SIGNALS), free_port()
        removed = generator.sample(REMOVED, generator.randint(1, 3)) if moment == "build" else []
        for name in removed:
            shutil.rmtree(sample / name) if (sample / name).is_dir() else (sample / name).unlink()
        both, share = generator.choice((0, 0, 1, 2)), generator.random()
        what = f"round {number}: {sent.name} after {share:.3f} of {moment}, without {removed}"
        starts = [launch(checkout, wanted) for _ in range(2 if both else 1)]
        begun = starts[0].wait_for(BEGUN[moment]) or (both and starts[1].wait_for(BEGUN[moment]))
        time.sleep(share * durations[moment])
        hit = starts[: 1 if both == 1 else 2]
        for one in hit:
            with contextlib.suppress(ProcessLookupError):
                one.process.send_signal(sent)
        problem = "" if begun else f"not begun: {starts[0].said[-300:]}"
        problem = problem or ended(hit, sent)
        if both == 1:
            problem = problem or served(starts[1], sample)
            starts[1].process.terminate()
            problem = problem or ended(starts[1:], signal.SIGTERM)
        problem = problem or nothing_left(wanted)
        name = f"two at once, {'one' if both == 1 else 'both'} ended" if both else f"{sent.name}, {moment}"
        counts[name].add(problem, what)
        for process in left_processes():  # so that a fault is only counted once
            process.kill()
        began = time.monotonic()
        again = launch(checkout, wanted)
        problem = served(again, sample)
        if moment != "serving":
            durations[moment] = min(60.0, max(2.0, time.monotonic() - began - (durations["server"] if removed else 0)))
        again.process.send_signal(sent)
        problem = problem or ended([again], sent) or nothing_left(wanted)
        counts[f"{sent.name}, serving"].add(problem, f"{what}; then started again, and ended by it")
        for process in left_processes():
            process.kill()
    return counts


def launch(checkout: Path, port: int) -> Start:
    """Start scripts/start.py, which takes the given port or the next free one."""
    handle, log = tempfile.mkstemp(dir=WORK, prefix="start-")
    command = [sys.executable, "scripts/start.py", "--no-browser", "--port", str(port)]
    process = subprocess.Popen(
        command,
        cwd=checkout,
        env=os.environ | {MARK: str(WORK)},
        stdin=subprocess.DEVNULL,
        stdout=handle,
        stderr=subprocess.STDOUT,
        start_new_session=True,
        preexec_fn=heed_signals,
    )
    os.close(handle)
    return Start(process, Path(log))


def heed_signals() -> None:
    """Restore SIGINT and SIGQUIT, which background processes and their children ignore."""
    for number in (signal.SIGINT, signal.SIGQUIT):
        signal.signal(number, signal.SIG_DFL)


def free_port() -> int:
    """Return a free port."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def ended(starts: list[Start], sent: signal.Signals) -> str:
    """Return the problem with how starts ended, "" if there is none."""
    for one in starts:
        if not until(lambda one=one: one.process.poll() is not None, LEFT_SECONDS):  # type: ignore[misc]
            return f"it does not end: {one.said[-300:]}"
        if "Traceback" in one.said:
            return f"a traceback: {one.said[-600:]}"
    return ""


def left_processes() -> list[psutil.Process]:
    """Return the remaining processes of all that were started."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            if process.environ().get(MARK) == str(WORK) and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
    return found


def nothing_left(port: int) -> str:
    """Return the remaining processes, or that the port is taken, as text; "" for neither."""
    if not until(lambda: not left_processes(), LEFT_SECONDS):
        return f"left: {[' '.join(process.cmdline()[-4:]) for process in left_processes()]}"
    with socket.socket() as probe:
        return "" if probe.connect_ex(("127.0.0.1", port)) else f"something listens at {port}"


def served(one: Start, sample: CollectionFolder) -> str:
    """Return the problem with what a start serves, "" if it is the complete sample."""
    if not one.wait_for("RankScope is at"):
        return f"not served: {one.said[-600:]}"
    if "without what could not be made" in one.said:
        return f"not all was made: {one.said[-600:]}"
    whole = Workspace(WORK).collection("sample")
    places = [artifact.path.relative_to(whole.path).as_posix() for artifact in whole.artifacts()]
    if wrong := [place for place in places if not is_whole(sample.artifact(place))]:
        return f"not whole: {wrong}"
    errors = asyncio.run(drawn_by_browser(one.port))
    return f"errors on Summary and Search: {errors}" if errors else ""


async def drawn_by_browser(port: int) -> list[str]:
    """Request the pages Summary and Search as a browser does, and return the errors that they show."""
    async with open_tab(f"http://localhost:{port}") as tab:
        pages, errors = await draw(tab, "", {"collection": "sample"})
        _, more = await draw(tab, pages["search"], {"collection": "sample", "query": "loss of smell"})
        return errors + more


if __name__ == "__main__":
    campaign.run(start, __doc__, WORK, rounds=25)
