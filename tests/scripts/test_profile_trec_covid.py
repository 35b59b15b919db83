"""The profile trec-covid from its downloads to its measures, in small: killed during downloads, resumed, up to date."""

import os
import subprocess
import time

import pytest
import trec_covid_stand_in

from core.formats.collections import read_built_collection
from core.workspace.artifacts import MANIFEST, file_digest, open_artifact
from core.workspace.profile import read_profile
from core.workspace.workspace import Workspace
from scripts.campaigns.hub_stand_in import ROOT, Content, Fault, build_command, environment, serving

pytestmark = pytest.mark.slow


@pytest.fixture
def content(tmp_path):
    trec_covid_stand_in.make(tmp_path / "hub")
    return Content(*(tmp_path / "hub" / name for name in ("models", "datasets", "files")))


@pytest.fixture
def start(tmp_path, content):
    """Return a function that starts a build whose only way to any server is the stand-in."""
    with serving(content) as server:
        variables = os.environ | environment(server, tmp_path / "home")
        variables |= {"RANKSCOPE_ARTIFACTS": str(tmp_path / "artifacts"), "HOME": str(tmp_path)}
        variables |= {"http_proxy": "http://127.0.0.1:9", "https_proxy": "http://127.0.0.1:9"}
        build = build_command(content.files, ["--profile", "trec-covid", "--device", "cpu"])
        streams = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
        yield lambda: subprocess.Popen(build, cwd=ROOT, env=variables, text=True, **streams)


def finish(process):
    said, _ = process.communicate(timeout=900)
    assert process.returncode == 0, said[-3000:]


def requested(content, beginning):
    return [request for request in content.requests if request.method == "GET" and request.path.startswith(beginning)]


def kill_during(process, began):
    """Kill a build as soon as `began` returns a true value."""
    deadline = time.monotonic() + 300
    while not began() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.05)
    time.sleep(0.2)
    process.kill()
    said, _ = process.communicate()
    assert began(), said[-3000:]
    assert process.returncode < 0, "it had not ended"


def test_the_profile_is_built_whole_though_killed_during_downloads_and_then_is_up_to_date(start, content, tmp_path):
    workspace, profile = Workspace(tmp_path / "artifacts"), read_profile("trec-covid")
    folder, part = workspace.collection("trec-covid"), workspace.downloads / "trec-covid.zip.part"

    content.faults = [Fault("/files/trec-covid.zip", seconds=60)]
    kill_during(start(), lambda: part.is_file() and part.stat().st_size)
    received = part.stat().st_size
    assert 0 < received < (content.files / "trec-covid.zip").stat().st_size

    content.faults, content.requests = [Fault("/lfs/*", seconds=60)], []
    kill_during(start(), lambda: requested(content, "/lfs/"))
    assert [request.range for request in requested(content, "/files/trec-covid.zip")] == [f"bytes={received}-"]

    content.faults, content.requests = [], []
    finish(start())
    assert not requested(content, "/files/trec-covid.zip"), "what was whole is not fetched again"
    assert not [request for request in content.requests if "agent" in request.path], "no telemetry of the hub's client"
    built = read_built_collection(folder)
    assert (len(built.documents), len(built.topics)) == (trec_covid_stand_in.DOCUMENTS, trec_covid_stand_in.TOPICS)
    dense = [system.name for system in profile.system if system.kind == "dense"]
    for made in (
        *(folder.run(system.name) for system in profile.system),
        *(folder.vectors(name) for name in dense),
        *(folder.sweep(name) for name in dense),
        folder.predicted_queries,
        folder.measures,
        workspace.model(profile.finetune.model),
    ):
        open_artifact(made)  # raises if it is absent or damaged

    def manifests():
        return {path: file_digest(path) for path in workspace.root.rglob(MANIFEST)}

    before, content.requests = manifests(), []
    finish(start())
    assert manifests() == before
    assert not content.requests, "an up-to-date build asks no server"
