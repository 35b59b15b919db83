#!/usr/bin/env python3
"""Kill every stage of a build midway, and check that nothing is partial and the next build gives the same result.

    python scripts/campaigns/kill.py --kills 20                      # all stages, some 30 minutes
    python scripts/campaigns/kill.py --kills 5 --stages encode,ann  # a part
    sudo python scripts/campaigns/kill.py ...                        # also with a full disk, which needs to mount a
    tmpfs

The collection is small and synthetic, the models tiny. Each stage runs in a separate process that is ended by SIGKILL
at random moments and at random file operations, or runs on a full disk. Every other time an older artifact is in the
place of the one to be made. Passed:

- the artifact is absent, or the complete older one, or the complete new one,
- the next build ends without an error, and
- all files equal those of an uninterrupted build byte for byte, and none is left over. Exceptions are timings, and the
  training loss in histories, which is the mean since the last entry or since training resumed.

Two builds, or two processes of one stage, run at the same time: one of them ends with an error message, and all files
are correct.
"""

import argparse
import os
import random
import shutil
import signal
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from scripts.campaigns import campaign
from scripts.campaigns.campaign import MANIFEST, Count, differences, empty, listing

WORK = campaign.workspace("kill")

from small_build import NAME, prepare  # noqa: E402
from tqdm import tqdm  # noqa: E402

from core import encode  # noqa: E402
from core.build import run_build  # noqa: E402
from core.plan import Step  # noqa: E402
from core.retrieval import encoder  # noqa: E402
from core.stages import STAGES  # noqa: E402
from core.training import query_scores, t5  # noqa: E402
from core.workspace.artifacts import is_whole, writing  # noqa: E402
from core.workspace.profile import Profile  # noqa: E402
from core.workspace.stage import Build  # noqa: E402
from core.workspace.workspace import Workspace  # noqa: E402

WORKSPACE = Workspace.default()
ARTIFACTS, REFERENCE = WORKSPACE.root, WORK / "reference"
FOLDER = WORKSPACE.collection(NAME)
SYSTEMS = ("tiny", "expanded", "reranked")
"""The systems whose stages are killed, with those that the last one builds on: a fusion, HNSW and a sparse one."""
FREE = (0.0, 0.25, 0.5, 0.75, 0.95)
"""Free space of the full disk, as shares of the space that a stage needs."""
WRITES = {"os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.truncate", "shutil.rmtree"}


def steps(profile: Profile) -> dict[str, Step]:
    """Return the last step of each stage, by the stage's name; stages outside a build come last."""
    build = Build(profile, FOLDER, "cpu", SYSTEMS)
    every = (Step(stage, build, target) for stage in campaign.all_stages() for target in stage.targets(build))
    return {step.stage.name: step for step in every}


def build_all(profile: Profile, force: bool = False) -> None:
    """Make everything that is missing or stale, including stages outside a build."""
    others = [step for step in steps(profile).values() if not step.stage.in_build(step.build)]
    make_missing([step for step in others if step.stage in STAGES])  # the T5, which a build does not train
    outcomes = run_build(Build(profile, FOLDER, "cpu"), force=force)
    if failed := [outcome for outcome in outcomes if outcome.result in ("failed", "skipped")]:
        raise SystemExit(f"failed: {failed}")
    make_missing([step for step in others if step.stage not in STAGES])


def make_missing(wanted: list[Step]) -> None:
    """Make the missing artifacts."""
    for step in wanted:
        if not is_whole(step.artifact):
            step.make()


# Processes


def start(work: Callable[[], Any], at_operation: int = 0, count_to: Path | None = None) -> int:
    """Fork a process that does some work like a command, and return its process id.

    Args:
        at_operation: kill it before the write operation of this number among the artifacts; 0 for never.
        count_to: a file to which the total number of those operations is written at the end.
    """
    operations = 0

    def watch(event: str, values: tuple[Any, ...]) -> None:
        nonlocal operations
        writes = event in WRITES or (event == "open" and isinstance(values[2], int) and values[2] & os.O_ACCMODE)
        if writes and str(values[0]).startswith(str(ARTIFACTS)):
            operations += 1
            if operations == at_operation:
                os.kill(os.getpid(), signal.SIGKILL)

    def watched() -> None:
        sys.addaudithook(watch)
        try:
            work()
        finally:
            if count_to:
                count_to.write_text(str(operations))

    return campaign.fork(watched, WORK)


def wait(number: int) -> tuple[int, str]:
    """Wait for a process to end; return its status (negative: the signal that ended it) and its output."""
    return campaign.wait(number, WORK)


def done(work: Callable[[], Any], count_to: Path | None = None) -> None:
    """Do some work in a separate process that must succeed; `count_to` as in `start`."""
    status, said = wait(start(work, count_to=count_to))
    assert status == 0, f"status {status}: {said[-3000:]}"


# Comparing


def restore(older: Step | None = None, without: Step | None = None) -> None:
    """Restore the artifacts of the reference build, with one of them older or missing."""
    empty(ARTIFACTS)
    shutil.copytree(REFERENCE, ARTIFACTS, dirs_exist_ok=True)
    if without:
        shutil.rmtree(without.artifact)
    if older:
        kept = older.artifact.path.with_name("kept")
        older.artifact.path.rename(kept)
        with writing(older.artifact, "older", {"older": True}, {}) as partial:
            shutil.copytree(kept, partial, dirs_exist_ok=True, ignore=shutil.ignore_patterns(MANIFEST))
            (partial / "older.txt").write_text("older")
        shutil.rmtree(kept)


def verdict(step: Step, profile: Profile, expected: dict[str, Any], had_older: bool) -> str:
    """Return the problem after an interruption, "" if there is none."""
    own = f"{step.artifact.path.relative_to(ARTIFACTS).as_posix()}/"
    for manifest in ARTIFACTS.rglob(MANIFEST):
        hidden = any(part.startswith(".") for part in manifest.relative_to(ARTIFACTS).parts)
        if not hidden and "checkpoint" not in str(manifest) and not is_whole(manifest.parent):
            return f"{manifest.parent} is not whole"
    if step.artifact.path.exists():
        is_older = (step.artifact / "older.txt").exists()
        if is_older and not had_older:
            return "an older artifact out of nowhere"
        now = {place: value for place, value in listing(ARTIFACTS).items() if place.startswith(own)}
        new = {place: value for place, value in expected.items() if place.startswith(own)}
        if not is_older and (wrong := differences(new, {k: v for k, v in now.items() if not k.endswith("/.key")})):
            return f"it is there and not what it should be: {wrong}"
    try:
        if not is_whole(step.artifact) or (step.artifact / "older.txt").exists():
            done(step.make)
        done(lambda: build_all(profile))
    except AssertionError as error:
        return f"the next build failed: {error}"
    if wrong := differences(expected, listing(ARTIFACTS)):
        return f"the next build made or left something else: {wrong}"
    return ""


# Campaigns


def kill(step: Step, profile: Profile, expected: dict[str, Any], kills: int, generator: random.Random) -> list[Count]:
    """Kill a stage at random moments and at random file operations."""
    counter = WORK / "operations"
    restore(without=step)
    started = time.perf_counter()
    done(step.make, counter)
    duration, operations = time.perf_counter() - started, int(counter.read_text())
    at_moments, at_operations = Count(), Count()
    chosen = [(generator.random() * duration, 0) for _ in range(kills)]
    chosen += [(0.0, 1 + (number * operations + generator.randrange(operations)) // kills) for number in range(kills)]
    for number, (delay, operation) in enumerate(chosen):
        had_older = bool(number % 2)
        restore(older=step) if had_older else restore(without=step)
        process = start(step.make, at_operation=operation)
        if not operation:
            time.sleep(delay)
            os.kill(process, signal.SIGKILL)
        status, _ = wait(process)
        if status != -signal.SIGKILL:
            continue  # the stage had finished
        what = f"{step.stage.name} " + (f"killed at operation {operation}" if operation else f"after {delay:.3f} s")
        count = at_operations if operation else at_moments
        count.add(verdict(step, profile, expected, had_older), what + (", older there" if had_older else ""))
    return [at_moments, at_operations]


def fill_the_disk(step: Step, profile: Profile, expected: dict[str, Any]) -> Count:
    """Run a stage on a disk with less free space than it needs."""
    count, filler = Count(), ARTIFACTS / ".filler"
    restore(without=step)
    free = shutil.disk_usage(ARTIFACTS).free
    process, needed = start(step.make), 0
    while os.waitid(os.P_PID, process, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
        needed = max(needed, free - shutil.disk_usage(ARTIFACTS).free)
        time.sleep(0.002)
    assert wait(process)[0] == 0
    for share in FREE:
        restore(without=step)
        with filler.open("wb") as file:
            os.posix_fallocate(file.fileno(), 0, max(1, shutil.disk_usage(ARTIFACTS).free - int(share * needed)))
        status, said = wait(start(step.make))
        problem = "" if status in (0, 2) and "Traceback" not in said else f"status {status}: {said[-600:]}"
        filler.unlink()
        count.add(
            problem or verdict(step, profile, expected, False),
            f"{step.stage.name} with {share * needed:.0f} bytes left",
        )
    return count


def at_once(profile: Profile, expected: dict[str, Any], times: int) -> dict[str, Count]:
    """Run two builds at the same time, and two processes of one stage."""
    encoding = steps(profile)[encode.STAGE.name]
    pairs: dict[str, Callable[[], Any]] = {
        "two builds at once": lambda: build_all(profile, force=True),
        "two of one stage at once": encoding.make,
    }
    counts = {}
    for name, work in pairs.items():
        counts[name] = Count()
        for _ in range(times):
            restore(without=encoding)
            processes = [start(work), start(work)]
            ends = [wait(process) for process in processes]
            statuses = sorted(status for status, _ in ends)
            told = any("wait until it has finished" in said for _, said in ends)
            wrong = differences(expected, listing(ARTIFACTS))
            right = statuses == [0, 2] and told and not wrong
            counts[name].add("" if right else f"{statuses} {wrong} {[said[-300:] for _, said in ends]}", name)
    return counts


def main() -> None:
    """Build once without interruption, then interrupt the stages and print the counts."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--kills", type=int, default=20, help="kills per stage at random moments, and as many at file operations"
    )
    parser.add_argument("--stages", help="comma-separated; default: all")
    parser.add_argument("--seed", type=int, default=13)
    parser.add_argument("--no-full-disk", action="store_true")
    parser.add_argument("--no-two-at-once", action="store_true")
    options = parser.parse_args()
    # Small shards, so that there is something to resume.
    encoder.SHARD, query_scores.SHARD, t5.CPU_SAMPLES = 16, 8, 24
    # All forks share tqdm's lock; one that is killed while holding it would block the others.
    tqdm.set_lock(threading.RLock())
    profile = prepare(WORK / "source", ARTIFACTS)
    done(lambda: build_all(profile))
    shutil.copytree(ARTIFACTS, REFERENCE, ignore=shutil.ignore_patterns(".*"))
    expected = listing(REFERENCE)
    chosen = options.stages.split(",") if options.stages else list(steps(profile))
    generator = random.Random(options.seed)
    counts: list[Count] = []
    print(f"{'survived of made':<24}{'at moments':>14}{'at operations':>16}{'full disk':>14}", flush=True)
    for name, step in steps(profile).items():
        if name not in chosen:
            continue
        own = kill(step, profile, expected, options.kills, generator) if options.kills else [Count(), Count()]
        if not options.no_full_disk:
            with campaign.small_disk(ARTIFACTS, "64m") as is_here:
                own += [fill_the_disk(step, profile, expected)] if is_here else []
        print(f"{name:<24}{own[0]!s:>14}{own[1]!s:>16}{own[2] if len(own) > 2 else '-'!s:>14}", flush=True)
        counts += own
    if not options.no_two_at_once:
        for name, count in at_once(profile, expected, 3).items():
            print(f"{name:<24}{count!s:>14}", flush=True)
            counts.append(count)
    total = Count(sum(count.made for count in counts), sum(count.withstood for count in counts))
    print(f"{'all':<24}{total!s:>14}")
    sys.exit(total.withstood != total.made)


if __name__ == "__main__":
    try:
        main()
    finally:
        shutil.rmtree(WORK, ignore_errors=True)
