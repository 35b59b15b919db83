"""The tables and charts of the Topics and Topic pages, against cases worked by hand."""

import re
from html import escape

import numpy as np
import pandas as pd
import pytest
import pytrec_eval
from hypothesis import given
from hypothesis import strategies as st

from core.evaluation import grades, rank_tables, topic_tables
from core.evaluation.ndcg_decomposition import split_difference
from core.formats.documents import Document
from core.formats.topics import Topic
from core.workspace.profile import tomllib
from core.workspace.workspace import CHECKOUT
from dashboard.shared import charts, ranked_lists
from dashboard.views.topic import charts as topic_charts
from dashboard.views.topic import side_by_side
from dashboard.views.topics import charts as topics_charts
from dashboard.views.topics.topic_list import topic_list

VALUES = {
    "a": {"1": 0.5, "2": 0.25, "3": 0.0},
    "b": {"3": 0.05, "2": 0.5, "1": 0.125},
    "c": {"1": 0.3, "2": 0.3},
}
TOPICS = {name: Topic(name, f"query {name}", f"a question of words {name}" + " more" * int(name)) for name in "123"}
QRELS = {"1": {"d": 2, "e": 0}, "2": {"d": 1}, "3": {}}
RANKINGS = {"a": ["d", "e", "f", "g"], "b": ["f", "h", "d"]}
JUDGMENTS = {"d": 2, "g": 1, "x": 1, "f": 0}


def test_the_median_is_over_the_systems_that_have_the_topic() -> None:
    assert topic_tables.median_system(VALUES) == {"1": 0.3, "2": 0.3, "3": 0.025}


def test_wins_ties_and_losses_pair_by_topic_and_heed_the_threshold() -> None:
    exact = topic_tables.tallies(VALUES, "b", ["1", "2", "3"], 0.0)
    assert exact.loc["a"].to_list() == [3, pytest.approx(0.075 / 3), 1, 0, 2]
    assert exact.loc["c"].to_list() == [2, pytest.approx(-0.025 / 2), 1, 0, 1], "a topic that c lacks is not counted"
    assert topic_tables.tallies(VALUES, "b", ["1", "2", "3"], 0.05).loc["a", "wins":].to_list() == [1, 1, 1]
    assert topic_tables.tallies(VALUES, "b", ["3"], 0.0).index.to_list() == ["a"]


def test_the_hardest_topic_is_first() -> None:
    table = topic_tables.difficulty(VALUES, TOPICS, QRELS, ["1", "2", "3"])
    assert list(table["topic"]) == ["3", "1", "2"]
    assert table.iloc[1][["lowest", "highest", "best", "relevant", "judged"]].to_list() == [0.125, 0.5, "a", 1, 2]
    assert table["mean"].iloc[0] == pytest.approx(0.025)
    assert pd.isna(table["c"].iloc[0])


def test_words_of_the_searched_field_are_counted() -> None:
    table = topic_tables.differences(VALUES["a"], VALUES["b"], TOPICS)
    by_question = topic_tables.with_lengths(table, TOPICS, "question")
    assert dict(zip(by_question["topic"], by_question["words"], strict=True)) == {"1": 6, "2": 7, "3": 8}
    assert set(topic_tables.with_lengths(table, TOPICS, "query")["words"]) == {2}


def test_rank_correlation_by_hand() -> None:
    rising, falling = pd.Series([1, 2, 3, 4]), pd.Series([9, 7, 5, 1])
    found = topic_tables.rank_correlation(rising, falling)
    assert found
    assert found[0] == pytest.approx(-1)
    swapped = topic_tables.rank_correlation(rising, pd.Series([1, 2, 4, 3]))
    assert swapped
    assert swapped[0] == pytest.approx(1 - 6 * 2 / (4 * 15))
    assert topic_tables.rank_correlation(rising, pd.Series([1, 1, 1, 1])) is None


def test_scores_that_a_page_shows_as_equal_count_as_the_same() -> None:
    rows = [("1", 0.3), ("2", 0.006), ("3", -0.004), ("4", -0.2)]
    table = pd.DataFrame(rows, columns=["topic", "difference"])
    picked = topic_tables.contrasts(table, dict.fromkeys("1234", 0.5), 0.0, 1)
    assert picked == {"a": ["1"], "b": ["4"], "apart": ["2"]}
    picked = topic_tables.contrasts(table, dict.fromkeys("1234", 0.5), 0.0, 3)
    assert picked == {"a": ["1", "2"], "b": ["4", "3"], "apart": []}, "no topic is named twice"


def test_contrasts_are_the_ends_and_ties_with_other_documents() -> None:
    rows = [("1", 0.4), ("2", 0.2), ("3", 0.01), ("4", 0.0), ("5", 0.0), ("6", -0.3), ("7", -0.5)]
    table = pd.DataFrame(rows, columns=["topic", "difference"])
    overlaps = {"3": 0.2, "4": 1.0, "5": 0.1}
    picked = topic_tables.contrasts(table, overlaps, 0.05, 2)
    assert picked == {"a": ["1", "2"], "b": ["7", "6"], "apart": ["5", "3"]}


def test_positions_and_what_is_missed() -> None:
    names = rank_tables.shown_documents(RANKINGS, 2)
    assert names == ["d", "e", "f", "h"]
    table = rank_tables.positions(RANKINGS, names, JUDGMENTS).set_index("document")
    assert table.loc["d", ["grade", "a", "b"]].to_list() == [2, 1, 3]
    assert pd.isna(table.loc["h", "a"])
    assert pd.isna(table.loc["h", "grade"]), "unjudged is no grade"
    relevant = [("d", 2), ("x", 1), ("g", 1)]
    missed = rank_tables.missed(RANKINGS, relevant, 2)
    assert list(missed["document"]) == ["d", "x", "g"], "b has d at rank 3 only"
    assert rank_tables.missed(RANKINGS, relevant, 3)["document"].to_list() == ["x", "g"]
    counts = rank_tables.missed_counts(missed, RANKINGS, 2)
    assert counts.loc["a"].to_dict() == {"missed": 2, "ranked later": 1, "not in the run": 1, "run": 4}
    assert counts.loc["b"].to_dict() == {"missed": 3, "ranked later": 1, "not in the run": 2, "run": 3}


def test_overlap_of_every_two_lists() -> None:
    table = rank_tables.overlaps(RANKINGS | {"c": ["f", "h", "d"]}, 3)
    assert list(zip(table["a"], table["b"], strict=True)) == [("a", "b"), ("a", "c"), ("b", "c")]
    assert table["Jaccard@3"].to_list() == pytest.approx([2 / 4, 2 / 4, 1])
    assert table["shared@3"].to_list() == [2, 2, 3]
    assert table["RBO"].iloc[2] == pytest.approx(1)


def test_the_sentence_says_what_changed() -> None:
    parts = split_difference(RANKINGS["a"], RANKINGS["b"], JUDGMENTS, 2)
    said = rank_tables.change_sentence(parts, "A", "B", 2, {"d": "The *title*"}, 2)
    assert said.startswith("nDCG@2 changes by +0.")
    assert " from B to A. Documents in the top 2: " in said
    assert "2 entered (1 relevant): +0." in said
    assert "2 dropped out (0 relevant): +0.0000" in said
    assert "re-ranked" not in said
    assert "“The *title*” (relevant) rises from rank 3 to 1, into the top 2 (+0." in said
    swapped = split_difference(["x"], ["d", "f"], JUDGMENTS, 2)
    said = rank_tables.change_sentence(swapped, "A", "B", 2, {}, 2)
    assert "“d” (relevant) at rank 1 is no longer retrieved (-" in said


def test_the_document_named_first_goes_with_the_change_and_a_larger_one_against_it_is_named_too() -> None:
    # four relevant documents, ideal 1 + 1/log2(3) + 1/2 + 1/log2(5) = 2.5616; "x" enters at rank 1: +1 / 2.5616
    judgments = dict.fromkeys("xdgh", 1)
    parts = split_difference(["x", "n"], ["n", "d", "g", "h"], judgments, 4)
    assert [part.document for part in parts] == ["d", "g", "h", "x", "n"]
    said = rank_tables.change_sentence(parts, "A", "B", 4, {}, 1)
    assert "changes by -0.2192" in said
    assert "Largest contribution: “d” (relevant) at rank 2 is no longer retrieved (-0.2463)." in said
    against = "“x” (relevant) enters at rank 1 (+0.3904)."
    assert said.endswith(f"Largest contribution in the opposite direction: {against}")
    back = rank_tables.change_sentence(split_difference(["n", "d"], ["x", "n"], judgments, 4), "B", "A", 4, {}, 1)
    assert "changes by -0.1441" in back
    assert "opposite direction" not in back, "the largest part is that of the change"


def test_gains_and_losses_that_cancel_out_are_no_change() -> None:
    exchanged = split_difference(["d", "e"], ["e", "d"], {"d": 1, "e": 1}, 2)
    said = rank_tables.change_sentence(exchanged, "A", "B", 2, {}, 1)
    assert said.startswith("A and B have the same nDCG@2: gains and losses cancel out.")
    assert "2 re-ranked (2 relevant): +0.0000" in said


# Few documents, grades and places, so that parts often cancel out or go against the change.
rankings = st.lists(st.sampled_from("abcdefgh"), unique=True, max_size=8)


@given(a=rankings, b=rankings, grades=st.dictionaries(st.sampled_from("abcdefgh"), st.integers(0, 3), min_size=1))
def test_the_document_named_first_has_the_sign_of_trec_evals_difference(a, b, grades) -> None:
    k = 5
    parts = split_difference(a, b, grades, k)
    said = rank_tables.change_sentence(parts, "A", "B", k, {}, 3)
    runs = ({"1": {document: -float(rank) for rank, document in enumerate(names)}} for names in (a, b))
    evaluator = pytrec_eval.RelevanceEvaluator({"1": grades}, {"ndcg_cut.5"})
    of_a, of_b = (evaluator.evaluate(run)["1"]["ndcg_cut_5"] if run["1"] else 0.0 for run in runs)
    if abs(of_a - of_b) < 1e-9:
        assert "have the same nDCG@5" in said
        return
    change = float(re.search(r"changes by ([+-][0-9.e-]+) from B to A\.", said)[1])
    named = float(re.search(r"Largest contribution: .*? \(([+-][0-9.e-]+)\)\.", said)[1])
    assert change == pytest.approx(of_a - of_b, abs=6e-5)
    assert named * change > 0
    other = re.search(r"Largest contribution in the opposite direction: .*? \(([+-][0-9.e-]+)\)\.", said)
    largest = max(parts, key=lambda part: abs(part.value))
    assert bool(other) == (abs(largest.value) > max(p.value * np.sign(change) for p in parts))
    assert not other or float(other[1]) * change < 0


@given(a=rankings, b=rankings, grades=st.dictionaries(st.sampled_from("abcdefgh"), st.integers(0, 3), min_size=1))
def test_the_reason_adds_up_to_trec_evals_difference(a, b, grades) -> None:
    k = 5
    said = rank_tables.reason_sentence(split_difference(a, b, grades, k), "A", "B", k, {}, 3)
    runs = ({"1": {document: -float(rank) for rank, document in enumerate(names)}} for names in (a, b))
    evaluator = pytrec_eval.RelevanceEvaluator({"1": grades}, {"ndcg_cut.5"})
    of_a, of_b = (evaluator.evaluate(run)["1"]["ndcg_cut_5"] if run["1"] else 0.0 for run in runs)
    if abs(of_a - of_b) < 1e-9:
        assert said.startswith("A and B have the same nDCG@5: ")
        assert said.count(".") == 1
        return
    verb, size = re.match(r"A (gains|loses) ([0-9.e-]+) nDCG@5 ", said).groups()
    assert float(size) * (1 if verb == "gains" else -1) == pytest.approx(of_a - of_b, abs=6e-5)
    first, *others = (float(value) for value in re.findall(r"[+-][0-9.]+(?:e-[0-9]+)?(?=[;).])", said))
    assert first * (of_a - of_b) > 0
    assert first + sum(others) == pytest.approx(of_a - of_b, abs=2e-4)


def test_the_reason_says_how_the_document_moved() -> None:
    def reason(a: list[str], b: list[str]) -> str:
        return rank_tables.reason_sentence(split_difference(a, b, {"d": 2}, 2), "A", "B", 2, {"d": "T"}, 2)

    # The ideal DCG is 2, so that rank 1 is worth 1 and rank 2 is worth 1 / log2(3).
    assert reason(["d", "e"], ["e", "d"]) == (
        "A gains 0.3691 nDCG@2 over B: “T” (relevant) rises from rank 2 to 1 (+0.3691)."
    )
    assert "loses 1.0000 nDCG@2 against B: “T” (relevant) at rank 1 is no longer retrieved (-1.0000)." in reason(
        ["e"], ["d"]
    )
    assert "“T” (relevant) rises from rank 3 to 1, into the top 2 (+1.0000)." in reason(["d"], ["e", "f", "d"])
    assert "“T” (relevant) falls from rank 2 to 3, out of the top 2 (-0.6309)." in reason(["e", "f", "d"], ["e", "d"])
    assert "“T” (relevant) enters at rank 2 (+0.6309)." in reason(["e", "d"], ["e"])
    assert reason(["e"], ["e"]).endswith("the top 2 documents are the same, in the same order.")


def test_lines_lead_from_rank_to_rank_past_what_is_folded() -> None:
    def column(name: str, documents: str) -> side_by_side.Column:
        hits = [ranked_lists.Hit(document, None, rank) for rank, document in enumerate(documents, 1)]
        return side_by_side.Column(name, name, "", hits, lambda text: [])

    def lines(*folded: str) -> list[tuple[int, int]]:
        columns = [column("A", "abcde"), column("B", "cbxae")]
        markup = side_by_side.side_by_side(columns, set(folded), {"a"})
        found = re.findall(r"--from: (\d+); --to: (\d+)", markup)
        return [(int(left), int(right)) for left, right in found]

    assert lines() == [(0, 3), (1, 1), (2, 0), (4, 4)]
    # "b" and "c" are one row in A; in B "c" and "b" are one row, too.
    assert lines("b", "c") == [(0, 2), (3, 3)]
    markup = side_by_side.side_by_side([column("<A>", "a"), column("B", "a")], set(), {"a"})
    assert ">&lt;A&gt;</strong>" in markup
    assert markup.count("rs-line-relevant") == 2, "in the style, and on the line"


def test_the_list_of_topics_shows_texts_as_they_are_and_bars_by_sign() -> None:
    rows = [
        ('"><i>', "exact", "<b>q</b>", 0.5, 0.0, 0.5),
        ("2", "x", "r", 0.1, 0.1, 0.0),
        ("3", "", "", 0.0, 0.25, -0.25),
    ]
    table = pd.DataFrame(rows, columns=["topic", "kind", "query", "a", "b", "difference"])
    markup = topic_list(table, "<A>", "B", lambda topic: f"topic?topic={topic}", "2", 0.0)
    assert not re.search(r"<[bi]>", markup)
    assert 'data-rs-open="&quot;&gt;&lt;i&gt;"' in markup
    assert re.findall(r'style="left: ([0-9.]+)%; width: ([0-9.]+)%"', markup) == [("50.0", "50.0"), ("25.0", "25.0")]
    assert markup.count('aria-current="true"') == 1
    assert "+0.5000" in markup and "\N{MINUS SIGN}0.2500" in markup
    assert "rs-untyped" not in markup.rpartition("</style>")[2]
    untyped = topic_list(table.assign(kind=""), "A", "B", lambda topic: topic, "", 0.0)
    assert '<div class="rs-topics rs-untyped">' in untyped, "no empty column of types"
    many = pd.concat([table.assign(topic=str(number)) for number in range(200)], ignore_index=True)
    markup = topic_list(many, "A", "B", lambda topic: topic, "", 0.0)
    assert markup.count("data-rs-open=") == 400
    assert "200 topics between these are not listed" in markup


def test_the_sentence_of_no_difference_says_why() -> None:
    same = split_difference(["d", "e"], ["d", "e"], JUDGMENTS, 2)
    said = rank_tables.change_sentence(same, "A", "B", 2, {}, 2)
    assert "the top 2 documents are the same, in the same order" in said
    idle = split_difference(["d", "e"], ["d", "f"], JUDGMENTS, 2)
    assert "no relevant document entered, dropped out or changed rank" in rank_tables.change_sentence(
        idle, "A", "B", 2, {}, 2
    )


def test_ties_within_the_threshold_are_diamonds() -> None:
    table = topic_tables.differences(VALUES["a"], VALUES["b"], TOPICS)
    better, worse, tie = charts.difference_bars(table, "A", "B", "AP", "", tie=0.05).data
    assert [list(trace.customdata) for trace in (better, worse, tie)] == [["1"], ["2"], ["3"]]
    assert list(tie.y) == [-0.05]


def test_every_mark_of_the_charts_of_topics_is_its_topic() -> None:
    hard = topic_tables.difficulty(VALUES, TOPICS, QRELS, ["1", "2", "3"])
    cells = topics_charts.heat_map(hard, {"a": "<b>A</b>", "b": "B"}, "AP").data
    assert [list(bar.customdata) for bar in cells] == [["3", "1", "2"]] * 2
    assert list(cells[0].marker.color) == [0.0, 0.5, 0.25]
    assert [list(bar.base) for bar in cells] == [[0] * 3, [1] * 3]
    ten = dict.fromkeys("abcdefghij", "a long name of a system & its version")
    axis = topics_charts.heat_map(hard.assign(**dict.fromkeys(ten, 0.5)), ten, "AP").layout.xaxis
    assert axis.tickangle == -90 and len(axis.ticktext[0]) < 32 and "&amp;" not in axis.ticktext[0][:20]
    (bars,) = topics_charts.difficulty_bars(hard, "AP").data
    assert list(bars.customdata) == ["3", "1", "2"]
    assert list(bars.y - bars.error_y.arrayminus) == pytest.approx([0.0, 0.125, 0.25])
    table = topic_tables.differences(VALUES["a"], VALUES["b"], TOPICS)
    (dots,) = topics_charts.length_scatter(topic_tables.with_lengths(table, TOPICS, "question"), "AP").data
    assert list(zip(dots.customdata, dots.x, strict=True)) == [("1", 6), ("3", 8), ("2", 7)]


def test_the_lines_between_the_lists_hold_every_rank() -> None:
    table = rank_tables.positions(RANKINGS, ["d", "g", "f", "h"], JUDGMENTS).assign(title="<i>T</i>")
    figure = topic_charts.position_lines(table, {"a": "A", "b": "B"}, 2, 2)
    marks = {trace.name: trace for trace in figure.data}
    assert set(marks) == {"relevant (1)", "partly relevant (1)", "not relevant (1)", "unjudged (1)"}
    assert len({(trace.line.color, trace.marker.symbol) for trace in figure.data}) == 4, "colour and symbol differ"
    d, g = marks["relevant (1)"], marks["partly relevant (1)"]
    assert list(d.customdata) == ["d"] * 3
    assert d.y[0] == 1
    assert 2 < d.y[1] < g.y[0] < g.y[1], "deeper is lower, and not retrieved is lowest"
    assert d.hovertext[1] == "&lt;i&gt;T&lt;/i&gt;<br>relevant; B: rank 3"
    assert "not retrieved" in g.hovertext[1]


def test_split_bars_hatch_what_speaks_for_the_other() -> None:
    parts = split_difference(["d", "f"], ["g", "x"], JUDGMENTS, 2)
    table = rank_tables.split_table(parts, {name: name.upper() for name in "dfgx"})
    drawn = table[table["contribution"] != 0].reset_index(drop=True)
    for_a, for_b = topic_charts.split_bars(drawn, "A", "B", 2).data
    assert list(for_a.customdata) == ["d"]
    assert set(for_b.customdata) == {"g", "x"}
    assert for_a.marker.pattern.shape != for_b.marker.pattern.shape
    assert sum(for_a.x) + sum(for_b.x) == pytest.approx(table["contribution"].sum())


def test_a_grade_is_a_word_of_its_own_for_unjudged() -> None:
    words = [grades.grade_words(grade, 2) for grade in (None, pd.NA, -1, 0, 1, 2)]
    assert words == ["unjudged", "unjudged", "not relevant", "not relevant", "partly relevant", "relevant"]
    assert grades.grade_words(1, 1) == "relevant"


def test_a_list_marks_terms_and_escapes_everything() -> None:
    document = Document("d<1>", "<b>Fever</b>", "a fever & <script>x</script>")

    def spans(text: str) -> list[tuple[int, int]]:
        return [match.span() for match in re.finditer("fever", text, re.IGNORECASE)]

    hit = ranked_lists.Hit("d<1>", document, 1, ranked_lists.grade_badge(None, 2))
    html = ranked_lists.ranked_list([hit], spans, "<i>BM25</i>", "<u>")
    assert "&lt;b&gt;<mark>Fever</mark>&lt;/b&gt;" in html
    assert "a <mark>fever</mark> &amp; &lt;script&gt;" in html
    assert "? unjudged" in html
    tags = set(re.findall(r"<(\w+)", html))
    assert tags <= {"div", "p", "ol", "li", "strong", "span", "mark", "details", "summary"}
    shaded = ranked_lists.shaded_words([("<b>", 0.5), ("low", -0.1)])
    assert "&lt;b&gt;" in shaded
    assert "underline" in shaded


def test_a_compact_list_has_a_row_per_document_and_escapes_everything() -> None:
    evil = '"><script>x</script>&'
    chip = ranked_lists.Chip(evil, evil, "new")
    hits = [
        ranked_lists.Hit(evil, Document(evil, evil, evil), 1, ranked_lists.grade_dot(2, 2), 1.0, evil, chips=[chip]),
        ranked_lists.Hit(evil, None, 2, ranked_lists.grade_dot(None, 2, by_hand=True), predicted=[evil]),
        ranked_lists.Hit("d3", Document("d3", "", "the beginning of a text without title"), 3, parts=[(evil, 1.0)]),
    ]
    html = ranked_lists.compact_list(hits, lambda text: [])
    assert "<script" not in html
    assert html.count('<summary><span class="rs-lead">') == 3
    rows = re.findall(r'<span class="rs-title">(.*?)</span>', html)
    assert rows == [escape(evil), f"document {escape(evil)}", "the beginning of a text without title"]
    assert 'aria-label="relevant (2)"' in html
    assert 'aria-label="unjudged, judged by you"' in html
    assert set(re.findall(r"<(\w+)", html)) <= {"div", "p", "ol", "li", "strong", "span", "details", "summary"}
    assert "No documents." in ranked_lists.compact_list([], lambda text: [])
    assert "<script" not in ranked_lists.list_tabs({"one": evil})


def test_documents_of_several_lists_are_linked_by_a_class() -> None:
    classes = ranked_lists.linked([["a", "b", "c"], ["c", "d"], ["d", "c", "e"]])
    assert set(classes) == {"c", "d"}
    style = ranked_lists.link_style(classes)
    assert all(f"body:has(.{name}:is(:hover, :focus-within)) .{name}" in style for name in classes.values())
    assert ranked_lists.link_style({}) == ""
    hits = [ranked_lists.Hit(name, Document(name, name, ""), rank) for rank, name in enumerate("abc", 1)]
    html = ranked_lists.compact_list(hits, lambda text: [], classes)
    assert re.findall(r'<li class="(.*?)">', html) == [classes["c"]]


def test_shared_documents_are_folded_in_runs() -> None:
    hits = [ranked_lists.Hit(name, Document(name, name, ""), rank) for rank, name in enumerate("abcde", 1)]
    html = ranked_lists.compact_list(hits, lambda text: [], shared="bce")
    assert re.findall(r"<summary>(\d shared by all .*?)</summary>", html) == [
        "2 shared by all (rank 2, 3)",
        "1 shared by all (rank 5)",
    ]
    assert re.findall(r'<span class="rs-title">(.*?)</span>', html) == list("abcde"), "folded, not left out"


@pytest.mark.parametrize(
    ("here", "there", "text", "tone"),
    [(1, 4, "B 4 (+3)", "up"), (4, 1, "B 1 (−3)", "down"), (2, 2, "B 2", ""), (2, None, "B –", "up")],
)
def test_a_chip_says_the_other_rank_and_the_change(here: int, there: int | None, text: str, tone: str) -> None:
    chip = ranked_lists.rank_chip("B", here, there, "BM25")
    assert (chip.text.replace("\u00a0", " "), chip.tone) == (text, tone)
    assert "BM25" in chip.title


def test_the_best_passage_has_the_most_different_words_of_the_query() -> None:
    def spans(text: str) -> list[tuple[int, int]]:
        return [match.span() for match in re.finditer("fever|cough", text)]

    text = "fever fever fever. " + "word " * 200 + "a fever with cough, " + "word " * 200
    begin, end = ranked_lists.best_passage(text, spans)
    assert "fever with cough" in text[begin:end]
    assert text[begin - 1] == " "
    assert end - begin <= ranked_lists.PASSAGE
    begin, end = ranked_lists.best_passage("word " * 200, spans)
    assert (begin, end) == (0, 299)
    assert ranked_lists.best_passage("short", spans) == (0, 5)
    assert ranked_lists.best_passage("", spans) == (0, 0)


def luminance(colour: str) -> float:
    """Relative luminance of WCAG 2.2."""
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    red, green, blue = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


@pytest.mark.parametrize(("place", "theme"), [(0, "light"), (1, "dark")])
def test_grades_and_marks_can_be_read_in_both_themes(place: int, theme: str) -> None:
    page = tomllib.loads((CHECKOUT / ".streamlit" / "config.toml").read_text())["theme"][theme]
    rules = re.findall(r"\.rs-(?:list )?([\w-]+) \{(.*?)\}", ranked_lists.STYLE, re.DOTALL)
    checked = []
    for name, rule in rules:
        pairs = dict(re.findall(r"\b(background|color): light-dark\(([^)]*)\)", rule))
        if not pairs:
            continue
        colours = {what: pair.split(", ")[place] for what, pair in pairs.items()}
        text = colours.get("color", page["textColor"])
        behind = colours.get("background", page["backgroundColor"])
        low, high = sorted((luminance(text), luminance(behind)))
        assert (high + 0.05) / (low + 0.05) >= 4.5, name
        checked.append(name)
    assert set(checked) >= {"mark", "relevant", "partly-relevant", "not-relevant", "unjudged"}
