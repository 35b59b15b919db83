"""The charts of the answer: every mark stands where its number says, and every text is escaped."""

import re
from html import unescape
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_up import Open
from test_summary import frame

from core.workspace.workspace import CollectionFolder
from dashboard.views.summary import dot_plots

HOSTILE = "<img src=x onerror=\"window.hacked=1\"> & 'quotes'"


def places(element: ElementTree.Element, look: str) -> list[tuple[float, float, str]]:
    """The left edge and the width of each mark of a kind, in percent, and its text."""
    found = []
    for mark in element.iter("i"):
        if look in mark.attrib["class"].split():
            left, width = (re.search(rf"{name}: (\S+)%", mark.attrib["style"]) for name in ("left", "width"))
            found.append((float(left[1]) if left else 0.0, float(width[1]) if width else 0.0, mark.text or ""))
    return found


class Drawn:
    """A chart as a reader sees it: its rows, and values read from its axis."""

    def __init__(self, markup: str):
        whole = ElementTree.fromstring(markup)
        *self.rows, axis = whole.iter("li")
        self.names = [next(s.text for s in row.iter("span") if s.attrib["class"] == "rs-name") for row in self.rows]
        marked = [(place, float(text)) for place, _, text in places(axis, "rs-text")]
        (x1, first), (x2, second) = marked[0], marked[-1]
        self.scale = (second - first) / (x2 - x1)
        self.first, self.x1 = first, x1
        self.tolerance = abs(self.scale) * 0.002  # places have three decimals

    def at(self, place: float) -> float:
        return self.first + (place - self.x1) * self.scale

    def values(self, row: int, look: str) -> list[float]:
        return [self.at(place) for place, _, _ in places(self.rows[row], look)]

    def line(self, row: int, look: str) -> tuple[float, float]:
        (place, width, _) = places(self.rows[row], look)[0]
        return self.at(place), self.at(place + width)


DIFFERENCES = st.lists(
    st.tuples(st.floats(-1, 1), st.floats(0, 0.5), st.booleans(), st.booleans()), min_size=1, max_size=10
)


@given(DIFFERENCES)
def test_differences_and_intervals_stand_where_their_numbers_say(given: list[tuple[float, float, bool, bool]]) -> None:
    table = pd.DataFrame(given, columns=["difference", "half", "has interval", "significant"])
    table.index = [f"s{n}" for n in table.index]
    half = table["half"].where(table["has interval"])
    table["difference low"], table["difference high"] = table["difference"] - half, table["difference"] + half
    labels = {"s0": HOSTILE}
    drawn = Drawn(dot_plots.forest(table, labels, "AP", "base", "s0", lambda name: f"x?a={name}&b={HOSTILE}"))
    assert drawn.names == [labels.get(name, name) for name in table.index]
    for number, (system, row) in enumerate(table.iterrows()):
        element, link = drawn.rows[number], next(drawn.rows[number].iter("a"))
        look = "rs-filled" if row["significant"] else "rs-open"
        assert drawn.values(number, look) == pytest.approx([row["difference"]], abs=drawn.tolerance)
        if row["has interval"]:
            interval = row["difference low"], row["difference high"]
            assert drawn.line(number, "rs-capped") == pytest.approx(interval, abs=drawn.tolerance)
            assert f"{row['difference low']:+.4f} to {row['difference high']:+.4f}" in element.attrib["title"]
        else:
            assert not places(element, "rs-capped")
            assert "no CI" in element.attrib["title"]
        assert f"{row['difference']:+.4f}" in "".join(element.itertext())
        assert link.attrib["data-rs-open"] == system
        assert link.attrib["href"] == f"x?a={system}&b={HOSTILE}"
        assert ("aria-current" in link.attrib) == (system == "s0")
    every = [place for row in drawn.rows for place, _, _ in places(row, "rs-tick")]
    assert all(0 <= place <= 100 for place in every)


def test_means_by_type_stand_where_their_numbers_say() -> None:
    table = pd.DataFrame({"topics": [3, 12], "a": [0.25, 0.0], "b": [0.125, 0.9]}, index=[HOSTILE, "broad"])
    drawn = Drawn(dot_plots.type_dots(table, {"a": HOSTILE, "b": "B"}, "nDCG@10", ("a", "b")))
    assert drawn.names == [f"{HOSTILE} (3)", "broad (12)"]
    for row, (a, b) in enumerate([(0.25, 0.125), (0.0, 0.9)]):
        assert drawn.values(row, "rs-filled") == pytest.approx([a], abs=drawn.tolerance)
        assert drawn.values(row, "rs-diamond") == pytest.approx([b], abs=drawn.tolerance)
        assert drawn.line(row, "rs-line") == pytest.approx(sorted((a, b)), abs=drawn.tolerance)
        assert f"{HOSTILE} {a:.4f}, B {b:.4f}" in drawn.rows[row].attrib["title"]
    alone = Drawn(dot_plots.type_dots(table[["topics", "a"]], {}, "nDCG@10", ("a", "")))
    assert alone.values(0, "rs-filled") == pytest.approx([0.25], abs=alone.tolerance)


@given(st.floats(-5, 5), st.floats(1e-6, 10))
def test_ticks_are_a_few_round_numbers(low: float, span: float) -> None:
    found = dot_plots.ticks(low, low + span)
    assert 2 <= len(found) <= dot_plots.TICKS
    assert all(low - span / 1e6 <= tick <= low + span + span / 1e6 for tick in found)
    step = found[1] - found[0]
    assert np.diff(found) == pytest.approx(step)
    assert f"{step:.0e}"[0] in "125"


def test_the_page_draws_what_its_tables_hold(open_page: Open, made_up: CollectionFolder) -> None:
    app = open_page("summary", measure="AP", a="expanded", b="bm25", open="baseline,types")
    forest, types = (element.proto.body for element in app.get("html") if '<div class="rs-dots' in element.proto.body)
    assert "BM25 + &lt;b&gt;queries&lt;/b&gt;" in forest
    table, by_type = frame(app, "difference", "MDE at 80 % power"), frame(app, "topics")
    drawn = Drawn(forest)
    assert drawn.names == ["BM25 + <b>queries</b>"]
    assert drawn.values(0, "rs-open") == pytest.approx([table["difference"][drawn.names[0]]], abs=drawn.tolerance)
    drawn = Drawn(types)
    for row, (kind, means) in enumerate(by_type.iterrows()):
        assert drawn.names[row] == f"{kind} ({means['topics']:.0f})"
        assert drawn.values(row, "rs-diamond") == pytest.approx([means["BM25"]], abs=drawn.tolerance)
        assert drawn.values(row, "rs-filled") == pytest.approx([means["BM25 + <b>queries</b>"]], abs=drawn.tolerance)
    assert "<b>" not in unescape(forest.replace("&lt;b&gt;", ""))
