"""Imports, derivations and removals that fail leave all as it was, and can be tried again; of two at once one wins."""

import errno
import json
import threading
from pathlib import Path

import pytest
import pytrec_eval
from stages import make

from core import derive, evaluate, import_runs
from core.formats.qrels import read_qrels
from core.formats.runs import read_run
from core.workspace import artifacts, command_line
from core.workspace.errors import UserError
from core.workspace.profile import read_profile
from dashboard.shared import data

RUN = "1 Q0 d1 1 2.0 t\n1 Q0 d2 2 1.0 t\n2 Q0 d2 1 1.0 t\n"
QRELS = "1 0 d1 0\n1 0 d2 1\n2 0 d2 2\n"


@pytest.fixture
def files(tmp_path):
    folder = tmp_path / "files"
    folder.mkdir()
    for name in ("a.run", "b.run", "c.run"):
        (folder / name).write_text(RUN)
    (folder / "qrels.txt").write_text(QRELS)
    return folder


def content(place):
    """Every file but locks, with what is in it."""
    folder = Path(place)
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and not path.name.endswith(".lock")
    }


def new(files, workspace):
    folder = workspace.collection("mine")
    import_runs.import_runs(folder, [files / "a.run"], files / "qrels.txt")
    return folder


NUMBERS = [errno.ENOSPC, errno.EROFS, errno.EACCES, errno.EDQUOT, errno.EPERM]
SAID = {errno.ENOSPC: "the disk is full", errno.EDQUOT: "the disk is full"}


def failing(number, when=lambda *arguments: True, real=None):
    def fail(*arguments, **options):
        if when(*arguments):
            raise OSError(number, "no")
        return real(*arguments, **options)

    return fail


PLACES = {
    "the run": (import_runs, "write_run"),
    "the judgments": (import_runs, "write_qrels"),
    "the profile": (command_line, "write_text"),
    "the measures": (evaluate, "Evaluator"),
}


@pytest.mark.parametrize("number", NUMBERS)
@pytest.mark.parametrize("place", PLACES)
def test_an_import_that_cannot_be_written_leaves_nothing_and_can_be_tried_again(
    place, number, files, workspace, monkeypatch
):
    with monkeypatch.context() as patched:
        patched.setattr(*PLACES[place], failing(number))
        with pytest.raises(UserError, match=SAID.get(number, r"could not be written \(no\); make the folder writable")):
            new(files, workspace)
    assert list(workspace.root.iterdir()) == []
    assert new(files, workspace).path.is_dir()


@pytest.mark.parametrize("name", ["a", "b"])
@pytest.mark.parametrize("place", ["the run", "the profile", "the measures"])
def test_an_import_that_fails_leaves_the_collection_as_it_was(place, name, files, workspace, monkeypatch):
    folder = new(files, workspace)
    before = content(folder)
    (files / f"{name}.run").write_text("1 Q0 d2 1 2.0 t\n")
    with monkeypatch.context() as patched:
        patched.setattr(*PLACES[place], failing(errno.ENOSPC))
        with pytest.raises(UserError, match="the disk is full"):
            import_runs.import_runs(workspace.collection("mine"), [files / f"{name}.run"])
    assert content(folder) == before
    import_runs.import_runs(workspace.collection("mine"), [files / f"{name}.run"])
    assert f"mine,{name},1,RR,1.0\n" in (folder / "measures" / "measures.csv").read_text()


def test_of_several_runs_the_last_of_which_is_faulty_none_comes_in(files, workspace):
    folder = new(files, workspace)
    before = content(folder)
    (files / "a.run").write_text("1 Q0 d2 1 2.0 t\n")
    (files / "c.run").write_text("1 Q0 d2 1 nan t\n")
    with pytest.raises(UserError, match=r"c\.run, line 1"):
        import_runs.import_runs(workspace.collection("mine"), [files / name for name in ("a.run", "b.run", "c.run")])
    assert content(folder) == before


@pytest.mark.parametrize("place", ["write_run", "write_topics", "write_qrels"])
def test_a_derivation_that_fails_leaves_nothing_and_can_be_tried_again(place, files, workspace, monkeypatch):
    source = new(files, workspace)
    before = content(source)
    with monkeypatch.context() as patched:
        patched.setattr(derive, place, failing(errno.EROFS))
        with pytest.raises(UserError, match="could not be written"):
            derive.derive(workspace, "mine", "other", files / "qrels.txt")
    assert [path.name for path in workspace.root.iterdir()] == ["mine"]
    assert derive.derive(workspace, "mine", "other", files / "qrels.txt").path.is_dir()
    assert content(source) == before


def test_what_a_killed_import_or_derivation_left_is_not_listed_and_the_next_one_replaces_it(
    files, workspace, monkeypatch
):
    def killed(*arguments):
        raise SystemExit

    folder = workspace.collection("mine")
    with monkeypatch.context() as patched:  # all is written, and nothing is undone
        patched.setattr(command_line, "save_profile", killed)
        patched.setattr(import_runs, "remove_tree", lambda path: None)
        with pytest.raises(SystemExit):
            new(files, workspace)
    assert (folder / "collection" / "manifest.json").is_file()
    assert data.collection_names() == []
    new(files, workspace)
    assert data.collection_names() == ["mine"]


@pytest.mark.parametrize("number", [errno.EROFS, errno.EACCES])
def test_a_removal_that_cannot_be_written_is_a_sentence(number, files, workspace, monkeypatch):
    folder = new(files, workspace)
    before = content(folder)
    with monkeypatch.context() as patched:
        patched.setattr(import_runs.shutil, "rmtree", failing(number))
        with pytest.raises(UserError, match="could not be written"):
            import_runs.remove_run(workspace.collection("mine"), "a")
    assert content(folder) == before
    import_runs.remove_run(workspace.collection("mine"), "a")
    assert not (folder / "runs" / "a").exists()


def test_on_a_full_disk_a_run_can_be_removed_to_make_room(files, workspace, monkeypatch):
    folder = new(files, workspace)
    with monkeypatch.context() as patched:
        patched.setattr(command_line, "write_text", failing(errno.ENOSPC))
        with pytest.raises(UserError, match="the disk is full"):
            import_runs.remove_run(workspace.collection("mine"), "a")
    assert not (folder / "runs" / "a").exists(), "there is room now"
    import_runs.remove_run(workspace.collection("mine"), "a")
    assert read_profile(str(folder / "profile.json")).system == []


@pytest.mark.parametrize("damage", ["1 Q0 d1 1 -inf t\n", "1 Q0 d1\n", ""])
def test_a_run_that_cannot_be_read_costs_itself_alone_and_can_be_removed(damage, files, workspace, capsys):
    folder = workspace.collection("mine")
    import_runs.import_runs(folder, [files / "a.run", files / "b.run"], files / "qrels.txt")
    with artifacts.writing(folder / "runs" / "b", "import_runs", {}, {}) as partial:  # sealed, as earlier versions did
        (partial / "run.trec").write_text(damage)
    import_runs.import_runs(workspace.collection("mine"), [files / "c.run"])
    table = (folder / "measures" / "measures.csv").read_text()
    assert "mine,a,1,RR,0.5\n" in table and "mine,c,1,RR,0.5\n" in table
    assert ("b was not evaluated: run.trec, line 1" in capsys.readouterr().err) == bool(damage)
    assert ("mine,b,1,RR,0.0\n" in table) == (not damage), "an empty run has retrieved nothing"
    import_runs.remove_run(workspace.collection("mine"), "b")
    assert "mine,b" not in (folder / "measures" / "measures.csv").read_text()


def test_a_run_whose_file_was_changed_can_be_removed(files, workspace):
    folder = workspace.collection("mine")
    import_runs.import_runs(folder, [files / "a.run", files / "b.run"], files / "qrels.txt")
    (folder / "runs" / "b" / "run.trec").write_text("cut")
    import_runs.remove_run(workspace.collection("mine"), "b")
    assert "mine,a,1,RR,0.5\n" in (folder / "measures" / "measures.csv").read_text()


def test_of_two_imports_of_one_name_at_once_one_wins(files, workspace):
    new(files, workspace)
    barrier, ends = threading.Barrier(2), []

    def bring(content):
        path = files / str(threading.get_ident())
        path.write_text(content)
        barrier.wait()
        try:
            import_runs.import_runs(workspace.collection("mine"), [path], names=["same"], replace=False)
            ends.append("imported")
        except UserError as error:
            ends.append(str(error))

    for attempt in range(5):
        contents = ["1 Q0 d2 1 2.0 t\n", "1 Q0 d1 1 2.0 t\n"]
        threads = [threading.Thread(target=bring, args=[content]) for content in contents]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(ends)[1:] == ["imported"], (attempt, ends)
        assert "named same already" in ends[0] + ends[1] or "another build is writing" in ends[0] + ends[1]
        import_runs.remove_run(workspace.collection("mine"), "same")
        ends.clear()


def test_a_name_that_differs_in_case_alone_is_taken(files, workspace):
    new(files, workspace)
    with pytest.raises(UserError, match="system named a already exists"):
        import_runs.import_runs(workspace.collection("mine"), [files / "b.run"], names=["A"])


LOWEST = 3.4028234663852886e38


@pytest.mark.parametrize(
    "scores",
    [
        [1.0, -1e39, -1e40, -1e300],
        [-LOWEST, -LOWEST, -LOWEST],
        [1e39, 1e300, 5.0, -1e39],
        [-LOWEST, -1.7e308, -LOWEST, 0.0],
        [1e-46, 0.0, -0.0, -1e-320],
    ],
)
def test_scores_beyond_float32_are_imported_as_trec_eval_ranks_them(scores, tmp_path, workspace):
    documents = [f"d{number}" for number in range(len(scores))]
    # one topic a document, which alone is relevant: its reciprocal rank tells where trec_eval puts it
    lines = [f"t-{topic} Q0 {d} 1 {s!r} t\n" for topic in documents for d, s in zip(documents, scores, strict=True)]
    (tmp_path / "far.run").write_text("".join(lines))
    (tmp_path / "qrels.txt").write_text("".join(f"t-{d} 0 {d} 1\n" for d in documents))
    folder = workspace.collection("far")
    import_runs.import_runs(folder, [tmp_path / "far.run"], tmp_path / "qrels.txt")
    raw = {f"t-{topic}": dict(zip(documents, scores, strict=True)) for topic in documents}
    wanted = pytrec_eval.RelevanceEvaluator(read_qrels(tmp_path / "qrels.txt"), {"recip_rank"}).evaluate(raw)
    rows = [line.split(",") for line in (folder / "measures" / "measures.csv").read_text().splitlines()]
    found = {topic: float(value) for _, _, topic, measure, value in rows if measure == "RR"}
    assert found == {topic: pytest.approx(by["recip_rank"]) for topic, by in wanted.items()}
    written = read_run(folder / "runs" / "far" / "run.trec")
    assert written.notices == [], "finite and falling"


def test_figures_of_unchanged_runs_are_taken_over_and_are_those_that_evaluating_all_gives(
    files, workspace, monkeypatch
):
    (files / "odd.run").write_text("1 Q0 d1 1 3 t\n1 Q0 d9 2 2 t\n1 Q0 d2 3 1 t\n2 Q0 d8 1 1 t\n")
    folder = workspace.collection("mine")
    import_runs.import_runs(folder, [files / "a.run", files / "odd.run"], files / "qrels.txt")
    read = []
    real = evaluate.built_run
    monkeypatch.setattr(evaluate, "built_run", lambda *asked: read.append(asked[1]) or real(*asked))
    import_runs.import_runs(workspace.collection("mine"), [files / "b.run"])
    assert read == ["b"]
    by_parts = content(folder / "measures")
    make(evaluate.STAGE, read_profile(str(folder / "profile.json")), folder)
    assert read == ["b", "a", "odd", "b"]
    assert content(folder / "measures")["measures.csv"] == by_parts["measures.csv"]
    facts = [json.loads(made["manifest.json"])["facts"] for made in (by_parts, content(folder / "measures"))]
    assert facts[0] == facts[1]


def test_figures_are_not_taken_over_where_the_judgments_or_measures_are_others(files, workspace, monkeypatch):
    folder = new(files, workspace)
    profile = read_profile(str(folder / "profile.json"))
    make(evaluate.STAGE, profile.model_copy(update={"measures": ["P@1"]}), folder, keep=True)
    assert "RR" not in (folder / "measures" / "measures.csv").read_text()
    make(evaluate.STAGE, profile, folder, keep=True)
    assert "mine,a,1,RR,0.5\n" in (folder / "measures" / "measures.csv").read_text()
    (files / "qrels.txt").write_text(QRELS.replace("1 0 d1 0", "1 0 d1 1"))
    import_runs._new_collection(folder, files / "qrels.txt", None, True)
    make(evaluate.STAGE, profile, folder, keep=True)
    assert "mine,a,1,RR,1.0\n" in (folder / "measures" / "measures.csv").read_text()
