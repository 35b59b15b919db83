"""The report: what is in it, that nothing in it is read as HTML, and the page that makes it."""

import re
import shlex
from collections.abc import Callable
from html.parser import HTMLParser
from io import StringIO
from pathlib import Path

import pandas as pd
import plotly.graph_objects as go
import pytest
import streamlit as st
from made_up import Open
from test_pages import texts

from core.compare import figure
from core.evaluation.results import saved_profile
from core.formats.documents import Document
from core.import_runs import import_runs
from core.workspace.workspace import CollectionFolder
from dashboard.shared import data
from dashboard.shared.ranked_lists import Hit, grade_badge
from dashboard.views.report.contents import Chosen, make_report
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


def made(folder: CollectionFolder) -> str:
    """Return the report of two systems and a topic."""
    opened = data.Opened(*saved_profile(folder.workspace, folder.name))
    return make_report(Chosen(opened, "AP", "bm25", "expanded", ["bm25", "expanded"], ["bm25", "expanded"], ["NA"]))


def test_the_page_offers_systems_topics_and_the_file(open_page: Open, made_up: CollectionFolder) -> None:
    app = open_page("report", systems="bm25,expanded", measure="AP")
    topics = app.multiselect(key="report topics")
    assert len(topics.value) == 3
    assert app.get("download_button")
    topics.set_value(["NA"]).run()
    assert app.query_params["topics"] == "NA"
    assert "for 1 topics" in texts(app)


@pytest.mark.parametrize("topics", ["gone", "NA,gone"])
def test_topics_in_a_link_that_are_not_there_are_left_out(
    open_page: Open, made_up: CollectionFolder, topics: str
) -> None:
    app = open_page("report", topics=topics)
    assert "gone" not in app.multiselect(key="report topics").value
    assert app.multiselect(key="report topics").value


def test_the_report_begins_with_the_comparison_of_both_systems(made_up: CollectionFolder) -> None:
    html = made(made_up)
    assert html.index("<strong>BM25 + &lt;b&gt;queries&lt;/b&gt; vs BM25: ") < html.index("<h2>Measures</h2>")
    assert "<summary>Details</summary><p>Randomisation test: 8 sign assignments.</p>" in html
    assert re.search(r"<p class=\"text\">\d+ documents, 3 topics", html)


# The table for a paper


def test_the_table_for_a_paper_has_what_the_link_says(open_page: Open, made_up: CollectionFolder) -> None:
    options = {"systems": "expanded,bm25", "measures": "AP,P@2", "decimals": "2", "against": "bm25", "test": "t-test"}
    app = open_page("report", **options, correction="none", labels="bm25=Plain+%26+simple", bold="off")
    code = app.code[0].value
    assert "System & AP & P@2 " in code
    rows = [line for line in code.splitlines() if line.endswith(r"\\")]
    assert [row.split(" & ")[0] for row in rows] == ["System", "BM25 + $<$b$>$queries$<$/b$>$", r"Plain \& simple"]
    assert re.fullmatch(r"\d\.\d\d(\$\^\{\\d?dagger\}\$)?", rows[1].split(" & ")[1])
    assert "paired t-test, $p < 0.05$, not corrected for multiple comparisons" in code
    assert r"\textbf" not in code
    command = next(block.value for block in app.code if "core.compare paper" in block.value)
    for option in (
        "--systems expanded,bm25",
        "--measures AP,P@2",
        "'bm25=Plain & simple'",
        "--no-bold",
        "--decimals 2",
    ):
        assert option in command
    words = shlex.split(command)[3:]
    table, _, _ = figure(words)
    assert table.latex().strip() == code.strip(), "the command prints what the page shows"


def test_choices_for_a_paper_are_written_into_the_link(open_page: Open, made_up: CollectionFolder) -> None:
    app = open_page("report")
    app.multiselect(key="choice measures").set_value(["P@2", "AP"]).run()
    app.text_input(key="label bm25").set_value("Ours").run()
    app.toggle(key="switch bold").set_value(False).run()
    app.selectbox(key="choice correction").set_value("bonferroni").run()
    assert {name: app.query_params[name] for name in ("measures", "labels", "bold", "correction")} == {
        "measures": "P@2,AP",
        "labels": "bm25=Ours",
        "bold": "off",
        "correction": "bonferroni",
    }
    assert "\nOurs" in app.code[0].value
    app.text_input(key="label bm25").set_value("BM25").run()
    assert "labels" not in app.query_params, "the system's own label needs none"


def test_what_a_link_asks_wrongly_for_a_paper_is_said(open_page: Open, made_up: CollectionFolder) -> None:
    app = open_page("report", measures="AP,nonsense@3", against="gone", decimals="77", labels="%%%")
    assert any("unknown measure" in warning.value for warning in app.warning)
    assert "System & AP " in app.code[0].value


# Many imported runs


@pytest.fixture
def many(made_up: CollectionFolder, tmp_path: Path) -> CollectionFolder:
    """Thirty imported runs over twelve topics."""
    topics = range(1, 13)
    (tmp_path / "qrels").write_text("".join(f"{topic} 0 d{topic} 1\n" for topic in topics))
    paths = []
    for system in range(30):
        lines = []
        for topic in topics:
            ranks = [f"x{rank}" for rank in range(9)]
            ranks.insert((system * topic) % 10, f"d{topic}")
            lines += [f"{topic} Q0 {name} {rank} {20 - rank} t\n" for rank, name in enumerate(ranks, 1)]
        paths.append(tmp_path / f"s{system:02}.run")
        paths[-1].write_text("".join(lines))
    folder = made_up.workspace.collection("many")
    import_runs(folder, paths, tmp_path / "qrels")
    return folder


def test_many_runs_have_one_table_and_charts_and_lists_of_the_best_ten(
    open_page: Open, many: CollectionFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    files: list[Callable[[], str]] = []
    monkeypatch.setattr(st, "download_button", lambda label, file, *_, **__: files.append(file))
    app = open_page("report", collection="many", measure="RR")
    assert not app.exception
    assert len(app.multiselect(key="choice systems").value) == 10
    html = files[-1]()
    assert html.count("Plotly.newPlot(") == 2
    assert html.count('<div class="lists">') == 3
    assert html.count("<section>") == 3 * 10
    assert all(html.count(f">s{system:02}<") >= 2 for system in range(30)), "in the table of means and of differences"
    assert len(re.findall(r"significantly|vs s\d\d", html)) < 10, "one sentence in place of thirty"
    means = pd.read_html(StringIO(html))[0].set_index("Unnamed: 0")["RR"]
    assert list(means) == sorted(means, reverse=True)
    said = texts(app) + html
    assert ">0 documents" not in html
    assert "contains document texts" not in said
    assert "Imported runs without document texts, 12 topics" in html
