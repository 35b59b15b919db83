#!/usr/bin/env python3
"""Take screenshots of every page of the dashboard, light and dark, 1440 and 390 pixels wide.

    .venv/bin/python scripts/screenshots.py FOLDER [--collection NAME]

Needs the test command's environment (playwright) and a Chromium or Chrome.
"""

import argparse
import sys
from pathlib import Path
from urllib.parse import urlencode

from playwright.sync_api import Page, sync_playwright

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from scripts.environment import find_browser
from scripts.serving import server

PAGES = {
    "summary": ("", {}),
    "topics": ("topics", {}),
    "heat-map": ("topics", {"chart": "heat"}),
    "topic": ("topic", {"topic": "12", "more": "all-MiniLM-L6-v2"}),
    "difference": ("topic", {"topic": "12", "view": "difference"}),
    "positions": ("topic", {"topic": "12", "view": "positions", "more": "all-MiniLM-L6-v2"}),
    "search": ("search", {"query": "loss of smell"}),
    "ann": ("ann", {}),
    "doc2query": ("expansion", {}),
    "training": ("training", {}),
    "documents": ("documents", {"topic": "1"}),
    "runs": ("runs", {}),
    "artifacts": ("artifacts", {}),
    "report": ("report", {}),
}
WIDTHS = {"desktop": 1440, "mobile": 390}
PORT = 8700
PATIENCE_MILLISECONDS = 60_000


def main() -> None:
    """Start a server, visit every page and stop the server."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--collection", default="sample")
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    browser = find_browser()
    if browser is None:
        sys.exit("no Chromium or Chrome was found; install one")
    with server(PORT) as address, sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=browser, args=["--no-sandbox", "--disable-gpu"])
        for theme in ("light", "dark"):
            for device, width in WIDTHS.items():
                page = chromium.new_page(color_scheme=theme)
                for name, (path, parameters) in PAGES.items():
                    query = urlencode({"collection": options.collection, **parameters})
                    picture(page, f"{address}/{path}?{query}", width)
                    page.screenshot(path=options.folder / f"{name}-{device}-{theme}.png")
                page.close()
        chromium.close()


def picture(page: Page, address: str, width: int) -> None:
    """Open a page, wait until it is rendered, and make the window as high as its content."""
    page.set_viewport_size({"width": width, "height": 1000})
    page.goto(address)
    page.wait_for_selector("h1", timeout=PATIENCE_MILLISECONDS)
    page.wait_for_timeout(2000)  # Streamlit's running indicator appears late, and Plotly draws after it
    page.wait_for_selector("[data-testid=stStatusWidget]", state="detached", timeout=PATIENCE_MILLISECONDS)
    height = page.evaluate("document.querySelector('[data-testid=stMainBlockContainer]').scrollHeight")
    page.set_viewport_size({"width": width, "height": min(int(height) + 40, 3000)})
    page.wait_for_timeout(1000)


if __name__ == "__main__":
    main()
