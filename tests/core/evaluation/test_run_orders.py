"""Runs whose scores are tied: both orders by ir_measures, depth, and measures deeper than the lists."""

import json
from pathlib import Path

import ir_measures
import pytest

from core.evaluation.results import Results, left_out_sentence, saved_profile
from core.evaluation.run_orders import means_by_order, run_orders
from core.formats.run_validation import check_run
from core.import_runs import arrange_runs, import_runs
from core.workspace.artifacts import MANIFEST, OWN_DIGEST
from core.workspace.errors import UserError
from core.workspace.workspace import CollectionFolder, Workspace

QRELS = "1 0 a 1\n1 0 b 0\n2 0 c 2\n"
TIED = "1 Q0 a 1 1.0 t\n1 Q0 b 2 1.0 t\n2 Q0 c 1 3 t\n2 Q0 d 2 2 t\n"


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    """A run with a tie on topic 1, and qrels."""
    for name, content in (("tied.run", TIED), ("qrels.txt", QRELS)):
        (tmp_path / name).write_text(content)
    return tmp_path / "tied.run", tmp_path / "qrels.txt"


@pytest.fixture
def folder(workspace: Workspace, files: tuple[Path, Path], tmp_path: Path) -> CollectionFolder:
    """A collection of three imported runs of depth 2, and one of depth 12."""
    deep = tmp_path / "deep.run"
    deep.write_text("".join(f"{t} Q0 d{n} {n} {20 - n} t\n" for t in (1, 2) for n in range(1, 13)))
    other = tmp_path / "other.run"
    other.write_text(TIED.replace("b 2 1.0", "b 2 0.5"))
    made = workspace.collection("imported")
    import_runs(made, [files[0], deep, other], files[1])
    return made


def results(folder: CollectionFolder) -> Results:
    return Results(*saved_profile(folder.workspace, folder.name))


def test_both_orders_are_those_of_ir_measures_on_scores_and_on_ranks(files: tuple[Path, Path]) -> None:
    qrels = {"1": {"a": 1, "b": 0}, "2": {"c": 2}}
    found = means_by_order(files[0], qrels, {}, ["RR", "nDCG@10"])
    measures = [ir_measures.parse_measure(name) for name in ("RR", "nDCG@10")]
    for order, tie in (("score", {"a": 1.0, "b": 1.0}), ("rank", {"a": 2.0, "b": 1.0})):
        expected = ir_measures.calc_aggregate(measures, qrels, {"1": tie, "2": {"c": 2.0, "d": 1.0}})
        assert found[order] == pytest.approx({str(name): value for name, value in expected.items()})
    assert found["score"]["RR"] == 0.75, "trec_eval puts b, the greater id, before a"
    checked = check_run(files[0], qrels, {"a", "b", "c", "d"})
    assert (checked.reordered, checked.depth) == (1, 2)


@pytest.mark.parametrize(
    ("lines", "count"),
    [
        ("1 Q0 a 1 2 t\n1 Q0 b 2 1 t\n", 0),
        ("1 Q0 b 2 1 t\n1 Q0 a 1 2 t\n", 0),
        ("1 Q0 b 1 1 t\n1 Q0 a 2 1 t\n", 0),
        ("1 Q0 a 1 1 t\n1 Q0 b 2 2 t\n", 1),
        ("9 Q0 a 1 1 t\n9 Q0 b 2 1 t\n1 Q0 a 1 1 t\n", 0),
    ],
    ids=["falling", "lines in another order", "tied in trec_eval's order", "ranks against scores", "unjudged topic"],
)
def test_topics_with_another_order_by_rank_are_counted(tmp_path: Path, lines: str, count: int) -> None:
    (tmp_path / "a.run").write_text(lines)
    assert check_run(tmp_path / "a.run", {"1": {"a": 1}}, set()).reordered == count


def test_an_import_keeps_both_orders_of_the_runs_whose_order_differs(folder: CollectionFolder) -> None:
    table = run_orders(results(folder)).figures
    assert set(table.index) == {"tied"}
    assert table.set_index("measure").loc["nDCG@10", "by rank"] > 0.9
    assert (table["difference"] >= 0).all()


def test_measures_deeper_than_the_lists_are_left_out_of_the_tables(folder: CollectionFolder) -> None:
    found = results(folder)
    measured = found.measured
    shown = {system: set(rows["measure"]) for system, rows in measured.tidy.groupby("system")}
    assert "nDCG@10" in shown["deep"] and "nDCG@10" not in shown["tied"]
    assert "R@100" not in shown["deep"] | shown["tied"]
    assert "AP" in shown["tied"], "it has no cut-off"
    assert measured.too_deep["nDCG@10"] == ["tied", "other"]
    assert "nDCG@10, P@10, Judged@10 of 2 imported runs" in left_out_sentence(measured, found.labels)
    assert left_out_sentence(measured, found.labels, "AP") == ""
    assert set(found.values("nDCG@10")) == {"tied", "deep", "other"}, "a measure that is asked for is computed"


def test_the_depth_of_runs_imported_before_it_was_recorded_is_counted(folder: CollectionFolder) -> None:
    recorded = results(folder).measured.too_deep
    for run in ("tied", "deep", "other"):
        path = folder.run(run) / MANIFEST
        manifest = json.loads(path.read_text())
        assert manifest["facts"].pop("depth") and manifest.pop(OWN_DIGEST)
        path.write_text(json.dumps(manifest))
    run = folder.run("tied") / "run.trec"
    kept = run.read_bytes()
    run.write_bytes(b"")
    assert results(folder).measured.too_deep["nDCG@10"] == ["other"], "of a damaged run it is unknown"
    run.write_bytes(kept)
    assert results(folder).measured.too_deep == recorded != {}


@pytest.mark.parametrize("show", ["means", "intervals", "letters"])
def test_a_table_shows_a_dash_for_a_measure_that_is_left_out(folder: CollectionFolder, show: str) -> None:
    from core.evaluation.figures import means
    from core.evaluation.table_formats import texts

    table = texts(means(results(folder), show=show).shown)
    assert table.loc["tied", "nDCG@10"] == "–" != table.loc["deep", "nDCG@10"]
    assert list(table.index) == ["deep", "tied", "other"], "systems without the measure come last"


def test_labels_and_order_of_imported_runs_can_be_changed(folder: CollectionFolder) -> None:
    before = results(folder).values("AP")
    arrange_runs(folder, {"tied": " Team  one "}, ["other"])
    found = results(folder)
    assert found.systems == ["other", "tied", "deep"]
    assert found.labels["tied"] == "Team one"
    assert found.values("AP") == before
    assert not found.measured.computed, "the stored measures are up to date"
    arrange_runs(folder, {"tied": ""})
    assert results(folder).labels["tied"] == "tied"
    for labels, order in (({"nobody": "x"}, ()), ({}, ["nobody"]), ({"tied": "deep"}, ())):
        with pytest.raises(UserError):
            arrange_runs(folder, labels, order)


def test_a_run_that_is_imported_again_keeps_its_label_and_place(
    folder: CollectionFolder, files: tuple[Path, Path]
) -> None:
    arrange_runs(folder, {"tied": "Team one"})
    import_runs(folder, [files[0]])
    found = results(folder)
    assert (found.systems[0], found.labels["tied"]) == ("tied", "Team one")


def test_a_collection_that_is_not_here_names_those_that_are(folder: CollectionFolder) -> None:
    with pytest.raises(UserError, match=r"no collection 'importd' here: use one of imported"):
        saved_profile(folder.workspace, "importd")
    empty = Workspace(folder.workspace.root / "empty")
    with pytest.raises(UserError, match=r"none was built yet; make one with python scripts/build\.py"):
        saved_profile(empty, "importd")
