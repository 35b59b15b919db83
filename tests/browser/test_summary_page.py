"""The Summary page in a real Chromium: what is in sight, many systems, exports, parts that open, narrow windows."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect
from test_browser import MADE_UP, settle

from core.formats.runs import ranked, read_run, write_run
from core.import_runs import import_runs
from core.workspace.workspace import Workspace

pytestmark = pytest.mark.browser

SECTIONS = "open=measures,baseline,types,published,systems,conclusion,curve,unjudged,cost,checks"


@pytest.fixture(scope="module")
def many(artifacts: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[int], str]:
    """Import a number of runs, the sample's with documents exchanged, and return the name of the collection."""
    sample = Workspace(artifacts).collection("sample")
    scores = read_run(sample.run("bm25") / "run.trec").scores
    lists = {topic: [document for document, _ in ranked(by_document)[:50]] for topic, by_document in scores.items()}

    def imported(systems: int) -> str:
        place, paths = tmp_path_factory.mktemp("runs"), []
        for number in range(systems):
            paths.append(place / f"system-with-a-long-name-{number}.run")
            first = 1 + number % 7 if number else 0
            turned = {t: documents[first:] + documents[:first] for t, documents in lists.items()}
            hits = {t: [(d, 100.0 - rank) for rank, d in enumerate(documents)] for t, documents in turned.items()}
            write_run(paths[-1], "x", hits.items())
        name = f"many-{systems}"
        import_runs(Workspace(artifacts).collection(name), paths, sample.collection / "qrels" / "test.tsv")
        return name

    return imported


def bottom(page: Page, selector: str) -> float:
    """The lower edge of the first such element, once it is drawn."""
    element = page.locator(selector).first
    expect(element).to_be_visible()
    box = element.bounding_box()
    assert box is not None
    return box["y"] + box["height"]


FOREST = ".rs-dots"
CARD = "[data-testid=stVerticalBlock]:has(> [data-testid=stElementContainer] .rs-example)"


OVERPRINTED = """() => {
  const parts = ".rs-dots p > *, .rs-dots :is(.rs-name, .rs-number, .rs-text, .rs-track)";
  const boxes = [...document.querySelectorAll(parts)]
    .filter(one => !one.querySelector(".rs-text")).map(one => [one, one.getBoundingClientRect()]);
  const meet = (one, other) => Math.min(one.right, other.right) - Math.max(one.left, other.left) > 1
    && Math.min(one.bottom, other.bottom) - Math.max(one.top, other.top) > 1;
  return boxes.flatMap(([one, box], number) => boxes.slice(number + 1).filter(([, other]) => meet(box, other))
    .map(([other]) => `${one.textContent} and ${other.textContent}`));
}"""


def nothing_is_overprinted(page: Page) -> bool:
    """Say whether no label, number or row of marks of the charts lies over another, and none out of the window."""
    assert page.evaluate(OVERPRINTED) == []
    width = page.get_by_test_id("stMain").evaluate("e => e.getBoundingClientRect().right")
    rights = page.locator(".rs-dots *").evaluate_all("all => all.map(one => one.getBoundingClientRect().right)")
    return max(rights) <= width


def test_answer_chart_and_first_card_are_in_sight(page: Page, address: str) -> None:
    page.goto(f"{address}/?collection=sample")
    settle(page)
    expect(page.locator(".rs-example")).to_have_count(3)
    assert bottom(page, "h2") < bottom(page, FOREST) < bottom(page, CARD) <= 900
    assert "MiniLM adapted to TREC-COVID beats BM25 by +" in page.locator("h2").first.inner_text()
    page.set_viewport_size({"width": 390, "height": 844})
    settle(page)
    assert bottom(page, "h2") <= 844
    assert nothing_is_overprinted(page)


@pytest.mark.parametrize("systems", [1, 2, 30, 118])
def test_any_number_of_systems_is_legible(page: Page, address: str, many: Callable[[int], str], systems: int) -> None:
    page.goto(f"{address}/?collection={many(systems)}")
    settle(page)
    assert bottom(page, "h2") < 300
    height = page.get_by_test_id("stMain").evaluate("e => e.scrollHeight")
    assert height < 3000, "as high as for few systems"
    assert page.get_by_test_id("stMain").evaluate("e => e.scrollWidth <= e.clientWidth")
    if systems == 1:
        expect(page.locator(FOREST)).to_have_count(0)
        return
    assert bottom(page, FOREST) < bottom(page, CARD) <= 900
    assert page.locator(FOREST).first.get_by_role("link").count() == min(systems, 10) - 1
    assert nothing_is_overprinted(page)
    page.set_viewport_size({"width": 390, "height": 844})
    settle(page)
    assert nothing_is_overprinted(page)


def test_a_click_on_a_system_makes_it_system_a(page: Page, address: str) -> None:
    page.goto(f"{address}/?collection=sample")
    settle(page)
    page.locator(FOREST).first.get_by_role("link").nth(1).click()
    expect(page).to_have_url(re.compile("a=all-MiniLM-L6-v2"))
    expect(page.locator("h2").first).to_contain_text("all-MiniLM-L6-v2 vs BM25")


def test_the_comparison_is_exported_as_latex_and_the_chart_as_a_picture(page: Page, address: str) -> None:
    page.goto(f"{address}/?{MADE_UP}&measure=AP&open=baseline")
    settle(page)
    with page.expect_download() as download:
        page.get_by_role("button", name="LaTeX").last.click()
    text = Path(download.value.path()).read_text()
    assert download.value.suggested_filename == "made-up-AP-against-bm25.tex"
    assert "\\toprule" in text
    assert "BM25 + $<$b$>$queries$<$/b$>$ &" in text
    with page.expect_download() as download:
        page.locator(".js-plotly-plot .modebar-btn").nth(1).click()
    assert download.value.suggested_filename == "made-up-AP-differences.svg"
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
    page.goto(f"{address}/?{MADE_UP}&measure=P(rel=2)@5&open=baseline")
    expect(page.get_by_text("5: Precision: the share")).to_be_visible()
    page.get_by_role("combobox", name="Cut-off").click()
    page.get_by_role("option", name="20", exact=True).click()
    expect(page.get_by_text("20: Precision: the share")).to_be_visible()
    assert "20" in page.url.split("measure=")[1]


@pytest.mark.parametrize("width", [1440, 390])
def test_no_part_scrolls_the_page_sideways(page: Page, address: str, width: int) -> None:
    page.set_viewport_size({"width": width, "height": 900})
    page.goto(f"{address}/?{MADE_UP}&{SECTIONS}&check=yes&cells=letters")
    expect(page.get_by_text("identical within tolerance")).to_be_visible()
    settle(page)
    assert page.get_by_test_id("stMain").evaluate("e => e.scrollWidth <= e.clientWidth")
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
