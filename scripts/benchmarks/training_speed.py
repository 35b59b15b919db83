#!/usr/bin/env python3
"""Measure query generation and fine-tuning in turns: as they are, and without what makes them faster.

    OMP_NUM_THREADS=1 python scripts/benchmarks/training_speed.py --corpus corpus.jsonl --triples triples.tsv
    OMP_NUM_THREADS=1 ONEDNN_MAX_CPU_ISA=AVX2 ATEN_CPU_CAPABILITY=avx2 MKL_ENABLE_INSTRUCTIONS=AVX2 \\
        python scripts/benchmarks/training_speed.py --corpus corpus.jsonl --triples triples.tsv --precisions fp32

Generation: our T5, and one of t5-v1_1-base's shape with random weights, which writes as many tokens. Fine-tuning: the
default recipe, with a base model of MiniLM-L12-H384's shape with random weights. Times are CPU time, which is affected
least by other programs; with several threads it includes that of waiting threads.
"""

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest import mock

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import numpy as np
import torch
from sentence_transformers.sentence_transformer.losses import MultipleNegativesRankingLoss
from transformers import AutoTokenizer, BertConfig, BertModel, T5Config, T5ForConditionalGeneration

from core.formats.documents import read_documents
from core.formats.triples import read_triples, split_by_query
from core.training import bi_encoder, t5_sampling
from core.training.t5 import QueryPredictor
from core.workspace import command_line
from core.workspace.models import load_t5, locate_model
from core.workspace.profile import Doc2querySettings, FinetuneSettings, TriplesSettings
from core.workspace.workspace import Workspace

QUERY_TOKENS = 13
"""Mean number of tokens of our T5's queries."""


def in_turns(tasks: dict[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """Return the median CPU time of each task in seconds, after a first round that is not counted."""
    seconds: dict[str, list[float]] = {name: [] for name in tasks}
    for number in range(rounds + 1):
        for name, task in tasks.items():
            started = time.process_time()
            task()
            if number:
                seconds[name].append(time.process_time() - started)
        print(f"round {number} of {rounds}", file=sys.stderr)
    return {name: statistics.median(values) for name, values in seconds.items()}


def generation(
    folder: Path, shape: str, corpus: Path, number: int, precisions: list[str], settings: Doc2querySettings
) -> dict[str, Callable[[], object]]:
    """Return the generation with a T5 in each precision, before and now, by name."""
    whole = list(read_documents(corpus))
    documents = sorted(
        (whole[i] for i in np.linspace(0, len(whole) - 1, number).astype(int)), key=lambda d: len(d.full_text)
    )
    tasks: dict[str, Callable[[], object]] = {}
    for precision in precisions:
        predictor = QueryPredictor(folder, settings.model_copy(update={"precision": precision}), "cpu")
        original = load_t5(str(folder), folder, precision)[0].eval()

        def before(predictor: QueryPredictor = predictor, original: Any = original) -> None:
            with (
                mock.patch.object(t5_sampling, "CPU_ENCODED", number),
                mock.patch.object(t5_sampling, "BLOCK", 10**9),
                mock.patch.object(predictor, "model", original),
            ):
                predictor(documents)

        def now(predictor: QueryPredictor = predictor) -> None:
            predictor(documents)

        tasks |= {f"{shape}, {precision}, before": before, f"{shape}, {precision}": now}
    return tasks


def t5_of_random_weights(folder: Path, tokenizer: Path) -> None:
    """Save a T5 of t5-v1_1-base's shape with random weights."""
    sizes: dict[str, Any] = {"vocab_size": 32128, "d_model": 768, "d_ff": 2048, "num_layers": 12, "num_heads": 12}
    sizes |= {"feed_forward_proj": "gated-gelu", "tie_word_embeddings": False, "decoder_start_token_id": 0}
    T5ForConditionalGeneration(T5Config(**sizes)).save_pretrained(folder)
    AutoTokenizer.from_pretrained(tokenizer).save_pretrained(folder)


def bert_of_random_weights(folder: Path, tokenizer: Path) -> None:
    """Save a BERT of MiniLM-L12-H384's shape with random weights."""
    sizes: dict[str, Any] = {"hidden_size": 384, "num_hidden_layers": 12, "num_attention_heads": 12}
    sizes["intermediate_size"] = 1536
    BertModel(BertConfig(**sizes)).save_pretrained(folder)
    AutoTokenizer.from_pretrained(tokenizer).save_pretrained(folder)


def finetuning(
    folder: Path, triples: Path, steps: int, precisions: list[str], losses: dict[str, list[float]]
) -> dict[str, Callable[[], object]]:
    """Return the same training steps in each precision, before and now, by name; losses are added to `losses`."""
    settings = FinetuneSettings(base=str(folder))
    training, _ = split_by_query(read_triples(triples), TriplesSettings().held_out)
    generator = np.random.default_rng(settings.seed)
    batches = [[training[i] for i in generator.choice(len(training), settings.batch)] for _ in range(steps)]

    def trainer(precision: str, chunks: bool, losses: list[float]) -> Callable[[], None]:
        model = bi_encoder.build_model(settings, folder, "cpu").train()
        loss = bi_encoder.training_loss(model, settings)
        if not chunks:
            loss = MultipleNegativesRankingLoss(model, scale=settings.scale)
        optimizer = torch.optim.AdamW(model.parameters(), lr=settings.learning_rate)

        def train() -> None:
            torch.manual_seed(settings.seed)
            for batch in batches:
                columns = zip(*((t.query, t.relevant, t.not_relevant) for t in batch), strict=True)
                with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16"):
                    value = loss([model.preprocess(list(column)) for column in columns], None)
                value.backward()
                torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
                optimizer.step()
                optimizer.zero_grad()
                losses.append(value.item())

        return train

    tasks: dict[str, Callable[[], object]] = {}
    for precision in precisions:
        for name, chunks in ((f"{precision}, before", False), (precision, True)):
            tasks[name] = trainer(precision, chunks, losses.setdefault(name, []))
    return tasks


def main() -> None:
    """Measure and print both tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--corpus", type=Path, required=True, help="documents, JSON lines as in BEIR")
    parser.add_argument("--triples", type=Path, required=True, help="MS MARCO triples")
    parser.add_argument("--t5", default="artifacts/models/doc2query", help="folder of our T5")
    parser.add_argument("--documents", type=int, default=64, help="documents of our T5; the larger one gets a quarter")
    parser.add_argument("--steps", type=int, default=3, help="training steps")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--precisions", nargs="+", default=["fp32", "bf16"])
    options = parser.parse_args()
    workspace, few = Workspace.default(), max(1, options.documents // 4)
    ours, settings = locate_model(workspace, options.t5), Doc2querySettings()
    losses: dict[str, list[float]] = {}
    print(f"{torch.get_num_threads()} threads, medians of {options.rounds} in turns, CPU time\n")
    print("| T5, 5 queries per document | documents/s | ratio |\n|---|---|---|")
    with tempfile.TemporaryDirectory() as scratch:
        larger, base = Path(scratch, "t5"), Path(scratch, "bert")
        t5_of_random_weights(larger, ours)
        bert_of_random_weights(base, locate_model(workspace, "sentence-transformers/all-MiniLM-L6-v2"))
        shorter = settings.model_copy(update={"max_query_tokens": QUERY_TOKENS})
        for folder, shape, number, used in (
            (ours, "ours", options.documents, settings),
            (larger, "base", few, shorter),
        ):
            tasks = generation(folder, shape, options.corpus, number, options.precisions, used)
            seconds = in_turns(tasks, options.rounds)
            for name, value in seconds.items():
                print(f"| {name} | {number / value:.2f} | {_before(seconds, name) / value:.2f} |", flush=True)
        tasks = finetuning(base, options.triples, options.steps, options.precisions, losses)
        seconds = in_turns(tasks, options.rounds)
    print("\n| fine-tuning | s/step | ratio | losses |\n|---|---|---|---|")
    for name, value in seconds.items():
        shown = " ".join(f"{loss:.3f}" for loss in losses[name])
        print(f"| {name} | {value / options.steps:.2f} | {_before(seconds, name) / value:.2f} | {shown} |")


def _before(seconds: dict[str, float], name: str) -> float:
    return seconds[name.removesuffix(", before") + ", before"]


if __name__ == "__main__":
    command_line.run(main)
