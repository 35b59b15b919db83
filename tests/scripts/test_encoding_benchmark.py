"""The benchmark of encoding, and encoders with random weights, on a model of a few kilobytes."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from sentence_transformers import SentenceTransformer

from core.workspace.workspace import Workspace
from scripts.random_encoder import make_random_encoder

ROOT = Path(__file__).resolve().parents[2]
pytest.importorskip("openvino")


@pytest.mark.slow
def test_the_benchmark_prints_a_row_for_each_way_to_encode(encoder, beir_folder, tmp_path):
    script = ROOT / "scripts" / "benchmarks" / "encoding.py"
    ended = subprocess.run(
        [sys.executable, script, beir_folder(), f"{encoder}:16", "--documents", "3", "--rounds", "1", "--ndcg"],
        env=os.environ | {"RANKSCOPE_ARTIFACTS": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in ended.stdout.splitlines() if line[:1] == "|"]
    assert [row[0].split(" (")[0] for row in rows[2:5]] == [
        "SentenceTransformer.encode",
        "torch, fp32, batches by length",
        "OpenVINO, fp32",
    ]
    assert {row[3] for row in rows[2:5]} == {"1.00000 / 1.00000"}
    assert len({row[4] for row in rows[2:5]}) == 1, "nDCG@10"


def test_a_random_encoder_has_the_shape_of_another(encoder, tmp_path):
    folder = make_random_encoder(Workspace.default(), str(encoder), 3, tmp_path / "random")
    made, like = (SentenceTransformer(str(path), device="cpu") for path in (folder, encoder))
    assert (made[0].model.config.num_hidden_layers, like[0].model.config.num_hidden_layers) == (3, 2)
    assert made.encode("ban").shape == like.encode("ban").shape
    assert made.max_seq_length == like.max_seq_length
