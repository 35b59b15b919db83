"""The stand-in for the hub in tests: repositories in folders of the test's own, and a cache of its own."""

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from huggingface_hub import constants

from scripts.campaigns.hub_stand_in import Content, HubStandIn, serving


@contextlib.contextmanager
def hub_at(content: Content, home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[HubStandIn]:
    """Serve, and let huggingface_hub of this process use the stand-in and a cache in `home`."""
    with serving(content) as server:
        use(server.url, home, monkeypatch)
        yield server


def use(url: str, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let huggingface_hub of this process use another hub and cache; it reads the variables when it is imported."""
    monkeypatch.setattr(constants, "ENDPOINT", url)
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", url + "/{repo_id}/resolve/{revision}/{filename}")
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(home / "hub"))
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(home / "token"))
    monkeypatch.delenv("HF_TOKEN", raising=False)


def write_files(folder: Path, files: dict[str, str | bytes | dict]) -> Path:
    """Write files, objects as JSON, and return the folder."""
    for name, content in files.items():
        content = json.dumps(content) if isinstance(content, dict) else content
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content.encode() if isinstance(content, str) else content)
    return folder
