"""Systems that are ready to answer, opened once for all sessions."""

import threading
from collections.abc import Sequence
from contextlib import nullcontext, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

import streamlit as st
from threadpoolctl import threadpool_limits

from core.retrieval.answer import Answer
from core.retrieval.kinds import cannot_answer, searched
from core.workspace.artifacts import Replaced, open_artifact, read_latest
from core.workspace.errors import UserError
from core.workspace.profile import Profile, SystemSettings, find_settings
from core.workspace.workspace import CollectionFolder, Workspace
from dashboard.shared import data

if TYPE_CHECKING:
    from core.retrieval.systems import System

_OPENING = threading.Lock()
TIMING = threading.Lock()
"""Lock for measuring latencies one system at a time; acquire it before the lock of a system."""
WARM_UP_SECONDS = 3.0
"""Delay between the first page and the import of libraries that it did not need; the browser is done by then."""


@dataclass(frozen=True)
class Ready:
    """An open system and the lock that serialises its queries, since tokenizers are not thread-safe."""

    system: "System"
    lock: threading.Lock


class Shared:
    """A system that is ready, as a part of another: it is searched under its own lock."""

    def __init__(self, ready: Ready):
        self._ready, self.settings = ready, ready.system.settings

    def search(self, queries: Sequence[str], k: int | Sequence[int]) -> list[Answer]:
        """See `core.retrieval.systems.System`."""
        with self._ready.lock:
            return self._ready.system.search(queries, k)

    def explain(self, query: str, document: str) -> list[tuple[str, float]]:
        """See `core.retrieval.systems.System`."""
        with self._ready.lock:
            return self._ready.system.explain(query, document)


@st.cache_resource(show_spinner=False)
def warm_up() -> None:
    """Import the libraries of dense systems in the background, as they would delay the first query by seconds."""
    timer = threading.Timer(WARM_UP_SECONDS, _import_libraries)
    timer.daemon = True
    timer.start()


def _import_libraries() -> None:
    with _OPENING, suppress(ImportError):
        import sentence_transformers  # noqa: F401


def ready_system(opened: data.Opened, settings: SystemSettings) -> Ready:
    """Return an open system, shared by all sessions.

    Raises:
        UserError: if it cannot be loaded; the message gives the reason and the command that fixes it.
    """
    return _ready_system(opened.folder, opened.profile, settings)


def _ready_system(folder: CollectionFolder, profile: Profile, settings: SystemSettings) -> Ready:
    artifacts = searched(profile, settings, folder).values()
    as_json = profile.model_dump_json()
    return read_latest(
        lambda: tuple(open_artifact(artifact, included=True).digest for artifact in artifacts),
        lambda digests: _open_system(folder, as_json, settings.name, digests),
    )


def why_unavailable(opened: data.Opened, settings: SystemSettings) -> UserError | None:
    """Return why a system cannot answer queries, without opening it; None if its artifacts and its models are here."""
    if error := cannot_answer(opened.profile, settings):
        return error
    try:
        for artifact in searched(opened.profile, settings, opened.folder).values():
            open_artifact(artifact, included=True)
        for system in (*opened.profile.built_on(settings), settings):
            _require_model(opened.folder.workspace, system)
    except UserError as error:
        return error
    return None


def _require_model(workspace: Workspace, settings: SystemSettings) -> None:
    """Raise a UserError if a system's model is not on this machine: a page must not wait for a download."""
    from core.workspace.models import find_model, how_to_provide

    if not settings.model or find_model(workspace, settings.model) is not None:
        return
    shown = workspace.shown_model(settings.model)
    provided = how_to_provide(workspace, settings.model)
    if "/" in settings.model and not shown.startswith("artifacts/"):
        provided = f"download it with hf download {settings.model}, or {provided}"
    raise UserError(f"the model {shown} is not on this machine; {provided}")


@st.cache_resource(max_entries=12, show_spinner=False)
def _open_system(folder: CollectionFolder, profile_json: str, name: str, digests: tuple[str, ...]) -> Ready:
    from core.retrieval.kinds import open_system

    profile = Profile.model_validate_json(profile_json)
    settings = find_settings(profile, name)
    _require_model(folder.workspace, settings)
    parts = {one.name: Shared(_ready_system(folder, profile, one)) for one in profile.built_on(settings)}
    # transformers imports modules lazily, which is not thread-safe; a system without a model need not wait for it. The
    # parts are opened before, since another session may hold the lock while it waits for one of them.
    with _OPENING if settings.model else nullcontext():
        if settings.model:
            import torch

            # Queries are short, and all systems answer at the same time: with more threads than cores, those of BLAS
            # wait for each other for seconds.
            torch.set_num_threads(1)
            threadpool_limits(1, "blas")
        system = open_system(profile, settings, folder, opened=parts)
        for artifact, digest in zip(searched(profile, settings, folder).values(), digests, strict=True):
            if open_artifact(artifact, included=True).digest != digest:
                raise Replaced(f"{artifact.shown} was replaced while it was opened; try again")
        system.search(["the first query waits for what loads late"], 1)
    return Ready(system, threading.Lock())
