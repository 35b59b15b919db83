"""Lucene's English analyzer and document lengths, for BM25 systems to be compared with Lucene's (Anserini's).

The analyzer is Lucene's EnglishAnalyzer: StandardTokenizer (word boundaries of UAX #29), EnglishPossessiveFilter,
LowerCaseFilter, stop words, PorterStemFilter. Its tokens are the same as Lucene 10's but for Hebrew acronyms.
"""

import re
from functools import cache
from typing import Any

from core.retrieval.analyzer import Analyzer
from core.workspace.profile import AnalyzerSettings

ASCII_NUMBER = r"[0-9](?:(?:_*|[.,;'])[0-9])*"
ASCII_LETTERS = r"[a-zA-Z](?:(?:_*|[.:'])[a-zA-Z])*"
ASCII_PART = f"(?:{ASCII_NUMBER}|{ASCII_LETTERS})+"
ASCII_WORD = re.compile(f"_*{ASCII_PART}(?:_+{ASCII_PART})*_*")
"""`_unicode_word` for an ASCII text, which is searched several times as fast."""


POSSESSIVES = ("'s", "’s", "＇s")


DEPARTURE = re.compile("(?:log|bl)(?:[iy](?:s|ed|ing)?|ies)$")
UNDOUBLED = re.compile(r"([chjkqvwx])\1(?:ed|ing)s?$")
"""Words that Porter's program stems differently from PyStemmer: their suffix before the first step."""


VOWEL_THEN_CONSONANT = re.compile("(?:[aeiou]|(?<=[^aeiou])y)(?:[^aeiouy]|(?<=[aeiouy])y)")


@cache
def _unicode_word() -> Any:
    """Return the pattern of a token, after StandardTokenizer's grammar; the classes are UAX #29's."""
    import regex  # the standard library's re has no Unicode properties

    def one_of(*properties: str) -> str:
        names = "".join(rf"\p{{{name}}}" for name in properties)
        return rf"(?:[{names}][\p{{WB=Format}}\p{{WB=Extend}}\p{{WB=ZWJ}}]*)"

    joiner, katakana = one_of("WB=ExtendNumLet"), one_of("WB=Katakana")
    digit, letter = one_of("WB=Numeric"), one_of("WB=ALetter", "WB=HebrewLetter")
    in_number = one_of("WB=MidNum", "WB=MidNumLet", "WB=SingleQuote")
    in_letters = one_of("WB=MidLetter", "WB=MidNumLet", "WB=SingleQuote")
    number = f"{digit}(?:(?:{joiner}*|{in_number}){digit})*"
    letters = f"{letter}(?:(?:{joiner}*|{in_letters}){letter})*"
    part = f"(?:{katakana}(?:{joiner}*{katakana})*|(?:{number}|{letters})+)"
    emoji = r"[\p{Emoji}--[0-9#*]]"
    return regex.compile(
        f"{joiner}*{part}(?:{joiner}+{part})*{joiner}*|{one_of('LB=SA')}+|{one_of('Han', 'Hiragana')}|{emoji}", regex.V1
    )


class LuceneAnalyzer(Analyzer):
    """The rules of Lucene's EnglishAnalyzer, with the stop words and the stemmer of the settings."""

    def __init__(self, settings: AnalyzerSettings):
        super().__init__(settings)
        self._is_porter = settings.stemmer == "porter"

    def _prepared(self, text: str) -> tuple[str, Any]:
        return text, ASCII_WORD if text.isascii() else _unicode_word()

    def _analyse(self, word: str) -> list[tuple[str, int, int]]:
        # Java folds each character by itself: "İ" is one letter, and a final sigma is like any other.
        folded = word.lower() if word.isascii() else "".join(map(str.lower, word)).replace("i\u0307", "i")
        if folded.endswith(POSSESSIVES):
            folded = folded[:-2]
        if folded in self._stop_words:
            return []
        return [(self._porter(folded) if self._is_porter else self._stem(folded), 0, len(word))]

    def _porter(self, word: str) -> str:
        """Return the stem by Porter's own program, which Lucene uses.

        It departs from the published algorithm in two suffixes (-logi to -log, -bli to -ble) and leaves words of two
        letters alone (https://tartarus.org/martin/PorterStemmer). PyStemmer departs in doubled consonants: "trekking".
        """
        if len(word) < 3:
            return word
        stem = self._stem(word)
        if (doubled := UNDOUBLED.search(word)) and stem.endswith(doubled[1] * 2):
            return stem[:-1]
        if not DEPARTURE.search(word):
            return stem
        if stem.endswith("logi") and VOWEL_THEN_CONSONANT.search(stem[:-4]):
            return stem[:-1]
        if stem.endswith("bli") and VOWEL_THEN_CONSONANT.search(stem[:-3]):
            return self._stem(stem[:-1] + "e")
        return stem


def stored_length(length: int) -> int:
    """Return a document's length in tokens as Lucene stores it in one byte: exact up to 39, then rounded down.

    Larger lengths keep four significant bits of their excess over 24 (Lucene's SmallFloat.intToByte4).
    """
    excess = length - 24
    if excess < 16:
        return length
    shift = excess.bit_length() - 4
    return 24 + (excess >> shift << shift)
