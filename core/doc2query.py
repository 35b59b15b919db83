"""doc2query: expand documents with predicted queries (Nogueira & Lin, 2019, "From doc2query to docTTTTTquery").

A T5 learns to write the query that a passage answers, from (relevant passage -> query) pairs; then it writes several
for every document of a collection by top-k sampling.

    python -m core.doc2query train       fine-tune the T5
    python -m core.doc2query generate    predict queries for the documents of a collection
    python -m core.doc2query score       score them against their documents with a dense system, to filter by
    python -m core.doc2query quality     hold queries predicted for held-out passages against the real ones
"""

import argparse
import functools
import time
from pathlib import Path
from typing import Any

from tqdm import tqdm

from core.formats.collections import collection_digests, read_built_collection
from core.formats.documents import CORPUS, shards
from core.formats.predicted_queries import write_expansions
from core.formats.triples import locate_triples, read_triples, split_by_query
from core.training import t5
from core.training.t5 import (
    fit,
    generate_settings,
    open_predictor,
    train_settings,
    training_pairs,
)
from core.workspace import artifacts, command_line, executors
from core.workspace.artifacts import ROOT, file_digest, writing
from core.workspace.errors import UserError
from core.workspace.executors import HERE, Engine, over_shards
from core.workspace.models import (
    check_finite,
    digest_if_here,
    load_t5,
    locate_model,
    model_digest,
    pick_device,
    shown_model,
)
from core.workspace.profile import Profile
from core.workspace.progress import ProgressLog

# Training


def train(profile: Profile, triples_file: Path | None = None, device: str = "auto") -> Path:
    """Fine-tune the T5 on the profile's triples and return the folder of the model (fp16 safetensors).

    The checkpoint of the lowest loss on held-out pairs is the one that is kept. An interrupted training goes on from
    the last checkpoint.
    """
    from transformers import set_seed

    settings = profile.doc2query
    triples_file = triples_file or locate_triples(profile.triples.source, ROOT / "artifacts" / "downloads")
    training, validation = split_by_query(read_triples(triples_file), profile.triples.held_out)
    base = locate_model(settings.base)
    folder = ROOT / settings.model
    recorded = train_settings(settings) | {"held_out": profile.triples.held_out}
    inputs = {"triples": file_digest(triples_file), "base": model_digest(base)}
    facts: dict[str, Any] = {}
    with writing(folder, "doc2query train", recorded, inputs, facts, resume=True) as partial:
        set_seed(settings.seed)
        model, tokenizer = load_t5(settings.base, base)
        checkpoints = partial / "checkpoints"
        pairs = training_pairs(tokenizer, training, settings)
        held_out_pairs = training_pairs(tokenizer, validation, settings)
        state = fit(model, tokenizer, pairs, held_out_pairs, settings, checkpoints, pick_device(device))
        facts |= {
            "pairs": len(pairs),
            "held_out_pairs": len(held_out_pairs),
            "steps": state.global_step,
            "best": {"step": state.best_global_step, "held_out_loss": state.best_metric},
            "history": state.log_history,
        }
        check_finite(settings.model, model.half())
        model.save_pretrained(partial)
        tokenizer.save_pretrained(partial)
        artifacts.remove_tree(checkpoints)
    return folder


def generate(profile: Profile, folder: Path, device: str = "auto", batch: int = 0, engine: Engine = HERE) -> Path:
    """Write `expansions.jsonl` for the built collection under `folder`: one line a document, {"_id", "queries"}.

    Documents are processed in batches of similar length; an interrupted run resumes after the finished ones.

    Args:
        batch: documents at a time; 0 for as many as make `CPU_SAMPLES` or `GPU_SAMPLES` queries.
    """
    settings = profile.doc2query
    locate_model(settings.model)  # before its digest is taken
    documents = read_built_collection(folder).documents
    facts: dict[str, Any] = {}
    recorded, inputs = generate_settings(settings), generate_inputs(profile, folder)
    target = folder / "doc2query"
    with (
        writing(target, "doc2query generate", recorded, inputs, facts, resume=True) as partial,
        ProgressLog(partial) as log,
    ):
        of_workers = engine.device(device)
        at_once = t5.CPU_SAMPLES if of_workers == "cpu" else t5.GPU_SAMPLES
        size = batch or max(1, at_once // settings.queries)
        left = (
            (None, unwritten)
            for _, _, members in shards(documents, lambda document: len(document.full_text), size)
            if (unwritten := [document for document in members if document.id not in log.done])
        )
        started, seconds, finished, written = time.perf_counter(), 0.0, 0, 0
        with tqdm(total=len(documents), initial=len(log.done), desc="doc2query", unit="document") as bar:
            open_worker = functools.partial(open_predictor, settings, device)
            for _, (queries, tokens) in over_shards(engine, open_worker, left):
                log.add(queries)
                bar.update(len(queries))
                finished, written, seconds = finished + len(queries), written + tokens, time.perf_counter() - started
        if finished:
            facts |= {"documents_per_second": round(finished / seconds, 2)}
            facts |= {"tokens_per_second": round(written / seconds, 1)}
        facts |= {"documents": len(documents), "device": of_workers, "model": shown_model(settings.model)}
        facts |= {"engine": engine.name}
        write_expansions(partial, {document.id: log.done[document.id] for document in documents})
        if generate_inputs(profile, folder) != inputs:
            raise UserError("collection or T5 changed while queries were predicted; predict them again")
    return target


def generate_inputs(profile: Profile, folder: Path) -> dict[str, str]:
    """Return the digests of collection and T5; the T5's is "" where it is not on this machine."""
    return collection_digests(folder, CORPUS) | {"model": digest_if_here(profile.doc2query.model)}


def main(arguments: list[str] | None = None) -> None:
    """Run `python -m core.doc2query train|generate|score|quality`."""
    parser = argparse.ArgumentParser(prog="python -m core.doc2query", description=__doc__)
    parser.add_argument("verb", choices=("train", "generate", "score", "quality"))
    command_line.add_profile_options(parser)
    parser.add_argument("--triples", type=Path, help="file of triples for train and quality (default: the profile's)")
    parser.add_argument("--batch", type=int, default=0, help="documents at a time in generation")
    executors.add_options(parser)
    options = parser.parse_args(arguments)
    profile, folder = command_line.profile_and_folder(options)
    if options.verb == "train":
        print(train(profile, options.triples, options.device))
    elif options.verb == "generate":
        print(generate(profile, folder, options.device, options.batch, executors.chosen(options)))
    elif options.verb == "score":
        from core.training.query_scores import score

        print(score(profile, folder, options.device))
    else:
        from core.training.query_quality import quality

        print(quality(profile, options.triples, options.device))


if __name__ == "__main__":
    command_line.run(main)
