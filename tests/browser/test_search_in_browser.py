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
    expect(page.locator(".rs-list").first.get_by_role("img", name="judged by you")).to_have_count(2)
    assert "judge=on" in page.url
    with page.expect_download() as download:
        page.get_by_role("button", name="Export qrels (2)").click()
    download.value.save_as(tmp_path / "by-hand.qrels")
    assert sorted(read_qrels(tmp_path / "by-hand.qrels")["query-masks-in-buses"].values()) == [0, 2]
    page.get_by_role("button", name="Clear", exact=True).click()
    expect(page.locator(".rs-list").get_by_role("img", name="judged by you")).to_have_count(0)
    page.get_by_role("button", name="Import qrels").click()
    page.locator("input[type=file]").set_input_files(tmp_path / "by-hand.qrels")
    expect(page.locator(".rs-list").first.get_by_role("img", name="judged by you")).to_have_count(2)
    assert page.get_by_test_id("stMain").evaluate("e => e.scrollWidth <= e.clientWidth")


def test_fusion_is_switched_on_earlier_queries_come_back_and_so_does_the_back_button(page: Page, address: str) -> None:
    page.goto(f"{address}/search?collection=made-up&systems=bm25,expanded")
    search(page, "cough")
    expect(page.locator(".rs-list")).to_have_count(2)
    page.get_by_text("Fuse (RRF)", exact=True).click()
    expect(page.locator(".rs-list")).to_have_count(3)
    expect(page.locator(".rs-list").nth(2).locator("li").first.locator(".rs-chip")).to_have_text(
        [*map(re.compile, "AB")]
    )
    search(page, HOSTILE)
    expect(page.get_by_label("Query", exact=True)).to_have_value(HOSTILE)
    expect(page.locator(".rs-list .rs-title", has_text="onerror").first).to_be_visible()
    page.get_by_label("Earlier queries").click()
    page.get_by_role("option", name="cough").click()
    expect(page.get_by_label("Query", exact=True)).to_have_value("cough")
    page.get_by_label("Earlier queries").click()
    expect(page.get_by_role("option")).to_have_text(HOSTILE)
    page.keyboard.press("Escape")
    page.go_back()
    expect(page.get_by_label("Query", exact=True)).to_have_value(HOSTILE)
    assert page.evaluate("window.hacked") is None


def test_a_document_is_outlined_in_every_list_on_hover_and_by_keyboard(page: Page, address: str) -> None:
    page.goto(f"{address}/search?collection=made-up&systems=bm25,expanded&query=fever")
    columns = page.locator(".rs-list")
    expect(columns).to_have_count(2)
    expect(page.get_by_text("5 of 5 shared by all").or_(page.get_by_text("4 of 4 shared by all"))).to_be_visible()
    name = columns.first.locator("li").first.get_attribute("class") or ""
    assert name.startswith("rs-d-")
    same = page.locator(f".{name}")
    expect(same).to_have_count(2)
    same.first.hover()
    for number in range(2):
        expect(same.nth(number)).to_have_css("outline-style", "solid")
    page.get_by_role("heading", level=1).hover()
    expect(same.nth(1)).not_to_have_css("outline-style", "solid")
    same.first.locator("summary").first.focus()
    expect(same.nth(1)).to_have_css("outline-style", "solid")
    page.keyboard.press("Enter")
    expect(same.first.get_by_text(re.compile(r"^score \d"))).to_be_visible()
    expect(same.nth(1).get_by_text(re.compile(r"^score \d"))).to_be_hidden()


def test_a_phone_shows_one_list_at_a_time(page: Page, address: str) -> None:
    page.set_viewport_size({"width": 390, "height": 844})
    page.goto(f"{address}/search?collection=made-up&systems=bm25,expanded&query=fever&a=bm25")
    columns = page.locator(".rs-list")
    expect(columns).to_have_count(2)
    expect(columns.first).to_be_visible()
    expect(columns.nth(1)).to_be_hidden()
    expect(page.get_by_role("paragraph").get_by_text("A BM25", exact=True)).to_be_hidden()
    for tab in page.locator(".rs-tabs label").all():
        expect(tab).to_be_in_viewport(ratio=1)
    page.locator(".rs-tabs label", has_text="queries").click()
    expect(columns.first).to_be_hidden()
    expect(columns.nth(1)).to_be_visible()
    page.get_by_role("radio", name="B BM25 + <b>queries</b>").press("ArrowLeft")
    expect(columns.first).to_be_visible()
    page.set_viewport_size({"width": 1440, "height": 900})
    expect(columns.nth(1)).to_be_visible()
    expect(page.locator(".rs-tabs")).to_be_hidden()
    expect(page.get_by_role("paragraph").get_by_text("A BM25", exact=True)).to_be_visible()


def test_shared_documents_are_folded_and_a_link_keeps_it(page: Page, address: str) -> None:
    page.goto(f"{address}/search?collection=made-up&systems=bm25,expanded&query=fever")
    rows = page.locator(".rs-list").first.locator(".rs-title")
    expect(rows.first).to_be_visible()
    page.get_by_text("Only differences", exact=True).click()
    expect(page.get_by_text("shared by all (rank").first).to_be_visible()
    expect(rows.first).to_be_hidden()
    assert "differences=on" in page.url
    page.reload()
    expect(rows.first).to_be_hidden()
    page.get_by_text("shared by all (rank").first.click()
    expect(rows.first).to_be_visible()
