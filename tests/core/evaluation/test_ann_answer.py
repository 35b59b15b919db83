"""What approximate search saves at a size and recall, against cases worked by hand; the shipped reference sweeps."""

import math
import re
from pathlib import Path

import pandas as pd
import pytest
from sweep_table import SWEEP

from core.evaluation.ann_answer import (
    OWN,
    REFERENCE,
    Sweeps,
    answer,
    answer_table,
    at_size_sentence,
    conclusion,
    own_sweeps,
    shipped_sweeps,
    worthwhile_from,
)
from core.evaluation.ann_sweep import SWEEP as FILE
from core.evaluation.ann_tables import one_graph
from core.evaluation.reference_sweeps import reference_sweeps
from core.workspace.artifacts import Manifest, open_artifact, writing
from core.workspace.timing import PROCEDURE, TIMING_PROCEDURE
from core.workspace.workspace import CHECKOUT, CollectionFolder, Workspace


def grown(**latencies: list[float]) -> pd.DataFrame:
    """Median latencies at 100, 10,000, ... documents as `ann_tables.growth` returns them; NaN leaves a size out."""
    rows = [(kind, p50, 100 ** (place + 1)) for kind, by in latencies.items() for place, p50 in enumerate(by)]
    return pd.DataFrame(rows, columns=["index", "p50_ms", "documents"]).dropna()


def sweeps(encoding: float | None, *sizes: int, source: str = OWN) -> Sweeps:
    """Sweeps of some sizes, each ten times as slow as the one before, but for the graph."""
    table = pd.concat(
        [SWEEP.assign(documents=size, build_seconds=3.0, bytes=2_000_000) for size in sizes], ignore_index=True
    )
    exact = table["index"] == "exact"
    table.loc[exact, "p50_ms"] *= [10.0**place for place in range(len(sizes))]
    facts = {"queries": 3, "vectors": "3 vectors of a model"}
    host = {"processor": "A processor", "cores": 2}
    manifest = Manifest("ann", "", {PROCEDURE: TIMING_PROCEDURE}, {}, {}, facts, {}, 1.0, host, "2026-01-02T03:04:05Z")
    return Sweeps(source, table, dict.fromkeys(sizes, manifest), encoding)


def test_an_index_pays_from_where_it_saves_a_tenth_of_search_and_encoding():
    """Exact search takes documents / 100 ms, the index 0.5 ms, encoding 9 ms.

    (e - 0.5) / (e + 9) = 0.1 at e = 1.4 / 0.9 ms, which is at 155.6 documents.
    """
    table = grown(exact=[1.0, 100.0], graph=[0.5, 0.5])
    assert worthwhile_from(table, 9.0) == pytest.approx(155.6, rel=0.01)
    assert worthwhile_from(table, None) == 0, "search alone is halved at 100 documents"
    assert worthwhile_from(table, 1e4) == math.inf, "a query takes ten seconds whatever is searched"


def test_the_fastest_index_of_each_size_counts_and_exact_search_where_none_reaches_the_recall():
    assert worthwhile_from(grown(exact=[1.0, 100.0], slow=[5.0, 20.0], late=[math.nan, 1.0]), 0.0) > 100
    assert worthwhile_from(grown(exact=[1.0, 100.0], late=[math.nan, math.nan]), 0.0) == math.inf
    # faster, then not, then faster: from where it stays so
    assert worthwhile_from(grown(exact=[1.0, 1.0, 100.0], graph=[0.5, 1.0, 1.0]), 0.0) > 10_000


def test_the_answer_has_the_fastest_setting_with_its_end_to_end_latency():
    found = answer(sweeps(8.0, 100), 100, 0.95)
    assert found.best is not None and (found.best["index"], found.best["value"]) == ("hnsw", 20)
    assert (found.end_to_end(found.exact), found.end_to_end(found.best)) == (10.0, 8.8)
    assert found.saved == pytest.approx(0.12)
    said = "a query takes 8.8 ms with HNSW (RankScope), ef 20, and 10.0 ms with exact search: 12 % less"
    assert at_size_sentence(found) == f"At 100 documents {said}."
    table = answer_table(found, "Keep it.", "x").figures
    assert table["with encoding (ms)"].to_list() == [10.0, 8.8]
    assert table["setting"].to_list() == ["", "ef 20"]


def test_without_the_encoding_time_the_search_alone_is_compared():
    found = answer(sweeps(None, 100), 100, 0.95)
    assert found.saved == pytest.approx(0.6)
    assert "the search takes 0.80 ms" in at_size_sentence(found)
    assert answer_table(found, "", "x").figures["with encoding (ms)"].isna().all()
    assert "whose time is unknown" in conclusion(sweeps(None, 100, 1000), 0.95)


def test_no_setting_reaches_the_recall():
    with_graph = sweeps(8.0, 100)
    without = Sweeps(OWN, with_graph.table[with_graph.table["recall"].isin([1.0, 0.8])], with_graph.manifests, 8.0)
    found = answer(without, 100, 0.95)
    assert found.best is None and found.saved == 0
    assert at_size_sentence(found) == "At 100 documents no measured setting reaches recall@10 of 0.95."
    assert len(answer_table(found, "", "x").figures) == 1


@pytest.mark.parametrize(
    ("encoding", "sizes", "expected"),
    [
        (8.0, (100, 1000), "From 100 documents, the smallest measured size, an index saves at least 10 %"),
        (20.0, (100, 1000), r"Below about \d+ documents keep exact search: an index saves less than 10 %"),
        (1e5, (100, 1000), "Keep exact search up to 1,000 documents, the largest measured size"),
        (1e5, (100,), "At 100 documents keep exact search"),
        (0.0, (100,), "At 100 documents an index saves at least 10 %"),
    ],
)
def test_the_conclusion_follows_from_the_sweeps(encoding, sizes, expected):
    assert re.match(expected, conclusion(sweeps(encoding, *sizes), 0.95))


def test_one_implementation_of_hnsw_stands_for_all():
    rows = pd.DataFrame({"index": ["exact", "hnswlib", "faiss-hnsw", "faiss-ivf"]})
    assert one_graph(rows)["index"].to_list() == ["exact", "hnswlib", "faiss-ivf"]


def test_the_origin_says_what_was_measured_where_and_when():
    about = "3 queries, one at a time; A processor, 2 cores; 2026-01-02"
    said = f"Reference sweep, not of this collection: 3 vectors of a model; {about}."
    assert sweeps(1.0, 100, source=REFERENCE).origin(100) == said
    assert sweeps(1.0, 100, 1000).origin(1000).startswith("Measured on 1,000 vectors of this collection (simulated)")


def write_sweep(folder: CollectionFolder, run: dict[str, object] | None, procedure: int = TIMING_PROCEDURE) -> None:
    with writing(folder.sweep("dense"), "ann", {PROCEDURE: procedure}, {}, {"documents": 5, "queries": 3}) as draft:
        header = "index,parameters,dial,value,build_seconds,bytes,recall@10,p50_ms"
        (draft / FILE).write_text(f"{header}\nexact,{{}},,,0.1,100,1,2.5\n")
    if run is not None:
        with writing(folder.run("dense"), "search", {PROCEDURE: TIMING_PROCEDURE}, {}, dict(run)):
            pass


@pytest.mark.parametrize(
    ("run", "procedure", "expected"),
    [
        ({"median_milliseconds": 11.0}, TIMING_PROCEDURE, 8.5),
        ({"median_milliseconds": 11.0}, TIMING_PROCEDURE - 1, None),
        ({"median_milliseconds": 2.0}, TIMING_PROCEDURE, None),
        ({}, TIMING_PROCEDURE, None),
        (None, TIMING_PROCEDURE, None),
    ],
)
def test_encoding_is_the_latency_of_the_run_less_that_of_exact_search(tmp_path: Path, run, procedure, expected):
    folder = Workspace(tmp_path).collection("c")
    write_sweep(folder, run, procedure)
    assert own_sweeps(folder, "dense").encoding == expected


def test_the_shipped_sweeps_are_whole_and_have_no_texts_or_document_ids():
    targets = reference_sweeps()
    assert {1000, 11392, 171332, 1_000_000} <= {int(target.name) for target in targets}
    for target in targets:
        manifest = open_artifact(target)
        assert manifest.facts["documents"] == int(target.name)
        assert {"vectors", "host", "measured", "made by"} <= manifest.facts.keys()
        assert not {"lost", "nDCG@10"} & set(pd.read_csv(target / FILE, nrows=1))
        assert sum(path.stat().st_size for path in target.path.iterdir()) < 20_000
    known = shipped_sweeps()
    assert known.encoding is not None and 1 < known.encoding < 100
    assert all(known.origin(size).startswith("Reference sweep") for size in known.sizes)


def test_latency_of_exact_search_grows_with_the_collection_in_the_shipped_sweeps():
    table = shipped_sweeps().table
    exact = table[table["index"] == "exact"].sort_values("documents")["p50_ms"]
    assert exact.is_monotonic_increasing and (table.loc[table["index"] == "exact", "recall"] == 1).all()
    assert table["recall"].between(0, 1).all() and (table["p50_ms"] > 0).all()


def test_copied_figures_are_those_of_the_docs():
    """The sweep of 171,332 vectors has the figures of docs/ann.md unless it was measured anew."""
    copied = [t for t in reference_sweeps() if "docs/ann.md" in open_artifact(t).inputs]
    text = (CHECKOUT / "docs" / "ann.md").read_text(encoding="utf-8")
    names = {"hnsw": "ours", "hnswlib": "hnswlib"}
    for target in copied:
        section = text.split("RankScope's HNSW compared with hnswlib", 1)[1]
        section = section.split(f"| {int(target.name):,}, simulated ", 1)[1]
        table = shipped_sweeps().table
        for kind, name in names.items():
            row = next(line for line in section.splitlines() if f"| {name} |" in line)
            cells = re.findall(r"(\d\.\d{3}), (\d+\.\d{3})", row)
            own = table[(table["documents"] == int(target.name)) & (table["index"] == kind)]
            pairs = list(zip(own["recall"], own["p50_ms"], strict=True))
            assert pairs == [(float(recall), float(ms)) for recall, ms in cells]
