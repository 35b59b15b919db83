"""The weights of a fusion, chosen on a collection's topics: the artifact `tuning/<system>`.

Every choice of weights on a grid is measured from the runs of the fused systems. `curve.csv` has a row for each choice
and topic. What is chosen on topics is overestimated on them; the cross-validated value is not, as each topic has the
weights that are best on the other folds.
"""

import itertools
import random
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from tqdm import tqdm

from core.evaluation.measures import Evaluator, mean
from core.evaluation.significance import bootstrap_intervals
from core.evaluation.table_formats import Table
from core.formats.collections import QRELS, TOPICS, collection_digests, read_built_topics
from core.formats.exclusions import EXCLUDED
from core.formats.runs import built_run, ranked
from core.retrieval.fusion import contributions, lowest_score
from core.retrieval.kinds import search_settings
from core.workspace.artifacts import Manifest, read_manifest, read_whole
from core.workspace.errors import UserError
from core.workspace.profile import FusionSettings, Profile, SystemSettings, find_settings
from core.workspace.stage import Build, Draft
from core.workspace.workspace import CollectionFolder

FILE = "curve.csv"
STEPS = {2: 20}
"""Number of systems -> number of steps from weight 0 to 1."""
STEPS_OF_MORE = 10
FOLDS = 5
NEGLIGIBLE = 0.05
"""Share of topics up to which measures are still a result although weights were chosen on these topics."""
SEED = 13

Weights = tuple[float, ...]
Curve = Mapping[Weights, Mapping[str, float]]
"""Weights, which add up to 1 -> topic -> value of the measure."""


def grid(systems: int) -> list[Weights]:
    """Return all weights of a number of systems that are multiples of a step and add up to 1."""
    steps = STEPS.get(systems, STEPS_OF_MORE)
    cuts = itertools.combinations_with_replacement(range(steps + 1), systems - 1)
    bounds = ((0, *cut, steps) for cut in cuts)
    return [tuple((after - before) / steps for before, after in itertools.pairwise(bound)) for bound in bounds]


def best(curve: Curve, topics: Sequence[str]) -> Weights:
    """Return the weights with the highest mean over some topics; of several, those closest to equal weights."""

    def rank(weights: Weights) -> tuple[float, float]:
        value = mean({topic: curve[weights][topic] for topic in topics})
        return round(value, 9), -sum((weight - 1 / len(weights)) ** 2 for weight in weights)

    return max(curve, key=rank)


def folds(topics: Sequence[str], number: int = FOLDS, seed: int = SEED) -> list[list[str]]:
    """Return topics shuffled into folds of about equal size."""
    shuffled = sorted(topics)
    random.Random(seed).shuffle(shuffled)
    return [fold for fold in (shuffled[i::number] for i in range(number)) if fold]


def cross_validated(curve: Curve) -> dict[str, float]:
    """Return the value of each topic with the weights that are best on the other folds.

    Raises:
        UserError: if there is only one topic.
    """
    topics = list(next(iter(curve.values())))
    if len(topics) < 2:
        raise UserError("weights are chosen on one topic and tested on another, but there is only one topic")
    values: dict[str, float] = {}
    for fold in folds(topics):
        chosen = best(curve, [topic for topic in topics if topic not in fold])
        values |= {topic: curve[chosen][topic] for topic in fold}
    return values


# The artifact


def settings(build: Build, system: SystemSettings) -> dict[str, Any]:
    """Return the settings that affect the curve: the measure, and those of the fusion except its weights."""
    fused = search_settings(build.profile, system)
    fused.pop("weights")
    return fused | {"measure": build.profile.measures[0]}


def inputs(build: Build, system: SystemSettings) -> dict[str, str]:
    """Return the digests of topics, judgments and the runs of the fused systems."""
    digests = collection_digests(build.folder, TOPICS, QRELS, EXCLUDED)
    return digests | {f"runs/{name}": read_manifest(build.folder.run(name)).digest for name in system.of}


def measure_curve(build: Build, system: SystemSettings, draft: Draft) -> None:
    """Fuse the runs with each choice of weights and evaluate the result."""
    profile, folder = build.profile, build.folder
    runs = [built_run(folder, name).scores for name in system.of]
    evaluator = Evaluator(read_built_topics(folder)[1], [profile.measures[0]])
    unweighted = system.fusion.model_copy(update={"weights": []})
    depth = system.fusion.depth or profile.depth
    lowest = (
        [lowest_score(find_settings(profile, name)) for name in system.of] if unweighted.by == "theoretical" else []
    )
    tables = {}
    for topic in dict.fromkeys(topic for run in runs for topic in run):
        lists = [ranked(run.get(topic, {}))[:depth] for run in runs]
        parts = contributions(lists, unweighted, lowest)
        tables[topic] = list(parts), np.array(list(parts.values())).reshape(len(parts), len(runs))
    curve = {}
    for weights in tqdm(grid(len(runs)), desc=f"tune {system.name}", unit="weights"):
        fused = {
            topic: dict(zip(documents, (table @ np.array(weights)).tolist(), strict=True))
            for topic, (documents, table) in tables.items()
        }
        curve[weights] = evaluator.evaluate(fused)[profile.measures[0]]
    topics = list(next(iter(curve.values())))
    chosen = best(curve, topics)
    draft.facts.update(
        topics=len(topics),
        split=profile.collection.split,
        weights=dict(zip(system.of, chosen, strict=True)),
        mean=round(mean(curve[chosen]), 4),
        cross_validated=round(mean(cross_validated(curve)), 4),
    )
    rows = [(*weights, topic, value) for weights, values in curve.items() for topic, value in values.items()]
    pd.DataFrame(rows, columns=[*system.of, "topic", "value"]).to_csv(draft / FILE, index=False, lineterminator="\n")


def read_curve(folder: CollectionFolder, system: str, digest: str = "") -> tuple[list[str], Curve, str]:
    """Return the fused systems, the values of each choice of weights, and the measure, from the artifact.

    Args:
        digest: the required version, see `core.workspace.artifacts.read_whole`.

    Raises:
        UserError: if the artifact is missing or damaged.
    """
    place = folder.tuning(system)

    def read(manifest: Manifest) -> tuple[list[str], Curve, str]:
        table = pd.read_csv(place / FILE, dtype={"topic": str}, keep_default_na=False)
        curve: dict[Weights, dict[str, float]] = {}
        for *weights, topic, value in table.itertuples(index=False, name=None):
            curve.setdefault(tuple(weights), {})[topic] = value
        return list(table.columns[:-2]), curve, str(manifest.settings["measure"])

    return read_whole(place, read, digest=digest)


# What is shown


def curve_table(
    curve: Curve,
    systems: Sequence[str],
    measure: str,
    fused: SystemSettings,
    labels: Mapping[str, str],
    collection: str,
) -> Table:
    """Return the mean of each choice of weights with its 95 % CI, and what to do with the best.

    Args:
        systems: the fused systems in the order of the weights.
        fused: the fusion.
    """
    intervals = bootstrap_intervals({str(weights): values for weights, values in curve.items()})
    rows = [(*weights, *intervals[str(weights)]) for weights in curve]
    named = [labels.get(name, name) for name in systems]
    figures = pd.DataFrame(rows, columns=[*(f"weight of {name}" for name in named), measure, "CI low", "CI high"])
    topics = list(next(iter(curve.values())))
    chosen, equal = best(curve, topics), min(curve, key=lambda weights: sum(weight**2 for weight in weights))
    in_words = ", ".join(f"{name} {weight:.2f}" for name, weight in zip(named, chosen, strict=True))
    alike = "equal weights" if len(set(equal)) == 1 else f"the weights {', '.join(f'{weight:.2f}' for weight in equal)}"
    weights = ", ".join(f"{weight:g}" for weight in chosen)
    return Table(
        figures.set_index(list(figures.columns[: len(systems)])),
        f"{collection}: {measure} of {labels.get(fused.name, fused.name)} by weights",
        sentences=[
            f"Highest mean {measure} on these {len(topics)} topics: {mean(curve[chosen]):.4f}, with the weights "
            f"{in_words}. Chosen on the topics that it is measured on, it is not a result: in {FOLDS}-fold "
            f"cross-validation, with the weights that are best on other topics, it is "
            f"{mean(cross_validated(curve)):.4f}; with {alike}, {mean(curve[equal]):.4f}.",
            f"No fusion is better than {named[chosen.index(1.0)]} alone here."
            if 1.0 in chosen
            else f"For other collections: fusion = {{ {_by(fused.fusion)}weights = [{weights}], "
            f'chosen_on = "{collection}" }}.',
        ],
    )


def _by(settings: FusionSettings) -> str:
    """Return how the fusion is made, as in a profile."""
    by = f'by = "{settings.by}", ' if settings.by != "reciprocal ranks" else ""
    return by + (f"k = {settings.k}, " if settings.k != FusionSettings().k else "")


def weight_notes(profile: Profile, folder: CollectionFolder, labels: Mapping[str, str]) -> list[str]:
    """Return a sentence for each fusion whose weights were, or may have been, chosen on the topics that it is shown on.

    A profile in which the weights are said to be chosen on its own collection is refused when it is read.
    """
    said = []
    for system in profile.system:
        weights, chosen_on = system.fusion.weights, system.fusion.chosen_on
        if not weights or len(set(weights)) == 1:
            continue
        label = labels.get(system.name, system.name)
        if not chosen_on:
            said.append(
                f"{label}: the profile does not say on which topics the weights were chosen (`chosen_on`); if on "
                "these, its measures are no result."
            )
            continue
        shared, total = _shared_topics(folder, folder.workspace.collection(chosen_on))
        if shared:
            so = ", so that its measures are no result" if shared > NEGLIGIBLE * total else ""
            said.append(
                f"{label}: the weights were chosen on {chosen_on}, which has {shared} of these {total} topics{so}."
            )
    return said


def _shared_topics(folder: CollectionFolder, other: CollectionFolder) -> tuple[int, int]:
    """Return how many topics have the text of a topic of another collection, 0 if it is not here, and of how many."""
    try:
        theirs = {topic.question.casefold().strip() for topic in read_built_topics(other)[0]}
        ours = read_built_topics(folder)[0]
        return sum(topic.question.casefold().strip() in theirs for topic in ours), len(ours)
    except UserError:
        return 0, 0
