"""The precision in which a system's documents are encoded: "auto" and "int8".

Queries are encoded in fp32 for both, on any machine alike.
"""

import importlib.util
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from core.formats.documents import Document
from core.indexes.base import unit_rows
from core.retrieval.encoder import encode_texts, load_encoder
from core.workspace.artifacts import file_digest, remove_tree, value_digest
from core.workspace.errors import UserError
from core.workspace.models import pick_device
from core.workspace.profile import SystemSettings
from core.workspace.progress import ProgressLog
from core.workspace.workspace import Workspace

LOWEST_COSINE = 0.9999
"""Lowest cosine to fp32 at which "auto" takes a faster precision."""


COMPARED, CALIBRATION = 64, 256
"""Numbers of documents that precisions are compared on and that int8 is calibrated on, drawn at random."""


SEED = 13


def drawn(system: SystemSettings, documents: Sequence[Document], number: int) -> list[str]:
    """Return the texts of some documents, the same in each call."""
    chosen = np.random.default_rng(SEED).permutation(len(documents))[:number]
    return [system.document_prefix + documents[i].full_text for i in sorted(chosen.tolist())]


def auto_precision(
    workspace: Workspace, system: SystemSettings, documents: Sequence[Document], device: str, log: ProgressLog
) -> tuple[str, dict[str, float]]:
    """Return the precision that "auto" stands for, and the lowest cosine to fp32 that each one tried has.

    It is the first that is faster than fp32 on this device and keeps the cosines above LOWEST_COSINE. A resumed run
    continues with the precision in its log, if this device has it.
    """
    device = pick_device(device)
    candidates = faster_precisions(device)
    precision, cosines = log.done.get("precision", ("", {}))
    if precision in ("fp32", *candidates):
        return precision, cosines
    texts, cosines, found = drawn(system, documents, COMPARED), {}, "fp32"
    exact = unit_rows(encode_texts(load_encoder(workspace, system, device, "fp32"), texts, "document"))
    for candidate in candidates:
        try:
            vectors = encode_texts(load_encoder(workspace, system, device, candidate), texts, "document")
        except UserError:  # fp16 overflows in some models
            continue
        cosines[candidate] = round(float((exact * unit_rows(vectors)).sum(axis=1).min()), 6)
        if cosines[candidate] > LOWEST_COSINE:
            found = candidate
            break
    log.add({"precision": [found, cosines]})
    return found, cosines


def faster_precisions(device: str) -> tuple[str, ...]:
    """Return the precisions that are faster than fp32 on a device, in the order in which to try them."""
    if device != "cpu":
        return ("fp16", "bf16")
    from core.retrieval.openvino_encoder import has_fast_bf16

    return ("bf16",) if has_fast_bf16() else ()


def quantise(
    workspace: Workspace, system: SystemSettings, documents: Sequence[Document], folder: Path, log: ProgressLog
) -> str:
    """Quantise a system's model to int8 with NNCF, calibrated on documents, and return what determines its vectors.

    That is the digest of the model and the precision of what is not quantised. A resumed run keeps the model that is in
    the folder, if it is that in its log.

    Raises:
        UserError: if NNCF or OpenVINO is not installed, or the model cannot be converted.
    """
    if importlib.util.find_spec("nncf") is None:
        raise UserError(f'{system.name}: precision = "int8" needs NNCF; run pip install -r requirements-int8.txt')
    if folder.is_dir() and _digest(folder) == log.done.get("quantised"):
        return _made_with(log)
    encoder = load_encoder(workspace, system, "cpu", "fp32")
    if "fallback" in encoder.runtime:
        raise UserError(f'{system.name}: precision = "int8" needs OpenVINO, but {encoder.runtime["fallback"]}')
    from core.retrieval.openvino_encoder import save_quantised

    remove_tree(folder)
    folder.mkdir()
    save_quantised(encoder, drawn(system, documents, CALIBRATION), folder)
    log.add({"quantised": _digest(folder)})
    return _made_with(log)


def _made_with(log: ProgressLog) -> str:
    from core.retrieval.openvino_encoder import beside_int8

    return f"{log.done['quantised']} {beside_int8()}"


def _digest(folder: Path) -> str:
    return value_digest({path.name: file_digest(path) for path in sorted(folder.iterdir())})
