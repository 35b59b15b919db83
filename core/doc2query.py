"""doc2query: expand documents with predicted queries (Nogueira & Lin, 2019, "From doc2query to docTTTTTquery").

A T5 is fine-tuned on (relevant passage -> query) pairs to generate the query that a passage answers. It then generates
several queries for every document of a collection by top-k sampling. Queries that were predicted elsewhere are taken
from a data set of the hub or from files instead if the profile names them (`source` under [doc2query]).

    python -m core.doc2query train       fine-tune the T5
    python -m core.doc2query generate    predict queries for the documents of a collection, or import published ones
    python -m core.doc2query score       score the queries against their documents with a dense system, for filtering
    python -m core.doc2query curve       measure BM25 by the number of queries per document
    python -m core.doc2query quality     compare queries predicted for held-out passages with the real ones
"""

import functools
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
from tqdm import tqdm

from core.evaluation.expansion_curve import curve_inputs, curve_settings, measure_curve
from core.formats.collections import collection_digests, read_built_collection
from core.formats.documents import CORPUS, shards
from core.formats.predicted_queries import QUERY_CHARACTERS, expected_queries, write_expansions
from core.formats.published_queries import import_queries, obtain_queries, queries_digest, query_files
from core.formats.triples import (
    PASSAGE_TOKENS,
    QUERY_TOKENS,
    expected_triples,
    read_training_triples,
    split_by_query,
    triples_file,
)
from core.training import t5
from core.training.query_quality import quality, quality_inputs, quality_settings
from core.training.query_scores import score, scores_inputs, scores_settings
from core.training.t5 import (
    fit,
    generate_settings,
    open_predictor,
    train_settings,
    training_pairs,
)
from core.workspace import artifacts, command_line
from core.workspace.artifacts import file_digest
from core.workspace.estimates import Cost, Rate, Sizes
from core.workspace.executors import over_shards
from core.workspace.hub import commit_of, licence_of
from core.workspace.model_shapes import shape_of
from core.workspace.models import (
    check_finite,
    chosen_precision,
    device_without_torch,
    digest_if_here,
    load_t5,
    locate_model,
    model_digest,
    pick_device,
    trained_elsewhere,
)
from core.workspace.profile import Doc2querySettings, SystemSettings, find_settings, recorded
from core.workspace.stage import Build, Draft, Stage, Target

# torch, datasets and transformers are imported in functions: this takes seconds, and the build plan does not need them.

# Training


def model_targets(build: Build) -> Iterator[Target[Doc2querySettings]]:
    """Yield the T5."""
    yield Target(build.folder.model(build.profile.doc2query.model), build.profile.doc2query)


def model_settings(build: Build, settings: Doc2querySettings) -> dict[str, Any]:
    """Return the settings that affect the T5."""
    return train_settings(settings) | recorded(build.profile.triples, ("source", "distractors"))


def model_inputs(build: Build, settings: Doc2querySettings) -> dict[str, str]:
    """Return the digests of the triples and the base model."""
    triples = file_digest(triples_file(build))
    return {"triples": triples, "base": model_digest(locate_model(build.folder.workspace, settings.base))}


def train(build: Build, settings: Doc2querySettings, draft: Draft) -> None:
    """Fine-tune the T5 on the profile's triples, and save it as fp16 safetensors.

    The checkpoint with the lowest loss on held-out pairs is kept. An interrupted training resumes from its last
    checkpoint.
    """
    from transformers import set_seed

    triples = read_training_triples(build)
    training, validation = split_by_query(triples, build.profile.triples.held_out)
    base = locate_model(build.folder.workspace, settings.base)
    set_seed(settings.seed)
    model, tokenizer = load_t5(settings.base, base)
    checkpoints = draft / "checkpoints"
    pairs = training_pairs(tokenizer, training, settings)
    held_out_pairs = training_pairs(tokenizer, validation, settings)
    device = pick_device(build.device)
    state = fit(model, tokenizer, pairs, held_out_pairs, settings, checkpoints, device)
    if settings.precision == "auto":
        draft.facts["precision"] = chosen_precision(settings.precision, device)
    draft.facts.update(
        {
            "pairs": len(pairs),
            "held_out_pairs": len(held_out_pairs),
            "steps": state.global_step,
            "best": {"step": state.best_global_step, "held_out_loss": state.best_metric},
            "history": state.log_history,
        }
    )
    check_finite(settings.model, model.half())
    model.save_pretrained(draft.folder)
    tokenizer.save_pretrained(draft.folder)
    artifacts.remove_tree(checkpoints)


def is_trained(build: Build) -> bool:
    """Return whether a build trains the T5: if it predicts the queries, and both they and the model are missing."""
    if not build.profile.doc2query.generates:
        return False
    model = build.profile.doc2query.model
    missing = any(system.expanded for system in build.lexical) and not build.folder.predicted_queries.path.exists()
    return missing and model.startswith("artifacts/") and not trained_elsewhere(build.folder.workspace, model)


RATES = {
    "train fp32": Rate("doc2query train fp32", 1e11, "fp32"),
    "train bf16": Rate("doc2query train bf16", 2e11, "bf16"),
    "train gpu": Rate("doc2query train gpu", 5e12, ""),
    "generate fp32": Rate("doc2query generate fp32", 1.3e11, "fp32"),
    "generate bf16": Rate("doc2query generate bf16", 3e11, "bf16"),
    "generate gpu": Rate("doc2query generate gpu", 5e12, ""),
    "score": Rate("doc2query score", 1.3e11, "fp32"),
    "score gpu": Rate("doc2query score gpu", 2e12, ""),
}
"""Floating-point operations per second by what is done, precision and device."""


def t5_rate(build: Build, done: str) -> Rate:
    """Return the speed of the T5; `done` is "train" or "generate"."""
    device = device_without_torch(build.device)
    precision = chosen_precision(build.profile.doc2query.precision, device) if device == "cpu" else "gpu"
    return RATES[f"{done} {precision}"]


def train_estimate(build: Build, settings: Doc2querySettings, sizes: Sizes) -> Cost:
    """Return the cost of training the T5, in floating-point operations."""
    shape = shape_of(build.folder.workspace, settings.base)
    passage = float(shape.encoding(np.array(min(PASSAGE_TOKENS, settings.max_document_tokens))))
    pair = passage + QUERY_TOKENS * shape.decoding
    operations = 3 * settings.epochs * 0.8 * expected_triples(build) * pair  # a pair occurs in 1.3 triples
    return Cost(operations, t5_rate(build, "train"), 2 * shape.parameters, 15.0, 2 * 12 * shape.parameters)


TRAIN = Stage(
    "doc2query-model",
    model_targets,
    model_settings,
    model_inputs,
    train,
    recorded="doc2query train",
    resume=True,
    trains=True,
    in_build=is_trained,
    estimate=train_estimate,
)

# Prediction


def targets(build: Build) -> Iterator[Target[Doc2querySettings]]:
    """Yield the predicted queries."""
    needs = (build.folder.model(build.profile.doc2query.model),) if is_trained(build) else ()
    yield Target(build.folder.predicted_queries, build.profile.doc2query, needs)


def settings(build: Build, settings: Doc2querySettings) -> dict[str, Any]:
    """Return the settings that determine the predicted queries."""
    if settings.generates:
        return generate_settings(settings)
    return {"source": build.folder.workspace.recorded(settings.source)}


def inputs(build: Build, settings: Doc2querySettings) -> dict[str, str]:
    """Return the digests of the documents and of the T5 or the source; "" for one that is not on this machine."""
    workspace = build.folder.workspace
    digests = collection_digests(build.folder, CORPUS)
    if settings.generates:
        return digests | {"model": digest_if_here(workspace, settings.model)}
    return digests | {"source": queries_digest(workspace, settings.source)}


def prepare(build: Build, settings: Doc2querySettings) -> None:
    """Fetch the T5 or the source of the queries."""
    workspace = build.folder.workspace
    if settings.generates:
        locate_model(workspace, settings.model)
    else:
        query_files(obtain_queries(workspace, settings.source))


def make(build: Build, settings: Doc2querySettings, draft: Draft) -> None:
    """Write the predicted queries: `expansions.jsonl`, one {"_id", "queries"} per document."""
    if settings.generates:
        generate(build, settings, draft)
    else:
        take(build, settings, draft)


def take(build: Build, settings: Doc2querySettings, draft: Draft) -> None:
    """Import predicted queries that were made elsewhere; documents without any get an empty list.

    Raises:
        UserError: see `core.formats.published_queries.import_queries`.
    """
    workspace = build.folder.workspace
    folder = obtain_queries(workspace, settings.source)
    documents = (document.id for document in read_built_collection(build.folder).documents)
    imported = import_queries(query_files(folder), documents)
    draft.facts.update(imported.facts())
    for name, found in (("commit", commit_of(folder)), ("licence", licence_of(folder))):
        if found:
            draft.facts[name] = found
    write_expansions(draft.folder, imported.by_document)
    if without := draft.facts["documents_without_queries"]:
        command_line.note(f"{without:,} of {len(imported.by_document):,} documents have no predicted queries")
    if imported.unknown:
        command_line.note(f"predicted queries of documents that the collection does not have: {imported.unknown:,}")


def generate(build: Build, settings: Doc2querySettings, draft: Draft) -> None:
    """Predict queries for the documents of the built collection by the T5.

    Documents are processed in batches of similar length; an interrupted run resumes after the finished batches.
    """
    documents = read_built_collection(build.folder).documents
    workspace, facts = build.folder.workspace, draft.facts
    device = build.executor.device(build.device)
    samples = t5.CPU_SAMPLES if device == "cpu" else t5.GPU_SAMPLES
    size = build.batch or max(1, samples // settings.queries)
    left = (
        (None, unwritten)
        for _, _, members in shards(documents, lambda document: len(document.full_text), size)
        if (unwritten := [document for document in members if document.id not in draft.log.done])
    )
    started, seconds, finished, written = time.perf_counter(), 0.0, 0, 0
    with tqdm(total=len(documents), initial=len(draft.log.done), desc="doc2query", unit="document") as bar:
        open_worker = functools.partial(open_predictor, workspace, settings, build.device)
        for _, (queries, tokens) in over_shards(build.executor, open_worker, left):
            draft.log.add(queries)
            bar.update(len(queries))
            finished, written, seconds = finished + len(queries), written + tokens, time.perf_counter() - started
    if finished:
        facts |= {"documents_per_second": round(finished / seconds, 2)}
        facts |= {"tokens_per_second": round(written / seconds, 1)}
    facts |= {
        "documents": len(documents),
        "device": device,
        "model": workspace.shown_model(settings.model),
    }
    facts |= {"engine": build.executor.name}
    if settings.precision == "auto":
        facts |= {"precision": chosen_precision(settings.precision, device)}
    write_expansions(draft.folder, {document.id: draft.log.done[document.id] for document in documents})


IMPORTING = Rate("doc2query import", 4e5)
"""Queries per second."""


ID_BYTES = 30
"""Mean size of a document's id and of the keys in a line of predicted queries or their scores."""


def estimate(build: Build, settings: Doc2querySettings, sizes: Sizes) -> Cost:
    """Return the cost of predicting the queries, in floating-point operations, or of importing them."""
    queries = expected_queries(build, sizes)
    size = sizes.documents * ID_BYTES + queries * QUERY_CHARACTERS
    if not settings.generates:
        return Cost(queries, IMPORTING, size, 0.5)
    shape = shape_of(build.folder.workspace, settings.model, settings.base)
    operations = sizes.total(shape.encoding, settings.max_document_tokens) + queries * QUERY_TOKENS * shape.decoding
    return Cost(operations, t5_rate(build, "generate"), size, 5.0)


GENERATE = Stage(
    "doc2query",
    targets,
    settings,
    inputs,
    make,
    recorded="doc2query generate",
    resume=True,
    prepare=prepare,
    in_build=lambda build: any(system.expanded for system in build.lexical),
    estimate=estimate,
)

# Filtering


def score_targets(build: Build) -> Iterator[Target[str]]:
    """Yield the scores of the predicted queries by the scorer of the profile."""
    scorer = build.profile.doc2query.scorer
    of_scorer = (system.vectors_name for system in build.profile.system if system.name == scorer)
    vectors = build.folder.vectors(next(of_scorer, scorer))  # that there is no such system is said when it is used
    yield Target(build.folder.query_scores, scorer, (build.folder.predicted_queries, vectors))


def score_estimate(build: Build, scorer: str, sizes: Sizes) -> Cost:
    """Return the cost of encoding the predicted queries, in floating-point operations."""
    queries = expected_queries(build, sizes)
    shape = shape_of(build.folder.workspace, find_settings(build.profile, scorer).model)
    rate = RATES["score" if device_without_torch(build.device) == "cpu" else "score gpu"]
    size = sizes.documents * ID_BYTES + 9 * queries
    return Cost(queries * float(shape.encoding(np.array(QUERY_TOKENS + 2))), rate, size, 8.0)


SCORE = Stage(
    "query-scores",
    score_targets,
    lambda build, scorer: scores_settings(build.profile, find_settings(build.profile, scorer)),
    lambda build, scorer: scores_inputs(build.folder, find_settings(build.profile, scorer)),
    lambda build, scorer, draft: score(build, find_settings(build.profile, scorer), draft),
    recorded="doc2query score",
    resume=True,
    prepare=lambda build, scorer: locate_model(build.folder.workspace, find_settings(build.profile, scorer).model),
    in_build=lambda build: build.filters_queries,
    estimate=score_estimate,
)

# Effectiveness by number of queries


def curve_targets(build: Build) -> Iterator[Target[SystemSettings]]:
    """Yield the curve of the first expanded system."""
    for system in [system for system in build.lexical if system.expanded][:1]:
        yield Target(build.folder.expansion_curve, system, (build.folder.predicted_queries,))


CURVE = Stage(
    "doc2query-curve",
    curve_targets,
    curve_settings,
    curve_inputs,
    measure_curve,
    recorded="doc2query curve",
    resume=True,
    in_build=lambda build: False,
)

# Quality


def quality_targets(build: Build) -> Iterator[Target[Doc2querySettings]]:
    """Yield the quality measurements of the T5's queries for held-out passages."""
    settings = build.profile.doc2query
    yield Target(build.folder.workspace.query_quality(settings.model), settings)


QUALITY = Stage(
    "query-quality",
    quality_targets,
    quality_settings,
    quality_inputs,
    quality,
    recorded="doc2query quality",
    in_build=lambda build: False,
)

VERBS: dict[str, Stage[Any]] = {
    "train": TRAIN,
    "generate": GENERATE,
    "score": SCORE,
    "curve": CURVE,
    "quality": QUALITY,
}


def main(arguments: list[str] | None = None) -> None:
    """Run `python -m core.doc2query train|generate|score|curve|quality`."""
    parser = command_line.stage_parser("doc2query", __doc__, "triples", "batch", "executor")
    parser.add_argument("verb", choices=tuple(VERBS))
    options = parser.parse_args(arguments)
    print(*VERBS[options.verb].run_all(command_line.build_from(options)))


if __name__ == "__main__":
    command_line.run(main)
