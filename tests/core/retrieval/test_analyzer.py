"""How text becomes tokens, above all the names of the virus and the disease."""

import re
import time
import unicodedata

import pytest
import regex
import Stemmer
from hypothesis import assume, example, given
from hypothesis import strategies as st

from core.formats.documents import Document
from core.retrieval import analyzer as rules
from core.retrieval.analyzer import Analyzer, stop_words
from core.retrieval.bm25 import Bm25Index
from core.retrieval.highlighting import term_finder
from core.workspace.errors import UserError
from core.workspace.profile import STOP_WORD_LANGUAGES, AnalyzerSettings, Bm25Settings, read_profile

PLAIN = Analyzer(AnalyzerSettings(stop_words="none", stemmer="none"))
DEFAULT = Analyzer(AnalyzerSettings())
# Zero-width space, joiner, non-joiner; soft hyphen, word joiner, byte order mark, direction marks, variation selector
INVISIBLE = "\u200b\u200d\u200c\u00ad\u2060\ufeff\u200e\u202c\ufe0f"

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
    analyzer = Analyzer(AnalyzerSettings(stop_words="none"))  # capitals make acronyms of stop words
    text = " ".join(words)
    assert analyzer.tokens(text.casefold()) == analyzer.tokens(text)


# Words are found before they are normalised


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("Remdesivir™, Simplexa™ and CleanSpace2™", "remdesivir simplexa and cleanspace2"),
        ("Permacol® ©2020 Elsevier℠", "permacol 2020 elsevier"),
        ("10⁵ 10⁻⁵ 10¹² copies", "10 5 10 5 10 12 copies"),
        ("virus¹,² cm² Ca²⁺", "virus 1 2 cm 2 ca 2"),
        ("Smithᵃ 10ⁿ remdesivirᵀᴹ 1ˢᵗ", "smith a 10 n remdesivir tm 1 st"),
        ("CO₂ H₂O SpO₂ PM₂.₅ log₁₀ 10₂", "co2 h2o spo2 pm2 5 log10 10 2"),
        ("2½ ½ ①② 5㎏ 37℃", "2 1 2 1 2 12 5 kg 37 c"),
        ("angiotensinⅡ typeⅣ", "angiotensin ii type iv"),
        ("ﬁne eﬃcacy ｆｕｌｌ １２ 𝐛𝐨𝐥𝐝", "fine efficacy full 12 bold"),
        ("µg ㎍ Å", "μg μg å"),
    ],
)
def test_signs_are_not_glued_to_words(text, tokens):
    assert PLAIN.tokens(text) == tokens.split()


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        (
            "coron\u200bavirus 2019\u00adnCoV SARS\u2060-\ufeffCoV\u200d-2 COVID\u00ad-19",
            "coronavirus sarscov2 sarscov2 covid19",
        ),
        ("İSTANBUL İstanbul I\u0307stanbul istanbul", "istanbul istanbul istanbul istanbul"),
        ("\ufeffmasks \u00adwork\u00ad", "masks work"),
    ],
)
def test_invisible_characters_are_not_there(text, tokens):
    assert PLAIN.tokens(text) == tokens.split()


# A word of each script that writes marks; UAX #29 breaks none of them.
SCRIPTS = [
    "हिन्दी",
    "বাংলা",
    "தமிழ்",
    "മലയാളം",
    "العَرَبِيَّة",
    "שָׁלוֹם",
    "ภาษาไทย",
    "ភាសាខ្មែរ",
    "မြန်မာ",
    "Tiê\u0301ng",
    "नि\u200dयम",
]


@pytest.mark.parametrize("word", SCRIPTS)
def test_marks_belong_to_their_word(word):
    assert PLAIN.tokens(f"({word}) {word}, {word}") == [rules.fold(word.replace("\u200d", ""))] * 3


def test_hebrew_acronyms_are_one_word():
    assert PLAIN.tokens('צה"ל צה״ל "שלום"') == ['צה"ל', 'צה"ל', "שלום"]


def test_a_zero_width_space_separates_words_where_a_script_has_no_spaces():
    assert PLAIN.tokens("ភាសា\u200bខ្មែរ") == ["ភាសា", "ខ្មែរ"]


@pytest.mark.parametrize("apostrophe", ["'", "’", "＇", "ʼ", "‘"])
def test_possessives_and_contractions_leave_no_letter_behind(apostrophe):
    text = "don't the virus's origin, patients' lungs, they're O'Brien's; T cells and the S protein; I've can't"
    expected = ["virus", "origin", "patient", "lung", "o'brien", "t", "cell", "s", "protein"]
    assert DEFAULT.tokens(text.replace("'", apostrophe)) == expected
    assert DEFAULT.tokens("COVID-19's 1990's (RBD)'s CO₂'s WHO'S".replace("'", apostrophe)) == [
        "covid19",
        "1990",
        "rbd",
        "co2",
        "who",
    ]
    # Lucene's TestEnglishAnalyzer, "possessive removal"
    assert [DEFAULT.tokens(word.replace("'", apostrophe)) for word in ("steven's", "stevens'")] == [["steven"]] * 2
    assert PLAIN.tokens("3'UTR 5'-CACG 'spike'") == ["3", "utr", "5", "cacg", "spike"]


def test_an_acronym_is_no_stop_word():
    assert DEFAULT.tokens("The WHO guidelines") == ["who", "guidelin"]
    assert DEFAULT.tokens("WHO") == DEFAULT.tokens("the WHO's") == DEFAULT.tokens("Ｗ\u200bＨＯ reports")[:1] == ["who"]
    assert DEFAULT.tokens("people who are at risk") == ["peopl", "risk"]
    assert DEFAULT.tokens("WHO IS AT RISK?") == ["risk"], "in a text of capitals they tell nothing"
    assert DEFAULT.tokens("masks AND gloves, NOT gowns") == ["mask", "glove", "gown"]
    assert DEFAULT.tokens("inhaled NO in the US; tell us, I do") == ["inhal", "no", "us", "tell"]


def test_the_long_list_is_of_function_words():
    listed = stop_words("long")
    assert {"does", "did", "doing", "having", "just", "would", "who", "us", "don't", "can't"} <= listed
    assert not {"system", "bill", "fire", "interest", "t", "s", "don", "won"} & listed
    assert len(stop_words("short")) == 33
    assert len(stop_words("glasgow")) == 318


# Chinese, Japanese, Korean


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        # Lucene's TestCJKBigramFilter, testHuge and testUnigramsAndBigrams
        ("多くの学生が試験に落ちた。", "多く くの の学 学生 生が が試 試験 験に に落 落ち ちた"),
        ("一", "一"),
        ("一 abc 二三", "一 abc 二三"),
        ("新冠病毒COVID-19疫苗", "新冠 冠病 病毒 covid19 疫苗"),
        ("한국어 한국어", "한국 국어 한국 국어"),
        ("ｶﾞｷﾞ ガギ データ", "ガギ ガギ デー ータ"),
        ("⼀⼆ 一二", "一二 一二"),
        ("𠀀𠀁𠀂", "𠀀𠀁 𠀁𠀂"),
    ],
)
def test_cjk_text_becomes_bigrams(text, tokens):
    assert PLAIN.tokens(text) == tokens.split()


def test_a_chinese_query_finds_a_chinese_document():
    documents = [Document("d1", "", "新型冠状病毒的疫苗"), Document("d2", "", "流感的历史")]
    index = Bm25Index.build(documents, Bm25Settings(), AnalyzerSettings())
    assert [document for document, _ in index.search("病毒疫苗", 10)] == ["d1"]


# Character classes, as the Unicode database of the package `regex` has them


def same_as(pattern: str, ours: re.Pattern[str], beyond: str = "") -> bool:
    theirs = regex.compile(pattern)
    known = [chr(i) for i in range(0x110000) if unicodedata.category(chr(i)) not in ("Cn", "Cs")]
    return {c for c in known if bool(theirs.match(c)) != bool(ours.match(c))} <= set(beyond)


def test_invisible_characters_are_those_of_unicode():
    theirs = regex.compile(r"\p{Default_Ignorable_Code_Point}")
    everything = map(chr, range(0x110000))
    assert [c for c in everything if bool(theirs.match(c)) != bool(rules.IGNORABLE.match(c))] == []


def test_cjk_characters_are_those_of_unicode():
    scripts = regex.compile(
        r"[\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}\p{Script=Hangul}--\p{So}--\p{Mn}]", regex.V1
    )
    ours = re.compile(f"[{rules.CJK}]")
    known = [c for c in map(chr, range(0x20000)) if c.isalpha()]
    flat = [c for c in known if rules.flatten(c) == c and not rules.IGNORABLE.match(c)]
    differing = {c for c in flat if bool(scripts.match(c)) != bool(ours.match(c))}
    assert differing <= {"ー"}, [f"{ord(c):x} {unicodedata.name(c)}" for c in differing]


@given(st.text(st.characters(categories=["L", "M", "Nd", "P", "Zs", "Sm"]), max_size=20))
def test_a_word_starts_after_a_letter_only_where_unicode_has_a_boundary(text):
    assume(not re.search(f"[{rules.CJK}{rules.SOUTHEAST_ASIAN}]", rules.flatten(text)))
    assume(not re.search(f"[{rules._character_classes()[1]}]", text))
    boundaries = {match.start() for match in regex.finditer(r"(?V1w)\b", text)}  # those of UAX #29
    after_letters = {begin for _, begin, _ in PLAIN.spans(text) if begin and text[begin - 1].isalpha()}
    assert after_letters <= boundaries


# Properties


WORDS = st.sampled_from(
    [
        "coronavirus",
        "2019nCoV",
        "SARS-CoV-2",
        "virus's",
        "CO₂",
        "WHO",
        "café",
        "हिन्दी",
        "病毒疫苗",
        "don’t",
        "10",
        "ﬁne",
    ]
)


@given(word=WORDS, data=st.data())
def test_an_invisible_character_within_a_word_changes_nothing(word, data):
    at = data.draw(st.integers(0, len(word)))
    changed = word[:at] + data.draw(st.text(INVISIBLE, min_size=1, max_size=2)) + word[at:]
    for analyzer in (PLAIN, DEFAULT):
        assert analyzer.tokens(f"a {changed} b") == analyzer.tokens(f"a {word} b")


TEXTS = st.one_of(
    st.text(max_size=30),
    st.lists(st.one_of(WORDS, st.text(max_size=5), st.sampled_from([" ", "\u200b", "™", "⁵", "'"])), max_size=8).map(
        "".join
    ),
)


@given(text=TEXTS)
@example("\u00adCOVID-19\u00ad 10\u00ad₂")
def test_spans_are_the_tokens_and_lie_in_the_text(text):
    assert len(rules.flatten(text)) == len(text)
    for analyzer in (PLAIN, DEFAULT):
        spans = list(analyzer.spans(text))
        assert [token for token, _, _ in spans] == analyzer.tokens(text)
        assert all(0 <= begin < end <= len(text) for _, begin, end in spans)
        assert spans == sorted(spans, key=lambda span: span[1]), "in the order of the text"


@given(text=TEXTS, query=TEXTS)
def test_what_is_marked_becomes_tokens_of_the_query(text, query):
    wanted = set(PLAIN.tokens(query))
    marked = term_finder(PLAIN, query)(text)
    assert all(wanted & set(PLAIN.tokens(text[begin:end])) for begin, end in marked)
    assert bool(marked) == bool(wanted & set(PLAIN.tokens(text)))
    assert all(end <= begin for (_, end), (begin, _) in zip(marked, marked[1:], strict=False))


@given(text=st.text(st.characters(categories=["L", "M", "N", "P", "S", "Z"]), max_size=30))
def test_composed_and_decomposed_text_is_the_same(text):
    composed, decomposed = (unicodedata.normalize(form, text) for form in ("NFC", "NFD"))
    assert PLAIN.tokens(composed) == PLAIN.tokens(decomposed)


def test_marks_stand_where_the_words_are_written():
    text = "The virus’s “coron\u00adavirus”™ 10⁵ of 新型冠状病毒, İstanbul"
    for query, expected in {
        "viruses": ["virus’s"],
        "coronavirus": ["coron\u00adavirus"],
        "5": ["⁵"],
        "冠状病毒": ["冠状病毒"],
        "新型 病毒": ["新型", "病毒"],
        "istanbul": ["İstanbul"],
    }.items():
        assert [text[begin:end] for begin, end in term_finder(DEFAULT, query)(text)] == expected


@pytest.mark.parametrize(
    "run", ["\u200b", " ", "-", "\u00ad ", "'", "\u200b'", "₂", "\u0301", "s\u200b", "\u1161", "⁵", '"']
)
def test_long_runs_take_no_time(run):
    for beginning in ("sars", "sars-cov", "covid", "2019", "n", "א", "病", "10"):
        started = time.perf_counter()
        list(DEFAULT.spans(f"{beginning}{run * 20_000}x"))
        assert time.perf_counter() - started < 2


# Other languages


@pytest.mark.parametrize(
    ("language", "text", "tokens"),
    [
        ("german", "Die Häuser der Straße sind groß", "haus strass gross"),
        ("french", "l’hôpital d'Abidjan qu'il est vu", "hôpital abidjan vu"),
        ("italian", "dell'ospedale e l'acqua", "ospedal acqua"),
        ("russian", "Вакцины для людей", "вакцин люд"),
        ("spanish", "las vacunas contra la enfermedad", "vacun enfermed"),
    ],
)
def test_other_languages(language, text, tokens):
    analyzer = Analyzer(AnalyzerSettings(stop_words=language, stemmer=language))
    assert analyzer.tokens(text) == tokens.split()


@pytest.mark.parametrize("name", Stemmer.algorithms())
def test_every_stemmer_of_the_library_can_be_chosen(name):
    word = {"arabic": "اللقاحات", "russian": "вакцины", "greek": "εμβολια"}.get(name, "vaccinations")
    analyzer = Analyzer(AnalyzerSettings(stop_words="none", stemmer=name))
    assert analyzer.tokens(word) == [Stemmer.Stemmer(name).stemWord(word)]


@pytest.mark.parametrize("name", STOP_WORD_LANGUAGES)
def test_every_list_of_stop_words_can_be_chosen(name):
    listed = stop_words(name)
    assert len(listed) > 90
    assert Analyzer(AnalyzerSettings(stop_words=name, stemmer="none")).tokens(" ".join(listed)) == []


@pytest.mark.parametrize(("key", "value"), [("stemmer", "klingon"), ("stop_words", "chinese")])
def test_an_unknown_language_is_told(tmp_path, key, value):
    profile = tmp_path / "p.toml"
    profile.write_text(
        f'[collection]\nname = "c"\n[analyzer]\n{key} = "{value}"\n[[system]]\nname = "bm25"\nkind = "bm25"\n'
    )
    with pytest.raises(UserError, match=rf"analyzer.{key}.*{value}.*german"):
        read_profile(str(profile))


def test_a_name_counts_once():
    for name in VIRUS_2019:
        assert DEFAULT.tokens(name) == ["sarscov2"]
    for name in DISEASE:
        assert DEFAULT.tokens(name) == ["covid19"]
