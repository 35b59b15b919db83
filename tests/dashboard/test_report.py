"""The report: what is in it, that nothing in it is read as HTML, and the page that makes it."""

import re
from html.parser import HTMLParser

import pandas as pd
import plotly.graph_objects as go
import pytest
from made_up import Open

from core.formats.documents import Document
from core.workspace.workspace import CollectionFolder
from dashboard.shared.ranked_lists import Hit, grade_badge
from dashboard.views.report.report import Report

EVIL = '</script></title><script>window.hacked=1</script><img src="http://127.0.0.1:9/x" onerror="window.hacked=1">'


def evil_report() -> str:
    """A report where every text is hostile."""
    report = Report(EVIL)
    report.heading(EVIL)
    report.paragraph(EVIL)
    report.paragraph(EVIL, note=True)
    report.table(pd.DataFrame({EVIL: [EVIL, 0.123456]}, index=pd.Index([EVIL, "b"], name=EVIL)))
    report.table(pd.DataFrame({"a": [EVIL]}), folded=EVIL)
    report.chart(go.Figure(go.Bar(x=[EVIL], y=[1], name=EVIL, customdata=[EVIL])))
    report.chart(go.Figure(go.Bar(x=["a"], y=[2])))
    document = Document(EVIL, EVIL, EVIL)
    badge = grade_badge(None, 2)
    hits = [Hit(EVIL, document, 1, badge, 1.0, EVIL, [(EVIL, 1.0)], [EVIL]), Hit(EVIL, None, 2, badge, 0.5)]
    report.lists([(EVIL, hits, lambda text: [(1, 8)] if text else [])])
    return report.html()


class Tags(HTMLParser):
    """The tags and attributes that a browser would find."""

    def __init__(self, html: str):
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs


def test_no_text_becomes_a_tag_and_nothing_is_fetched() -> None:
    html = evil_report()
    found = Tags(html)
    assert "img" not in found.tags
    assert found.tags.count("title") == 1
    assert not [name for name, _ in found.attributes if name in ("src", "href", "onerror")]
    assert "default-src 'none'" in html
    scripts = re.findall(r"<script[^>]*>(.*?)</script>", html, re.DOTALL)
    assert len(scripts) == found.tags.count("script")
    assert not any(script.startswith("window.hacked") for script in scripts)


def test_the_library_of_the_charts_is_inside_once_and_the_figures_are_there() -> None:
    html = evil_report()
    assert html.count("Plotly.newPlot(") == 2
    assert 4_000_000 < len(html) < 7_000_000, "once, not twice and not from elsewhere"
    assert "0.1235" in html


def test_long_texts_of_a_table_are_whole() -> None:
    report = Report("r")
    report.table(pd.DataFrame({"SHA-256": ["f" * 64]}))
    assert "f" * 64 in report.html()


def test_the_page_offers_systems_topics_and_the_file(open_page: Open, made_up: CollectionFolder) -> None:
    app = open_page("report", systems="bm25,expanded", measure="AP")
    assert app.multiselect[1].label == "Example topics"
    assert len(app.multiselect[1].value) == 3
    assert app.get("download_button")
    app.multiselect[1].set_value(["NA"]).run()
    assert app.query_params["topics"] == "NA"
    assert "for 1 topics" in " ".join(element.value for element in app.markdown)
    alone = open_page("report", systems="bm25")
    assert [box.label for box in alone.selectbox if "Compared with the baseline" in box.label] == []


@pytest.mark.parametrize("topics", ["gone", "NA,gone"])
def test_topics_in_a_link_that_are_not_there_are_left_out(
    open_page: Open, made_up: CollectionFolder, topics: str
) -> None:
    app = open_page("report", topics=topics)
    assert "gone" not in app.multiselect[1].value
    assert app.multiselect[1].value
