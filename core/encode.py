"""Encode documents with a dense model: the artifact `vectors/<system>`, float32 [n_documents, dimension].

Documents are encoded in shards of similar length. Finished shards are on disk, so that an interrupted run resumes.
"""

import functools
from collections.abc import Callable, Iterator, Mapping
from importlib.util import find_spec
from typing import Any

import numpy as np

from core.formats.collections import collection_digests, read_built_collection
from core.formats.documents import CORPUS, write_ids
from core.retrieval import own_vectors
from core.retrieval.encoder import Encoder, encode_to_file, load_encoder
from core.retrieval.precision import auto_precision, quantise
from core.workspace import command_line
from core.workspace.artifacts import remove_tree
from core.workspace.estimates import Cost, Rate, Sizes
from core.workspace.model_configuration import describe_model
from core.workspace.model_shapes import shape_of
from core.workspace.models import device_without_torch, digest_if_here, locate_model
from core.workspace.profile import SystemSettings
from core.workspace.stage import Build, Draft, Stage, Target

RATES = {
    ("openvino", "fp32"): (3.7e11, 3.6e11, "fp32"),
    ("openvino", "bf16"): (6.4e11, 6.7e11, "bf16"),
    ("openvino", "int8"): (8.9e11, 1.0e12, "fp32"),
    ("torch", "fp32"): (1.7e11, 1.0e11, "fp32"),
    ("torch", "bf16"): (4e11, 2.8e11, "bf16"),
    ("gpu", "fp32"): (4e12, 8e12, ""),
    ("gpu", "bf16"): (8e12, 5e13, ""),
}
"""Runtime and precision -> floating-point operations per second of narrow and of wide models, and their probe."""


COPYING = Rate("copy vectors", 2e8)
"""Bytes per second."""


WIDE = 512
"""Dimension of the hidden states from which a model counts as wide."""


def encoding_rate(build: Build, system: SystemSettings, width: int) -> Rate:
    """Return the speed of encoding documents with a system's model of this width."""
    runtime, precision = "gpu", str(system.precision)
    if device_without_torch(build.device) == "cpu":
        runtime = "openvino" if find_spec("openvino") else "torch"
    if precision == "auto":
        from core.retrieval.openvino_encoder import has_fast_bf16

        precision = "bf16" if runtime == "gpu" or has_fast_bf16() else "fp32"
    return rate_by_width("encode", RATES, runtime, precision if (runtime, precision) in RATES else "fp32", width)


def rate_by_width(
    name: str, rates: Mapping[tuple[str, str], tuple[float, float, str]], runtime: str, precision: str, width: int
) -> Rate:
    """Return the rate of a model of this width from a table such as `RATES`."""
    narrow, wide, probe = rates[runtime, precision]
    is_wide = width >= WIDE
    return Rate(f"{name} {runtime} {precision} {'wide' if is_wide else 'narrow'}", wide if is_wide else narrow, probe)


def targets(build: Build) -> Iterator[Target[SystemSettings]]:
    """Yield the vectors of each dense system, and those for filtering predicted queries."""
    needed = {system.vectors_name for system in build.dense}
    needed |= {build.profile.doc2query.scorer} if build.filters_queries else set()
    for system in [s for s in build.profile.system if s.kind == "dense" and s.name in needed]:
        trained = (build.folder.model(system.model),) if system.model == build.profile.finetune.model else ()
        yield Target(build.folder.vectors(system.name), system, trained)


def settings(build: Build, system: SystemSettings) -> dict[str, Any]:
    """Return the settings that affect the vectors; of own vectors, those by which they are checked."""
    if system.vectors:
        return {"similarity": system.similarity}
    shaped: dict[str, Any] = {"max_tokens": system.max_tokens, "document_prefix": system.document_prefix}
    # Only recorded if it is not the default, so that vectors made before this setting existed stay up to date.
    return shaped if system.precision == "fp32" else shaped | {"precision": system.precision}


def inputs(build: Build, system: SystemSettings) -> dict[str, str]:
    """Return the digests of the documents and the model; "" for a model that is not on this machine."""
    if system.vectors:
        return own_vectors.inputs(build.folder, system)
    model = digest_if_here(build.folder.workspace, system.model)
    return collection_digests(build.folder, CORPUS) | {"model": model}


def make(build: Build, system: SystemSettings, draft: Draft) -> None:
    """Encode the built collection, or copy vectors that were made elsewhere."""
    if system.vectors:
        draft.facts.update(own_vectors.write_own_vectors(build.profile, build.folder, system, draft.folder))
        return
    workspace, path = build.folder.workspace, draft / "vectors.npy"
    documents = read_built_collection(build.folder).documents
    load = functools.partial(load_encoder, workspace, system, build.device)
    quantised, made_with = draft / "quantised", ""
    if system.precision == "auto":
        device = build.executor.device(build.device)
        made_with, draft.facts["lowest_cosines"] = auto_precision(workspace, system, documents, device, draft.log)
        load = functools.partial(load, made_with)
    elif system.precision == "int8":
        made_with = quantise(workspace, system, documents, quantised, draft.log)
        load = functools.partial(load, "fp32", quantised)
    open_encoder = functools.partial(Encoder, load, "document")
    made = encode_to_file(
        open_encoder,
        documents,
        lambda document: system.document_prefix + document.full_text,
        path,
        draft.log,
        f"encode {system.name}",
        build.executor,
        made_with,
    )
    draft.facts.update(documents=len(documents), dimension=np.load(path, mmap_mode="r").shape[1])
    draft.facts.update(encoding_facts(build, system, made, open_encoder))
    write_ids(draft / "document_ids.json", (document.id for document in documents))
    remove_tree(quantised)


def encoding_facts(
    build: Build, system: SystemSettings, made: dict[str, Any], open_encoder: Callable[[], Encoder]
) -> dict[str, Any]:
    """Return what a manifest records of how documents were encoded.

    Args:
        made: the facts of the call that encoded them; if it is empty, an encoder is opened to describe it.
    """
    workspace = build.folder.workspace
    facts = {"documents_per_second": round(made.pop("per_second"), 2)} if "per_second" in made else {}
    facts |= made or open_encoder().about
    facts |= describe_model(locate_model(workspace, system.model))
    return facts | {"model": workspace.shown_model(system.model), "engine": build.executor.name}


def estimate(build: Build, system: SystemSettings, sizes: Sizes) -> Cost:
    """Return the cost of encoding, in floating-point operations, or of copying, in bytes."""
    if system.vectors:
        file = build.folder.workspace.located(system.vectors)
        size = float(file.stat().st_size) if file.is_file() else 0.0
        return Cost(size, COPYING, size)
    finetune = build.profile.finetune
    base = finetune.base if system.model == finetune.model else ""
    shape = shape_of(build.folder.workspace, system.model, base)
    operations = sizes.total(shape.encoding, system.max_tokens or shape.limit)
    size = sizes.documents * (4 * shape.width + ID_BYTES)
    return Cost(operations, encoding_rate(build, system, shape.width), size, 8.0)


ID_BYTES = 13
"""Mean size of a document's id in a file."""


STAGE = Stage(
    "encode",
    targets,
    settings,
    inputs,
    make,
    estimate=estimate,
    resume=True,
    prepare=lambda build, system: system.vectors or locate_model(build.folder.workspace, system.model),
)


def main(arguments: list[str] | None = None) -> None:
    """Run `python -m core.encode`: encode the built collection with every dense system of the profile."""
    command_line.run_stage(STAGE, "encode", __doc__, arguments, "systems", "executor")


if __name__ == "__main__":
    command_line.run(main)
