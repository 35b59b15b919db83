"""The analyzer: text becomes the tokens that BM25 matches.

In this order: Unicode compatibility normalisation (NFKC) and case folding; the many spellings of the virus and the
disease written in one way; words (runs of letters and digits); stop words dropped; stems.

Names: "SARS-CoV-2", "SARS CoV 2", "SARSCoV2", "2019-nCoV", "nCoV-2019" and "HCoV-19" all become the tokens
`sarscov2 sars cov`: they match each other in full, and the virus of 2003 ("SARS-CoV", "SARS-CoV-1": `sars cov`) by the
family's name alone. "COVID-19", "COVID 19", "covid19" and "COVID" all become `covid 19`. The virus and its disease
share no token: documents mean one or the other.
"""

import re
import unicodedata
from functools import lru_cache

import Stemmer
from bm25s.stopwords import STOPWORDS_EN

from core.profile import AnalyzerSettings

WORD = re.compile(r"[^\W_]+")
GAP = r"[\s\-‐-―−/]*"
NAMES = re.compile(
    rf"\b(?:(?P<virus_2019>sars{GAP}(?:cov|coronavirus){GAP}2|2019{GAP}n{GAP}cov|n{GAP}cov{GAP}(?:2019|19)|hcov{GAP}19)"
    rf"|(?P<virus_2003>sars{GAP}cov(?:{GAP}1)?)"
    rf"|(?P<disease>covid(?:{GAP}(?:2019|19))?))\b"
)
ONE_SPELLING = {"virus_2019": " sarscov2 sars cov ", "virus_2003": " sars cov ", "disease": " covid 19 "}


def stop_words(name: str) -> frozenset[str]:
    """Return a list of stop words: "none", "short" (Lucene's 33) or "long" (scikit-learn's 318)."""
    if name == "long":
        # Slow to import, and a page that only reads results needs no analyzer.
        from sklearn.feature_extraction.text import ENGLISH_STOP_WORDS

        return frozenset(ENGLISH_STOP_WORDS)
    return frozenset(STOPWORDS_EN if name == "short" else ())


class Analyzer:
    """Turns texts into tokens by one fixed set of rules."""

    def __init__(self, settings: AnalyzerSettings):
        self.settings = settings
        self._stop_words = stop_words(settings.stop_words)
        stem = Stemmer.Stemmer(settings.stemmer).stemWord if settings.stemmer != "none" else str
        self._stem = lru_cache(maxsize=1_000_000)(stem)

    def tokens(self, text: str) -> list[str]:
        """Return the tokens of a text in their order, repeats included."""
        folded = unicodedata.normalize("NFKC", text).casefold()
        if self.settings.unify_names:
            folded = NAMES.sub(lambda match: ONE_SPELLING[str(match.lastgroup)], folded)
        stem, stop_words = self._stem, self._stop_words
        return [stem(word) for word in WORD.findall(folded) if word not in stop_words]
