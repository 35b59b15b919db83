"""Effectiveness vs cost, worked by hand: sizes, steps, the price of queries, and the Pareto front."""

import numpy as np
import pandas as pd
import pytest

from core.evaluation.comparison_tables import BUILD_TIME, INDEX_SIZE, LATENCY
from core.evaluation.costs import MEMORY, OPTIMAL, P95, PRICE, cost_rows, cost_table, front
from core.evaluation.results import manifests
from core.workspace.artifacts import writing
from core.workspace.profile import Profile

BASE = {"name": "base", "kind": "dense", "model": "artifacts/models/tiny"}
SYSTEMS = [
    {"name": "bm25", "kind": "bm25"},
    BASE,
    {"name": "graph", "kind": "dense", "vectors_of": "base", "backend": {"kind": "hnsw", "ef": 40}},
    {"name": "short", "kind": "dense", "vectors_of": "base", "dimensions": 2},
    {"name": "both", "kind": "fusion", "of": ["bm25", "base"]},
    {"name": "elsewhere", "kind": "run"},
]
MEANS = {"bm25": 0.5, "base": 0.6, "graph": 0.6, "short": 0.4, "both": 0.7, "elsewhere": 0.9}
MILLISECONDS = {"bm25": 0.5, "base": 20, "graph": 10, "short": 15, "both": 21}


@pytest.fixture
def rows(workspace):
    profile, folder = Profile(collection={"name": "tiny"}, system=SYSTEMS), workspace.collection("tiny")

    def make(artifact, size, **facts):
        with writing(artifact, "made", {}, {}, facts) as partial:
            (partial / "file").write_bytes(bytes(size))

    make(folder.bm25("bm25"), 3_000_000)
    make(folder.vectors("base"), 8_000_000, dimension=8)
    make(folder.index("base+hnsw"), 1_000_000, memory_bytes=9_000_000)
    for name, value in MILLISECONDS.items():
        steps = {} if name == "bm25" else {"step_milliseconds": {"encode": value - 1, "search": 1}}
        steps |= {"p95_milliseconds": value + 1} if name == "both" else {}
        make(folder.run(name), 1, median_milliseconds=value, **steps)
    model = workspace.root / "models" / "tiny"
    model.mkdir(parents=True)
    (model / "config.json").write_text("{}")
    (model / "model.safetensors").write_bytes(bytes(500_000))
    means = pd.DataFrame({"mean": MEANS, "low": MEANS, "high": MEANS})
    return cost_rows(means, profile, folder, manifests(folder), 0.36)


def test_sizes_are_those_of_what_each_system_searches(rows):
    assert rows[INDEX_SIZE].dropna().to_dict() == {"bm25": 3, "base": 8, "graph": 9, "short": 2, "both": 11}
    assert rows[MEMORY].dropna().to_dict() == {"bm25": 3, "base": 8.5, "graph": 9.5, "short": 2.5, "both": 11.5}
    assert rows[BUILD_TIME].isna().to_dict() == {name: name == "elsewhere" for name in MEANS}


def test_steps_and_the_price_of_a_million_queries(rows):
    assert rows.loc["graph", ["Encode (ms)", "Search (ms)"]].tolist() == [9, 1]
    assert rows[P95].dropna().to_dict() == {"both": MILLISECONDS["both"] + 1}
    assert np.isnan(rows.loc["bm25", "Encode (ms)"]) and "Re-rank (ms)" not in rows
    # A million queries of 10 ms take 10,000 s, 2.78 hours at 0.36 each.
    assert rows[PRICE].dropna().to_dict() == pytest.approx({name: value / 10 for name, value in MILLISECONDS.items()})


def test_the_pareto_front_has_what_no_other_system_beats(rows):
    assert front(rows, LATENCY).index.tolist() == ["bm25", "graph", "both"]
    assert front(rows, INDEX_SIZE).index.tolist() == ["short", "bm25", "base", "both"]
    shown = cost_table(rows, {"both": "Hybrid"}, "nDCG@10").shown
    assert shown[OPTIMAL].to_dict() | {"Hybrid": ""} == dict.fromkeys(shown.index, "") | {"bm25": "yes", "graph": "yes"}
    assert shown.loc["Hybrid", OPTIMAL] == "yes" and shown.loc["graph", LATENCY] == "10.0"
