"""Milvus as an index: embedded, and what a wrong or dead server says."""

import subprocess
import sys

import numpy as np
import pytest

from core.build import run_build
from core.evaluation.ann_sweep import read_sweep
from core.formats.runs import read_run
from core.indexes.exact import ExactIndex
from core.indexes.milvus import TOKEN, URI, MilvusIndex
from core.indexes.recall import TrueSimilarities, recall_at_k
from core.indexes.registry import make_index
from core.retrieval.kinds import open_system
from core.workspace.errors import UserError
from core.workspace.profile import Profile
from core.workspace.stage import Build


@pytest.fixture(autouse=True)
def no_server(monkeypatch):
    monkeypatch.delenv(URI, raising=False)
    monkeypatch.delenv(TOKEN, raising=False)


def random_vectors(rows, dimension=16, seed=0):
    return np.random.default_rng(seed).normal(size=(rows, dimension)).astype(np.float32)


def test_without_pymilvus_one_sentence_names_what_to_install(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(UserError, match="pymilvus is not installed; run pip install -r requirements-scale.txt"):
        MilvusIndex("cosine").build(random_vectors(5))


@pytest.mark.parametrize("similarity", ["cosine", "dot"])
def test_an_embedded_index_finds_what_exact_search_finds_and_comes_back_from_its_file(similarity, tmp_path):
    pytest.importorskip("milvus_lite")
    vectors, queries = (
        random_vectors(300) * np.linspace(1, 3, 300, dtype=np.float32)[:, None],
        random_vectors(9, seed=1),
    )
    exact, index, again = ExactIndex(similarity), make_index("milvus", similarity, ef=320), MilvusIndex(similarity)
    exact.build(vectors)
    index.build(vectors)
    index.save(tmp_path / "index")
    again.load(tmp_path / "index", vectors)
    wanted, similarities = exact.search(queries, 20)
    true_similarities = TrueSimilarities(queries, vectors, similarity)
    for built in (index, again):
        found, scores = built.search(queries, 20)
        assert recall_at_k(true_similarities(found), true_similarities(wanted)) == 1
        assert scores == pytest.approx(similarities, abs=1e-4)
        positions, beyond = built.search(queries[:1], 305)
        assert (positions[0, 300:] == -1).all() and np.isneginf(beyond[0, 300:]).all()
    with pytest.raises(UserError, match="8 dimensions, but the vectors in Milvus have 16"):
        index.search(random_vectors(1, 8), 5)
    with pytest.raises(UserError, match="not an index of these vectors"):
        again.load(tmp_path / "index", random_vectors(300, 8))
    assert index.bytes > vectors.nbytes


@pytest.mark.parametrize("uri", ["nonsense://nowhere", "http://user:secret@127.0.0.1:9"])
def test_a_wrong_uri_is_one_sentence_without_the_uri(uri, monkeypatch):
    pytest.importorskip("pymilvus")
    monkeypatch.setattr("core.indexes.milvus.SECONDS", 2.0)
    monkeypatch.setenv(URI, uri)
    with pytest.raises(
        UserError, match="the Milvus server that RANKSCOPE_MILVUS_URI names failed while connecting"
    ) as told:
        MilvusIndex("cosine").build(random_vectors(5))
    assert "secret" not in str(told.value) and "nowhere" not in str(told.value)


SERVER = """
import sys
from pathlib import Path
from milvus_lite.server_manager import server_manager_instance
print(server_manager_instance.start_and_get_uri(sys.argv[1]), flush=True)
sys.stdin.read()
"""


def test_a_served_index_is_found_again_until_its_server_is_gone(tmp_path, monkeypatch):
    pytest.importorskip("milvus_lite")
    monkeypatch.setattr("core.indexes.milvus.SECONDS", 3.0)
    server = subprocess.Popen(
        [sys.executable, "-c", SERVER, str(tmp_path / "server.db")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        monkeypatch.setenv(URI, server.stdout.readline().strip())
        vectors, queries = random_vectors(200), random_vectors(4, seed=1)
        index, again = MilvusIndex("cosine"), MilvusIndex("cosine")
        index.build(vectors)
        index.save(tmp_path / "index")
        assert "127.0.0.1" not in (tmp_path / "index").read_text(), "no address in what is kept"
        again.load(tmp_path / "index", vectors)
        assert (again.search(queries, 5)[0] == index.search(queries, 5)[0]).all()
    finally:
        server.kill()
        server.wait()
    with pytest.raises(UserError, match="failed while searching"):
        again.search(queries, 5)
    monkeypatch.delenv(URI)
    with pytest.raises(UserError, match="on a Milvus server; set RANKSCOPE_MILVUS_URI"):
        again.load(tmp_path / "index", vectors)


def test_a_dense_system_may_be_served_and_measured_by_milvus(encoder, beir_folder, workspace):
    pytest.importorskip("milvus_lite")
    systems = [{"name": name, "kind": "dense", "model": str(encoder), "backend": name} for name in ("exact", "milvus")]
    profile = Profile(
        collection={"name": "tiny", "source": str(beir_folder())},
        system=systems,
        baseline="exact",
        ann={"index": [{"kind": "milvus", "values": [50]}], "repeats": 1},
    )
    folder = workspace.collection("tiny")
    outcomes = run_build(Build(profile, folder, "cpu"), say=lambda line: None)
    assert [outcome.step.stage.name for outcome in outcomes if outcome.result == "failed"] == []
    exact, served = (read_run(folder / "runs" / name / "run.trec").scores for name in ("exact", "milvus"))
    assert {topic: list(found) for topic, found in served.items()} == {t: list(found) for t, found in exact.items()}
    system = open_system(profile, profile.system[1], folder, "cpu")
    hits = system.search(["do masks help?"], 3)[0].hits
    assert len(hits) == 3
    assert system.explain("do masks help?", hits[0][0])[0][1] == pytest.approx(hits[0][1], abs=1e-5)
    assert read_sweep(folder, "exact")["recall"].tolist() == [1.0, 1.0]
    assert all(
        outcome.result == "up to date" for outcome in run_build(Build(profile, folder, "cpu"), say=lambda line: None)
    )
