"""The Overview page in a real Chromium: exports, pictures, parts that open and close, narrow windows."""

import re
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect
from test_browser import MADE_UP, settle

pytestmark = pytest.mark.browser
expect.set_options(timeout=30_000)

SECTIONS = "open=systems,conclusion,curve,unjudged,cost,checks"


def test_the_comparison_is_exported_as_latex_and_the_chart_as_a_picture(page: Page, address: str) -> None:
    page.goto(f"{address}/?{MADE_UP}&measure=AP")
    settle(page)
    with page.expect_download() as download:
        page.get_by_role("button", name="LaTeX").nth(1).click()
    text = Path(download.value.path()).read_text()
    assert download.value.suggested_filename == "made-up-AP-against-bm25.tex"
    assert "\\toprule" in text
    assert "BM25 + <b>queries</b> &" in text
    with page.expect_download() as download:
        page.locator(".js-plotly-plot .modebar-btn").first.click()
    assert download.value.suggested_filename == "made-up-AP.svg"
    assert Path(download.value.path()).read_text().startswith("<svg")


def test_a_part_opens_with_a_click_closes_with_back_and_is_in_the_link(page: Page, address: str) -> None:
    page.goto(f"{address}/?{MADE_UP}")
    settle(page)
    sentence = page.get_by_text("has the highest mean")
    expect(sentence).to_have_count(0)
    page.get_by_text("Robustness of the ranking").click()
    expect(sentence).to_be_visible()
    expect(page).to_have_url(re.compile("open=conclusion"))
    link = page.url
    page.go_back()
    expect(sentence).to_have_count(0)
    page.goto(link)
    expect(sentence).to_be_visible()


def test_measure_and_cutoff_are_chosen_and_kept_in_the_link(page: Page, address: str) -> None:
    page.goto(f"{address}/?{MADE_UP}&measure=P(rel=2)@5")
    expect(page.get_by_text("5: Precision: the share")).to_be_visible()
    page.get_by_role("combobox", name="Cut-off").click()
    page.get_by_role("option", name="20", exact=True).click()
    expect(page.get_by_text("20: Precision: the share")).to_be_visible()
    assert "20" in page.url.split("measure=")[1]


@pytest.mark.parametrize("width", [1440, 390])
def test_no_part_scrolls_the_page_sideways(page: Page, address: str, width: int) -> None:
    page.set_viewport_size({"width": width, "height": 900})
    page.goto(f"{address}/?{MADE_UP}&{SECTIONS}&check=yes&cells=letters")
    expect(page.get_by_text("identical within tolerance")).to_be_visible(timeout=60_000)
    settle(page)
    assert page.get_by_test_id("stMain").evaluate("e => e.scrollWidth <= e.clientWidth")
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
