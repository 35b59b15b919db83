"""A user opens a document from the map, and from its table."""

import re

import pytest
from playwright.sync_api import Page, expect

pytestmark = pytest.mark.browser


def test_a_click_on_a_point_opens_its_document_and_back_closes_it(page: Page, address: str) -> None:
    page.goto(f"{address}/documents?collection=sample&topic=1&systems=bm25")
    point = page.locator(".js-plotly-plot .scatterlayer .trace").nth(2).locator("path.point").first
    expect(point).to_be_visible()
    expect(page.get_by_test_id("stApp")).to_have_attribute("data-test-script-state", "notRunning")
    box = point.bounding_box()
    page.mouse.click(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    expect(page.get_by_role("button", name="Close")).to_be_visible()
    document = re.search(r"document=([^&]+)", page.url)
    assert document
    expect(page.get_by_text(f"document {document[1]}", exact=True)).to_be_visible()
    page.go_back()
    expect(page.get_by_role("button", name="Close")).to_have_count(0)
