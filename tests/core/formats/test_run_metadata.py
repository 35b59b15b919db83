"""ir_metadata before a run, and results of MTEB: read, written, and refused."""

import json

import pytest
import yaml

from core import compare, evaluate, export, import_runs
from core.formats.mteb_results import MtebResult, read_result, write_result
from core.formats.run_metadata import END, START, in_words, read_metadata
from core.formats.runs import read_run
from core.workspace.artifacts import read_manifest
from core.workspace.errors import UserError

LINES = "1 Q0 d1 1 2.0 t\n1 Q0 d2 2 1.0 t\n"
METADATA = (
    f"{START}\n# tag: my-run\n# platform:\n#   hardware:\n#     cpu:\n#       model: Xeon\n# method:\n#   - a\n{END}\n"
)


def run_file(tmp_path, head):
    (tmp_path / "my.run").write_text(head + LINES)
    return tmp_path / "my.run"


def test_metadata_before_a_run_is_read_and_the_run_too(tmp_path):
    path = run_file(tmp_path, METADATA)
    found, problem = read_metadata(path)
    assert (found["platform"], problem) == ({"hardware": {"cpu": {"model": "Xeon"}}}, "")
    assert in_words(found) == "tag: my-run; platform.hardware.cpu.model: Xeon; method[1]: a"
    assert read_run(path).scores == {"1": {"d1": 2.0, "d2": 1.0}}
    assert read_metadata(run_file(tmp_path, "")) == ({}, "")


@pytest.mark.parametrize(
    ("head", "problem"),
    [
        (f"{START}\n# tag: x\n", "has no line"),
        (f"{START}\n# a: [\n{END}\n", "not valid YAML"),
        (f"{START}\n# - a\n{END}\n", "not a mapping"),
        (f"{START}\n# a: !!python/object/apply:os.system ['true']\n{END}\n", "not valid YAML"),
    ],
)
def test_metadata_that_cannot_be_read_is_said(head, problem, tmp_path):
    found, said = read_metadata(run_file(tmp_path, head))
    assert found == {}
    assert problem in said


def test_aliases_that_repeat_or_contain_themselves_end(tmp_path):
    lines = [
        "# a: &a [x, x, x, x, x, x, x, x, x]",
        *(f"# {n}: &{n} [{', '.join(['*' + m] * 9)}]" for m, n in ("ab", "bc", "cd")),
    ]
    found, _ = read_metadata(run_file(tmp_path, "\n".join([START, *lines, "# self: &self [*self]", END, ""])))
    assert in_words(found).count("x") == 100


def test_metadata_is_noted_by_commands_and_kept_with_an_import(tmp_path, command, workspace):
    path = run_file(tmp_path, METADATA)
    (tmp_path / "qrels").write_text("1 0 d1 1\n")
    files = [path, "--qrels", tmp_path / "qrels"]
    assert "my: ir_metadata: tag: my-run;" in command(evaluate.main, *files, "--measures", "AP").err
    assert command(import_runs.main, *files, "--name", "mine").status == 0
    assert read_manifest(workspace.collection("mine").run("my")).facts["ir_metadata"].startswith("tag: my-run")


def test_a_run_and_its_means_are_exported(tmp_path, command):
    target = tmp_path / "tuned.run.gz"
    options = ["--run", target, "--ir-metadata", "--mteb", tmp_path / "results", "--task", "Sample"]
    outcome = command(export.main, "sample", "fine-tuned", *options)
    assert outcome.status == 0, outcome.err
    metadata, _ = read_metadata(target)
    assert metadata["tag"] == "fine-tuned"
    assert metadata["method"]["retrieval"][0]["settings"]["kind"] == "dense"
    assert yaml.safe_load(yaml.safe_dump(metadata)) == metadata
    assert len(read_run(target).scores) == 48
    (path,) = (tmp_path / "results").rglob("Sample.json")
    scores = json.loads(path.read_text())["scores"]["test"][0]
    assert scores["main_score"] == scores["ndcg_at_10"] == pytest.approx(0.5304, abs=5e-5)
    printed = command(compare.main, "means", "sample", "--measures", "nDCG@10", "--reference", path, "--format", "json")
    last = json.loads(printed.out)["rows"][-1]
    assert last["system"] == "published: fine-tuned" or last["system"].startswith("published: ")
    assert last["nDCG@10"] == scores["ndcg_at_10"]


def test_a_result_of_mteb_is_read_as_it_is_written(tmp_path):
    result = MtebResult(
        "TRECCOVID", "test", "sentence-transformers/all-MiniLM-L6-v2", {"nDCG@10": 0.4723, "R@100": 0.0855}
    )
    path = write_result(tmp_path, result, "8b3219a", {"evaluation_time": 1.0})
    assert path == tmp_path / "sentence-transformers__all-MiniLM-L6-v2" / "8b3219a" / "TRECCOVID.json"
    assert read_result(path) == result


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        '{"task_name": "x", "scores": {"test": []}}',
        '{"task_name": "x", "scores": {"test": [{"ndcg_at_10": 5}]}}',
        '{"task_name": "x", "scores": {"test": [{"ndcg_at_10": "a"}]}}',
        "[" * 9999,
    ],
)
def test_what_is_no_result_of_mteb_is_refused(text, tmp_path):
    (tmp_path / "r.json").write_text(text)
    with pytest.raises(UserError, match=r"r\.json: not a result of MTEB"):
        read_result(tmp_path / "r.json")
