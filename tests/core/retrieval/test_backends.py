"""Backends of dense systems: the results are those of the index, of numpy and of FAISS over the same vectors."""

from types import SimpleNamespace

import faiss
import numpy as np
import pytest

from core import encode, index
from core.formats.documents import write_ids
from core.indexes.registry import KINDS, make_index
from core.retrieval.backends import FILE, index_artifact, search_settings
from core.retrieval.kinds import KINDS as SYSTEMS
from core.retrieval.kinds import open_system
from core.workspace.artifacts import read_manifest, writing
from core.workspace.errors import UserError
from core.workspace.profile import Profile, SystemSettings, find_settings, parse_saved, read_profile
from core.workspace.stage import Build

WIDTH, DOCUMENTS = 24, 500
QUERIES = [f"query {number}" for number in range(8)]
BASE = {"name": "base", "kind": "dense", "model": "none/some-model", "max_tokens": 64, "query_prefix": "query: "}


def rows(count, seed=0):
    """Vectors around a few centres, so that approximate search has something to find; their lengths differ."""
    generator = np.random.default_rng(seed)
    centres = np.random.default_rng(99).normal(size=(12, WIDTH))
    points = centres[generator.integers(0, 12, count)] + 0.7 * generator.normal(size=(count, WIDTH))
    return (points * generator.uniform(0.5, 2, (count, 1))).astype(np.float32)


VECTORS, ASKED = rows(DOCUMENTS), dict(zip(QUERIES, rows(len(QUERIES), seed=1), strict=True))


class Stub:
    """An encoder that knows the queries."""

    device = SimpleNamespace(type="cpu")

    def encode_query(self, texts, **options):
        return np.stack([ASKED[text.removeprefix("query: ")] for text in texts])


@pytest.fixture(autouse=True)
def stub(monkeypatch):
    monkeypatch.setattr("core.retrieval.encoder.load_encoder_of", lambda folder, system, device: Stub())


@pytest.fixture
def folder(workspace):
    return write_vectors(workspace.collection("tiny"), VECTORS)


def write_vectors(folder, vectors):
    with writing(folder.vectors("base"), "encode", {}, {}) as partial:
        np.save(partial / "vectors.npy", vectors)
        write_ids(partial / "document_ids.json", [f"d{number}" for number in range(len(vectors))])
    return folder


def profile_of(*systems, **base):
    table = {"collection": {"name": "tiny"}, "baseline": "base", "system": [BASE | base, *systems]}
    return Profile.model_validate(table)


def variant(name="variant", **settings):
    return {"name": name, "kind": "dense", "vectors_of": "base", **settings}


def opened(folder, profile, name="variant"):
    build = Build(profile, folder, "cpu")
    index.STAGE.run_all(build)
    return open_system(profile, find_settings(profile, name), folder, "cpu")


def as_hits(positions, similarities):
    return [
        [(f"d{place}", pytest.approx(value, abs=1e-5)) for place, value in zip(*row, strict=True)]
        for row in zip(positions.tolist(), similarities.tolist(), strict=True)
    ]


ONE_PER_KIND = {
    "hnsw": {"connections": 8, "ef_construction": 60, "ef": 12},
    "hnswlib": {"ef": 15},
    "faiss-hnsw": {"ef": 15},
    "faiss-ivf": {"cells": 16, "probes": 2},
    "faiss-ivf-pq": {"cells": 8, "segments": 8, "probes": 3, "rescore": 2},
    "faiss-sq8": {},
    "faiss-binary": {"rescore": 3},
    "faiss-binary-codes": {"rescore": 3},
}


@pytest.mark.parametrize("similarity", ["cosine", "dot"])
@pytest.mark.parametrize("kind", ONE_PER_KIND)
def test_a_system_finds_what_the_laboratorys_index_with_its_parameters_finds(kind, similarity, folder):
    profile = profile_of(variant(backend={"kind": kind, "depth": 10, **ONE_PER_KIND[kind]}, similarity=similarity))
    system = opened(folder, profile)
    by_hand = make_index(kind, similarity, **ONE_PER_KIND[kind])
    by_hand.build(VECTORS)
    answers = system.search(QUERIES, 10)
    for query, answer in zip(QUERIES, answers, strict=True):
        assert answer.hits == as_hits(*by_hand.search(ASKED[query][None], 10))[0]
        assert system.search([query], 4)[0].hits == answer.hits[:4], "alone as in a batch, at any k"
        document, score = answer.hits[3]
        assert sum(share for _, share in system.explain(query, document)) == pytest.approx(score, abs=1e-5)


def test_all_indexes_of_the_registry_are_tested_here():
    assert ONE_PER_KIND.keys() == KINDS.keys() - {"exact", "milvus"}


@pytest.mark.parametrize("similarity", ["cosine", "dot"])
def test_prefixes_are_compared_by_their_own_cosine(similarity, folder):
    system = opened(folder, profile_of(variant(dimensions=6, similarity=similarity)))
    documents, queries = (values[:, :6].astype(np.float64) for values in (VECTORS, np.stack(list(ASKED.values()))))
    if similarity == "cosine":
        documents /= np.linalg.norm(documents, axis=1, keepdims=True)
        queries /= np.linalg.norm(queries, axis=1, keepdims=True)
    scores = queries @ documents.T
    for answer, row in zip(system.search(QUERIES, 20), scores, strict=True):
        order = np.argsort(-row)[:20]
        assert answer.ranking == [f"d{place}" for place in order]
        assert [score for _, score in answer.hits] == pytest.approx(row[order], abs=1e-5)
        assert system.explain(QUERIES[0], "d7") == [(f"{similarity} similarity", pytest.approx(scores[0, 7], abs=1e-5))]


def test_int8_vectors_are_those_of_faiss_and_within_its_rounding(folder):
    system = opened(folder, profile_of(variant(backend="faiss-sq8")))
    unit = VECTORS / np.linalg.norm(VECTORS, axis=1, keepdims=True)
    low, high = unit.min(axis=0), unit.max(axis=0)
    step = (high - low) / 255
    codes = np.clip(np.floor((unit - low) / step), 0, 255)
    decoded = low + (codes + 0.5) * step
    query = ASKED[QUERIES[0]] / np.linalg.norm(ASKED[QUERIES[0]])
    expected = dict(zip((f"d{number}" for number in range(DOCUMENTS)), decoded @ query, strict=True))
    (answer,) = system.search(QUERIES[:1], DOCUMENTS)
    assert all(score == pytest.approx(expected[document], abs=2e-3) for document, score in answer.hits)
    names = [name for name, _ in system.explain(QUERIES[0], "d3")]
    assert names == ["cosine similarity", "quantisation"]
    assert read_manifest(index_artifact(folder, system.settings)).facts["memory_bytes"] < VECTORS.nbytes / 2


def test_binary_codes_are_searched_by_hamming_distance_and_ranked_by_the_full_query(folder):
    system = opened(folder, profile_of(variant(backend={"kind": "faiss-binary-codes", "rescore": 5, "depth": 4})))
    signs = np.where(VECTORS > 0, 1.0, -1.0)
    for query in QUERIES:
        asked = ASKED[query] / np.linalg.norm(ASKED[query])
        distances = (signs != np.where(asked > 0, 1.0, -1.0)).sum(axis=1)
        scores = signs @ asked / WIDTH**0.5
        (answer,) = system.search([query], 4)
        farthest = np.sort(distances)[4 * 5 - 1]
        sure = [place for place in np.argsort(-scores) if distances[place] < farthest]
        assert [score for _, score in answer.hits][0] >= scores[sure[0]] - 1e-6
        for document, score in answer.hits:
            assert score == pytest.approx(scores[int(document[1:])], abs=1e-6)
            assert distances[int(document[1:])] <= farthest
    stored = faiss.read_index_binary(str(index_artifact(folder, system.settings) / FILE))
    assert faiss.vector_to_array(stored.xb).nbytes == DOCUMENTS * WIDTH // 8


def test_systems_share_the_vectors_and_an_index_that_is_built_alike(folder):
    profile = profile_of(
        variant("narrow", backend={"kind": "hnsw", "ef": 10}),
        variant("wide", backend={"kind": "hnsw", "ef": 300, "connections": 16}),
        variant("denser", backend={"kind": "hnsw", "connections": 32}),
        variant("short", backend="hnsw", dimensions=8),
    )
    build = Build(profile, folder, "cpu")
    assert [target.artifact.name for target in encode.STAGE.targets(build)] == ["base"], "encoded once"
    names = [target.artifact.name for target in index.STAGE.targets(build)]
    assert names == ["base+hnsw", "base+hnsw+connections32", "base+8+hnsw"]
    assert [t.artifact.name for t in encode.STAGE.targets(Build(profile, folder, "cpu", systems=("wide",)))] == ["base"]
    narrow, wide, alone = (find_settings(profile, name) for name in ("narrow", "wide", "base"))
    assert (wide.model, wide.max_tokens, wide.query_prefix) == ("none/some-model", 64, "query: ")
    assert SYSTEMS["dense"].searched(folder, narrow) == SYSTEMS["dense"].searched(folder, wide)
    assert list(SYSTEMS["dense"].searched(folder, narrow)) == ["vectors/base", "indexes/base+hnsw"]
    assert SYSTEMS["dense"].settings(profile, narrow)["backend"] == {"kind": "hnsw", "ef": 10}
    assert SYSTEMS["dense"].settings(profile, alone) == {"similarity": "cosine", "query_prefix": "query: "}


def test_an_index_is_stale_when_the_vectors_change_and_the_same_when_built_again(folder):
    profile = profile_of(variant(backend={"kind": "hnsw", "connections": 8}))
    build = Build(profile, folder, "cpu")
    (target,) = index.STAGE.targets(build)
    index.STAGE.run(build, target)
    first = (target.artifact / FILE).read_bytes()
    assert index.STAGE.stale(build, target) is None
    index.STAGE.run(build, target)
    assert (target.artifact / FILE).read_bytes() == first
    write_vectors(folder, VECTORS[::-1].copy())
    assert index.STAGE.stale(build, target) == "its input vectors/base changed"


@pytest.mark.parametrize(
    ("backend", "sentence"),
    [
        ("hsnw", r"the backend of variant: unknown index 'hsnw'; the indexes are exact, hnsw, .*milvus"),
        ({"kind": "hnsw", "probes": 4}, r"the index hnsw has no parameter probes; its parameters are connections, "),
        ({"kind": "faiss-ivf", "probes": 0}, r"probes of the index faiss-ivf is 0, but must be at least 1"),
        ({"kind": "hnsw", "connections": 1}, r"connections is 1, but HNSW needs at least 2"),
    ],
)
def test_a_backend_that_does_not_exist_is_refused_by_the_plan(backend, sentence, folder):
    build = Build(profile_of(variant(backend=backend)), folder, "cpu")
    with pytest.raises(UserError, match=sentence):
        list(index.STAGE.targets(build))


def test_more_dimensions_than_the_vectors_have_are_refused(folder):
    profile = profile_of(variant(dimensions=WIDTH + 1))
    with pytest.raises(UserError, match=rf"variant: dimensions is {WIDTH + 1}, but its vectors have {WIDTH}"):
        open_system(profile, find_settings(profile, "variant"), folder, "cpu")


HEAD = '[collection]\nname = "tiny"\n[[system]]\nname = "base"\nkind = "dense"\nmodel = "m"\n'
NEXT = '[[system]]\nname = "variant"\nkind = "dense"\n'


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (HEAD + 'engine = "milvus"\n', 'the setting engine is now called backend: write backend = "milvus"'),
        (HEAD + 'backend = { kind = "hnsw", ef = "40" }\n', r"system.base.backend\.parameters\.ef: .*valid integer"),
        (HEAD + "backend = { ef = 40 }\n", r"system.base.backend.kind: this setting is missing"),
        (HEAD + '[[system]]\nname = "b"\nkind = "bm25"\nbackend = "hnsw"\n', "a bm25 system has no setting backend"),
        (HEAD + NEXT + 'vectors_of = "bass"\n', "variant: vectors_of is 'bass'; expected another dense system"),
        (HEAD + NEXT + 'vectors_of = "variant"\n', "variant: vectors_of is 'variant'; expected another dense system"),
        (
            HEAD + NEXT + 'vectors_of = "base"\nmax_tokens = 9\n',
            "max_tokens is that of base, whose vectors it searches",
        ),
        (HEAD + NEXT, "a dense system needs a model, vectors made elsewhere, or vectors_of another system"),
    ],
)
def test_settings_that_do_not_fit_are_refused_in_one_sentence(text, sentence, tmp_path):
    path = tmp_path / "p.toml"
    path.write_text(text)
    with pytest.raises(UserError, match=sentence) as caught:
        read_profile(str(path))
    assert "\n" not in str(caught.value)


def test_a_saved_profile_keeps_backends_and_one_of_an_older_version_is_read():
    profile = profile_of(variant(backend={"kind": "hnsw", "ef": 40}, dimensions=8))
    assert Profile.model_validate_json(profile.model_dump_json()) == profile
    assert parse_saved(profile.model_dump()) == profile
    saved = {
        "collection": {"name": "tiny"},
        "system": [BASE | {"engine": "milvus"}, {**BASE, "name": "b", "engine": "exact"}],
    }
    served, exact = parse_saved(saved).system
    assert (served.backend.kind, exact.backend.kind) == ("milvus", "exact")
    assert search_settings(served) == {"engine": "milvus"}, "runs and indexes of the former setting stay up to date"
    assert search_settings(exact) == {}
    assert exact == SystemSettings.model_validate(BASE | {"name": "b"})
