"""The memory that building an index takes beyond the vectors."""

import json
import subprocess
import sys

import pytest

PROGRAM = """
import json
import numpy as np
from core.indexes.base import unit_rows
from core.indexes.registry import KINDS, make_index
from core.workspace.memory import peak_bytes, reset_peak

vectors, peaks = unit_rows(np.random.default_rng(0).normal(size=(10_000, 768)).astype(np.float32)), {}
for kind in KINDS.keys() - {"milvus"}:
    graph = {"connections": 8, "ef_construction": 16} if "hnsw" in kind else {}
    few = make_index(kind, "cosine", **graph)
    few.build(vectors[:300].copy())  # loads libraries and compiled code
    reset_peak()
    before = peak_bytes()
    index = make_index(kind, "cosine", **graph)
    index.build(vectors)
    index.bytes
    peaks[kind] = (peak_bytes() - before) / vectors.nbytes
print(json.dumps(peaks))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="the peak is reset on Linux alone")
def test_building_takes_a_few_times_the_memory_of_the_vectors_at_most():
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    peaks = json.loads(done.stdout)
    assert max(peaks.values()) < 10, peaks  # FAISS's own block of IVF-PQ made it 17
