#!/usr/bin/env python3
"""Measure in Chromium how fast the pages of the dashboard render and how fast a query is answered.

    python scripts/benchmarks/page_speed.py --collection trec-covid-subset [--times 5] [--queries 30] [--json FILE]

Starts its own servers on this machine, and needs the test command's environment (playwright) and Chromium or Chrome.
Times are taken in the browser, from the navigation or key press until the page's main element is drawn:

- cold: the first visit to a server that was just started, with an empty browser cache, until the headline, the first
  chart and the first example topic of the Summary page are drawn;
- opened: opening the URL while the server runs and the browser has cached the dashboard's scripts;
- link: a click in the navigation of an open dashboard;
- query: from Enter in the query box of the Search page until the last system's column is filled.
"""

import argparse
import json
import sys
import time
from pathlib import Path
from statistics import median
from urllib.parse import urlencode

import numpy as np
from playwright.sync_api import Browser, Page, sync_playwright

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from scripts.environment import ROOT, find_browser
from scripts.serving import server

sys.path.insert(0, str(ROOT))

from core.formats.collections import read_built_topics
from core.workspace.artifacts import host, versions
from core.workspace.profile import read_profile
from core.workspace.workspace import Workspace

FRESH = "[data-testid=stElementContainer][data-stale=false] "
"""Selector of elements drawn by the current run of the page, not stale ones."""
PAGES = {
    "Summary": ("", FRESH + "h2"),
    "Topics": ("topics", FRESH + ".rs-topics a"),
    "Topic": ("topic", FRESH + ".rs-list li"),
}
COLD = {"headline": FRESH + "h2", "chart": FRESH + ".rs-dots a", "example": FRESH + ".rs-example"}
ELSEWHERE = "Import runs"
PORT = 8720
PATIENCE_MILLISECONDS = 120_000
SEEN = """([title, selector]) => {
  const element = document.querySelector(selector);
  const there = document.querySelector("h1")?.textContent.trim() === title && element?.getBoundingClientRect().height;
  return there ? performance.now() - (window.clicked ?? 0) : false;
}"""
MARK = "document.querySelectorAll('.rs-list').forEach(list => list.classList.add('before'))"
"""Script that marks the lists of the previous query, which stay visible until the new ones are drawn."""
ANSWERED = """([query, selector, columns]) =>
  new URLSearchParams(location.search).get("query") === query
    && document.querySelectorAll(selector).length === columns && performance.now() - window.clicked"""


def main() -> None:
    """Measure, print a table and write JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--collection", default="sample")
    parser.add_argument("--times", type=int, default=5, help="visits of each kind (default: 5)")
    parser.add_argument("--queries", type=int, default=30, help="number of queries (default: 30)")
    parser.add_argument("--systems", default="", help="comma-separated systems to query (default: all)")
    parser.add_argument("--json", type=Path, help="output file for all times, with versions and machine")
    options = parser.parse_args()
    browser = find_browser()
    if browser is None:
        sys.exit("no Chromium or Chrome was found; install one")
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=browser, args=["--no-sandbox", "--disable-gpu"])
        visits = [cold(chromium, options.collection) for _ in range(options.times)]
        times = {f"Summary, cold: {part}": [visit[part] for visit in visits] for part in COLD}
        with server(PORT) as address:
            for name in PAGES:
                times |= warm(chromium, address, options.collection, name, options.times)
            times["query"] = queries(chromium, address, options.collection, options.queries, options.systems)
        version = chromium.version
        chromium.close()
    print(f"{'milliseconds':<26}{'median':>8}{'p95':>8}{'n':>5}")
    for name, values in times.items():
        print(f"{name:<26}{median(values):>8.0f}{np.percentile(values, 95):>8.0f}{len(values):>5}")
    if options.json:
        about = {"collection": options.collection, "host": host(), "versions": versions() | {"chromium": version}}
        about["finished"] = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        options.json.write_text(json.dumps(about | {"milliseconds": times}, indent=1) + "\n", encoding="utf-8")


def seen(page: Page, name: str, selector: str = "") -> float:
    """Wait until a page's main element, or another, is drawn; return the milliseconds since the navigation or click."""
    sought = [name, selector or PAGES[name][1]]
    drawn = page.wait_for_function(SEEN, arg=sought, polling="raf", timeout=PATIENCE_MILLISECONDS)
    return float(drawn.json_value())


def cold(chromium: Browser, collection: str) -> dict[str, float]:
    """Return the times of the parts of the Summary page on a new server."""
    with server(PORT) as address:
        page = chromium.new_page()
        page.goto(f"{address}/?{urlencode({'collection': collection})}", wait_until="commit")
        found = {part: seen(page, "Summary", selector) for part, selector in COLD.items()}
        page.close()
    return found


def warm(chromium: Browser, address: str, collection: str, name: str, times: int) -> dict[str, list[float]]:
    """Return the times of a page when opened and when reached by a link, without the first visit of each."""
    query = urlencode({"collection": collection})
    opened, linked = [], []
    context = chromium.new_context()
    for _ in range(times + 1):
        page = context.new_page()
        page.goto(f"{address}/{PAGES[name][0]}?{query}", wait_until="commit")
        opened.append(seen(page, name))
        page.close()
    if name == "Topic":  # reached from the Topics page alone
        context.close()
        return {f"{name}, opened": opened[1:]}
    page = context.new_page()
    page.goto(f"{address}/{PAGES[name][0]}?{query}", wait_until="commit")
    seen(page, name)
    for _ in range(times + 1):
        page.get_by_role("link", name=ELSEWHERE, exact=True).click()
        page.wait_for_function("document.querySelector('h1')?.textContent.trim() === 'Import runs'")
        page.wait_for_selector("[data-testid=stApp][data-test-script-state=notRunning]")
        page.evaluate(
            "addEventListener('click', () => window.clicked = performance.now(), {capture: true, once: true})"
        )
        page.get_by_role("link", name=name, exact=True).click()
        linked.append(seen(page, name))
    context.close()
    return {f"{name}, opened": opened[1:], f"{name}, link": linked[1:]}


def queries(chromium: Browser, address: str, collection: str, count: int, systems: str) -> list[float]:
    """Return the time of each query until the last system has answered, after a warm-up query that loads the models."""
    folder = Workspace.default().collection(collection)
    every = [system.name for system in read_profile(str(folder.profile)).system if system.kind != "run"]
    asked_of = systems.split(",") if systems else every
    texts = [topic.query for topic in read_built_topics(folder)[0]]
    asked = [f"{texts[i % len(texts)]} {i}" for i in range(count + 1)]
    page = chromium.new_page()
    page.goto(f"{address}/search?{urlencode({'collection': collection, 'systems': ','.join(asked_of)})}")
    box = page.get_by_role("textbox", name="Query")
    box.wait_for(timeout=PATIENCE_MILLISECONDS)
    page.evaluate(
        "addEventListener('keydown', e => { if (e.key === 'Enter') window.clicked = performance.now() }, true)"
    )
    found = []
    for query in asked:
        page.wait_for_selector("[data-testid=stApp][data-test-script-state=notRunning]", timeout=PATIENCE_MILLISECONDS)
        box.fill(query)
        page.evaluate(MARK)
        box.press("Enter")
        done = page.wait_for_function(
            ANSWERED,
            arg=[query, FRESH + ".rs-list:not(.before)", len(asked_of)],
            polling="raf",
            timeout=PATIENCE_MILLISECONDS,
        )
        found.append(float(done.json_value()))
    page.close()
    return found[1:]


if __name__ == "__main__":
    main()
