"""Where a text holds the terms of a query, as the analyzer of BM25 sees it: what a page marks."""

import re
from collections.abc import Callable
from functools import cache

from core.analyzer import NAMES, WORD, Analyzer

CANDIDATES = re.compile(f"{NAMES.pattern}|{WORD.pattern}", re.IGNORECASE)
"""The names of virus and disease in any spelling, and single words."""


def term_finder(analyzer: Analyzer, query: str) -> Callable[[str], list[tuple[int, int]]]:
    """Return a function that finds the terms of a query in a text.

    It returns (begin, end) of every word or name of the text that becomes a token which the query has too, ascending
    and apart. Texts and words are remembered: the same stand in many lists.
    """
    wanted = set(analyzer.tokens(query))

    @cache
    def is_wanted(word: str) -> bool:
        return not wanted.isdisjoint(analyzer.tokens(word))

    @cache
    def spans(text: str) -> list[tuple[int, int]]:
        return [match.span() for match in CANDIDATES.finditer(text) if is_wanted(match.group())]

    return spans
