"""axe-core on every page, light and dark, 1440 and 390 pixels wide: nothing serious, and headings in order."""

from collections.abc import Iterator

import pytest
from axe_playwright_python.sync_playwright import Axe
from made_up import PAGES
from playwright.sync_api import Browser, Page
from test_browser import MADE_UP, settle

pytestmark = pytest.mark.browser

VIEWS = {
    "summary": ["open=systems,conclusion,curve,unjudged,cost"],
    "topics": ["chart=differences", "chart=heat", "chart=contrasts&a=expanded&b=bm25"],
    "topic": ["topic=1&a=expanded&b=bm25", "topic=02&a=expanded&b=bm25&document=d5"],
    "search": ["query=fever&systems=bm25,expanded&judge=on"],
    "documents": ["collection=sample&topic=1"],
    "ann": ["system=dense"],
    "expansion": ["topic=02&document=d5"],
}
"""What is looked at of a page that has more to show than it does at first."""
ADDRESSES = [(name, view) for name in PAGES for view in VIEWS.get(name, [""])]


def barriers(page: Page) -> list[str]:
    """What axe finds that keeps people out, and headings out of order, a line an element: rule, element, reason."""
    return [
        f"{found['id']}: {node['html'][:200]} {node.get('failureSummary', '')}"
        for found in Axe().run(page).response["violations"]
        if found["impact"] in ("serious", "critical") or found["id"] == "heading-order"
        for node in found["nodes"]
    ]


@pytest.fixture(
    scope="module",
    params=[(scheme, width) for scheme in ("light", "dark") for width in (1440, 390)],
    ids=lambda variant: f"{variant[0]}-{variant[1]}",
)
def themed(request: pytest.FixtureRequest, browser: Browser) -> Iterator[Page]:
    """A page of one theme and width, used again, for the browser loads the dashboard's scripts but once."""
    scheme, width = request.param
    context = browser.new_context(color_scheme=scheme, viewport={"width": width, "height": 900})
    page = context.new_page()
    page.set_default_timeout(60_000)
    yield page
    context.close()


@pytest.mark.parametrize(("name", "view"), ADDRESSES)
def test_nothing_on_a_page_keeps_people_out(themed: Page, address: str, name: str, view: str) -> None:
    collection = "" if "collection=" in view else f"&{MADE_UP}"
    themed.goto(f"{address}/{'' if name == 'overview' else name}?{view}{collection}")
    settle(themed)
    assert barriers(themed) == []


@pytest.mark.parametrize(
    ("rule", "content"),
    [
        ("color-contrast", '<p style="color: #aaa; background: #fff">pale</p>'),
        ("heading-order", "<h1>page</h1><h3>part of what?</h3>"),
    ],
)
def test_axe_finds_what_is_wrong(browser: Browser, rule: str, content: str) -> None:
    page = browser.new_page()
    page.set_content(f'<html lang="en"><title>t</title><main>{content}</main>')
    assert any(line.startswith(f"{rule}: ") for line in barriers(page))
    page.close()
