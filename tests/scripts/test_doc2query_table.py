"""The table of doc2query's settings: the same figures as a build's, and settings chosen on training topics alone."""

import json
import random

import pandas as pd
import pytest

from core.build import run_build
from core.formats.collections import read_built_collection
from core.formats.predicted_queries import SCORES_FILE, write_by_document, write_expansions
from core.workspace.artifacts import read_manifest, writing
from core.workspace.errors import UserError
from core.workspace.profile import Profile
from core.workspace.stage import Build
from scripts.tables.doc2query_table import Predicted, candidates, table, training_topics, variants

MOST = 12


@pytest.fixture
def built(beir_folder, words, workspace):
    """A profile with two expanded systems, its folder with predicted queries and scores, and these."""
    chance = random.Random(3)

    def text(length):
        return " ".join(chance.sample(words[:50], length))

    names = [f"d{n}" for n in range(30)]
    judgments = "".join(f"{t} 0 {name} {chance.randint(0, 1)}\n" for t in (1, 2) for name in chance.sample(names, 12))
    train = "".join(f"{t} 0 {name} 1\n" for t in (3, 4) for name in chance.sample(names, 4))
    source = beir_folder(
        {
            "corpus.jsonl": "".join(json.dumps({"_id": name, "text": text(5)}) + "\n" for name in names),
            "queries.jsonl": "".join(json.dumps({"_id": str(t), "text": text(4)}) + "\n" for t in (1, 2, 3, 4)),
            "qrels/test.tsv": judgments,
            "qrels/train.tsv": train,
        }
    )
    system = {"kind": "bm25", "expanded": True}
    profile = Profile(
        collection={"name": "tiny", "source": str(source)},
        system=[
            {"name": "bm25", "kind": "bm25"},
            {"name": "five", "expansion": {"queries": 5}, **system},
            {"name": "own", "expansion": {"queries": 10, "keep": 0.3, "field": "own", "weight": 0.4}, **system},
        ],
        measures=["nDCG@10", "R@100", "Judged@10"],
        depth=100,
    )
    folder = workspace.collection("tiny")
    run_build(Build(profile, folder, "cpu"), only="collection", say=lambda _: None)
    predicted = Predicted(
        {name: [text(3) for _ in range(MOST)] for name in names},
        {name: [chance.random() for _ in range(MOST)] for name in names},
    )
    with writing(folder.predicted_queries, "doc2query generate", {"queries": MOST}, {}) as partial:
        write_expansions(partial, predicted.queries)
    inputs = {"doc2query": read_manifest(folder.predicted_queries).digest}
    with writing(folder.query_scores, "doc2query score", {"scorer": "dense"}, inputs) as partial:
        write_by_document(partial / SCORES_FILE, "scores", predicted.scores)
    return profile, folder, predicted


def test_the_table_has_the_figures_of_a_build(built):
    profile, folder, predicted = built
    found = table(profile, read_built_collection(folder), predicted, variants(MOST, 0.3, 0.4))
    for stage in ("bm25", "search", "evaluate"):
        run_build(Build(profile, folder, "cpu"), only=stage, say=lambda _: None)
    measures = pd.read_csv(folder / "measures" / "measures.csv").groupby(["system", "measure"]).value.mean()
    rows = {
        "bm25": found[found["queries"] == 0],
        "five": found.query("queries == 5 and keep == 1.0 and field == 'appended'"),
        "own": found.query("queries == 10 and keep == 0.3 and field == 'own'"),
    }
    for system, row in rows.items():
        assert len(row) == 1
        for measure in profile.measures:
            assert row[measure].item() == pytest.approx(measures[system, measure], abs=1e-6)
    five = rows["five"]
    assert five["difference"].item() == pytest.approx(measures["five", "nDCG@10"] - measures["bm25", "nDCG@10"])
    assert five["relative"].item() == pytest.approx(measures["five", "nDCG@10"] / measures["bm25", "nDCG@10"] - 1)
    assert set(found["queries"]) == {0, 5, 10}, "no row for more queries than were predicted"
    assert len(found) == 1 + 2 * 4


def test_settings_are_tried_on_the_training_topics(built, beir_folder):
    profile, folder, predicted = built
    training = training_topics(profile, folder)
    assert {topic.id for topic in training.topics} == {"3", "4"}
    assert training.documents == list(read_built_collection(folder).documents)
    tried = list(candidates(MOST))
    assert len({expansion.model_dump_json() for expansion in tried}) == len(tried)
    found = table(profile, training, predicted, iter(tried[:3]))
    assert len(found) == 4

    without = beir_folder(name="without")
    untrained = profile.collection.model_copy(update={"source": str(without)})
    with pytest.raises(UserError, match="--choose needs training topics"):
        training_topics(profile.model_copy(update={"collection": untrained}), folder)
