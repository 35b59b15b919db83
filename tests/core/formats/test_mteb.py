"""MTEB's saved predictions are read as runs; the files have the structure that its `_save_task_predictions` writes."""

import gzip
import json

import pytest

from core.formats.run_discovery import find_runs
from core.formats.runs import read_run, run_names, run_topics
from core.workspace.errors import UserError

SCORES = {"1": {"d2": 0.25, "d1": 0.75, "d3": -1}, "q2": {"d3": 0.5}}
META = {"mteb_model_meta": {"model_name": "intfloat/e5-small", "revision": "abc"}}


def written(path, table):
    path.parent.mkdir(exist_ok=True)
    text = json.dumps(table)
    path.write_bytes(gzip.compress(text.encode()) if path.suffix == ".gz" else text.encode())
    return path


@pytest.mark.parametrize("name", ["TRECCOVID_predictions.json", "TRECCOVID_predictions.json.gz"])
def test_predictions_are_a_run_named_after_the_model(name, tmp_path):
    path = written(tmp_path / name, META | {"default": {"test": SCORES}})
    run = read_run(path)
    assert run.scores == SCORES and run.name == "e5-small" and run.notices == []
    assert run_topics(path, {}) == {"1", "q2"}


def test_predictions_of_version_1_are_named_after_the_task(tmp_path):
    path = written(tmp_path / "SciFact_default_predictions.json", SCORES)
    assert read_run(path).scores == SCORES
    assert run_names([path]) == ["SciFact_default"]


def test_a_folder_of_several_models_yields_a_run_of_each_and_skips_results(tmp_path):
    for model in ("a/one", "b/two"):
        meta = {"mteb_model_meta": {"model_name": model, "revision": "abc"}}
        written(tmp_path / model[0] / "SciFact_predictions.json", meta | {"default": {"test": SCORES}})
    written(tmp_path / "a" / "SciFact.json", {"task_name": "SciFact", "scores": {"test": [{"main_score": 0.5}]}})
    runs, skipped = find_runs([tmp_path])
    assert run_names(runs) == ["one", "two"]
    assert len(skipped) == 1
    assert skipped[0].startswith("a/SciFact.json: results of MTEB, which have means alone; save its predictions")


@pytest.mark.parametrize(
    ("table", "sentence"),
    [
        (META | {"default": {"dev": SCORES, "test": SCORES}}, "predictions for default/dev, default/test; keep one"),
        ([1, 2], "not a run or predictions of MTEB, which have subset, split, topic, document and score"),
        (META, "not a run or predictions of MTEB"),
        ({"1": {"d1": "high"}}, "the score of d1 for topic 1 is not a finite number"),
        ({"1": {"d1": float("nan")}}, "the score of d1 for topic 1 is not a finite number"),
        ({"1": {"d1": 10**400}}, "the score of d1 for topic 1 is not a finite number"),
        ({"1": {"d 1": 0.5}}, "'d 1' is empty or has white space"),
        ({"1": {"\ud800": 0.5}}, "an unpaired surrogate"),
    ],
)
def test_other_json_is_refused_in_one_sentence(table, sentence, tmp_path):
    with pytest.raises(UserError, match=rf"x\.json: .*{sentence}"):
        read_run(written(tmp_path / "x.json", table))


def test_a_topic_or_a_document_that_is_there_twice_is_refused(tmp_path):
    for text in ('{"1": {"d1": 0.5, "d1": 0.4}}', '{"1": {"d1": 0.5}, "1": {"d2": 0.4}}'):
        (tmp_path / "x.json").write_text(text)
        with pytest.raises(UserError, match=r"x\.json: not JSON \(\w+ is there twice\)"):
            read_run(tmp_path / "x.json")


def test_json_that_is_cut_short_or_too_deep_is_refused(tmp_path):
    for text in ('{"1": {"d1": 0.5', "[" * 100_000):
        (tmp_path / "x.json").write_text(text)
        with pytest.raises(UserError, match=r"x\.json: not JSON"):
            read_run(tmp_path / "x.json")
