"""The chain as a user runs it: published figures, the sample rebuilt, the dashboard started and ended."""

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pandas as pd
import pytest

from core.evaluation.measures import evaluate, mean
from core.formats.collections import Collection
from core.formats.sources import read_collection
from core.indexes.exact import ExactIndex
from core.retrieval.encoder import encode_texts, load_encoder
from core.workspace.profile import CollectionSettings, SystemSettings, read_profile
from core.workspace.workspace import Workspace
from scripts.tables import verify

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]

FULL_VECTORS_NDCG_ON_THE_CUT = 0.92048
"""nDCG@10 of all-MiniLM-L6-v2 on `verify.cut`, by pytrec_eval on vectors of sentence-transformers' own `encode`;
scripts/tables/verify.py prints it from vectors of all of SciFact."""


@pytest.fixture(scope="module")
def scifact(data_folder: Path) -> Collection:
    return read_collection(data_folder / "scifact", CollectionSettings(name="scifact"))


@pytest.mark.data
@pytest.mark.slow
def test_all_minilm_on_the_cut_of_scifact_gives_the_figure_of_the_full_vectors(scifact: Collection) -> None:
    part = verify.cut(scifact)
    settings = SystemSettings(
        name="minilm", kind="dense", model="sentence-transformers/all-MiniLM-L6-v2", max_tokens=256
    )
    encoder = load_encoder(Workspace.default(), settings, "cpu")
    index = ExactIndex("cosine")
    index.build(encode_texts(encoder, [document.full_text for document in part.documents], "document"))
    positions, scores = index.search(encode_texts(encoder, [topic.question for topic in part.topics], "query"), 100)
    run = {
        topic.id: {part.documents[i].id: float(s) for i, s in zip(row, values, strict=True)}
        for topic, row, values in zip(part.topics, positions, scores, strict=True)
    }
    found = mean(evaluate(run, part.qrels, ["nDCG@10"])["nDCG@10"])
    assert found == pytest.approx(FULL_VECTORS_NDCG_ON_THE_CUT, abs=0.0005)


def test_the_embedded_sample_is_as_it_should_be() -> None:
    check = subprocess.run(
        [sys.executable, ROOT / "scripts" / "tables" / "check_sample.py"], capture_output=True, text=True, check=False
    )
    assert check.returncode == 0, check.stdout[-3000:] + check.stderr[-3000:]


@pytest.mark.slow
def test_a_forced_build_of_the_sample_reproduces_its_measures(tmp_path: Path) -> None:
    """All but a second dense system of the same kind, whose encoder is tested on SciFact, and the ANN sweeps."""
    left_out = "all-MiniLM-L6-v2"
    shutil.copytree(ROOT / "artifacts/sample", tmp_path / "sample", ignore=shutil.ignore_patterns(left_out))
    systems = [system.name for system in read_profile("sample").system if system.name != left_out]
    command = [sys.executable, ROOT / "scripts" / "build.py", "--profile", "sample", "--force", "--without", "ann"]
    build = subprocess.run(
        [*command, "--systems", ",".join(systems)],
        env=os.environ | {"RANKSCOPE_ARTIFACTS": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert build.returncode == 0, build.stdout[-3000:] + build.stderr[-3000:]
    made = {line.split()[-2] for line in build.stdout.splitlines() if line.strip().startswith("made")}
    assert {"collection", "bm25", "encode", "search", "evaluate"} <= made
    committed, rebuilt = (
        pd.read_csv(root / "sample/measures/measures.csv").groupby(["system", "measure"]).value.mean()[systems]
        for root in (ROOT / "artifacts", tmp_path)
    )
    assert set(committed.index) == set(rebuilt.index)
    assert (committed - rebuilt).abs().max() <= 0.002


def test_start_serves_the_dashboard_and_ctrl_c_ends_it() -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    if not (ROOT / ".venv").exists():
        pytest.skip("scripts/start.py has not made its environment here: run python3 scripts/test.py")
    command = [sys.executable, ROOT / "scripts" / "start.py", "--no-browser", "--port", str(port)]
    # A test run in the background has SIGINT ignored, and its children inherit that: as from a terminal, it is not.
    server = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    try:
        assert server.stdout
        line = next(line for line in server.stdout if "RankScope is at" in line)
        address = re.search(r"http://\S+", line)
        assert address
        with urllib.request.urlopen(address[0], timeout=10) as page:
            assert page.status == 200
    finally:
        server.send_signal(signal.SIGINT)
        rest = server.communicate(timeout=20)[0]
    assert server.returncode == 0
    assert "Traceback" not in rest
    time.sleep(0.5)
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", port)) != 0, "the server still listens"
