"""Foreign text: escaped so that a page shows it, and a command in an error stays one that can be copied."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dashboard.shared.escaping import WORD_JOINER, error_markdown, escape_markdown, escape_plotly, shortened

UNESCAPED = re.compile(r"(?<!\\)(?:\\\\)*[$:\[\]`*_<>#|~!&]")


@pytest.mark.parametrize("text", ["$x$", ":red[x]", "[a](b)", "`code`", "**b**", "<b>", "# h", "1. x", "a\\b", "&lt;"])
def test_every_punctuation_mark_is_escaped(text: str) -> None:
    escaped = escape_markdown(text)
    assert escaped.replace("\\", "").replace(WORD_JOINER, "") == text.replace("\\", "")
    assert not UNESCAPED.search(escaped)


@given(st.text())
def test_escaping_loses_nothing_but_spaces(text: str) -> None:
    escaped = escape_markdown(text)
    assert not UNESCAPED.search(escaped)
    unescaped = re.sub(r"\\(.)", r"\1", escaped).replace(WORD_JOINER, "")
    assert unescaped == " ".join(text.split()).replace(WORD_JOINER, "")


@pytest.mark.parametrize(("text", "pair"), [(":smile:", ":s"), ("www.a.b", "w."), ("a->b", "->"), ("https://a", "://")])
def test_what_streamlit_looks_for_after_parsing_is_parted(text: str, pair: str) -> None:
    assert pair not in escape_markdown(text).replace("\\", "")


def test_ordinary_titles_stay_searchable() -> None:
    assert WORD_JOINER not in escape_markdown("COVID-19: loss of smell (SARS-CoV-2), 5 > 3")
    assert WORD_JOINER not in escape_markdown("A beats B by +0.1000 nDCG@10. It leads in P@5, too."), "it can be found"
    assert f"@{WORD_JOINER}" in escape_markdown("write to a@b.c")


def test_the_command_of_an_error_can_be_copied() -> None:
    message = "a_b is missing; rebuild it with python scripts/build.py --profile sample --force"
    assert error_markdown(message).endswith("`python scripts/build.py --profile sample --force`")
    assert error_markdown(message).startswith("a\\_b is missing")
    assert error_markdown("make it with python -m core.finetune; then go on") == (
        "make it with `python -m core.finetune`\\; then go on"
    )
    both = (
        "run pip install -r some.txt; then python -m core.import_runs RUN --name a; or pass it with --models (or not)"
    )
    copied = re.findall("`([^`]*)`", error_markdown(both))
    assert copied == ["pip install -r some.txt", "python -m core.import_runs RUN --name a", "--models"]
    assert error_markdown("[x](y)") == escape_markdown("[x](y)")


def test_plotly_reads_no_tag() -> None:
    assert escape_plotly('<a href="x">') == '&lt;a href="x"&gt;'


def test_shortened_cuts_at_a_word() -> None:
    assert shortened("one two  three", 100) == "one two three"
    assert shortened("one two three", 9) == "one two …"
    assert shortened("abcdef", 3) == "abc …"
