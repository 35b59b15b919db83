#!/usr/bin/env python3
"""Measure the speed-up of query prediction by length batches, own sampling code, larger batches and bf16.

    python scripts/benchmarks/doc2query_speed.py --collection trec-covid-subset/
    python scripts/benchmarks/doc2query_speed.py --collection trec-covid-subset/ --queries 40 --documents 32

All variants generate queries for the same documents, in turns. Ratios are relative to transformers' own `generate` with
the same top-k sampling, in batches of documents in collection order.
"""

import argparse
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import numpy as np
import torch

from core.formats.collections import read_built_collection
from core.training.t5 import CPU_SAMPLES, GPU_SAMPLES, QueryPredictor
from core.workspace import command_line
from core.workspace.models import locate_model

Predict = Callable[[list[str], list[list[int]]], object]
"""Function that generates the queries of a batch, given the documents' ids and tokens."""


def library_predict(predictor: QueryPredictor, names: list[str], tokens: list[list[int]]) -> None:
    """Generate queries with transformers' `generate` and the settings of `predictor`."""
    settings = predictor.settings
    batch = predictor.tokenizer.pad({"input_ids": tokens}, return_tensors="pt").to(predictor.device)
    output = predictor.model.generate(
        **batch,
        do_sample=True,
        top_k=settings.top_k,
        temperature=settings.temperature,
        max_new_tokens=settings.max_query_tokens,
        num_return_sequences=settings.queries,
    )
    predictor.tokenizer.batch_decode(output, skip_special_tokens=True)
    predictor.written += int((output != predictor.model.config.pad_token_id).sum())


def write_all(predict: Predict, tokens: list[list[int]], names: list[str], batch: int, by_length: bool) -> None:
    """Generate queries for every document, `batch` documents at a time."""
    order = sorted(range(len(tokens)), key=lambda i: len(tokens[i])) if by_length else list(range(len(tokens)))
    for begin in range(0, len(order), batch):
        members = order[begin : begin + batch]
        predict([names[i] for i in members], [tokens[i] for i in members])


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    command_line.add_profile_options(parser)
    parser.add_argument(
        "--documents", type=int, default=64, help="number of documents, spread evenly over the collection"
    )
    parser.add_argument("--queries", type=int, default=5, help="queries per document")
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    profile, folder = command_line.profile_and_folder(options)
    whole = read_built_collection(folder).documents
    documents = [whole[i] for i in np.linspace(0, len(whole) - 1, options.documents).astype(int)]
    settings = profile.doc2query.model_copy(update={"queries": options.queries})
    model = locate_model(folder.workspace, settings.model)
    fp32, bf16 = (
        QueryPredictor(model, settings.model_copy(update={"precision": name}), options.device)
        for name in ("fp32", "bf16")
    )
    library = partial(library_predict, fp32)
    most = CPU_SAMPLES if fp32.device == "cpu" else GPU_SAMPLES
    batch = max(1, most // options.queries)
    variants: dict[str, tuple[QueryPredictor, Predict, int, bool]] = {
        "transformers' generate, documents as they come": (fp32, library, 8, False),
        "transformers' generate, batches by length": (fp32, library, 8, True),
        "our sampling, documents as they come": (fp32, fp32.predict, 8, False),
        "our sampling, batches by length": (fp32, fp32.predict, 8, True),
        f"... and {batch} documents at a time": (fp32, fp32.predict, batch, True),
        "... and bf16": (bf16, bf16.predict, batch, True),
        f"... and {4 * batch} documents at a time": (bf16, bf16.predict, 4 * batch, True),
    }
    tokens, names = fp32.tokens(documents), [document.id for document in documents]
    seconds: dict[str, list[float]] = {name: [] for name in variants}
    speeds: dict[str, list[float]] = {name: [] for name in variants}
    torch.manual_seed(settings.seed)
    for turn in range(options.repeats):
        for name, (predictor, predict, at_once, by_length) in variants.items():
            started, before = time.perf_counter(), predictor.written
            write_all(predict, tokens, names, at_once, by_length)
            seconds[name].append(time.perf_counter() - started)
            speeds[name].append((predictor.written - before) / seconds[name][-1])
        print(f"turn {turn + 1} of {options.repeats}", file=sys.stderr)
    print(
        f"{len(documents)} documents of {folder.name}, {options.queries} queries each, {fp32.device}, "
        f"{torch.get_num_threads()} threads, medians of {options.repeats} in turns"
    )
    base = next(iter(seconds.values()))
    for name, of_variant in seconds.items():
        ratios, speed = np.divide(base, of_variant), len(documents) / np.median(of_variant)
        print(
            f"{name:47} {speed:7.2f} documents/s {np.median(speeds[name]):7.0f} tokens/s "
            f"{np.median(ratios):6.2f}x ({ratios.min():.2f} to {ratios.max():.2f})"
        )


if __name__ == "__main__":
    command_line.run(main)
