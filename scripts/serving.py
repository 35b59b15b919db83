"""A dashboard of a script's own on this machine, ended with the script."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from scripts.start import child, free_port, server_command, wait_for


@contextmanager
def server(port: int) -> Iterator[str]:
    """Start a dashboard at the first free port from `port` on, yield its address once it answers, and end it."""
    port = free_port(port)
    with child(server_command(sys.executable, port), os.environ, subprocess.DEVNULL) as process:
        if not wait_for(process, port):
            sys.exit("the dashboard did not start")
        yield f"http://localhost:{port}"
