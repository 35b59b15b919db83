"""Ablations: every variant with every seed, one row each, and none twice."""

import json
import random

import pandas as pd
import pytest
from stages import make

from core import ablations
from core.build import run_build
from core.evaluation.ablation_tables import read_ablations, summary
from core.workspace.profile import Profile
from core.workspace.stage import Build

pytestmark = pytest.mark.slow


@pytest.fixture
def profile(tiny_bert, words, beir_folder, workspace, tmp_path):
    generator = random.Random(3)

    def text(length):
        return " ".join(generator.sample(words, length))

    triples = tmp_path / "triples.tsv"
    triples.write_text("".join(f"{text(3)}\t{text(6)}\t{text(6)}\n" for _ in range(60)))
    documents = [{"_id": f"d{number}", "title": "", "text": text(5)} for number in range(20)]
    files = {
        "corpus.jsonl": "".join(json.dumps(document) + "\n" for document in documents),
        "queries.jsonl": '{"_id": "1", "text": "' + text(3) + '"}\n',
        "qrels/test.tsv": "1 0 d3 1\n",
    }
    return Profile(
        collection={"name": "tiny", "source": str(beir_folder(files))},
        triples={"source": str(triples), "held_out": 0.2, "distractors": 10},
        finetune={"base": str(tiny_bert), "epochs": 2, "batch": 8, "max_tokens": 16},
        ablations={"variants": {"first token": {"pooling": "cls"}}, "seeds": [1, 2]},
        system=[{"name": "bm25", "kind": "bm25"}],
    )


def test_an_interrupted_table_goes_on_with_the_next_run(profile, workspace, monkeypatch):
    folder = workspace.collection("tiny")
    run_build(Build(profile, folder, "cpu"), only="collection", say=lambda _: None)
    fit, trained = ablations.fit, []

    def interrupted(model, training, validation, settings, checkpoints):
        if len(trained) == 3:
            raise KeyboardInterrupt
        trained.append((settings.pooling, settings.seed))
        return fit(model, training, validation, settings, checkpoints)

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(ablations, "fit", interrupted)
        make(ablations.STAGE, profile, folder)
    trained.pop()  # room for one more
    monkeypatch.setattr(ablations, "fit", interrupted)
    target = make(ablations.STAGE, profile, folder)
    assert trained == [("mean", 1), ("mean", 2), ("cls", 2)]
    rows, _ = read_ablations(target)
    assert list(zip(rows["variant"], rows["seed"], strict=True)) == [
        ("recipe", 1),
        ("recipe", 2),
        ("first token", 1),
        ("first token", 2),
    ]
    assert rows["MRR@10"].between(0, 1).all() and rows["nDCG@10"].between(0, 1).all()


def test_the_summary_is_mean_and_deviation_over_seeds():
    rows = pd.DataFrame(
        {
            "variant": ["a", "a", "b"],
            "seed": [1, 2, 1],
            "MRR@10 before": [0.1, 0.1, 0.1],
            "nDCG@10 before": [0.2, 0.2, 0.2],
            "MRR@10": [0.3, 0.5, 0.7],
            "nDCG@10": [0.2, 0.2, 0.9],
            "rows": [10, 10, 10],
            "seconds": [1.0, 3.0, 5.0],
        }
    )
    table = summary(rows)
    assert list(table.index) == ["a", "b"]
    assert table.loc["a", "MRR@10"] == pytest.approx(0.4)
    assert table.loc["a", "MRR@10 spread"] == pytest.approx(0.1414, abs=1e-4)  # sqrt(2) / 10
    assert pd.isna(table.loc["b", "MRR@10 spread"])
    assert list(table["seeds"]) == [2, 1]
    assert list(table["seconds"]) == [2.0, 5.0]
