#!/usr/bin/env python3
"""Compare encoding on Ray with encoding in this process: vectors and speed, also when a worker is lost.

python scripts/benchmarks/ray_speed.py --profile sample --collection trec-covid-subset/ --workers 2
"""

import argparse
import functools
import os
import signal
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import numpy as np

from core.formats.collections import read_built_collection
from core.retrieval.encoder import SHARD, Encoder, encode_to_file, load_encoder
from core.workspace import command_line
from core.workspace.executors import HERE, Executor
from core.workspace.profile import find_settings
from core.workspace.progress import ProgressLog


class Lost(Encoder):
    """An encoder that kills its process at its `last` shard, once among all workers."""

    def __init__(self, load: Callable[[], Any], mark: Path, last: int):
        super().__init__(load, "document")
        self.mark, self.left = mark, last

    def __call__(self, texts: list[str]) -> tuple[np.ndarray, dict[str, object]]:
        """See `Encoder`."""
        self.left -= 1
        if self.left == 0 and not self.mark.exists():
            self.mark.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return super().__call__(texts)


def main() -> None:
    """Encode three times and print one line each."""
    parser = argparse.ArgumentParser(description=__doc__)
    command_line.add_profile_options(parser)
    parser.add_argument(
        "--address", default="", help="address of a Ray cluster (default: RAY_ADDRESS, or this machine)"
    )
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--system", default="all-MiniLM-L6-v2")
    parser.add_argument("--documents", type=int, default=0, help="number of documents; 0 (default) for all")
    options = parser.parse_args()
    profile, folder = command_line.profile_and_folder(options)
    system, executor = find_settings(profile, options.system), Executor("ray", options.address, max(1, options.workers))
    documents = read_built_collection(folder).documents[: options.documents or None]
    texts = [system.document_prefix + document.full_text for document in documents]
    with tempfile.TemporaryDirectory() as place:
        mark = Path(place) / "lost"
        half = max(1, len(texts) // SHARD // executor.workers // 2)
        load = functools.partial(load_encoder, folder.workspace, system, options.device)
        whole = functools.partial(Encoder, load, "document")
        tries: dict[str, tuple[Callable[[], Encoder], Executor]] = {
            "this process": (whole, HERE),
            f"Ray, {executor.workers} workers": (whole, executor),
            "the same, one lost half-way": (functools.partial(Lost, load, mark, half), executor),
        }
        reference, first_speed = None, 0.0
        for name, (open_encoder, where) in tries.items():
            path = Path(place) / f"{name}.npy"
            with ProgressLog(Path(place)) as log:
                speed = encode_to_file(open_encoder, texts, str, path, log, name, where)["per_second"]
            vectors = np.load(path)
            reference, first_speed = (vectors, speed) if reference is None else (reference, first_speed)
            difference = np.abs(vectors - reference).max()
            lost = f", a worker was lost: {mark.exists()}" if open_encoder is not whole else ""
            print(
                f"{name}: {speed:.2f} documents/s, {speed / first_speed:.2f} times, difference {difference:.2g}{lost}"
            )


if __name__ == "__main__":
    command_line.run(main)
