"""Rules for the names of collections, systems and runs, which are used as names of folders."""

import re

LONGEST_NAME = 100
"""Maximum length in characters. File systems allow 255 bytes, some of which temporary names (`.NAME.partial`) need."""


OF_FILES = {"manifest.json", "profile.json", "queries.jsonl", "left-out.json"}
"""Names of files that are looked up in any artifact folder, and of inputs that manifests list next to the systems."""


BESIDE_COLLECTIONS = {"models", "downloads", "ablations", "quality", "growth", "converted"}
"""Names of the folders under `artifacts/` that are not collections."""


OF_WINDOWS = {"con", "prn", "aux", "nul", *(f"{device}{n}" for device in ("com", "lpt") for n in range(10))}
"""Names of Windows devices, which no file can have, with or without an extension."""


def name_problem(name: str, kind: str = "system") -> str:
    """Return why a collection, system or run cannot have this name, or "" if it can.

    Args:
        kind: what is named, for the message.
    """
    if len(name) > LONGEST_NAME:
        return f"{name[:20]!r}… cannot be a {kind}'s name: it has {len(name):,} characters, the limit is {LONGEST_NAME}"
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._+-]*", name) or name.endswith("."):
        return (
            f"{name!r} cannot be a {kind}'s name: it must consist of letters, digits, '.', '_', '+' and '-', begin "
            "with a letter or digit and not end with '.'"
        )
    lower = name.lower()
    if lower in OF_FILES or lower.split(".")[0] in OF_WINDOWS:
        return f"{name!r} cannot be a {kind}'s name: it is reserved"
    return ""


def collection_name_problem(name: str) -> str:
    """Return why a collection cannot have this name, or "" if it can."""
    if name.lower() in BESIDE_COLLECTIONS:
        return f"{name!r} cannot be a collection's name: artifacts/{name.lower()} is reserved for other artifacts"
    return name_problem(name, "collection")


def data_set_name_problem(name: str, kind: str = "BEIR data set") -> str:
    """Return why a data set or a part of one ("cqadupstack/android") cannot have this name, or "" if it can."""
    return next((problem for part in name.split("/") if (problem := name_problem(part, kind))), "")


def hub_source_problem(source: str) -> str:
    """Return why "hub:OWNER/NAME" or "hub:OWNER/NAME@REVISION" cannot name a data set of the hub, or "" if it can."""
    if re.fullmatch(r"hub:\w[\w.-]*/\w[\w.-]*(@\w[\w.-]*(/\w[\w.-]*)*)?", source, re.ASCII) and ".." not in source:
        return ""
    return f"{source!r} names no data set of the hub; expected hub:OWNER/NAME or hub:OWNER/NAME@REVISION"


REMOTE = ("beir:", "ir_datasets:", "hub:")
"""Prefixes of the names of collections that are downloaded."""


def source_problem(source: str) -> str:
    """Return why a collection cannot have this source, or "" if it can; paths are not checked."""
    if source.startswith("beir:"):
        return data_set_name_problem(source.removeprefix("beir:"))
    if source.startswith("ir_datasets:"):
        return data_set_name_problem(source.removeprefix("ir_datasets:"), "data set of ir_datasets")
    return hub_source_problem(source) if source.startswith("hub:") else ""


def safe_name(text: str) -> str:
    """Return the valid name closest to a text: other characters become '-', the end is cut off; "" if there is none."""
    name = re.sub(r"[^A-Za-z0-9._+-]", "-", text).lstrip("._+-")[:LONGEST_NAME].rstrip(".")
    return name if not name_problem(name) else ""
