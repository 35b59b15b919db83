"""Peak memory of this process."""

import sys
from contextlib import suppress
from pathlib import Path

PROCESS = Path("/proc/self")


def reset_peak() -> bool:
    """Start a new measurement of the peak; return whether the operating system supports it (Linux)."""
    with suppress(OSError):
        (PROCESS / "clear_refs").write_text("5", encoding="utf-8")
        return True
    return False


def peak_bytes() -> int | None:
    """Return the peak resident memory since the last reset in bytes, or since the process started.

    None if the operating system does not report it.
    """
    with suppress(OSError, ValueError, IndexError):
        lines = (PROCESS / "status").read_text(encoding="utf-8").splitlines()
        return 1024 * int(next(line for line in lines if line.startswith("VmHWM:")).split()[1])
    try:
        import resource
    except ImportError:  # Windows
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else 1024 * peak
