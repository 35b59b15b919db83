"""axe-core on every page, light and dark, 1440 and 390 pixels wide: WCAG 2.2 A and AA, and headings in order."""

from collections.abc import Iterator
from typing import Literal

import pytest
from axe_playwright_python.base import AXE_SCRIPT
from made_up import PAGES
from playwright.sync_api import Browser, Page
from test_browser import MADE_UP, settle

pytestmark = pytest.mark.browser

VIEWS = {
    "summary": ["open=systems,conclusion,curve,unjudged,cost"],
    "topics": ["chart=differences", "chart=contrasts&a=expanded&b=bm25"],
    "topic": ["topic=1&a=expanded&b=bm25", "topic=02&a=expanded&b=bm25&document=d5"],
    "search": ["query=fever&systems=bm25,expanded&judge=on"],
    "documents": ["collection=sample&topic=1"],
    "ann": ["system=dense"],
    "expansion": ["topic=02&document=d5"],
    "artifacts": ["collection=gone"],
}
"""What is looked at of a page that has more to show than it does at first."""
ADDRESSES = [(name, view) for name in PAGES for view in VIEWS.get(name, [""])]
SCHEMES: tuple[Literal["light", "dark"], ...] = ("light", "dark")
WIDTHS = (1440, 390)
OPTIONS = {
    "runOnly": {"type": "tag", "values": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22a", "wcag22aa"]},
    "rules": {"heading-order": {"enabled": True}},
    "resultTypes": ["violations"],
}
BACKGROUND = "getComputedStyle(document.querySelector('[data-testid=stApp]')).backgroundColor"
BACKGROUNDS = {"light": "rgb(255, 255, 255)", "dark": "rgb(18, 23, 29)"}


def violations(page: Page) -> list[str]:
    """Return what axe finds, a line for each element: rule, element, reason."""
    if not page.evaluate("Boolean(window.axe)"):
        page.evaluate(AXE_SCRIPT)
    return [
        f"{found['id']}: {node['html'][:200]} {node.get('failureSummary', '')}"
        for found in page.evaluate("options => axe.run(options)", OPTIONS)["violations"]
        for node in found["nodes"]
    ]


def opened(page: Page, address: str) -> None:
    """Open a page without transitions, so that colours and the sidebar are where they will be."""
    page.goto(address)
    settle(page)
    page.add_style_tag(content="* { transition: none !important; animation: none !important; }")


def violations_in_every_look(page: Page) -> dict[tuple[str, int], list[str]]:
    """Return what axe finds in both themes and at both widths; the page follows the browser without a reload."""
    found = {}
    for scheme in SCHEMES:
        page.emulate_media(color_scheme=scheme)
        for width in WIDTHS:
            page.set_viewport_size({"width": width, "height": 900})
            page.wait_for_function(f"{BACKGROUND} === '{BACKGROUNDS[scheme]}'")
            found[scheme, width] = violations(page)
    return {look: lines for look, lines in found.items() if lines}


@pytest.fixture(scope="module")
def screen(browser: Browser) -> Iterator[Page]:
    """A page that is used again, for the browser loads the dashboard's scripts but once."""
    context = browser.new_context(color_scheme="light")
    page = context.new_page()
    page.set_default_timeout(60_000)
    yield page
    context.close()


@pytest.mark.parametrize(("name", "view"), ADDRESSES)
def test_a_page_has_no_violation_in_any_theme_and_width(screen: Page, address: str, name: str, view: str) -> None:
    collection = "" if "collection=" in view else f"&{MADE_UP}"
    screen.set_viewport_size({"width": WIDTHS[0], "height": 900})
    opened(screen, f"{address}/{name}?{view}{collection}")
    assert violations_in_every_look(screen) == {}


def test_the_menu_of_a_phone_and_an_open_popover_have_no_violation(screen: Page, address: str) -> None:
    screen.set_viewport_size({"width": WIDTHS[1], "height": 900})
    opened(screen, f"{address}/topics?{MADE_UP}")
    screen.get_by_test_id("stExpandSidebarButton").click()
    screen.get_by_role("button", name="Copy link").click()
    screen.get_by_test_id("stPopoverBody").wait_for()
    for scheme in SCHEMES:
        screen.emulate_media(color_scheme=scheme)
        screen.wait_for_function(f"{BACKGROUND} === '{BACKGROUNDS[scheme]}'")
        assert violations(screen) == []


@pytest.mark.parametrize(
    ("rule", "content"),
    [
        ("color-contrast", '<p style="color: #aaa; background: #fff">pale</p>'),
        ("heading-order", "<h1>page</h1><h3>part of what?</h3>"),
        ("target-size", '<button style="width: 9px">a</button><button style="width: 9px">b</button>'),
    ],
)
def test_axe_finds_what_is_wrong(browser: Browser, rule: str, content: str) -> None:
    page = browser.new_page()
    page.set_content(f'<html lang="en"><title>t</title><main>{content}</main>')
    assert any(line.startswith(f"{rule}: ") for line in violations(page))
    page.close()
