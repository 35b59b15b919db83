"""Encode documents with a dense model: the artifact `vectors/<system>`, float32 [n_documents, dimension].

Documents go through in shards of similar length; each finished shard is on disk, so an interrupted run goes on.
"""

import argparse
import json
import os
import time
from pathlib import Path
from typing import Any, Literal

import numpy as np
from tqdm import tqdm

from core import cli
from core.artifacts import open_artifact, read_manifest, rebuild_command, shown, write_text, writing
from core.collection import CORPUS, collection_digests, read_built_collection
from core.errors import UserError
from core.models import digest_if_here, locate_model, model_digest, pick_device, shown_model, unloadable
from core.profile import Profile, SystemSettings

SHARD = 512
CPU_BATCH, CPU_QUERY_BATCH, GPU_BATCH = 8, 64, 128
"""Batches of 8 documents stay in the cache of a desktop core: 1.4 times faster there than batches of 32; of queries,
which are short, 64 do."""


def load_encoder(system: SystemSettings, device: str = "auto") -> Any:
    """Return the system's `SentenceTransformer` in its precision, ready to encode.

    Raises:
        UserError: the model is not to be had, or cannot be loaded.
    """
    folder = locate_model(system.model)
    model_digest(folder)  # refuses a folder without .safetensors weights
    import torch
    from sentence_transformers import SentenceTransformer

    dtype = torch.bfloat16 if system.precision == "bf16" else torch.float32
    try:
        encoder = SentenceTransformer(
            str(folder), device=pick_device(device), model_kwargs={"use_safetensors": True, "dtype": dtype}
        )
    except Exception as error:  # the libraries raise a dozen kinds, all meaning that its files are no such model
        raise unloadable(system.model, error) from None
    if system.max_tokens:
        encoder.max_seq_length = system.max_tokens
    return encoder


def encode_texts(encoder: Any, texts: list[str], role: Literal["query", "document"]) -> np.ndarray:
    """Encode texts, float32 [n_texts, dimension]; a model of two towers has one for each role."""
    encode = encoder.encode_query if role == "query" else encoder.encode_document
    on_cpu = CPU_QUERY_BATCH if role == "query" else CPU_BATCH
    batch = on_cpu if encoder.device.type == "cpu" else GPU_BATCH
    return encode(texts, batch_size=batch, show_progress_bar=False).astype(np.float32)


def new_rows(path: Path, shape: tuple[int, ...]) -> np.memmap:
    """Return a new .npy file of float32 as a memory map, with its space on disk taken.

    A page of a map that finds the disk full ends the process by a signal; the space taken beforehand, it is an error.
    """
    rows = np.lib.format.open_memmap(path, mode="w+", dtype=np.float32, shape=shape)
    if hasattr(os, "posix_fallocate"):
        with path.open("r+b") as file:
            os.posix_fallocate(file.fileno(), 0, max(1, path.stat().st_size))
    return rows


def encode_to_file(
    encoder: Any, texts: list[str], role: Literal["query", "document"], path: Path, description: str
) -> float | None:
    """Encode texts into a .npy file, float32 [n_texts, dimension], shards of similar length one after the other.

    A file `<path>.progress` beside it says how much is done, so an interrupted call goes on; it is removed at the end.
    Returns the texts encoded a second by this call, None where there was nothing left to do.
    """
    order = sorted(range(len(texts)), key=lambda i: (len(texts[i]), i))
    progress = path.with_name(f"{path.name}.progress")
    if path.exists() and not progress.exists():
        return None
    done = int(progress.read_text()) if progress.exists() else 0
    shape = (len(texts), encoder.get_embedding_dimension())
    write_text(progress, str(done))
    rows = np.lib.format.open_memmap(path, mode="r+") if done else new_rows(path, shape)
    started = time.perf_counter()
    with tqdm(total=len(texts), initial=done, desc=description, unit=role) as bar:
        for begin in range(done, len(order), SHARD):
            members = order[begin : begin + SHARD]
            rows[members] = encode_texts(encoder, [texts[i] for i in members], role)
            rows.flush()
            write_text(progress, str(begin + len(members)))
            bar.update(len(members))
    progress.unlink()
    return (len(texts) - done) / (time.perf_counter() - started)


def encode_collection(profile: Profile, system: SystemSettings, folder: Path, device: str = "auto") -> Path:
    """Encode the built collection under `folder` as the artifact `vectors/<system>`."""
    target = folder / "vectors" / system.name
    facts: dict[str, Any] = {}
    locate_model(system.model)  # before its digest is taken: one that is yet to be downloaded has none
    with writing(
        target, "encode", vectors_settings(system), vectors_inputs(system, folder), facts, resume=True
    ) as partial:
        documents = read_built_collection(folder).documents
        encoder = load_encoder(system, device)
        texts = [system.document_prefix + document.full_text for document in documents]
        speed = encode_to_file(encoder, texts, "document", partial / "vectors.npy", f"encode {system.name}")
        if speed:
            facts["documents_per_second"] = round(speed, 2)
        facts |= {"documents": len(texts), "dimension": encoder.get_embedding_dimension()}
        facts |= {"device": encoder.device.type, "model": shown_model(system.model)}
        facts |= {"max_tokens": encoder.max_seq_length}
        (partial / "document_ids.json").write_text(json.dumps([document.id for document in documents]))
    return target


def vectors_settings(system: SystemSettings) -> dict[str, Any]:
    """Return the settings that shape the vectors, for their manifest."""
    settings: dict[str, Any] = {"max_tokens": system.max_tokens, "document_prefix": system.document_prefix}
    # Named only where it is another than that of all vectors made before there was a choice: those stay fresh.
    return settings if system.precision == "fp32" else settings | {"precision": system.precision}


def vectors_inputs(system: SystemSettings, folder: Path) -> dict[str, str]:
    """Return the digests of collection and model; the model's is "" where it is not on this machine."""
    return collection_digests(folder, CORPUS) | {"model": digest_if_here(system.model)}


def load_encoder_of(folder: Path, system: SystemSettings, device: str = "auto") -> Any:
    """Return the encoder that made the vectors of a system under `folder`, ready to encode queries.

    Raises:
        UserError: the model is not to be had, or is another one than made the vectors.
    """
    vectors = folder / "vectors" / system.name
    made_by = read_manifest(vectors).inputs.get("model", "")
    if made_by and model_digest(locate_model(system.model)) != made_by:
        raise UserError(
            f"the files of the model {shown_model(system.model)} are not those that made {shown(vectors)}; put the "
            f"right ones in their place, or encode anew with {rebuild_command(vectors)}"
        )
    return load_encoder(system, device)


def load_vectors(folder: Path, system: str) -> tuple[np.ndarray, list[str]]:
    """Open the artifact `vectors/<system>`: float32 [n_documents, dimension], memory-mapped, and the documents' ids.

    Raises:
        UserError: it is missing or damaged.
    """
    target = folder / "vectors" / system
    open_artifact(target)
    ids = json.loads((target / "document_ids.json").read_text(encoding="utf-8"))
    return np.load(target / "vectors.npy", mmap_mode="r", allow_pickle=False), ids


def main(arguments: list[str] | None = None) -> None:
    """Run `python -m core.encode`: encode the built collection with every dense system of the profile."""
    parser = argparse.ArgumentParser(prog="python -m core.encode", description=__doc__)
    cli.add_profile_options(parser)
    options = parser.parse_args(arguments)
    profile, folder = cli.profile_and_folder(options)
    for system in profile.system:
        if system.kind == "dense":
            print(encode_collection(profile, system, folder, options.device))


if __name__ == "__main__":
    cli.run(main)
