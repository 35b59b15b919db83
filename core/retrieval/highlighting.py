"""Highlighting: the spans of a text that match the terms of a query after analysis."""

from collections.abc import Callable
from functools import cache

from core.retrieval.analyzer import Analyzer, open_analyzer
from core.workspace.profile import Profile

TermFinder = Callable[[str], list[tuple[int, int]]]


def term_finders(profile: Profile, query: str) -> Callable[[str], TermFinder]:
    """Return a function from a system's name to the term finder of its analyzer; for any other name the profile's."""
    of_system = {system.name: profile.analyzer_of(system) for system in profile.system}
    of_settings = cache(lambda settings: term_finder(open_analyzer(settings), query))
    return lambda system: of_settings(of_system.get(system, profile.analyzer))


def term_finder(analyzer: Analyzer, query: str) -> TermFinder:
    """Return a function that finds the terms of a query in a text.

    The function returns the (begin, end) offsets of every word or name whose tokens include a query token, ascending
    and without overlap. Results are cached, since the same text appears in many result lists.
    """
    query_terms = set(analyzer.tokens(query))

    @cache
    def spans(text: str) -> list[tuple[int, int]]:
        matches: list[tuple[int, int]] = []
        for token, begin, end in analyzer.spans(text):
            if token not in query_terms:
                continue
            if matches and begin < matches[-1][1]:  # two tokens of one name, or two CJK bigrams
                begin = matches.pop()[0]
            matches.append((begin, end))
        return matches

    return spans
