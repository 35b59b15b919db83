"""Encode documents with a dense model: the artifact `vectors/<system>`, float32 [n_documents, dimension].

Documents go through in shards of similar length; each finished shard is on disk, so an interrupted run goes on.
"""

import argparse
import functools
from pathlib import Path
from typing import Any

import numpy as np

from core.formats.collections import collection_digests, read_built_collection
from core.formats.documents import CORPUS, write_ids
from core.retrieval.encoder import Encoder, encode_to_file, load_encoder
from core.workspace import command_line, executors
from core.workspace.artifacts import writing
from core.workspace.errors import UserError
from core.workspace.executors import HERE, Engine
from core.workspace.models import (
    digest_if_here,
    locate_model,
    shown_model,
)
from core.workspace.profile import Profile, SystemSettings
from core.workspace.progress import ProgressLog


def encode_collection(
    profile: Profile, system: SystemSettings, folder: Path, device: str = "auto", engine: Engine = HERE
) -> Path:
    """Encode the built collection under `folder` as the artifact `vectors/<system>`."""
    target = folder / "vectors" / system.name
    facts: dict[str, Any] = {}
    locate_model(system.model)  # before its digest is taken: one that is yet to be downloaded has none
    settings, inputs = vectors_settings(system), vectors_inputs(system, folder)
    with writing(target, "encode", settings, inputs, facts, resume=True) as partial, ProgressLog(partial) as log:
        documents = read_built_collection(folder).documents
        path = partial / "vectors.npy"
        open_encoder = functools.partial(Encoder, functools.partial(load_encoder, system, device), "document")
        made = encode_to_file(
            open_encoder,
            documents,
            lambda document: system.document_prefix + document.full_text,
            path,
            log,
            f"encode {system.name}",
            engine,
        )
        if "per_second" in made:
            facts["documents_per_second"] = round(made.pop("per_second"), 2)
        facts |= {"documents": len(documents), "dimension": np.load(path, mmap_mode="r").shape[1]}
        facts |= made or open_encoder().about
        facts |= {"model": shown_model(system.model), "engine": engine.name}
        write_ids(partial / "document_ids.json", (document.id for document in documents))
        if vectors_inputs(system, folder) != inputs:
            raise UserError(f"collection or model of {system.name} changed while it was encoded; encode it again")
    return target


def vectors_settings(system: SystemSettings) -> dict[str, Any]:
    """Return the settings that shape the vectors, for their manifest."""
    settings: dict[str, Any] = {"max_tokens": system.max_tokens, "document_prefix": system.document_prefix}
    # Named only where it is another than that of all vectors made before there was a choice: those stay fresh.
    return settings if system.precision == "fp32" else settings | {"precision": system.precision}


def vectors_inputs(system: SystemSettings, folder: Path) -> dict[str, str]:
    """Return the digests of collection and model; the model's is "" where it is not on this machine."""
    return collection_digests(folder, CORPUS) | {"model": digest_if_here(system.model)}


def main(arguments: list[str] | None = None) -> None:
    """Run `python -m core.encode`: encode the built collection with every dense system of the profile."""
    parser = argparse.ArgumentParser(prog="python -m core.encode", description=__doc__)
    command_line.add_profile_options(parser)
    command_line.add_systems_option(parser)
    executors.add_options(parser)
    options = parser.parse_args(arguments)
    profile, folder = command_line.profile_and_folder(options)
    engine = executors.chosen(options)
    dense = [system for system in command_line.chosen_systems(profile, options.systems) if system.kind == "dense"]
    command_line.each(
        (s.name, functools.partial(encode_collection, profile, s, folder, options.device, engine)) for s in dense
    )


if __name__ == "__main__":
    command_line.run(main)
