"""The stand-in for the hub, as huggingface_hub uses a hub, and as a command."""

import hashlib
import subprocess
import sys
from pathlib import Path

import pytest
from hub import hub_at, write_files
from huggingface_hub import HfApi, hf_hub_download, snapshot_download

from scripts.campaigns import hub_stand_in
from scripts.campaigns.hub_stand_in import ROOT, Content

FILES = {f"{number}.json": {"number": number} for number in range(5)} | {"sub/model.safetensors": b"weights" * 99}


@pytest.fixture
def hub(tmp_path, monkeypatch):
    write_files(tmp_path / "repositories" / "some-name", FILES)
    with hub_at(
        Content(tmp_path / "repositories", tmp_path / "repositories"), tmp_path / "home", monkeypatch
    ) as server:
        yield server


@pytest.mark.parametrize("kind", ["model", "dataset"])
def test_a_repository_is_listed_page_by_page_and_downloaded(kind, hub, tmp_path, monkeypatch):
    monkeypatch.setattr(hub_stand_in, "PAGE", 2)
    listed = HfApi(hub.url).list_repo_files("somebody/some-name", repo_type=kind)
    assert sorted(listed) == sorted(FILES)
    folder = snapshot_download("somebody/some-name", repo_type=kind, cache_dir=tmp_path / kind)
    found = {name: (Path(folder) / name).read_bytes() for name in FILES}
    assert found == {name: (tmp_path / "repositories" / "some-name" / name).read_bytes() for name in FILES}
    assert sum("/tree/" in request.path for request in hub.content.requests) == 6, "three pages, twice"


def test_a_large_file_comes_from_another_host_with_its_sha256(hub, tmp_path):
    path = Path(hf_hub_download("some-name", "sub/model.safetensors", cache_dir=tmp_path / "cache"))
    assert path.read_bytes() == FILES["sub/model.safetensors"]
    blobs = [blob.name for blob in (tmp_path / "cache").rglob("blobs/*")]
    assert blobs == [hashlib.sha256(FILES["sub/model.safetensors"]).hexdigest()], "its ETag"
    assert [request.path for request in hub.content.requests][-1].startswith("/lfs/models/some-name/")


def test_the_command_runs_a_build_against_it():
    ended = subprocess.run(
        [sys.executable, "scripts/campaigns/hub_stand_in.py", "--", "--help"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    assert "--profile PROFILE" in ended.stdout
