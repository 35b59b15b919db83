"""Published figures: of which collections, and which systems are held against them."""

import copy

import pytest

from core.evaluation.configurations import bm25_table, dense_table
from core.evaluation.published import agreement_table, exercise_table, far_from_published, published_figures
from core.evaluation.results import labels_of
from core.workspace.artifacts import Manifest, writing
from core.workspace.profile import CollectionSettings, Profile, SystemSettings, read_profile
from core.workspace.workspace import Workspace

SCIFACT = {"documents": 5183, "topics": 300, "judgments": 339}
TREC_COVID = {"documents": 171332, "topics": 50, "judgments": 66334}


def test_whole_collections_have_published_figures_each_with_its_source():
    for facts in (SCIFACT, TREC_COVID, TREC_COVID | {"documents": 0}):
        figures = published_figures(facts)
        assert {"all-MiniLM-L6-v2", "BM25, one field (Anserini)"} <= {figure.system for figure in figures}
        assert all(figure.source and 0 < figure.measures["nDCG@10"] < 1 for figure in figures)


@pytest.mark.parametrize(
    "facts",
    [
        SCIFACT | {"documents": 5000},
        TREC_COVID | {"topics": 49},
        TREC_COVID | {"judgments": 14427},
        {"documents": 777, "topics": 48, "judgments": 2450},
        {},
    ],
)
def test_a_cut_or_other_collection_has_none(facts):
    assert published_figures(facts) == []


def test_the_exercise_by_others_is_known_for_trec_covid_and_nothing_is_held_against_it():
    figures = exercise_table(TREC_COVID, "covid").figures
    assert len(figures) > 30
    assert figures["nDCG@10"].between(0, 1).all()
    assert figures["source"].str.len().gt(0).all()
    assert exercise_table(SCIFACT, "scifact").figures.empty
    assert not {one.source for one in published_figures(TREC_COVID)} & set(figures["source"])
    bm25 = [SystemSettings(name="bm25", kind="bm25")]  # nearer to one of the exercise's figures than to any other
    said = far_from_published(published_figures(TREC_COVID), bm25, lambda _: {"bm25": {"1": 0.43}}, {"bm25": "BM25"})
    assert "far from the published 0.5947" in said[0]


def test_figures_differ_by_collection():
    by_name = {figure.system: figure.measures for figure in published_figures(SCIFACT)}
    assert by_name["all-MiniLM-L6-v2"] == {"nDCG@10": 0.6451, "R@100": 0.925}


# Held against ours

MODEL = "sentence-transformers/all-MiniLM-L6-v2"
SYSTEMS = [
    SystemSettings(name="dense", kind="dense", model=MODEL),
    next(system for system in read_profile("trec-covid").system if system.name == "bm25-anserini"),
]
VALUES = {  # all near the published figures, but for BM25's recall
    "nDCG@10": {"dense": {"1": 0.6459, "2": 0.6441}, "bm25-anserini": {"1": 0.6789}},
    "R@100": {"dense": {"1": 0.9250}, "bm25-anserini": {"1": 0.9276}},
}


def manifest(settings, **facts):
    return Manifest("", "", settings, {}, {}, facts, {}, 0.0, {}, "")


def manifests():
    own = SYSTEMS[1].bm25.model_dump(exclude={"engine"}) | SYSTEMS[1].analyzer.model_dump() | {"expanded": False}
    return {
        "runs/dense": manifest({"topic_field": "question", "similarity": "cosine", "query_prefix": ""}),
        "vectors/dense": manifest({}, model=MODEL, max_tokens=256, model_max_tokens=256, pooling="mean"),
        "runs/bm25-anserini": manifest({"topic_field": "question"}),
        "bm25/bm25-anserini": manifest(own),
    }


def compared(tmp_path, made, facts=SCIFACT):
    labels = {"dense": "MiniLM", "bm25-anserini": "BM25"}
    known, workspace = published_figures(facts), Workspace(tmp_path)
    return agreement_table(known, workspace, SYSTEMS, made, VALUES.get, labels, "c")


def test_means_are_held_against_the_figures_of_their_configuration(tmp_path):
    table = compared(tmp_path, manifests())
    rows = [(system, row["measure"], row["published"], row["agrees"]) for system, row in table.figures.iterrows()]
    assert rows == [
        ("MiniLM", "nDCG@10", 0.6451, "yes"),
        ("MiniLM", "R@100", 0.9250, "yes"),
        ("BM25", "nDCG@10", 0.6789, "yes"),
        ("BM25", "R@100", 0.9253, "no"),
    ]
    assert list(table.figures["difference"]) == pytest.approx([-0.0001, 0, 0, 0.0023])
    assert table.sentences[0].startswith("3 of 4 figures agree")


@pytest.mark.parametrize(
    ("place", "part", "changed"),
    [
        ("vectors/dense", "facts", {"max_tokens": 128}),
        ("vectors/dense", "facts", {"model": "somebody/all-MiniLM-L6-v2"}),
        ("vectors/dense", "facts", {"precision": "int8"}),
        ("vectors/dense", "settings", {"document_prefix": "passage: "}),
        ("runs/dense", "settings", {"query_prefix": "query: "}),
        ("runs/dense", "settings", {"similarity": "dot"}),
        ("runs/dense", "settings", {"engine": "milvus"}),
        ("runs/dense", "settings", {"topic_field": "query"}),
        ("bm25/bm25-anserini", "settings", {"k1": 1.5}),
        ("bm25/bm25-anserini", "settings", {"stop_words": "long"}),
        ("bm25/bm25-anserini", "settings", {"expanded": True}),
        ("bm25/bm25-anserini", "settings", {"lengths": "exact"}),
        ("runs/bm25-anserini", "settings", {"topic_field": "narrative"}),
    ],
)
def test_another_configuration_is_held_against_nothing(place, part, changed, tmp_path):
    made = copy.deepcopy(manifests())
    getattr(made[place], part).update(changed)
    left = "BM25" if "dense" in place else "MiniLM"
    assert set(compared(tmp_path, made).figures.index) == {left}


def test_a_collection_that_is_not_whole_is_compared_with_nothing(tmp_path):
    table = compared(tmp_path, manifests(), SCIFACT | {"documents": 5000})
    assert table.figures.empty
    assert table.sentences == [
        "Published figures are known for TREC-COVID (BEIR) and SciFact (BEIR) as a whole; this collection is compared "
        "with none."
    ]


# Configurations and labels


def test_configurations_are_those_of_the_manifests(tmp_path):
    labels = {"dense": "MiniLM", "bm25-anserini": "BM25"}
    (row,) = dense_table(Workspace(tmp_path), SYSTEMS, manifests(), labels, "c").figures.to_dict("records")
    known = {name: value for name, value in row.items() if value == value and value is not None}
    assert known == {
        "model": MODEL,
        "input limit (tokens)": 256,
        "the model's own limit": 256,
        "pooling": "mean",
        "similarity": "cosine",
        "precision": "fp32",
    }
    (row,) = bm25_table(SYSTEMS, manifests(), labels, "c").figures.to_dict("records")
    assert (row["k1"], row["tokenizer"], row["document lengths"]) == ("0.9", "lucene", "lucene")


def test_a_limit_that_is_not_the_models_is_part_of_the_default_label(tmp_path):
    folder = Workspace(tmp_path).collection("c")
    systems = [
        SystemSettings(name=f"m{limit}", kind="dense", model="nobody/m", max_tokens=limit) for limit in (0, 128, 256)
    ]
    for system in systems:
        facts = {"max_tokens": system.max_tokens or 128, "model_max_tokens": 128, "pooling": "mean"}
        with writing(folder.vectors(system.name), "encode", {}, {}, facts) as partial:
            (partial / "vectors.npy").write_bytes(b"")
    named = SystemSettings(name="named", kind="dense", model="nobody/m", max_tokens=64, label="Short")
    profile = Profile(collection=CollectionSettings(name="c"), system=[*systems, named])
    expected = {"m0": "m0", "m128": "m128", "m256": "m256, 256 tokens", "named": "Short"}
    assert labels_of(profile, folder) == expected
