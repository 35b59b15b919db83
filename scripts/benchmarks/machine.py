"""Description of the machine and the library versions, without host or user names."""

import os
from pathlib import Path
from typing import Any

from core.workspace.artifacts import host, versions

FEATURES = ("avx2", "avx512f", "avx512_vnni", "avx512_bf16", "amx_bf16", "amx_int8", "asimd", "sve", "bf16", "i8mm")
"""CPU flags, as named by Linux, that determine the speed of matrix products."""
COMPARED = ("numba", "ir_measures", "ranx", "pyserini", "streamlit", "scikit-learn", "onnxruntime", "openvino")
"""Libraries whose versions are recorded in addition to those in manifests."""


def machine() -> dict[str, Any]:
    """Return the machine's processor, usable cores, CPU flags and memory in GiB."""
    path = Path("/proc/cpuinfo")
    lines = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
    told = {name.strip(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    flags = set((told.get("flags") or told.get("Features") or "").split())
    found = host() | {"features": [name for name in FEATURES if name in flags]}
    if hasattr(os, "sched_getaffinity"):
        found["cores"] = len(os.sched_getaffinity(0))
    if hasattr(os, "sysconf") and "SC_PHYS_PAGES" in os.sysconf_names:
        found["memory_gib"] = round(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30, 1)
    return found


def all_versions() -> dict[str, str]:
    """Return the versions of Python and of the measured libraries that are installed."""
    return versions(*COMPARED)
