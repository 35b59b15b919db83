"""Milvus, a served vector engine (Wang et al., 2021): embedded by default (milvus-lite), or a cluster by its URI.

    RANKSCOPE_MILVUS_URI      the server, such as http://localhost:19530; without it Milvus runs in this process
    RANKSCOPE_MILVUS_TOKEN    user:password or a key, where the server asks for one

Both are read from the environment and written nowhere. A collection on a server is named rankscope_ and a digest of its
vectors and settings: building it again replaces it, and any of them may be dropped.

As a command it makes the artifact `milvus/<system>` of every dense system of the profile whose engine is "milvus".
"""

import argparse
import functools
import os
from pathlib import Path
from typing import Any

from core.indexes.milvus import FILE, URI, MilvusIndex
from core.retrieval.encoder import load_vectors
from core.workspace import command_line
from core.workspace.artifacts import read_manifest, writing
from core.workspace.profile import Profile, SystemSettings

# The stage


def serve(profile: Profile, system: SystemSettings, folder: Path) -> Path:
    """Index a dense system's vectors in Milvus as the artifact `milvus/<system>`.

    Raises:
        UserError: vectors are missing, or Milvus is.
    """
    target = folder / "milvus" / system.name
    facts: dict[str, Any] = {"served": bool(os.environ.get(URI))}
    with writing(target, "milvus", served_settings(system), served_inputs(system, folder), facts) as partial:
        vectors, _ = load_vectors(folder, system.name)
        index = MilvusIndex(system.similarity)
        index.build(vectors)
        index.save(partial / FILE)
        facts |= {"documents": len(vectors), "dimension": vectors.shape[1]}
    return target


def served_settings(system: SystemSettings) -> dict[str, Any]:
    """Return the settings that shape the index, for its manifest."""
    return {"similarity": system.similarity}


def served_inputs(system: SystemSettings, folder: Path) -> dict[str, str]:
    """Return the digest of the vectors."""
    return {"vectors": read_manifest(folder / "vectors" / system.name).digest}


def main(arguments: list[str] | None = None) -> None:
    """Run `python -m core.milvus_index`."""
    parser = argparse.ArgumentParser(prog="python -m core.milvus_index", description=__doc__)
    command_line.add_profile_options(parser)
    command_line.add_systems_option(parser)
    options = parser.parse_args(arguments)
    profile, folder = command_line.profile_and_folder(options)
    dense = [system for system in command_line.chosen_systems(profile, options.systems) if system.kind == "dense"]
    served = [system for system in dense if system.engine == "milvus"]
    command_line.each((system.name, functools.partial(serve, profile, system, folder)) for system in served)


if __name__ == "__main__":
    command_line.run(main)
