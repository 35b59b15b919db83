"""A tiny collection with every kind of artifact that archives hold, and archives of it with changed contents."""

import hashlib
import json
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from beir_files import BEIR_FILES
from safetensors.numpy import save_file
from stages import make

from core import bm25, collection, evaluate, search
from core.formats.documents import write_ids
from core.formats.predicted_queries import write_expansions
from core.workspace.artifacts import writing
from core.workspace.command_line import save_profile
from core.workspace.profile import Profile, find_settings
from core.workspace.workspace import CollectionFolder, Workspace

NAME, MODEL = "tiny", "artifacts/models/tuned"


def build(root: Path) -> CollectionFolder:
    """Build the collection in a workspace; its vectors and its model are made up."""
    source = root.parent / "source"
    for name, text in BEIR_FILES.items():
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        (source / name).write_text(text)
    workspace = Workspace(root, checkout=root.parent)
    folder = workspace.collection(NAME)
    systems: list[dict[str, Any]] = [
        {"name": "bm25", "kind": "bm25"},
        {"name": "expanded", "kind": "bm25", "expanded": True},
        {"name": "tuned", "kind": "dense", "model": str(workspace.model(MODEL))},
        {"name": "given", "kind": "dense", "model": "nobody/such-a-model"},
    ]
    profile = Profile.model_validate(
        {"collection": {"name": NAME, "source": str(source)}, "system": systems, "finetune": {"model": MODEL}}
    )
    save_profile(profile, folder)
    make(collection.STAGE, profile, folder)
    queries = {"d1": ["do masks help"], "d2": ["who is old"], "d3": []}
    with writing(folder.predicted_queries, "doc2query generate", {}, {}) as partial:
        write_expansions(partial, queries)
    for name in ("bm25", "expanded"):
        make(bm25.STAGE, profile, folder, find_settings(profile, name))
        make(search.STAGE, profile, folder, find_settings(profile, name))
    for name in ("tuned", "given"):
        with writing(folder.vectors(name), "encode", {}, {"model": "ab" * 32}) as partial:
            np.save(partial / "vectors.npy", np.eye(3, 4, dtype=np.float32))
            write_ids(partial / "document_ids.json", ["d1", "d2", "d3"])
    with writing(workspace.model(MODEL), "finetune", {}, {}) as partial:
        (partial / "config.json").write_text('{"model_type": "bert"}')
        (partial / "history.json").write_text("[]")
        save_file({"weight": np.arange(3, dtype=np.float32)}, partial / "model.safetensors")
    make(evaluate.STAGE, profile, folder)
    return folder


def tree(folder: Path) -> dict[str, str]:
    """Return the SHA-256 of every file under a folder; links are not followed."""
    files = [path for path in folder.rglob("*") if path.is_symlink() or not path.is_dir()]
    return {path.relative_to(folder).as_posix(): about(path.read_bytes())["sha256"] for path in sorted(files)}


def contents(archive: Path) -> dict[str, bytes]:
    """Return the contents of every member of an archive."""
    with zipfile.ZipFile(archive) as file:
        return {name: file.read(name) for name in file.namelist()}


def about(content: bytes) -> dict[str, Any]:
    """Return size and digest of a file, as manifests and the index have them."""
    return {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}


def signed(table: Mapping[str, Any]) -> bytes:
    """Return a table as JSON with its own digest, as manifests, profiles and the index have it."""
    plain = {key: value for key, value in table.items() if key != "sha256"}
    text = json.dumps(plain, sort_keys=True, ensure_ascii=False)
    return json.dumps(plain | {"sha256": hashlib.sha256(text.encode()).hexdigest()}).encode()


def changed(archive: Path, target: Path, change: Callable[[dict[str, Any], dict[str, bytes]], object]) -> Path:
    """Write an archive whose index and members `change` alters; the index lists the altered members correctly.

    Entries of the index's "files" that `change` sets keep their values.
    """
    members = contents(archive)
    index = json.loads(members.pop("rankscope.json"))
    before = dict(index["files"])
    change(index, members)
    for name, content in members.items():
        if index["files"].get(name, 0) in (0, before.get(name)):
            index["files"][name] = about(content)
    index["files"] = {name: entry for name, entry in index["files"].items() if name in members or name not in before}
    write(target, {"rankscope.json": signed(index)} | members)
    return target


def write(target: Path, members: Mapping[str | zipfile.ZipInfo, bytes]) -> None:
    """Write a zip file."""
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as file:
        for name, content in members.items():
            file.writestr(name, content)
