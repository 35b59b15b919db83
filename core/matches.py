"""Where a text holds the terms of a query, as the analyzer of BM25 sees it: what a page marks."""

import re

from core.analyzer import NAMES, WORD, Analyzer

CANDIDATES = re.compile(f"{NAMES.pattern}|{WORD.pattern}", re.IGNORECASE)
"""The names of virus and disease in any spelling, and single words."""


def matched_spans(analyzer: Analyzer, text: str, query: str) -> list[tuple[int, int]]:
    """Return (begin, end) of every word or name of the text that becomes a token which the query has too."""
    wanted = set(analyzer.tokens(query))
    known: dict[str, bool] = {}
    spans = []
    for match in CANDIDATES.finditer(text):
        word = match.group()
        if word not in known:
            known[word] = not wanted.isdisjoint(analyzer.tokens(word))
        if known[word]:
            spans.append(match.span())
    return spans
