"""Names of collections, systems and runs: each becomes the name of a folder, so what it may be is said here alone."""

import re

LONGEST_NAME = 100
"""File systems allow 255 bytes, of which temporary names (`.NAME.partial`) and models' folders take some."""


OF_FILES = {"manifest.json", "profile.json", "queries.jsonl"}
"""Files among the artifacts that are looked for in any folder, and inputs that manifests list beside the systems."""


BESIDE_COLLECTIONS = {"models", "downloads", "ablations", "quality", "growth"}
"""What else lies in the folder of all artifacts."""


OF_WINDOWS = {"con", "prn", "aux", "nul", *(f"{device}{n}" for device in ("com", "lpt") for n in range(10))}
"""Devices: Windows has no files of these names, whatever their ending."""


def name_problem(name: str, kind: str = "system") -> str:
    """Say why a collection, system or run cannot have this name, "" where it can.

    Args:
        kind: what is to be named, for the sentence.
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
    """Say why a collection cannot have this name, "" where it can."""
    if name.lower() in BESIDE_COLLECTIONS:
        return f"{name!r} cannot be a collection's name: artifacts/{name.lower()} holds something else"
    return name_problem(name, "collection")


def beir_name_problem(name: str) -> str:
    """Say why a data set of BEIR cannot have this name, which may be one of a part ("cqadupstack/android")."""
    return next((problem for part in name.split("/") if (problem := name_problem(part, "BEIR data set"))), "")


def safe_name(text: str) -> str:
    """Return the name that is closest to a text: other characters become '-', what is too long is cut; "" for none."""
    name = re.sub(r"[^A-Za-z0-9._+-]", "-", text).lstrip("._+-")[:LONGEST_NAME].rstrip(".")
    return name if not name_problem(name) else ""
