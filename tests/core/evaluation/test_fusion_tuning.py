"""Weights of a fusion: the grid, what is chosen, cross-validation against scikit-learn's rules, the artifact."""

import shutil

import pandas as pd
import pytest
from stages import make

from core import tune
from core.compare import figure
from core.evaluation.fusion_tuning import best, cross_validated, curve_table, folds, grid, read_curve, weight_notes
from core.evaluation.measures import evaluate, mean
from core.formats.collections import read_built_topics
from core.formats.runs import built_run, ranked
from core.retrieval.fusion import fuse
from core.workspace.errors import UserError
from core.workspace.profile import FusionSettings, Profile, find_settings, read_profile
from core.workspace.workspace import CHECKOUT, Workspace

SAMPLE = Workspace(CHECKOUT / "artifacts").collection("sample")


def test_the_grid_has_every_choice_once():
    assert grid(2)[0] == (0.0, 1.0) and grid(2)[-1] == (1.0, 0.0) and len(grid(2)) == 21
    assert len(grid(3)) == len(set(grid(3))) == 66
    assert all(sum(weights) == pytest.approx(1) for weights in grid(3))


def test_of_equally_good_weights_those_closest_to_equal_are_chosen():
    curve = {(0.0, 1.0): {"1": 0.5}, (0.4, 0.6): {"1": 0.5}, (0.9, 0.1): {"1": 0.5}, (1.0, 0.0): {"1": 0.4}}
    assert best(curve, ["1"]) == (0.4, 0.6)


def test_each_topic_has_weights_that_were_chosen_on_others():
    """Weights that are perfect on one topic and bad on all others are never used for this topic."""
    topics = [str(number) for number in range(10)]
    curve = {
        (number / 10, 1 - number / 10): {t: float(t == topic) for t in topics} for number, topic in enumerate(topics)
    }
    assert set(cross_validated(curve).values()) == {0.0}
    assert sorted(topic for fold in folds(topics) for topic in fold) == topics
    assert {len(fold) for fold in folds(topics)} == {2}


def test_one_topic_is_too_few():
    with pytest.raises(UserError, match="only one topic"):
        cross_validated({(0.0, 1.0): {"1": 0.5}})


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """The sample without what tuning does not need."""
    workspace = Workspace(tmp_path)
    monkeypatch.setenv("RANKSCOPE_ARTIFACTS", str(tmp_path))
    for name in ("collection", "runs", "measures", "profile.json"):
        source, target = SAMPLE.path / name, tmp_path / "sample" / name
        shutil.copytree(source, target) if source.is_dir() else shutil.copy(source, target)
    return workspace.collection("sample")


def test_the_curve_is_that_of_fusions_with_these_weights(folder):
    profile = read_profile("sample")
    system = find_settings(profile, "hybrid")
    make(tune.STAGE, profile, folder, system)
    systems, curve, measure = read_curve(folder, "hybrid")
    assert (systems, measure) == (["bm25", "fine-tuned"], "nDCG@10")
    runs, (_, qrels) = [built_run(folder, name).scores for name in systems], read_built_topics(folder)
    for weights in ((0.0, 1.0), (0.3, 0.7), (0.5, 0.5)):
        lists = {topic: [ranked(run[topic]) for run in runs] for topic in runs[1] if topic in runs[0]}
        fused = {topic: dict(fuse(of, FusionSettings(weights=list(weights)))) for topic, of in lists.items()}
        expected = evaluate(fused, qrels, [measure])[measure]
        nearest = min(curve, key=lambda one: abs(one[0] - weights[0]))
        assert {t: curve[nearest][t] for t in fused} == pytest.approx({t: expected[t] for t in fused})
    plain = pd.Series(evaluate(built_run(folder, "hybrid").scores, qrels, [measure])[measure])
    equal = min(curve, key=lambda one: abs(one[0] - 0.5))
    assert mean(curve[equal]) == pytest.approx(plain.mean(), abs=1e-9)
    table, *_ = figure(["fusion-weights", "sample"])
    assert len(table.figures) == 21
    assert "it is not a result: in 5-fold cross-validation" in table.sentences[0]
    assert table.sentences[1] == "No fusion is better than MiniLM adapted to TREC-COVID alone here."
    half = {weights: values for weights, values in curve.items() if weights[0] > 0.4}
    advice = curve_table(half, systems, measure, system, {}, "sample").sentences[1]
    assert advice == 'For other collections: fusion = { weights = [0.5, 0.5], chosen_on = "sample" }.'


def test_a_profile_without_a_fusion_has_nothing_to_tune(folder):
    with pytest.raises(UserError, match="no chosen system is a fusion"):
        tune.main(["--profile", "sample", "--systems", "bm25"])


def with_weights(**fusion):
    systems = [{"name": name, "kind": "bm25"} for name in "ab"]
    hybrid = {"name": "f", "kind": "fusion", "of": ["a", "b"], "fusion": {"weights": [0.3, 0.7]} | fusion}
    return Profile(collection={"name": "sample"}, system=[*systems, hybrid])


def test_weights_chosen_on_the_topics_shown_are_refused_or_said(folder):
    with pytest.raises(ValueError, match="f: its weights were chosen on the topics of sample itself"):
        with_weights(chosen_on="sample")
    (unknown,) = weight_notes(with_weights(), folder, {"f": "Hybrid"})
    assert unknown.startswith("Hybrid: the profile does not say on which topics the weights were chosen")
    assert not weight_notes(with_weights(chosen_on="another"), folder, {})
    assert not weight_notes(with_weights(weights=[1, 1]), folder, {}), "equal weights are not chosen"
    shutil.copytree(folder.path, folder.path.parent / "copy")
    (same,) = weight_notes(with_weights(chosen_on="copy"), folder, {})
    assert "chosen on copy, which has 48 of these 48 topics, so that its measures are no result" in same
