"""The tables behind the pages and the figures drawn from them."""

import pandas as pd
import pytest

from core.evaluation import comparison_tables, topic_tables
from core.evaluation.grades import grade_text
from core.formats.topics import Topic
from dashboard.shared import charts
from dashboard.shared.ranked_lists import score_in_words

TOPICS = {
    name: Topic(name, f"query {name}", f"question {name}", "", kind) for name, kind in zip("123", "xxy", strict=True)
}
A, B = {"1": 0.5, "2": 0.25, "3": 0.0}, {"3": 0.0, "2": 0.5, "1": 0.125}
TIDY = pd.DataFrame(
    [("c", s, t, m, v) for s, by in (("a", A), ("b", B)) for m in ("AP", "RR") for t, v in by.items()],
    columns=["collection", "system", "topic", "measure", "value"],
)


def test_judged_stands_beside_its_ndcg() -> None:
    measures = ["nDCG@10", "nDCG@20", "P@10", "Judged@10", "Judged@20"]
    assert comparison_tables.measure_order(measures) == ["nDCG@10", "Judged@10", "nDCG@20", "Judged@20", "P@10"]
    assert comparison_tables.measure_order(["AP", "Judged@10"]) == ["AP", "Judged@10"]


def test_differences_pair_by_topic_whatever_the_order() -> None:
    values = comparison_tables.per_topic(TIDY, "AP")
    table = topic_tables.differences(values["a"], values["b"], TOPICS)
    assert list(table["topic"]) == ["1", "3", "2"]
    assert list(table["difference"]) == [0.375, 0.0, -0.25]


def test_kinds_count_topics_once() -> None:
    table = topic_tables.means_by_type(comparison_tables.per_topic(TIDY, "AP"), TOPICS)
    assert table.loc["x"].to_dict() == {"topics": 2, "a": 0.375, "b": 0.3125}
    assert topic_tables.means_by_type(comparison_tables.per_topic(TIDY, "AP"), {}).empty


def test_difference_bars_set_signs_apart_by_colour_and_pattern() -> None:
    table = topic_tables.differences(A, B, TOPICS)
    figure = charts.difference_bars(table, "<b>A</b>", "B", "AP", "2")
    better, worse, tie = figure.data
    assert (list(better.customdata), list(worse.customdata), list(tie.customdata)) == (["1"], ["2"], ["3"])
    assert better.marker.color != worse.marker.color
    assert better.marker.pattern.shape != worse.marker.pattern.shape
    assert better.name == "&lt;b&gt;A&lt;/b&gt; better (1)"
    assert list(figure.layout.xaxis.categoryarray) == ["1", "3", "2"]
    assert figure.layout.annotations[0].x == 2
    assert not charts.difference_bars(table, "A", "B", "AP", "gone").layout.annotations


def test_mean_bars_carry_the_interval() -> None:
    table = pd.DataFrame({"mean": [0.3, 0.2], "low": [0.1, 0.1], "high": [0.6, 0.4]}, index=["a", "b"])
    (bar,) = charts.mean_bars(table, {"a": "A"}, "AP", "b").data
    assert list(bar.x) == list(table["mean"])
    assert list(bar.x + bar.error_x.array) == pytest.approx(list(table["high"]))
    assert list(bar.y) == ["A", "b"]


def test_grades_have_a_sign_and_words() -> None:
    assert grade_text(None, 2) == "? unjudged"
    assert grade_text(0, 2) == "○ not relevant (0)"
    assert grade_text(1, 2) == "● partly relevant (1)"
    assert grade_text(1, 1) == "● relevant (1)"
    assert grade_text(2, 2) == "●● relevant (2)"
    assert grade_text(-1, 2) == "○ not relevant (-1)"


def test_a_score_is_the_sum_of_its_terms() -> None:
    assert score_in_words(None) == ""
    assert score_in_words(0.75) == "score 0.750"
    assert score_in_words(3.0, [("smell", 2.0), ("loss", 1.0)]) == "score 3.00 = 2.00 (smell) + 1.00 (loss)"
    assert score_in_words(1 / 61, [("BM25, rank 1", 1 / 61)]) == "score 0.0164 = 0.0164 (BM25, rank 1)"
    assert score_in_words(10.0, [(str(i), 1.0) for i in range(10)]).endswith("1.00 (7) + 2.00 (2 more)")
