"""Collections on the hub, in the forms in which BEIR and MTEB publish them; and SciFact, the same by every way."""

import gzip
import json
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pyarrow
import pytest
from beir_files import BEIR_FILES
from hub import hub_at, use, write_files
from pyarrow import parquet

from core import collection
from core.formats.collections import read_built_collection
from core.workspace.artifacts import read_manifest
from core.workspace.profile import Profile
from core.workspace.stage import Build
from core.workspace.workspace import Workspace
from scripts.campaigns.hub_stand_in import Content, Fault, environment, serving

ROOT = Path(__file__).resolve().parents[3]
ROWS = {name: [json.loads(line) for line in BEIR_FILES[f"{name}.jsonl"].splitlines()] for name in ("corpus", "queries")}
JUDGED = BEIR_FILES["qrels/test.tsv"]


def table(rows, *columns):
    """Return rows as a Parquet file, with columns that some rows lack."""
    sink = pyarrow.BufferOutputStream()
    parquet.write_table(pyarrow.Table.from_pylist([{key: row.get(key) for key in columns} for row in rows]), sink)
    return sink.getvalue().to_pybytes()


def as_tables(rows, name):
    """Return a file of a folder for each row, as large data sets are in several."""
    columns = ("_id", "title", "text")
    return {f"{name}/{name}-0000{n}-of-2.parquet": table([row], *columns) for n, row in enumerate(rows)}


QRELS_ROWS = [
    dict(zip(("query-id", "corpus-id", "score"), line.split("\t"), strict=True)) for line in JUDGED.splitlines()
]
QRELS_TABLE = table([row | {"score": int(row["score"])} for row in QRELS_ROWS[1:]], "query-id", "corpus-id", "score")
PACKED = {f"{name}.jsonl.gz": gzip.compress(BEIR_FILES[f"{name}.jsonl"].encode()) for name in ROWS}
PARQUET = as_tables(ROWS["corpus"], "corpus") | as_tables(ROWS["queries"], "queries")
LINES = "".join(json.dumps(row | {"score": int(row["score"])}) + "\n" for row in QRELS_ROWS[1:])
FORMS = {
    "packed, judgments apart": ({"tiny": PACKED | {"tiny.py": "evil()"}, "tiny-qrels": {"test.tsv": JUDGED}}, True),
    "tables, judgments apart": ({"tiny": PARQUET, "tiny-qrels": {"test.tsv": JUDGED, "dev.tsv": JUDGED}}, False),
    "all in one": ({"tiny": BEIR_FILES}, True),
    "lines, judgments as lines": ({"tiny": PACKED | {"qrels/test.jsonl": LINES}}, True),
    "all in tables": ({"tiny": PARQUET | {"qrels/test-00000-of-00001.parquet": QRELS_TABLE}}, False),
}


@pytest.fixture
def hub(tmp_path, monkeypatch):
    with hub_at(Content(datasets=tmp_path / "datasets"), tmp_path / "home", monkeypatch) as server:
        yield server.content


def publish(tmp_path, repositories):
    for name, files in repositories.items():
        write_files(tmp_path / "datasets" / "BeIR" / name, files)


def digests(workspace, name):
    return {file: entry["sha256"] for file, entry in read_manifest(workspace.collection(name).collection).files.items()}


@pytest.mark.parametrize("form", FORMS)
def test_every_form_becomes_the_collection_that_the_beir_layout_gives(
    form, hub, workspace, command, tmp_path, beir_folder
):
    repositories, with_metadata = FORMS[form]
    publish(tmp_path, repositories)
    assert command(collection.main, "--collection", "hub:BeIR/tiny").status == 0
    without = {
        f"{name}.jsonl": "".join(json.dumps({k: v for k, v in row.items() if k != "metadata"}) + "\n" for row in rows)
        for name, rows in ROWS.items()
    }
    command(collection.main, "--collection", beir_folder({} if with_metadata else without), "--name", "plain")
    assert digests(workspace, "BeIR-tiny") == digests(workspace, "plain")
    assert not [request for request in hub.requests if request.path.endswith(".py")], "scripts are not even downloaded"


def test_the_split_is_chosen_among_those_of_the_hub(hub, workspace, command, tmp_path):
    dev = JUDGED.replace("1\td2\t0\n", "")
    publish(tmp_path, {"tiny": PACKED, "tiny-qrels": {"test.tsv": JUDGED, "dev.tsv": dev}})
    assert command(collection.main, "--collection", "hub:BeIR/tiny", "--split", "dev").status == 0
    assert "d2" not in read_built_collection(workspace.collection("BeIR-tiny")).qrels["1"]
    outcome = command(collection.main, "--collection", "hub:BeIR/tiny", "--split", "train")
    assert outcome.refused_with("the splits are dev, test")


def test_what_a_data_set_lacks_is_said(hub, workspace, command, tmp_path):
    publish(tmp_path, {"tiny": {"data.csv": "x"}, "packed": PACKED, "text": BEIR_FILES | {"queries.jsonl": "{"}})
    assert command(collection.main, "--collection", "hub:BeIR/none").refused_with("the hub has no data set BeIR/none")
    outcome = command(collection.main, "--collection", "hub:BeIR/tiny")
    assert outcome.status == 2
    assert "no corpus.jsonl (or .gz) and no Parquet files in a folder corpus" in outcome.err.splitlines()[-1]
    outcome = command(collection.main, "--collection", "hub:BeIR/packed")
    assert "the hub has no data set BeIR/packed-qrels" in outcome.err.splitlines()[-1]
    outcome = command(collection.main, "--collection", "hub:BeIR/text")
    assert "queries.jsonl, line 1: not valid JSON" in outcome.err.splitlines()[-1]


def test_a_damaged_table_is_refused(hub, workspace, command, tmp_path):
    publish(tmp_path, {"tiny": BEIR_FILES | {"corpus.jsonl": "", "corpus/corpus-0.parquet": b"PAR1"}})
    (tmp_path / "datasets" / "BeIR" / "tiny" / "corpus.jsonl").unlink()
    outcome = command(collection.main, "--collection", "hub:BeIR/tiny")
    assert outcome.status == 2
    assert "corpus-0.parquet: damaged, or not a Parquet file" in outcome.err.splitlines()[-1]


def test_a_table_that_expands_more_than_text_does_is_refused(hub, workspace, command, tmp_path):
    rows = [{"_id": "d", "text": "x" * 1000} for _ in range(5000)]
    publish(tmp_path, {"tiny": PARQUET | {"corpus/corpus-0.parquet": table(rows, "_id", "text")}})
    outcome = command(collection.main, "--collection", "hub:BeIR/tiny")
    assert outcome.status == 2
    assert "corpus unpacks to too many bytes for text" in outcome.err.splitlines()[-1]
    assert not list(workspace.downloads.glob("hub*")), "nothing is left where a collection would be"


def test_an_interrupted_download_is_resumed_and_what_is_built_needs_no_hub(
    hub, workspace, command, tmp_path, monkeypatch
):
    publish(tmp_path, {"tiny": PACKED, "tiny-qrels": {"test.tsv": JUDGED}})
    hub.faults = [Fault("/lfs/*queries.jsonl.gz", status=404)]
    outcome = command(collection.main, "--collection", "hub:BeIR/tiny")
    assert "the data set BeIR/tiny could not be downloaded from the hub" in outcome.err.splitlines()[-1]
    hub.faults.clear()
    hub.requests.clear()
    assert command(collection.main, "--collection", "hub:BeIR/tiny").status == 0
    assert not [r for r in hub.requests if r.method == "GET" and r.path.startswith("/lfs/") and "corpus" in r.path]
    profile = Profile.model_validate({"collection": {"name": "BeIR-tiny", "source": "hub:BeIR/tiny"}, "system": []})
    build = Build(profile, workspace.collection("BeIR-tiny"))
    (target,) = collection.STAGE.targets(build)
    use("http://127.0.0.1:9", tmp_path / "other-home", monkeypatch)
    assert collection.STAGE.stale(build, target) is None
    shutil.rmtree(workspace.downloads)
    assert collection.STAGE.stale(build, target) is None, "nor the files that it was made from"


@pytest.mark.data
def test_scifact_is_the_same_by_every_way(data_folder, tmp_path):
    """BEIR's archive, the same through ir_datasets from its cache, and Parquet of the hub, as real commands."""
    source = data_folder / "scifact"
    texts = {"corpus": gzip.decompress((source / "corpus.jsonl.gz").read_bytes()).decode()}
    texts["queries"] = (source / "queries.jsonl").read_text("utf-8")
    qrels = {f"{split}.tsv": (source / "qrels" / f"{split}.tsv").read_text() for split in ("test", "train")}
    archive = tmp_path / "files" / "scifact.zip"
    archive.parent.mkdir()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as file:
        for name, content in texts.items():
            file.writestr(f"scifact/{name}.jsonl", content)
        for name, content in qrels.items():
            file.writestr(f"scifact/qrels/{name}", content)
    cached = tmp_path / "ir_datasets" / "beir" / "scifact" / "source.zip"
    cached.parent.mkdir(parents=True)
    shutil.copy(archive, cached)
    rows = {name: [json.loads(line) for line in content.splitlines()] for name, content in texts.items()}
    files = {f"{name}/{name}-0.parquet": table(rows[name], "_id", "title", "text") for name in rows}
    write_files(tmp_path / "datasets" / "scifact", files)
    write_files(tmp_path / "datasets" / "scifact-qrels", qrels)
    code = """
import sys
from core import collection
from core.formats import sources
from core.workspace import command_line
sources.BEIR_MD5 = {}
for source in sys.argv[1:]:
    command_line.run(lambda: collection.main(["--collection", source]))
"""
    with serving(Content(datasets=tmp_path / "datasets", files=tmp_path / "files")) as server:
        ours = {"RANKSCOPE_ARTIFACTS": str(tmp_path / "artifacts"), "IR_DATASETS_HOME": str(tmp_path / "ir_datasets")}
        command = [sys.executable, "-c", code, "scifact", "ir_datasets:beir/scifact/test", "hub:BeIR/scifact"]
        variables = os.environ | environment(server, tmp_path / "home") | ours
        ended = subprocess.run(
            command, cwd=ROOT, env=variables, capture_output=True, text=True, timeout=300, check=False
        )
    assert ended.returncode == 0, ended.stderr
    made = Workspace(tmp_path / "artifacts")
    by_beir, by_ir_datasets, by_hub = (digests(made, name) for name in ("scifact", "beir-scifact-test", "BeIR-scifact"))
    assert by_beir == by_ir_datasets == by_hub
    assert len(by_beir) >= 3
