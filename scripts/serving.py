"""A dashboard of a script's own on this machine, ended with the script."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

from environment import ROOT
from start import answers, free_port


@contextmanager
def server(port: int) -> Iterator[str]:
    """Start a dashboard at the first free port from `port` on, yield its address once it answers, and end it."""
    port = free_port(port)
    command = [sys.executable, "-m", "streamlit", "run", str(ROOT / "dashboard" / "app.py"), "--server.headless=true"]
    process = subprocess.Popen([*command, f"--server.port={port}"], cwd=ROOT, env=os.environ, stdout=subprocess.DEVNULL)
    try:
        while not answers(port):
            if process.poll() is not None:
                sys.exit("the dashboard did not start")
            time.sleep(0.05)
        yield f"http://localhost:{port}"
    finally:
        process.terminate()
        process.wait()
