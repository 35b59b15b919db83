"""Models from the hub, against a stand-in that behaves well and badly: success, or one sentence with what to do."""

import errno
import os
import random
import shutil

import pytest
import torch
from hub import hub_at, use, write_files
from huggingface_hub import constants, file_download
from transformers import BertModel

from core.workspace.errors import UserError
from core.workspace.models import MODELS_VARIABLE, find_model, locate_model
from scripts.campaigns.hub_stand_in import Content, Fault, Repository

WEIGHTS = random.Random(1).randbytes(400_000)
NAME = "somebody/some-model"
FILES = {
    "config.json": {"model_type": "bert"},
    "1_Pooling/config.json": {"pooling": "mean"},
    "model.safetensors": WEIGHTS,
    "README.md": "a card",
}
OTHERS = {"pytorch_model.bin": b"pickle", "onnx/model.onnx": b"onnx", "tf_model.h5": b"h5", "train.py": "evil()"}


@pytest.fixture
def folder(tmp_path):
    return write_files(tmp_path / "models" / "some-model", FILES | OTHERS)


@pytest.fixture
def hub(tmp_path, folder, monkeypatch):
    monkeypatch.delenv(MODELS_VARIABLE, raising=False)
    with hub_at(Content(models=tmp_path / "models"), tmp_path / "home", monkeypatch) as server:
        yield server.content


def fetched(content, ending=""):
    """Return the requests for contents of files."""
    stored = ("/lfs/", "/api/resolve-cache/")
    return [r for r in content.requests if r.method == "GET" and r.path.startswith(stored) and r.path.endswith(ending)]


def assert_whole(located):
    files = {path.relative_to(located).as_posix(): path for path in located.rglob("*") if path.is_file()}
    assert files.keys() == FILES.keys()
    assert files["model.safetensors"].read_bytes() == WEIGHTS


def refused(workspace, name=NAME):
    with pytest.raises(UserError) as caught:
        locate_model(workspace, name)
    message = str(caught.value)
    assert "\n" not in message
    assert message.endswith("with --models (for the dashboard: in RANKSCOPE_MODELS)")
    return message


def test_a_model_with_safetensors_is_downloaded_once_and_no_pickle_of_it(workspace, hub):
    assert find_model(workspace, NAME) is None
    assert_whole(locate_model(workspace, NAME))
    assert len(fetched(hub)) == len(FILES)
    hub.requests.clear()
    assert_whole(locate_model(workspace, NAME))
    assert not hub.requests, "the second time it is on this machine"


def test_a_model_that_is_a_pickle_only_is_converted(workspace, hub, tmp_path, tiny_bert, monkeypatch):
    pickled = tmp_path / "models" / "pickled"
    shutil.copytree(tiny_bert, pickled, ignore=shutil.ignore_patterns("*.safetensors"))
    model = BertModel.from_pretrained(tiny_bert)
    torch.save(model.state_dict(), pickled / "pytorch_model.bin")
    converted = locate_model(workspace, "microsoft/pickled")
    assert not list(converted.rglob("*.bin"))
    again = BertModel.from_pretrained(converted, use_safetensors=True).state_dict()
    assert all((again[name] == weights).all() for name, weights in model.state_dict().items())
    hub.requests.clear()
    use("http://127.0.0.1:9", tmp_path / "other-home", monkeypatch)
    assert locate_model(workspace, "microsoft/pickled") == converted, "neither hub nor cache is needed any more"
    assert not hub.requests


def test_a_gated_model_needs_a_token_of_someone_with_access(workspace, hub, folder, monkeypatch):
    hub.repositories[f"models/{NAME}"] = Repository(folder, gated="hf_right")
    for token in ("", "hf_other"):
        monkeypatch.setenv("HF_TOKEN", token)
        message = refused(workspace)
        assert f"{NAME} is gated: accept its conditions at {constants.ENDPOINT}/{NAME} and set HF_TOKEN" in message
    monkeypatch.setenv("HF_TOKEN", "hf_right")
    assert_whole(locate_model(workspace, NAME))


def test_a_missing_or_private_model_is_said_to_be_so(workspace, hub, folder, monkeypatch):
    hub.repositories["models/somebody/private"] = Repository(folder, private=True)
    for name in ("somebody/none", "somebody/private"):
        for token in ("", "hf_other"):
            monkeypatch.setenv("HF_TOKEN", token)
            assert f"the hub has no model {name}, or it is private: correct the name" in refused(workspace, name)


def test_a_slow_hub_is_waited_for_and_one_that_hangs_is_asked_again(workspace, hub, monkeypatch):
    monkeypatch.setattr(constants, "HF_HUB_DOWNLOAD_TIMEOUT", 0.4)
    hub.faults = [Fault("/lfs/*", seconds=1, times=1), Fault("/lfs/*", seconds=0.05)]
    assert_whole(locate_model(workspace, NAME))
    assert len(fetched(hub, "model.safetensors")) == 2


def test_a_download_that_is_cut_off_goes_on_where_it_was(workspace, hub, monkeypatch):
    monkeypatch.setattr(constants, "DOWNLOAD_CHUNK_SIZE", 50_000)
    hub.faults = [Fault("/lfs/*", cut=150_000, times=1)]
    assert_whole(locate_model(workspace, NAME))
    first, second = fetched(hub, "model.safetensors")
    assert (first.range, second.range) == ("", "bytes=150000-")


def test_a_hub_in_trouble_is_told(workspace, hub, monkeypatch):
    hub.faults = [Fault("*/model.safetensors", status=503)]
    monkeypatch.setattr(file_download, "_ETAG_RETRY_TIMEOUT", 1)
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    message = refused(workspace)
    assert f"{NAME} could not be downloaded from the hub" in message
    assert "check the connection and run the command again to resume" in message
    assert find_model(workspace, NAME) is None, "what is there is not the whole model"


def test_a_rerun_fetches_the_rest(workspace, hub, monkeypatch):
    hub.faults = [Fault("/lfs/*", status=404)]
    assert "could not be downloaded" in refused(workspace)
    assert find_model(workspace, NAME) is None
    hub.faults = []
    hub.requests.clear()
    assert_whole(locate_model(workspace, NAME))
    assert [request.path.rpartition("/")[2] for request in fetched(hub)] == ["model.safetensors"]


def test_without_a_hub_what_is_here_is_used_and_what_is_not_is_told(workspace, hub, tmp_path, monkeypatch):
    assert_whole(locate_model(workspace, NAME))
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    assert_whole(locate_model(workspace, NAME))
    assert "check the connection" in refused(workspace, "somebody/other")


def test_a_full_disk_is_told_and_leaves_no_partial_model(workspace, hub, monkeypatch):
    def full(url, file, **_):
        file.write(WEIGHTS[:1000])
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patched:
        patched.setattr(file_download, "http_get", full)
        message = refused(workspace)
    assert f"as the disk of {constants.HF_HUB_CACHE} is full: free some space, or set HF_HOME" in message
    assert find_model(workspace, NAME) is None
    assert_whole(locate_model(workspace, NAME))


def test_files_that_change_between_listing_and_download_are_told_and_the_next_run_has_the_new_ones(
    workspace, hub, folder
):
    hub.listed = lambda name: (folder / "model.safetensors").write_bytes(WEIGHTS[::-1])
    assert "its files changed meanwhile: run the command again" in refused(workspace)
    hub.listed = lambda name: None
    located = locate_model(workspace, NAME)
    assert (located / "model.safetensors").read_bytes() == WEIGHTS[::-1]
