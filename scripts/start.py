#!/usr/bin/env python3
"""Start the dashboard: create the environment and the sample's artifacts if they are missing, and serve on localhost.

    python3 scripts/start.py [--profile P] [--port N] [--no-browser]

Needs only Python 3.10 to 3.13. Ctrl-C ends it. Its child processes end with it, however it ends.
"""

import argparse
import contextlib
import errno
import http.client
import importlib.metadata
import importlib.util
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
import webbrowser
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from scripts.environment import ROOT, ensure

SAMPLE = Path(os.environ.get("RANKSCOPE_ARTIFACTS") or ROOT / "artifacts").resolve() / "sample"
LOCK = ROOT / ".start.lock"
"""Lock file held while the environment and the sample are made, so that two starts do not make them at once."""
PATIENCE_SECONDS = 120
END_SECONDS = 10
ATTEMPTS = 5
"""Number of ports tried if another program keeps taking the free one first."""


class Ended(BaseException):
    """Raised when a signal asks this process to end; its argument is the signal number."""


def main() -> None:
    """Prepare the environment and the sample, then serve until interrupted."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--profile", default="sample", help="profile whose collection is shown first (default: sample)")
    parser.add_argument(
        "--port", type=int, default=8501, help="port, or the next free one if it is taken (default: 8501)"
    )
    parser.add_argument("--models", metavar="DIR", help="folder of models; DIR/NAME is used for the model NAME")
    parser.add_argument("--no-browser", action="store_true", help="do not open a browser")
    options = parser.parse_args()
    environment = os.environ | {"RANKSCOPE_PROFILE": options.profile}
    if options.models:
        environment["RANKSCOPE_MODELS"] = str(Path(options.models).resolve())
    end_by_signals()
    try:
        with alone(LOCK, "another start is preparing the dashboard"):
            python = Path(sys.executable) if is_installed() else ensure(ROOT / "requirements.txt")
            make_sample(python, environment)
        sys.exit(serve(python, environment, options.port, open_browser=not options.no_browser))
    except Ended as ended:
        print("\nEnded.")
        sys.exit(0 if ended.args[0] == signal.SIGINT else 128 + ended.args[0])


def is_installed() -> bool:
    """Tell whether RankScope is installed for this interpreter (`pip install -e .`), so that no `.venv` is needed."""
    try:
        importlib.metadata.version("rankscope")
    except importlib.metadata.PackageNotFoundError:
        return False
    return importlib.util.find_spec("streamlit") is not None


def end_by_signals() -> None:
    """Raise `Ended` on the signals that end a process, except those that are ignored (nohup)."""

    def end(number: int, _frame: object) -> None:
        for other in numbers:
            signal.signal(other, signal.SIG_IGN)  # further signals must not interrupt the cleanup
        raise Ended(number)

    names = ("SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT")
    numbers = [getattr(signal, name) for name in names if hasattr(signal, name)]
    numbers = [number for number in numbers if signal.getsignal(number) != signal.SIG_IGN]
    for number in numbers:
        signal.signal(number, end)


@contextlib.contextmanager
def child(
    command: list[str],
    environment: Mapping[str, str],
    stdout: int | IO[bytes] | None = None,
    stderr: int | IO[bytes] | None = None,
) -> Iterator[subprocess.Popen[bytes]]:
    """Run a Python script or `-m MODULE`, given after its interpreter, until the block or this process ends."""
    command = [command[0], str(ROOT / "scripts" / "attached.py"), *command[1:]]
    # In a new session, so that a terminal's Ctrl-C and hang-up reach only this process.
    process = subprocess.Popen(
        command,
        cwd=ROOT,
        env=environment,
        stdin=subprocess.PIPE,
        stdout=stdout,
        stderr=stderr,
        start_new_session=True,
    )
    try:
        yield process
    finally:
        if process.stdin:
            process.stdin.close()
        try:
            process.wait(END_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@contextlib.contextmanager
def alone(path: Path, otherwise: str) -> Iterator[None]:
    """Hold a file lock, which the system releases when the process ends; wait while another process holds it."""
    try:
        file = path.open("a+")
    except OSError:  # a read-only folder needs no lock, since nothing can be made in it
        yield
        return
    with file:
        said = False
        while not locks(file.fileno()):
            if not said:
                print(f"Waiting: {otherwise} ...", flush=True)
            said = True
            time.sleep(0.2)
        yield


def locks(file: int) -> bool:
    """Lock an open file; tell whether that succeeded."""
    try:
        if sys.platform == "win32":
            import msvcrt

            msvcrt.locking(file, msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def make_sample(python: Path, environment: Mapping[str, str]) -> None:
    """Build the sample's missing artifacts, after any other build of it has ended."""
    if not missing_of_sample():
        return
    with alone(
        SAMPLE / ".lock", "a build of the sample is running"
    ):  # the lock of every build, see core/workspace/artifacts.py
        pass
    if not (missing := missing_of_sample()):
        return
    print(f"Making what the sample lacks ({', '.join(missing)}) ...", flush=True)
    with child([str(python), str(ROOT / "scripts" / "build.py"), "--profile", "sample"], environment) as build:
        build.wait()
    if missing := missing_of_sample():
        print(f"The sample is served without what could not be made: {', '.join(missing)}.", file=sys.stderr)


def missing_of_sample() -> list[str]:
    """Return the sample's artifacts without a manifest; a build checks more, but takes longer."""
    profile = SAMPLE / "profile.json"
    if not profile.is_file():
        return ["everything"]
    wanted = ["collection", "measures"]
    for system in json.loads(profile.read_text(encoding="utf-8"))["system"]:
        wanted += [f"runs/{system['name']}"]
        wanted += [f"bm25/{system['name']}"] if system["kind"] == "bm25" else []
        wanted += [f"{stage}/{system['name']}" for stage in ("vectors", "ann")] if system["kind"] == "dense" else []
    return [name for name in wanted if not (SAMPLE / name / "manifest.json").is_file()]


def free_port(wanted: int) -> int:
    """Return the first port from `wanted` on that is free over both IPv4 and IPv6.

    "localhost" is both 127.0.0.1 and ::1, and a browser may use either.
    """
    for port in range(wanted, min(wanted + 100, 65536)):
        if is_free(socket.AF_INET, "127.0.0.1", port) and is_free(socket.AF_INET6, "::1", port):
            return port
    sys.exit(f"no free port from {wanted} to {wanted + 99}; choose another with --port, up to 65535")


def is_free(family: int, address: str, port: int) -> bool:
    """Tell whether a port is free at an address, or the machine does not support the address family."""
    try:
        probe = socket.socket(family)
    except OSError:
        return family == socket.AF_INET6
    with probe:
        probe.settimeout(1)
        if probe.connect_ex((address, port)) == 0:
            return False
    with socket.socket(family) as probe:
        if os.name == "posix":  # on other systems the option would also allow ports in use
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((address, port))
        except OSError as error:
            return family == socket.AF_INET6 and error.errno in (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT)
    return True


def serve(python: Path, environment: Mapping[str, str], wanted: int, open_browser: bool) -> int:
    """Run Streamlit until it ends and return its exit status; if the port was taken meanwhile, try another."""
    for _ in range(ATTEMPTS):
        port = free_port(wanted)
        with child(server_command(python, port), environment, subprocess.DEVNULL) as server:
            if wait_for(server, port):
                address = f"http://localhost:{port}"
                print(f"RankScope is at {address} (Ctrl-C ends it)", flush=True)
                if open_browser:
                    webbrowser.open(address)
                return server.wait()
            if server.poll() is None:
                print(f"The server did not answer within {PATIENCE_SECONDS} seconds.", file=sys.stderr)
                return 1
        if free_port(port) == port:  # the server did not end because of the port
            break
    print(f"The server ended with status {server.returncode} before it answered.", file=sys.stderr)
    return server.returncode or 1


def server_command(python: Path | str, port: int) -> list[str]:
    """Return the command that serves the dashboard on this machine, for `child`."""
    command = [str(python), "-m", "streamlit", "run", str(ROOT / "dashboard" / "server.py")]
    return [*command, "--server.port", str(port), "--server.address", "127.0.0.1", "--server.headless", "true"]


def wait_for(server: subprocess.Popen[bytes], port: int) -> bool:
    """Wait up to `PATIENCE_SECONDS` for a server to answer; tell whether it does."""
    started = time.monotonic()
    while server.poll() is None and time.monotonic() - started < PATIENCE_SECONDS:
        if process_at(port) == server.pid:
            return True
        time.sleep(0.1)
    return False


def process_at(port: int) -> int | None:
    """Return the process id that the dashboard on a port reports, or None if no dashboard answers."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/process-id", timeout=1) as answer:
            return int(answer.read(20))
    except (urllib.error.URLError, OSError, ValueError, http.client.HTTPException):
        return None


if __name__ == "__main__":
    main()
