"""The Exact vs ANN page: what the sweeps say, and one query answered by both."""

import shutil
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from made_up import Open, add_sweep, warnings
from stages import make
from sweep_table import SWEEP

from core import compare
from core.evaluation.ann_sweep import OWN_GRAPH
from core.indexes.exact import ExactIndex
from core.indexes.hnsw import HnswIndex
from core.retrieval.systems import DenseSystem
from core.workspace import artifacts
from core.workspace.artifacts import writing
from core.workspace.profile import SystemSettings
from core.workspace.timing import OLDER_TIMING
from core.workspace.workspace import CollectionFolder
from dashboard.shared import live
from dashboard.views.ann import charts as ann_charts
from dashboard.views.ann import live as ann_live


def test_charts_carry_every_index_and_its_settings():
    figure = ann_charts.recall_against(SWEEP, "p50_ms")
    by_name = {trace.name: trace for trace in figure.data}
    assert list(by_name["HNSW (RankScope)"].customdata) == ["ef 10", "ef 20", "ef 40"]
    assert list(by_name["Pareto-optimal"].x) == [0.5, 0.8, 1.6, 2.0]
    frontier = next(
        t for t in ann_charts.recall_against(SWEEP, "queries_per_second").data if t.name == "Pareto-optimal"
    )
    assert list(frontier.x) == [900, 400, 300, 150, 100], "the most queries a second first"
    assert set(ann_charts.STYLES) == set(ann_charts.LABELS)


def frame(app, column):
    """The first table of a page that has a column."""
    return next(element.value for element in app.dataframe if column in element.value)


def text(app):
    return " ".join(element.value for element in [*app.markdown, *app.caption]).replace("\\", "")


def test_the_page_shows_the_sweep_or_its_command(open_page: Open, made_up: CollectionFolder) -> None:
    app = open_page("ann", collection="made-up")
    assert "scripts/build.py" in " ".join(element.value for element in app.warning)
    add_sweep(made_up)
    app = open_page("ann", collection="made-up", recall="0.95")
    table = frame(app, "speed-up").set_index("index")
    assert table.loc["HNSW (RankScope)", "speed-up"] == pytest.approx(2.5)
    assert table.loc["HNSW (RankScope)", "nDCG@10 vs exact"] == pytest.approx(1)
    assert "intrinsic dimension about 4" in text(app)
    assert "Still missed at the highest setting: HNSW (RankScope): topics 02" in text(app)
    missed = frame(app, "missed documents")
    assert missed[["setting", "topic", "missed documents"]].to_numpy().tolist() == [
        [10, "02", "d4"],
        [10, "1", "d1, d2"],
        [20, "02", "d4"],
    ]
    similarities = frame(app, "nDCG@10 by dot").set_index("system")
    assert similarities.loc["Dense", "nDCG@10 by dot"] == 0.25


def test_copies_and_what_cannot_be_estimated_of_them_are_said(open_page: Open, made_up: CollectionFolder) -> None:
    add_sweep(made_up, documents=900, distinct_vectors=60, intrinsic_dimension=None)
    said = text(open_page("ann", collection="made-up"))
    assert "900 vectors (60 distinct) of dimension 8; intrinsic dimension unknown: fewer than" in said
    assert "nan" not in said
    add_sweep(made_up, distinct_vectors=5)
    assert "5 vectors of dimension 8; intrinsic dimension about 4; 3 topics" in text(open_page("ann"))


def test_sweeps_of_an_older_timing_procedure_say_so_with_the_commands(
    open_page: Open, made_up: CollectionFolder
) -> None:
    add_sweep(made_up)
    assert OLDER_TIMING not in warnings(open_page("ann", collection="made-up"))
    add_sweep(made_up, procedure=1)
    said = warnings(open_page("ann", collection="made-up"))
    build = f"python scripts/build.py --profile artifacts/made-up/{artifacts.PROFILE}"
    assert f"artifacts/made-up/ann/dense: {OLDER_TIMING}; measure again with `{build}`" in said
    simulated = f"python -m core.ann --profile artifacts/made-up/{artifacts.PROFILE} --systems dense --size 500"
    assert said.endswith(f"with `{simulated}`")


def test_every_size_is_compared_and_the_crossing_is_said(open_page: Open, made_up: CollectionFolder) -> None:
    add_sweep(made_up)
    app = open_page("ann", collection="made-up", system="dense")
    speed_up = frame(app, "500 at 0.95").set_index("index")
    # exact search: 2 ms and 200 ms; the graph at 0.9: 0.5 and 0.6 ms, at 0.95: 0.8 and 1 ms; never 0.99
    expected = [4, 2.5, 200 / 0.6, 200]
    columns = ["5 at 0.90", "5 at 0.95", "500 at 0.90", "500 at 0.95"]
    assert speed_up.loc["HNSW (RankScope)", columns].to_list() == pytest.approx(expected)
    assert speed_up.loc["HNSW (RankScope)", ["5 at 0.99", "500 at 0.99"]].isna().all()
    crossings = frame(app, "faster than exact search").set_index("index")
    assert crossings["faster than exact search"].to_dict() == {"HNSW (RankScope)": "at every measured size"}
    assert frame(app, "distinct vectors")["vectors"].to_list() == [
        "all vectors",
        "simulated",
    ]
    app = open_page("ann", collection="made-up", system="dense", size="500")
    matched = frame(app, "speed-up").set_index("index")
    assert matched.loc["HNSW (RankScope)", "speed-up"] == pytest.approx(200)
    assert "nDCG@10 vs exact" not in matched, "simulated documents have no judgments"


@pytest.mark.parametrize("file", ["manifest.json", "sweep.csv"])
def test_a_damaged_sweep_is_named_and_not_left_out(open_page: Open, made_up: CollectionFolder, file: str) -> None:
    add_sweep(made_up)
    shutil.copytree(made_up / "ann" / "dense", made_up / "ann" / "bm25")  # stands for another dense system
    (made_up / "ann" / "bm25" / file).unlink()
    assert "ann/bm25" in warnings(open_page("ann", collection="made-up"))
    (made_up / "ann" / "dense" / file).unlink()
    assert "ann/dense" in warnings(open_page("ann", collection="made-up"))


def test_a_damaged_size_leaves_the_others(open_page: Open, made_up: CollectionFolder) -> None:
    add_sweep(made_up)
    (made_up / "ann-simulated" / "dense-500" / "sweep.csv").write_text("index\n")
    app = open_page("ann", collection="made-up")
    assert "dense\\-500" in app.warning[0].value
    assert frame(app, "speed-up")["index"].to_list() == ["Exact", "HNSW (RankScope)"]


def test_the_setting_is_a_slider_in_the_url(open_page: Open, made_up: CollectionFolder) -> None:
    add_sweep(made_up)
    app = open_page("ann", collection="made-up", setting="40")
    assert app.select_slider[0].value == "40"
    app.select_slider[0].set_value("80").run()
    assert app.query_params["setting"] == "80"


def test_a_sweep_of_an_older_version_is_a_sentence(open_page: Open, made_up: CollectionFolder) -> None:
    with writing(made_up.sweep("dense"), "ann", {}, {}, {"documents": 5}) as partial:
        (partial / "sweep.csv").write_text("index,ef\nexact,\n")
    app = open_page("ann", collection="made-up")
    assert "sweep.csv lacks the column parameters, dial" in warnings(app) and "older version" in warnings(app)


def test_a_query_is_answered_by_both_and_what_was_missed_is_marked(
    open_page: Open, made_up: CollectionFolder, tiny_bert: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from sentence_transformers import SentenceTransformer

    from core import encode
    from core.retrieval.encoder import load_vectors
    from core.workspace.profile import read_profile

    SentenceTransformer(str(tiny_bert)).save(str(made_up.workspace.root / "models" / "such-a-model"))
    monkeypatch.setenv("RANKSCOPE_MODELS", str(made_up.workspace.root / "models"))
    profile = read_profile(str(made_up / artifacts.PROFILE))
    make(encode.STAGE, profile, made_up, profile.system[-1])
    add_sweep(made_up)
    vectors, _ = load_vectors(made_up, "dense")
    graph = HnswIndex("cosine")
    graph.build(np.array(vectors))
    graph.save(made_up / "index")
    facts = artifacts.read_manifest(made_up.sweep("dense")).facts
    sweep = (made_up / "ann" / "dense" / "sweep.csv").read_bytes()
    with writing(made_up.sweep("dense"), "ann", {}, {}, facts) as partial:
        (partial / "sweep.csv").write_bytes(sweep)
        (partial / f"index-{OWN_GRAPH}").write_bytes((made_up / "index").read_bytes())
    app = open_page("ann", collection="made-up", query="ban dor")
    assert "Recall@10 on this query: 1.00" in text(app)
    assert text(app).count("Fever in children") == 2
    assert ":orange" not in text(app)
    search = HnswIndex.search

    def without_the_best(self, queries, k, **parameters):
        positions, similarities = search(self, queries, k, **parameters)
        return positions[:, 1:], similarities[:, 1:]

    monkeypatch.setattr(HnswIndex, "search", without_the_best)
    app = open_page("ann", collection="made-up", query="ban dor")
    assert "Recall@10 on this query: 0.80" in text(app)
    assert text(app).count(":orange[**missed**]") == 1


def test_a_copy_of_what_exact_search_returns_is_not_missed(
    open_page: Open, made_up: CollectionFolder, tiny_bert: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a text that occurs 15 times exact search returns the first ten copies, the other index the last ten."""
    vectors = np.repeat(np.eye(8, dtype=np.float32), 15, axis=0)
    settings = SystemSettings(name="dense", kind="dense", model="m")
    exact, names = ExactIndex("cosine"), [f"x{i}" for i in range(len(vectors))]
    exact.build(vectors)
    system = DenseSystem(settings, lambda: None, exact, names)
    monkeypatch.setattr(system, "encode", lambda queries: vectors[:1] + 0.1)
    monkeypatch.setattr(live, "ready_system", lambda *arguments: live.Ready(system, threading.Lock()))
    add_sweep(made_up)
    with writing(made_up.vectors("dense"), "encode", {}, {}):
        pass

    class LastCopies(ExactIndex):
        found = slice(5, 15)

        def search(self, queries, k, **parameters):
            positions, similarities = super().search(queries, 15)
            return positions[:, self.found], similarities[:, self.found]

    last = LastCopies("cosine")
    last.build(vectors)
    monkeypatch.setattr(ann_live, "_index", lambda *arguments: last)
    said = text(open_page("ann", collection="made-up", query="masks"))
    assert "Recall@10 on this query: 1.00" in said and ":orange[**missed**]" not in said
    assert "x0" in said and "x14" in said
    LastCopies.found = slice(8, 15)  # seven of the ten places are filled by copies
    said = text(open_page("ann", collection="made-up", query="masks"))
    assert "Recall@10 on this query: 0.70" in said
    assert said.count(":orange[**missed**]") == 3


def test_the_command_of_a_figure_says_what_is_wrong(made_up: CollectionFolder, command: Callable[..., Any]) -> None:
    missing = command(compare.main, "ann-sweep", "made-up")
    assert missing.status and "ann/dense is missing" in missing.err
    add_sweep(made_up, procedure=1)
    printed = command(compare.main, "ann-sizes", "made-up")
    assert printed.status == 0 and "simulated" in printed.out
    assert f"ann/dense: {OLDER_TIMING}; measure again with" in printed.err, "as on the page"
    no_such = command(compare.main, "ann-sweep", "made-up", "--system", "bm25")
    assert no_such.status and "no dense system bm25; it has dense" in no_such.err
    no_such = command(compare.main, "ann-at-recall", "made-up", "--size", "7")
    assert no_such.status and "no sweep of 7 documents was measured; choose one of 5, 500" in no_such.err


def test_figures_of_sweeps_need_no_evaluated_run(made_up: CollectionFolder, command: Callable[..., Any]) -> None:
    add_sweep(made_up)
    shutil.rmtree(made_up / "runs")
    shutil.rmtree(made_up / "measures")
    printed = command(compare.main, "ann-missed", "made-up", "--csv")
    assert printed.status == 0 and '"d1, d2"' in printed.out
