"""Shared parts of the fault-injection campaigns: workspace, counts, processes, comparisons and pages."""

import argparse
import json
import os
import random
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from core.workspace.stage import Stage

ROOT = Path(__file__).resolve().parents[2]
FOLDER = "RANKSCOPE_CAMPAIGN"
PAGES = (
    *("summary", "topics", "topic", "search", "documents", "ann"),
    *("expansion", "training", "runs", "artifacts", "report"),
)
TIMES = ("seconds", "per_second", "milliseconds", "_ms", "runtime")
"""Endings of the names of figures that differ between builds."""
TIMED = ("sweep.csv", "ablations.csv", "history.json")
"""Files with such figures."""
# Copied from core.workspace.artifacts, since `core` must not be imported before `workspace`, which limits threads.
MANIFEST, OWN_DIGEST = "manifest.json", "sha256"


def workspace(name: str) -> Path:
    """Return a temporary folder whose subfolder `artifacts` this process uses; call it before importing `core`.

    The folder is new, unless a campaign started the process with a folder in the variable `FOLDER`.
    """
    folder = Path(os.environ.get(FOLDER) or tempfile.mkdtemp(prefix=f"rankscope-{name}-"))
    (folder / "artifacts").mkdir(parents=True, exist_ok=True)
    os.environ |= {"RANKSCOPE_ARTIFACTS": str(folder / "artifacts"), "OMP_NUM_THREADS": "1", "TQDM_DISABLE": "1"}
    os.environ["STREAMLIT_LOGGER_LEVEL"] = "error"
    sys.path[:0] = [str(ROOT), str(ROOT / "tests")]
    return folder


@dataclass
class Count:
    """Numbers of cases and of those passed."""

    made: int = 0
    withstood: int = 0

    def add(self, problem: str, what: str) -> None:
        """Count a case; print it with its problem, if any."""
        self.made += 1
        self.withstood += not problem
        if problem:
            print(f"  FAULT {what}: {' '.join(problem.split())}", flush=True)

    def __str__(self) -> str:
        return f"{self.withstood} of {self.made}"


def total(counts: dict[str, Count]) -> None:
    """Print the counts and their sum; exit with status 1 if a case failed."""
    counts = counts | {"all": Count(sum(c.made for c in counts.values()), sum(c.withstood for c in counts.values()))}
    for name, count in counts.items():
        print(f"{name:<52}{count!s:>14}", flush=True)
    sys.exit(counts["all"].withstood != counts["all"].made)


def run(work: Callable[[int, random.Random], dict[str, Count]], about: str, folder: Path, rounds: int = 0) -> None:
    """Run a campaign as a command line, print its counts, and remove its workspace.

    Args:
        work: the campaign, given the number of rounds and the random generator for all its choices.
        about: the description for --help.
        folder: the workspace.
        rounds: the default number of rounds; 0 for all cases.
    """
    parser = argparse.ArgumentParser(description=about, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=rounds, help=f"number of rounds (default: {rounds or 'all'})")
    parser.add_argument(
        "--seed", type=int, default=13, help="seed of all random choices; the same seed and rounds repeat them"
    )
    try:
        options = parser.parse_args()
        total(work(options.rounds, random.Random(options.seed)))
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def all_stages() -> "list[Stage[Any]]":
    """Return the stages of a build, then those that are not part of a build."""
    from core import ablations, doc2query, pseudo_labels
    from core.stages import STAGES

    return [*STAGES, pseudo_labels.STAGE, doc2query.CURVE, doc2query.QUALITY, ablations.STAGE]


# Processes


def fork(work: Callable[[], Any], log: Path) -> int:
    """Fork a process that does some work like a command, and return its process id.

    Args:
        log: the folder for the file with its output.
    """
    from core.workspace import command_line

    sys.stdout.flush()
    if number := os.fork():
        return number
    descriptor = os.open(_log(log, os.getpid()), os.O_CREAT | os.O_WRONLY | os.O_TRUNC)
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)
    status = 1
    try:
        command_line.run(work)
        status = 0
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else 1
        if status == 1:
            print(end)
    except BaseException:
        sys.excepthook(*sys.exc_info())
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


def wait(number: int, log: Path) -> tuple[int, str]:
    """Wait for a forked process; return its status (negative: the signal that ended it) and its output."""
    _, status = os.waitpid(number, 0)
    file = _log(log, number)
    said = file.read_text(errors="replace") if file.exists() else ""
    file.unlink(missing_ok=True)
    return os.waitstatus_to_exitcode(status), said


def _log(folder: Path, process: int) -> Path:
    return folder / f"log-{process}"


# Comparing


def without_times(value: Any) -> Any:
    """Return a JSON value without the figures that differ between runs of a stage."""
    if isinstance(value, dict):
        kept = {k: v for k, v in value.items() if not k.endswith(TIMES) and not k.startswith("train_")}
        return {k: without_times(v) for k, v in kept.items() if k not in ("finished", OWN_DIGEST, "step_time", "work")}
    if isinstance(value, list):  # except the training losses of a history
        return [without_times(e) for e in value if not (isinstance(e, dict) and {"loss", "step"} <= set(e))]
    return value


def figures(path: Path) -> Any:
    """Return the contents of a file that must be the same in every build."""
    if path.name in TIMED and path.suffix == ".csv":
        import pandas as pd

        table = pd.read_csv(path)
        return table[[name for name in table if not name.endswith(TIMES)]].to_csv()
    if path.name == "history.json":
        return without_times(json.loads(path.read_text()))
    if path.name != MANIFEST:
        return path.read_bytes()
    manifest = json.loads(path.read_text())
    for name in TIMED:  # their times differ, and so their digests
        manifest["files"].pop(name, None)
    manifest["inputs"].pop("model", None)  # the history is among a model's files
    return without_times(manifest)


def listing(folder: Path) -> dict[str, Any]:
    """Return path -> contents that must be the same in every build, for all files below a folder except locks."""
    files = (path for path in sorted(folder.rglob("*")) if path.is_file() and not path.name.endswith(".lock"))
    return {path.relative_to(folder).as_posix(): figures(path) for path in files}


def differences(expected: dict[str, Any], found: dict[str, Any]) -> list[str]:
    """Return the paths of the files that differ."""
    return [place for place in sorted(expected.keys() | found.keys()) if expected.get(place) != found.get(place)]


# Pages


def open_page(page: str, collection: str, **parameters: str) -> Any:
    """Return a rendered page of a collection as an AppTest."""
    from streamlit.testing.v1 import AppTest

    from dashboard.streamlit_internals import go_to

    app = AppTest.from_file(str(ROOT / "dashboard" / "app.py"), default_timeout=300)
    app.query_params["collection"] = collection
    if page in ("search", "ann"):
        app.query_params["query"] = "bat men test"
    app.query_params.update(parameters)
    app.run()
    return app if page == "summary" else go_to(app, page).run()


def drawn(app: Any) -> list[str]:
    """Return everything that a page shows, except times and numbers of measurements."""
    times = re.compile(r"[\d.,]+ (?=m?s\b|ms)|\((median of \d+|measured once)\)")
    return [times.sub("", f"{element.type}: {said(element)}") for element in app.main]


def said(element: Any) -> str:
    """Return the text of an element, including all cells of a table."""
    try:
        value = element.value
    except (AttributeError, ValueError, KeyError, TypeError):
        return ""
    return value.to_csv() if hasattr(value, "to_csv") else str(value)


@contextmanager
def kept(*files: Path) -> Iterator[None]:
    """Restore the files' contents when the block ends."""
    before = {file: file.read_bytes() for file in files}
    try:
        yield
    finally:
        for file, content in before.items():
            file.write_bytes(content)


def chosen(cases: list[Any], rounds: int, generator: random.Random) -> list[Any]:
    """Return a random sample of `rounds` cases in order; all if `rounds` is 0 or exceeds their number."""
    places = range(len(cases))
    if 0 < rounds < len(cases):
        places = sorted(generator.sample(places, rounds))  # type: ignore[assignment]
    return [cases[place] for place in places]


def empty(folder: Path) -> None:
    """Delete the contents of a folder."""
    for path in folder.iterdir():
        shutil.rmtree(path) if path.is_dir() else path.unlink()


def copy_checkout(target: Path) -> Path:
    """Copy the parts of this checkout that a build and the dashboard need, and return the copy's folder."""
    for name in ("core", "dashboard", "scripts", "tests", ".streamlit"):
        shutil.copytree(ROOT / name, target / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("requirements.txt", "pyproject.toml"):
        shutil.copy(ROOT / name, target)
    return target


@contextmanager
def small_disk(folder: Path, size: str) -> Iterator[bool]:
    """Mount a tmpfs over a folder, and yield whether that succeeded; it needs root."""
    try:
        subprocess.run(
            ["mount", "-t", "tmpfs", "-o", f"size={size}", "rankscope", folder], check=True, capture_output=True
        )
    except (OSError, subprocess.CalledProcessError):
        yield False
        return
    try:
        yield True
    finally:
        subprocess.run(["umount", folder], check=True)
