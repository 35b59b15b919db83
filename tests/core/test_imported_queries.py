"""Builds with predicted queries that were made elsewhere: what is indexed, staleness, and T5s by their hub name."""

import gzip
import json
import random

import pytest
from hub import hub_at, use, write_files
from huggingface_hub import constants

from core.artifact_list import inventory
from core.build import run_build, steps
from core.formats.predicted_queries import read_expansions
from core.formats.runs import read_run
from core.workspace.artifacts import read_manifest
from core.workspace.profile import Profile, read_profile
from core.workspace.stage import Build
from scripts.campaigns.hub_stand_in import Content, Fault, Repository

QUERIES = {"d1": ["do masks help", "do masks help"], "d3": ["who has bats", "vaccines for bats", "bats"]}
TEXTS = {
    "d1": ("Masks", "Masks slow the spread."),
    "d2": ("", "Vaccines protect the old."),
    "d3": ("Bats", ""),
}


def quiet_build(profile, folder, **options):
    outcomes = run_build(Build(profile, folder, "cpu"), say=lambda _: None, **options)
    assert not [outcome.reason for outcome in outcomes if outcome.result in ("failed", "skipped")]
    return {f"{outcome.step.stage.name}/{outcome.step.artifact.name}": outcome.result for outcome in outcomes}


def write_queries(path, queries):
    path.write_text("".join(json.dumps({"id": name, "queries": own}) + "\n" for name, own in queries.items()))
    return str(path)


@pytest.fixture
def profile(beir_folder, tmp_path):
    return Profile(
        collection={"name": "tiny", "source": str(beir_folder())},
        doc2query={"source": write_queries(tmp_path / "queries.jsonl", QUERIES | {"d9": ["x"]})},
        system=[
            {"name": "bm25", "kind": "bm25"},
            {"name": "expanded", "kind": "bm25", "expanded": True, "expansion": {"queries": 2}},
        ],
    )


@pytest.fixture
def folder(workspace):
    return workspace.collection("tiny")


def with_source(profile, source, **more):
    return profile.model_copy(update={"doc2query": profile.doc2query.model_copy(update={"source": source} | more)})


def test_the_index_is_that_of_documents_with_the_first_queries_appended(
    profile, folder, beir_folder, workspace, capsys
):
    quiet_build(profile, folder)
    said = capsys.readouterr().err
    assert "note: 1 of 3 documents have no predicted queries" in said
    assert "predicted queries of documents that the collection does not have: 1" in said
    assert read_expansions(folder) == QUERIES | {"d2": []}
    manifest = read_manifest(folder.predicted_queries)
    assert manifest.facts["documents_without_queries"] == manifest.facts["queries_of_unknown_documents"] == 1
    assert manifest.facts["queries"] == 5
    assert "model" not in manifest.facts

    corpus = "".join(
        json.dumps({"_id": name, "title": title, "text": " ".join([text, *QUERIES.get(name, [])[:2]])}) + "\n"
        for name, (title, text) in TEXTS.items()
    )
    by_hand = profile.collection.model_copy(update={"source": str(beir_folder({"corpus.jsonl": corpus}, "by-hand"))})
    plain = profile.model_copy(update={"collection": by_hand, "system": profile.system[:1]})
    quiet_build(plain, workspace.collection("by-hand"))
    expected = read_run(workspace.collection("by-hand") / "runs" / "bm25" / "run.trec").scores
    assert read_run(folder / "runs" / "expanded" / "run.trec").scores == expected
    assert expected != read_run(folder / "runs" / "bm25" / "run.trec").scores


def test_another_file_and_another_source_make_the_queries_stale(profile, folder, tmp_path):
    quiet_build(profile, folder)
    assert set(quiet_build(profile, folder).values()) == {"up to date"}
    assert quiet_build(profile, folder, force=True)["doc2query/doc2query"] == "made"

    def why(profile):
        (entry,) = [entry for entry in inventory(profile, folder) if entry.place.endswith("tiny/doc2query")]
        return entry.reason

    other = with_source(profile, write_queries(tmp_path / "other.jsonl", QUERIES))
    assert "setting source was " in why(other)
    assert "now None" in why(with_source(profile, "model", model=str(tmp_path / "none")))
    write_queries(tmp_path / "queries.jsonl", QUERIES | {"d1": ["masks again"]})
    assert why(profile) == "its input source changed"
    made = quiet_build(profile, folder)
    assert made["bm25/bm25"] == "up to date"
    assert made["doc2query/doc2query"] == made["bm25/expanded"] == made["search/expanded"] == "made"
    (tmp_path / "queries.jsonl").unlink()
    assert why(profile) == "", "what came from another machine is not stale because its source is not here"


def test_what_a_build_saves_finds_the_file_again(profile, folder):
    quiet_build(profile, folder)
    saved = read_profile(str(folder.profile))
    assert not saved.doc2query.source.startswith("/")
    assert set(quiet_build(saved, folder).values()) == {"up to date"}


def test_more_queries_than_any_document_has_are_refused(profile, folder):
    wanted = profile.system[1].expansion.model_copy(update={"queries": 4})
    systems = [profile.system[0], profile.system[1].model_copy(update={"expansion": wanted})]
    outcomes = run_build(Build(profile.model_copy(update={"system": systems}), folder, "cpu"), say=lambda _: None)
    reasons = [outcome.reason for outcome in outcomes if outcome.result == "failed"]
    assert reasons == [
        "expanded: expansion.queries is 4, but only 3 were predicted for a document; lower expansion.queries or "
        "predict more (doc2query.queries)"
    ]


def test_a_missing_file_fails_the_step_alone_and_is_named(profile, folder, tmp_path):
    outcomes = run_build(Build(with_source(profile, str(tmp_path / "none.jsonl")), folder, "cpu"), say=lambda _: None)
    results = {f"{outcome.step.stage.name}/{outcome.step.artifact.name}": outcome for outcome in outcomes}
    assert "none.jsonl: no such file or folder of predicted queries" in results["doc2query/doc2query"].reason
    assert results["bm25/expanded"].result == "skipped"
    assert results["search/bm25"].result == "made"


# From the hub

HUB = "hub:income/tiny-top-20-gen-queries"
CARD = "---\nlicense: cc-by-sa-4.0\n---\n# Queries"


@pytest.fixture
def content(tmp_path):
    """A stand-in for the hub with one data set."""
    lines = "".join(json.dumps({"id": name, "queries": own}) + "\n" for name, own in QUERIES.items())
    files = {"train.jsonl.gz": gzip.compress(lines.encode()), "README.md": CARD, "load.py": "evil()"}
    write_files(tmp_path / "hub" / "income" / "tiny-top-20-gen-queries", files)
    return Content(datasets=tmp_path / "hub")


def test_a_data_set_of_the_hub_is_downloaded_once_and_named_by_its_commit(
    profile, folder, content, tmp_path, monkeypatch
):
    profile = with_source(profile, HUB)
    with hub_at(content, tmp_path / "home", monkeypatch):
        quiet_build(profile, folder)
        assert not [request for request in content.requests if "load.py" in request.path], "no code is downloaded"
        content.requests.clear()
        assert set(quiet_build(profile, folder).values()) == {"up to date"}
        assert not content.requests
    manifest = read_manifest(folder.predicted_queries)
    assert manifest.settings == {"source": HUB}
    repository = content.repository("datasets", "income/tiny-top-20-gen-queries")
    assert manifest.facts["commit"] == repository.commit()
    assert manifest.facts["licence"] == "cc-by-sa-4.0"
    assert read_expansions(folder) == QUERIES | {"d2": []}
    assert set(quiet_build(profile, folder).values()) == {"up to date"}, "the hub is gone"

    revision = with_source(profile, f"{HUB}@{repository.commit()}")
    use("http://127.0.0.1:9", tmp_path / "home", monkeypatch)
    assert quiet_build(revision, folder)["doc2query/doc2query"] == "made", "the commit is on this machine"


def test_a_download_that_is_cut_off_resumes(profile, folder, content, tmp_path, monkeypatch):
    chance = random.Random(2)
    many = {f"x{n}": ["".join(chance.choices("abcdefghij ", k=60)) for _ in range(20)] for n in range(2000)}
    lines = "".join(json.dumps({"id": name, "queries": own}) + "\n" for name, own in (QUERIES | many).items())
    packed = gzip.compress(lines.encode())
    (tmp_path / "hub" / "income" / "tiny-top-20-gen-queries" / "train.jsonl.gz").write_bytes(packed)
    content.faults.append(Fault("/lfs/*", cut=400_000, times=1))
    monkeypatch.setattr(constants, "DOWNLOAD_CHUNK_SIZE", 50_000)
    with hub_at(content, tmp_path / "home", monkeypatch):
        quiet_build(with_source(profile, HUB), folder)
    stored = [request.range for request in content.requests if request.method == "GET" and "/lfs/" in request.path]
    assert stored == ["", "bytes=400000-"], "it goes on where it was"
    assert read_expansions(folder) == QUERIES | {"d2": []}
    assert read_manifest(folder.predicted_queries).facts["queries_of_unknown_documents"] == 40_000


@pytest.mark.parametrize(
    ("repository", "source", "said"),
    [
        ({"gated": "token"}, HUB, "gated"),
        ({"private": True}, HUB, "tiny-top-20-gen-queries"),
        ({}, "hub:income/other", "income/other"),
        ({"cut": True}, HUB, "downloads/income--tiny-top-20-gen-queries"),
        ({}, f"{HUB}@v9", "has no revision v9"),
    ],
)
def test_a_data_set_that_cannot_be_had_is_said_in_one_sentence(
    profile, folder, content, tmp_path, monkeypatch, repository, source, said
):
    place = tmp_path / "hub" / "income" / "tiny-top-20-gen-queries"
    repository = dict(repository)
    if repository.pop("cut", False):
        monkeypatch.setattr("time.sleep", lambda seconds: None)
        content.faults.append(Fault("/lfs/*", cut=10))
    content.repositories["datasets/income/tiny-top-20-gen-queries"] = Repository(place, **repository)
    with hub_at(content, tmp_path / "home", monkeypatch):
        outcomes = run_build(Build(with_source(profile, source), folder, "cpu"), say=lambda _: None)
    results = {f"{outcome.step.stage.name}/{outcome.step.artifact.name}": outcome for outcome in outcomes}
    assert said in results["doc2query/doc2query"].reason
    assert "\n" not in results["doc2query/doc2query"].reason
    assert results["bm25/expanded"].result == "skipped"
    assert results["search/bm25"].result == "made", "BM25 alone needs no queries"


@pytest.mark.parametrize(
    ("settings", "trains"),
    [
        ({}, True),
        ({"source": "hub:income/trec-covid-top-20-gen-queries"}, False),
        ({"model": "doc2query/msmarco-t5-base-v1"}, False),
        ({"model": "macavaney/doc2query-t5-base-msmarco"}, False),
    ],
)
def test_only_a_t5_of_our_own_is_trained(profile, folder, settings, trains):
    changed = profile.doc2query.model_copy(update={"source": "model"} | settings)
    planned = [step.stage.name for step in steps(Build(profile.model_copy(update={"doc2query": changed}), folder))]
    assert "doc2query" in planned
    assert ("doc2query-model" in planned) == trains


@pytest.mark.parametrize("source", ["hub:income", "hub:../x/y", "hub:a/b@", "hub:a/b@../../c", "hub:a/b c"])
def test_a_source_that_names_no_data_set_is_refused(source):
    with pytest.raises(ValueError, match="names no data set of the hub; expected hub:OWNER/NAME"):
        Profile(collection={"name": "tiny"}, doc2query={"source": source}, system=[])
