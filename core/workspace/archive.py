"""The format of archives of built collections: a zip file (ZIP64) that any tool can list and unpack.

    rankscope.json                       the index: every other file with its size and SHA-256, and what is left out
    artifacts/profile.json               the collection's profile, and its LICENSE.md if it has one
    artifacts/<place>/manifest.json      an artifact's manifest, and those of its files that are included
    models/<name>/...                    a model that was trained here
    hub-models/<org>--<name>/...         another model

`packing` writes archives and `opening` reads them, as untrusted input.
"""

import json
import re
from collections.abc import Iterable
from fnmatch import fnmatchcase
from pathlib import PurePosixPath, PureWindowsPath
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from core.workspace.artifacts import LEFT_OUT, MANIFEST, PROFILE, Manifest
from core.workspace.errors import UserError
from core.workspace.names import OF_FILES, collection_name_problem, name_problem
from core.workspace.profile import model_settings

FORMAT = 1
"""Version of the format; an archive with another one is refused."""


INDEX = "rankscope.json"
ARTIFACTS, MODELS, HUB_MODELS = "artifacts", "models", "hub-models"
LICENSE = "LICENSE.md"


PARTS = {
    "texts": ("collection/corpus.jsonl",),
    "predicted-queries": ("doc2query/expansions.jsonl", "bm25/*/predicted.jsonl", "pseudo-labels/*"),
    "vectors": ("vectors/*/*.npy", "ann/*/index-*"),
    "models": ("models/*",),
}
"""Parts of a collection that an archive may leave out -> patterns of their files."""


NEVER_INCLUDED = ("indexes/*", "milvus/*")
"""Patterns of the files that no archive includes: a library reads them without checks, and the vectors make them."""


OF_ANY_MODEL = ("README.md", "history.json")
"""Files of a trained model that archives without models include: the page Fine-tuning shows them."""


OF_MODELS = (".json", ".md", ".model", ".safetensors", ".txt")
OF_ARTIFACTS = (".csv", ".json", ".jsonl", ".npy", ".trec", ".tsv")
"""Endings of the files of models and of artifacts in archives; none of them is run or unpickled."""


OWN_GRAPHS = "ann/*/index-hnsw"
"""Pattern of the only files without an ending."""


COMMAND = re.compile(r"python (-m core\.[a-z0-9_]+|scripts/build\.py)( [A-Za-z0-9 ._+/=:,-]*)?")
"""What the command in a manifest may be: pages show it, for users to copy."""


MANIFESTS = TypeAdapter(Manifest)


DEEPEST = 6
"""Maximum number of folders and names in the path of a file."""


Digest = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]


class Record(BaseModel):
    """A table of the index; unknown keys and values of other types are an error."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class FileRecord(Record):
    """The size and digest of a file."""

    bytes: Annotated[int, Field(ge=0)]
    sha256: Digest


class ModelRecord(Record):
    """A model that a system of the collection searches with; `sha256` is its `model_digest`, "" if it is unknown."""

    sha256: Digest | Annotated[str, Field(max_length=0)]
    included: bool


class Index(Record):
    """The contents of `rankscope.json`, without its digest of itself."""

    format: int
    rankscope: Annotated[str, Field(max_length=100)]
    collection: str
    without: list[str]
    """The parts that are left out, keys of `PARTS`."""
    files: dict[str, FileRecord]
    """Every other file of the archive, by path."""
    left_out: dict[str, list[str]]
    """Folder of an artifact in the archive -> its files that are not included."""
    models: dict[str, ModelRecord]
    """The models of the dense systems, by their names in the profile."""


def path_problem(path: str) -> str:
    """Return why a path cannot be in an archive, or "" if it can.

    The rules hold on every file system: names of ASCII letters, digits and ". _ + -" that do not begin with a dot, no
    names of Windows devices, no absolute paths, and no "..".
    """
    parts = path.split("/")
    if len(parts) > DEEPEST:
        return f"{path[:200]!r} has more than {DEEPEST} parts"
    for part in parts:
        if part not in OF_FILES - {LEFT_OUT} and name_problem(part):
            return f"{path[:200]!r} is not a plain path"
    inside = "/".join(parts[1:])
    if parts[0] == ARTIFACTS and inside in (PROFILE, LICENSE):
        return ""
    if parts[0] not in (ARTIFACTS, MODELS, HUB_MODELS) or len(parts) < 3:
        return f"{path!r} does not belong to an artifact or a model"
    endings = OF_ARTIFACTS if parts[0] == ARTIFACTS else OF_MODELS
    if not parts[-1].endswith(endings) and not (parts[0] == ARTIFACTS and fnmatchcase(inside, OWN_GRAPHS)):
        return f"{path!r} is not a kind of file that archives hold"
    return ""


def paths_problem(paths: Iterable[str]) -> str:
    """Return why paths cannot be in one archive, or "" if they can: two of them must not be one on any file system."""
    seen: dict[str, str] = {}
    folders: dict[str, str] = {}
    for path in paths:
        lower = path.lower()
        if lower in seen:
            return f"{path!r} is there twice" if seen[lower] == path else f"{path!r} and {seen[lower]!r} differ in case"
        seen[lower] = path
        for parent in list(PurePosixPath(path).parents)[:-1]:
            place = str(parent)
            if folders.setdefault(place.lower(), place) != place:
                return f"the folders {place!r} and {folders[place.lower()]!r} differ in case"
    if both := seen.keys() & folders.keys():
        return f"{min(both)!r} is a file and a folder"
    return ""


def folders_of(paths: Iterable[str]) -> dict[str, list[str]]:
    """Return the folders of artifacts and models -> the names of their files other than the manifest.

    A folder in `artifacts` is one with a manifest; the profile and the licence belong to none.

    Raises:
        UserError: if a file belongs to no artifact, or an artifact is inside another.
    """
    paths = list(paths)
    found: dict[str, list[str]] = {}
    for path in paths:
        place = PurePosixPath(path)
        if place.name == MANIFEST and place.parts[0] == ARTIFACTS and len(place.parts) in (3, 4):
            found[str(place.parent)] = []
        if place.parts[0] != ARTIFACTS:
            found["/".join(place.parts[:2])] = []
    for path in paths:
        parts = path.split("/")
        if parts[0] == ARTIFACTS and len(parts) == 2:
            continue
        owners = [folder for folder in ("/".join(parts[:2]), "/".join(parts[:3])) if folder in found]
        if len(owners) != 1:
            raise UserError(f"{path!r} does not belong to exactly one artifact")
        name = path.removeprefix(f"{owners[0]}/")
        if name != MANIFEST:
            found[owners[0]].append(name)
    return found


def is_left_out(path: str, parts: Iterable[str]) -> bool:
    """Return whether an archive without the given parts leaves out a file of an artifact or a trained model.

    Args:
        path: in the archive, such as "artifacts/collection/corpus.jsonl".
        parts: keys of `PARTS`.
    """
    root, _, inside = path.partition("/")
    if root == MODELS:
        inside = "" if inside.partition("/")[2] in OF_ANY_MODEL else path
    patterns = [*NEVER_INCLUDED, *(pattern for part in parts for pattern in PARTS[part])]
    return any(fnmatchcase(inside, pattern) for pattern in patterns)


def manifest_problem(manifest: Manifest) -> str:
    """Return why a manifest cannot be in an archive, or "" if it can."""
    try:
        MANIFESTS.validate_json(json.dumps(vars(manifest)), strict=True)
    except (ValidationError, RecursionError) as error:
        return " ".join(str(error).split())[:200]
    for name, entry in manifest.files.items():
        if not isinstance(entry["bytes"], int) or not re.fullmatch("[0-9a-f]{64}", str(entry["sha256"])):
            return f"{name[:200]!r} has no size or SHA-256"
    if not COMMAND.fullmatch(manifest.command):
        return f"its command is {manifest.command[:200]!r}"
    return ""


# The profile


def profile_problem(table: dict[str, Any]) -> str:
    """Return why a profile cannot be in an archive, or "" if it can: its paths must not lead out of a workspace.

    Builds read the sources, and they replace the folders of the models that they train.
    """
    if problem := collection_name_problem(str(table["collection"]["name"])):
        return problem
    for section in ("collection", "triples", "doc2query"):
        if _leads_out(table[section]["source"]):
            return f"{section}.source is the absolute path {table[section]['source']!r}"
    for system in table["system"]:
        for key in ("vectors", "topic_vectors"):
            if _leads_out(system[key]):
                return f"{key} of {system['name']} is the absolute path {system[key]!r}"
    if not is_trained_here(table["finetune"]["model"]):
        return f"finetune.model is {table['finetune']['model']!r}, not a folder in artifacts/models"
    for where, names_model, key in model_settings(table):
        if (name := names_model[key]) and not is_model_name(name):
            return f"{where} is {name!r}, neither the name of a model nor a folder in artifacts/models"
    return ""


def kept_name(model: str) -> str:
    """Return the name of the folder of a model that was not trained here, see `core.workspace.models.kept_model`."""
    return model.replace("/", "--")


def is_trained_here(name: str) -> bool:
    """Return whether the name of a model is "artifacts/models/NAME"."""
    parts = name.split("/")
    return parts[:2] == [ARTIFACTS, MODELS] and len(parts) == 3 and not name_problem(parts[2], "model")


def is_model_name(name: str) -> bool:
    """Return whether a name is that of a trained model or of one on the hub: NAME or ORGANISATION/NAME."""
    parts = name.split("/")
    of_hub = len(parts) <= 2 and parts[0] != ARTIFACTS and not any(name_problem(part, "model") for part in parts)
    return of_hub or is_trained_here(name)


def _leads_out(source: str) -> bool:
    """Return whether a source is an absolute path on some system; paths relative to the project are not."""
    windows = PureWindowsPath(source)
    drive = bool(re.match(r"[A-Za-z]:", source)) or windows.drive or windows.root
    return bool(drive) or "\\" in source or "\0" in source or PurePosixPath(source).is_absolute()
