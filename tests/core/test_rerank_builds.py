"""A re-ranker in a build: trained, searched in the batch, over an imported run, stale when what it needs changes."""

import json

import pytest
from beir_files import of_words
from pydantic import ValidationError
from stages import make
from tiny_models import make_cross_encoder

from core import bm25, collection, compare, evaluate, finetune, search
from core.evaluation.rerank_depths import rerank_depths
from core.evaluation.results import Results
from core.formats.collections import read_built_topics
from core.formats.runs import built_run, ranked
from core.plan import steps
from core.retrieval.kinds import open_system
from core.workspace.artifacts import read_manifest, writing
from core.workspace.command_line import save_profile
from core.workspace.errors import UserError
from core.workspace.models import load_cross_encoder
from core.workspace.profile import Profile
from core.workspace.stage import Build

MODEL = "artifacts/models/cross-encoder"


@pytest.fixture
def built(beir_folder, workspace, words, tiny_bert):
    """Return the profile and the folder of a collection whose BM25 is re-ranked by a model of its own."""
    (workspace.root / "models").mkdir()
    make_cross_encoder(workspace.root / MODEL.removeprefix("artifacts/"), tiny_bert)
    profile = profile_of(beir_folder(of_words(words)), MODEL)
    folder = workspace.collection("tiny")
    for stage, system in ((collection.STAGE, None), (bm25.STAGE, 0), (search.STAGE, 0), (search.STAGE, 1)):
        make(stage, profile, folder, None if system is None else profile.system[system])
    save_profile(profile, folder)
    return profile, folder


def profile_of(source, model, **reranker):
    return Profile.model_validate(
        {
            "collection": {"name": "tiny", "source": str(source)},
            "bm25": {"k1": 1.2},
            "analyzer": {"stemmer": "none"},
            "depth": 10,
            "measures": ["nDCG@10"],
            "system": [
                {"name": "bm25", "kind": "bm25", "label": "BM25"},
                {"name": "re", "kind": "rerank", "of": ["bm25"], "model": str(model), "depth": 3} | reranker,
            ],
        }
    )


def stale(profile, folder):
    build = Build(profile, folder, device="cpu")
    target = next(target for target in search.targets(build) if target.artifact.name == "re")
    return search.STAGE.stale(build, target)


def test_the_batch_is_what_single_queries_give(built):
    profile, folder = built
    system = open_system(profile, profile.system[1], folder, "cpu")
    run = built_run(folder, "re").scores
    for topic in read_built_topics(folder)[0]:
        (answer,) = system.search([topic.text("question")], 10)
        assert [name for name, _ in ranked(run[topic.id])] == answer.ranking
    assert read_manifest(folder.run("re")).facts["median_milliseconds"] > 0


def test_the_run_is_stale_when_its_model_or_the_first_system_changes(built, workspace):
    profile, folder = built
    assert stale(profile, folder) is None
    other = profile.model_copy(update={"bm25": profile.bm25.model_copy(update={"k1": 0.9})})
    assert stale(other, folder)
    assert stale(profile_of(profile.collection.source, profile.system[1].model, depth=2), folder)
    config = workspace.root / "models" / "cross-encoder" / "config.json"
    config.write_text(json.dumps(json.loads(config.read_text()) | {"hidden_dropout_prob": 0.3}))
    assert "model" in stale(profile, folder)


def test_the_plan_searches_the_first_system_first(built):
    profile, folder = built
    order = [step.artifact.name for step in steps(Build(profile, folder)) if step.stage is search.STAGE]
    assert order == ["bm25", "re"]


def test_an_imported_run_is_re_ranked_in_the_batch(built):
    profile, folder = built
    with writing(folder.run("theirs"), "import", {}, {}) as place:
        lines = [f"{topic} Q0 d{n} 0 {-n} theirs\n" for topic in range(3) for n in (7, 3, 1, 5)]
        (place / "run.trec").write_text("".join(lines))
    systems = [
        {"name": "theirs", "kind": "run"},
        profile.system[1].model_dump() | {"name": "re-theirs", "of": ["theirs"]},
    ]
    other = Profile.model_validate(profile.model_dump() | {"system": [*profile.model_dump()["system"], *systems]})
    make(search.STAGE, other, folder, other.system[3])
    first = {
        topic: [name for name, _ in ranked(scores)] for topic, scores in built_run(folder, "theirs").scores.items()
    }
    for topic, scores in built_run(folder, "re-theirs").scores.items():
        found = [name for name, _ in ranked(scores)]
        assert first[topic] == ["d1", "d3", "d5", "d7"]
        assert set(found[:3]) == {"d1", "d3", "d5"} and found[3] == "d7"
    system = open_system(other, other.system[3], folder, "cpu")
    with pytest.raises(UserError, match="cannot answer new queries"):
        system.search(["another query"], 3)


def test_the_figure_by_depth_is_that_of_runs_at_these_depths(built, command):
    profile, folder = built
    make(evaluate.STAGE, profile, folder)
    table = rerank_depths(Results(folder, profile), "re", "nDCG@10", [1, 3]).figures
    assert list(table.index) == ["0 (BM25)", "1", "3"]
    measured = read_manifest(folder.measures).facts
    assert table.loc["3", "nDCG@10"] == pytest.approx(measured["re"]["nDCG@10"], abs=1e-4)
    assert table.loc["0 (BM25)", "nDCG@10"] == pytest.approx(measured["bm25"]["nDCG@10"], abs=1e-4)
    assert (table["seconds per query"] >= table["of these re-ranking"]).all()
    printed = command(compare.main, "rerank-depths", "tiny", "--system", "re", "--depths", "1,3")
    assert printed.status == 0 and "documents read" in printed.out
    assert command(compare.main, "rerank-depths", "tiny", "--depths", "0").refused_with("from 1 to 10")
    assert command(compare.main, "rerank-depths", "tiny", "--system", "bm25").refused_with("bm25 is no re-ranker")


def test_a_trained_cross_encoder_is_a_re_rankers_model(built, workspace, tiny_bert, words, tmp_path):
    profile, folder = built
    lines = "".join(f"{words[n]}\t{words[n]} {words[n + 1]}\t{words[n + 2]} {words[n + 3]}\n" for n in range(40))
    (tmp_path / "triples.tsv").write_text(lines)
    settings = {"architecture": "cross-encoder", "base": str(tiny_bert), "model": "artifacts/models/re", "batch": 8}
    table = profile.model_dump() | {"triples": {"source": str(tmp_path / "triples.tsv"), "held_out": 0.2}}
    table["finetune"] = settings | {"max_tokens": 16, "layers": 1}
    table["system"][1]["model"] = settings["model"]
    trained = Profile.model_validate(table)
    model = make(finetune.STAGE, trained, folder)
    manifest = read_manifest(model)
    assert set(manifest.facts["held_out_mrr@10"]) == {"before", "after"}
    assert "architecture" in manifest.settings and "pooling" not in manifest.settings
    assert "MRR@10" in (model / "README.md").read_text()
    assert load_cross_encoder(workspace, settings["model"], "cpu").num_labels == 1
    needed = next(target for target in search.targets(Build(trained, folder)) if target.artifact.name == "re").needs
    assert folder.model(settings["model"]) in needed
    make(search.STAGE, trained, folder, trained.system[1])


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"depth": 0}, "greater than or equal to 1"),
        ({"depth": 11}, "re: depth is 11, but the profile retrieves 10 documents per topic"),
        ({"of": ["re"]}, "a system cannot build on itself"),
        ({"of": []}, "re: `of` must name at least 1 system"),
        ({"of": ["bm25", "other"]}, "re: a re-ranker reads the documents of one system"),
        ({"of": ["none"]}, "'none'"),
        ({"precision": "int8"}, "re: a re-ranker has no precision int8"),
    ],
)
def test_settings_that_make_no_re_ranker_are_refused(given, sentence):
    with pytest.raises(ValidationError, match=sentence):
        profile_of("anywhere", "a-model", **given)


def test_a_re_ranker_without_a_model_has_the_default(built):
    assert profile_of("anywhere", "").system[1].model == "cross-encoder/ms-marco-MiniLM-L6-v2"
