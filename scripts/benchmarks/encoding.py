#!/usr/bin/env python3
"""Compare ways to encode documents: plain `SentenceTransformer.encode`, torch and OpenVINO in several precisions.

    python scripts/benchmarks/encoding.py trec-covid-subset/ all-MiniLM-L6-v2:256 all-mpnet-base-v2:384
    python scripts/benchmarks/encoding.py trec-covid-subset/ all-MiniLM-L6-v2:256 --isa AVX2     # a smaller processor
    python scripts/benchmarks/encoding.py trec-covid-subset/ all-MiniLM-L6-v2:256 --ndcg         # all documents

A model is given with its input limit in tokens. All ways encode the same documents, drawn at random, in turns. Cosines
are to plain `SentenceTransformer.encode`; nDCG@10 is of exact search with the queries of each way.
"""

import argparse
import os
import sys
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import numpy as np

from core.evaluation.measures import evaluate, mean
from core.formats.collections import Collection
from core.formats.runs import run_of
from core.formats.sources import read_collection
from core.indexes.base import unit_rows
from core.indexes.exact import ExactIndex
from core.retrieval.encoder import encode_texts, load_encoder
from core.retrieval.precision import auto_precision, quantise
from core.workspace import command_line
from core.workspace.errors import UserError
from core.workspace.models import load_sentence_transformer
from core.workspace.profile import CollectionSettings, SystemSettings
from core.workspace.progress import ProgressLog
from core.workspace.workspace import Workspace
from scripts.benchmarks.machine import machine
from scripts.benchmarks.measuring import in_turns

Encode = Callable[[list[str]], np.ndarray]
PLAIN = "SentenceTransformer.encode"
SEED = 13


def ways(workspace: Workspace, system: SystemSettings, collection: Collection, folder: Path) -> dict[str, Any]:
    """Return the ways to encode that this machine has: name -> encoder."""
    plain = load_sentence_transformer(workspace, system.model, "cpu")
    plain.max_seq_length = system.max_tokens
    found: dict[str, Any] = {PLAIN: plain, "torch, fp32, batches by length": plain}
    with ProgressLog(folder) as log:
        chosen, _ = auto_precision(workspace, system, collection.documents, "cpu", log)
        found["OpenVINO, fp32"] = load_encoder(workspace, system, "cpu", "fp32")
        bf16 = load_encoder(workspace, system, "cpu", "bf16")
        found[f"{bf16.runtime['runtime'].split()[0]}, bf16"] = bf16
        try:
            quantise(workspace, system, collection.documents, folder / "int8", log)
            found["OpenVINO, int8"] = load_encoder(workspace, system, "cpu", "fp32", folder / "int8")
        except UserError as error:
            command_line.note(str(error))
    found[f"auto ({chosen})"] = load_encoder(workspace, system, "cpu", chosen)
    return found


def ndcg(system: SystemSettings, collection: Collection, queries: Any, vectors: np.ndarray) -> float:
    """Return nDCG@10 of exact search by cosine in documents' vectors.

    Args:
        queries: the encoder of the queries.
    """
    index = ExactIndex("cosine")
    index.build(vectors)
    encoded = encode_texts(queries, [topic.question for topic in collection.topics], "query", batch=1)
    ids = [document.id for document in collection.documents]
    run = run_of([topic.id for topic in collection.topics], ids, *index.search(encoded, 10))
    return mean(evaluate(run, collection.qrels, ["nDCG@10"])["nDCG@10"])


def compare(collection: Collection, model: str, limit: int, number: int, rounds: int, whole: bool) -> None:
    """Print the table of a model."""
    workspace = Workspace.default()
    system = SystemSettings(name=Path(model).name, kind="dense", model=model, max_tokens=limit)
    texts = [document.full_text for document in collection.documents]
    sample = [texts[i] for i in np.random.default_rng(SEED).permutation(len(texts))[:number]]
    with tempfile.TemporaryDirectory() as folder:
        encoders = ways(workspace, system, collection, Path(folder))
        encode: dict[str, Encode] = {
            name: partial(encode_texts, encoder, role="document") for name, encoder in encoders.items()
        }
        encode[PLAIN] = partial(encoders[PLAIN].encode, show_progress_bar=False)
        vectors = {name: unit_rows(function(sample)) for name, function in encode.items()}
        seconds = in_turns(
            {name: partial(function, sample) for name, function in encode.items()}, rounds, warm_up=False
        )
        print(f"\n{system.name}, {limit} tokens, {number} documents, {rounds} rounds in turns\n")
        print("| | documents/s | to plain | cosine to plain, mean / lowest |" + (" nDCG@10 |" if whole else ""))
        print("|---|---|---|---|" + ("---|" if whole else ""))
        for name in encode:
            ratio = median(plain / own for plain, own in zip(seconds[PLAIN], seconds[name], strict=True))
            cosines = (vectors[name] * vectors[PLAIN]).sum(axis=1)
            row = f"| {name} | {number / median(seconds[name]):.1f} | {ratio:.1f} | "
            row += f"{cosines.mean():.5f} / {cosines.min():.5f} |"
            if whole:
                queries = encoders["OpenVINO, fp32"] if "int8" in name or "auto" in name else encoders[name]
                row += f" {ndcg(system, collection, queries, encode[name](texts)):.4f} |"
            print(row, flush=True)


def main() -> None:
    """Measure and print a table for each model."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("collection", type=Path, help="folder in the BEIR layout")
    parser.add_argument("encoders", nargs="+", metavar="MODEL:TOKENS")
    parser.add_argument("--documents", type=int, default=256)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--ndcg", action="store_true", help="encode all documents, too, and evaluate")
    parser.add_argument("--isa", default="", help="limit OpenVINO and torch to instructions such as AVX2")
    command_line.add_models_option(parser)
    options = parser.parse_args()
    if options.isa and os.environ.get("ONEDNN_MAX_CPU_ISA") != options.isa:
        # Read by the libraries as they are loaded, so that a new process is needed.
        limits = {"ONEDNN_MAX_CPU_ISA": options.isa, "ATEN_CPU_CAPABILITY": options.isa.lower().split("_")[0]}
        limits["MKL_ENABLE_INSTRUCTIONS"] = options.isa.split("_")[0]
        os.execve(sys.executable, [sys.executable, *sys.argv], os.environ | limits)
    command_line.use_models(options.models)
    collection = read_collection(options.collection, CollectionSettings(name="documents"))
    print(" ".join(f"{key}: {value}" for key, value in machine().items()))
    for model in options.encoders:
        name, _, limit = model.rpartition(":")
        compare(collection, name, int(limit), options.documents, options.rounds, options.ndcg)


if __name__ == "__main__":
    command_line.run(main)
