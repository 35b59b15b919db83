"""A real Chromium, and one Streamlit server over a copy of the sample and the made-up collection."""

import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, expect, sync_playwright

from core.workspace.workspace import CHECKOUT, VARIABLE, Workspace
from scripts.environment import BROWSERS, find_browser

sys.path.insert(0, str(CHECKOUT / "tests" / "dashboard"))  # the made-up collection is shared with the page tests
from made_up import add_sweep, build  # noqa: E402

TIMEOUT = 60_000
"""Milliseconds; the first page of a server waits for its imports, and all wait for other tests on a busy machine."""
expect.set_options(timeout=TIMEOUT)


def find_chromium() -> str:
    """Return the path of a Chromium; without one the test is skipped, in CI it fails."""
    if path := find_browser():
        return path
    sentence = f"no Chromium on this machine ({', '.join(BROWSERS)} were looked for); install one for the browser tests"
    if os.environ.get("CI"):
        pytest.fail(sentence)
    pytest.skip(sentence)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """A Chromium without a window."""
    path = find_chromium()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox", "--disable-gpu"])
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def artifacts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the artifacts that the running dashboard shows."""
    return tmp_path_factory.mktemp("artifacts")


@pytest.fixture(scope="session")
def address(artifacts: Path) -> Iterator[str]:
    """The address of a running dashboard, one for all files; its log must hold no traceback in the end."""
    shutil.copytree(Workspace.default().collection("sample"), artifacts / "sample", ignore=shutil.ignore_patterns(".*"))
    add_sweep(build(artifacts))
    with socket.socket() as free:
        free.bind(("localhost", 0))
        port = free.getsockname()[1]
    log = artifacts / "server.log"
    command = [sys.executable, "-m", "streamlit", "run", "dashboard/server.py", "--server.port", str(port)]
    environment = {k: v for k, v in os.environ.items() if k != "RANKSCOPE_PROFILE"}
    environment[VARIABLE] = str(artifacts)
    with log.open("w") as output:
        server = subprocess.Popen(command, cwd=CHECKOUT, env=environment, stdout=output, stderr=output)
    try:
        _wait(server, f"http://localhost:{port}", log)
        yield f"http://localhost:{port}"
    finally:
        server.terminate()
        server.wait(10)
    assert "Traceback" not in log.read_text()


def _wait(server: subprocess.Popen, address: str, log: Path) -> None:
    for _ in range(300):
        if server.poll() is not None:
            break
        try:
            urllib.request.urlopen(f"{address}/_stcore/health", timeout=1).close()
            return
        except OSError:
            time.sleep(0.1)
    pytest.fail(f"the dashboard did not start: {log.read_text()}")


@pytest.fixture(scope="module")
def context(browser: Browser) -> Iterator[BrowserContext]:
    """What the pages of a file share: the cache, so that the browser compiles the dashboard's scripts but once."""
    context = browser.new_context(viewport={"width": 1440, "height": 900})
    yield context
    context.close()


@pytest.fixture
def page(context: BrowserContext) -> Iterator[Page]:
    """A fresh page, 1440 pixels wide; an error in its console fails the test."""
    page = context.new_page()
    errors: list[str] = []

    def listen(message: ConsoleMessage) -> None:
        # Streamlit finds out where its server lives by asking below the page's own address first.
        if message.type == "error" and "/_stcore/" not in message.location.get("url", ""):
            errors.append(message.text)

    page.on("console", listen)
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.set_default_timeout(TIMEOUT)
    yield page
    if page.url.startswith("http"):
        page.evaluate("localStorage.clear()")  # what this test chose is not there in the next
    page.close()
    assert not errors, errors
