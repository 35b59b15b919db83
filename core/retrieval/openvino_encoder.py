"""Transformers of dense and sparse systems and re-rankers run by OpenVINO on a CPU, with the results of torch.

OpenVINO replaces the transformers model inside each `Transformer` module of sentence-transformers' models and nothing
else: tokenizer, prompts, pooling, Dense layers, normalisation and two towers remain those of sentence-transformers. A
converted model is checked against torch and kept on disk, since conversion takes seconds.

sentence-transformers has a backend of its own, `backend="openvino"`. It needs optimum-intel, whose pins conflict with
those of requirements.txt; all that is needed of it is the call of `openvino.convert_model` below.
"""

import copy
import logging
import sys
import threading
import warnings
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import redirect_stdout
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
import torch

from core.workspace.artifacts import stale_reason, versions, writing
from core.workspace.errors import UserError
from core.workspace.library_internals import output_name, transformer_modules
from core.workspace.models import quiet
from core.workspace.workspace import Workspace

EXAMPLES = ["a short text", "a longer text, so that the shorter one is padded and its padding is masked"]
"""The texts that a model is traced with."""


CHECKED = ["one", "two and", "three texts of other lengths than those that the model was traced with, and more of them"]
"""The texts whose vectors must be those of torch."""


QUERY = "a query"
"""The text before each of these for a cross-encoder, which reads pairs."""


TOLERANCE = 1e-4
"""Maximum norm of the difference from torch's vectors, relative to their norm."""


LOGITS = "logits"
"""Name of the output of a cross-encoder's transformer, scores before the activation function, and of that of a sparse
encoder, which has one for each term of the vocabulary."""


HINTS = {"fp32": "f32", "bf16": "bf16"}
"""OpenVINO's names of the precisions."""


class NotConverted(Exception):
    """OpenVINO is not installed or cannot run a model; the message is the reason."""


def openvino() -> Any:
    """Return the module openvino.

    openvino reports its use to its maker through the package openvino_telemetry, unless that cannot be imported.

    Raises:
        NotConverted: if it is not installed.
    """
    sys.modules["openvino_telemetry"] = None  # type: ignore[assignment]  # an import raises ImportError
    try:
        import openvino as module
    except ImportError:
        raise NotConverted("OpenVINO is not installed") from None
    return module


def has_fast_bf16() -> bool:
    """Return whether bf16 is faster than fp32 on this processor, which means that it has AMX.

    OpenVINO lists BF16 for other processors, too, and FP16 for those with AVX512-FP16, which have AMX. Limited to
    AVX512-BF16, bf16 took 1.4 times as long as fp32; emulated by AVX-512, it took longer still.
    """
    try:
        listed = openvino().Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    except NotConverted:
        return False
    return {"BF16", "FP16"} <= set(listed)


def beside_int8() -> str:
    """Return the precision of the operations that are not quantised in a quantised model."""
    return "bf16" if has_fast_bf16() else "fp32"


@dataclass(frozen=True)
class _Compiled:
    """A model compiled for a number of threads, with its idle requests."""

    threads: int
    model: Any
    idle: list[Any]


class OpenVinoModel(torch.nn.Module):
    """A transformers model run by OpenVINO, in the place of the `model` of a `Transformer` module.

    It runs on as many threads as torch would, `torch.get_num_threads()`. A batch of one text, such as a query, uses all
    of them, and so do the batches of models that encode one after the other. Larger batches of a `SentenceTransformer`
    run on one thread each, and so many of them at once, which takes less time per text.

    A copy of it shares the compiled model.
    """

    def __init__(self, model: Any, config: Any, output: str, precision: str, in_turn: bool = False):
        """Take an OpenVINO model, the configuration of the transformers model and the name of its output.

        Args:
            in_turn: whether larger batches come one after the other, too.
        """
        super().__init__()
        self.in_turn = in_turn
        self.source, self.config, self.output, self.precision = model, config, output, precision
        self.device = torch.device("cpu")
        self.inputs = [port.any_name for port in model.inputs]
        self._compiled: dict[bool, _Compiled] = {}
        self._lock = threading.Lock()

    def __deepcopy__(self, memo: dict[int, Any]) -> "OpenVinoModel":
        return self

    def compiled(self, single: bool) -> _Compiled:
        """Return the model compiled for single texts or for batches, and for torch's present number of threads."""
        threads = torch.get_num_threads()
        with self._lock:
            held = self._compiled.get(single)
            if held is None or held.threads != threads:
                settings = {
                    "INFERENCE_PRECISION_HINT": HINTS[self.precision],
                    "INFERENCE_NUM_THREADS": threads,
                    "NUM_STREAMS": 1 if single else threads,
                }
                held = _Compiled(threads, openvino().Core().compile_model(self.source, "CPU", settings), [])
                self._compiled[single] = held
            return held

    def forward(self, **features: torch.Tensor) -> dict[str, torch.Tensor]:
        """Return the output of the transformers model by its name.

        It is float32 [n_texts, n_tokens, dimension or terms], or [n_texts, 1] from a cross-encoder.
        """
        compiled = self.compiled(single=self.in_turn or len(features["input_ids"]) == 1)
        try:
            request = compiled.idle.pop()
        except IndexError:
            request = compiled.model.create_infer_request()
        result = request.infer({name: features[name].numpy() for name in self.inputs}, share_inputs=True)
        output = torch.from_numpy(result[self.output])
        compiled.idle.append(request)
        return {self.output: output}


def use_openvino(encoder: Any, workspace: Workspace, name: str, digest: str, precision: str = "fp32") -> None:
    """Let OpenVINO run the transformers of a model of sentence-transformers, such as a `CrossEncoder`.

    Args:
        name: the name of the model in the profile.
        digest: the digest of its files.
        precision: "fp32" or "bf16".

    Raises:
        NotConverted: if OpenVINO is not installed, or cannot convert or run one of them.
    """
    if precision == "bf16" and not has_fast_bf16():
        openvino()
        raise NotConverted("this processor has no fast bf16")
    from sentence_transformers import SentenceTransformer

    parts, in_turn = transformer_modules(encoder), not isinstance(encoder, SentenceTransformer)
    for part, model in zip(parts, _models(workspace, name, digest, parts), strict=True):
        part.model = _with(model, part, precision, in_turn)


def save_quantised(encoder: Any, texts: list[str], folder: Path) -> None:
    """Quantise the models of an encoder that OpenVINO runs to int8, calibrated on documents, and save them in a folder.

    Only models that encode documents are: of two towers, that of the documents.
    """
    openvino()
    import nncf

    calls: dict[int, list[dict[str, np.ndarray]]] = {}
    parts = transformer_modules(encoder)

    def keep(number: int, inputs: list[str]) -> Callable[[Any, tuple[dict[str, torch.Tensor]]], None]:
        def hook(_: Any, arguments: tuple[dict[str, torch.Tensor]]) -> None:
            calls.setdefault(number, []).append({name: arguments[0][name].numpy() for name in inputs})

        return hook

    hooks = [part.register_forward_pre_hook(keep(number, part.model.inputs)) for number, part in enumerate(parts)]
    encoder.encode_document(texts, batch_size=1, show_progress_bar=False)
    for hook in hooks:
        hook.remove()
    nncf.set_log_level(logging.ERROR)
    for number, features in calls.items():
        with redirect_stdout(StringIO()):  # progress bars
            quantised = nncf.quantize(
                parts[number].model.source,
                nncf.Dataset(features),
                model_type=nncf.ModelType.TRANSFORMER,
                subset_size=len(features),
            )
        openvino().save_model(quantised, folder / _file(number), compress_to_fp16=False)


def use_quantised(encoder: Any, folder: Path) -> None:
    """Let the quantised models in a folder replace those of an encoder that OpenVINO runs; see `save_quantised`."""
    for number, part in enumerate(transformer_modules(encoder)):
        if (file := folder / _file(number)).is_file():
            part.model = _with(openvino().Core().read_model(file), part, beside_int8())


def _with(model: Any, part: Any, precision: str, in_turn: bool = False) -> OpenVinoModel:
    return OpenVinoModel(model, part.model.config, output_name(part), precision, in_turn)


def _models(workspace: Workspace, name: str, digest: str, parts: list[Any]) -> list[Any]:
    """Return the OpenVINO models of an encoder's parts, from disk if they were converted before."""
    core, place, inputs = openvino().Core(), workspace.converted(name), {"model": digest}
    # A conversion is kept for these versions.
    settings = {key: version for key, version in versions().items() if key in ("openvino", "torch", "transformers")}
    if any(output_name(part) == LOGITS for part in parts):
        settings["output"] = LOGITS
    files = [_file(number) for number in range(len(parts))]
    if stale_reason(place, settings, inputs):
        models = [_convert(part) for part in parts]
        try:
            with writing(place, "convert", settings, inputs) as folder:
                for file, model in zip(files, models, strict=True):
                    openvino().save_model(model, folder / file, compress_to_fp16=False)
        except UserError:  # a folder that is read-only or full, or another process that converts the same model
            return models
    return [core.read_model(place / file) for file in files]


def _file(number: int) -> str:
    return f"transformer-{number}.xml"


def _convert(part: Any) -> Any:
    """Convert the transformers model of a `Transformer` module, and check it against torch."""
    name = output_name(part)
    if not name:
        raise NotConverted("its output is not that of a transformer")
    try:
        with quiet(), warnings.catch_warnings(), torch.inference_mode(False), torch.no_grad():
            warnings.simplefilter("ignore")  # of tracing
            part.model.set_attn_implementation("eager")
            model = openvino().convert_model(part.model, example_input=_features(part, EXAMPLES))
    except Exception as error:  # of a dozen types, all meaning that it does not know the model
        raise NotConverted(f"{type(error).__name__}: {' '.join(str(error).split())[:200]}") from None
    features = _features(part, CHECKED)
    with torch.inference_mode():
        expected = part.model(**features)[name]
        found = _with(model, part, "fp32")(**features)[name]
    if not _reads_pairs(part):
        found, expected = (output[features["attention_mask"] == 1] for output in (found, expected))
    difference = (found - expected).norm() / expected.norm()
    if not difference < TOLERANCE:
        raise NotConverted(f"its {'scores' if name == LOGITS else 'vectors'} differ from torch's by {difference:.0e}")
    return model


def _reads_pairs(part: Any) -> bool:
    """Return whether a `Transformer` module is that of a cross-encoder."""
    return bool(part.transformer_task == "sequence-classification")


def _features(part: Any, texts: list[str]) -> dict[str, torch.Tensor]:
    features = part.preprocess([(QUERY, text) for text in texts] if _reads_pairs(part) else texts)
    return {key: value for key, value in features.items() if key in ("input_ids", "attention_mask", "token_type_ids")}


def encode_in_streams(encoder: Any, method: str, texts: list[str], batch: int) -> np.ndarray:
    """Encode texts on all threads of OpenVINO, float32 [n_texts, dimension].

    Each thread has a copy of the encoder, since threads cannot share a tokenizer, and texts of all lengths.

    Args:
        method: the encoder's, "encode_query" or "encode_document".
    """
    streams = min(torch.get_num_threads(), -(-len(texts) // batch))
    copies = getattr(encoder, "copies", [])
    if len(copies) < streams:
        encoder.copies = []  # a copy has no copies
        encoder.copies = copies = [copy.deepcopy(encoder) for _ in range(streams)]
    order = np.argsort([len(text) for text in texts], kind="stable")
    rows = [order[start::streams] for start in range(streams)]

    def part(copied: Any, own: np.ndarray) -> np.ndarray:
        found: np.ndarray = getattr(copied, method)([texts[i] for i in own], batch_size=batch, show_progress_bar=False)
        return found

    with ThreadPoolExecutor(streams) as pool:
        parts = list(pool.map(part, copies, rows))
    vectors = np.empty((len(texts), parts[0].shape[1]), dtype=np.float32)
    for own, found in zip(rows, parts, strict=True):
        vectors[own] = found
    return vectors
