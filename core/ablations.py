"""Run ablations of the fine-tuning: the default configuration with one setting changed at a time, over several seeds.

The artifact `artifacts/ablations/<base>/ablations.csv` has one row per variant and seed: MRR@10 on held-out MS MARCO
queries and nDCG@10 on the profile's collection, before and after training. Finished trainings are not repeated.
"""

from collections.abc import Iterator
from typing import Any

import pandas as pd
from sentence_transformers import SentenceTransformer
from transformers import set_seed

from core.evaluation.ablation_tables import FILE, read_ablations, summary
from core.evaluation.ann_sweep import excluded_positions, search_without
from core.evaluation.measures import evaluate, mean
from core.formats.collections import QRELS, TOPICS, Collection, collection_digests, read_built_collection
from core.formats.documents import CORPUS
from core.formats.exclusions import EXCLUDED
from core.formats.runs import run_of
from core.formats.triples import training_and_held_out, triples_file
from core.indexes.exact import ExactIndex
from core.retrieval.encoder import encode_texts
from core.training.bi_encoder import build_model, fit, held_out_evaluator, training_rows
from core.training.trainer import rows_of
from core.workspace import artifacts, command_line
from core.workspace.artifacts import file_digest, value_digest
from core.workspace.models import locate_model, model_digest, pick_device
from core.workspace.profile import FinetuneSettings, Profile, recorded
from core.workspace.stage import Build, Draft, Stage, Target

RECIPE = "recipe"
"""Name of the default configuration among the variants."""


def targets(build: Build) -> Iterator[Target[FinetuneSettings]]:
    """Yield the ablations of the profile's default configuration."""
    recipe = build.profile.finetune
    yield Target(build.folder.workspace.ablations(recipe.base), recipe, (build.folder.collection,))


def settings(build: Build, recipe: FinetuneSettings) -> dict[str, Any]:
    """Return the settings that affect the table."""
    profile = build.profile
    return {
        "recipe": recorded(recipe, ("model", "device")),
        "ablations": profile.ablations.model_dump(),
        "triples": recorded(profile.triples, ("source",)),
        "collection": profile.collection.model_dump(include={"name", "split", "topic_field"}),
    }


def inputs(build: Build, recipe: FinetuneSettings) -> dict[str, str]:
    """Return the digests of the collection, the triples and the base model."""
    base = locate_model(build.folder.workspace, recipe.base)
    digests = {"triples": file_digest(triples_file(build)), "base": model_digest(base)}
    return collection_digests(build.folder, CORPUS, TOPICS, QRELS, EXCLUDED) | digests


def make(build: Build, recipe: FinetuneSettings, draft: Draft) -> None:
    """Train every variant with every seed, and evaluate the models on the built collection.

    Raises:
        UserError: if the collection, the triples or the base model are unavailable, or a variant is invalid.
    """
    profile, folder, settings = build.profile, build.folder, build.profile.ablations
    variants = {
        name: FinetuneSettings(**(recipe.model_dump() | changed)) for name, changed in variants_of(profile).items()
    }
    triples, held_out = training_and_held_out(build, recipe)
    base = locate_model(folder.workspace, recipe.base)
    device = pick_device(recipe.device if build.device == "auto" else build.device)
    draft.facts["device"] = device
    collection = read_built_collection(folder)
    for name, variant in variants.items():
        for seed in settings.seeds:
            run_name = f"{name}, seed {seed}"
            if run_name in draft.log.done:
                continue
            changed = variant.model_copy(update={"seed": seed})
            evaluator = held_out_evaluator(held_out, changed.similarity, triples[: profile.triples.distractors])
            set_seed(seed)
            model = build_model(changed, base, device)
            row: dict[str, Any] = {"variant": name, "seed": seed}
            # The untrained model does not depend on the seed, so its figures are computed once per variant.
            known = next((row for row in draft.log.done.values() if row["variant"] == name), None)
            before = known or _figures(model, evaluator, collection, profile, changed, " before")
            row |= {key: value for key, value in before.items() if key.endswith(" before")}
            limited = triples[: settings.rows] if settings.rows else triples
            training, validation = training_rows(changed, folder, limited, held_out, model)
            checkpoints = draft / "checkpoints" / value_digest(run_name)
            history = fit(model, training, validation, changed, checkpoints)
            artifacts.remove_tree(checkpoints)
            row |= _figures(model, evaluator, collection, profile, changed)
            row |= {"rows": rows_of(training, changed.batch), "seconds": round(history[-1]["train_runtime"], 1)}
            draft.log.add({run_name: row})
            print(" ".join(f"{key} {value}" for key, value in row.items()), flush=True)
    artifacts.remove_tree(draft / "checkpoints")
    rows = [draft.log.done[f"{name}, seed {seed}"] for name in variants for seed in settings.seeds]
    pd.DataFrame(rows).to_csv(draft / FILE, index=False, lineterminator="\n")


STAGE = Stage("ablations", targets, settings, inputs, make, resume=True, in_build=lambda build: False)


def variants_of(profile: Profile) -> dict[str, dict[str, Any]]:
    """Return the settings that each variant changes, the unchanged default configuration first."""
    return {RECIPE: {}} | profile.ablations.variants


def _figures(
    model: SentenceTransformer,
    evaluator: Any,
    collection: Collection,
    profile: Profile,
    settings: FinetuneSettings,
    when: str = "",
) -> dict[str, float]:
    """Return MRR@10 on the held-out queries and nDCG@10 on the collection, with `when` appended to their names."""
    names = [document.id for document in collection.documents]
    index = ExactIndex(settings.similarity)
    index.build(encode_texts(model, [document.full_text for document in collection.documents], "document"))
    texts = [topic.text(profile.collection.topic_field) for topic in collection.topics]
    excluded = excluded_positions(collection, names)
    positions, scores = search_without(index, encode_texts(model, texts, "query"), 10, excluded)
    run = run_of([topic.id for topic in collection.topics], names, positions, scores)
    ndcg = mean(evaluate(run, collection.qrels, ["nDCG@10"])["nDCG@10"])
    mrr = evaluator(model)[evaluator.primary_metric]
    return {f"MRR@10{when}": round(mrr, 4), f"nDCG@10{when}": round(ndcg, 4)}


def main(arguments: list[str] | None = None) -> None:
    """Run `python -m core.ablations`."""
    parser = command_line.stage_parser("ablations", __doc__, "triples")
    build = command_line.build_from(parser.parse_args(arguments))
    for made in STAGE.run_all(build):
        rows, _ = read_ablations(made)
        print(summary(rows).round(4).to_string())


if __name__ == "__main__":
    command_line.run(main)
