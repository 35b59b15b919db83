"""Whatever comes in from outside, what takes it gives a value or a sentence for the user. (More in core/test_readers.)

A campaign of many more inputs: RANKSCOPE_EXAMPLES=5000 python -m pytest tests/trust tests/core/test_readers.py
"""

import json
import os
import zipfile

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.formats.documents import Document
from core.formats.run_validation import check_run
from core.formats.sources import unpack
from core.indexes.exact import ExactIndex
from core.retrieval.analyzer import Analyzer
from core.retrieval.bm25 import Bm25Index
from core.retrieval.encoder import load_encoder
from core.retrieval.systems import Bm25System, DenseSystem
from core.workspace.artifacts import open_artifact, read_manifest, writing
from core.workspace.errors import UserError
from core.workspace.models import model_digest
from core.workspace.profile import AnalyzerSettings, Bm25Settings, SystemSettings, read_profile
from core.workspace.workspace import Workspace
from dashboard.shared.escaping import error_markdown, escape_markdown
from dashboard.shared.uploads import saved

FEW = int(os.environ.get("RANKSCOPE_EXAMPLES", "20"))
"""Examples of what takes tens of milliseconds each."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("hostile")


def value_or_sentence(work):
    """Do some work, and return its value, or None where it ended with a sentence of one line."""
    try:
        return work()
    except UserError as error:
        assert str(error)
        assert "\n" not in str(error)
        return None


# Profiles and manifests


@pytest.mark.parametrize("ending", ["toml", "json"])
@pytest.mark.parametrize("opening", ["[", '{"a":', "a = [", "a={b="])
def test_a_profile_of_a_thousand_brackets_is_refused(opening, ending, folder):
    path = folder / f"deep.{ending}"
    path.write_text(("a = " if ending == "toml" and opening == "[" else "") + opening * 20_000)
    with pytest.raises(UserError, match="deep"):
        read_profile(str(path))


scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8)
values = st.recursive(scalars, lambda v: st.lists(v, max_size=3) | st.dictionaries(st.text(max_size=8), v, max_size=3))
KEYS = ["stage", "command", "settings", "inputs", "files", "facts", "versions", "seconds", "host", "finished", "sha256"]


contents = st.binary(max_size=80) | st.dictionaries(st.sampled_from(KEYS), values).map(lambda v: json.dumps(v).encode())


@given(content=contents)
def test_any_manifest_is_a_manifest_or_a_sentence(folder, content):
    target = folder / "artifact"
    target.mkdir(exist_ok=True)
    (target / "manifest.json").write_bytes(content)
    value_or_sentence(lambda: read_manifest(target))
    value_or_sentence(lambda: open_artifact(target))


@given(where=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7))
def test_a_manifest_with_one_bit_changed_is_never_taken_for_whole(folder, where, bit):
    target = folder / "whole"
    if not target.exists():
        with writing(target, "a stage", {"k1": 1.5}, {"a": "b"}, {"documents": 777}) as partial:
            (partial / "file").write_text("x")
    before = (target / "manifest.json").read_bytes()
    changed = bytearray(before)
    changed[int(where * len(changed))] ^= 1 << bit
    (target / "manifest.json").write_bytes(changed)
    found = value_or_sentence(lambda: open_artifact(target))
    (target / "manifest.json").write_bytes(before)
    assert found is None or found == open_artifact(target)  # it was a space between two values


# Archives

PLACES = ["corpus.jsonl", "queries.jsonl", "qrels/test.tsv", "qrels/../../up.tsv", "../up.jsonl", "qrels//abs.tsv"]
PLACES += ["qrels/..\\..\\up.tsv", "qrels/C:\\up.tsv", "qrels/a\0b.tsv", "qrels/é.tsv", "qrels/" + "x" * 300 + ".tsv"]


@settings(max_examples=FEW)
@given(places=st.lists(st.sampled_from(PLACES), max_size=6, unique=True), root=st.sampled_from(["tiny/", "", "/tiny/"]))
def test_an_archive_is_unpacked_into_its_folder_or_refused(folder, places, root):
    archive, inside = folder / "tiny.zip", folder / "unpacked"
    inside.mkdir(exist_ok=True)
    with zipfile.ZipFile(archive, "w") as file:
        for place in places:
            file.writestr(root + place, "text")
    before = {path for path in folder.rglob("*") if not path.is_relative_to(inside)}
    value_or_sentence(lambda: unpack(archive, inside, "tiny"))
    assert {path for path in folder.rglob("*") if not path.is_relative_to(inside)} == before
    assert {path.name for path in inside.iterdir()} <= {"tiny"}
    for path in sorted(inside.rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()


def test_an_archive_that_would_fill_the_disk_is_refused(tmp_path):
    archive = tmp_path / "tiny.zip"
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as file:
        for place in ("corpus.jsonl", "queries.jsonl"):
            file.writestr(f"tiny/{place}", b"\0" * 20_000_000)
    with pytest.raises(UserError, match="it unpacks to 40,000,000 bytes"):
        unpack(archive, tmp_path, "tiny")
    assert [path.name for path in tmp_path.iterdir()] == ["tiny.zip"]


def test_a_line_that_no_memory_holds_is_refused(tmp_path, monkeypatch):
    import gzip

    from core.formats.triples import read_triples

    monkeypatch.setattr("core.formats.text_lines.LONGEST_LINE", 1000)
    path = tmp_path / "triples.tsv.gz"
    path.write_bytes(gzip.compress(b"a\tb\tc\n" + b"x" * 100_000))
    with pytest.raises(UserError, match=r"triples.tsv.gz, line 2: longer than 1,000 characters"):
        read_triples(path)


# Models

FILES = [
    "config.json",
    "modules.json",
    "model.safetensors",
    "tokenizer.json",
    "pytorch_model.bin",
    "tokenizer_config.json",
]
of_files = st.binary(max_size=60) | values.map(lambda value: json.dumps(value).encode())


@settings(max_examples=FEW)
@given(files=st.dictionaries(st.sampled_from(FILES), of_files))
def test_a_folder_that_is_no_model_is_refused(tmp_path_factory, files):
    model = tmp_path_factory.mktemp("model")
    for name, content in ({"config.json": b"{}"} | files).items():
        (model / name).write_bytes(content)
    with pytest.raises(UserError) as caught:
        load_encoder(Workspace.default(), SystemSettings(name="a", kind="dense", model=str(model)), "cpu")
    assert "\n" not in str(caught.value)
    if "model.safetensors" not in files:
        with pytest.raises(UserError, match="pickled weights are refused"):
            model_digest(model)


def test_a_model_with_a_file_cut_is_a_sentence(tmp_path, encoder):
    import shutil

    model = shutil.copytree(encoder, tmp_path / "cut")
    weights = next(model.rglob("*.safetensors"))
    weights.write_bytes(weights.read_bytes()[:-100])
    with pytest.raises(UserError, match=r"the model cut cannot be loaded .*put complete files"):
        load_encoder(Workspace.default(), SystemSettings(name="a", kind="dense", model=str(model)), "cpu")


# Uploads

NAMES = ["../../x", "a/b", "a\\b", "\0", ".", "..", "", "CON", "x" * 5000, "\u202e"]
names = st.text(max_size=300) | st.sampled_from(NAMES)


@given(name=names, content=st.binary(max_size=200))
def test_an_upload_stays_in_its_folder_and_is_looked_through(folder, name, content):
    place = folder / "uploads"
    place.mkdir(exist_ok=True)
    path = saved(name, content, place)
    assert path.parent == place
    assert path.read_bytes() == content
    checked = check_run(path, {"1": {"d1": 1}, "2": {"d1": 0}}, {"d1"}, "score")
    for fault in [*checked.faults, *checked.notices]:
        assert "\n" not in error_markdown(fault)
    path.unlink()


# Queries

ODD = ["x" * 10_000, "\U0001f637" * 500, "שלום עולם", "مرحبا", "\x00\x01\x1b[31m", "<script>alert(1)</script>"]
ODD += ["**b** [l](javascript:x)", "$$x^2$$", "\u202egnp.exe", "a\u0301" * 50, "\ud7ff\ue000", "ﷺ" * 50, "%s{0}${x}"]
queries = st.text(max_size=200) | st.sampled_from(ODD)


@pytest.fixture(scope="module")
def systems(encoder):
    texts = [("ban", "ten lis"), ("", ""), ("x", "<b>")]
    documents = [Document(f"d{number}", *both) for number, both in enumerate(texts)]
    lexical = [
        Bm25System(
            SystemSettings(name=backend, kind="bm25"),
            Bm25Index.build(documents, Bm25Settings(engine=backend), AnalyzerSettings()),
        )
        for backend in ("bm25s", "rank_bm25")
    ]
    dense = SystemSettings(name="dense", kind="dense", model=str(encoder))
    index, loaded = ExactIndex("cosine"), load_encoder(Workspace.default(), dense, "cpu")
    index.build(loaded.encode([document.full_text for document in documents]))
    return [*lexical, DenseSystem(dense, lambda: loaded, index, index.vectors, [document.id for document in documents])]


@given(query=queries)
def test_any_query_is_answered(systems, query):
    for system in systems:
        (answer,) = system.search([query], 3)
        assert [score for _, score in answer.hits] == sorted((score for _, score in answer.hits), reverse=True)
        for document, score in answer.hits:
            parts = system.explain(query, document)
            assert sum(part for _, part in parts) == pytest.approx(score, rel=1e-3, abs=1e-5)
    assert all(isinstance(token, str) for token in Analyzer(AnalyzerSettings()).tokens(query))
    assert "\n" not in escape_markdown(query)
