"""What a user does with topics, in a real Chromium: opens them by a click, steps through them, asks why."""

import re

import pytest
from playwright.sync_api import Locator, Page, expect
from test_browser import MADE_UP, settle

pytestmark = pytest.mark.browser

SAMPLE = "collection=sample"

COVERED = """[...document.querySelectorAll(".js-plotly-plot")].some(plot => {
  const [legend, button] = [".legend .bg", ".modebar-group"].map(part => plot.querySelector(part));
  if (!legend || !button) return false;
  const [a, b] = [legend, button].map(part => part.getBoundingClientRect());
  return a.left < b.right && b.left < a.right && a.top < b.bottom && b.top < a.bottom;
})"""


def topic_heading(page: Page) -> Locator:
    return page.get_by_role("heading", name=re.compile("^Topic .+: "))


def open_topic_of(page: Page) -> str:
    found = re.search(r"[?&]topic=([^&]+)", page.url)
    assert found, page.url
    return found[1]


def plot(page: Page) -> dict[str, float]:
    area = page.locator(".js-plotly-plot .nsewdrag").first
    expect(area).to_be_visible()
    settle(page)
    box = area.bounding_box()
    assert box
    return dict(box)


@pytest.mark.parametrize("view", ["differences", "heat"])
def test_a_click_on_a_mark_opens_its_topic_and_back_returns(page: Page, address: str, view: str) -> None:
    page.goto(f"{address}/topics?{SAMPLE}&chart={view}&a=fine-tuned&b=bm25")
    box = plot(page)
    page.mouse.click(box["x"] + 0.15 * box["width"], box["y"] + 0.3 * box["height"])
    expect(topic_heading(page)).to_be_visible()
    topic = open_topic_of(page)
    assert "/topic?" in page.url
    expect(topic_heading(page)).to_have_text(re.compile(rf"^Topic {topic}: "))
    expect(page.get_by_text(re.compile(r"(gains|loses) [0-9.]+ nDCG@\S*10 "))).to_be_visible()
    expect(page.get_by_text(re.compile("relevant|unjudged")).first).to_be_visible()
    page.go_back()
    expect(page.get_by_role("heading", level=1)).to_have_text("Topics")
    expect(page.locator(".js-plotly-plot")).to_be_visible()


def test_the_select_box_opens_a_topic_and_back_stays_on_the_topics(page: Page, address: str) -> None:
    page.goto(f"{address}/topics?{MADE_UP}&chart=length")
    settle(page)
    expect(page.locator(".js-plotly-plot .point").first).to_be_visible()
    box = page.get_by_label("Open a topic")
    box.scroll_into_view_if_needed()
    page.wait_for_timeout(500)  # a list that is open while the page scrolls is closed again
    box.click()
    page.get_by_role("option", name=re.compile("^02")).click()
    expect(topic_heading(page)).to_have_text("Topic 02: masks")
    page.go_back()
    expect(page.get_by_role("heading", level=1)).to_have_text("Topics")
    settle(page)
    expect(page.get_by_role("heading", level=1)).to_have_text("Topics")


def test_the_keyboard_steps_through_the_topics_and_back_undoes_a_step(page: Page, address: str) -> None:
    page.goto(f"{address}/topic?{SAMPLE}&a=fine-tuned&b=bm25&topic=12")
    expect(topic_heading(page)).to_have_text(re.compile("^Topic 12: "))
    expect(page.locator(".rs-list")).to_have_count(3)
    settle(page)
    page.wait_for_timeout(500)  # the keys are listened for once the buttons have been drawn
    page.keyboard.press("n")
    expect(topic_heading(page)).not_to_have_text(re.compile("^Topic 12: "))
    following = open_topic_of(page)
    expect(topic_heading(page)).to_have_text(re.compile(f"^Topic {following}: "))
    settle(page)
    page.keyboard.press("p")
    expect(topic_heading(page)).to_have_text(re.compile("^Topic 12: "))
    page.go_back()
    expect(topic_heading(page)).to_have_text(re.compile(f"^Topic {following}: "))


def test_one_click_leads_from_the_list_of_topics_to_the_first_documents(page: Page, address: str) -> None:
    page.goto(f"{address}/topics?{SAMPLE}&a=fine-tuned&b=bm25")
    row = page.locator(".rs-topics a").first
    expect(row).to_be_in_viewport()
    settle(page)
    page.evaluate("window.sameSession = true")
    row.click()
    expect(topic_heading(page)).to_be_in_viewport()
    expect(page.locator(".rs-sides li").first).to_be_in_viewport()
    assert page.evaluate("window.sameSession"), "the page was not loaded again"
    page.keyboard.press("b")
    expect(page.get_by_role("heading", level=1)).to_have_text("Topics")
    expect(page.locator(".rs-topics a[aria-current]")).to_have_count(1)
    settle(page)
    page.keyboard.press("o")
    expect(topic_heading(page)).to_be_visible()


def test_ten_rows_of_both_lists_are_in_sight_and_the_line_stays(page: Page, address: str) -> None:
    page.goto(f"{address}/topic?{SAMPLE}&a=fine-tuned&b=bm25&topic=12")
    lists = page.locator(".rs-sides .rs-list")
    expect(lists).to_have_count(3)
    settle(page)
    for number in (0, 1):
        rows = lists.nth(number).locator("ol > li")
        expect(rows).to_have_count(10)
        box = rows.last.bounding_box()
        assert box
        assert box["y"] + box["height"] <= 900
    page.get_by_test_id("stMain").evaluate("e => e.scrollTo(0, e.scrollHeight)")
    page.wait_for_timeout(300)
    expect(topic_heading(page)).to_be_in_viewport()
    expect(page.get_by_role("button", name="Next")).to_be_in_viewport()


def test_a_document_is_outlined_in_both_lists_and_its_line_emphasised(page: Page, address: str) -> None:
    page.goto(f"{address}/topic?{SAMPLE}&a=fine-tuned&b=bm25&topic=12")
    settle(page)
    line = page.locator(".rs-lines span").first
    name = re.search(r"rs-l-(\d+)", line.get_attribute("class") or "")
    assert name
    places = page.locator(f".rs-sides li.rs-d-{name[1]}")
    expect(places).to_have_count(2)

    def outlines() -> set[str]:
        return {place.evaluate("e => getComputedStyle(e).outlineStyle") for place in places.all()}

    colour = line.evaluate("e => getComputedStyle(e).backgroundColor")
    assert outlines() == {"none"}
    places.last.hover()
    assert outlines() == {"solid"}
    assert line.evaluate("e => getComputedStyle(e).backgroundColor") != colour
    # A line ends at the middle of its rows. Its corners: 0, upper left; 100 %, upper right; 100 %, lower right; 0, ...
    edges = line.evaluate("e => getComputedStyle(e).clipPath.match(/[-0-9.]+px/g).map(parseFloat)")
    gutter = line.bounding_box()
    for place, (upper, lower) in zip(places.all(), ((1, 5), (2, 3)), strict=True):
        box = place.bounding_box()
        assert box and gutter
        middle = gutter["y"] + (edges[upper] + edges[lower]) / 2
        assert abs(middle - box["y"] - box["height"] / 2) < 2


def test_three_systems_stand_side_by_side_with_the_ideal_list(page: Page, address: str) -> None:
    page.goto(f"{address}/topic?{SAMPLE}&a=fine-tuned&b=bm25&more=bm25-doc2query&topic=12&ideal=on")
    lists = page.locator(".rs-sides .rs-list")
    expect(lists).to_have_count(4)
    settle(page)
    expect(page.locator(".rs-head strong")).to_have_text(
        ["A: MiniLM adapted to TREC-COVID", "B: BM25", "C: BM25 + doc2query", "Ideal ranking"]
    )
    boxes = [one.bounding_box() for one in lists.all()]
    assert all(boxes)
    lefts = [box["x"] for box in boxes if box]
    assert lefts == sorted(set(lefts)), "side by side"
    expect(page.locator(".rs-lines")).to_have_count(2)
    colours = {name: page.locator(f".rs-{name}").first for name in ("relevant", "not-relevant", "unjudged")}
    seen = {
        one.evaluate("e => getComputedStyle(e).backgroundColor + getComputedStyle(e).borderStyle")
        for one in colours.values()
        if one.count()
    }
    assert len(seen) == sum(bool(one.count()) for one in colours.values())


def test_a_click_opens_text_and_score_explanation_in_place(page: Page, address: str) -> None:
    page.goto(f"{address}/topic?{SAMPLE}&a=bm25-doc2query&b=bm25&topic=12")
    settle(page)
    row = page.locator(".rs-sides .rs-list").nth(1).locator("ol > li").nth(1)
    row.locator("> details > summary").focus()
    page.keyboard.press("Enter")
    expect(row.locator(".rs-why table")).to_have_count(2)
    expect(row.get_by_text(re.compile(r"Sum: .* \(= score\)")).first).to_be_visible()
    row.get_by_text("Whole text", exact=True).click()
    expect(row.locator(".rs-text").first).to_be_visible()
    assert "list=B" in page.url and "document=" in page.url
    page.reload()
    expect(row.locator(".rs-why table").first).to_be_visible()
    settle(page)
    page.keyboard.press("n")
    expect(topic_heading(page)).not_to_have_text(re.compile("^Topic 12: "))
    assert "document=" not in page.url


def test_on_a_phone_tabs_show_one_list_and_the_topics_are_a_list(page: Page, address: str) -> None:
    page.set_viewport_size({"width": 390, "height": 844})
    page.goto(f"{address}/topic?{SAMPLE}&a=fine-tuned&b=bm25&topic=12")
    lists = page.locator(".rs-sides .rs-list")
    expect(lists).to_have_count(3)
    settle(page)
    assert [one.is_visible() for one in lists.all()] == [True, False, False]
    page.locator(".rs-tabs label").nth(1).click()
    assert [one.is_visible() for one in lists.all()] == [False, True, False]
    page.goto(f"{address}/topics?{SAMPLE}&a=fine-tuned&b=bm25")
    expect(page.locator(".rs-topics a").first).to_be_in_viewport()
    settle(page)
    expect(page.locator(".js-plotly-plot")).to_be_hidden()


def test_a_click_on_a_part_of_the_difference_opens_its_document(page: Page, address: str) -> None:
    page.goto(f"{address}/topic?{SAMPLE}&a=bm25-doc2query&b=bm25&view=difference&topic=12")
    plot(page)
    bar = page.locator(".js-plotly-plot .barlayer .point path").first.bounding_box()
    assert bar
    page.mouse.click(bar["x"] + bar["width"] / 2, bar["y"] + bar["height"] / 2)
    expect(page.get_by_text(re.compile(r"Sum: .* \(= score\)")).first).to_be_visible()
    assert "view=lists" in page.url
    assert "document=" in page.url
    page.go_back()
    expect(page.get_by_text(re.compile("^The contributions sum to"))).to_be_visible()


def test_topic_links_of_the_picks_lead_there(page: Page, address: str) -> None:
    page.goto(f"{address}/topics?{MADE_UP}&chart=contrasts&a=expanded&b=bm25&measure=AP")
    expect(page.get_by_text("Largest wins of BM25", exact=True)).to_be_visible()
    settle(page)
    main = page.get_by_test_id("stMain")
    main.get_by_test_id("stPageLink").get_by_role("link").first.click()
    expect(topic_heading(page)).to_be_visible()
    assert MADE_UP in page.url
    page.get_by_test_id("stMain").get_by_role("button", name="Topics").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Topics")


@pytest.mark.parametrize("width", [1440, 390])
def test_no_view_scrolls_sideways(page: Page, address: str, width: int) -> None:
    page.set_viewport_size({"width": width, "height": 900})
    views = [f"topics?chart={view}" for view in ("contrasts", "heat", "length")]
    views += [f"topic?topic=1&more=fine-tuned&view={view}" for view in ("lists", "difference", "positions")]
    for view in views:
        page.goto(f"{address}/{view}&{SAMPLE}")
        settle(page)
        assert page.get_by_test_id("stMain").evaluate("e => e.scrollWidth <= e.clientWidth"), view
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), view
        assert not page.evaluate(COVERED), f"{view}: the chart's button covers its legend"
