"""What may be wrong with a query: words that are in no index, and text that an English model does not know."""

import unicodedata
from collections import Counter
from collections.abc import Mapping, Sequence
from difflib import SequenceMatcher, get_close_matches
from functools import cache

import numpy as np

from core.formats.documents import Document
from core.retrieval.analyzer import fold, stop_words
from core.retrieval.bm25 import Bm25Index
from core.workspace.profile import STOP_WORD_LANGUAGES

SIMILARITY = 0.8
"""Lowest similarity of a suggested word (Ratcliff & Metzener, 1988), that of one wrong letter in five."""
CANDIDATES = 20
"""Number of similar terms that are considered."""
UNIFIED = {"covid19": "covid"}
"""Terms of unified names that no document spells so (see core/retrieval/analyzer.py) -> the word to suggest."""
RARE = 0.05
"""A similar term in fewer documents than this share of another one's is taken for a misspelling, too."""
LONGEST_WORD = 40
"""Longer words get no suggestion."""
FOREIGN_WORDS = 2
"""Number of stop words of another language from which a query is taken to be in it."""
ENGLISH_SCRIPTS = ("LATIN", "GREEK")
"""Scripts that English text of biomedicine uses, as Unicode's names of letters begin."""


def unknown_words(query: str, index: Bm25Index) -> list[str]:
    """Return the words of a query, other than stop words, that are not in an index, in order without repetitions."""
    spans = list(index.analyzer.spans(query))
    known = {(begin, end) for token, begin, end in spans if any(token in field.vocabulary for field in index.fields)}
    unknown = [(begin, end) for _, begin, end in spans if (begin, end) not in known]
    return list(dict.fromkeys(query[begin:end] for begin, end in unknown))


def similar_words(words: Sequence[str], index: Bm25Index, documents: Mapping[str, Document]) -> dict[str, str]:
    """Return, for each word that is similar to one in the documents, the most similar one.

    Only words with the same first letter are considered. The terms of an index are stems, so the words are taken from
    the best document of each similar term.

    Args:
        words: words that are not in the index.
    """
    tokens = {word: index.analyzer.tokens(word) for word in words if word.isalpha() and len(word) <= LONGEST_WORD}
    stems = {word: token for word, (token, *more) in ((w, t) for w, t in tokens.items() if t) if not more}
    initials = {stem[0] for stem in stems.values()}
    vocabulary = [term for field in index.fields for term in field.vocabulary if term[:1] in initials]
    unified = [form for term, form in UNIFIED.items() if any(term in field.vocabulary for field in index.fields)]
    found = {}
    for word, stem in stems.items():
        near = [term for term in vocabulary if term[0] == stem[0] and abs(len(term) - len(stem)) <= 2]
        terms = dict.fromkeys(get_close_matches(stem, near, CANDIDATES, SIMILARITY))
        scores = {term: np.sum([field.scores([term]) for field in index.fields], axis=0) for term in terms}
        counts = {term: np.count_nonzero(scores[term]) for term in terms}
        common = [term for term in terms if counts[term] >= RARE * max(counts.values())]
        best = [documents.get(index.document_ids[int(np.argmax(scores[term]))]) for term in common]
        forms = {_written_form(t, word, index, d.full_text) for t, d in zip(common, best, strict=True) if d} - {""}
        forms |= {form for form in unified if _similarity(word, form) >= SIMILARITY}
        if forms and fold(nearest := max(sorted(forms), key=lambda form: _similarity(word, form))) != fold(word):
            found[word] = nearest
    return found


def _written_form(term: str, like: str, index: Bm25Index, text: str) -> str:
    """Return the word of a text with this term that is written most like another one; "" if there is none."""
    forms = Counter(fold(text[begin:end]) for token, begin, end in index.analyzer.spans(text) if token == term)
    return max(forms, key=lambda form: (_similarity(like, form), forms[form]), default="")


def _similarity(word: str, form: str) -> float:
    return SequenceMatcher(None, fold(word), form).ratio()


def other_scripts(query: str) -> str:
    """Return the words of a query with letters that are neither Latin nor Greek, separated by spaces."""

    def is_foreign(letter: str) -> bool:
        return letter.isalpha() and not unicodedata.name(letter, "LATIN").startswith(ENGLISH_SCRIPTS)

    return " ".join(word for word in unicodedata.normalize("NFKC", query).split() if any(map(is_foreign, word)))


def is_in_other_language(query: str) -> bool:
    """Return whether a query has more stop words of some other language than of English, and several of them."""
    words = set(fold(query).replace("'", " ").split())
    others = max(len(words & _stop_words(language)) for language in STOP_WORD_LANGUAGES)
    return others >= FOREIGN_WORDS and others > len(words & _stop_words("long"))


@cache
def _stop_words(name: str) -> frozenset[str]:
    return stop_words(name)
