"""Evaluate TREC runs given on the command line, or all systems of a collection: the artifact `measures`.

    python -m core.evaluate RUN... --qrels QRELS --measures nDCG@10,P@20,AP,Judged@10 --json [--per-topic]
    python -m core.evaluate --profile P

The artifact has `measures.csv`, a tidy table (collection, system, topic, measure, value), `variations.npy` and
`variations.json`, the values of the measures that tell how robust the ranking of the systems is, and their names, and
`sentence_transformers.csv`, which compares the values of dense systems with sentence-transformers' evaluator.
"""

import csv
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd

from core.evaluation.given_runs import add_excluded_option, given_exclusions, read_given_run
from core.evaluation.measures import Evaluator, PerTopic, evaluate, interpolated_precision, mean, providers, residuals
from core.evaluation.robustness import stored_variations
from core.evaluation.stored_measures import (
    AGREEMENT,
    AGREEMENT_FILE,
    COLUMNS,
    MEASURES_FILE,
    read_table,
    read_variations,
    tidy,
    write_variations,
)
from core.formats.collections import QRELS, TOPICS, Collection, collection_digests, read_built_collection
from core.formats.exclusions import EXCLUDED
from core.formats.qrels import HIGHEST_GRADE, highest_grade, read_qrels
from core.formats.runs import Run, built_run, run_names
from core.workspace import command_line
from core.workspace.artifacts import Artifact, open_artifact, read_whole, record_failure, versions
from core.workspace.errors import UserError, in_words
from core.workspace.estimates import Cost, Rate, Sizes
from core.workspace.measure_names import split_names
from core.workspace.model_shapes import shape_of
from core.workspace.models import find_model
from core.workspace.profile import Profile, find_settings
from core.workspace.stage import Build, Draft, Stage, Target
from core.workspace.workspace import CollectionFolder

EVALUATED_BY = "pytrec-eval-terrier"
"""Library whose version must be unchanged for measures to be reused."""


CROSS_CHECKING = Rate("evaluate", 5e7)
"""Values of vectors that sentence-transformers' evaluator reads per second."""


MEASURE_BYTES = 45
"""Mean size of a line of `measures.csv`."""


def targets(build: Build) -> Iterator[Target[Profile]]:
    """Yield the measures."""
    yield Target(build.folder.measures, build.profile)


def settings(build: Build, profile: Profile) -> dict[str, Any]:
    """Return the settings that affect the measures."""
    return {"measures": profile.measures, "systems": [system.name for system in profile.system]}


def inputs(build: Build, profile: Profile) -> dict[str, str]:
    """Return the digests of the collection and of all intact runs."""
    digests = collection_digests(build.folder, TOPICS, QRELS, EXCLUDED)
    for system in profile.system:
        try:
            digests[system.name] = open_artifact(build.folder.run(system.name)).digest
        except UserError:
            continue  # a system without a run, or with a damaged one, is absent, not zero
    return digests


def make(build: Build, profile: Profile, draft: Draft) -> None:
    """Evaluate all existing runs; a run that cannot be read is skipped with a note.

    If the build keeps measures, those of unchanged runs are reused, so that adding one run is fast, and the values of
    sentence-transformers are available without the model.
    """
    folder, measures = build.folder, build.folder.measures
    collection = read_built_collection(folder)
    varied = stored_variations(profile.measures, highest_grade(collection.qrels))
    varied = [name for name in varied if name not in profile.measures]
    kept_values = _kept_values(measures, settings(build, profile), draft.inputs, varied) if build.keep else {}
    kept = _kept_agreement(measures, draft.inputs) if build.keep else {}
    evaluator = Evaluator(collection.qrels, [*profile.measures, *varied])
    rows, agreement, variations = [], [], {}
    failures: dict[str, str] = {}
    for system in profile.system:
        if system.name not in draft.inputs:
            continue
        values, agreed = kept_values.get(system.name), kept.get(system.name, [])
        checked = system.kind == "dense" and system.is_exact and not system.vectors
        if values is None or (checked and not agreed):
            try:
                run = built_run(folder, system.name, draft.inputs[system.name])
                values = evaluator.evaluate(run.scores)
            except Exception as error:  # a problem with one run does not affect the others
                failures[system.name] = in_words(error)
                command_line.note(f"{system.name} was not evaluated: {in_words(error)}")
                del draft.inputs[system.name]  # so that the measures are stale and the next build retries
                continue
            if checked and not agreed:
                agreed = _sentence_transformers_rows(profile, system.name, collection, run, folder)
        variations[system.name] = {measure: values.pop(measure) for measure in varied}
        draft.facts[system.name] = {measure: round(mean(by_topic), 4) for measure, by_topic in values.items()}
        rows += tidy(collection.name, system.name, values)
        agreement += agreed
    if failures and not rows:
        raise UserError(f"no system could be evaluated; {next(iter(failures))}: {next(iter(failures.values()))}")
    pd.DataFrame(rows, columns=COLUMNS).to_csv(draft / MEASURES_FILE, index=False, lineterminator="\n")
    write_variations(draft.folder, variations)
    columns = ["system", "measure", "ours", "sentence_transformers"]
    pd.DataFrame(agreement, columns=columns).to_csv(draft / AGREEMENT_FILE, index=False, lineterminator="\n")
    for system in profile.system:
        record_failure(measures.part(system.name), failures.get(system.name))


def estimate(build: Build, profile: Profile, sizes: Sizes) -> Cost:
    """Return the cost of evaluating the runs of the build's systems; those of other systems are unchanged."""
    dense = [system for system in build.chosen if system.kind == "dense"]
    values = sum(sizes.documents * shape_of(build.folder.workspace, system.model).width for system in dense)
    size = MEASURE_BYTES * sizes.topics * len(profile.measures) * len(build.chosen)
    return Cost(values, CROSS_CHECKING, size, 0.5 * len(build.chosen) + 3.0 * len(dense))


STAGE = Stage("evaluate", targets, settings, inputs, make, estimate=estimate)


def _kept_values(
    measures: Artifact, settings: dict[str, Any], inputs: dict[str, str], varied: list[str]
) -> dict[str, PerTopic]:
    """Return the values of systems with an unchanged run, if nothing else that they depend on has changed.

    Args:
        varied: the further measures that have to be stored as well.
    """
    try:
        before, variations = read_whole(measures, lambda manifest: (manifest, read_variations(measures.path)))
    except UserError:
        return {}
    if (
        any(inputs.get(name) != before.inputs.get(name) for name in (TOPICS, QRELS, EXCLUDED))
        or before.settings.get("measures") != settings["measures"]
        or before.versions.get(EVALUATED_BY) != versions().get(EVALUATED_BY)
        or list(variations.measures) != varied
    ):
        return {}
    kept: dict[str, PerTopic] = {}
    with (measures / MEASURES_FILE).open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            system, topic, measure = row["system"], row["topic"], row["measure"]
            if system in inputs and inputs[system] == before.inputs.get(system):
                kept.setdefault(system, {}).setdefault(measure, {})[topic] = float(row["value"])
    return {system: values | variations.of_system(system) for system, values in kept.items()}


AgreementRows = list[tuple[str, str, float, float]]
"""Rows of `sentence_transformers.csv`: system, measure, RankScope's value, sentence-transformers' value."""


def _kept_agreement(measures: Artifact, inputs: dict[str, str]) -> dict[str, AgreementRows]:
    """Return the rows of systems with an unchanged run, if topics and judgments are unchanged."""
    try:
        before, table = read_whole(
            measures, lambda manifest: (manifest.inputs, read_table(measures.path, AGREEMENT_FILE))
        )
    except UserError:
        return {}
    if any(inputs.get(name) != before.get(name) for name in (TOPICS, QRELS, EXCLUDED)):
        return {}
    kept: dict[str, AgreementRows] = {}
    for row in table.itertuples(index=False, name=None):
        if inputs.get(row[0]) == before.get(row[0]):
            kept.setdefault(row[0], []).append(row)
    return kept


def _sentence_transformers_rows(
    profile: Profile, system: str, collection: Collection, run: Run, folder: CollectionFolder
) -> AgreementRows:
    if find_model(folder.workspace, find_settings(profile, system).model) is None:
        return []  # no model is downloaded for this comparison
    from core.evaluation.sentence_transformers_evaluator import evaluator_figures

    binary = {t: {d: int(grade > 0) for d, grade in by.items()} for t, by in collection.qrels.items()}
    binary = {topic: judgments for topic, judgments in binary.items() if any(judgments.values())}
    if not binary:
        return []  # the evaluator ignores topics without relevant documents, and fails if there are no others
    ours = evaluate(run.scores, binary, AGREEMENT)
    try:
        theirs = evaluator_figures(profile, system, collection, folder)
    except UserError:
        return []  # no vectors are made for it, either
    except Exception as error:  # a failure of the cross-check does not affect the measures
        command_line.note(f"{system} was not cross-checked with sentence-transformers: {in_words(error)}")
        return []
    return [(system, name, mean(ours[name]), theirs[their_name]) for name, their_name in AGREEMENT.items()]


def main(arguments: list[str] | None = None) -> None:
    """Run `python -m core.evaluate`."""
    parser = command_line.stage_parser("evaluate", __doc__)
    parser.add_argument("runs", nargs="*", type=Path, metavar="RUN", help="TREC runs, plain or .gz")
    parser.add_argument("--qrels", type=Path, help="qrels of the runs in TREC or BEIR format, plain or .gz")
    parser.add_argument(
        "--measures",
        help="comma-separated names of ir_measures, e.g. nDCG@10,AP,RBP(rel=1,p=0.5) (default: from the profile)",
    )
    parser.add_argument("--by-rank", action="store_true", help="order by the rank column instead of the scores")
    parser.add_argument("--json", action="store_true", help="print one JSON object {run name: {measure: mean}}")
    parser.add_argument(
        "--curve",
        type=command_line.bounded(int, 1, HIGHEST_GRADE),
        metavar="GRADE",
        help="print the precision-recall curve; this grade and above are relevant",
    )
    parser.add_argument("--per-topic", action="store_true", help="print the values of each topic, too")
    add_excluded_option(parser)
    options = parser.parse_args(arguments)
    build = command_line.build_from(options)
    profile = build.profile
    if not options.runs:
        print(*STAGE.run_all(build))
        return
    if not options.qrels:
        raise UserError("--qrels is required to evaluate runs")
    qrels = read_qrels(options.qrels)
    measures = split_names(options.measures) if options.measures else profile.measures
    evaluator = Evaluator(qrels, measures)
    options.keep_identical_ids |= not profile.collection.ignore_identical_ids
    excluded = given_exclusions(options, qrels)
    figures: dict[str, Any] = {}
    for path, name in zip(options.runs, run_names(options.runs), strict=True):
        run = read_given_run(path, qrels, excluded, "rank" if options.by_rank else "score", name)
        if options.curve:
            values = interpolated_precision(run.scores, qrels, options.curve)
        else:
            values = evaluator.evaluate(run.scores)
            left = residuals(run.scores, qrels, measures)
            values |= {f"residual of {name}": by_topic for name, by_topic in left.items()}
        figures[run.name] = {measure: mean(by_topic) for measure, by_topic in values.items()}
        if options.per_topic:
            figures[run.name]["topics"] = {t: {m: values[m][t] for m in values} for t in qrels}
    if not options.curve and any(not measure.trec_eval_key for measure in evaluator.measures.values()):
        command_line.note(providers(measures))
    if options.json:
        print(json.dumps(figures))
        return
    for name, by_measure in figures.items():
        topics = by_measure.pop("topics", {})
        print(name, *(f"{measure}={value:.4f}" for measure, value in by_measure.items()))
        for topic, by_topic in topics.items():
            print(f"  {topic}", *(f"{measure}={value:.4f}" for measure, value in by_topic.items()))


if __name__ == "__main__":
    command_line.run(main)
