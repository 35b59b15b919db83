"""Documents that are left out for a topic, as the pages show it."""

import io
import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from made_up import Open, lists
from test_pages import texts

from core import compare
from core.build import run_build
from core.import_runs import import_runs
from core.workspace.profile import Profile
from core.workspace.stage import Build
from core.workspace.workspace import CollectionFolder, Workspace
from dashboard.shared.provenance import compare_command

ARGUMENTS = {"a1": "alpha beta gamma", "a2": "delta epsilon zeta"}
CORPUS = ARGUMENTS | {"c1": "alpha beta gamma not", "c2": "delta epsilon zeta not", "e1": "alpha beta words"}
RUN = "a1 Q0 a1 1 3.0 t\na1 Q0 e1 2 2.0 t\na1 Q0 c1 3 1.0 t\na2 Q0 a2 1 3.0 t\na2 Q0 c2 2 2.0 t\n"
OWN = "Excluded from every list of topic a1: the document with the id of the topic (as in BEIR's evaluation)"
LISTED = f"{OWN}; 1 listed by the collection: e1."


@pytest.fixture
def folder(workspace: Workspace, tmp_path: Path) -> CollectionFolder:
    """A collection whose topics are documents, with a document that is excluded for topic a1, and an imported run."""
    source = tmp_path / "args"
    (source / "qrels").mkdir(parents=True)
    for file, by_name in (("corpus", CORPUS), ("queries", ARGUMENTS)):
        entries = [{"_id": name, "text": text} for name, text in by_name.items()]
        (source / f"{file}.jsonl").write_text("".join(json.dumps(entry) + "\n" for entry in entries))
    (source / "qrels" / "test.tsv").write_text("a1 0 c1 1\na2 0 c2 1\n")
    (source / "excluded.tsv").write_text("query-id\tcorpus-id\na1\te1\n")
    (tmp_path / "team.run").write_text(RUN)
    profile = Profile.model_validate(
        {"collection": {"name": "args", "source": str(source)}, "system": [{"name": "bm25", "kind": "bm25"}]}
    )
    folder = workspace.collection("args")
    run_build(Build(profile, folder, "cpu"), say=lambda line: None)
    import_runs(folder, [tmp_path / "team.run"])
    return folder


def test_the_pages_leave_them_out_and_say_so(folder: CollectionFolder, open_page: Open) -> None:
    overview = texts(open_page("summary", collection="args"))
    assert "Excluded from every list: for 2 topics, the document with the id of the topic" in overview
    assert "for 1 topics, documents listed by the collection" in overview
    topic = open_page("topic", collection="args", topic="a1", a="team", b="bm25")
    assert LISTED in texts(topic).replace("\\", "")
    for markup in lists(topic)[:2]:
        assert markup.count("relevant (1)") == 2  # its name and its title
        assert "document a1" not in markup
        assert "document e1" not in markup
    assert "2 hits are left out" not in texts(topic)
    notices = open_page("runs", collection="args").dataframe[0].value["warnings"]
    assert "hits excluded from the evaluation: 3, in 2 topics; 2 have the id of their topic" in notices[0]


def test_a_live_answer_to_a_topic_is_that_of_the_run(folder: CollectionFolder, open_page: Open) -> None:
    asked = open_page("search", collection="args", query="Alpha beta  gamma", fused="on")
    assert LISTED in texts(asked).replace("\\", "")
    for markup in lists(asked):
        assert "document c1" in markup
        assert "document a1" not in markup
        assert "document e1" not in markup
    other = open_page("search", collection="args", query="alpha beta")
    assert "document a1" in lists(other)[0], "no topic: nothing is left out"
    assert "Excluded from" not in texts(other)


def test_the_command_of_a_figure_prints_it(folder: CollectionFolder, command: Any) -> None:
    written = compare_command("args", "means", {"systems": ["team"]}).split()
    assert written[:4] == ["python", "-m", "core.compare", "means"]
    printed = command(compare.main, *written[3:], "--csv").out
    assert pd.read_csv(io.StringIO(printed), index_col=0).loc["team", "AP"] == 1.0


def test_imported_runs_whose_documents_have_other_ids_are_not_spoken_of(
    workspace: Workspace, tmp_path: Path, open_page: Open
) -> None:
    (tmp_path / "team.run").write_text("1 Q0 x 1 3.0 t\n2 Q0 y 1 3.0 t\n2 Q0 2 2 2.0 t\n")
    (tmp_path / "q.txt").write_text("1 0 x 1\n2 0 y 1\n")
    import_runs(workspace.collection("alone"), [tmp_path / "team.run"], tmp_path / "q.txt")
    assert "Excluded from" not in texts(open_page("summary", collection="alone"))
    assert "Excluded from" not in texts(open_page("topic", collection="alone", topic="1"))
    assert "Excluded from every list of topic 2" in texts(open_page("topic", collection="alone", topic="2"))
