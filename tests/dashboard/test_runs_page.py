"""The page Import runs: runs from elsewhere come in, are compared, and go again."""

import errno
import gzip
import tracemalloc
from pathlib import Path

import pandas as pd
import pytest
from filelock import FileLock
from made_up import Open, warnings
from streamlit.testing.v1 import AppTest

from core.formats.run_validation import check_run
from core.workspace.artifacts import open_artifact
from core.workspace.errors import UserError
from core.workspace.workspace import CollectionFolder
from dashboard.shared.escaping import WORD_JOINER
from dashboard.shared.uploads import LARGEST_UNPACKED, saved
from dashboard.views.runs.page import arrangement

GOOD = "1 Q0 d2 1 3 t\n1 Q0 d1 2 2 t\n02 Q0 d4 1 1 t\nNA Q0 d3 1 1 t\n"


def errors(app: AppTest) -> str:
    return "\n".join(error.value for error in app.error).replace("\\", "")


def give(app: AppTest, *files: tuple[str, str | bytes]) -> AppTest:
    uploads = [(name, c if isinstance(c, bytes) else c.encode(), "text/plain") for name, c in files]
    return app.file_uploader[0].set_value(uploads).run()


def bring(app: AppTest, *files: tuple[str, str | bytes]) -> AppTest:
    return give(app, *files).button(key="import").click().run()


def test_a_run_is_imported_compared_and_removed(open_page: Open, made_up: CollectionFolder) -> None:
    app = bring(open_page("runs"), ("team one.run.gz", gzip.compress(GOOD.encode())))
    assert "Imported: team-one" in app.success[0].value.replace("\\", "")
    link = next(link.proto for link in app.main.get("page_link"))
    assert (link.page, link.query_string) == ("", "a=team-one")
    assert list(app.dataframe[0].value["run"]) == ["team-one"]
    assert list(app.dataframe[0].value["state"]) == ["evaluated"]
    assert app.button(key="import").disabled, "the upload is empty again"
    (measures,) = (frame.value for frame in open_page("summary", open="measures").dataframe if "RR" in frame.value)
    assert measures["RR"]["team-one"] == pytest.approx(1.0)

    app = open_page("runs")
    app.button(key="remove").click().run()
    assert "removed" in app.success[0].value
    assert "No runs have been imported" in app.markdown[0].value
    assert "team-one" not in open_page("summary").dataframe[0].value.index


def test_a_bad_line_is_told_and_nothing_is_imported(open_page: Open, made_up: CollectionFolder) -> None:
    app = give(open_page("runs"), ("bad <b>.run", GOOD + "NA Q0 d3 2 1 t\n02 Q0 d9 2 NaN t\n"))
    assert "line 5: document d3 is already listed for topic NA on line 4" in errors(app)
    assert "line 6: the score 'NaN'" in errors(app)
    assert app.button(key="import").disabled


def test_what_is_odd_is_told_and_does_not_hinder(open_page: Open, made_up: CollectionFolder) -> None:
    content = "1 Q0 d2 2 3 t\n1 Q0 d1 1 2 t\n02 Q0 d4 1 1 t\n02 Q0 dX 2 1 t\n9 Q0 d1 1 1 t\n"
    app = give(open_page("runs"), ("odd.run", content))
    for part in ("score 0: 1 of 3", "not evaluated: 1", "first dX on", "first on line 1", "first on line 4"):
        assert part in warnings(app)
    app.button(key="import").click().run()
    assert "odd" in list(app.dataframe[0].value["run"])
    assert "tied in 1 of 3 topics, first on line 4" in app.dataframe[0].value["warnings"][0]


def test_each_run_of_a_large_folder_is_looked_through_once(
    open_page: Open, made_up: CollectionFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []
    monkeypatch.setattr(
        "dashboard.views.runs.importing.check_run",
        lambda path, *arguments: seen.append(path.name) or check_run(path, *arguments),
    )
    app = give(open_page("runs"), *((f"r{number}.run", GOOD) for number in range(60)))
    assert len(seen) == len(set(seen)) == 60
    app.text_input[0].input("another").run()
    assert app.text_input[0].value == "another"
    assert len(seen) == 60


def test_by_rank_the_ranks_count(open_page: Open, made_up: CollectionFolder) -> None:
    app = open_page("runs")
    app.radio[0].set_value("rank").run()
    bring(app, ("a.run", "NA Q0 d2 1 5 t\nNA Q0 d3 2 9 t\n"))
    table = open_page("topics", a="a", b="bm25", measure="RR").dataframe[0].value.set_index("topic")
    assert table.loc["NA", "a"] == 0.5


TIED = "NA Q0 d2 1 5 t\nNA Q0 d3 2 5 t\n"


def test_both_orders_are_shown_before_the_import_and_after_it(open_page: Open, made_up: CollectionFolder) -> None:
    app = give(open_page("runs"), ("tied.run", TIED))
    assert "The order by rank differs from that by score in 1 topic" in " ".join(m.value for m in app.markdown)
    preview = next(frame.value for frame in app.dataframe if "by rank" in frame.value).set_index("measure")
    assert preview.loc["RR", "by score (trec_eval)"] == pytest.approx(1 / 3), "d3, the greater id, comes first"
    assert preview.loc["RR", "by rank"] == pytest.approx(1 / 6)
    app.button(key="import").click().run()
    shown = next(frame.value for frame in app.dataframe if "by rank" in frame.value).set_index("measure")
    assert shown["difference"].to_dict() == preview["difference"].to_dict()
    first = next(measure for measure, row in shown.iterrows() if row["difference"])
    said = " ".join(element.value for element in app.markdown).replace("\\", "").replace(WORD_JOINER, "")
    assert f"{first} of tied is {shown.loc[first, 'by score (trec_eval)']:.4f} by score (trec_eval) and " in said


def test_measures_deeper_than_the_lists_are_named(open_page: Open, made_up: CollectionFolder) -> None:
    app = bring(open_page("runs"), ("short.run", TIED))
    said = warnings(app).replace(WORD_JOINER, "")
    assert "shorter than the cut-off: nDCG@10, nDCG@20, P@10, P@20, R@100, Judged@10 of short." in said
    assert app.dataframe[0].value["depth"].tolist() == [2]
    (table,) = (frame.value for frame in open_page("summary", open="measures").dataframe if "RR" in frame.value)
    assert pd.isna(table.loc["short", "nDCG@10"]) and table.loc["short", "RR"] > 0


def test_an_edited_table_gives_labels_and_order() -> None:
    edited = pd.DataFrame({"place": [3, 1, 2], "run": ["a", "b", "c"], "label": [" Team A ", "b", None]})
    assert arrangement(edited) == ({"b": "", "c": "", "a": "Team A"}, ["b", "c", "a"])


def test_saving_labels_and_order_changes_all_pages(
    open_page: Open, made_up: CollectionFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = bring(open_page("runs"), ("a.run", GOOD), ("b.run", GOOD))
    assert app.button(key="arrange").disabled, "nothing is edited"
    edited = pd.DataFrame({"place": [2, 1], "run": ["a", "b"], "label": ["Team *A*", "b"]})
    monkeypatch.setattr("streamlit.data_editor", lambda *arguments, **options: edited)
    app = open_page("runs")
    app.button(key="arrange").click().run()
    assert "Labels and order were saved" in app.success[0].value
    monkeypatch.undo()
    assert list(app.dataframe[0].value["run"]) == ["b", "Team *A*"]


@pytest.mark.parametrize("name", ["bm25", "../x", "", "a b", "x" * 101, "manifest.json", "CON", "<b>"])
def test_a_name_that_cannot_be_is_refused(open_page: Open, made_up: CollectionFolder, name: str) -> None:
    app = give(open_page("runs"), ("a.run", GOOD))
    app.text_input[0].input(name).run()
    assert "named bm25 already" in errors(app) if name == "bm25" else "cannot be a run's name" in errors(app)
    assert app.button(key="import").disabled


def test_several_runs_come_in_at_once_under_names_of_their_own(open_page: Open, made_up: CollectionFolder) -> None:
    app = give(open_page("runs"), ("a.run", GOOD), ("a.run.gz", gzip.compress(GOOD.encode())))
    assert "another of these runs has the same name" in errors(app)
    app.text_input[1].input("b").run()
    app.button(key="import").click().run()
    assert list(app.dataframe[0].value["run"]) == ["a", "b"]


def test_a_whole_folder_comes_in_at_once(open_page: Open, made_up: CollectionFolder) -> None:
    app = open_page("runs")
    app.toggle[0].set_value(True).run()
    assert app.get("file_uploader")[0].proto.accept_directory
    app = bring(app, ("team/one.run", GOOD), ("team/two.txt", GOOD))
    assert list(app.dataframe[0].value["run"]) == ["one", "two"]


def test_of_a_folder_what_is_no_run_is_left_out_with_a_sentence(open_page: Open, made_up: CollectionFolder) -> None:
    app = open_page("runs")
    app.toggle[0].set_value(True).run()
    files = [("t/bm25-x/run.trec", GOOD), ("t/README.md", "read me\n"), ("t/qrels.txt", "1 0 d1 1\n"), ("t/._a", "\0")]
    app = give(app, *files, ("t/final.qruir.txt", GOOD.replace(" t\n", " final.qruir.txt\n")))
    assert "Skipped: README.md, line 1" in warnings(app)
    assert "Skipped: qrels.txt, line 1" in warnings(app)
    assert "._a" not in warnings(app)
    app.button(key="import").click().run()
    assert list(app.dataframe[0].value["run"]) == ["bm25-x", "final.qruir.txt"]


def test_of_two_browsers_that_import_one_name_the_second_is_told(open_page: Open, made_up: CollectionFolder) -> None:
    first, second = (give(open_page("runs"), ("a.run", GOOD)) for _ in range(2))
    first.button(key="import").click().run()
    assert "Imported: a" in first.success[0].value.replace("\\", "")
    second.button(key="import").click().run()
    assert not second.success
    assert "named a already" in errors(second) + warnings(second)


@pytest.mark.parametrize("number", [errno.EROFS, errno.ENOSPC, errno.EACCES])
def test_a_disk_that_cannot_be_written_is_a_sentence_for_every_button(
    open_page: Open, made_up: CollectionFolder, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    def fail(*arguments: object) -> None:
        raise OSError(number, "no")

    bring(open_page("runs"), ("a.run", GOOD))
    app = give(open_page("runs"), ("b.run", GOOD))
    app.file_uploader[1].set_value(("q.txt", b"02 0 d5 1\n", "text/plain")).run()
    monkeypatch.setattr("core.workspace.artifacts.write_text", fail)
    monkeypatch.setattr("core.workspace.command_line.write_text", fail)
    said = "the disk is full" if number == errno.ENOSPC else "could not be written (no)"
    for button in ("import", "derive", "remove"):
        app.button(key=button).click().run()
        assert not app.exception
        assert said in warnings(app)
        assert not app.success


def test_a_damaged_run_can_be_removed_though_nothing_is_evaluated(open_page: Open, made_up: CollectionFolder) -> None:
    bring(open_page("runs"), ("a.run", GOOD))
    (made_up / "runs" / "a" / "run.trec").write_text("cut")
    (made_up / "measures" / "measures.csv").write_text("cut")
    app = open_page("runs")
    assert "measures.csv is damaged" in warnings(app)
    assert "run.trec is damaged" in app.dataframe[0].value["state"][0]
    app.button(key="remove").click().run()
    assert "removed" in app.success[0].value
    assert list(open_page("summary").dataframe[0].value.index) == ["BM25", "BM25 + <b>queries</b>"]


def test_the_pages_notices_are_those_of_the_command_line(open_page: Open, made_up: CollectionFolder) -> None:
    content = "1 Q0 zz 2 3 t\n9 Q0 d1 1 1 t\n"
    app = give(open_page("runs"), ("odd.run", content))
    shown = warnings(app).replace(WORD_JOINER, "")
    app.button(key="import").click().run()
    kept = open_artifact(made_up.run("odd")).facts["notices"]
    assert len(kept) == 4
    assert all(notice in shown for notice in kept)
    assert any("fewer documents than the measure's cut-off: nDCG@10 (1 of 1 topics)" in notice for notice in kept)


def test_another_build_at_work_is_a_sentence(open_page: Open, made_up: CollectionFolder) -> None:
    app = give(open_page("runs"), ("a.run", GOOD))
    with FileLock(made_up / ".lock"):
        app.button(key="import").click().run()
    assert "another build is writing" in warnings(app)
    assert "No runs have been imported" in app.markdown[0].value


def test_other_judgments_make_a_collection(open_page: Open, made_up: CollectionFolder) -> None:
    app = open_page("runs")
    app.file_uploader[1].set_value(("q.txt", b"02 0 d5 1\nNA 0 d3 1\n", "text/plain")).run()
    app.checkbox[0].check().run()
    app.button(key="derive").click().run()
    assert "made-up-residual" in app.success[0].value.replace("\\", "")
    app = open_page("topic", collection="made-up-residual", topic="02")
    assert len(app.selectbox(key="choice topic").options) == 1
    lists = "".join(element.proto.body for element in app.get("html"))
    assert "Masks" in lists and "buses" in lists, "the texts came along"
    assert "document d4" not in lists, "it was judged before"
    app = open_page("runs", collection="made-up-residual")
    assert "judged" in app.text_input[-1].value


def test_qrels_with_a_bad_line_are_a_sentence(open_page: Open, made_up: CollectionFolder) -> None:
    app = open_page("runs")
    app.file_uploader[1].set_value(("q.txt", b"02 0 d5 high\n", "text/plain")).run()
    app.button(key="derive").click().run()
    assert "q.txt, line 1: the grade 'high'" in warnings(app)


@pytest.mark.parametrize(
    ("name", "expected"),
    [("../../etc/x.run", "x.run"), ("a\\b<c>.run", "b_c_.run"), ("..", "file"), ("x" * 300 + ".gz", "x" * 97 + ".gz")],
)
def test_an_upload_lands_in_its_folder_under_a_harmless_name(tmp_path: Path, name: str, expected: str) -> None:
    path = saved(name, b"text", tmp_path)
    assert (path.parent, path.name) == (tmp_path, expected)


def test_gzip_is_known_by_its_beginning(tmp_path: Path) -> None:
    assert saved("a.run", gzip.compress(b"x"), tmp_path).name == "a.run.gz"


@pytest.fixture(scope="module")
def bomb() -> bytes:
    """A .gz of zeros that unpacks to more than the limit: many members, as gzip allows, so that it is made quickly."""
    member = gzip.compress(bytes(10_000_000))
    return member * (LARGEST_UNPACKED // 10_000_000 + 1)


def test_a_decompression_bomb_is_a_sentence_and_is_never_unpacked_whole(bomb: bytes, tmp_path: Path) -> None:
    assert len(bomb) < 1_000_000
    tracemalloc.start()
    with pytest.raises(UserError, match="zeros.run unpacks to more than 100 MB, the upload limit"):
        saved("zeros.run", bomb, tmp_path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 20_000_000
    assert not list(tmp_path.iterdir())


def test_a_bomb_on_the_page_is_a_sentence(open_page: Open, made_up: CollectionFolder, bomb: bytes) -> None:
    app = give(open_page("runs"), ("zeros.run.gz", bomb), ("a.run", GOOD))
    assert "zeros.run.gz unpacks to more than 100 MB, the upload limit; the command line has no limit" in errors(app)
    assert app.button(key="import").disabled


def test_a_damaged_gz_is_told_by_its_reader(open_page: Open, made_up: CollectionFolder) -> None:
    app = give(open_page("runs"), ("cut.run.gz", gzip.compress(GOOD.encode())[:-12]))
    assert "cut.run.gz: damaged or truncated" in errors(app)
