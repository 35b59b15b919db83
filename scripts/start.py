#!/usr/bin/env python3
"""Start the dashboard: make the environment and the sample's artifacts where they are missing, and serve on localhost.

    python3 scripts/start.py [--profile P] [--port N] [--no-browser]

Needs Python 3.10 to 3.13 and nothing else. Ctrl-C ends it.
"""

import argparse
import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
import webbrowser
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

from environment import ROOT, ensure

SAMPLE = ROOT / "artifacts" / "sample"
PATIENCE_SECONDS = 120


def main() -> None:
    """Parse, prepare, serve until interrupted."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--profile", default="sample", help="whose collection is shown first (default: sample)")
    parser.add_argument("--port", type=int, default=8501, help="default 8501; the next free one where it is taken")
    parser.add_argument("--models", metavar="DIR", help="folder of models: DIR/NAME is used for the model NAME")
    parser.add_argument("--no-browser", action="store_true", help="do not open a browser")
    options = parser.parse_args()
    python = ensure(ROOT / "requirements.txt")
    environment = os.environ | {"RANKSCOPE_PROFILE": options.profile}
    if options.models:
        environment["RANKSCOPE_MODELS"] = str(Path(options.models).resolve())
    if missing := missing_of_sample():
        print(f"Making what the sample lacks ({', '.join(missing)}) ...", flush=True)
        subprocess.run([python, ROOT / "scripts" / "build.py", "--profile", "sample"], env=environment, check=False)
    sys.exit(serve(python, environment, free_port(options.port), open_browser=not options.no_browser))


def missing_of_sample() -> list[str]:
    """Return the sample's artifacts that have no manifest; a build would look closer, and take longer."""
    profile = SAMPLE / "profile.json"
    if not profile.is_file():
        return ["everything"]
    wanted = ["collection", "measures"]
    for system in json.loads(profile.read_text(encoding="utf-8"))["system"]:
        wanted += [f"runs/{system['name']}"]
        wanted += [f"bm25/{system['name']}"] if system["kind"] == "bm25" else []
        wanted += [f"{stage}/{system['name']}" for stage in ("vectors", "ann")] if system["kind"] == "dense" else []
    return [name for name in wanted if not (SAMPLE / name / "manifest.json").is_file()]


def free_port(wanted: int) -> int:
    """Return the first port from `wanted` on that nothing listens at."""
    for port in range(wanted, wanted + 100):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            with contextlib.suppress(OSError):
                probe.bind(("127.0.0.1", port))
                return port
    sys.exit(f"no free port from {wanted} to {wanted + 99}; give another with --port")


def serve(python: Path, environment: dict[str, str], port: int, open_browser: bool) -> int:
    """Run Streamlit until it ends or Ctrl-C comes, and return its exit status."""
    command = [str(python), "-m", "streamlit", "run", str(ROOT / "dashboard" / "app.py")]
    command += ["--server.port", str(port), "--server.address", "127.0.0.1", "--server.headless", "true"]
    started = time.monotonic()
    server = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.DEVNULL)
    signal.signal(signal.SIGTERM, lambda *_: server.terminate())
    address = f"http://localhost:{port}"
    try:
        while server.poll() is None and not answers(port):
            if time.monotonic() - started > PATIENCE_SECONDS:
                server.terminate()
                print(f"The server did not answer within {PATIENCE_SECONDS} seconds.", file=sys.stderr)
                return 1
            time.sleep(0.1)
        if server.poll() is None:
            print(f"RankScope is at {address} (Ctrl-C ends it)", flush=True)
            if open_browser:
                webbrowser.open(address)
        return server.wait()
    except KeyboardInterrupt:
        server.terminate()
        server.wait()
        print("\nEnded.")
        return 0


def answers(port: int) -> bool:
    """Tell whether the server's health page answers."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/_stcore/health", timeout=1) as answer:
            return answer.status == 200
    except (urllib.error.URLError, OSError):
        return False


if __name__ == "__main__":
    main()
