#!/usr/bin/env python3
"""Let two processes, or two threads of one, import, remove or derive one name at the same time.

    python scripts/campaigns/imports.py --rounds 200

Passed: one of them succeeds and the other ends with an error message, or both succeed in sequence where both may.
Nothing is partial or left over, and no artifact is listed as broken.
"""

import contextlib
import io
import random
import shutil
import sys
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from scripts.campaigns import campaign
from scripts.campaigns.campaign import Count, listing

WORK = campaign.workspace("import")

from core import derive, import_runs  # noqa: E402
from core.artifact_list import inventory  # noqa: E402
from core.workspace.artifacts import read_manifest  # noqa: E402
from core.workspace.errors import UserError  # noqa: E402
from core.workspace.profile import read_profile  # noqa: E402
from core.workspace.workspace import Workspace  # noqa: E402

WORKSPACE = Workspace.default()
SOURCE, MINE = WORKSPACE.collection("source"), WORKSPACE.collection("mine")


def imports(rounds: int, generator: random.Random) -> dict[str, Count]:
    """Let two processes, or two threads of one, import, remove or derive one name at the same time."""
    files = WORK / "files"
    files.mkdir()
    for name, order in (("one", "ab"), ("two", "ba")):
        (files / name).mkdir()
        lines = [f"{t} Q0 {d} {n} {9 - n} {name}\n" for t in "12" for n, d in enumerate(order)]
        (files / name / "mine.run").write_text("".join(lines))
        (files / name / "qrels.txt").write_text(
            "".join(f"{t} 0 {d} {int(d == order[0])}\n" for t in "12" for d in "ab")
        )
    (files / "bad.run").write_text("1 Q0 a 1 nan bad\n")
    import_runs.import_runs(SOURCE, [files / "one" / "mine.run"], files / "one" / "qrels.txt")

    def bring(name: str, replace: bool = False, run: str = "mine.run") -> Any:
        return lambda: import_runs.import_runs(
            MINE, [files / name / run], files / name / "qrels.txt", names=["mine"], replace=replace
        )

    def derived(name: str) -> Any:
        return lambda: derive.derive(WORKSPACE, SOURCE.name, MINE.name, files / name / "qrels.txt")

    def removed() -> None:
        import_runs.remove_run(MINE, "mine")

    # The two actions, whether the collection exists before, and how many of the two may succeed.
    pairs: dict[str, tuple[Any, Any, bool, tuple[int, ...]]] = {
        "a new collection twice": (bring("one"), bring("two"), False, (1,)),
        "a new name twice": (bring("one"), bring("one"), False, (1,)),
        "a derivation twice": (derived("one"), derived("two"), False, (1,)),
        "an import and a derivation": (bring("one"), derived("two"), False, (1,)),
        "a removal twice": (removed, removed, True, (1,)),
        "a replacement twice": (bring("one", True), bring("one", True), True, (1, 2)),
        "a replacement and a removal": (bring("one", True), removed, True, (1, 2)),
        "an import that fails, and another": (bring("one", run="../bad.run"), bring("two"), False, (0, 1)),
    }
    counts = {f"{pair}, {kind}": Count() for pair in pairs for kind in ("processes", "threads")}
    for number in range(rounds):
        pair, kind = generator.choice(list(pairs)), generator.choice(("processes", "threads"))
        *works, is_there, may_win = pairs[pair]
        shutil.rmtree(MINE, ignore_errors=True)
        if is_there:
            bring("one")()
        pauses = [generator.choice((0.0, generator.random() * 0.1)) for _ in works]
        before = listing(MINE.path) if is_there else {}
        ends = at_once(works, pauses, kind)
        won = sum(not end for end in ends)
        told = all(end.startswith("error: ") and end.count("\n") == 1 for end in ends if end)
        wrong = "" if won in may_win and told else f"{won} of 2 succeeded: {ends}"
        counts[f"{pair}, {kind}"].add(wrong or not_consistent(won, before), f"round {number}: {pair}, {kind}, {pauses}")
    return counts


def at_once(works: list[Callable[[], Any]], pauses: list[float], kind: str) -> list[str]:
    """Run works at the same time, each after its pause; return the error of each, "" for success."""
    start = time.monotonic() + 0.05

    def paused(work: Callable[[], Any], pause: float) -> None:
        time.sleep(max(0.0, start + pause - time.monotonic()))
        work()

    if kind == "processes":
        numbers = [campaign.fork(partial(paused, *both), WORK) for both in zip(works, pauses, strict=True)]
        ends = [campaign.wait(number, WORK) for number in numbers]
        return [said[said.rfind("error: ") :] if status == 2 else said if status else "" for status, said in ends]
    said = [""] * len(works)

    def tell(place: int) -> None:
        try:
            paused(works[place], pauses[place])
        except UserError as error:
            said[place] = f"error: {error}\n"
        except BaseException as error:
            said[place] = f"a traceback: {type(error).__name__}: {error}"

    threads = [threading.Thread(target=tell, args=(place,)) for place in range(len(works))]
    with contextlib.redirect_stderr(io.StringIO()):  # hide the notes
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    return said


def not_consistent(won: int, before: dict[str, Any]) -> str:
    """Return what is inconsistent in the collection afterwards, "" if nothing is."""
    hidden = [path.name for path in MINE.path.rglob(".*") if not path.name.endswith(".lock")]
    if hidden:
        return f"left over: {hidden}"
    if not won:
        left = listing(MINE.path) if MINE.path.exists() else {}
        return "" if left == before else f"nothing succeeded, and there is {sorted(left)}"
    profile = read_profile(str(MINE.profile))
    if broken := [
        f"{e.place}: {e.state} {e.reason}"
        for e in inventory(profile, MINE)
        if e.place.startswith(MINE.shown) and e.state != "up to date"
    ]:
        return f"listed as broken: {broken}"
    runs = sorted(path.name for path in MINE.run("mine").path.parent.glob("[!.]*"))
    if runs != sorted(system.name for system in profile.system):
        return f"runs {runs}, and in the profile {[system.name for system in profile.system]}"
    measured = read_manifest(MINE.measures).inputs
    wanted = {run: read_manifest(MINE.run(run)).digest for run in runs}
    return "" if wanted.items() <= measured.items() else "the measures are not those of the runs"


if __name__ == "__main__":
    campaign.run(imports, __doc__, WORK, rounds=200)
