"""The report is downloaded, and opened from the disk in a browser without a network."""

import sys
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from core.workspace.workspace import CHECKOUT

sys.path.insert(0, str(CHECKOUT / "tests" / "dashboard"))
from made_up import HOSTILE_TITLE  # noqa: E402
from test_accessibility import violations  # noqa: E402
from test_report import evil_report  # noqa: E402

pytestmark = pytest.mark.browser


def opened_offline(browser: Browser, path: Path, width: int) -> tuple[Page, list[str]]:
    """Open a file without a network; return the page and what went wrong, requests among it."""
    page = browser.new_context(offline=True, viewport={"width": width, "height": 900}).new_page()
    wrong: list[str] = []
    page.on("console", lambda message: wrong.append(message.text) if message.type in ("error", "warning") else None)
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("request", lambda request: wrong.append(request.url) if not request.url.startswith("file:") else None)
    page.goto(path.as_uri())
    return page, wrong


@pytest.mark.parametrize("width", [1440, 390])
def test_the_report_opens_from_the_disk_with_charts_and_lists(
    page: Page, browser: Browser, address: str, tmp_path: Path, width: int
) -> None:
    page.set_viewport_size({"width": width, "height": 900})
    page.goto(f"{address}/report?collection=made-up&measure=AP&topics=1,02")
    with page.expect_download() as download:
        page.get_by_role("button", name="Download the report").click()
    download.value.save_as(tmp_path / "report.html")
    report, wrong = opened_offline(browser, tmp_path / "report.html", width)
    expect(report.locator(".js-plotly-plot .main-svg").first).to_be_visible()
    expect(report.locator(".js-plotly-plot")).to_have_count(2)
    expect(report.get_by_role("heading", name="Topic 02: masks")).to_be_visible()
    expect(report.locator(".rs-list")).to_have_count(4)
    assert report.locator(".rs-list .rs-title", has_text="onerror").first.inner_text() == HOSTILE_TITLE
    assert report.evaluate("window.hacked") is None
    assert report.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert wrong == []
    assert violations(report) == []
    report.context.close()


def test_hostile_texts_in_every_place_of_a_report_do_nothing(browser: Browser, tmp_path: Path) -> None:
    (tmp_path / "evil.html").write_text(evil_report(), encoding="utf-8")
    report, wrong = opened_offline(browser, tmp_path / "evil.html", 1440)
    expect(report.locator(".js-plotly-plot .main-svg").first).to_be_visible()
    assert report.evaluate("window.hacked") is None
    assert report.locator("img").count() == 0
    assert wrong == []
    report.context.close()
