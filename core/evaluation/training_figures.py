"""The figures of the page Fine-tuning: a fine-tuned model's history and settings, and the ablations of the training.

`python -m core.compare` prints them. Models and ablations belong to no collection.
"""

from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import pandas as pd

from core.evaluation.ablation_tables import read_ablations, summary
from core.evaluation.freshness import changes_of
from core.evaluation.results import Results
from core.evaluation.table_formats import Table
from core.training.histories import (
    Checks,
    Training,
    overfitting_sentence,
    read_checks,
    read_training,
    trained_models,
)
from core.workspace.artifacts import Artifact, Manifest
from core.workspace.errors import UserError
from core.workspace.estimates import in_time
from core.workspace.model_shapes import known_shape
from core.workspace.models import model_digest
from core.workspace.profile import Profile
from core.workspace.workspace import Workspace

SATURATED = 0.95
"""MRR@10 of a base model above which its held-out queries tell little about what a training costs."""


def training_history(results: Results, model: str = "") -> Table:
    """The loss, the held-out loss and the held-out MRR@10 of a fine-tuned model, by training step."""
    return history_table(read_training(_model(results, model)))


def training_settings(results: Results, model: str = "") -> Table:
    """The settings that a model was fine-tuned with."""
    return settings_table(read_training(_model(results, model)))


def training_checks(results: Results, model: str = "") -> Table:
    """The checks of a fine-tuned model, before and after its training: what was measured, and the faults."""
    training = read_training(_model(results, model))
    checks = checks_of(results.folder.workspace, training)
    if checks is None:
        raise UserError(f"{training.model.name} was not checked; run {check_command(training)}")
    return checks_table(checks, training)


def overfitting(results: Results, base: str = "") -> Table:
    """The overfitting test of a base model: the loss and MRR@10 on ten pairs, by training step."""
    tests = all_overfitting(results.folder.workspace)
    if not tests:
        raise UserError("there is no overfitting test yet; run python -m core.finetune --profile ablations --overfit")
    if base and base not in tests:
        raise UserError(f"no overfitting test of the base model {base}; there are tests of {', '.join(tests)}")
    return overfitting_table(tests[base or next(iter(tests))])


def ablations(results: Results, base: str = "") -> Table:
    """The ablations of the fine-tuning: means over seeds for each variant, and their standard deviation."""
    workspace = results.folder.workspace
    made = all_ablations(workspace)
    if base and base not in made:
        raise UserError(f"no ablations of the base model {base}; there are ablations of {', '.join(made)}")
    return ablations_table(workspace, made[base or next(iter(made))])[0]


def all_ablations(workspace: Workspace) -> dict[str, Artifact]:
    """Return the ablations in a workspace, by base model.

    Raises:
        UserError: if there are none.
    """
    made = {artifact.name: artifact for artifact in workspace.all_ablations()}
    if not made:
        raise UserError("there are no ablations yet; run python -m core.ablations --profile ablations")
    return made


def all_trained(workspace: Workspace, profile: Profile) -> dict[str, Artifact]:
    """Return the fine-tuned models with a history in a workspace, by name, those of the profile's systems first.

    Raises:
        UserError: if there are none.
    """
    used = {system.model for system in profile.system}
    models = {model.name: model for model in sorted(trained_models(workspace), key=lambda m: m.shown not in used)}
    if not models:
        raise UserError("there is no fine-tuned model with a training history; train one with python -m core.finetune")
    return models


def checks_of(workspace: Workspace, training: Training) -> Checks | None:
    """Return the findings about a fine-tuned model; None if it was not checked.

    Raises:
        UserError: if they are damaged.
    """
    return read_checks(workspace, training.model.shown)


def check_command(training: Training) -> str:
    """Return the command that checks a model."""
    return f"python -m core.finetune --check {training.model.shown}"


def checks_table(checks: Checks, training: Training) -> Table:
    """Return the findings about a model, one row per check, with a sentence on how many are faults."""
    older = False
    with suppress(UserError):  # an archive need not include the weights
        older = checks.manifest.inputs.get("model") not in (None, model_digest(training.model.path))
    outdated = f"These checks are of an older model; repeat them with {check_command(training)}."
    table = checks.findings.set_index("check")
    return Table(table, f"{training.model.name}: checks", sentences=[checks.sentence, *([outdated] if older else [])])


def all_overfitting(workspace: Workspace) -> dict[str, Training]:
    """Return the overfitting tests in a workspace, by base model.

    Raises:
        UserError: if one is damaged.
    """
    return {artifact.name: read_training(artifact) for artifact in workspace.all_overfitting()}


def overfitting_table(test: Training) -> Table:
    """Return the history of an overfitting test, one row per step, with a sentence on its result; step 0 is before."""
    table = test.history.dropna(subset=["loss"]).set_index("step")[["loss", "held-out MRR@10"]]
    table = table.rename(columns={"held-out MRR@10": "MRR@10"})
    if "mrr@10 before" in test.manifest.facts:
        table = pd.concat([pd.DataFrame({"MRR@10": {0: test.manifest.facts["mrr@10 before"]}}), table])[table.columns]
        table = table.rename_axis("step")
    return Table(table, f"{test.model.name}: overfitting test", sentences=[overfitting_sentence(test)])


def history_table(training: Training) -> Table:
    """Return the losses and the held-out MRR@10 of a training, one row per step."""
    return Table(training.history.set_index("step"), f"{training.model.name}: training history")


def settings_table(training: Training) -> Table:
    """Return the settings of a training, one row each."""
    values = {name: str(value) for name, value in training.manifest.settings.items()}
    table = pd.DataFrame({"value": pd.Series(values, dtype=object)}).rename_axis("setting")
    return Table(table, f"{training.model.name}: training settings", sentences=[recipe_sentence(training)])


def recipe_sentence(training: Training) -> str:
    """Return a sentence on how a model was fine-tuned: base, data, loss, size, and time."""
    manifest, settings = training.manifest, training.manifest.settings
    sizes = [f"{manifest.facts.get('rows', 0):,} rows"]
    sizes += [f"{settings['epochs']:g} epoch{'s' * (settings['epochs'] != 1)}"] if "epochs" in settings else []
    sizes += [f"batches of {settings['batch']}"] if "batch" in settings else []
    rate = f"{settings['learning_rate']:g}".replace("e-0", "e-") if "learning_rate" in settings else ""
    sizes += [f"learning rate {rate}"] if rate else []
    device = {"cpu": "a CPU", "cuda": "a GPU"}.get(str(manifest.facts.get("device")), manifest.facts.get("device"))
    took = f"{in_time(manifest.seconds)} on {device}"
    rehearsal = (
        f" It is a rehearsal of {settings['steps']} steps, whose figures mean nothing." if settings.get("steps") else ""
    )
    return f"Model {training.model.name}: {recipe(manifest)} ({', '.join([*sizes, took])}).{rehearsal}"


def recipe(manifest: Manifest) -> str:
    """Return in half a sentence how a model was fine-tuned: base, data and loss."""
    settings = manifest.settings
    data = "MS MARCO triples, with cross-entropy over in-batch negatives"
    if settings.get("data") == "pseudo-labels":
        data = "predicted queries, by distillation of a teacher's scores; topics and judgments were not used"
    elif settings.get("teacher"):
        data = f"MS MARCO triples, by distillation of the scores of {short_name(settings['teacher'])}"
    return f"{short_name(str(settings.get('base')))}, fine-tuned on {data}{_replay(settings.get('replay', {}))}"


def _replay(replay: Mapping[str, Any]) -> str:
    """Return what else was trained on, in words; "" if nothing was."""
    said = [
        *(["MS MARCO triples"] if replay.get("triples") else []),
        *(["the base's similarities on MS MARCO"] if replay.get("base") else []),
        *(f"the pseudo-labels of {name}" for name in replay.get("collections", [])),
    ]
    return f"; replayed: {', '.join(said)}" if said else ""


def recipe_in_short(manifest: Manifest) -> str:
    """Return the data and the kind of loss that a model was fine-tuned with, in a few words."""
    settings = manifest.settings
    if settings.get("data") == "pseudo-labels":
        return "fine-tuned on predicted queries, by distillation"
    return f"fine-tuned on MS MARCO triples{', by distillation' if settings.get('teacher') else ''}"


def held_out_sentence(training: Training) -> str:
    """Return a sentence on the MRR@10 of held-out MS MARCO queries before and after fine-tuning."""
    facts, settings, notes = training.manifest.facts, training.manifest.settings, ""
    mrr, replay = facts.get("held_out_mrr@10", {}), settings.get("replay", {})
    if settings.get("data") == "pseudo-labels" and not (replay.get("triples") or replay.get("base")):
        notes = (
            " MS MARCO is not in its training data: this checks that the model has not lost what it could do before."
        )
    if mrr.get("before", 0) > SATURATED:
        notes += (
            " The base is near 1 here, so that this hardly shows a loss: scripts/guards.py makes harder collections."
        )
    return (
        f"MRR@10 of {facts.get('held_out_queries', 0):,} held-out MS MARCO queries over "
        f"{facts.get('held_out_passages', 0):,} passages: {mrr.get('before', 0):.4f} before fine-tuning, "
        f"{mrr.get('after', 0):.4f} after.{notes}"
    )


def other_base_sentence(workspace: Workspace, ablations: Manifest, training: Training) -> str:
    """Return a sentence that tells the base model of some ablations from that of a fine-tuned model; "" if it is one.

    The number of parameters is given where the shape of the model is known.
    """
    base = str(ablations.settings.get("recipe", {}).get("base", ""))
    own = str(training.manifest.settings.get("base", ""))
    if not base or base == own:
        return ""
    named = []
    for name in (base, own):
        shape = known_shape(workspace, name)
        named.append(short_name(name) + (f" ({shape.parameters / 1e6:.0f} M parameters)" if shape else ""))
    return (
        f"The ablations are of another base model, {named[0]}, not of {named[1]}, the base of {training.model.name}: "
        "they show which settings matter, not what they would be worth for that model."
    )


def short_name(model: str) -> str:
    """Return the name of a model without the owner or folder."""
    return model.rstrip("/").rpartition("/")[2]


def ablations_table(workspace: Workspace, artifact: Artifact) -> tuple[Table, Manifest]:
    """Return the ablations of a base model, one row per variant, and their manifest.

    A sentence says so if they are older than the collection that they were evaluated on.

    Raises:
        UserError: if they are missing or damaged.
    """
    rows, manifest = read_ablations(artifact)
    collection, split = (manifest.settings["collection"][key] for key in ("name", "split"))
    folder = workspace.collection(collection)
    changed = changes_of(manifest, folder, "ablations") if folder.collection.path.is_dir() else []
    older = f"these ablations are older than the {' and the '.join(changed)} of {collection}"
    outdated = f"{older}; rerun them with {manifest.command}"
    caption = f"Ablations of {artifact.name}, evaluated on {collection}, split {split}"
    return Table(summary(rows), caption, sentences=(outdated,) if changed else ()), manifest


def _model(results: Results, name: str) -> Artifact:
    models = all_trained(results.folder.workspace, results.profile)
    if name and name not in models:
        raise UserError(f"there is no fine-tuned model {name} with a history; there are {', '.join(models)}")
    return models[name or next(iter(models))]
