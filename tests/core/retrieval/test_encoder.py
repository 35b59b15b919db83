"""What stands before a text when it is encoded, prefix or prompt, by every way in, against sentence-transformers."""

import json

import ir_measures
import numpy as np
import pytest
from sentence_transformers import SentenceTransformer
from stages import make

from core import ann, collection, encode, search
from core.evaluation.ann_sweep import ann_settings, read_sweep
from core.formats.documents import Document
from core.formats.runs import built_run
from core.retrieval.encoder import encode_texts, load_encoder, load_vectors
from core.retrieval.kinds import open_system
from core.workspace.artifacts import read_manifest
from core.workspace.profile import Profile, SystemSettings

PREFIXES = {"query_prefix": "ban dor ", "document_prefix": "fes "}
TOPICS = {"1": ("bar", "mar mel mis"), "2": ("kin", "gel")}
"""Topic -> question and query."""
FIELDS = {"question": ["bar", "kin"], "query": ["mar mel mis", "gel"]}
"""The setting topic_field -> what is searched for."""


def dense(model, **settings):
    return SystemSettings(name="dense", kind="dense", model=str(model), **settings)


@pytest.fixture
def built(encoder, words, beir_folder, workspace):
    """A profile whose dense system has prefixes, and the folder of its collection of 30 documents with vectors."""
    texts = {f"d{n}": " ".join(words[n : n + 3]) for n in range(30)}
    corpus = "".join(json.dumps({"_id": name, "text": text}) + "\n" for name, text in texts.items())
    queries = "".join(
        json.dumps({"_id": topic, "text": question, "metadata": {"query": query}}) + "\n"
        for topic, (question, query) in TOPICS.items()
    )
    qrels = "query-id\tcorpus-id\tscore\n" + "".join(f"{topic}\td{n}\t1\n" for topic in TOPICS for n in range(0, 30, 3))
    files = {"corpus.jsonl": corpus, "queries.jsonl": queries, "qrels/test.tsv": qrels}
    profile = Profile(
        collection={"name": "tiny", "source": str(beir_folder(files))},
        system=[dense(encoder, similarity="dot", **PREFIXES)],
        ann={"index": [{"kind": "hnsw", "values": [10]}], "repeats": 1},
    )
    folder = workspace.collection("tiny")
    make(collection.STAGE, profile, folder)
    make(encode.STAGE, profile, folder, profile.system[0])
    return profile, folder, texts


def scores(encoder, texts, queries):
    """Return the dot products of queries and documents, both encoded with their prefixes by the library alone."""
    plain = SentenceTransformer(str(encoder), device="cpu")
    documents = plain.encode([PREFIXES["document_prefix"] + text for text in texts.values()])
    return plain.encode([PREFIXES["query_prefix"] + query for query in queries]) @ documents.T


def test_pooling_and_the_models_own_limit_are_facts_of_the_vectors(built, encoder):
    profile, folder, _ = built
    loaded = SentenceTransformer(str(encoder), device="cpu")
    facts = read_manifest(folder.vectors(profile.system[0].name)).facts
    assert (facts["pooling"], facts["model_max_tokens"]) == (loaded[1].pooling_mode, loaded.max_seq_length)


def test_documents_are_encoded_with_their_prefix(built, encoder):
    _, folder, texts = built
    vectors, ids = load_vectors(folder, "dense")
    expected = SentenceTransformer(str(encoder), device="cpu").encode([f"fes {texts[name]}" for name in ids])
    assert vectors == pytest.approx(expected, abs=1e-5)


def of_field(profile, field):
    return profile.model_copy(update={"collection": profile.collection.model_copy(update={"topic_field": field})})


@pytest.mark.parametrize("field", FIELDS)
def test_the_batch_run_searches_for_the_topic_field_with_both_prefixes(built, encoder, field):
    profile, folder, texts = built
    make(search.STAGE, of_field(profile, field), folder, profile.system[0])
    for topic, expected in zip(TOPICS, scores(encoder, texts, FIELDS[field]), strict=True):
        found = built_run(folder, "dense").scores[topic]
        assert found == pytest.approx(dict(zip(texts, expected.tolist(), strict=True)), abs=1e-4)


def test_a_live_query_and_its_explanations_have_both_prefixes(built, encoder):
    profile, folder, texts = built
    system = open_system(profile, profile.system[0], folder, "cpu")
    (expected,) = scores(encoder, texts, ["bar"])
    found = dict(system.search(["bar"], len(texts))[0].hits)
    assert found == pytest.approx(dict(zip(texts, expected.tolist(), strict=True)), abs=1e-4)
    assert system.explain("bar", "d4")[0][1] == pytest.approx(expected[4], abs=1e-4)
    shares = system.explain_words("bar", Document("d4", "", texts["d4"]))
    assert [word for word, _ in shares] == ["[CLS]", "fes", *texts["d4"].split(), "[SEP]"]
    assert sum(share for _, share in shares) == pytest.approx(expected[4], abs=1e-3)


@pytest.mark.parametrize("field", FIELDS)
def test_the_sweep_of_indexes_searches_for_the_topic_field_with_both_prefixes(built, encoder, field):
    profile, folder, texts = built
    make(ann.STAGE, of_field(profile, field), folder, profile.system[0])
    qrels = {topic: {f"d{n}": 1 for n in range(0, 30, 3)} for topic in TOPICS}
    run = {
        topic: dict(zip(texts, row.tolist(), strict=True))
        for topic, row in zip(TOPICS, scores(encoder, texts, FIELDS[field]), strict=True)
    }
    expected = ir_measures.calc_aggregate([ir_measures.nDCG @ 10], qrels, run)[ir_measures.nDCG @ 10]
    settings = read_manifest(folder / "ann" / "dense").settings
    assert settings == ann_settings(of_field(profile, field), profile.system[0])
    other = next(other for other in FIELDS if other != field)
    assert settings != ann_settings(of_field(profile, other), profile.system[0]), "it is stale for another field"
    sweep = read_sweep(folder, "dense").set_index("index")
    assert sweep.loc["exact", "ndcg"] == pytest.approx(expected, abs=1e-4)


def test_a_prefix_replaces_the_prompt_of_the_model_and_no_prefix_leaves_it(encoder, workspace, tmp_path):
    plain = SentenceTransformer(str(encoder), device="cpu")
    prompts = {"query": "mar ", "document": "mel "}
    SentenceTransformer(str(encoder), prompts=prompts, default_prompt_name="query").save(str(tmp_path / "model"))
    assert json.loads((tmp_path / "model" / "config_sentence_transformers.json").read_text())["prompts"] == prompts

    def encoded(role, **prefixes):
        system = dense(tmp_path / "model", **prefixes)
        prefix = system.query_prefix if role == "query" else system.document_prefix
        return encode_texts(load_encoder(workspace, system, "cpu"), [f"{prefix}bar kin"], role)[0]

    expected = {text: plain.encode(f"{text} bar kin") for text in ("mar", "mel", "ban dor", "fes")}
    assert encoded("query") == pytest.approx(expected["mar"], abs=1e-5)
    assert encoded("document") == pytest.approx(expected["mel"], abs=1e-5)
    assert encoded("query", **PREFIXES) == pytest.approx(expected["ban dor"], abs=1e-5)
    assert encoded("document", **PREFIXES) == pytest.approx(expected["fes"], abs=1e-5)
    assert encoded("query", document_prefix="fes ") == pytest.approx(expected["mar"], abs=1e-5)
    assert not np.allclose(expected["mar"], expected["ban dor"], atol=1e-3)
