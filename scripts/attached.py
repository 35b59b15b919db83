#!/usr/bin/env python3
"""Run a Python script or module that ends when the process that started it ends, however that happens.

    python scripts/attached.py SCRIPT [ARGUMENT ...]
    python scripts/attached.py -m MODULE [ARGUMENT ...]

The starting process holds the other end of standard input (see `start.child`); the system closes it with that process,
SIGKILL included.
"""

import os
import runpy
import signal
import sys
import threading
import time
from pathlib import Path

PATIENCE_SECONDS = 5


def end_with_parent() -> None:
    """Wait until standard input is closed, then end this process and its children."""
    while os.read(0, 4096):
        pass
    if os.name == "posix" and os.getpgrp() == os.getpid():
        os.killpg(0, signal.SIGTERM)
        time.sleep(PATIENCE_SECONDS)
        os.killpg(0, signal.SIGKILL)
    os._exit(1)


def main() -> None:
    """Watch the parent in a thread, and run the script or module."""
    threading.Thread(target=end_with_parent, daemon=True).start()
    del sys.argv[0]
    if sys.argv[0] == "-m":
        del sys.argv[0]
        sys.path[0] = str(Path.cwd())
        runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
    else:
        sys.path[0] = str(Path(sys.argv[0]).resolve().parent)
        runpy.run_path(sys.argv[0], run_name="__main__")


if __name__ == "__main__":
    main()
