"""RankScope's pipeline: collection -> models -> vectors -> runs -> measures."""

import os
import sys
from types import TracebackType

__version__ = "0.1.0"

os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")  # huggingface_hub reads it when it is imported


def _say_interrupted(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """Print one line, not a traceback, for Ctrl-C while a command's modules are imported, which takes seconds."""
    if issubclass(kind, KeyboardInterrupt):
        print("interrupted; run the same command again to resume", file=sys.stderr)
    else:
        sys.__excepthook__(kind, error, trace)


if sys.excepthook is sys.__excepthook__:
    sys.excepthook = _say_interrupted
