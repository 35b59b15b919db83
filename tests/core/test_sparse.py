"""Learned sparse systems: scores of `SparseEncoder.similarity`, explanations, resumption, staleness and bad input."""

import importlib.util
import json
import random
import shutil

import numpy as np
import pytest
from pydantic import ValidationError
from sentence_transformers import SparseEncoder
from sentence_transformers.base.modules import Router, Transformer
from sentence_transformers.sparse_encoder.modules import SparseStaticEmbedding, SpladePooling
from stages import make
from tiny_models import make_splade

from core import collection, search, sparse
from core.formats.runs import built_run
from core.retrieval import encoder as encoding
from core.retrieval import openvino_encoder
from core.retrieval import sparse as retrieval
from core.retrieval.kinds import open_system
from core.workspace.artifacts import read_manifest
from core.workspace.errors import UserError
from core.workspace.models import load_sentence_transformer
from core.workspace.profile import Profile, SystemSettings
from core.workspace.stage import Build
from core.workspace.workspace import Workspace

N_DOCUMENTS = 40


@pytest.fixture(scope="module")
def splade(tmp_path_factory):
    return make_splade(tmp_path_factory.mktemp("models") / "tiny-splade")


@pytest.fixture(scope="module")
def texts(words):
    """Texts by document: one is empty, one has an unknown word, and every fifth is there twice."""
    generator = random.Random(3)
    made = [" ".join(generator.sample(words, generator.randint(1, 12))) for _ in range(N_DOCUMENTS - 2)]
    made[::5] = made[1::5][: len(made[::5])]
    return {f"d{number}": text for number, text in enumerate([*made, "", "zzz"])}


@pytest.fixture(scope="module")
def queries(words):
    generator = random.Random(4)
    return {str(number): " ".join(generator.sample(words, generator.randint(1, 6))) for number in range(12)}


@pytest.fixture(scope="module")
def source(texts, queries, tmp_path_factory):
    """The folder of the collection."""
    folder = tmp_path_factory.mktemp("source") / "tiny"
    (folder / "qrels").mkdir(parents=True)
    for name, entries in (("corpus", texts), ("queries", queries)):
        lines = "".join(json.dumps({"_id": identity, "text": text}) + "\n" for identity, text in entries.items())
        (folder / f"{name}.jsonl").write_text(lines)
    judged = "".join(f"{topic}\td1\t1\n" for topic in queries)
    (folder / "qrels" / "test.tsv").write_text(f"query-id\tcorpus-id\tscore\n{judged}")
    return folder


def built_in(workspace, source, model, **settings):
    """Build the index of a model, and return the profile and the folder."""
    system = {"name": "splade", "kind": "sparse", "model": str(model), **settings}
    profile = Profile(collection={"name": "tiny", "source": str(source)}, system=[system])
    folder = workspace.collection("tiny")
    make(collection.STAGE, profile, folder)
    make(sparse.STAGE, profile, folder, profile.system[0])
    return profile, folder


@pytest.fixture(scope="module")
def built(source, splade, tmp_path_factory):
    """The profile and the folder of an index that tests only read."""
    return built_in(Workspace(tmp_path_factory.mktemp("artifacts")), source, splade)


@pytest.fixture
def copied(built, workspace):
    """The same as `built`, in a folder of the test's own."""
    profile, folder = built
    shutil.copytree(folder.path, workspace.collection("tiny").path)
    return profile, workspace.collection("tiny")


def opened(profile, folder):
    return open_system(profile, profile.system[0], folder, "cpu")


def similarities(model, texts, queries, **options):
    """Return the similarity of every query and document, as the library computes it."""
    plain = SparseEncoder(str(model), device="cpu")
    documents = plain.encode_document(list(texts.values()), batch_size=7, **options)
    return plain.similarity(plain.encode_query(list(queries.values()), batch_size=5), documents).numpy()


def check_rankings(answers, texts, expected):
    """Check that each answer has all documents with a positive similarity in the order of the similarities."""
    for answer, row in zip(answers, expected, strict=True):
        best = sorted((i for i in range(len(row)) if row[i] > 0), key=lambda i: (-row[i], i))
        assert [score for _, score in answer.hits] == pytest.approx(row[best].tolist(), rel=1e-5, abs=1e-5)
        assert dict(answer.hits) == pytest.approx({list(texts)[i]: row[i] for i in best}, rel=1e-5, abs=1e-5)


def test_scores_are_those_of_sparse_encoder(built, splade, texts, queries):
    system, expected = opened(*built), similarities(splade, texts, queries)
    assert 0.02 < (expected == 0).mean() < 0.98, "some documents share no term with a query"
    check_rankings(system.search(list(queries.values()), len(texts)), texts, expected)


def test_openvino_gives_the_weights_of_torch(workspace, built, texts, monkeypatch):
    pytest.importorskip("openvino")
    system = built[0].system[0]
    by_openvino = encoding.load_encoder(workspace, system, "cpu")

    def missing(*_):
        raise openvino_encoder.NotConverted("OpenVINO is not installed")

    monkeypatch.setattr(openvino_encoder, "use_openvino", missing)
    by_torch = encoding.load_encoder(workspace, system, "cpu")
    runtimes = by_openvino.runtime["runtime"], by_torch.runtime["runtime"], by_torch.runtime["fallback"]
    assert [runtime.split()[0] for runtime in runtimes] == ["openvino", "torch", "OpenVINO"]
    found, expected = (
        retrieval.encode_sparse(encoder, list(texts.values()), "document", 4) for encoder in (by_openvino, by_torch)
    )
    assert abs(found - expected).max() < 1e-4 * expected.max()
    assert found.nnz == expected.nnz


def test_the_best_documents_are_those_of_brute_force(built, texts, queries):
    system = opened(*built)
    documents = system.index.postings
    dense = np.zeros((len(texts), len(system.index.terms)), dtype=np.float32)
    for term in range(dense.shape[1]):
        own = slice(*documents.indptr[term : term + 2])
        dense[documents.indices[own], term] = documents.data[own]
    scores = system.encode(list(queries.values())).toarray() @ dense.T
    for answer, row in zip(system.search(list(queries.values()), 5), scores, strict=True):
        assert answer.ranking == [f"d{i}" for i in np.argsort(-row.round(4), kind="stable")[:5] if row[i] > 0]


def test_a_batch_run_is_what_single_live_queries_find(copied, queries):
    profile, folder = copied
    make(search.STAGE, profile, folder, profile.system[0])
    system, run = opened(profile, folder), built_run(folder, "splade").scores
    for topic, query in queries.items():
        (answer,) = system.search([query], profile.depth)
        assert list(run[topic]) == answer.ranking
        assert run[topic] == pytest.approx(dict(answer.hits), abs=1e-5)
        assert answer.seconds.keys() == {"encode", "search"}


def test_the_contributions_of_terms_add_up_to_the_score(built, splade, queries):
    system, plain = opened(*built), SparseEncoder(str(splade), device="cpu")
    for query in queries.values():
        (answer,) = system.search([query], 3)
        weights = dict(plain.decode(plain.encode_query(query)))
        for document, score in answer.hits:
            parts = system.explain(query, document)
            assert sum(part for _, part in parts) == pytest.approx(score, rel=1e-5, abs=1e-5)
            assert [part for _, part in parts] == sorted((part for _, part in parts), reverse=True)
            for term, of_query, _ in system.explain_terms(query, document):
                assert of_query == pytest.approx(weights[term], rel=1e-5, abs=1e-5)
    assert system.explain("anything", "unknown document") == []


def test_an_interrupted_encoding_goes_on_and_ends_the_same(copied, monkeypatch):
    monkeypatch.setattr(encoding, "SHARD", 8)
    profile, folder = copied
    make(sparse.STAGE, profile, folder, profile.system[0])
    target = folder.sparse("splade")
    once = {file.name: file.read_bytes() for file in target.path.iterdir() if file.suffix in (".npy", ".json")}
    shutil.rmtree(target.path)
    encode, calls = retrieval.encode_sparse, []

    def interrupted(model, texts, role, *rest):
        calls.append(len(texts))
        if len(calls) == 4:
            raise KeyboardInterrupt
        return encode(model, texts, role, *rest)

    monkeypatch.setattr(retrieval, "encode_sparse", interrupted)
    with pytest.raises(KeyboardInterrupt):
        make(sparse.STAGE, profile, folder, profile.system[0])
    assert not target.path.exists()
    make(sparse.STAGE, profile, folder, profile.system[0])
    assert len(calls) == 1 + -(-N_DOCUMENTS // 8), "what was encoded before the interruption is not encoded again"
    for name in set(once) - {"manifest.json"}:
        assert (target / name).read_bytes() == once[name], name
    assert not (target / "shards").exists()


def test_the_index_is_stale_when_the_model_or_a_setting_of_documents_changes(copied, splade, tmp_path, words):
    profile, folder = copied
    moved = tmp_path / "tiny-splade"
    shutil.copytree(splade, moved)

    def stale(**settings):
        system = profile.system[0].model_copy(update={"model": str(moved)} | settings)
        build = Build(profile.model_copy(update={"system": [system]}), folder)
        (target,) = sparse.STAGE.targets(build)
        return system, str(sparse.STAGE.stale(build, target))

    assert stale()[1] == "None"
    assert "max_document_terms" in stale(max_document_terms=3)[1]
    assert "precision" in stale(precision="bf16")[1]
    assert stale(max_query_terms=3)[1] == "None"
    shutil.rmtree(moved)
    make_splade(moved, words[::-1])
    system, reason = stale()
    assert "model" in reason
    with pytest.raises(UserError, match="are not those that made"):
        open_system(profile, system, folder, "cpu").search(["bar"], 1)


def test_texts_keep_only_their_largest_weights(workspace, source, splade, texts, queries):
    system = opened(*built_in(workspace, source, splade, max_document_terms=3, max_query_terms=2))
    plain = SparseEncoder(str(splade), device="cpu")
    documents = plain.encode_document(list(texts.values()), max_active_dims=3)
    expected = plain.similarity(plain.encode_query(list(queries.values()), max_active_dims=2), documents).numpy()
    check_rankings(system.search(list(queries.values()), len(texts)), texts, expected)
    assert max(np.diff(system.encode(list(queries.values())).indptr)) == 2


def with_static_queries(splade, folder, words=None):
    """Write a model whose queries are looked up in a table of weights; with `words`, of another vocabulary."""
    transformer = Transformer(str(splade), transformer_task="fill-mask")
    tokenizer = Transformer(str(make_splade(folder.with_name("other"), words))).tokenizer if words else None
    static = SparseStaticEmbedding(tokenizer or transformer.tokenizer, frozen=True)
    router = Router.for_query_document([static], [transformer, SpladePooling("max")])
    SparseEncoder(modules=[router], similarity_fn_name="dot", device="cpu").save(str(folder))
    return folder


def test_queries_may_be_encoded_without_a_transformer(workspace, source, splade, texts, queries, tmp_path):
    model = with_static_queries(splade, tmp_path / "static")
    system = opened(*built_in(workspace, source, model))
    expected = similarities(model, texts, queries)
    check_rankings(system.search(list(queries.values()), len(texts)), texts, expected)


# Bad input


def test_a_model_whose_queries_have_another_vocabulary_is_refused(built, splade, tmp_path, words):
    profile, folder = built
    model = with_static_queries(splade, tmp_path / "static", words[:20])
    encoder, index = SparseEncoder(str(model), device="cpu"), retrieval.load_index(folder, "splade")
    with pytest.raises(UserError, match="gives queries weights for 25 terms, but the documents' index has"):
        retrieval.SparseSystem(profile.system[0], lambda: encoder, index).search(["bar"], 1)


def test_a_model_that_is_not_a_sparse_encoder_is_refused(workspace, encoder, tiny_bert):
    for model in (encoder, tiny_bert):
        with pytest.raises(UserError, match="is not a sparse encoder"):
            load_sentence_transformer(workspace, str(model), "cpu", sparse=True)


def test_a_query_without_a_term_in_the_index_has_no_hits(built, monkeypatch):
    system = opened(*built)
    nothing = retrieval.sparse.csr_array((1, len(system.index.terms)), dtype=np.float32)
    monkeypatch.setattr(retrieval, "encode_sparse", lambda *arguments: nothing)
    (answer,) = system.search(["zzz"], 5)
    assert answer.hits == []
    assert system.explain("zzz", "d1") == []


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("indices", np.array([10**6], dtype=np.int32)),
        ("indptr", np.array([0, 7], dtype=np.int64)),
        ("data", np.array(["text"])),
        ("data", np.array([{}], dtype=object)),
    ],
)
def test_a_damaged_index_is_refused(name, content, copied):
    _, folder = copied
    target = folder.sparse("splade").path
    np.save(target / f"{name}.npy", content, allow_pickle=True)
    with pytest.raises(UserError, match="damaged"):
        retrieval.SparseIndex.load(target)
    with pytest.raises(UserError, match="damaged"):
        retrieval.load_index(folder, "splade")


def test_weights_that_are_not_numbers_are_refused(copied):
    _, folder = copied
    file = folder.sparse("splade") / "data.npy"
    data = np.load(file)
    data[0] = np.nan
    np.save(file, data)
    with pytest.raises(UserError, match="damaged"):
        retrieval.SparseIndex.load(file.parent)


@pytest.mark.parametrize("settings", [{"model": ""}, {"model": "m", "precision": "int8"}])
def test_settings_that_do_not_fit_are_refused(settings):
    with pytest.raises(ValidationError, match="sparse system"):
        SystemSettings(name="splade", kind="sparse", **settings)


def test_what_the_manifest_records(built, splade, texts):
    _, folder = built
    facts = read_manifest(folder.sparse("splade")).facts
    weights = SparseEncoder(str(splade), device="cpu").encode_document(list(texts.values())).to_dense().numpy()
    assert facts["documents"] == len(texts)
    assert facts["terms_per_document"] == pytest.approx((weights > 0).sum() / len(texts), abs=0.05)
    assert facts["terms"] == (weights > 0).any(axis=0).sum()
    assert facts["runtime"].startswith("openvino" if importlib.util.find_spec("openvino") else "torch")
