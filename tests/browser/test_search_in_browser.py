"""What a user does on the Search page, in a real Chromium."""

import re
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from core.formats.qrels import read_qrels

pytestmark = pytest.mark.browser

HOSTILE = '<img src=x onerror="window.hacked=1"> **fever** $x^2$ :tada: \U0001f637'


def search(page: Page, query: str) -> None:
    page.get_by_label("Query", exact=True).fill(query)
    page.keyboard.press("Enter")


@pytest.mark.parametrize("width", [1440, 390])
def test_hits_are_judged_and_exported_and_read_back(page: Page, address: str, width: int, tmp_path: Path) -> None:
    page.set_viewport_size({"width": width, "height": 900})
    page.goto(f"{address}/search?collection=made-up&systems=bm25,expanded")
    search(page, "masks in buses")
    expect(page.locator(".rs-list")).to_have_count(2)
    page.get_by_text("Judge relevance", exact=True).click()
    page.get_by_role("button", name="●● relevant (2)").click()
    expect(page.get_by_text("Document 2 of 2 in the pool · 1 judged by you")).to_be_visible()
    page.get_by_role("button", name="○ not relevant (0)").click()
    expect(page.locator(".rs-list").first.get_by_text("judged by you")).to_have_count(2)
    assert "judge=on" in page.url
    with page.expect_download() as download:
        page.get_by_role("button", name="Export qrels (2)").click()
    download.value.save_as(tmp_path / "by-hand.qrels")
    assert sorted(read_qrels(tmp_path / "by-hand.qrels")["query-masks-in-buses"].values()) == [0, 2]
    page.get_by_role("button", name="Clear", exact=True).click()
    expect(page.locator(".rs-list").get_by_text("judged by you")).to_have_count(0)
    page.get_by_role("button", name="Import qrels").click()
    page.locator("input[type=file]").set_input_files(tmp_path / "by-hand.qrels")
    expect(page.locator(".rs-list").first.get_by_text("judged by you")).to_have_count(2)
    assert page.get_by_test_id("stMain").evaluate("e => e.scrollWidth <= e.clientWidth")


def test_fusion_is_switched_on_earlier_queries_come_back_and_so_does_the_back_button(page: Page, address: str) -> None:
    page.goto(f"{address}/search?collection=made-up&systems=bm25,expanded")
    search(page, "cough")
    expect(page.locator(".rs-list")).to_have_count(2)
    page.get_by_text("Fuse (RRF)", exact=True).click()
    expect(page.locator(".rs-list")).to_have_count(3)
    expect(page.get_by_text(re.compile(r"\d in BM25, \d in BM25 \+ <b>queries</b>")).first).to_be_visible()
    search(page, HOSTILE)
    expect(page.get_by_label("Query", exact=True)).to_have_value(HOSTILE)
    expect(page.locator(".rs-list strong", has_text="onerror").first).to_be_visible()
    page.get_by_label("Earlier queries").click()
    page.get_by_role("option", name="cough").click()
    expect(page.get_by_label("Query", exact=True)).to_have_value("cough")
    page.get_by_label("Earlier queries").click()
    expect(page.get_by_role("option")).to_have_text(HOSTILE)
    page.keyboard.press("Escape")
    page.go_back()
    expect(page.get_by_label("Query", exact=True)).to_have_value(HOSTILE)
    assert page.evaluate("window.hacked") is None
