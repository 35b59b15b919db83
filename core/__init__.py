"""RankScope's pipeline: collection -> models -> vectors -> runs -> measures."""

import os

__version__ = "0.1.0"

os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")  # huggingface_hub reads it when it is imported
