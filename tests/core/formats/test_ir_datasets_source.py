"""Data sets of ir_datasets: those of its registry offline, and some of our own with the document classes it has."""

from typing import NamedTuple

import ir_datasets
import pytest
import requests
from ir_datasets.datasets.beir import BeirCordDoc, BeirCovidQuery, BeirCqaDoc, BeirTitleDoc
from ir_datasets.datasets.clinicaltrials import ClinicalTrialsDoc
from ir_datasets.datasets.cord19 import Cord19Doc
from ir_datasets.datasets.msmarco_document import MsMarcoDocument
from ir_datasets.datasets.nyt import NytDoc
from ir_datasets.formats import BaseDocs, BaseQrels, BaseQueries, GenericDoc, GenericQuery, TrecQrel, TrecQuery
from ir_datasets.formats.trec import TrecSubQrel

from core import collection
from core.formats import ir_datasets_source
from core.formats.collections import read_built_collection
from core.formats.documents import Document
from core.formats.topics import Topic
from core.workspace.artifacts import read_manifest


class Docs(BaseDocs):
    def __init__(self, *documents):
        self.documents = documents

    def docs_iter(self):
        return iter(self.documents)

    def docs_count(self):
        return len(self.documents)

    def docs_cls(self):
        return type(self.documents[0])


class Queries(BaseQueries):
    def __init__(self, *queries):
        self.queries = queries

    def queries_iter(self):
        return iter(self.queries)

    def queries_cls(self):
        return type(self.queries[0])


class Qrels(BaseQrels):
    def __init__(self, *qrels):
        self.qrels = qrels

    def qrels_iter(self):
        return iter(self.qrels)


@pytest.fixture
def register(monkeypatch):
    """Return a function that registers parts of a data set under a name, until the test ends."""

    def add(name, *parts):
        monkeypatch.setitem(ir_datasets.registry._registered, name, ir_datasets.Dataset(*parts))

    return add


TEXT = GenericDoc("d1", "a text")
ASKED = GenericQuery("1", "a question")
JUDGED = TrecQrel("1", "d1", 1, "0")


def built(workspace, command, name, *options):
    outcome = command(collection.main, "--collection", f"ir_datasets:{name}", *options)
    assert outcome.status == 0, outcome
    return read_built_collection(workspace.collection(name.replace("/", "-"))), outcome


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        (TEXT, Document("d1", "", "a text")),
        (BeirCordDoc("d1", "text", "T", "u", ""), Document("d1", "T", "text", {"url": "u", "pubmed_id": ""})),
        (BeirTitleDoc("d1", " text", ""), Document("d1", "", " text")),
        (BeirCqaDoc("d1", "text", "T", ["a", "b"]), Document("d1", "T", "text", {"tags": ["a", "b"]})),
        (MsMarcoDocument("d1", "http://u", "T t", "b\nc"), Document("d1", "T t", "b\nc", {"url": "http://u"})),
        (
            Cord19Doc("d1", "T", "10.1/1", "2020", "abstract"),
            Document("d1", "T", "abstract", {"doi": "10.1/1", "date": "2020"}),
        ),
        (NytDoc("d1", "Head", "body", b"<xml>"), Document("d1", "Head", "body")),
        (
            ClinicalTrialsDoc("d1", "T", "c", "", "d", "e"),
            Document(
                "d1", "T", "c d e", {"condition": "c", "summary": "", "detailed_description": "d", "eligibility": "e"}
            ),
        ),
    ],
)
def test_the_text_of_a_document_is_what_the_library_indexes_and_its_title_apart(
    document, expected, register, workspace, command
):
    register("ours", Docs(document), Queries(ASKED), Qrels(JUDGED))
    (found,) = built(workspace, command, "ours")[0].documents
    assert found == expected


class Utterance(NamedTuple):
    """A topic whose fields have none of the names of TREC."""

    query_id: str
    utterance: str

    def default_text(self):
        return self.utterance


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        (ASKED, Topic("1", "a question", "a question")),
        (BeirCovidQuery("1", "a question", "words", "more"), Topic("1", "words", "a question", "more")),
        (TrecQuery("1", "title", "description", "narrative"), Topic("1", "title", "description", "narrative")),
        (TrecQuery("1", "title", "", ""), Topic("1", "title", "title")),
        (Utterance("1", "said"), Topic("1", "said", "said")),
    ],
)
def test_the_fields_of_topics_are_kept_for_topic_field(query, expected, register, workspace, command):
    register("ours", Docs(TEXT), Queries(query), Qrels(JUDGED))
    (found,) = built(workspace, command, "ours")[0].topics
    assert found == expected


def test_grades_are_kept_and_of_several_for_one_document_the_highest_counts(register, workspace, command):
    documents = [GenericDoc(f"d{n}", "text") for n in range(4)]
    judged = [TrecSubQrel("1", name, grade, "1") for name, grade in [("d0", 3), ("d1", -2), ("d2", 0), ("d0", 1)]]
    register("ours", Docs(*documents), Queries(ASKED), Qrels(*judged, TrecSubQrel("1", "d2", 2, "2")))
    found, outcome = built(workspace, command, "ours")
    assert found.qrels == {"1": {"d0": 3, "d1": -2, "d2": 2}}
    assert "2 judgments are of a document judged before; the highest grade counts" in outcome.err


def test_it_is_said_how_fields_are_used_and_from_where_the_collection_is(register, workspace, command):
    register("ours", Docs(MsMarcoDocument("d1", "u", "T", "b")), Queries(TrecQuery("1", "t", "d", "n")), Qrels(JUDGED))
    _, outcome = built(workspace, command, "ours")
    assert "of the documents' fields (url, title, body) the text is: title + body; of the topics'" in outcome.err
    assert "title, description, narrative" in outcome.err
    assert read_manifest(workspace.collection("ours").collection).facts["source"] == "ir_datasets:ours"


def test_a_built_collection_needs_neither_the_library_nor_the_network_again(register, workspace, command, monkeypatch):
    register("ours", Docs(TEXT), Queries(ASKED), Qrels(JUDGED))
    first, _ = built(workspace, command, "ours")
    monkeypatch.setattr(ir_datasets_source, "_load", None)
    again, _ = built(workspace, command, "ours")
    assert first.topics == again.topics


def test_an_id_without_judgments_names_those_that_have_them(workspace, command):
    outcome = command(collection.main, "--collection", "ir_datasets:beir/scifact")
    assert outcome.refused_with("beir/scifact", "no qrels", "choose one of beir/scifact/test, beir/scifact/train")


def test_an_unknown_id_names_similar_ones(workspace, command):
    outcome = command(collection.main, "--collection", "ir_datasets:beir/scifacts")
    assert outcome.refused_with("no data set 'beir/scifacts'", "choose one of", "beir/scifact/test")


def test_a_split_is_part_of_the_id(register, workspace, command):
    register("ours", Docs(TEXT), Queries(ASKED), Qrels(JUDGED))
    outcome = command(collection.main, "--collection", "ir_datasets:ours", "--split", "dev")
    assert outcome.refused_with("its id names the split")


def test_topics_without_judgments_are_an_error_or_left_out(register, workspace, command):
    register("ours", Docs(TEXT), Queries(ASKED, GenericQuery("2", "another")), Qrels(JUDGED))
    outcome = command(collection.main, "--collection", "ir_datasets:ours")
    assert outcome.status == 2
    assert "--unjudged drop" in outcome.err
    found, _ = built(workspace, command, "ours", "--unjudged", "drop")
    assert [topic.id for topic in found.topics] == ["1"]


def test_a_data_set_that_must_be_obtained_by_hand_gives_the_librarys_instructions(workspace, command):
    outcome = command(collection.main, "--collection", "ir_datasets:aquaint/trec-robust-2005")
    (last,) = outcome.err.splitlines()[-1:]
    assert outcome.status == 2
    assert "must be obtained by hand: The AQUAINT corpus is available from the LDC" in last
    assert "symlink the source file here: " in last


def test_without_a_network_one_sentence_says_so_and_names_what_to_get(workspace, command, monkeypatch):
    def fail(*_, **__):
        raise requests.ConnectionError("no route\nto host")

    monkeypatch.setattr(requests, "get", fail)
    outcome = command(collection.main, "--collection", "ir_datasets:vaswani")
    last = outcome.err.splitlines()[-1]
    assert outcome.status == 2
    assert "Traceback" not in outcome.err
    assert "http://ir.dcs.gla.ac.uk/resources/test_collections/npl/npl.tar.gz" in last
    assert "check the connection and run the command again" in last
    assert not (workspace.downloads / "ir_datasets-vaswani").exists()
