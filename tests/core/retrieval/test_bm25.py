"""BM25: worked by hand, and the fast backend against the reference one."""

import json
import math
import os
from itertools import chain

import bm25s
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.formats.documents import Document, read_documents
from core.retrieval.bm25 import Bm25Index, origins
from core.retrieval.bm25_fields import Bm25sField
from core.retrieval.systems import Bm25System
from core.retrieval.token_numbers import analysed
from core.workspace.errors import UserError
from core.workspace.profile import AnalyzerSettings, Bm25Settings, ExpansionSettings, SystemSettings

BACKENDS = ["bm25s", "rank_bm25"]
PLAIN = AnalyzerSettings(stop_words="none", stemmer="none")
FRUIT = [
    Document("d1", "", "apple banana apple"),
    Document("d2", "", "banana"),
    Document("d3", "", "cherry banana date date"),
]
words = st.sampled_from(["apple", "banana", "cherry", "date", "elder", "fig"])
texts = st.lists(words, max_size=6).map(" ".join)
corpora = st.lists(st.tuples(texts, texts), min_size=1, max_size=12).map(
    lambda rows: [Document(f"d{number}", title, text) for number, (title, text) in enumerate(rows)]
)
parameters = st.fixed_dictionaries(
    {"k1": st.sampled_from([0.0, 0.5, 0.9, 1.2, 2.0]), "b": st.sampled_from([0.0, 0.4, 0.75, 1.0])}
    | {"fields": st.sampled_from(["one", "two"]), "lengths": st.sampled_from(["exact", "lucene"])}
)


def build(documents, backend="bm25s", analyzer=PLAIN, predicted=None, expansion=None, **settings):
    return Bm25Index.build(documents, Bm25Settings(engine=backend, **settings), analyzer, predicted, expansion)


def assert_same_ranking(found, reference, tolerance=1e-4):
    """Check that both hold the same documents, with the same scores and in the same order but for ties."""
    scores = dict(reference)
    assert dict(found) == pytest.approx(scores, abs=tolerance)
    order = [scores[document] for document, _ in found]
    assert all(before >= after - tolerance / 10 for before, after in zip(order, order[1:], strict=False))


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_score_worked_by_hand(backend):
    # N = 3, n = 1: idf = ln(1 + 2.5 / 1.5); tf = 2, length 3, mean length 8 / 3: 2 / (2 + 1.5 * (0.25 + 0.75 * 1.125))
    index = build(FRUIT, backend, k1=1.5, b=0.75)
    ((document, score),) = index.search("apple", 10)
    assert document == "d1"
    assert score == pytest.approx(math.log(1 + 2.5 / 1.5) * 2 / (2 + 1.5 * (0.25 + 0.75 * 1.125)), rel=1e-5)
    assert score == pytest.approx(0.53882, abs=1e-5)


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_word_that_is_in_every_document_still_counts(backend):
    # n = N = 3: idf = ln(1 + 0.5 / 3.5), positive; the shortest document comes first
    index = build(FRUIT, backend, k1=1.5, b=0.75)
    hits = index.search("banana", 10)
    assert [document for document, _ in hits] == ["d2", "d1", "d3"]
    assert hits[0][1] == pytest.approx(math.log(1 + 0.5 / 3.5) / (1 + 1.5 * (0.25 + 0.75 * 0.375)), rel=1e-5)


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_word_said_twice_in_the_query_counts_twice(backend):
    index = build(FRUIT, backend)
    once, twice = index.search("apple", 1)[0][1], index.search("apple apple", 1)[0][1]
    assert twice == pytest.approx(2 * once, rel=1e-5)


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_score_with_the_lengths_of_lucene_worked_by_hand(backend):
    # 41 tokens are stored as 40; the empty document counts neither in N = 2 nor in the mean length (41 + 3) / 2 = 22
    documents = [
        Document("d1", "", "apple " + "banana " * 40),
        Document("d2", "", "cherry " * 3),
        Document("d3", "", ""),
    ]
    index = build(documents, backend, k1=0.9, b=0.4, lengths="lucene")
    expected = math.log(1 + 1.5 / 1.5) / (1 + 0.9 * (0.6 + 0.4 * 40 / 22))
    assert index.search("apple", 10) == [("d1", pytest.approx(expected, rel=1e-5))]


@given(documents=corpora, settings=parameters, query=texts)
def test_both_backends_rank_alike(documents, settings, query):
    fast, reference = (build(documents, backend, **settings) for backend in BACKENDS)
    assert_same_ranking(fast.search(query, 20), reference.search(query, 20))


@given(documents=corpora, settings=parameters, query=texts)
@pytest.mark.parametrize("backend", BACKENDS)
def test_the_parts_of_an_explanation_add_up_to_the_score(backend, documents, settings, query):
    index = build(documents, backend, **settings)
    system = Bm25System(SystemSettings(name="bm25", kind="bm25"), index)
    hits = system.search([query], 20)[0].hits
    for document, score in hits:
        assert sum(weight for _, weight in system.explain(query, document)) == pytest.approx(score, rel=1e-4)
    for document in {d.id for d in documents} - {document for document, _ in hits}:
        assert system.explain(query, document) == []


@given(documents=corpora, query=texts)
def test_postings_add_up_to_the_scores_that_bm25s_finds(documents, query):
    field = build(documents).fields[0]
    known = [word for word in query.split() if word in field.index.vocab_dict]
    expected = field.index.get_scores(known).tolist() if known else [0.0] * len(documents)
    assert field.scores(query.split()).tolist() == expected


def test_an_explanation_names_terms_the_heaviest_first():
    system = Bm25System(SystemSettings(name="bm25", kind="bm25"), build(FRUIT))
    assert [term for term, _ in system.explain("banana apple grape", "d1")] == ["apple", "banana"]


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("fields", ["one", "two"])
@pytest.mark.parametrize("query", ["grape", "", "...", "<>&"])
def test_a_query_without_a_known_word_finds_nothing(query, fields, backend):
    assert build(FRUIT, backend, fields=fields).search(query, 10) == []


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("fields", ["one", "two"])
def test_empty_documents_are_never_found_and_disturb_nothing(fields, backend):
    documents = [Document("e1", "", ""), *FRUIT, Document("e2", "", "...")]
    found = build(documents, backend, fields=fields).search("apple banana cherry", 10)
    assert {document for document, _ in found} == {"d1", "d2", "d3"}
    assert build([Document("e1", "", "")], backend, fields=fields).search("apple", 10) == []


def test_titles_are_searched_in_one_field_and_in_two():
    documents = [Document("d1", "apple", ""), Document("d2", "", "apple"), Document("d3", "cherry", "date")]
    for fields in ("one", "two"):
        assert {d for d, _ in build(documents, fields=fields).search("apple", 10)} == {"d1", "d2"}


def test_documents_of_equal_score_stand_in_the_collections_order():
    documents = [Document(name, "", "apple banana") for name in ("z", "m", "a", "q")] + [Document("o", "", "fig")]
    assert [document for document, _ in build(documents).search("apple", 3)] == ["z", "m", "a"]


def test_a_predicted_query_makes_its_document_found():
    assert build(FRUIT).search("grape", 10) == []
    for field in ("appended", "own"):
        expansion = ExpansionSettings(field=field)
        expanded = build(FRUIT, predicted={"d2": ["which grape", "what fruit"]}, expansion=expansion)
        assert [document for document, _ in expanded.search("grape", 10)] == ["d2"]


@pytest.mark.parametrize("backend", BACKENDS)
def test_predicted_queries_that_are_appended_are_searched_as_text(backend):
    queries = {"d2": ["which fig", "banana"], "d3": ["apple"]}
    texts = [Document(d.id, "", " ".join([d.text, *queries.get(d.id, [])])) for d in FRUIT]
    expanded, plain = build(FRUIT, backend, predicted=queries), build(texts, backend)
    for query in ("fig banana", "apple date"):
        assert expanded.search(query, 10) == plain.search(query, 10)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("fields", ["one", "two"])
def test_a_field_of_their_own_adds_its_weighted_score_to_the_documents(backend, fields):
    queries = {"d1": ["which fig is it", "apple"], "d2": ["fig fig"]}
    alone = build([Document(d.id, "", " ".join(queries.get(d.id, []))) for d in FRUIT], backend)
    expansion = ExpansionSettings(field="own", weight=0.3)
    expanded = build(FRUIT, backend, predicted=queries, expansion=expansion, fields=fields)
    for query in ("fig", "apple banana", "date fig fig"):
        expected = build(FRUIT, backend, fields=fields).scores(query) + 0.3 * alone.scores(query)
        assert expanded.scores(query) == pytest.approx(expected, rel=1e-5)


queries_of_corpora = st.lists(st.lists(texts, max_size=3), min_size=12, max_size=12)


@given(documents=corpora, written=queries_of_corpora, settings=parameters, query=texts)
@pytest.mark.parametrize("field", ["appended", "own"])
@pytest.mark.parametrize("backend", BACKENDS)
def test_what_document_and_predicted_queries_earn_adds_up_to_the_score(
    backend, field, documents, written, settings, query
):
    predicted = {d.id: own for d, own in zip(documents, written, strict=False)}
    index = build(
        documents, backend, predicted=predicted, expansion=ExpansionSettings(field=field, weight=0.5), **settings
    )
    bm25 = Bm25Settings(engine=backend, **settings)
    for document, score in zip(documents, index.scores(query), strict=True):
        found = origins(index, bm25, query, document, predicted[document.id])
        assert sum(o.document + o.predicted for o in found) == pytest.approx(float(score), rel=1e-4, abs=1e-6)
        for origin in found:
            in_queries = [q for q in predicted[document.id] if origin.term in q.split()]
            in_text = origin.term in f"{document.title} {document.text}".split()
            assert origin.queries == in_queries
            assert (origin.document > 0, origin.predicted > 0) == (in_text, bool(in_queries))


def test_the_origins_of_a_match_by_hand():
    index = build(FRUIT, predicted={"d1": ["which apple", "fig", "apple fig"]})
    apple, fig, banana = origins(
        index, Bm25Settings(), "apple fig banana", FRUIT[0], ["which apple", "fig", "apple fig"]
    )
    assert (apple.term, apple.queries) == ("apple", ["which apple", "apple fig"])
    assert apple.document == pytest.approx(apple.predicted), "twice in the text, twice in the queries"
    assert (fig.term, fig.document, fig.queries) == ("fig", 0, ["fig", "apple fig"])
    assert (banana.term, banana.predicted, banana.queries) == ("banana", 0, [])


def test_markup_in_a_text_is_searched_as_text():
    documents = [Document("d1", "<i>apple</i>", "<script>alert('fig')</script>"), Document("d2", "", "banana")]
    assert [document for document, _ in build(documents).search("<b>fig</b>", 10)] == ["d1"]


def test_variants_of_the_virus_find_each_other_and_not_the_older_virus_first():
    documents = [
        Document("old", "", "the spread of SARS-CoV in bats"),
        Document("new", "", "the spread of 2019-nCoV in bats"),
        Document("other", "", "the price of rice"),
    ]
    index = build(documents, analyzer=AnalyzerSettings())
    assert index.search("SARS-CoV-2", 10)[0][0] == "new"
    assert index.search("SARS CoV 1", 10)[0][0] == "old"
    assert index.search("COVID-19", 10) == []


@pytest.mark.data
@pytest.mark.parametrize("fields", ["one", "two"])
def test_both_backends_rank_real_documents_alike(fields, data_folder):
    documents = list(read_documents(data_folder / "scifact" / "corpus.jsonl.gz"))[:200]
    with (data_folder / "scifact" / "queries.jsonl").open(encoding="utf-8") as file:
        queries = [json.loads(line)["text"] for line in file][:100]
    analyzer = AnalyzerSettings()
    fast, reference = (build(documents, backend, analyzer, fields=fields) for backend in BACKENDS)
    for query in queries:
        assert_same_ranking(fast.search(query, 200), reference.search(query, 200))


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("indices", lambda array: array + 2),
        ("indices", lambda array: array - 1),
        ("indices", lambda array: array.astype(np.float32)),
        ("indices", lambda array: array[:-1]),
        ("indptr", lambda array: array[::-1].copy()),
        ("indptr", lambda array: array * 2),
        ("indptr", lambda array: np.append(array[:-1], array[-1] + 10**9)),
        ("indptr", lambda array: np.append([5], array[1:])),
        ("data", lambda array: array.astype(np.float64)),
        ("data", lambda array: array.reshape(1, -1)),
        ("vocab", lambda table: dict.fromkeys(table, 10**6)),
        ("vocab", lambda table: dict.fromkeys(table, -1)),
        ("vocab", lambda table: dict.fromkeys(table, "0")),
        ("params", lambda table: table | {"num_docs": 1}),
        ("params", lambda table: table | {"num_docs": "many"}),
    ],
)
def test_an_index_whose_arrays_lead_out_of_bounds_is_refused(tmp_path, name, change):
    build(FRUIT).fields[0].save(tmp_path / "index")
    assert Bm25sField.load(tmp_path / "index").scores(["apple"]).argmax() == 0
    (file,) = (tmp_path / "index").glob(f"{name}*")
    if file.suffix == ".npy":
        np.save(file, change(np.load(file)))
    else:
        file.write_text(json.dumps(change(json.loads(file.read_text()))))
    with pytest.raises(UserError, match="damaged, or not an index of bm25s"):
        Bm25sField.load(tmp_path / "index")


@given(documents=corpora, k1=st.floats(0.1, 3), b=st.floats(0, 1))
def test_the_index_is_bit_for_bit_that_of_bm25s(documents, k1, b):
    tokens = [document.full_text.split() for document in documents]
    vocabulary = {token: number for number, token in enumerate(dict.fromkeys(chain.from_iterable(tokens)))}
    if not vocabulary:
        return
    theirs = bm25s.BM25(method="lucene", k1=k1, b=b)
    numbers = [[vocabulary[token] for token in own] for own in tokens]
    theirs.index((numbers, dict(vocabulary)), show_progress=False)
    ours = build(documents, k1=k1, b=b).fields[0].index
    assert ours.vocab_dict == theirs.vocab_dict
    for name in ("data", "indices", "indptr"):
        assert ours.scores[name].tobytes() == theirs.scores[name].tobytes()
        assert ours.scores[name].dtype == theirs.scores[name].dtype


@pytest.mark.parametrize("processes", ["run", "end before their time"])
def test_documents_analysed_by_several_processes_have_the_same_tokens(processes, monkeypatch):
    texts = [f"Masks, w{n % 7} and «w{n % 11}» COVID 19\n" * (n % 3) for n in range(60)]
    alone = analysed(texts, PLAIN)
    monkeypatch.setattr("core.retrieval.token_numbers.PART_CHARACTERS", 500)
    if processes != "run":
        monkeypatch.setattr("core.retrieval.token_numbers._open_analyzer", os._exit)  # raises, given settings
    together = analysed(iter(texts), PLAIN)
    assert list(together.vocab.items()) == list(alone.vocab.items())
    assert [ids.tolist() for ids in together.ids] == [ids.tolist() for ids in alone.ids]
