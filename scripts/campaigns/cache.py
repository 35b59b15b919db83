#!/usr/bin/env python3
"""Run every stage and open every page where numba cannot cache compiled code, and compare with runs that can.

    python scripts/campaigns/cache.py      # two of the three ways need root

The cache folder is missing, the checkout is read-only (as for a container's user), or the disk is full. Each stage and
each page runs in a new process, in which nothing is compiled yet. Passed: nothing fails, and all files and pages equal
those of processes with a cache.
"""

import contextlib
import json
import os
import random
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from scripts.campaigns import campaign
from scripts.campaigns.campaign import PAGES, Count, differences, drawn, listing, open_page

WORK = campaign.workspace("cache")

from small_build import NAME, prepare  # noqa: E402

from core.build import run_build  # noqa: E402
from core.workspace.profile import Profile  # noqa: E402
from core.workspace.stage import Build, Stage  # noqa: E402
from core.workspace.workspace import SHOWN, VARIABLE, Workspace  # noqa: E402

FOLDER = Workspace.default().collection(NAME)
BUILD = WORK / "build"
"""Workspace of the processes that run stages and open pages."""


def without_cache(part: str, expected: str) -> None:
    """Run every stage or open every page, each in a new process; print name -> fault as JSON.

    `cache` starts this function in a copy of the checkout, so that functions compiled at import are compiled there.

    Args:
        expected: "cache" or "no cache", depending on whether numba must be able to cache.
    """
    from numba import njit

    from core.indexes import exact

    try:
        njit(cache=True)(exact._keep_best.py_func)  # type: ignore[attr-defined]
        found = "cache"
    except RuntimeError:
        found = "no cache"
    assert found == expected, found
    if part == "stages":
        profile = prepare(WORK / "source", FOLDER.workspace.root)
        works = stages(profile)
    else:
        works = {page: partial(write_page, page) for page in PAGES}
    problems = {}
    for name, work in works.items():
        status, said = campaign.wait(campaign.fork(work, WORK), WORK)
        problems[name] = "" if status == 0 and "Traceback" not in said else f"status {status}: {said[-600:]}"
    print(json.dumps(problems))


def stages(profile: Profile) -> dict[str, Callable[[], Any]]:
    """Return the stages of the small build in order, name -> function that makes its artifacts."""
    build = Build(profile, FOLDER, "cpu")

    def make(stage: Stage[Any]) -> None:
        if not stage.in_build(build):
            stage.run_all(build)
            return
        outcomes = run_build(build, only=stage.name)
        if wrong := [outcome.reason for outcome in outcomes if outcome.result != "made"]:
            raise SystemExit(f"not made: {wrong}")

    return {stage.name: partial(make, stage) for stage in campaign.all_stages() if any(stage.targets(build))}


def write_page(page: str) -> None:
    """Open a page and write its contents to a file."""
    app = open_page(page, NAME)
    if app.exception:
        raise SystemExit(f"Traceback: {app.exception[0].message}")
    (WORK / f"{page}.txt").write_text("\n".join(drawn(app)))


def cache(rounds: int, generator: random.Random) -> dict[str, Count]:
    """Run all stages and pages with a cache for compiled functions, and without one in every way."""
    counts: dict[str, Count] = {}
    files: dict[str, Any] = {}
    looks: dict[str, str] = {}
    for way in ("with a cache", "no folder", "read-only", "full disk"):
        shutil.rmtree(BUILD, ignore_errors=True)
        with no_cache(way) as ready:
            if ready is None:
                print(f"{way}: needs root, left out", flush=True)
                continue
            problems = {"stages": started(*ready, "stages")}
            own = listing(BUILD / SHOWN)
            files = files or own
            problems["files"] = {"all": ", ".join(differences(files, own))}
            if not looks:
                shutil.copytree(BUILD / SHOWN, WORK / "reference")
            campaign.empty(BUILD / SHOWN)  # the next build starts empty, since pages show times that the build measured
            shutil.copytree(WORK / "reference", BUILD / SHOWN, dirs_exist_ok=True)
            problems["pages"] = started(*ready, "pages")
        shown = {path.stem: path.read_text() for path in BUILD.glob("*.txt")}
        looks = looks or shown
        problems["pages as with a cache"] = {
            page: "" if shown.get(page) == looks[page] else "another" for page in looks
        }
        for part, found in problems.items():
            count = counts[f"{way}: {part}"] = Count()
            for name, problem in found.items():
                count.add(problem, f"{way}: {part}: {name}")
    return counts


def started(command: list[str], environment: dict[str, str], expected: str, part: str) -> dict[str, str]:
    """Run `without_cache` in a process and return name -> fault."""
    script = f"from scripts.campaigns import cache; cache.without_cache({part!r}, {expected!r})"
    ended = subprocess.run([*command, script], env=environment, capture_output=True, text=True, check=False)
    if ended.returncode:
        return {part: ended.stdout[-300:] + ended.stderr[-600:]}
    found: dict[str, str] = json.loads(ended.stdout.splitlines()[-1])
    return found


@contextmanager
def no_cache(way: str) -> Iterator[tuple[list[str], dict[str, str], str] | None]:
    """Yield a command prefix, its environment and the expected caching behaviour, or None if the way needs root."""
    checkout = campaign.copy_checkout(WORK / way / "checkout")
    blocked = WORK / way / "file"
    blocked.write_text("")  # no folder can be made below a regular file, not even by root
    left_out = ("NUMBA_CACHE_DIR", "XDG_CACHE_HOME", VARIABLE)
    environment = {key: value for key, value in os.environ.items() if key not in left_out}
    environment |= {campaign.FOLDER: str(BUILD), "PYTHONPATH": str(checkout)}
    environment |= {"HOME": str(blocked), "PYTHONDONTWRITEBYTECODE": "1"}
    command = [sys.executable, "-c"]
    if way == "with a cache":
        (WORK / "cache").mkdir()
        yield command, environment | {"NUMBA_CACHE_DIR": str(WORK / "cache")}, "cache"
    elif way == "no folder":
        for folder in {path.parent for path in (checkout / "core").rglob("*.py")}:
            (folder / "__pycache__").write_text("")
        yield command, environment | {"NUMBA_CACHE_DIR": str(blocked / "cache")}, "no cache"
    elif way == "read-only":  # a container's user with a read-only checkout
        if os.geteuid() or not shutil.which("setpriv"):
            yield None
            return
        for folder in [checkout, *(path for path in checkout.rglob("*") if path.is_dir())]:
            os.chown(folder, 65534, 65534)
            folder.chmod(0o555)
        yield ["setpriv", "--bounding-set=-all", "--inh-caps=-all", *command], environment, "no cache"
    else:
        (WORK / way / "cache").mkdir()
        with campaign.small_disk(WORK / way / "cache", "16k") as is_here:
            if not is_here:
                yield None
                return
            with contextlib.suppress(OSError), (WORK / way / "cache" / "filler").open("wb") as file:
                while True:
                    file.write(bytes(1024))
                    file.flush()
            yield command, environment | {"NUMBA_CACHE_DIR": str(WORK / way / "cache")}, "cache"


if __name__ == "__main__":
    campaign.run(cache, __doc__, WORK)
