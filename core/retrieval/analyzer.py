"""The analyzer: turns text into the tokens that BM25 matches.

The text is split into words as written, and then each word is normalised independently:

1. Words are runs of letters, combining marks and digits, of any script. Invisible characters (zero-width space, soft
   hyphen and the rest of Unicode's Default_Ignorable_Code_Point) neither split nor change a word. An apostrophe
   between two letters, straight or typographic, belongs to the word, as in Unicode's word segmentation (UAX #29).
   Superscripts, fractions, circled numbers, Roman numerals and squared units are separated from the adjacent word or
   number ("10⁵" becomes `10 5`); other symbols, such as the trade mark sign, are dropped. A subscript belongs to the
   letters before it ("CO₂" becomes `co2`).
2. Compatibility normalisation (NFKC) and case folding: full-width letters and ligatures become plain letters.
3. The spelling variants of the virus and of the disease are unified: "SARS-CoV-2", "SARS CoV 2", "SARSCoV2",
   "2019-nCoV", "nCoV-2019" and "HCoV-19" are `sarscov2`; "COVID-19", "COVID 19", "covid19" and "COVID" are `covid19`.
   The virus of 2003 remains two tokens, as "MERS-CoV" does: "SARS-CoV", "SARSCoV" and "SARS-CoV-1" are `sars cov`.
4. English possessive and contraction endings are removed ("virus's", "COVID-19's", "they're"; compare Lucene's
   EnglishPossessiveFilter), and so are elided articles in French, Italian and Catalan ("l'hôpital"; ElisionFilter).
5. Stop words are removed. A stop word in capitals is taken for an acronym and kept: WHO, IT, NO (nitric oxide). The
   exceptions are AND, OR and NOT, and texts all in capitals that contain two or more other stop words.
6. The remaining words are stemmed.

Chinese, Japanese and Korean text becomes overlapping character bigrams; an isolated CJK character becomes a unigram (as
in Lucene's CJKBigramFilter). Thai, Lao, Khmer and Burmese are not segmented: each run between spaces or zero-width
spaces (which separate words in these scripts) is one token.
"""

import re
import unicodedata
from collections.abc import Iterator
from functools import cache, lru_cache
from itertools import chain
from typing import Any

import Stemmer
from bm25s import stopwords

from core.workspace.profile import AnalyzerSettings

VERSION = 2
"""Version of these rules, stored with every index: an index made with another version is out of date."""


OPERATORS = {"and", "or", "not"}
"""Stop words that are often capitalised as Boolean operators or for emphasis, and so are not acronyms."""


NLTK_PIECES = {"d", "ll", "m", "ma", "o", "re", "s", "t", "ve", "y"}
"""Fragments of contractions in NLTK's English list; removing them as stop words would drop the T of T cells."""


NLTK_LACKS = {"ain't", "can't", "cannot", "could", "may", "might", "must", "ought", "shall", "us", "would"}
"""Stop words missing from NLTK's English list: mostly modal verbs, which it has only as negated contractions."""


CONTRACTED = re.compile("'(?:s|re|ve|ll|d|m)$", re.IGNORECASE)


ELISION = {  # of Lucene's analyzers of these languages
    "catalan": re.compile("^(?:[dlmnst])'"),
    "french": re.compile("^(?:[cdjlmnst]|qu|jusqu|quoiqu|lorsqu|puisqu)'"),
    "italian": re.compile("^(?:[cdlmstv]|un|gl|(?:a|da|de|ne|su)(?:gl|ll)|coll|pell)'"),
}


INVISIBLE = "\u00ad"
"""The soft hyphen, which represents every invisible character in a flattened text."""


IGNORABLE = re.compile(  # Default_Ignorable_Code_Point of Unicode's DerivedCoreProperties.txt
    "[\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f\u3164"
    "\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufff8\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff]"
)


APOSTROPHES = "'’‘‛ʼ′´`＇׳"


SOUTHEAST_ASIAN = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u1950-\u19ff\u1a20-\u1aaf\ua9e0-\ua9ff\uaa60-\uaadf"


ZERO_WIDTH_SEPARATOR = re.compile(f"(?<=[{SOUTHEAST_ASIAN}])\u200b(?=[{SOUTHEAST_ASIAN}])")


CJK = (
    "\u1100-\u11ff\u3005\u3007\u3021-\u3029\u303b\u3041-\u3096\u309d-\u309f\u30a1-\u30fa\u30fc-\u30ff\u3131-\u318e\u31f0-\u31ff"
    "\u3400-\u4dbf\u4e00-\u9fff\ua960-\ua97f\uac00-\ud7ff\uf900-\ufaff\U00016fe3\U0001aff0-\U0001b16f\U00020000-\U0003ffff"
)
"""Contents of a regular-expression character class: Han, Hiragana, Katakana and Hangul."""


CJK_MARKS = f"\u3099\u309a{INVISIBLE}\u1161-\u11ff\ud7b0-\ud7ff"
"""Characters that belong to the one before: voicing marks, and vowels and final consonants of decomposed Hangul."""


CJK_CHARACTER = re.compile(f"[{CJK}][{CJK_MARKS}]*")


NON_ASCII = re.compile(r"[^\x00-\x7f]+")


def stop_words(name: str) -> frozenset[str]:
    """Return a list of stop words.

    Args:
        name: "none"; "short", Lucene's 33 words; "long", NLTK's English list without fragments of contractions, plus
            the missing modal verbs; "glasgow", scikit-learn's 318 words; or a language of
            `core.workspace.profile.STOP_WORD_LANGUAGES` for NLTK's list of that language.
    """
    if name == "none":
        return frozenset()
    if name == "glasgow":
        # Imported here because it is slow to import and pages that only read results need no analyzer.
        from sklearn.feature_extraction.text import ENGLISH_STOP_WORDS

        return frozenset(ENGLISH_STOP_WORDS)
    if name == "short":
        return frozenset(stopwords.STOPWORDS_EN)
    if name == "long":
        listed = set(stopwords.STOPWORDS_EN_PLUS)
        pieces = {word for word in listed if f"{word}'t" in listed} | NLTK_PIECES
        return frozenset(listed - pieces | NLTK_LACKS)
    return frozenset(map(fold, getattr(stopwords, f"STOPWORDS_{name.upper()}")))


def fold(text: str) -> str:
    """Return the text in NFKC, case folded and without invisible characters (Unicode's NFKC_Casefold)."""
    folded = unicodedata.normalize("NFKC", text.replace(INVISIBLE, "")).casefold()
    return unicodedata.normalize("NFKC", folded).replace("ʼ", "'").replace("i\u0307", "i")  # "İ" folds to the latter


def flatten(text: str) -> str:
    """Return the text with variant characters replaced one for one, so that all character offsets stay valid.

    Each dash, apostrophe, invisible character and full-width form is replaced by one canonical character of its kind.
    """
    return text if text.isascii() else NON_ASCII.sub(_flat_run, text)


def _flat_run(match: re.Match[str]) -> str:
    return _flattened(match.group())


@lru_cache(maxsize=100_000)
def _flattened(run: str) -> str:
    return "".join(map(_flat_character, ZERO_WIDTH_SEPARATOR.sub(" ", run)))


@cache
def _flat_character(character: str) -> str:
    category = unicodedata.category(character)
    if IGNORABLE.match(character) or category == "Me":  # Me: a circle or key around a character
        return INVISIBLE
    if character in APOSTROPHES:
        return "'"
    if character == "״":  # the quotation mark of Hebrew acronyms
        return '"'
    if category == "Pd" or character == "−":
        return "-"
    if character == "İ":
        return "I"
    if _stands_apart(character) or (category == "So" and not _is_radical(character)):
        return character
    normal = unicodedata.normalize("NFKC", character)
    return normal if len(normal) == 1 else character


def _stands_apart(character: str) -> bool:
    """Tell whether a character abbreviates others, as ², ᵃ, ½, ①, Ⅳ and ㎏ do, and so is a word of its own."""
    category = unicodedata.category(character)
    if category not in ("No", "Nl", "So", "Lm", "Lo") or _is_radical(character):
        return False
    kind = unicodedata.decomposition(character).partition(" ")[0]
    if kind == "<super>":
        return category != "So"  # ™ and the like are no words
    return kind.startswith("<") and category in ("No", "Nl", "So")


def _is_radical(character: str) -> bool:
    """Tell whether a character is a CJK radical, which text from PDF files often has in place of the ideograph."""
    return "\u2e80" <= character <= "\u2fdf"


@cache
def word_pattern(unify_names: bool, ascii_only: bool) -> re.Pattern[str]:
    """Return the pattern, without groups, of a word or of a name of several words in a flattened text."""
    if ascii_only:
        word = r"[a-zA-Z0-9]+(?:(?<![0-9])'(?=[a-zA-Z])[a-zA-Z0-9]+)*"
        word += r"|(?<=[a-zA-Z0-9)\]\"])'[sS](?![a-zA-Z0-9])"
        return re.compile(f"{_names('a-zA-Z0-9', '')}|{word}" if unify_names else word)
    within, apart = _character_classes()
    letter, subscripts = r"[^\W\d_]", "₀-₉"
    no_digit_before = rf"(?<!\d)(?<!\d{INVISIBLE})"
    hebrew = r"(?<=[א-ת])\x22(?=[א-ת])"
    more = f"(?:{no_digit_before}(?:'{INVISIBLE}*(?={letter})[{within}]|[{subscripts}])|{hebrew})[{within}]*"
    word = rf"(?=[^\W_])[{within}]+(?:{more})*|(?:{CJK_CHARACTER.pattern})+|[{apart}]+"
    word += rf"|(?<=[{within}{CJK}{apart})\]\"”])'{INVISIBLE}*[sS](?![{within}])"
    return re.compile(f"{_names(within, f'{INVISIBLE}*')}|{word}" if unify_names else word)


@cache
def _character_classes() -> tuple[str, str]:
    """Return the contents of two character classes: word characters other than CJK, and characters that stand apart."""
    cjk = re.compile(f"[{CJK}]")
    within, apart = [], []
    for character in map(chr, range(0x20000)):  # higher code points are CJK or invisible
        if _stands_apart(character):
            apart.append(character)
        elif (character.isalnum() or unicodedata.category(character) in ("Mn", "Mc")) and not cjk.match(character):
            within.append(character)
    return _ranges([*within, INVISIBLE]), _ranges(apart)


def _ranges(characters: list[str]) -> str:
    ranges: list[list[int]] = []
    for number in sorted(map(ord, characters)):
        if ranges and number == ranges[-1][1] + 1:
            ranges[-1][1] = number
        else:
            ranges.append([number, number])
    return "".join(f"\\U{first:08x}-\\U{last:08x}" for first, last in ranges)


def _names(within: str, invisible: str, groups: bool = False) -> str:
    """Return the pattern of the names of the virus and the disease in a flattened text."""
    gap = r"[\s\-/" + invisible.rstrip("*") + "]*"

    def spelled(word: str) -> str:
        return invisible.join(f"[{c}{c.upper()}]" if c.isalpha() else c for c in word)

    def sequence(*words: str) -> str:
        return gap.join(words)

    sars, cov, n = spelled("sars"), spelled("cov"), spelled("n")
    year, short_year = spelled("2019"), spelled("19")
    any_cov = f"(?:{cov}|{spelled('coronavirus')})"
    virus_2019 = [
        sequence(sars, any_cov, "2"),
        sequence(year, n, cov),
        sequence(n, cov, f"(?:{year}|{short_year})"),
        sequence(spelled("hcov"), short_year),
    ]
    virus_2003 = f"{sequence(sars, cov)}(?:{gap}1)?"
    disease = f"{spelled('covid')}(?:{gap}(?:{year}|{short_year}))?"
    end = f"{invisible}(?![{within}])"
    names = {"sarscov2": "|".join(virus_2019), "sars_cov": virus_2003, "covid19": disease}
    options = "|".join(f"(?{f'P<{tokens}>' if groups else ':'}{pattern})" for tokens, pattern in names.items())
    return f"(?=[sScC2nNhH])(?:{options}){end}"  # the lookahead rejects most words at once


@cache
def _name_pattern(ascii_only: bool) -> re.Pattern[str]:
    if ascii_only:
        return re.compile(_names("a-zA-Z0-9", "", groups=True))
    return re.compile(_names(_character_classes()[0], f"{INVISIBLE}*", groups=True))


class Analyzer:
    """Tokeniser with one fixed set of rules."""

    def __init__(self, settings: AnalyzerSettings):
        self.settings = settings
        self._stop_words = stop_words(settings.stop_words)
        self._stem = Stemmer.Stemmer(settings.stemmer).stemWord if settings.stemmer != "none" else str
        languages = {settings.stemmer, settings.stop_words}
        self._is_english = languages <= {"none", "short", "long", "glasgow", "english", "porter"}
        self._elisions = [ELISION[language] for language in sorted(languages & ELISION.keys())]
        self._tokens_of = lru_cache(maxsize=1_000_000)(lambda word: tuple(token for token, _, _ in self._analyse(word)))

    def tokens(self, text: str) -> list[str]:
        """Return the tokens of a text in order, with repetitions."""
        flat, pattern = self._prepared(text)
        return list(chain.from_iterable(map(self._tokens_of, pattern.findall(flat))))

    def spans(self, text: str) -> Iterator[tuple[str, int, int]]:
        """Yield (token, begin, end) for each token of a text, with character offsets into the text."""
        flat, pattern = self._prepared(text)
        for match in pattern.finditer(flat):
            for token, begin, end in self._analyse(match.group()):
                yield token, match.start() + begin, match.start() + end

    def _prepared(self, text: str) -> tuple[str, re.Pattern[str]]:
        """Return the flattened text and the pattern that matches its words."""
        flat = flatten(text)
        pattern = word_pattern(self.settings.unify_names, flat.isascii())
        if flat.isupper():
            words = [fold(word) for word in pattern.findall(flat)]
            if sum(word in self._stop_words and word not in OPERATORS for word in words) > 1:
                flat = flat.lower()
        return flat, pattern

    def _analyse(self, word: str) -> list[tuple[str, int, int]]:
        """Return (token, begin, end) for each token of one word of a flattened text, with offsets within the word."""
        if self.settings.unify_names and (name := _name_pattern(word.isascii()).fullmatch(word)):
            return [(token, 0, len(word)) for token in str(name.lastgroup).split("_")]
        if word.startswith("'"):  # a possessive ending after a name, digits or a closing bracket
            return []
        if word.isascii():
            token = self._token(word.lower(), word)
            return [(token, 0, len(word))] if token else []
        if CJK_CHARACTER.match(word):
            return _bigrams(word)
        tokens: list[tuple[str, int, int]] = []
        for part in word_pattern(unify_names=False, ascii_only=False).findall(fold(word)):  # "½" is two words
            if CJK_CHARACTER.match(part):
                tokens += [(token, 0, len(word)) for token, _, _ in _bigrams(part)]
            elif token := self._token(part, word):
                tokens.append((token, 0, len(word)))
        return tokens

    def _token(self, folded: str, word: str) -> str:
        """Return the token of a folded word, or "" if it is a stop word."""
        if self._is_english and "'" in folded:
            folded = CONTRACTED.sub("", folded)
        for elision in self._elisions:
            folded = elision.sub("", folded)
        if folded in self._stop_words and not (folded not in OPERATORS and _is_acronym(word)):
            return ""
        return self._stem(folded)


def open_analyzer(settings: AnalyzerSettings) -> Analyzer:
    """Return the analyzer that the settings describe."""
    from core.retrieval.lucene import LuceneAnalyzer  # which imports this module

    return LuceneAnalyzer(settings) if settings.tokenizer == "lucene" else Analyzer(settings)


def recorded_settings(settings: AnalyzerSettings) -> dict[str, Any]:
    """Return the analyzer's settings and version, for manifests."""
    recorded = settings.model_dump() | {"analyzer_version": VERSION}
    if settings.tokenizer == "rankscope":
        del recorded["tokenizer"]  # indexes made before this setting existed stay up to date
    return recorded


def _is_acronym(word: str) -> bool:
    letters = CONTRACTED.sub("", word.replace(INVISIBLE, ""))
    return len(letters) > 1 and letters.isalpha() and letters.isupper()


def _bigrams(word: str) -> list[tuple[str, int, int]]:
    """Return the character bigrams of a CJK word, or its single character, as (token, begin, end)."""
    characters = [
        (character, match.start(), match.end())
        for match in CJK_CHARACTER.finditer(word)
        for character in CJK_CHARACTER.findall(fold(match.group()))
    ]
    if len(characters) == 1:
        return characters
    return [(a + b, begin, end) for (a, begin, _), (b, _, end) in zip(characters, characters[1:], strict=False)]
