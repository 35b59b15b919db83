"""scripts/start.py under real signals, beside other starts and builds, and at ports that others listen at."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from scripts import start

ROOT = Path(__file__).resolve().parents[2]

pytestmark = [pytest.mark.slow, pytest.mark.skipif(os.name != "posix", reason="signals of POSIX")]

# Runs start.py in a made-up project: its build and its server are the two scripts below.
DRIVER = """
import sys
from pathlib import Path
sys.path.insert(0, {checkout!r})
from scripts import start
start.ROOT = Path({root!r})
start.SAMPLE, start.LOCK = start.ROOT / "sample", start.ROOT / ".start.lock"
start.ensure = lambda *_: Path(sys.executable)
start.server_command = lambda python, port: [str(python), str(start.ROOT / "scripts/server.py"), str(port)]
sys.argv = ["start.py", "--no-browser", "--port", sys.argv[1]]
start.main()
"""
# Holds the lock as every build does, starts a process of its own, and ends once the file `go` is there.
BUILD = """
import os, subprocess, sys, time
from pathlib import Path
from filelock import FileLock
root = Path(__file__).resolve().parent.parent
sample = root / "sample"
sample.mkdir(exist_ok=True)
with FileLock(sample / ".lock"):
    other = subprocess.Popen(["sleep", "60"])
    with (root / "builds").open("a") as file:
        file.write(f"{os.getpid()} {other.pid}\\n")
    (sample / "profile.json").write_text('{"system": []}')
    (sample / "collection").mkdir()
    (sample / "collection/manifest.json").write_text("{}")
    while not (root / "go").exists():
        time.sleep(0.02)
    (sample / "measures").mkdir()
    (sample / "measures/manifest.json").write_text("{}")
    other.kill()
"""
SERVER = """
import os, sys
from http.server import BaseHTTPRequestHandler, HTTPServer
class Answer(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(str(os.getpid()).encode())
HTTPServer(("127.0.0.1", int(sys.argv[1])), Answer).serve_forever()
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    scripts = tmp_path / "scripts"
    scripts.mkdir()
    shutil.copy(ROOT / "scripts" / "attached.py", scripts)
    (scripts / "build.py").write_text(BUILD)
    (scripts / "server.py").write_text(SERVER)
    return tmp_path


@pytest.fixture
def launch(project: Path) -> Iterator[Callable[[int], subprocess.Popen]]:
    started: list[subprocess.Popen] = []

    def launched(port: int) -> subprocess.Popen:
        driver = DRIVER.format(checkout=str(ROOT), root=str(project))
        started.append(
            subprocess.Popen(
                [sys.executable, "-c", driver, str(port)],
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                # A test run in the background has SIGINT ignored, and its children inherit that.
                preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
            )
        )
        return started[-1]

    yield launched
    for process in started:
        if process.poll() is None:
            process.terminate()
        process.communicate(timeout=20)


def complete(project: Path) -> None:
    (project / "sample" / "measures").mkdir(parents=True)
    (project / "sample" / "collection").mkdir()
    (project / "sample" / "profile.json").write_text(json.dumps({"system": []}))
    for name in ("collection", "measures"):
        (project / "sample" / name / "manifest.json").write_text("{}")


def until(condition: Callable[[], object], seconds: float = 15) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.02)


def line_of(process: subprocess.Popen, beginning: str) -> str:
    assert process.stdout
    return next(line for line in process.stdout if line.startswith(beginning))


def port_of(process: subprocess.Popen) -> int:
    return int(line_of(process, "RankScope is at").split()[3].rsplit(":", 1)[1])


def pids_of_builds(project: Path) -> list[int]:
    return [int(pid) for pid in (project / "builds").read_text().split()]


def all_gone(pids: list[int]) -> bool:
    return not any(psutil.pid_exists(pid) and psutil.Process(pid).status() != "zombie" for pid in pids)


def any_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


SIGNALS = [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGKILL]
STATUS = {signal.SIGINT: 0, signal.SIGTERM: 143, signal.SIGHUP: 129, signal.SIGQUIT: 131, signal.SIGKILL: -9}


@pytest.mark.parametrize("number", SIGNALS, ids=lambda number: number.name)
def test_a_build_ends_with_the_start_that_began_it(project, launch, number):
    process = launch(any_port())
    until((project / "builds").exists)
    until(lambda: len(pids_of_builds(project)) == 2)
    process.send_signal(number)
    output = process.communicate(timeout=15)[0]
    assert process.returncode == STATUS[number]
    assert "Traceback" not in output
    until(lambda: all_gone(pids_of_builds(project)))


@pytest.mark.parametrize("number", SIGNALS, ids=lambda number: number.name)
def test_the_server_ends_with_the_start_that_began_it(project, launch, number):
    complete(project)
    process = launch(any_port())
    port = port_of(process)
    server = start.process_at(port)
    assert server is not None
    process.send_signal(number)
    output = process.communicate(timeout=15)[0]
    assert process.returncode == STATUS[number]
    assert "Traceback" not in output
    until(lambda: all_gone([server]))
    assert start.is_free(socket.AF_INET, "127.0.0.1", port)


def test_a_second_start_waits_for_the_build_of_the_first(project, launch):
    wanted = any_port()
    first = launch(wanted)
    until((project / "builds").exists)
    second = launch(wanted)
    line_of(second, "Waiting: another start")
    assert not (project / "sample" / "measures").exists()
    (project / "go").touch()
    ports = port_of(first), port_of(second)
    assert ports[0] != ports[1]
    assert len(pids_of_builds(project)) == 2, "one build was run, of two processes"


def test_a_start_waits_for_a_build_that_was_started_otherwise(project, launch):
    build = subprocess.Popen([sys.executable, project / "scripts" / "build.py"])
    until((project / "sample" / "collection" / "manifest.json").exists)
    process = launch(any_port())
    line_of(process, "Waiting: a build of the sample")
    (project / "go").touch()
    assert port_of(process)
    assert build.wait(10) == 0
    assert len(pids_of_builds(project)) == 2


def test_a_start_after_a_killed_one_builds_again(project, launch):
    process = launch(any_port())
    until((project / "builds").exists)
    process.kill()
    process.communicate(timeout=15)
    shutil.rmtree(project / "sample" / "collection", ignore_errors=True)
    (project / "go").touch()
    process = launch(any_port())
    assert port_of(process)
    assert (project / "sample" / "measures" / "manifest.json").exists()


def test_two_starts_at_once_each_tell_their_own_address(project, launch):
    complete(project)
    wanted = any_port()
    processes = [launch(wanted) for _ in range(3)]
    ports = [port_of(process) for process in processes]
    assert len(set(ports)) == 3
    for process, port in zip(processes, ports, strict=True):
        children = [child.pid for child in psutil.Process(process.pid).children()]
        assert start.process_at(port) in children


@pytest.mark.parametrize("address", ["127.0.0.1", "0.0.0.0", "::1", "::"])  # noqa: S104
def test_a_port_that_another_program_listens_at_is_left_to_it(address):
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    try:
        other = socket.socket(family)
        other.bind((address, 0))
    except OSError:
        pytest.skip(f"this machine has no {address}")
    with other:
        other.listen()
        taken = other.getsockname()[1]
        assert start.free_port(taken) > taken


def test_another_port_is_taken_where_the_free_one_is_lost(project, monkeypatch, capsys):
    """Between the look at a port and the server's own bind another program may take it."""
    complete(project)
    monkeypatch.setattr(start, "ROOT", project)
    monkeypatch.setattr(
        start, "server_command", lambda python, port: [str(python), str(project / "scripts/server.py"), str(port)]
    )
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        taken = other.getsockname()[1]
        free_port, looks = start.free_port, []

        def too_early(wanted: int) -> int:
            looks.append(wanted)
            return taken if len(looks) == 1 else free_port(wanted)

        def opened(_address: str) -> None:
            raise start.Ended(signal.SIGTERM)

        monkeypatch.setattr(start, "free_port", too_early)
        monkeypatch.setattr(start.webbrowser, "open", opened)
        with pytest.raises(start.Ended):
            start.serve(Path(sys.executable), os.environ, taken, open_browser=True)
    output = capsys.readouterr().out
    assert "RankScope is at" in output
    assert f"http://localhost:{taken} " not in output


def test_what_another_program_answers_is_not_taken_for_the_dashboard(tmp_path):
    (tmp_path / "process-id").write_text("all is well")
    port = any_port()
    command = [sys.executable, "-m", "http.server", str(port), "--bind", "127.0.0.1", "--directory", str(tmp_path)]
    other = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        until(lambda: not start.is_free(socket.AF_INET, "127.0.0.1", port))
        assert urllib.request.urlopen(f"http://127.0.0.1:{port}/process-id").status == 200
        assert start.process_at(port) is None
    finally:
        other.kill()
        other.wait()


@pytest.mark.parametrize("port", [65536, 70000])
def test_a_port_that_cannot_be_is_told(port):
    with pytest.raises(SystemExit, match="no free port"):
        start.free_port(port)
