"""A dashboard server that runs only as long as the script that needs it."""

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
    """Start a dashboard on the first free port from `port` on, yield its address once it answers, and stop it."""
    port = free_port(port)
    with child(server_command(sys.executable, port), os.environ, subprocess.DEVNULL) as process:
        if not wait_for(process, port):
            sys.exit("the dashboard did not start")
        yield f"http://localhost:{port}"
