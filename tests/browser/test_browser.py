"""What a user does, in a real Chromium."""

import re

import pytest
from made_up import HOSTILE_TEXT, HOSTILE_TITLE
from playwright.sync_api import Page, expect

from dashboard.shared.links import PAGES

pytestmark = pytest.mark.browser

LABEL = "written for demonstration, not medical evidence"
MADE_UP = "collection=made-up"


def settle(page: Page) -> None:
    """Wait until the page's script has ended and everything it drew is there."""
    expect(page.get_by_role("heading", level=1)).to_be_visible()
    expect(page.get_by_test_id("stApp")).to_have_attribute("data-test-script-state", "notRunning")
    expect(page.locator("[data-stale=true]")).to_have_count(0)
    # Where a chart or a table is not drawn yet, something of another height stands, and a click meets another button.
    expect(page.get_by_test_id("stSkeleton")).to_have_count(0)


def test_the_start_page_says_what_the_sample_is_and_leads_to_every_page(page: Page, address: str) -> None:
    page.goto(address)
    expect(page.get_by_role("heading", level=1)).to_have_text("Summary")
    expect(page.get_by_text("python scripts/build.py --profile trec-covid", exact=True)).to_be_visible()
    expect(page.locator(".rs-dots").first).to_be_visible()
    for name, title, *_ in [entry for entry in PAGES if entry.group and entry.name != "training"]:
        page.get_by_role("link", name=title, exact=True).first.click()
        expect(page.get_by_role("heading", level=1)).to_have_text(title)
        assert name == "summary" or f"/{name}" in page.url
        expect(page.get_by_text(LABEL).first).to_be_visible()
        settle(page)


def test_on_a_phone_the_menu_closes_over_the_chosen_page(page: Page, address: str) -> None:
    page.set_viewport_size({"width": 390, "height": 844})
    page.goto(f"{address}/?{MADE_UP}")
    settle(page)
    menu = page.get_by_role("link", name="Topics", exact=True)
    for title in ("Topics", "Import runs", "Topics"):
        page.get_by_test_id("stExpandSidebarButton").click()
        expect(menu).to_be_in_viewport()
        page.get_by_role("link", name=title, exact=True).click()
        expect(page.get_by_role("heading", level=1)).to_have_text(title)
        expect(menu).not_to_be_in_viewport()


def test_a_copied_link_names_every_choice_and_opens_the_same_view(page: Page, address: str) -> None:
    page.goto(f"{address}/topics?{MADE_UP}&kind=exact")
    page.get_by_role("button", name="Copy link").click()
    link = page.get_by_test_id("stPopoverBody").locator("code").inner_text()
    assert link == f"{address}/topics?{MADE_UP}&a=expanded&b=bm25&measure=nDCG%4010&kind=exact"


def test_a_link_between_pages_keeps_the_parameters_and_back_returns(page: Page, address: str) -> None:
    page.goto(f"{address}/search?{MADE_UP}&query=masks&measure=AP")
    page.get_by_role("main").get_by_role("link", name="Open the topic").click()
    expect(page.get_by_role("heading", level=2, name="Topic 02: masks")).to_be_visible()
    settle(page)
    assert f"/topic?{MADE_UP}&query=masks&measure=AP&topic=02" in page.url
    page.get_by_role("main").get_by_role("button", name="Topics").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Topics")
    settle(page)
    assert f"/topics?{MADE_UP}&query=masks&measure=AP&topic=02" in page.url
    page.go_back()
    expect(page.get_by_role("heading", level=2, name="Topic 02: masks")).to_be_visible()
    settle(page)
    page.go_back()
    expect(page.get_by_role("heading", level=1)).to_have_text("Search")
    expect(page.get_by_label("Query")).to_have_value("masks")
    settle(page)
    assert f"/search?{MADE_UP}&query=masks&measure=AP" in page.url
    page.get_by_role("link", name="Summary", exact=True).first.click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Summary")
    assert page.url.startswith(f"{address}/?{MADE_UP}")


def test_a_typed_query_is_answered_and_its_link_opens_the_same_view(page: Page, address: str) -> None:
    page.goto(f"{address}/search?{MADE_UP}")
    page.get_by_label("Query").fill("do masks help in schools?")
    page.keyboard.press("Enter")
    expect(page.get_by_text("This query is topic 02")).to_be_visible()
    expect(page.get_by_role("img", name="relevant (2)").first).to_be_visible()
    expect(page.get_by_text(re.compile(r"^(?!0\.0+ )\d+\.\d+ ms")).first).to_be_visible()
    expect(page.get_by_text("vectors/dense is missing")).to_be_visible()
    link = page.url
    assert "query=do+masks" in link or "query=do%20masks" in link
    page.goto("about:blank")
    page.goto(link)
    expect(page.get_by_label("Query")).to_have_value("do masks help in schools?")
    expect(page.get_by_text("This query is topic 02")).to_be_visible()


def test_the_sample_answers_a_query(page: Page, address: str) -> None:
    page.goto(f"{address}/search?collection=sample&systems=bm25&hits=5")
    page.get_by_label("Query").fill("how long does loss of smell last")
    page.get_by_role("button", name="Search").click()
    expect(page.locator(".rs-compact li")).to_have_count(5)


def test_a_pasted_link_restores_every_choice(page: Page, address: str) -> None:
    page.goto(f"{address}/topics?{MADE_UP}&measure=AP&a=bm25&b=expanded&kind=exact")
    expect(page.get_by_text("BM25 and BM25 + <b>queries</b> have the same AP on all 2 topics")).to_be_visible()
    expect(page.get_by_text("AP").first).to_be_visible()
    page.get_by_role("link", name="Summary").click()
    expect(page.get_by_text("mean AP by topic type (topics)")).to_be_visible()
    assert MADE_UP in page.url


def test_the_ann_page_draws_the_sweep(page: Page, address: str) -> None:
    page.goto(f"{address}/ann?{MADE_UP}&size=500")
    expect(page.locator(".js-plotly-plot .scatterlayer .trace")).to_have_count(2 + 2)  # growth, recall
    expect(page.get_by_test_id("stMetric")).to_have_count(4)
    page.get_by_text("Relevant documents missed by ANN").click()
    expect(page.get_by_text("Still missed at the highest setting")).to_be_visible()


def test_hostile_texts_do_nothing_and_are_shown_as_they_are(page: Page, address: str) -> None:
    for path in (f"topic?{MADE_UP}&topic=1", f"search?{MADE_UP}&query=fever"):
        page.goto(f"{address}/{path}")
        title = page.get_by_role("main").locator(".rs-title strong, span.rs-title").filter(has_text="onerror").first
        expect(title).to_be_visible()
        settle(page)
        assert title.inner_text().replace("\u2060", "") == HOSTILE_TITLE
        assert title.locator("*").count() == 0
        title.click()
        settle(page)
        page.get_by_text("Whole text", exact=True).locator("visible=true").first.click()
        assert page.evaluate("window.hacked") is None
        assert page.locator("a[href*=javascript], a[href*='www.example'], .katex, img[src='x']").count() == 0
    shown = [text.text_content() for text in page.locator(".rs-list .rs-text").all()]
    assert HOSTILE_TEXT in shown


def test_no_other_page_interprets_them_either(page: Page, address: str) -> None:
    others = ["", "topics", "documents", "ann", "expansion", "runs", "artifacts", "report"]
    for path in others:
        page.goto(f"{address}/{path}?{MADE_UP}&topic=1&document=d1&query=fever")
        settle(page)
        assert page.evaluate("window.hacked") is None, path
        inside = page.get_by_role("main").locator("a[href*=javascript], a[href*='www.example'], .katex, img[src='x']")
        assert inside.count() == 0, path


@pytest.mark.parametrize("width", [1440, 390])
def test_no_page_scrolls_sideways(page: Page, address: str, width: int) -> None:
    page.set_viewport_size({"width": width, "height": 900})
    for path in (
        "?",
        "topics?topic=1&",
        "topic?topic=1&",
        "search?query=fever&systems=bm25,expanded&",
        "ann?",
        "expansion?topic=02&document=d5&",
        "runs?",
        "artifacts?",
        "documents?topic=1&",
    ):
        page.goto(f"{address}/{path}{MADE_UP}")
        settle(page)
        main = page.get_by_test_id("stMain")
        assert main.evaluate("e => e.scrollWidth <= e.clientWidth"), path
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), path
        for element in page.get_by_test_id("stMain").locator("[data-testid=stElementContainer]").all():
            box = element.bounding_box()
            assert not box or box["x"] + box["width"] <= width + 1, path


def test_dark_theme_is_dark(browser, address: str) -> None:
    context = browser.new_context(color_scheme="dark")
    page = context.new_page()
    page.goto(address)
    settle(page)
    background = page.get_by_test_id("stApp").evaluate("e => getComputedStyle(e).backgroundColor")
    context.close()
    assert sum(int(part) for part in re.findall(r"\d+", background)[:3]) < 150
