"""Predicted queries that others published: both forms against files written by hand, and hostile lines."""

import gzip
import json

import pyarrow
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyarrow import parquet

from core.formats.published_queries import LONGEST_QUERY, MOST_QUERIES, import_queries, queries_digest, query_files
from core.workspace.errors import UserError
from core.workspace.hub import HubDataSet

DOCUMENTS = ["ug7v899j", "02tnwd4m", "ejv2xln0"]
BY_DOCUMENT = [
    {"id": "02tnwd4m", "queries": ["what is nitric oxide", "  what does  no do\t", "what is nitric oxide", "", " "]},
    {"id": "not-here", "queries": ["who is it", "where"]},
    {"id": "ug7v899j", "queries": ["Œdème pulmonaire\u2028?"]},
]
BY_QUERY = [
    {"_id": "02tnwd4m", "title": "Nitric oxide", "text": "...", "query": "what is nitric oxide"},
    {"_id": "ug7v899j", "title": "", "text": "", "query": "Œdème pulmonaire ?"},
    {"_id": "02tnwd4m", "title": "Nitric oxide", "text": "...", "query": "what does no do"},
    {"_id": "02tnwd4m", "title": "Nitric oxide", "text": "...", "query": "what is nitric oxide"},
]
EXPECTED = {
    "ug7v899j": ["Œdème pulmonaire ?"],
    "02tnwd4m": ["what is nitric oxide", "what does no do", "what is nitric oxide"],
    "ejv2xln0": [],
}


def write(path, entries):
    text = "".join(json.dumps(entry, ensure_ascii=False) + "\n" for entry in entries)
    if path.suffix == ".gz":
        with gzip.open(path, "wt", encoding="utf-8", newline="\n") as file:
            file.write(text)
    elif path.suffix == ".parquet":
        parquet.write_table(pyarrow.Table.from_pylist(entries), path, row_group_size=2)
    else:
        path.write_text(text, encoding="utf-8", newline="\n")
    return path


@pytest.mark.parametrize("ending", ["jsonl", "jsonl.gz", "parquet"])
def test_queries_by_document(tmp_path, ending):
    imported = import_queries([write(tmp_path / f"train.{ending}", BY_DOCUMENT)], DOCUMENTS)
    assert imported.by_document == EXPECTED
    assert list(imported.by_document) == DOCUMENTS
    assert imported.facts() == {
        "documents": 3,
        "queries": 4,
        "most_queries": 3,
        "documents_without_queries": 1,
        "repeated_queries": 1,
        "empty_queries": 2,
        "queries_of_unknown_documents": 2,
    }


@pytest.mark.parametrize("ending", ["jsonl", "jsonl.gz", "parquet"])
def test_a_query_per_line(tmp_path, ending):
    imported = import_queries([write(tmp_path / f"train.{ending}", BY_QUERY)], DOCUMENTS)
    assert imported.by_document == EXPECTED


def test_several_files_are_read_in_the_order_of_their_names(tmp_path):
    write(tmp_path / "train-00001.jsonl", BY_QUERY[2:])
    write(tmp_path / "train-00000.jsonl.gz", BY_QUERY[:2])
    write(tmp_path / ".hidden.jsonl", [{"_id": "02tnwd4m", "query": "hidden"}])
    write(tmp_path / "copy.parquet", BY_QUERY)
    assert [path.name for path in query_files(tmp_path)] == ["train-00000.jsonl.gz", "train-00001.jsonl"]
    assert import_queries(query_files(tmp_path), DOCUMENTS).by_document == EXPECTED


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{", r"q\.jsonl, line 2: not valid JSON"),
        ('["02tnwd4m"]', "line 2: expected a JSON object"),
        ('{"queries": ["a"]}', 'line 2: no "_id"'),
        ('{"_id": "a b", "query": "x"}', 'line 2: the id is "a b"'),
        ('{"_id": "02tnwd4m", "text": "x"}', 'line 2: neither "queries" nor "query" in this object, which has'),
        ('{"_id": "02tnwd4m", "queries": "what"}', 'line 2: "queries" must be a list of strings'),
        ('{"_id": "02tnwd4m", "queries": ["what", 3]}', 'line 2: "queries" must be a list of strings'),
        ('{"_id": "02tnwd4m", "queries": null}', 'line 2: "queries" must be a list of strings'),
        ('{"_id": "02tnwd4m", "query": {"a": 1}}', 'and "query" a string'),
        ('{"_id": "02tnwd4m", "query": "a\\u0007b"}', "line 2: a query has control characters"),
        ('{"_id": "02tnwd4m", "query": "a\tb"}', "line 2: not valid JSON"),
        ('{"_id": "02tnwd4m", "query": "\\ud800"}', "line 2: an unpaired surrogate"),
        ('{"_id": "02tnwd4m", "query": "a\0b"}', "line 2: contains a zero byte"),
        (json.dumps({"_id": "x", "query": "x" * (LONGEST_QUERY + 1)}), "line 2: a query has more than 10,000"),
        (json.dumps({"_id": "02tnwd4m", "queries": ["x"] * (MOST_QUERIES + 1)}), "line 2: document 02tnwd4m has more"),
        ("[" * 100_000, "line 2: not valid JSON"),
    ],
)
def test_hostile_lines_are_named(tmp_path, line, message):
    (tmp_path / "q.jsonl").write_text('{"_id": "02tnwd4m", "query": "fine"}\n' + line + "\n")
    with pytest.raises(UserError, match=message):
        import_queries([tmp_path / "q.jsonl"], DOCUMENTS)


def test_damaged_files_are_named(tmp_path):
    whole = write(tmp_path / "train.jsonl.gz", BY_DOCUMENT * 50)
    (tmp_path / "cut.jsonl.gz").write_bytes(whole.read_bytes()[:100])
    (tmp_path / "not.parquet").write_bytes(b"PAR1 no")
    for name in ("cut.jsonl.gz", "not.parquet"):
        with pytest.raises(UserError, match=rf"{name}: damaged .*download .*again"):
            import_queries([tmp_path / name], DOCUMENTS)
    odd = write(tmp_path / "odd.parquet", [{"_id": "02tnwd4m", "queries": ["a", None]}])
    with pytest.raises(UserError, match=r"odd\.parquet, row 1: \"queries\" must be"):
        import_queries([odd], DOCUMENTS)


def test_queries_of_another_collection_are_refused(tmp_path):
    path = write(tmp_path / "train.jsonl", BY_DOCUMENT[1:2])
    with pytest.raises(UserError, match="no queries for the documents of this collection, only for others such as not"):
        import_queries([path], DOCUMENTS)


def test_no_file_is_said_with_what_was_expected(tmp_path, workspace):
    (tmp_path / "none").mkdir()
    with pytest.raises(UserError, match=r"expected files \*\.jsonl"):
        query_files(tmp_path / "none")
    with pytest.raises(UserError, match="no such file or folder"):
        query_files(tmp_path / "nowhere")
    (tmp_path / "queries.csv").write_text("a,b\n")
    with pytest.raises(UserError, match=r"expected predicted queries in a file \*\.jsonl"):
        query_files(tmp_path / "queries.csv")
    assert queries_digest(workspace, str(tmp_path / "nowhere")) == ""


def test_files_of_a_data_set_may_be_put_there_by_hand(workspace):
    wanted = HubDataSet.of("hub:income/some-queries@v1")
    assert (wanted.name, wanted.revision) == ("income/some-queries", "v1")
    folder = wanted.by_hand(workspace)
    assert folder == workspace.downloads / "income--some-queries@v1"
    folder.mkdir(parents=True)
    write(folder / "train.jsonl", BY_QUERY)
    before = queries_digest(workspace, "hub:income/some-queries@v1")
    write(folder / "train.jsonl", BY_QUERY[:2])
    assert before not in ("", queries_digest(workspace, "hub:income/some-queries@v1"))


TEXTS = st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=8)


@given(st.lists(st.tuples(st.sampled_from(["a", "b", "c", "z"]), TEXTS), max_size=12))
def test_both_forms_hold_the_same_queries(tmp_path_factory, pairs):
    folder = tmp_path_factory.mktemp("forms")
    write(folder / "by-query.jsonl", [{"_id": name, "query": text} for name, text in pairs])
    grouped = {name: [text for other, text in pairs if other == name] for name, _ in pairs}
    write(folder / "by-document.jsonl.gz", [{"_id": name, "queries": texts} for name, texts in grouped.items()])
    expected = {name: [" ".join(t.split()) for t in grouped.get(name, []) if t.split()] for name in "abc"}
    for file in ("by-query.jsonl", "by-document.jsonl.gz"):
        if any(expected.values()):
            assert import_queries([folder / file], "abc").by_document == expected
        else:
            with pytest.raises(UserError, match="no queries for the documents"):
                import_queries([folder / file], "abc")
