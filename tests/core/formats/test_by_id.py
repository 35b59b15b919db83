"""Entries of a file by their ids, against a dictionary of everything that was written."""

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.formats.by_id import EntriesById
from core.formats.documents import Document, stored_document, write_documents
from core.formats.predicted_queries import stored_by_document, write_by_document
from core.workspace.artifacts import Replaced

texts = st.text(max_size=20)
documents = st.builds(Document, texts, texts, texts, st.dictionaries(texts, texts, max_size=2))


@given(st.lists(documents, max_size=20, unique_by=lambda document: document.id))
def test_documents_are_those_that_were_written(tmp_path_factory, written):
    path = tmp_path_factory.mktemp("by-id") / "corpus.jsonl"
    write_documents(path, written)
    found = EntriesById(path, stored_document)
    assert found == {document.id: document for document in written}
    assert list(found) == [document.id for document in written]
    assert len(found) == len(written)
    assert "no such document, longer than any" not in found
    with pytest.raises(KeyError):
        found["no such document, longer than any"]


@given(st.dictionaries(texts, st.lists(texts, max_size=3), max_size=9))
def test_lists_are_those_that_were_written(tmp_path_factory, written):
    path = tmp_path_factory.mktemp("by-id") / "expansions.jsonl"
    write_by_document(path, "queries", written)
    assert stored_by_document(path, "queries") == written


def test_ids_of_files_with_other_keys_first_are_read(tmp_path):
    (tmp_path / "a.jsonl").write_text('{"queries": ["x"], "_id": "a"}\n{"_id": "b\\"c", "queries": []}\n')
    assert stored_by_document(tmp_path / "a.jsonl", "queries") == {"a": ["x"], 'b"c': []}


def test_a_replaced_file_is_not_read_at_the_old_places(tmp_path):
    path = tmp_path / "expansions.jsonl"
    write_by_document(path, "queries", {"a": ["first"], "b": ["second"]})
    found = stored_by_document(path, "queries")
    write_by_document(tmp_path / "new", "queries", {"a": ["third"], "b": ["fourth"]})
    (tmp_path / "new").replace(path)
    with pytest.raises(Replaced):
        found["b"]
    path.unlink()
    with pytest.raises(Replaced):
        found["a"]


def test_a_file_with_another_time_and_the_same_content_is_the_same(tmp_path):
    path = tmp_path / "expansions.jsonl"
    write_by_document(path, "queries", {"a": ["first"]})
    found = stored_by_document(path, "queries")
    os.utime(path, (1, 1))
    assert found["a"] == ["first"]
