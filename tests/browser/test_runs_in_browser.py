"""A user brings a run with a bad line, then a good one, and finds it on the other pages."""

from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

pytestmark = pytest.mark.browser

GOOD = "1 Q0 d2 1 3 t\n1 Q0 d1 2 2 t\n02 Q0 d4 1 1 t\nNA Q0 d3 1 1 t\n"


@pytest.mark.parametrize("width", [1440, 390])
def test_a_bad_run_is_refused_with_its_line_and_a_good_one_comes_in(
    page: Page, address: str, tmp_path: Path, width: int
) -> None:
    page.set_viewport_size({"width": width, "height": 900})
    name = f"mine-{width}"
    (tmp_path / "bad.run").write_text(GOOD + "02 Q0 d5 2 high t\n")
    (tmp_path / f"{name}.run").write_text(GOOD)
    page.goto(f"{address}/runs?collection=made-up")
    upload = page.locator("input[type=file]").first
    upload.set_input_files(tmp_path / "bad.run")
    expect(page.get_by_text("bad.run, line 5: the score 'high' is not a finite number")).to_be_visible()
    expect(page.get_by_role("button", name="Import", exact=True)).to_be_disabled()
    page.get_by_role("button", name="Remove bad.run").click()
    expect(page.get_by_text("bad.run, line 5")).to_have_count(0)
    upload.set_input_files(tmp_path / f"{name}.run")
    expect(page.get_by_label("Name", exact=True)).to_have_value(name)
    page.get_by_role("button", name="Import", exact=True).click()
    expect(page.get_by_text(f"Imported: {name}.")).to_be_visible()
    assert page.get_by_test_id("stMain").evaluate("e => e.scrollWidth <= e.clientWidth")
    page.goto(f"{address}/topics?collection=made-up&a={name}&b=bm25")
    expect(page.get_by_text(f"{name} vs BM25: ")).to_be_visible()
    page.goto(f"{address}/topic?collection=made-up&a={name}&b=bm25&topic=02")
    expect(page.get_by_role("heading", name="Topic 02: masks")).to_be_visible()
    page.goto(f"{address}/runs?collection=made-up")
    page.get_by_test_id("stDataFrame").first.hover()
    expect(page.get_by_role("button", name="Search").first).to_be_visible()
    expect(page.get_by_role("button", name="Download as CSV")).to_have_count(0)  # it would not neutralise formulas
    page.get_by_role("button", name="Remove a run").click()
    page.get_by_role("button", name="Remove the run and its measures").click()
    expect(page.get_by_text(f"{name} was removed.")).to_be_visible()
