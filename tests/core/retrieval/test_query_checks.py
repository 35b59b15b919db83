"""Words that are in no index, similar ones, and text that is not English."""

import pytest

from core.formats.documents import Document
from core.retrieval.bm25 import Bm25Index
from core.retrieval.query_checks import is_in_other_language, other_scripts, similar_words, unknown_words
from core.workspace.profile import AnalyzerSettings, Bm25Settings

TEXTS = [
    "Vaccines against COVID-19: a vaccine for children",
    "Quarantine of travellers, transmission on board, hydroxychloroquine and symptoms",
    "Masks in schools. A vacccine is misspelled here.",
    "MERS-CoV and other coronaviruses",
    *[f"The vaccination of group {number}, vaccinated twice" for number in range(40)],
]
DOCUMENTS = {str(number): Document(str(number), "", text) for number, text in enumerate(TEXTS)}


@pytest.fixture(scope="module", params=["bm25s", "rank_bm25"])
def index(request: pytest.FixtureRequest) -> Bm25Index:
    return Bm25Index.build(list(DOCUMENTS.values()), Bm25Settings(engine=request.param), AnalyzerSettings())


def test_unknown_words_are_those_whose_terms_are_not_in_the_index(index: Bm25Index) -> None:
    query = "Do vacine or SARS-CoV-2 masks help against covid 19? The vacine!"
    assert unknown_words(query, index) == ["vacine", "SARS-CoV-2", "help"]
    assert unknown_words("the masks of travelling", index) == [], "stop words and other forms of a word"
    assert unknown_words("", index) == unknown_words("?!", index) == []


@pytest.mark.parametrize(
    ("word", "similar"),
    [
        ("quarentine", "quarantine"),
        ("Transmision", "transmission"),
        ("hidroxicloroquine", "hydroxychloroquine"),
        ("simptoms", "symptoms"),
        ("vacinne", "vaccine"),
        ("covd", "covid"),
        ("Covdi", "covid"),
    ],
)
def test_a_similar_word_is_one_of_the_documents(index: Bm25Index, word: str, similar: str) -> None:
    assert similar_words([word], index, DOCUMENTS) == {word: similar}


def test_a_word_without_a_similar_one_has_no_suggestion(index: Bm25Index) -> None:
    words = ["xyzzyplugh", "b117", "SARS-CoV-2", "熱", "x" * 100, "masking-tape"]
    assert similar_words(words, index, DOCUMENTS) == {}
    assert similar_words(["quarentine"], index, {}) == {}, "no texts"


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("covid 疫苗", "疫苗"),
        ("вакцина", "вакцина"),
        ("β-coronavirus ＡＣＥ２", ""),
        ("fever \U0001f637", ""),
        ("", ""),
    ],
)
def test_other_scripts(query: str, words: str) -> None:
    assert other_scripts(query) == words


@pytest.mark.parametrize(
    ("query", "other"),
    [
        ("Wie lange dauert die Quarantäne?", True),
        ("perte de l'odorat chez les enfants", True),
        ("¿Qué vacuna es la mejor para los niños?", True),
        ("How long does loss of smell last, and what helps it come back?", False),
        ("did the patients die in an ICU", False),
        ("masks", False),
        ("", False),
    ],
)
def test_other_languages_are_known_by_their_stop_words(query: str, other: bool) -> None:
    assert is_in_other_language(query) == other
