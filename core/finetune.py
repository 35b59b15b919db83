"""Fine-tune a dense bi-encoder, or the cross-encoder of a re-ranker, with sentence-transformers' trainers and losses.

On MS MARCO triples, the loss is the cross-entropy with in-batch negatives (Henderson et al., 2017; Karpukhin et al.,
2020), in addition to the negatives of the triples or mined ones. With a teacher, or on pseudo-labelled queries, it is
the Kullback-Leibler divergence from the teacher's distribution over the passages (Lin et al., 2020).

A cross-encoder (`architecture = "cross-encoder"`) is trained by the cross-entropy over the passages of a query, or by
ListNet (Cao et al., 2007) on the scores of a teacher or of pseudo-labels.
"""

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from core.formats.triples import (
    PASSAGE_TOKENS,
    QUERY_TOKENS,
    expected_triples,
    read_triples,
    split_by_query,
    triples_file,
)
from core.training import histories
from core.workspace import artifacts, command_line
from core.workspace.artifacts import file_digest, read_manifest
from core.workspace.estimates import Cost, Rate, Sizes
from core.workspace.model_shapes import shape_of
from core.workspace.models import (
    check_finite,
    chosen_precision,
    device_without_torch,
    locate_model,
    model_digest,
    pick_device,
    trained_elsewhere,
)
from core.workspace.profile import OF_BI_ENCODERS, OF_CROSS_ENCODERS, FinetuneSettings
from core.workspace.stage import Build, Draft, Stage, Target

# torch, datasets and transformers are imported in functions: this takes seconds, and the build plan does not need them.


TRAINING = {"fp32": Rate("finetune fp32", 2e11, "fp32"), "bf16": Rate("finetune bf16", 4e11, "bf16")}
"""Floating-point operations per second on a CPU, by precision."""


GPU_TRAINING = Rate("finetune gpu", 6e12, "")


def targets(build: Build) -> Iterator[Target[FinetuneSettings]]:
    """Yield the model."""
    yield Target(build.folder.model(build.profile.finetune.model), build.profile.finetune)


def model_settings(build: Build, settings: FinetuneSettings) -> dict[str, Any]:
    """Return the settings that affect the model."""
    # What the other architecture alone has is left out, so that models made before there were two stay up to date.
    absent = OF_BI_ENCODERS if settings.architecture == "cross-encoder" else ("architecture", *OF_CROSS_ENCODERS)
    own = settings.model_dump(exclude={"model", "device", *absent})
    return own | build.profile.triples.model_dump(exclude={"source"})


def inputs(build: Build, settings: FinetuneSettings) -> dict[str, str]:
    """Return the digests of the triples and the base model, and of pseudo-labels and teacher if they are used."""
    workspace = build.folder.workspace
    digests = {"triples": file_digest(triples_file(build))}
    digests["base"] = model_digest(locate_model(workspace, settings.base))
    if settings.data == "pseudo-labels":
        digests["pseudo-labels"] = read_manifest(build.folder.pseudo_labels).digest
    if settings.teacher:
        digests["teacher"] = model_digest(locate_model(workspace, settings.teacher))
    return digests


def train(build: Build, settings: FinetuneSettings, draft: Draft) -> None:
    """Fine-tune the model with the settings of the profile, and save it as fp16 safetensors.

    An interrupted training resumes from its last checkpoint.
    """
    from transformers import set_seed

    from core.training import bi_encoder, cross_encoder

    profile, folder = build.profile, build.folder
    triples, held_out = split_by_query(read_triples(triples_file(build)), profile.triples.held_out)
    base = locate_model(folder.workspace, settings.base)
    device = pick_device(settings.device if build.device == "auto" else build.device)
    set_seed(settings.seed)
    others = triples[: profile.triples.distractors]
    passages = len({passage for t in [*held_out, *others] for passage in (t.relevant, t.not_relevant)})
    library: Any = bi_encoder
    evaluator: Any
    if settings.architecture == "cross-encoder":
        library = cross_encoder
        evaluator = cross_encoder.held_out_evaluator(held_out, settings.candidates, others)
    else:
        evaluator = bi_encoder.held_out_evaluator(held_out, settings.similarity, others)
    model = library.build_model(settings, base, device)
    training, validation = library.training_rows(settings, folder, triples, held_out, model)
    before = evaluator(model)[str(evaluator.primary_metric)]
    history = library.fit(model, training, validation, settings, draft / "checkpoints", evaluator)
    if settings.base_share:
        bi_encoder.mix_weights(model, library.build_model(settings, base, device), settings.base_share)
    after = evaluator(model)[str(evaluator.primary_metric)]
    draft.facts.update(
        {
            "rows": len(training),
            "held_out_queries": len({triple.query for triple in held_out}),
            "held_out_passages": passages,
            "held_out_mrr@10": {"before": round(before, 4), "after": round(after, 4)},
            "device": device,
        }
    )
    if settings.precision == "auto":
        draft.facts["precision"] = chosen_precision(settings.precision, device)
    (draft / histories.FILE).write_text(json.dumps(history, indent=1) + "\n", encoding="utf-8", newline="\n")
    check_finite(settings.model, model.half())
    model.save(str(draft.folder), create_model_card=False, safe_serialization=True)
    card = library.MODEL_CARD.format(
        base=settings.base,
        data=bi_encoder.data_in_words(settings, len(training), folder),
        history=histories.FILE,
        settings="\n".join(f"| {name} | {value} |" for name, value in model_settings(build, settings).items()),
        passages=passages,
        before=before,
        after=after,
    )
    (draft / "README.md").write_text(card, encoding="utf-8", newline="\n")
    artifacts.remove_tree(draft / "checkpoints")


def is_trained(build: Build) -> bool:
    """Return whether a build trains the model: if a system uses it, and no copy of it exists elsewhere."""
    model = build.profile.finetune.model
    used = any(system.model == model for system in build.required)
    return used and not trained_elsewhere(build.folder.workspace, model)


def estimate(build: Build, settings: FinetuneSettings, sizes: Sizes) -> Cost:
    """Return the cost of training on triples or pseudo-labels and of the validations, in floating-point operations."""
    if settings.architecture == "cross-encoder":
        return _cross_encoder_estimate(build, settings, sizes)
    shape = shape_of(build.folder.workspace, settings.base)
    query, passage = shape.encoding(np.minimum([QUERY_TOKENS, PASSAGE_TOKENS], settings.max_tokens)).tolist()
    triples = expected_triples(build)
    passages = 2 * (build.profile.triples.held_out * triples + min(triples, build.profile.triples.distractors))
    rows, row = (1 - build.profile.triples.held_out) * triples, query + (1 + settings.use_negative) * passage
    if settings.data == "pseudo-labels":
        labels = build.profile.pseudo_labels
        rows = sizes.documents * labels.rounds
        row = sizes.total(shape.encoding, settings.max_tokens) / sizes.documents + labels.queries * query
    validations = 2 + settings.epochs * rows / settings.batch / settings.evaluate_every
    device = device_without_torch(settings.device if build.device == "auto" else build.device)
    # forward, backward (twice the work), and for chunks the forward pass again
    passes = 4 if settings.chunk and device == "cpu" else 3
    operations = passes * settings.epochs * rows * row + validations * passages * passage
    return _cost(build, settings, operations, shape.parameters)


def _cross_encoder_estimate(build: Build, settings: FinetuneSettings, sizes: Sizes) -> Cost:
    """Return the cost of training on and validating pairs of a query and a passage."""
    shape = shape_of(build.folder.workspace, settings.base)
    if settings.layers:
        shape = replace(shape, layers=min(settings.layers, shape.layers))
    triples, held_out = expected_triples(build), build.profile.triples.held_out
    rows = (1 - held_out) * triples
    pair = float(shape.encoding(np.minimum([QUERY_TOKENS + PASSAGE_TOKENS], settings.max_tokens))[0])
    if settings.data == "pseudo-labels":
        rows = sizes.documents * build.profile.pseudo_labels.rounds * build.profile.pseudo_labels.queries
        pair = sizes.total(shape.encoding, settings.max_tokens) / sizes.documents
    validations = 2 + settings.epochs * rows / settings.batch / settings.evaluate_every
    pairs = (
        3 * settings.epochs * rows * settings.candidates + 2 * validations * held_out * triples * settings.candidates
    )
    return _cost(build, settings, pairs * pair, shape.parameters)


def _cost(build: Build, settings: FinetuneSettings, operations: float, parameters: int) -> Cost:
    device = device_without_torch(settings.device if build.device == "auto" else build.device)
    rate = (
        GPU_TRAINING
        if device != "cpu"
        else TRAINING.get(chosen_precision(settings.precision, device), TRAINING["fp32"])
    )
    return Cost(operations, rate, 2 * parameters, 15.0, 2 * 12 * parameters)


STAGE = Stage(
    "finetune",
    targets,
    model_settings,
    inputs,
    train,
    resume=True,
    trains=True,
    in_build=is_trained,
    estimate=estimate,
)


def main(arguments: list[str] | None = None) -> None:
    """Run `python -m core.finetune`."""
    command_line.run_stage(STAGE, "finetune", __doc__, arguments, "triples")


if __name__ == "__main__":
    command_line.run(main)
