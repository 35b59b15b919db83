"""The Topics page and the Topic page, as a user meets them."""

import html
import math
import re
import shutil

import pandas as pd
import pytest
from made_up import EXPANSIONS, HOSTILE_TEXT, HOSTILE_TITLE, Open, lists
from stages import make
from streamlit.testing.v1 import AppTest

from core import collection, evaluate
from core.evaluation import table_formats
from core.evaluation.table_formats import Table
from core.formats.runs import ranked, read_run
from core.retrieval.answer import Answer
from core.retrieval.kinds import open_system
from core.workspace.artifacts import writing
from core.workspace.workspace import CollectionFolder
from dashboard.shared import data
from dashboard.views.topic import explanation

TOPICS_VIEWS = ["differences", "contrasts", "heat", "difficulty", "length", "kinds"]
TOPIC_VIEWS = ["lists", "difference", "positions"]


def texts(app: AppTest) -> str:
    """The texts of a page as a reader sees them."""
    parts = [app.title, app.header, app.subheader, app.markdown, app.caption, app.text, app.info, app.warning]
    parts += [app.error]
    said = "\n".join(str(element.value) for elements in parts for element in elements).replace("\\", "")
    return "\n".join([said, *(plain(markup) for markup in markups(app))])


def markups(app: AppTest) -> list[str]:
    """Each piece of HTML of a page, without style sheets."""
    return [re.sub(r"<style>.*?</style>", "", element.proto.body, flags=re.DOTALL) for element in app.get("html")]


def plain(markup: str) -> str:
    return html.unescape(re.sub(r"<[^>]*>", "", markup))


def identities(markup: str) -> list[str]:
    return re.findall(r">document (\S+?)<", markup)


def ranking(folder: CollectionFolder, system: str, topic: str) -> list[tuple[str, float]]:
    return ranked(read_run(folder / "runs" / system / "run.trec").scores[topic])


def measured(folder: CollectionFolder, system: str, measure: str) -> pd.Series:
    tidy = pd.read_csv(folder / "measures" / "measures.csv", keep_default_na=False, dtype={"topic": str})
    rows = tidy[(tidy["system"] == system) & (tidy["measure"] == measure)]
    return rows.set_index("topic")["value"]


# Topics


@pytest.mark.parametrize("view", TOPICS_VIEWS)
def test_every_view_has_its_table_or_its_links(open_page: Open, made_up: CollectionFolder, view: str) -> None:
    app = open_page("topics", chart=view, a="expanded", b="bm25", measure="AP")
    assert "BM25 + <b>queries</b> vs BM25: " in texts(app)
    if view == "contrasts":
        assert "Largest wins of BM25" in texts(app)
        return
    assert len(app.get("plotly_chart")) == 1
    rows = app.dataframe[0].value
    if view == "kinds":
        assert dict(zip(rows["topic type"], rows["topics"], strict=True)) == {"exact term": 2, "broad": 1}
        return
    assert sorted(rows["topic"]) == ["02", "1", "NA"]
    if view == "heat":
        expected = measured(made_up, "expanded", "AP")
        assert rows.set_index("topic")["BM25 + <b>queries</b>"].to_dict() == pytest.approx(expected.to_dict())


def test_tables_are_exported_as_csv_latex_and_markdown(
    open_page: Open, made_up: CollectionFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = {}

    def downloads(table: Table, name: str, *rest: object) -> None:
        given[name] = (table.figures, table_formats.latex(table_formats.texts(table.shown), table.caption))

    monkeypatch.setattr("dashboard.shared.export.downloads", downloads)
    open_page("topics", chart="differences", a="expanded", b="bm25", measure="AP")
    open_page("topics", chart="difficulty", measure="AP")
    assert list(given) == ["made-up-topics", "made-up-wins", "made-up-difficulty"]
    raw, latex = given["made-up-topics"]
    difference = measured(made_up, "expanded", "AP") - measured(made_up, "bm25", "AP")
    assert raw["difference"].to_dict() == pytest.approx(difference.to_dict())
    assert latex.count(r" \\") == 1 + len(difference), "a row a topic, under the heads"
    assert "\\toprule" in latex
    counts = [line for line in given["made-up-difficulty"][1].splitlines() if line.startswith("02 &")]
    assert " & 1 & 1 " in counts[0], "one relevant of one judged, in whole numbers"


def test_every_table_has_a_button_for_each_form(open_page: Open, made_up: CollectionFolder) -> None:
    app = open_page("topics", chart="differences", a="expanded", b="bm25")
    assert [button.proto.label for button in app.get("download_button")] == ["CSV", "LaTeX", "Markdown", "JSON"] * 2


def test_a_tie_threshold_turns_wins_into_ties(open_page: Open, made_up: CollectionFolder) -> None:
    difference = measured(made_up, "expanded", "AP") - measured(made_up, "bm25", "AP")
    for tie in ("0", "0.1"):
        app = open_page("topics", a="expanded", b="bm25", measure="AP", tie=tie)
        row = app.dataframe[1].value.loc["BM25 + <b>queries</b>", ["wins", "ties", "losses"]].astype(int)
        assert row["wins"] == (difference > float(tie)).sum()
        assert row["ties"] == (difference.abs() <= float(tie)).sum()
        counts = re.search(r"(\d+) wins?, (\d+) ties?, (\d+) loss", texts(app))
        assert counts and list(map(int, counts.groups())) == row.tolist()


def test_the_difference_to_the_median_system(open_page: Open, made_up: CollectionFolder) -> None:
    app = open_page("topics", a="expanded", b="-median", measure="AP")
    values = [measured(made_up, system, "AP") for system in ("expanded", "bm25")]
    expected = (values[0] - values[1]) / 2  # the median of two is their mean
    rows = app.dataframe[0].value.set_index("topic")
    assert rows["difference"].to_dict() == pytest.approx(expected.to_dict())
    assert "BM25 + <b>queries</b> vs median system: " in texts(app)
    assert not open_page("topics", a="expanded", b="-median", chart="contrasts").exception


def test_a_measure_of_the_overview_is_kept_and_its_figures_say_where_they_come_from(
    open_page: Open, made_up: CollectionFolder
) -> None:
    app = open_page("topics", a="expanded", b="bm25", measure="nDCG@2")
    assert (app.selectbox(key="choice family").value, app.selectbox(key="choice cutoff").value) == ("nDCG", "2")
    row = app.dataframe[0].value.set_index("topic").loc["NA"]
    rank = [name for name, _ in ranking(made_up, "bm25", "NA")].index("d3") + 1  # the one relevant document
    expected = 1 / math.log2(rank + 1) if rank <= 2 else 0.0
    assert row["BM25"] == pytest.approx(expected)
    commands = "\n".join(code.value for code in app.code)
    assert "python -m core.compare topics made-up --measure nDCG@2 --a expanded --b bm25" in commands
    parts = open_page("topic", a="expanded", b="bm25", measure="nDCG@2", topic="NA", view="difference").dataframe[0]
    assert parts.value["contribution"].sum() == pytest.approx(row["difference"])


def test_the_kind_filter_keeps_its_topics(open_page: Open, made_up: CollectionFolder) -> None:
    app = open_page("topics", kind="exact")
    assert sorted(app.dataframe[0].value["topic"]) == ["1", "NA"]
    assert "have the same nDCG@10 on all 2 topics" in texts(app).replace("\u2060", "")
    assert "Topics selected: 1. At least two are needed" in texts(open_page("topics", kind="broad"))


def test_a_system_alone_is_drawn_by_itself(open_page: Open, made_up: CollectionFolder) -> None:
    shutil.rmtree(made_up / "runs" / "expanded")
    make(evaluate.STAGE, data.open_collection("made-up").profile, made_up)
    assert "Only BM25 is evaluated" in texts(open_page("topics", topic="02", chart="contrasts"))
    app = open_page("topic", topic="02", view="difference")
    assert "d4" in identities(lists(app)[0]), "without a second system there is no difference to show"


def test_choosing_a_topic_opens_its_page(open_page: Open, made_up: CollectionFolder) -> None:
    app = open_page("topics", measure="AP")
    box = next(box for box in app.selectbox if box.label == "Open a topic")
    box.select("02").run()
    assert app.title[0].value == "Topic"
    assert app.query_params["topic"] == app.query_params["topic"] == "02"
    assert "Topic 02: masks" in texts(app)


# One topic


def rows(markup: str) -> dict[str, str]:
    """The rows of a compact list, by document."""
    return {identities(row)[0]: row for row in re.split(r"<li\b", markup)[1:]}


def test_a_link_opens_a_topic_with_its_lists_and_the_ideal_one(open_page: Open, made_up: CollectionFolder) -> None:
    app = open_page("topic", a="expanded", b="bm25", topic="02", ideal="on")
    expanded, bm25, ideal = lists(app)
    for markup, system in ((expanded, "expanded"), (bm25, "bm25")):
        assert identities(markup) == [name for name, _ in ranking(made_up, system, "02")]
    assert identities(ideal) == ["d4"]
    assert 'aria-label="relevant (2)"' in rows(expanded)["d4"]
    assert 'aria-label="unjudged"' in rows(expanded)["d5"]
    ranks = {
        system: {name: rank for rank, (name, _) in enumerate(ranking(made_up, system, "02"), 1)}
        for system in ("expanded", "bm25")
    }
    first = identities(expanded)[0]
    assert f"B\u00a0{ranks['bm25'].get(first, '–')}" in rows(expanded)[first]
    assert f"A\u00a0{ranks['expanded']['d4']}" in rows(ideal)["d4"]
    assert "<mark>Masks</mark>" in expanded


def test_the_third_list_has_the_relevant_documents_that_no_list_has_in_its_top_k(
    open_page: Open, made_up: CollectionFolder
) -> None:
    path = made_up / "collection" / "qrels" / "test.tsv"
    add_judgment(made_up, path.read_text() + "02\td2\t1\n")
    expanded, bm25, missed = lists(open_page("topic", a="expanded", b="bm25", topic="02"))
    assert "d2" not in {*identities(expanded), *identities(bm25)}
    assert identities(missed) == ["d2"], "d4 is relevant and in a list"
    assert "A\u00a0–" in missed


def test_unjudged_is_not_called_not_relevant(open_page: Open, made_up: CollectionFolder) -> None:
    app = open_page("topic", a="bm25", b="expanded", topic="NA")
    badges = re.findall(r'rs-grade (rs-[\w-]+)" role="img" aria-label="([^"]*)"', "".join(lists(app)))
    assert ("rs-not-relevant", "not relevant (0)") in badges
    assert ("rs-partly-relevant", "partly relevant (1)") in badges
    assert all((name == "rs-unjudged") == ("unjudged" in words) for name, words in badges)


def test_only_differences_folds_what_all_lists_have(open_page: Open, made_up: CollectionFolder) -> None:
    parameters = {"a": "expanded", "b": "bm25", "topic": "02"}
    shared = {name for name, _ in ranking(made_up, "expanded", "02")} & {n for n, _ in ranking(made_up, "bm25", "02")}
    assert shared

    def folded(app: AppTest) -> list[set[str]]:
        """The folded documents of each ranked list."""
        folds = [re.findall(r'<li class="rs-shared">.*?</ol>', markup) for markup in lists(app)[:2]]
        return [set(identities("".join(fold))) for fold in folds]

    assert folded(open_page("topic", **parameters, differences="on")) == [shared, shared]
    assert folded(open_page("topic", **parameters)) == [set(), set()]
    opened = min(shared)
    app = open_page("topic", **parameters, differences="on", document=opened)
    assert folded(app) == [shared - {opened}] * 2, "the open document is in sight"


def test_one_line_says_where_the_topic_stands(open_page: Open, made_up: CollectionFolder) -> None:
    order = list(open_page("topics", a="expanded", b="bm25", measure="AP").dataframe[0].value["topic"])
    said = texts(open_page("topic", a="expanded", b="bm25", measure="AP", topic="02"))
    a, b = (measured(made_up, system, "AP")["02"] for system in ("expanded", "bm25"))
    assert f"{order.index('02') + 1} of 3 by difference" in said
    assert f"A {a:.4f}B {b:.4f}{a - b:+.4f} AP".replace("-", "\N{MINUS SIGN}") in said
    assert "broad" in said


def test_next_and_previous_follow_the_differences(open_page: Open, made_up: CollectionFolder) -> None:
    order = list(open_page("topics", a="expanded", b="bm25", measure="AP").dataframe[0].value["topic"])
    app = open_page("topic", a="expanded", b="bm25", measure="AP")
    buttons = {button.label: button for button in app.button}
    assert buttons["Previous"].disabled
    assert (buttons["Previous"].proto.shortcut, buttons["Next"].proto.shortcut) == ("p", "n")
    buttons["Next"].click().run()
    assert app.query_params["topic"] == order[1]
    next(button for button in app.button if button.label == "Next").click().run()
    assert app.query_params["topic"] == order[2]
    assert next(button for button in app.button if button.label == "Next").disabled
    next(button for button in app.button if button.label == "Previous").click().run()
    assert app.query_params["topic"] == order[1]


def test_the_parts_add_up_to_the_measured_difference(open_page: Open, made_up: CollectionFolder) -> None:
    for topic in ("1", "02", "NA"):
        app = open_page("topic", a="expanded", b="bm25", topic=topic, view="difference")
        difference = measured(made_up, "expanded", "nDCG@10")[topic] - measured(made_up, "bm25", "nDCG@10")[topic]
        assert app.dataframe[0].value["contribution"].sum() == pytest.approx(difference)
        assert f"The contributions sum to {difference:+.4f}" in texts(app)


def test_positions_show_ranks_and_overlap(open_page: Open, made_up: CollectionFolder) -> None:
    app = open_page("topic", a="expanded", b="bm25", topic="1", view="positions")
    table, overlap = app.dataframe[0].value, app.dataframe[1].value
    ranks = {name: rank for rank, (name, _) in enumerate(ranking(made_up, "bm25", "1"), 1)}
    assert dict(zip(table["document"], table["BM25"], strict=True)) == ranks
    assert list(overlap["system A"]) == ["BM25 + <b>queries</b>"]


def add_judgment(made_up: CollectionFolder, qrels: str) -> None:
    source = made_up.workspace.root / "source" / "qrels" / "test.tsv"
    source.write_text(qrels)
    saved = data.open_collection("made-up").profile
    moved = saved.collection.model_copy(update={"source": str(source.parent.parent)})
    make(collection.STAGE, saved.model_copy(update={"collection": moved}), made_up)


def test_a_missed_document_is_said_to_be_beyond_the_run(open_page: Open, made_up: CollectionFolder) -> None:
    path = made_up / "collection" / "qrels" / "test.tsv"
    add_judgment(made_up, path.read_text() + "02\td2\t1\n")
    assert "d2" not in dict(ranking(made_up, "bm25", "02"))
    app = open_page("topic", a="expanded", b="bm25", topic="02")
    assert "BM25 misses 1 of 2 relevant documents in its top 10: 0 ranked lower, 1 not among the" in texts(app)
    row = app.dataframe[0].value.set_index("document").loc["d2"]
    assert pd.isna(row["BM25"])


def explained(markup: str) -> dict[str, list[list[str]]]:
    """The rows of each table of contributions to a score, by the letter of its system."""
    tables = re.findall(r"<table><caption>(\w): .*?</caption>(.*?)</table>", markup)
    return {
        letter: [[plain(cell) for cell in re.findall(r"<td>(.*?)</td>", row)] for row in body.split("</tr>")[:-1]]
        for letter, body in tables
    }


def test_the_terms_of_a_score_add_up_and_predicted_queries_are_told_apart(
    open_page: Open, made_up: CollectionFolder
) -> None:
    app = open_page("topic", a="expanded", b="bm25", topic="02", document="d5", list="B")
    assert "rs-why" not in lists(app)[0], "opened in the list of B"
    opened = lists(app)[1]
    assert re.findall("<details open>", "".join(lists(app))) == ["<details open>"]
    tables = explained(opened)
    for letter, system in (("A", "expanded"), ("B", "bm25")):
        score = dict(ranking(made_up, system, "02"))["d5"]
        assert sum(float(row[1]) for row in tables[letter]) == pytest.approx(score, abs=1e-3)
        assert f"Sum: {score:.4f} (= score)" in plain(opened)
    where = {row[0]: row[3] for row in tables["A"]}
    assert where["school"] == "predicted queries only"
    assert where["mask"] == ""
    assert "2 of 2 predicted queries contain a query term:" in plain(opened)
    assert "".join(EXPANSIONS["d5"]) in plain(opened)


def test_scores_are_explained_only_for_the_open_document(
    open_page: Open, made_up: CollectionFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []
    original = explanation.live.ready_system
    monkeypatch.setattr(
        explanation.live, "ready_system", lambda *given: asked.append(given[1].name) or original(*given)
    )
    app = open_page("topic", a="expanded", b="bm25", topic="02")
    assert not asked
    assert "rs-why" not in "".join(lists(app))
    open_page("topic", a="expanded", b="bm25", topic="02", document="d5")
    assert asked == ["expanded", "bm25"]


def test_the_words_of_a_dense_score_add_up(
    open_page: Open, made_up: CollectionFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Dense:
        def search(self, queries: list[str], k: int | list[int]) -> list[Answer]:
            return [Answer([])]

        def explain_words(self, query: str, document: object) -> list[tuple[str, float]]:
            return [("[CLS]", 0.09), ("Masks", 0.25), ("<on>", -0.06), ("masks", 0.15), ("the", 0.07)]

    monkeypatch.setattr("core.evaluate._sentence_transformers_rows", lambda *arguments: [])
    for stage in ("vectors", "runs"):
        with writing(made_up.artifact(f"{stage}/dense"), "test", {}, {}) as partial:
            shutil.copy(made_up / "runs" / "bm25" / "run.trec", partial / "run.trec")
    make(evaluate.STAGE, data.open_collection("made-up").profile, made_up)
    monkeypatch.setattr("core.workspace.models.find_model", lambda workspace, name: made_up.path)
    monkeypatch.setattr(
        "core.retrieval.kinds.open_system",
        lambda p, s, folder, opened: Dense() if s.kind == "dense" else open_system(p, s, folder, opened=opened),
    )
    app = open_page("topic", a="dense", b="bm25", topic="02", document="d5", more="expanded")
    markup = lists(app)[0]
    assert explained(markup)["A"][0] == ["masks", "0.4000", "", "2 times"]
    assert "Sum: 0.5000 (= score), including 0.0100 from stop words and punctuation." in plain(markup)
    assert any("&lt;on&gt;" in part for part in lists(app))


def test_a_system_that_cannot_explain_says_why_and_the_others_do(open_page: Open, made_up: CollectionFolder) -> None:
    shutil.rmtree(made_up / "bm25" / "bm25")
    app = open_page("topic", a="expanded", b="bm25", topic="02", document="d5")
    assert "bm25/bm25 is missing" in texts(app)
    assert explained("".join(lists(app)))["A"]


def test_a_document_that_no_list_shows_is_added_and_explained(open_page: Open, made_up: CollectionFolder) -> None:
    assert "d2" not in dict(ranking(made_up, "bm25", "02"))
    app = open_page("topic", a="expanded", b="bm25", topic="02", document="d2")
    assert identities(lists(app)[-1])[-1] == "d2"
    assert "No query term occurs in the document." in texts(app)


def test_an_unknown_topic_is_said_to_be_unknown(open_page: Open, made_up: CollectionFolder) -> None:
    app = open_page("topic", topic="77", view="odd", document="gone", more="nobody", depth="3")
    assert "Topic 77 is not in this selection" in texts(app)
    assert "no topic of type odd" in texts(open_page("topic", kind="odd"))


def test_hostile_texts_are_shown_as_they_are(open_page: Open, made_up: CollectionFolder) -> None:
    for view in TOPIC_VIEWS:
        app = open_page("topic", topic="1", view=view, document="d1")
        for markup in lists(app):
            assert not re.search(r"<(img|script|b|i|u|a)\b", markup)
        for markup in markups(app):
            assert not re.search(r"<(img|script|b>fever|u)\b", markup)
        for element in [*app.markdown, *app.caption, *app.info, *app.warning, *app.header, *app.subheader]:
            assert not re.search(r"(?<!\\)(<img|<script|<b>|\$x|\]\(|:smile)", element.value)
        assert not any(element.allow_html for element in [*app.markdown, *app.caption])
    shown = plain("".join(lists(open_page("topic", topic="1"))))
    assert HOSTILE_TITLE in shown
    assert HOSTILE_TEXT in shown


def test_every_topic_of_the_sample_opens(open_page: Open) -> None:
    app = open_page("topic", collection="sample", a="fine-tuned", more="bm25-doc2query,all-MiniLM-L6-v2")
    topics = app.selectbox(key="choice topic").options
    assert len(topics) == 48
    for place in range(len(topics) - 1):
        app.query_params["view"] = TOPIC_VIEWS[place % 3]
        next(button for button in app.button if button.label == "Next").click().run()
        assert not app.exception, app.exception[0].message
    assert app.query_params["topic"] == topics[-1].split(" ")[0]
