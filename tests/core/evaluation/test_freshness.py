"""What is older than what it was made from, through all stages, by the manifests alone."""

import itertools
import shutil
from pathlib import Path

import pytest

from core.evaluation.freshness import changes, evaluation
from core.workspace.artifacts import read_manifest, writing
from core.workspace.profile import Profile, read_profile
from core.workspace.workspace import CHECKOUT, CollectionFolder, Workspace

SYSTEMS = [
    {"name": "bm25", "kind": "bm25"},
    {"name": "expanded", "kind": "bm25", "expanded": True},
    {"name": "bge", "kind": "dense", "model": "some/bge", "backend": "milvus"},
]
PROFILE = Profile(collection={"name": "x"}, system=SYSTEMS, measures=["nDCG@10"])
COLLECTION = ("corpus.jsonl", "queries.jsonl", "qrels/test.tsv")
MADE_FROM = {
    "doc2query": {"corpus.jsonl": "collection"},
    "vectors/bge": {"corpus.jsonl": "collection", "model": ""},
    "milvus/bge": {"vectors": "vectors/bge"},
    "doc2query-scores": {"doc2query": "doc2query", "vectors/bge": "vectors/bge"},
    "bm25/bm25": {"corpus.jsonl": "collection"},
    "bm25/expanded": {
        "corpus.jsonl": "collection",
        "doc2query": "doc2query",
        "doc2query-scores": "doc2query-scores",
    },
    "runs/bm25": {"queries.jsonl": "collection", "bm25": "bm25/bm25"},
    "runs/expanded": {"queries.jsonl": "collection", "bm25": "bm25/expanded"},
    "runs/bge": {"queries.jsonl": "collection", "vectors": "vectors/bge", "milvus": "milvus/bge"},
    "measures": {
        **dict.fromkeys(COLLECTION[1:], "collection"),
        **{system["name"]: f"runs/{system['name']}" for system in SYSTEMS},
    },
    "ann/bge": {**dict.fromkeys(COLLECTION[1:], "collection"), "vectors": "vectors/bge"},
    "ann-simulated/bge-500": {**dict.fromkeys(COLLECTION[1:], "collection"), "vectors": "vectors/bge"},
}
"""Every artifact of a build, with what each input is made from."""


def make(folder: CollectionFolder, place: str, content: str = "") -> None:
    """Write an artifact of the plan above, of what is there now."""
    inputs = {}
    for name, source in MADE_FROM.get(place, {}).items():
        manifest = read_manifest(folder / source) if source else None
        inputs[name] = "" if manifest is None else manifest.digest
        if source == "collection":
            inputs[name] = manifest.files[name]["sha256"]
    stage = {"measures": "evaluate", "runs": "search"}.get(place.split("/")[0], place.split("/")[0])
    with writing(folder / place, stage, {"measures": ["nDCG@10"]}, inputs) as partial:
        name = "measures.csv" if place == "measures" else "file"
        (partial / name).write_text(content or place)


def collection(folder: CollectionFolder, **changed: str) -> None:
    with writing(folder / "collection", "collection", {}, {}) as partial:
        (partial / "qrels").mkdir()
        for name in COLLECTION:
            (partial / name).write_text(changed.get(name.split(".")[0].split("/")[0], name))


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = Workspace(tmp_path_factory.mktemp("artifacts")).collection("tiny")
    collection(folder)
    for place in MADE_FROM:
        make(folder, place)
    return folder.path


@pytest.fixture
def folder(built: Path, tmp_path: Path) -> CollectionFolder:
    shutil.copytree(built, tmp_path / "artifacts" / "tiny")
    return Workspace(tmp_path / "artifacts", checkout=tmp_path / "checkout").collection("tiny")


def test_nothing_is_older_after_a_whole_build(folder: CollectionFolder) -> None:
    assert [changes(folder, place) for place in MADE_FROM] == [[]] * len(MADE_FROM)
    found = evaluation(PROFILE, folder)
    assert set(found.stored) == set(found.runs) == {"bm25", "expanded", "bge"}
    assert (found.reason, found.others, found.without_run) == ("", (), {})


def older(folder: CollectionFolder) -> dict[str, list[str]]:
    found = {place: changes(folder, place) for place in MADE_FROM}
    return {place: changed for place, changed in found.items() if changed}


def test_other_judgments_concern_measures_and_sweeps_alone(folder: CollectionFolder) -> None:
    collection(folder, qrels="others")
    judgments = dict.fromkeys(("measures", "ann/bge", "ann-simulated/bge-500"), ["judgments"])
    assert older(folder) == judgments
    found = evaluation(PROFILE, folder)
    assert (found.stored, found.reason) == (frozenset(), "the stored measures are older than the judgments")


def test_other_topics_concern_every_run(folder: CollectionFolder) -> None:
    collection(folder, queries="others")
    with_topics = [place for place, inputs in MADE_FROM.items() if "queries.jsonl" in inputs]
    assert older(folder) == dict.fromkeys(with_topics, ["topics"])


def test_other_documents_concern_everything_that_was_made_of_them(folder: CollectionFolder) -> None:
    collection(folder, corpus="others")
    assert older(folder) == dict.fromkeys(MADE_FROM, ["documents"])
    assert evaluation(PROFILE, folder).stored == {"bm25", "expanded", "bge"}, "the runs are those that were measured"


def test_manifests_in_each_other_s_place_lead_round_in_no_circle(folder: CollectionFolder) -> None:
    for one, other in itertools.combinations(MADE_FROM, 2):
        paths = [folder / place / "manifest.json" for place in (one, other)]
        contents = [path.read_bytes() for path in paths]
        for path, content in zip(paths, reversed(contents), strict=True):
            path.write_bytes(content)
        older(folder)
        for path, content in zip(paths, contents, strict=True):
            path.write_bytes(content)
    assert older(folder) == {}


def test_what_was_made_anew_is_named_and_no_more(folder: CollectionFolder) -> None:
    make(folder, "vectors/bge", "others")
    places = ("milvus/bge", "doc2query-scores", "bm25/expanded", "runs/expanded", "runs/bge", "measures")
    assert older(folder) == dict.fromkeys((*places, "ann/bge", "ann-simulated/bge-500"), ["vectors"])
    make(folder, "bm25/bm25", "others")
    assert changes(folder, "runs/bm25") == ["index"]
    make(folder, "runs/bm25", "others")
    assert changes(folder, "runs/bm25") == []
    found = evaluation(PROFILE, folder)
    assert (found.stored, found.reason) == ({"expanded", "bge"}, "the stored measures are older than the runs")


def test_an_input_that_is_gone_is_said(folder: CollectionFolder) -> None:
    shutil.rmtree(folder / "bm25" / "bm25")
    assert changes(folder, "runs/bm25") == ["index (now missing)"]
    shutil.rmtree(folder / "runs" / "bm25")
    assert changes(folder, "runs/bm25") == [], "what is not there is not old"
    found = evaluation(PROFILE, folder)
    assert list(found.without_run) == ["bm25"]
    assert "bm25" not in found.stored


def test_measures_of_systems_that_the_profile_does_not_have_are_told_apart(folder: CollectionFolder) -> None:
    other = PROFILE.model_copy(update={"system": [PROFILE.system[0]]})
    assert set(evaluation(other, folder).others) == {"expanded", "bge"}
    more = PROFILE.model_copy(update={"measures": ["nDCG@10", "RR"]})
    found = evaluation(more, folder)
    assert (found.stored, found.reason) == (frozenset(), "the stored measures lack RR")


def test_a_model_trained_anew_makes_its_vectors_old(folder: CollectionFolder, tmp_path: Path) -> None:
    model = folder.workspace.root / "models" / "mine"
    model.mkdir(parents=True)
    (model / "model.safetensors").write_text("weights")
    from core.workspace.models import model_digest

    inputs = read_manifest(folder / "vectors" / "bge").inputs | {"model": model_digest(model)}
    with writing(folder / "vectors" / "bge", "encode", {}, inputs, {"model": "artifacts/models/mine"}) as partial:
        (partial / "file").write_text("vectors/bge")
    assert changes(folder, "runs/bge") == []
    (model / "model.safetensors").write_text("trained anew")
    assert changes(folder, "vectors/bge") == changes(folder, "runs/bge") == ["model"]
    with writing(model, "finetune", {}, {}) as partial:
        (partial / "model.safetensors").write_text("trained anew")
    assert changes(folder, "runs/bge") == ["model"]
    (model / "model.safetensors").write_text("damaged")
    assert changes(folder, "runs/bge") == []
    # The model of that name that is shipped with the project is another.
    other = tmp_path / "checkout" / "artifacts" / "models" / "mine"
    shutil.copytree(model, other, ignore=shutil.ignore_patterns("manifest.json"))
    assert changes(folder, "runs/bge") == []


def test_an_imported_run_is_of_no_stage(folder: CollectionFolder) -> None:
    with writing(folder / "runs" / "theirs", "import_runs", {}, {"file": "0" * 64, "bm25": "0" * 64}) as partial:
        (partial / "run.trec").write_text("")
    collection(folder, corpus="others", queries="others")
    assert changes(folder, "runs/theirs") == []


def test_nothing_of_the_sample_is_old() -> None:
    folder = Workspace(CHECKOUT / "artifacts").collection("sample")
    places = [artifact.shown.removeprefix("artifacts/sample/") for artifact in folder.artifacts()]
    assert {place: changes(folder, place) for place in places if changes(folder, place)} == {}
    found = evaluation(read_profile(str(folder / "profile.json")), folder)
    assert set(found.stored) == set(found.runs)
