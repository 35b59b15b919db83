"""Encoders of dense systems, and sharded encoding of many texts into one file."""

import time
import weakref
from collections.abc import Callable, Iterator, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any, Literal, Protocol, TypeVar

import numpy as np
from tqdm import tqdm

from core.formats.documents import read_ids, shards
from core.formats.topics import Topic
from core.retrieval.own_vectors import given_queries
from core.workspace.artifacts import Artifact, Manifest, read_manifest, read_whole, value_digest
from core.workspace.command_line import note
from core.workspace.errors import UserError
from core.workspace.executors import HERE, Executor, over_shards
from core.workspace.library_internals import free_with_last_reference
from core.workspace.model_configuration import is_cross_encoder
from core.workspace.models import limit_tokens, load_sentence_transformer, locate_model, model_digest, pick_device
from core.workspace.profile import Profile, SystemSettings
from core.workspace.progress import LoggedArray, ProgressLog
from core.workspace.workspace import CollectionFolder, Workspace


def topic_vectors(
    profile: Profile, system: SystemSettings, topics: list[Topic], folder: CollectionFolder, device: str = "auto"
) -> np.ndarray:
    """Return the topics' vectors, float32 [n_topics, dimension]: given ones, or by the model of the system's vectors.

    Raises:
        UserError: if the model is unavailable, or topics of one text have different vectors.
    """
    texts = [topic.text(profile.collection.topic_field) for topic in topics]
    if given := given_queries(profile, folder, system):
        return np.stack([given[text] for text in texts])
    return encode_texts(
        load_encoder_of(folder, system, device), [system.query_prefix + text for text in texts], "query"
    )


T = TypeVar("T")


SHARD = 512


CPU_BATCH, CPU_QUERY_BATCH, GPU_BATCH, OPENVINO_BATCH = 8, 64, 128, 4
"""Batch sizes. Batches of 8 documents fit the cache of a desktop core, where torch is 1.4 times faster than on batches
of 32; OpenVINO, with a batch on each thread, is fastest on 4. Queries are shorter, so that 64 of them fit."""


def load_encoder(
    workspace: Workspace,
    system: SystemSettings,
    device: str = "auto",
    precision: str = "",
    quantised: Path | None = None,
) -> Any:
    """Return the system's `SentenceTransformer`, or the `SparseEncoder` of a sparse system, ready to encode.

    On a CPU its transformers run on OpenVINO, or else on torch, and a note says why. Its `runtime` has what is recorded
    in manifests: name and version of the library, the precision, and why OpenVINO is not used.

    A prefix in the system's settings disables the model's own prompt for that role; callers add the prefix themselves.

    Args:
        precision: "fp32", "bf16" or "fp16"; "" for that of queries, which is fp32 unless the system's is "bf16".
        quantised: a folder of models that `core.retrieval.precision` quantised.

    Raises:
        UserError: if the model is unavailable or incomplete, its input limit is below the system's `max_tokens`, or a
            quantised model cannot run here.
    """
    precision = precision or ("bf16" if system.precision == "bf16" else "fp32")
    sparse = system.kind == "sparse"

    if not sparse and is_cross_encoder(locate_model(workspace, system.model)):
        shown = workspace.shown_model(system.model)
        raise UserError(
            f'{system.name}: the model {shown} is a cross-encoder; use kind = "rerank", or an encoder of texts'
        )

    def load(device: str, precision: str) -> Any:
        return load_sentence_transformer(workspace, system.model, device, precision, sparse)

    encoder = load_to_run(load, workspace, system, pick_device(device), precision, "encoded")
    if quantised and not encoder.runtime["runtime"].startswith("openvino"):
        why = encoder.runtime.get("fallback", "a GPU is in use")
        raise UserError(f"{system.name}: int8 needs OpenVINO, but {why}")
    use_own_prefixes(encoder, system)
    if quantised:
        from core.retrieval.openvino_encoder import use_quantised

        use_quantised(encoder, quantised)
        encoder.runtime["precision"] = "int8"
    return encoder


def use_own_prefixes(encoder: Any, system: SystemSettings) -> None:
    """Disable the model's own prompt for each role that has a prefix in the system's settings."""
    for role, prefix in (("query", system.query_prefix), ("document", system.document_prefix)):
        if prefix:
            encoder.prompts[role] = ""


def load_to_run(
    load: Callable[[str, str], Any],
    workspace: Workspace,
    system: SystemSettings,
    device: str,
    precision: str,
    done: str,
) -> Any:
    """Return a system's model with its input limit, run by OpenVINO on a CPU, or else by torch, and a note says why.

    Its `runtime` has the library, the precision, and why OpenVINO does not run it.

    Args:
        load: loads the model, given the device and the precision.
        done: what the model does to documents, for the note, such as "encoded".

    Raises:
        UserError: if the input limit is below the system's `max_tokens`, or `load` raises one.
    """

    def limited(precision: str) -> Any:
        model = load(device, precision)
        limit_tokens(model, system.max_tokens, f"max_tokens of {system.name}")
        free_with_last_reference(model)
        return model

    fallback: dict[str, str] = {}
    if device == "cpu":
        from core.retrieval.openvino_encoder import NotConverted, use_openvino

        model = limited("fp32")
        digest = model_digest(locate_model(workspace, system.model))
        try:
            use_openvino(model, workspace, system.model, digest, precision)
        except NotConverted as error:
            note(f"{system.name} is {done} by torch, which is slower than OpenVINO: {error}")
            fallback = {"fallback": str(error)}
        else:
            model.runtime = {"runtime": f"openvino {metadata.version('openvino')}", "precision": precision}
            return model
    model = limited(precision)
    model.runtime = fallback | {"runtime": f"torch {metadata.version('torch')}", "precision": precision}
    return model


def encode_texts(
    encoder: Any, texts: list[str], role: Literal["query", "document"], batch: int = 0, pool: Any = None
) -> np.ndarray:
    """Encode texts, float32 [n_texts, dimension]; a two-tower model has one encoder for each role.

    Args:
        batch: the number of texts per forward pass; 0 selects the fastest for the model's device.
        pool: a pool of processes that share the texts, from the encoder's `start_multi_process_pool`.

    Raises:
        UserError: if a vector has NaN or infinite values.
    """
    method = "encode_query" if role == "query" else "encode_document"
    openvino = getattr(encoder, "runtime", {}).get("runtime", "").startswith("openvino")
    on_cpu = CPU_QUERY_BATCH if role == "query" else OPENVINO_BATCH if openvino else CPU_BATCH
    batch = batch or (on_cpu if encoder.device.type == "cpu" and not pool else GPU_BATCH)
    options: dict[str, Any] = {"batch_size": batch, "show_progress_bar": False}
    if pool:
        options |= {"pool": pool, "chunk_size": -(-len(texts) // len(pool["processes"]))}
    if openvino and 1 < batch < len(texts):
        from core.retrieval.openvino_encoder import encode_in_streams

        vectors = encode_in_streams(encoder, method, texts, batch)
    else:
        vectors = getattr(encoder, method)(texts, **options).astype(np.float32)
    if not (finite := np.isfinite(vectors).all(axis=-1)).all():
        text = " ".join(texts[int(np.argmin(finite))].split())[:60]
        raise UserError(
            f'the model gives a vector with NaN or infinite values for the {role} "{text}"; use another precision or '
            "other weights"
        )
    return vectors


class Encoder:
    """Holds a model in a worker process and encodes shards of texts, on several GPUs if there are."""

    def __init__(self, load: Callable[[], Any], role: Literal["query", "document"], devices: Sequence[str] = ()):
        """Load the model by calling `load`, such as `load_encoder` or `load_encoder_of`.

        Args:
            devices: those that share a shard, each with a process and a copy of the model; by default all GPUs, if the
                model was loaded on one that was not chosen by number.
        """
        self.model, self.role = load(), role
        self.about = {"device": self.model.device.type, "max_tokens": self.model.max_seq_length}
        self.about |= getattr(self.model, "runtime", {})
        devices = devices or _gpus(self.model.device)
        self._pool = None
        if len(devices) > 1:
            self._pool = self.model.start_multi_process_pool(list(devices))
            self.about["devices"] = len(devices)
            weakref.finalize(self, self.model.stop_multi_process_pool, self._pool)

    def __call__(self, texts: list[str]) -> tuple[np.ndarray, dict[str, Any]]:
        """Return vectors, float32 [n_texts, dimension], and the device and token limit that they were made with."""
        shared = {"pool": self._pool} if self._pool else {}
        return encode_texts(self.model, texts, self.role, **shared), self.about


def _gpus(device: Any) -> list[str]:
    """Return the names of all GPUs if a device is a GPU chosen by "auto" or "cuda"."""
    import torch

    if device.type != "cuda" or device.index not in (None, 0):
        return []
    return [f"cuda:{number}" for number in range(torch.cuda.device_count())]


def encode_to_file(
    open_encoder: Callable[[], Encoder],
    items: Sequence[T],
    text: Callable[[T], str],
    path: Path,
    log: ProgressLog,
    description: str,
    executor: Executor = HERE,
    made_with: str = "",
) -> dict[str, Any]:
    """Encode the texts of items into a .npy file, float32 [n_items, dimension]; see `encode_shards`."""
    vectors = LoggedArray(path, len(items), log)
    return encode_shards(open_encoder, items, text, vectors, description, executor, made_with)


class Rows(Protocol):
    """Where the rows of encoded shards are kept; see `LoggedArray`."""

    def holds(self, shard: str, rows: Any, made_from: str) -> bool:
        """Return whether the rows were written for this shard from the same input and are intact."""

    def write(self, shard: str, rows: Any, made_from: str, values: Any) -> None:
        """Write the rows of a shard."""


def encode_shards(
    open_encoder: Callable[[], Callable[[list[str]], tuple[Any, dict[str, Any]]]],
    items: Sequence[T],
    text: Callable[[T], str],
    kept: Rows,
    description: str,
    executor: Executor = HERE,
    made_with: str = "",
) -> dict[str, Any]:
    """Encode the texts of items shard by shard.

    Shards logged as finished are skipped unless their texts, their rows or `made_with` have changed.

    Args:
        made_with: what else determines the rows, such as the precision.

    Returns:
        The device, the token limit and the number of texts per second in this call; empty if nothing was left to
        encode.
    """
    facts: dict[str, Any] = {}
    encoded, started = 0, time.perf_counter()
    with tqdm(total=len(items), desc=description) as bar:

        def unfinished() -> Iterator[tuple[tuple[str, list[int], str], list[str]]]:
            for number, positions, members in shards(items, lambda item: len(text(item)), SHARD):
                texts = list(map(text, members))
                key = str(number), positions, value_digest([made_with, texts] if made_with else texts)
                if kept.holds(*key):
                    bar.update(len(positions))
                else:
                    yield key, texts

        for key, (rows, about) in over_shards(executor, open_encoder, unfinished()):
            kept.write(*key, rows)
            encoded += len(key[1])
            facts = about | {"per_second": encoded / (time.perf_counter() - started)}
            bar.update(len(key[1]))
    return facts


def load_encoder_of(folder: CollectionFolder, system: SystemSettings, device: str = "auto") -> Any:
    """Return the encoder that made the vectors or the sparse index of a system, ready to encode queries.

    Raises:
        UserError: if the model is unavailable, or is not the model that encoded the documents.
    """
    made = folder.sparse(system.name) if system.kind == "sparse" else folder.vectors(system.vectors_name)
    digest = read_manifest(made).inputs.get("model", "")
    _check_model(folder.workspace, system, made, digest)
    encoder = load_encoder(folder.workspace, system, device)
    _check_model(folder.workspace, system, made, digest)  # its files may have been replaced while loading
    return encoder


def _check_model(workspace: Workspace, system: SystemSettings, made: Artifact, digest: str) -> None:
    if not digest or model_digest(locate_model(workspace, system.model)) == digest:
        return
    raise UserError(
        f"the files of the model {workspace.shown_model(system.model)} are not those that made {made.shown}; "
        f"restore the original model files, or re-encode with {made.command}"
    )


def load_vectors(folder: CollectionFolder, system: str) -> tuple[np.ndarray, list[str]]:
    """Open the artifact `vectors/<system>`: float32 [n_documents, dimension], memory-mapped, and the documents' ids.

    Raises:
        UserError: if it is missing or damaged.
    """
    target = folder.vectors(system)

    def read(_: Manifest) -> tuple[np.ndarray, list[str]]:
        ids = read_ids(target / "document_ids.json")
        return np.load(target / "vectors.npy", mmap_mode="r", allow_pickle=False), ids

    return read_whole(target, read)
