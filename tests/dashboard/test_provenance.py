"""Each figure of a page has a command in its provenance, and the command prints the figure that the page shows."""

import io
import re
import shlex
from collections.abc import Callable
from typing import Any

import pandas as pd
import pytest
import streamlit as st
from made_up import Open, add_ablations, add_model, add_sweep

from core import compare
from core.evaluation.table_formats import Table
from core.workspace.workspace import CollectionFolder
from dashboard.shared.provenance import compare_command

Drawn = list[tuple[Table, str]]
OPEN = "systems,conclusion,curve,unjudged,cost,checks"
PAGES = [
    ("summary", {"open": OPEN, "check": "yes", "baseline": "bm25", "measure": "nDCG@10"}),
    ("summary", {"open": OPEN, "baseline": "expanded", "measure": "P(rel=2)@3", "cells": "intervals"}),
    ("summary", {"cells": "letters", "test": "t-test", "measure": "AP"}),
    *(
        ("topics", {"chart": view, "a": "expanded", "b": b, "measure": "AP", "tie": "0.01", "kind": kind})
        for view in ("differences", "contrasts", "heat", "difficulty", "length", "kinds")
        for b, kind in (("bm25", ""), ("-median", "exact"))
    ),
    *(
        ("topic", {"view": view, "topic": "NA", "a": "expanded", "b": "bm25", "measure": "nDCG@3", "depth": "20"})
        for view in ("lists", "difference", "positions")
    ),
    ("expansion", {"topic": "02", "depth": "10"}),
    ("ann", {"system": "dense", "size": "5"}),
    ("ann", {"size": "11392", "recall": "0.99", "implementations": "on"}),
    ("ann", {"system": "dense", "size": "500", "recall": "0.90", "cost": "queries_per_second"}),
    ("training", {"figure": "MRR@10"}),
]


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> Drawn:
    """The tables that pages draw from now on, each with the command in its provenance."""
    st.cache_data.clear()
    found: Drawn = []
    monkeypatch.setattr("dashboard.shared.export.downloads", lambda table, *rest: found.append((table, "")))

    def provenance(opened: Any, name: str, command: str, about: str = "", made_from: Any = None) -> None:
        table, _ = found.pop()
        found.append((table, command))

    monkeypatch.setattr("dashboard.shared.provenance.provenance", provenance)
    return found


def prints(command: Callable[..., Any], line: str, *form: str) -> str:
    program, _, module, *arguments = shlex.split(line)
    assert (program, module) == ("python", "core.compare")
    outcome = command(compare.main, *arguments, *form)
    assert outcome.status == 0, outcome.err
    return outcome.out


def check(app: Any, drawn: Drawn, command: Callable[..., Any]) -> None:
    frames = [element.value for element in app.dataframe]
    for table, line in drawn:
        assert line, table.caption
        printed = pd.read_csv(io.StringIO(prints(command, line, "--csv")), dtype={0: str}, keep_default_na=False)
        assert table.figures.index.name, table.caption
        figures = table.figures.reset_index()
        assert list(printed.columns) == list(figures.columns)
        for column in range(len(figures.columns)):
            expected = [same(value) for value in figures.iloc[:, column]]
            assert [same(value) for value in printed.iloc[:, column]] == expected, line
        text = " ".join(prints(command, line).split())
        for sentence in table.sentences:
            assert " ".join(sentence.split()) in text
        if not re.search("core.compare (lists|notable|ann-answer) ", line):  # lists and cards, not tables
            assert any(shown_in_parts(frames, form) for form in (table.shown, table.figures)), line


def same(value: object) -> object:
    """A figure to twelve digits, nothing as ""; a text without the apostrophe that keeps it from being a formula."""
    if pd.isna(value):
        return ""
    try:
        return float(f"{float(str(value)):.12g}")
    except ValueError:
        return str(value).removeprefix("'").replace("\r", " ")


def shown_in_parts(frames: list[pd.DataFrame], table: pd.DataFrame) -> bool:
    """Whether the dataframes on the page hold each column of a table, which may be split to fit the page."""
    return all(any(shows(frame, table[[column]]) for frame in frames) for column in table.columns)


def shows(frame: pd.DataFrame, table: pd.DataFrame) -> bool:
    """Whether a dataframe on the page holds the columns of a table."""
    expected = table.reset_index()
    frame = frame if set(expected.columns) <= set(frame.columns) else frame.reset_index()
    columns = [name for name in table.columns if name in frame.columns]
    if len(columns) < len(table.columns) or len(frame) != len(expected):
        return False
    for name in columns:
        if [same(v) for v in frame[name].astype(object)] != [same(v) for v in expected[name].astype(object)]:
            return False
    return True


@pytest.mark.parametrize(("page", "parameters"), PAGES, ids=[f"{p} {' '.join(q.values())}" for p, q in PAGES])
def test_the_command_of_each_figure_prints_it(
    page: str,
    parameters: dict[str, str],
    open_page: Open,
    made_up: CollectionFolder,
    drawn: Drawn,
    command: Callable[..., Any],
) -> None:
    add_sweep(made_up)
    add_model(made_up.workspace)
    add_ablations(made_up.workspace)
    app = open_page(page, collection="made-up", **parameters)
    assert drawn
    check(app, drawn, command)


def test_a_command_is_quoted_for_the_shell() -> None:
    options = {"topic": "it's $HOME; rm -rf", "b": "-median", "measure": "P(rel=2)@20", "type": "", "depth": 10}
    line = compare_command("a+b", "topics", options)
    assert shlex.split(line)[3:] == [
        *("topics", "a+b", "--topic", "it's $HOME; rm -rf", "--b=-median"),
        *("--measure", "P(rel=2)@20", "--depth", "10"),
    ]


def test_the_command_comes_first_in_a_provenance(open_page: Open, made_up: CollectionFolder) -> None:
    add_sweep(made_up)
    commands = [element.value for element in open_page("ann", collection="made-up").code]
    assert commands[0].startswith("python -m core.compare ann-answer made-up")
