"""The benchmark of encoding, and encoders with random weights, on a model of a few kilobytes."""

import pytest
from sentence_transformers import SentenceTransformer

from core.workspace.workspace import Workspace
from scripts.benchmarks import encoding
from scripts.random_encoder import make_random_encoder

pytest.importorskip("openvino")


@pytest.mark.slow
def test_the_benchmark_prints_a_row_for_each_way_to_encode(encoder, beir_folder, workspace, monkeypatch, capsys):
    command = ["encoding.py", beir_folder(), f"{encoder}:16", "--documents", "3", "--rounds", "1", "--ndcg"]
    monkeypatch.setattr("sys.argv", [str(part) for part in command])
    encoding.main()
    printed = capsys.readouterr().out
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in printed.splitlines() if line[:1] == "|"]
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
