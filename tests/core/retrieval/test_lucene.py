"""Lucene's analyzer and document lengths: against Lucene 10 itself (its answers are written out here) and nltk."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from nltk.stem.porter import PorterStemmer

from core.evaluation.measures import evaluate, mean
from core.formats.documents import Document
from core.formats.sources import read_collection
from core.retrieval.analyzer import open_analyzer
from core.retrieval.bm25 import Bm25Index
from core.retrieval.bm25_fields import Bm25sField
from core.retrieval.highlighting import term_finders
from core.retrieval.lucene import stored_length
from core.workspace.profile import AnalyzerSettings, Bm25Settings, CollectionSettings, Profile

SETTINGS = {"tokenizer": "lucene", "stop_words": "short", "stemmer": "porter", "unify_names": False}
LUCENE = AnalyzerSettings(**SETTINGS)
TOKENS = {  # what Anserini 1.7.1's DefaultEnglishAnalyzer (Lucene 10) returns, printed by a Java program of ten lines
    "The virus's spread isn't the patients' fault": "viru spread isn't patient fault",
    "COVID-19 and SARS-CoV-2, e.g. in U.S. hospitals": "covid 19 sar cov 2 e.g u. hospit",
    "p < 0.05, 1,000 cells; 1:500 or 3;4 at 10.1016/j.cell": "p 0.05 1,000 cell 1 500 3;4 10.1016 j.cell",
    "snake_case _x_ __ 3_4 a_1 www.who.int user@example.org": "snake_cas _x_ 3_4 a_1 www.who.int user example.org",
    "Virology, technologies, geology, biological": "virolog technolog geologi biolog",
    "possibly, irreversibly, reliably, assemblies": "possibl irrevers reliabl assembl",
    "aetiologieal": "aetiologi",
    "WHO IT NO OR us as is": "who us",
    "β-lactam 5′-UTR 10⁵ CO₂ naïve ﬁne ＡＢＣ’s Schrödinger’s": "β lactam 5 utr 10 co naïv ﬁne ａｂｃ schrödinger",
    "新型コロナウイルス 코로나 ไวรัสโคโรนา": "新 型 コロナウイルス 코로나 ไวรัสโคโรนา",
    "Trademark® ™ © ↔ 😷 ☎ ½ Ⅳ": "trademark ® ™ © ↔ 😷 ☎ ⅳ",
    "l'hôpital d’une İstanbul ΣΑΣ straße": "l'hôpital d’une istanbul σασ straße",
    "a.b:c a:1 1.a 3'4 O'Neill's 'quoted' ''": "a.b:c 1 1 3'4 o'neil quot",
}
STORED = {
    0: 0,
    1: 1,
    39: 39,
    40: 40,
    41: 40,
    43: 42,
    55: 54,
    59: 56,
    100: 96,
    199: 184,
    260: 248,
    1000: 984,
    12345: 12312,
}
"""Length -> SmallFloat.byte4ToInt(SmallFloat.intToByte4(length))."""


@pytest.mark.parametrize("text", TOKENS)
def test_tokens_are_those_of_lucene(text):
    assert " ".join(open_analyzer(LUCENE).tokens(text)) == TOKENS[text]


def test_the_pattern_for_ascii_is_that_for_any_text():
    analyzer = open_analyzer(LUCENE)

    @given(st.text(alphabet="aZ09_.,:;'-sS \n", max_size=30))
    def same(text):
        with_another = analyzer.tokens(f"{text} é")
        assert with_another == [*analyzer.tokens(text), "é"]

    same()


@given(st.text(alphabet="aeiouybcdgklnstvz", min_size=1, max_size=12))
def test_stems_are_those_of_porters_program(word):
    martin = PorterStemmer(PorterStemmer.MARTIN_EXTENSIONS)
    for end in ("", "logy", "logies", "bly", "blies", "kking", "vved", "ational"):
        expected = martin.stem(word + end)
        assert open_analyzer(LUCENE.model_copy(update={"stop_words": "none"})).tokens(word + end) == [expected]


def test_lengths_are_those_that_lucene_stores():
    assert {length: stored_length(length) for length in STORED} == STORED
    assert sum(map(stored_length, range(100_000))) == 4_774_905_980  # the sum in Java


def test_names_are_not_unified_by_lucenes_rules():
    with pytest.raises(ValueError, match="add unify_names = false"):
        AnalyzerSettings(tokenizer="lucene")


def test_terms_are_found_by_the_analyzer_of_each_system():
    systems = [{"name": "ours", "kind": "bm25"}, {"name": "anserini", "kind": "bm25", "analyzer": SETTINGS}]
    find = term_finders(Profile.model_validate({"collection": {"name": "c"}, "system": systems}), "covid-19")
    text = "Disease 19 and COVID"
    assert [text[begin:end] for begin, end in find("ours")(text)] == ["COVID"]
    assert [text[begin:end] for begin, end in find("anserini")(text)] == ["19", "COVID"]
    assert find("a dense system")(text) == find("ours")(text)


def test_an_index_that_is_saved_answers_as_before(tmp_path):
    documents = [Document(f"d{number}", "masks", "slow the spread " * number) for number in range(6)]
    settings = Bm25Settings(k1=0.9, b=0.4, lengths="lucene")
    index = Bm25Index.build(documents, settings, LUCENE)
    index.save(tmp_path)
    loaded = Bm25sField.load(tmp_path / "field-0")
    (built,) = index.fields
    for tokens in (["mask"], ["spread", "slow"], ["none"]):
        assert (loaded.scores(tokens) == built.scores(tokens)).all()


@pytest.mark.data
def test_scifact_has_the_figures_of_anserini(data_folder):
    # https://github.com/castorini/anserini, regression beir-v1.0.0-scifact.flat: nDCG@10 0.6789, R@100 0.9253
    collection = read_collection(data_folder / "scifact", CollectionSettings(name="scifact"))
    index = Bm25Index.build(collection.documents, Bm25Settings(k1=0.9, b=0.4, lengths="lucene"), LUCENE)
    run = {topic.id: dict(index.search(topic.question, 100)) for topic in collection.topics}
    values = evaluate(run, collection.qrels, ["nDCG@10", "R@100"])
    assert mean(values["nDCG@10"]) == pytest.approx(0.6789, abs=5e-5)
    assert mean(values["R@100"]) == pytest.approx(0.9253, abs=5e-5)
