#!/usr/bin/env python3
"""Compare exact search with the machine's limits: single queries with memory bandwidth, batches with peak GEMM.

python scripts/benchmarks/exact_speed.py
python scripts/benchmarks/exact_speed.py --documents 1000000 --threads 1
"""

import argparse
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from statistics import median

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import numba
import numpy as np
from threadpoolctl import threadpool_limits

from core.indexes.exact import ExactIndex
from core.workspace import command_line
from scripts.benchmarks.measuring import in_turns

GEMM = 3072
"""Size of the square matrices whose product gives the peak GEMM rate."""
BATCHES = (50, 200, 800)


@numba.njit(parallel=True, fastmath=True)
def read_all(values: np.ndarray) -> float:
    """Return the sum of values, float32 [n], which takes as long as reading them from memory."""
    total = np.float32(0)
    for i in numba.prange(len(values)):
        total += values[i]
    return float(total)


def main() -> None:
    """Measure and print the shares of the limits."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--documents", type=int, default=171_332, help="rows of random vectors (default: TREC-COVID's)")
    parser.add_argument("--dimension", type=int, default=384)
    parser.add_argument("--threads", type=int, default=0, help="number of threads; 0 (default) for one per core")
    parser.add_argument("--repeats", type=int, default=15)
    options = parser.parse_args()
    threads = options.threads or numba.get_num_threads()
    numba.set_num_threads(threads)
    generator = np.random.default_rng(13)
    vectors = generator.standard_normal((options.documents, options.dimension), dtype=np.float32)
    queries = generator.standard_normal((max(BATCHES), options.dimension), dtype=np.float32)
    square = generator.standard_normal((GEMM, GEMM), dtype=np.float32)
    product = np.empty_like(square)
    index = ExactIndex("cosine")
    index.build(vectors)
    flat = vectors.reshape(-1)
    tasks: dict[str, Callable[[], object]] = {
        "read": lambda: read_all(flat),
        "one": lambda: index.search(queries[:1], 10),
        "square": lambda: np.matmul(square, square, out=product),
        **{str(batch): partial(index.search, queries[:batch], 10) for batch in BATCHES},
    }
    with threadpool_limits(limits=threads):
        seconds = {name: median(values) for name, values in in_turns(tasks, options.repeats).items()}
    bandwidth, used = vectors.nbytes / seconds["read"], vectors.nbytes / seconds["one"]
    peak = 2 * GEMM**3 / seconds["square"]
    print(f"{options.documents:,} x {options.dimension}, threads: {threads}, medians of {options.repeats} in turns")
    print(f"memory read    {bandwidth / 1e9:8.1f} GB/s     {1000 * seconds['read']:8.1f} ms")
    print(f"one query      {used / 1e9:8.1f} GB/s     {1000 * seconds['one']:8.1f} ms {used / bandwidth:6.0%}")
    print(f"GEMM {GEMM}      {peak / 1e9:8.1f} GFLOP/s  {1000 * seconds['square']:8.1f} ms")
    for batch in BATCHES:
        reached, spent = 2 * batch * vectors.size / seconds[str(batch)], 1000 * seconds[str(batch)]
        print(f"batch of {batch:<4}  {reached / 1e9:8.1f} GFLOP/s  {spent:8.1f} ms {reached / peak:6.0%}")


if __name__ == "__main__":
    command_line.run(main)
