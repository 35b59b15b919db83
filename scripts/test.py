#!/usr/bin/env python3
"""Prepare the environment and run all checks: lint, format, types, imports, then pytest with the browser tests.

    python3 scripts/test.py [pytest's arguments]
    python3 scripts/test.py --fast [pytest's arguments]     # one minute: without browser tests and slow tests

Needs only Python 3.10 to 3.13. The exit status is 0 if everything passes.
"""

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from scripts.environment import ROOT, ensure, find_browser


def main() -> None:
    """Prepare the environment, run every check and report the failures."""
    python = ensure(ROOT / "requirements.txt", ROOT / "tests" / "requirements.txt")
    arguments = sys.argv[1:]
    if "--fast" in arguments:
        arguments.remove("--fast")
        os.environ.setdefault("RANKSCOPE_EXAMPLES", "15")  # generated examples per property; the whole run has 60
        arguments = ["-m", "not browser and not slow", *arguments]
    else:
        provide_browser()
    workers = ["-n", str(min(os.cpu_count() or 1, 4)), "--dist", "loadfile", "--no-loadscope-reorder"]
    checks = {
        "lint": ["-m", "ruff", "check", "."],
        "format": ["-m", "ruff", "format", "--check", "."],
        "imports": ["-c", "from importlinter.cli import lint_imports_command; lint_imports_command()"],
        "tests": ["-m", "pytest", *workers, "--durations=5", *arguments],
    }
    # mypy takes one processor for a minute: the other checks run beside it.
    types = subprocess.Popen([python, "-m", "mypy"], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    failed = []
    for name, command in checks.items():
        started = time.monotonic()
        print(f"== {name}", flush=True)
        if subprocess.run([python, *command], cwd=ROOT, check=False).returncode:
            failed.append(name)
        print(f"== {name}: {time.monotonic() - started:.0f} s", flush=True)
    print("== types", flush=True)
    sys.stdout.buffer.write(types.communicate()[0])
    if types.returncode:
        failed.append("types")
    if failed:
        sys.exit(f"failed: {', '.join(failed)}")


def provide_browser() -> None:
    """Report which browser the browser tests will use; install Debian's Chromium if there is none."""
    if find_browser():
        return
    if shutil.which("apt-get") and hasattr(os, "geteuid") and os.geteuid() == 0:
        print("Installing Debian's chromium for the browser tests ...", flush=True)
        for command in (["apt-get", "update", "-qq"], ["apt-get", "install", "-y", "-qq", "chromium"]):
            subprocess.run(command, stdout=subprocess.DEVNULL, check=False)
    if not find_browser():
        print("No Chromium or Chrome found and none could be installed: the browser tests are skipped.", flush=True)


if __name__ == "__main__":
    main()
