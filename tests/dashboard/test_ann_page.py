"""The Exact vs ANN page: what the sweeps say, and one query answered by both."""

import json
import shutil
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_up import Open, add_sweep, lists, warnings
from stages import make
from sweep_table import SWEEP

from core import compare
from core.evaluation.ann_answer import answer, shipped_sweeps
from core.evaluation.ann_sweep import OWN_GRAPH
from core.evaluation.ann_tables import growth
from core.evaluation.table_formats import milliseconds
from core.import_runs import import_runs
from core.indexes.exact import ExactIndex
from core.indexes.hnsw import HnswIndex
from core.indexes.registry import LABELS
from core.retrieval.systems import DenseSystem
from core.workspace import artifacts
from core.workspace.artifacts import writing
from core.workspace.profile import SystemSettings
from core.workspace.timing import OLDER_TIMING, PROCEDURE, TIMING_PROCEDURE
from core.workspace.workspace import CollectionFolder
from dashboard.shared import live
from dashboard.shared.charts import GREY
from dashboard.views.ann import charts as ann_charts
from dashboard.views.ann import live as ann_live


def test_the_recall_chart_has_every_index_and_greys_what_another_setting_dominates():
    figure = ann_charts.recall_against(SWEEP, "p50_ms", 0.95)
    by_name = {trace.name: trace for trace in figure.data}
    graph = by_name["HNSW (RankScope)"]
    assert [text.split(" recall")[0] for text in graph.customdata] == ["ef 10", "ef 20", "ef 40"]
    ivf, grey = by_name["IVF-Flat (FAISS)"], by_name["dominated"]
    assert set(ivf.x) == set(grey.x) and (grey.marker.color, grey.marker.opacity) == (GREY, 1), (
        "the graph is faster with higher recall"
    )
    assert GREY not in {trace.marker.color for trace in figure.data if trace is not grey}, "the legend has colours"
    by_throughput = {t.name: t for t in ann_charts.recall_against(SWEEP, "queries_per_second", 0.95).data}
    assert not {*by_throughput["IVF-Flat (FAISS)"].x} & {*getattr(by_throughput.get("dominated"), "x", ())}
    assert set(ann_charts.STYLES) == set(LABELS)


def test_the_recall_axis_is_the_logarithm_of_what_is_missed_and_ends_at_1():
    assert [ann_charts.stretched(recall) for recall in (0.9, 0.99, 0.999)] == pytest.approx([1, 2, 3])
    assert ann_charts.stretched(0.999) < ann_charts.stretched(0.99999) < ann_charts.stretched(1)
    figure = ann_charts.recall_against(SWEEP, "p50_ms", 0.95)
    assert list(figure.layout.yaxis.ticktext) == ["0.5", "0.9", "0.95", "0.99", "0.999", "1"]
    assert figure.layout.shapes[0].y0 == pytest.approx(1.30103), "the target: -log10(0.05)"


def test_the_growth_chart_has_lines_at_the_size_and_at_the_encoding_time():
    sizes = pd.concat([SWEEP.assign(documents=100), SWEEP.assign(documents=10_000)])
    figure = ann_charts.growth(growth(sizes, 0.95), 500, 8.5)
    at_size, at_encoding = figure.layout.shapes
    assert (at_size.x0, at_size.x1) == (500, 500)
    assert (at_encoding.y0, at_encoding.y1, at_encoding.line.dash) == (8.5, 8.5, "dash")
    said = [annotation.text for annotation in figure.layout.annotations]
    assert said[:2] == ["500 documents", "encoding a query: 8.5 ms"]
    assert sorted(text.rpartition("> ")[2] for text in said[2:]) == ["HNSW", "exact"]
    assert len(ann_charts.growth(growth(sizes, 0.95), 500, None).layout.shapes) == 1


@given(st.dictionaries(st.text(min_size=1), st.floats(0.01, 1000), min_size=1, max_size=8))
def test_labels_of_lines_that_end_together_do_not_overlap(ends: dict[str, float]) -> None:
    places = ann_charts.label_places({kind: (100.0, y) for kind, y in ends.items()}, 0.2)
    ys = [places[kind][1] for kind in sorted(ends, key=ends.__getitem__)]
    assert all(later - earlier > 0.1999 for earlier, later in zip(ys, ys[1:], strict=False))
    assert {x for x, _ in places.values()} == {2.0}


def frame(app, column):
    """The first table of a page that has a column."""
    return next(element.value for element in app.dataframe if column in element.value)


def shown(app):
    """The ranked lists as HTML, one after the other."""
    return " ".join(lists(app))


def text(app):
    return " ".join(element.value for element in [*app.markdown, *app.caption]).replace("\\", "")


def metrics(app):
    """The figures of the answer, label -> value."""
    return {metric.label.replace("\\", ""): metric.value for metric in app.metric}


@pytest.mark.parametrize("swept", [False, True])
def test_a_small_collection_opens_at_the_size_of_trec_covid_with_the_cost_there(
    open_page: Open, made_up: CollectionFolder, swept: bool
) -> None:
    if swept:
        add_sweep(made_up)
    app = open_page("ann", collection="made-up")
    at_size = answer(shipped_sweeps(), 171_332, 0.95)
    assert metrics(app)["Exact search"] == milliseconds(at_size.exact["p50_ms"])
    assert milliseconds(at_size.best["p50_ms"]) in metrics(app).values()
    assert "keep exact search" in text(app) and "At 171,332 documents a query takes" in text(app)
    assert "not of this collection: 171,332 vectors" in text(app)


def test_an_imported_collection_has_the_reference_sweeps(open_page: Open, made_up: CollectionFolder) -> None:
    shutil.copy(made_up / "runs" / "bm25" / "run.trec", made_up.workspace.root / "one.run")
    qrels = made_up / "collection" / "qrels" / "test.tsv"
    import_runs(made_up.workspace.collection("foreign"), [made_up.workspace.root / "one.run"], qrels, None)
    app = open_page("ann", collection="foreign", size="11392", recall="0.99")
    assert "no dense system" in text(app) and "foreign has no vectors to search" in text(app)
    assert "not of this collection: 11,392 vectors" in text(app)
    assert "Exact search" in metrics(app) and not app.warning


def test_without_reference_sweeps_a_collection_is_shown_alone(
    open_page: Open, made_up: CollectionFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("core.evaluation.reference_sweeps.FOLDER", tmp_path / "none")
    add_sweep(made_up)
    app = open_page("ann", collection="made-up")
    assert metrics(app)["Exact search"] == "2.0 ms"
    assert "install the project again" in warnings(app)


def test_implementations_of_hnsw_are_compared_on_demand(open_page: Open, made_up: CollectionFolder) -> None:
    one = metrics(open_page("ann", collection="made-up", size="171332"))
    every = metrics(open_page("ann", collection="made-up", size="171332", implementations="on"))
    fastest = answer(shipped_sweeps(), 171_332, 0.95, every_graph=True).best
    assert any("RankScope" in label for label in one) and LABELS[fastest["index"]] in " ".join(every)


def test_the_encoding_of_the_query_is_in_the_answer(open_page: Open, made_up: CollectionFolder) -> None:
    add_sweep(made_up)
    assert metrics(open_page("ann", collection="made-up", size="5"))["With encoding the query"] == "unknown"
    with writing(made_up.run("dense"), "search", {PROCEDURE: TIMING_PROCEDURE}, {}, {"median_milliseconds": 10.0}):
        pass
    app = open_page("ann", collection="made-up", size="5")
    assert metrics(app)["With encoding the query"] == "8.8 ms"  # 10 ms less 2 of exact search, and 0.8 of the graph
    assert "a query takes 8.8 ms with HNSW (RankScope), ef 20, and 10.0 ms with exact search: 12 % less" in text(app)
    annotations = json.loads(app.get("plotly_chart")[0].proto.spec)["layout"]["annotations"]
    assert "encoding a query: 8.0 ms" in [annotation["text"] for annotation in annotations], "as in the answer"


def test_the_page_shows_the_sweep_or_its_command(open_page: Open, made_up: CollectionFolder) -> None:
    app = open_page("ann", collection="made-up")
    assert "scripts/build.py" in text(app) and "Reference sweep" in text(app)
    add_sweep(made_up)
    app = open_page("ann", collection="made-up", recall="0.90", size="5")
    table = frame(app, "speed-up").set_index("index")
    assert table.loc["HNSW (RankScope)", "speed-up"] == pytest.approx(4)
    assert table.loc["HNSW (RankScope)", "nDCG@10 vs exact"] == pytest.approx(-0.05), "a difference, not a share"
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
    app = open_page("ann", collection="made-up", size="900")
    sizes = frame(app, "distinct vectors").set_index("documents")
    assert sizes.loc[900, "distinct vectors"] == 60 and pd.isna(sizes.loc[900, "intrinsic dimension"])
    assert "if fewer than 101 vectors are distinct" in text(app) and "nan" not in text(app)


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
    app = open_page("ann", collection="made-up", system="dense", size="5")
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
    app = open_page("ann", collection="made-up", size="5")
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
    app = open_page("ann", collection="made-up", query="Do masks help in schools?")
    assert "Recall@10 on this query: 1.00" in text(app)
    assert shown(app).count("Fever in children") == 2
    assert ">missed<" not in shown(app)
    assert "rs-d-" in shown(app), "the same document is linked in both lists"
    search = HnswIndex.search

    def without_the_best(self, queries, k, **parameters):
        positions, similarities = search(self, queries, k, **parameters)
        return positions[:, 1:], similarities[:, 1:]

    monkeypatch.setattr(HnswIndex, "search", without_the_best)
    app = open_page("ann", collection="made-up", query="Do masks help in schools?")
    assert "Recall@10 on this query: 0.80" in text(app) and "Missed: 1, " in text(app)
    assert shown(app).count(">missed<") == 1
    assert "rs-grade" in shown(app), "the query is a topic"
    assert "rs-grade" not in shown(open_page("ann", collection="made-up", query="ban dor")), "it is none"


def test_a_copy_of_what_exact_search_returns_is_not_missed(
    open_page: Open, made_up: CollectionFolder, tiny_bert: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a text that occurs 15 times exact search returns the first ten copies, the other index the last ten."""
    vectors = np.repeat(np.eye(8, dtype=np.float32), 15, axis=0)
    settings = SystemSettings(name="dense", kind="dense", model="m")
    exact, names = ExactIndex("cosine"), [f"x{i}" for i in range(len(vectors))]
    exact.build(vectors)
    system = DenseSystem(settings, lambda: None, exact, exact.vectors, names)
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
    app = open_page("ann", collection="made-up", query="some masks")
    assert "Recall@10 on this query: 1.00" in text(app) and ">missed<" not in shown(app)
    assert "x0<" in shown(app) and "x14<" in shown(app) and ">equal similarity<" in shown(app)
    LastCopies.found = slice(8, 15)  # seven of the ten places are filled by copies
    app = open_page("ann", collection="made-up", query="some masks")
    assert "Recall@10 on this query: 0.70" in text(app)
    assert shown(app).count(">missed<") == 3


def test_the_command_of_a_figure_says_what_is_wrong(made_up: CollectionFolder, command: Callable[..., Any]) -> None:
    missing = command(compare.main, "ann-sweep", "made-up")
    assert missing.status and "ann/dense is missing" in missing.err
    add_sweep(made_up, procedure=1)
    printed = command(compare.main, "ann-sizes", "made-up")
    assert printed.status == 0 and "simulated" in printed.out
    assert f"ann/dense: {OLDER_TIMING}; measure again with" in printed.err, "as on the page"
    no_such = command(compare.main, "ann-sweep", "made-up", "--system", "bm25")
    assert no_such.status and "no dense system bm25; it has dense" in no_such.err
    reference = command(compare.main, "ann-answer", "made-up", "--source", "reference", "--size", "171332")
    assert reference.status == 0 and "At 171,332 documents a query takes" in reference.out
    no_such = command(compare.main, "ann-at-recall", "made-up", "--size", "7")
    assert no_such.status and "no sweep of 7 documents was measured; choose one of 5, 500" in no_such.err


def test_figures_of_sweeps_need_no_evaluated_run(made_up: CollectionFolder, command: Callable[..., Any]) -> None:
    add_sweep(made_up)
    shutil.rmtree(made_up / "runs")
    shutil.rmtree(made_up / "measures")
    printed = command(compare.main, "ann-missed", "made-up", "--csv")
    assert printed.status == 0 and '"d1, d2"' in printed.out
