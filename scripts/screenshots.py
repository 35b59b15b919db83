#!/usr/bin/env python3
"""Take screenshots of every page of the dashboard, light and dark, 1440 and 390 pixels wide.

    .venv/bin/python scripts/screenshots.py FOLDER [--collection NAME]
    .venv/bin/python scripts/screenshots.py docs/tour --tour     # the pictures of the README, one window each

Needs the test command's environment (playwright) and a Chromium or Chrome.
"""

import argparse
import sys
from itertools import product
from pathlib import Path
from typing import Literal
from urllib.parse import urlencode

from playwright.sync_api import Page, sync_playwright

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from scripts.environment import find_browser
from scripts.serving import server

Theme = Literal["light", "dark"]
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
TOUR = {
    "1-summary": ("", {}),
    "2-topic": ("topic", {"topic": "7"}),
    "3-search": ("search", {"query": "can I catch the virus from touching parcels"}),
    "4-ann": ("ann", {}),
}
WINDOW_HEIGHT = 900
WIDTHS = {"desktop": 1440, "mobile": 390}
THEMES: tuple[Theme, ...] = ("light", "dark")
LIGHT_DESKTOP: tuple[Theme, str] = ("light", "desktop")
PORT = 8700
PATIENCE_MILLISECONDS = 60_000


def main() -> None:
    """Start a server, visit every page and stop the server."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--collection", default="sample")
    parser.add_argument("--tour", action="store_true", help="the four pictures of the README, light, as on a screen")
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    browser = find_browser()
    if browser is None:
        sys.exit("no Chromium or Chrome was found; install one")
    pages = TOUR if options.tour else PAGES
    with server(PORT) as address, sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=browser, args=["--no-sandbox", "--disable-gpu"])
        for theme, device in [LIGHT_DESKTOP] if options.tour else product(THEMES, WIDTHS):
            tab = chromium.new_page(color_scheme=theme)
            for name, (path, parameters) in pages.items():
                query = urlencode({"collection": options.collection, **parameters})
                picture(tab, f"{address}/{path}?{query}", WIDTHS[device], whole=not options.tour)
                file = f"{name}.png" if options.tour else f"{name}-{device}-{theme}.png"
                tab.screenshot(path=options.folder / file)
            tab.close()
        chromium.close()


def picture(page: Page, address: str, width: int, whole: bool) -> None:
    """Open a page and wait until it is rendered; with `whole`, make the window as high as its content."""
    page.set_viewport_size({"width": width, "height": WINDOW_HEIGHT})
    page.goto(address)
    page.wait_for_selector("h1", timeout=PATIENCE_MILLISECONDS)
    page.wait_for_timeout(2000)  # Streamlit's running indicator appears late, and Plotly draws after it
    for unfinished in ("stStatusWidget", "stSkeleton"):
        page.wait_for_selector(f"[data-testid={unfinished}]", state="detached", timeout=PATIENCE_MILLISECONDS)
    if not whole:
        return
    height = page.evaluate("document.querySelector('[data-testid=stMainBlockContainer]').scrollHeight")
    page.set_viewport_size({"width": width, "height": min(int(height) + 40, 3000)})
    page.wait_for_timeout(1000)


if __name__ == "__main__":
    main()
