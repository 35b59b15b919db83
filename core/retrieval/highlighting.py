"""Where a text holds the terms of a query, as the analyzer of BM25 sees it: what a page marks."""

from collections.abc import Callable
from functools import cache

from core.retrieval.analyzer import Analyzer


def term_finder(analyzer: Analyzer, query: str) -> Callable[[str], list[tuple[int, int]]]:
    """Return a function that finds the terms of a query in a text.

    It returns (begin, end) of every word or name of the text that becomes a token which the query has too, ascending
    and without overlap. Texts are remembered: the same stand in many lists.
    """
    wanted = set(analyzer.tokens(query))

    @cache
    def spans(text: str) -> list[tuple[int, int]]:
        found: list[tuple[int, int]] = []
        for token, begin, end in analyzer.spans(text):
            if token not in wanted:
                continue
            if found and begin < found[-1][1]:  # two tokens of one name, or two CJK bigrams
                begin = found.pop()[0]
            found.append((begin, end))
        return found

    return spans
