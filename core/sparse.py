"""Encode documents with a learned sparse encoder and index their terms: the artifact `sparse/<system>`.

Documents are encoded in shards of similar length. Finished shards are on disk, so that an interrupted run resumes.
"""

import functools
from collections.abc import Iterator
from typing import Any

import numpy as np

from core.encode import ID_BYTES, encoding_facts, rate_by_width
from core.formats.collections import collection_digests, read_built_collection
from core.formats.documents import CORPUS
from core.retrieval.encoder import encode_shards, load_encoder
from core.retrieval.postings import Postings
from core.retrieval.sparse import LoggedRows, SparseDocumentEncoder, SparseIndex, terms_of
from core.workspace import command_line
from core.workspace.artifacts import remove_tree
from core.workspace.estimates import Cost, Sizes
from core.workspace.model_shapes import shape_of
from core.workspace.models import device_without_torch, digest_if_here, locate_model
from core.workspace.profile import SystemSettings
from core.workspace.stage import Build, Draft, Stage, Target

RATES = {
    ("cpu", "fp32"): (9e10, 1.0e11, "fp32"),
    ("cpu", "bf16"): (1.4e11, 2.8e11, "bf16"),
    ("gpu", "fp32"): (4e12, 8e12, ""),
    ("gpu", "bf16"): (8e12, 2e13, ""),
}
"""Device and precision -> floating-point operations per second of narrow and of wide models, and their probe."""


TERMS, POSTING_BYTES = 200, 8
"""Terms with a weight per document, and size of a posting."""


def targets(build: Build) -> Iterator[Target[SystemSettings]]:
    """Yield the index of each learned sparse system."""
    for system in build.sparse:
        yield Target(build.folder.sparse(system.name), system)


def settings(build: Build, system: SystemSettings) -> dict[str, Any]:
    """Return the settings that affect the index."""
    shaped: dict[str, Any] = {"max_tokens": system.max_tokens, "document_prefix": system.document_prefix}
    shaped |= {"precision": system.precision} if system.precision != "fp32" else {}
    return shaped | ({"max_document_terms": system.max_document_terms} if system.max_document_terms else {})


def inputs(build: Build, system: SystemSettings) -> dict[str, str]:
    """Return the digests of the documents and the model; "" for a model that is not on this machine."""
    return collection_digests(build.folder, CORPUS) | {"model": digest_if_here(build.folder.workspace, system.model)}


def make(build: Build, system: SystemSettings, draft: Draft) -> None:
    """Encode and index the built collection."""
    workspace = build.folder.workspace
    documents = read_built_collection(build.folder).documents
    load = functools.partial(load_encoder, workspace, system, build.device)
    kept = LoggedRows(draft / "shards", draft.log)
    open_encoder = functools.partial(SparseDocumentEncoder, load, system.max_document_terms)
    made = encode_shards(
        open_encoder,
        documents,
        lambda document: system.document_prefix + document.full_text,
        kept,
        f"encode {system.name}",
        build.executor,
    )
    weights = kept.matrix(len(documents))
    postings = Postings(weights.data, weights.indices, weights.indptr, len(documents))
    terms = terms_of(load(), weights.shape[1])
    SparseIndex(postings, terms, [document.id for document in documents]).save(draft.folder)
    used = int(np.count_nonzero(np.diff(weights.indptr)))
    draft.facts.update(documents=len(documents), terms=used, terms_per_document=round(weights.nnz / len(documents), 1))
    draft.facts.update(encoding_facts(build, system, made, open_encoder))
    draft.facts.pop("pooling", None)  # that of vectors
    remove_tree(draft / "shards")


def estimate(build: Build, system: SystemSettings, sizes: Sizes) -> Cost:
    """Return the cost of encoding, in floating-point operations."""
    shape = shape_of(build.folder.workspace, system.model)
    device = "cpu" if device_without_torch(build.device) == "cpu" else "gpu"
    rate = rate_by_width("encode sparse", RATES, device, str(system.precision), shape.width)
    size = sizes.documents * ((system.max_document_terms or TERMS) * POSTING_BYTES + ID_BYTES)
    operations = sizes.total(shape.weighing, system.max_tokens or shape.limit)
    return Cost(operations, rate, size, 8.0, temporary=1.5 * size)


STAGE = Stage(
    "sparse",
    targets,
    settings,
    inputs,
    make,
    estimate=estimate,
    resume=True,
    prepare=lambda build, system: locate_model(build.folder.workspace, system.model),
)


def main(arguments: list[str] | None = None) -> None:
    """Run `python -m core.sparse`: encode and index the built collection for every sparse system of the profile."""
    command_line.run_stage(STAGE, "sparse", __doc__, arguments, "systems", "executor")


if __name__ == "__main__":
    command_line.run(main)
