"""Corpora of many files, and documents that stay on disk."""

import gzip
import json
import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from stages import folder_at, make

from core import collection, encode
from core.formats import documents
from core.formats.collections import read_built_collection
from core.formats.documents import Document, StoredDocuments, corpus_files, read_ids, shards, write_documents, write_ids
from core.formats.sources import read_collection, source_digest
from core.retrieval.encoder import load_vectors
from core.workspace.artifacts import read_manifest
from core.workspace.errors import UserError
from core.workspace.profile import CollectionSettings, Profile

SETTINGS = CollectionSettings(name="tiny")
ONE, TWO, THREE = (
    '{"_id": "d1", "title": "Masks", "text": "Masks slow the spread.", "metadata": {"doi": "10.1/1"}}\n',
    '{"_id": "d2", "title": "", "text": "Vaccines protect the old."}\n',
    '{"_id": "d3", "title": "Bats", "text": ""}\n',
)
SHARDED = {
    "beside each other": {"corpus-0.jsonl": ONE + TWO, "corpus-1.jsonl.gz": gzip.compress(THREE.encode())},
    "in a folder": {
        "corpus/part-00.jsonl.gz": gzip.compress(ONE.encode()),
        "corpus/part-01.jsonl": TWO,
        "corpus/part-02.jsonl": THREE,
        "corpus/README.md": "not a part of it",
    },
}


@pytest.mark.parametrize("name", SHARDED)
def test_a_corpus_of_many_files_reads_as_that_of_one(name, beir_folder):
    whole = read_collection(beir_folder(), SETTINGS)
    folder = beir_folder({"corpus.jsonl": None} | SHARDED[name], name="sharded")
    assert read_collection(folder, SETTINGS) == whole
    before = source_digest(folder)
    shard = corpus_files(folder)[-1]
    content = THREE.replace("Bats", "Cats").encode()
    shard.write_bytes(gzip.compress(content) if shard.suffix == ".gz" else content)
    assert source_digest(folder) != before, "a shard that changed makes the collection stale"


BAD = {
    "an id of another file": (
        {"corpus/a.jsonl": ONE + TWO, "corpus/b.jsonl": THREE + ONE},
        "b.jsonl, line 2: duplicate id d1",
    ),
    "an error in the second file": (
        {"corpus-0.jsonl": ONE, "corpus-1.jsonl": TWO + "{"},
        "corpus-1.jsonl, line 2: not",
    ),
    "two corpora": ({"corpus.jsonl": ONE, "corpus/a.jsonl": TWO}, "two corpora, corpus.jsonl and corpus/a.jsonl"),
    "no corpus": ({"corpus/a.txt": ONE}, "no corpus.jsonl"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_corpus_of_many_files_is_refused_in_one_sentence(name, beir_folder):
    files, sentence = BAD[name]
    with pytest.raises(UserError, match=sentence):
        read_collection(beir_folder({"corpus.jsonl": None} | files), SETTINGS)


def test_ids_whose_hashes_are_equal_may_differ(beir_folder, monkeypatch):
    monkeypatch.setattr("core.formats.text_lines.hash", lambda name: 7, raising=False)
    assert len(read_collection(beir_folder(), SETTINGS).documents) == 3
    with pytest.raises(UserError, match="line 2: duplicate id d1, first on line 1"):
        read_collection(beir_folder({"corpus.jsonl": ONE + ONE}), SETTINGS)


written = st.lists(st.builds(Document, st.just("d"), st.text(), st.text(), st.just({})), min_size=1, max_size=30)


@given(written, st.integers(-40, 40), st.integers(-40, 40), st.integers(1, 3))
def test_stored_documents_are_the_sequence_that_was_written(tmp_path_factory, listed, begin, end, step):
    path = tmp_path_factory.mktemp("stored") / "corpus.jsonl"
    write_documents(path, listed)
    stored = StoredDocuments(path)
    assert list(stored) == listed
    assert len(stored) == len(listed)
    assert stored[begin:end:step] == listed[begin:end:step]
    assert [stored[i] for i in range(-len(listed), len(listed))] == listed + listed
    with pytest.raises(IndexError):
        stored[len(listed)]


@given(st.lists(st.text(max_size=9), max_size=60), st.integers(1, 20), st.integers(1, 9))
def test_shards_hold_every_item_once_and_similar_lengths_together(texts, window, size):
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(documents, "WINDOW", window)
        found = list(shards(texts, len, size))
    assert [number for number, _, _ in found] == list(range(len(found)))
    assert sorted(i for _, positions, _ in found for i in positions) == list(range(len(texts)))
    assert all([texts[i] for i in positions] == members and len(members) <= size for _, positions, members in found)
    for begin in range(0, len(texts), window):
        lengths = [len(texts[i]) for _, positions, _ in found for i in positions if begin <= i < begin + window]
        assert lengths == sorted(lengths)


@pytest.mark.parametrize("ids", [[], ["a"], ["d1", 'with"quote', "é\\"]])
def test_ids_come_back_as_written(ids, tmp_path):
    write_ids(tmp_path / "ids.json", iter(ids))
    assert read_ids(tmp_path / "ids.json") == ids


class StubEncoder:
    """Stands for a model: a text's vector is its length and its last characters."""

    about = {"device": "cpu", "max_tokens": 7}

    def __init__(self, *_):
        pass

    def __call__(self, texts):
        return np.array([[len(text), *map(ord, text[-7:].rjust(7))] for text in texts], np.float32), self.about


def peak_of(size, folder):
    """Return the most bytes that building and encoding a collection of `size` documents held at once."""
    source, built = folder / f"source-{size}", folder_at(folder / f"built-{size}")
    (source / "corpus").mkdir(parents=True)
    (source / "qrels").mkdir()
    for part in range(2):
        with (source / "corpus" / f"part-{part}.jsonl").open("w") as file:
            for i in range(part * size // 2, (part + 1) * size // 2):
                file.write(json.dumps({"_id": f"d{i}", "text": f"{'masks ' * (150 + i % 40)} {i:07}"}) + "\n")
    (source / "queries.jsonl").write_text('{"_id": "1", "text": "masks"}\n')
    (source / "qrels" / "test.tsv").write_text("1 0 d1 1\n")
    dense = {"name": "stub", "kind": "dense", "model": "stub"}
    profile = Profile(collection={"name": "c", "source": str(source)}, system=[dense], baseline="stub")
    tracemalloc.start()
    make(collection.STAGE, profile, built)
    make(encode.STAGE, profile, built, profile.system[0])
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    vectors, ids = load_vectors(built, "stub")
    assert ids == [f"d{i}" for i in range(size)]
    assert all("".join(map(chr, map(int, row[1:]))) == f"{i:07}" for i, row in enumerate(vectors)), "rows are in order"
    assert len(read_built_collection(built).documents) == size
    return peak


@pytest.mark.slow
def test_memory_stays_flat_while_a_collection_is_built_and_encoded(tmp_path, monkeypatch):
    monkeypatch.setattr("core.encode.locate_model", lambda workspace, name: tmp_path)
    monkeypatch.setattr("core.encode.Encoder", StubEncoder)
    monkeypatch.setattr(documents, "WINDOW", 256)
    monkeypatch.setattr("core.retrieval.encoder.SHARD", 64)
    small, large = (peak_of(size, tmp_path) for size in (1_000, 5_000))
    assert (large - small) / 4_000 < 64, "bytes a document: where it begins and its id's hash; its text has a thousand"


def test_vectors_say_what_made_them_where_only_their_ids_were_left_to_write(beir_folder, tmp_path, monkeypatch):
    monkeypatch.setattr("core.encode.locate_model", lambda workspace, name: tmp_path)
    monkeypatch.setattr("core.encode.Encoder", StubEncoder)
    dense = {"name": "stub", "kind": "dense", "model": "stub"}
    profile = Profile(collection={"name": "c", "source": str(beir_folder())}, system=[dense], baseline="stub")
    built = folder_at(tmp_path / "c")
    make(collection.STAGE, profile, built)
    with monkeypatch.context() as patched:
        patched.setattr("core.encode.write_ids", interrupt)
        with pytest.raises(KeyboardInterrupt):
            make(encode.STAGE, profile, built, profile.system[0])
    facts = read_manifest(make(encode.STAGE, profile, built, profile.system[0])).facts
    made = {"documents": 3, "dimension": 8, "model": "stub", "pooling": "mean", "engine": "here"}
    assert facts == StubEncoder.about | made


def interrupt(*_):
    raise KeyboardInterrupt
