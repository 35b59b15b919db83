"""How text becomes tokens, above all the names of the virus and the disease."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.analyzer import Analyzer
from core.profile import AnalyzerSettings

# Spellings that occur in the TREC-COVID documents; the last ones have U+2010, U+2013, U+2212 and full-width letters.
VIRUS_2019 = [
    "SARS-CoV-2",
    "SARS CoV 2",
    "SARS-CoV2",
    "SARS-CoV 2",
    "SARSCoV2",
    "sars-cov-2",
    "SARS-coronavirus-2",
    "SARS Coronavirus 2",
    "2019-nCoV",
    "2019 nCoV",
    "2019nCoV",
    "nCoV-2019",
    "nCoV 2019",
    "HCoV-19",
    "SARS‐CoV‐2",
    "SARS–CoV–2",
    "SARS−CoV−2",
    "2019−nCoV",
    "ＳＡＲＳ－ＣｏＶ－２",
]
VIRUS_2003 = ["SARS-CoV", "SARS CoV", "SARSCoV", "SARS-CoV-1", "SARS-CoV1", "SARS‐CoV‐1"]
DISEASE = ["COVID-19", "COVID 19", "COVID19", "covid-19", "Covid-2019", "COVID‐19", "COVID−19", "COVID―19", "COVID"]


@pytest.fixture(scope="module")
def analyzer():
    return Analyzer(AnalyzerSettings())


@pytest.mark.parametrize("names", [VIRUS_2019, VIRUS_2003, DISEASE], ids=["virus of 2019", "virus of 2003", "disease"])
def test_all_spellings_of_a_name_are_the_same_tokens(names, analyzer):
    assert {name: analyzer.tokens(name) for name in names} == dict.fromkeys(names, analyzer.tokens(names[0]))


def test_the_two_viruses_and_the_disease_are_three_things(analyzer):
    of_2019, of_2003, disease = (analyzer.tokens(names[0]) for names in (VIRUS_2019, VIRUS_2003, DISEASE))
    assert set(of_2019) - set(of_2003), "a document on the virus of 2019 can be told from one on that of 2003"
    assert not set(disease) & (set(of_2019) | set(of_2003))


@pytest.mark.parametrize("name", [*VIRUS_2019, *VIRUS_2003, *DISEASE])
def test_a_name_inside_a_sentence_is_found_there(name, analyzer):
    tokens = analyzer.tokens(f"The ({name}) outbreak, and {name}-infected patients.")
    outbreak = tokens.index(*analyzer.tokens("outbreak"))
    assert tokens[:outbreak] == analyzer.tokens(name)


@pytest.mark.parametrize("text", ["sarscope", "covidence 19", "scovid 19", "hcov 229e", "sars mers", "mers cov 2"])
def test_words_that_only_look_like_names_stay_what_they_are(text):
    assert Analyzer(AnalyzerSettings(stop_words="none", stemmer="none")).tokens(text) == text.split()


def test_english_words_are_stemmed_as_porters_examples():
    # Porter (1980), "An algorithm for suffix stripping", examples of steps 1a and 1b
    porter = Analyzer(AnalyzerSettings(stop_words="none", stemmer="porter"))
    assert porter.tokens("caresses ponies cats plastered motoring") == ["caress", "poni", "cat", "plaster", "motor"]


def test_without_a_stemmer_and_stop_words_every_word_stays():
    plain = Analyzer(AnalyzerSettings(stop_words="none", stemmer="none"))
    assert plain.tokens("The cats, and THE dogs") == ["the", "cats", "and", "the", "dogs"]


def test_stop_words_are_dropped():
    short = Analyzer(AnalyzerSettings(stop_words="short", stemmer="none"))
    assert short.tokens("the spread of the virus") == ["spread", "virus"]


def test_letters_of_any_script_make_words():
    plain = Analyzer(AnalyzerSettings(stop_words="none", stemmer="none"))
    assert plain.tokens("Ångström café ΔΕΛΤΑ 病毒") == ["ångström", "café", "δελτα", "病毒"]


def test_one_letter_written_in_two_ways_is_one_letter(analyzer):
    assert analyzer.tokens("caf\u00e9 \ufb01ne") == analyzer.tokens("cafe\u0301 fine")


def test_markup_is_text_like_any_other(analyzer):
    assert analyzer.tokens("<b>masks</b>&amp;<script>alert('bats')</script>") == analyzer.tokens(
        "b masks b amp script alert bats script"
    )


@pytest.mark.parametrize("text", ["", " \n\t", "...", "_", "—", "\0"])
def test_a_text_without_a_word_has_no_tokens(text, analyzer):
    assert analyzer.tokens(text) == []


@given(text=st.text())
def test_tokens_are_never_empty_and_hold_no_space(text):
    tokens = Analyzer(AnalyzerSettings()).tokens(text)
    assert all(token and not any(map(str.isspace, token)) for token in tokens)


@given(words=st.lists(st.text(st.characters(categories=["L", "N"]), min_size=1, max_size=6), max_size=6))
def test_case_does_not_matter(words):
    analyzer = Analyzer(AnalyzerSettings())
    text = " ".join(words)
    assert analyzer.tokens(text.casefold()) == analyzer.tokens(text)
