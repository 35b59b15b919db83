"""The current results of a built collection: runs, judgments and measures.

Measures that are not stored, or are older than the runs or judgments, are computed from them.
"""

import functools
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import pandas as pd

from core.evaluation.comparison_tables import per_topic
from core.evaluation.configurations import described
from core.evaluation.freshness import Evaluation, changes, evaluation
from core.evaluation.measures import PerTopic, evaluate
from core.evaluation.significance import Values
from core.evaluation.stored_measures import (
    AGREEMENT_FILE,
    COLUMNS,
    MEASURES_FILE,
    Variations,
    read_table,
    read_variations,
    tidy,
)
from core.formats.collections import QRELS, TOPICS, built_documents, read_built_topics
from core.formats.documents import Document
from core.formats.exclusions import Exclusions, built_exclusions
from core.formats.qrels import Qrels, highest_grade
from core.formats.runs import Run, built_run
from core.formats.topics import Topic
from core.workspace.artifacts import (
    PROFILE,
    Manifest,
    Replaced,
    failure_of,
    has_its_files,
    open_artifact,
    read_manifest,
    read_whole,
)
from core.workspace.errors import UserError, in_words
from core.workspace.measure_names import parse_measure
from core.workspace.profile import Profile, SystemSettings, names, read_profile
from core.workspace.workspace import CollectionFolder, Workspace


@dataclass(frozen=True)
class Measured:
    """The measures of the current runs and judgments.

    Attributes:
        tidy: a table with columns collection, system, topic, measure, value.
        computed: the systems whose measures were computed because none are stored for them.
        reason: why they are not stored, "" if all are.
        unavailable: system -> why it has no measures.
        others: the systems in the stored measures that are not in the profile and were left out.
        too_deep: measure -> the imported runs that it was left out of, as its cut-off is deeper than their lists.
    """

    tidy: pd.DataFrame
    computed: list[str]
    reason: str
    unavailable: dict[str, str]
    others: tuple[str, ...]
    too_deep: Mapping[str, list[str]] = field(default_factory=dict)

    @property
    def systems(self) -> list[str]:
        """The systems that have measures, in the profile's order."""
        return list(self.tidy["system"].unique())


def measured_now(
    collection: str,
    profile: Profile,
    now: Evaluation,
    stored: Callable[[], pd.DataFrame],
    compute: Callable[[str, Sequence[str]], PerTopic],
) -> Measured:
    """Return the measures of the profile's systems, stored ones as they are and the others computed from the runs.

    Measures with a cut-off deeper than the lists of an imported run are left out of it: missing ranks count as not
    relevant, so that they would tell its depth more than its quality.

    Args:
        collection: the collection's name.
        now: the systems with runs and with stored measures.
        stored: reads the stored measures.
        compute: evaluates a system's run by the given measures.

    Raises:
        Replaced: if an artifact was replaced while reading.
        UserError: if the stored measures are damaged.
    """
    found = _measured_whole(collection, profile, now, stored, compute)
    too_deep: dict[str, list[str]] = {}
    for measure in found.tidy["measure"].unique() if now.depths else ():
        cutoff = parse_measure(measure).cutoff
        if shallow := [system for system, depth in now.depths.items() if depth < cutoff and system in found.systems]:
            too_deep[measure] = shallow
    if not too_deep:
        return found
    kept = pd.Series(True, index=found.tidy.index)
    for measure, systems in too_deep.items():
        kept &= (found.tidy["measure"] != measure) | ~found.tidy["system"].isin(systems)
    return replace(found, tidy=found.tidy[kept], too_deep=too_deep)


def _measured_whole(
    collection: str,
    profile: Profile,
    now: Evaluation,
    stored: Callable[[], pd.DataFrame],
    compute: Callable[[str, Sequence[str]], PerTopic],
) -> Measured:
    table = stored() if now.stored else pd.DataFrame(columns=COLUMNS)
    held = dict(iter(table.groupby("system", sort=False)))
    if list(held) == list(now.runs) == [name for name in now.runs if name in now.stored]:
        return Measured(table, [], "", now.without_run, now.others)
    parts, computed, unavailable = [], [], dict(now.without_run)
    for system in now.runs:
        if system in held and system in now.stored:
            parts.append(held[system])
            continue
        try:
            values = compute(system, profile.measures)
        except Replaced:
            raise
        except Exception as error:  # a fault in one run must not hide the others
            unavailable[system] = in_words(error)
            continue
        computed.append(system)
        parts.append(pd.DataFrame(tidy(collection, system, values), columns=COLUMNS))
    table = pd.concat(parts, ignore_index=True) if parts else table[:0]
    reason = now.reason or "the stored measures lack them"
    return Measured(table, computed, reason if computed else "", unavailable, now.others)


def values_now(
    profile: Profile,
    now: Evaluation,
    measure: str,
    stored: Callable[[], Values],
    compute: Callable[[str, Sequence[str]], PerTopic],
) -> dict[str, Mapping[str, float]]:
    """Return any measure's values, system -> topic -> value, for every system in `measured_now`.

    Args:
        now: the systems with runs and with stored measures.
        stored: reads the stored values of the measure.
        compute: evaluates a system's run by the given measures.

    Raises:
        Replaced: if an artifact was replaced while reading.
        UserError: if the stored measures are damaged.
    """
    kept = stored() if now.stored else {}
    found: dict[str, Mapping[str, float]] = {}
    for system in now.runs:
        if system in now.stored and system in kept:
            found[system] = kept[system]
            continue
        try:
            together = profile.measures if measure in profile.measures else [measure]
            found[system] = compute(system, together)[measure]
        except Exception as error:
            if isinstance(error, Replaced) or system in now.stored:
                raise
            # `measured_now` lacks this system too, and gives the reason.
    return found


def stored_for_all(
    now: Evaluation, measures: Iterable[str], systems: Iterable[str], stored: Callable[[str], Values]
) -> dict[str, Values]:
    """Return the values of those measures that are stored for all of the systems.

    Args:
        now: the systems with stored measures.
        stored: reads the stored values of a measure.
    """
    wanted = set(systems)
    found = {measure: stored(measure) for measure in measures} if now.stored >= wanted else {}
    return {measure: values for measure, values in found.items() if values.keys() >= wanted}


def saved_profile(workspace: Workspace, name: str) -> tuple[CollectionFolder, Profile]:
    """Return the folder of a built collection and the profile it was built with.

    Raises:
        UserError: if there is no such collection, or its profile is missing or cannot be read.
    """
    folder = workspace.collection(name)
    saved = folder.profile
    if not saved.is_file() and name in names():
        return folder, read_profile(name)
    if not folder.path.is_dir():
        built = ", ".join(other.name for other in workspace.collections())
        there = f"use one of {built}" if built else "none was built yet; make one with python scripts/build.py"
        raise UserError(f"no collection {name!r} here: {there}")
    try:
        return folder, read_profile(str(saved))
    except UserError as error:
        again = (
            f"make it with python scripts/build.py --profile {name}" if name in names() else "build or import it again"
        )
        raise UserError(f"{folder.shown}/{PROFILE} cannot be read ({error}); {again}") from None


def manifests(folder: CollectionFolder) -> dict[str, Manifest]:
    """Return the readable manifests of a collection's artifacts, keyed by the artifact's place."""
    found = {}
    for artifact in folder.artifacts():
        try:
            manifest = read_manifest(artifact)
        except UserError:
            continue  # readers of the artifact report what is wrong
        if has_its_files(artifact, manifest):
            found[folder.place(artifact)] = manifest
    return found


def first_baseline(profile: Profile, systems: Sequence[str]) -> str:
    """Return the default baseline: the profile's, or else BM25, or else the first system."""
    return next((name for name in (profile.baseline, "bm25") if name in systems), systems[0])


def first_compared(
    profile: Profile, systems: Sequence[str], baseline: str, means: Callable[[], Mapping[str, float]]
) -> str:
    """Return the system that is compared with the baseline by default, "" if there is no other system.

    It is the profile's `compared`, or else the system fine-tuned with this profile, or else the best one.

    Args:
        means: returns the mean of each system; called only if it decides.
    """
    others = [name for name in systems if name != baseline]
    trained = [system.name for system in profile.system if system.model and system.model == profile.finetune.model]
    named = next((name for name in (profile.compared, *trained) if name in others), "")
    if named or not others:
        return named
    by_mean = means()
    return max(others, key=lambda name: by_mean[name])


def labels_of(profile: Profile, folder: CollectionFolder) -> dict[str, str]:
    """Return the display name of each system: its label, or its name and any input limit that is not the model's."""
    return {system.name: system.label or _default_label(system, folder) for system in profile.system}


def _default_label(system: SystemSettings, folder: CollectionFolder) -> str:
    if system.kind != "dense" or not system.max_tokens:
        return system.name
    try:
        facts = read_manifest(folder.vectors(system.vectors_name)).facts
    except UserError:
        facts = {}
    own = described(folder.workspace, system, facts).get("model_max_tokens")
    return system.name if own == system.max_tokens else f"{system.name}, {system.max_tokens} tokens"


def notices(folder: CollectionFolder, labels: Mapping[str, str], measured: Measured) -> list[str]:
    """Return warnings about the measures, one sentence each, ending with the command that helps.

    They cover figures that are not stored, stored figures that are left out, and runs older than their inputs.
    """
    said = []
    if measured.computed:
        computed = ", ".join(labels[name] for name in measured.computed)
        said.append(
            f"{measured.reason}: the figures of {computed} are computed from the current runs and judgments; "
            f"store them with {folder.measures.command}"
        )
    if measured.others:
        said.append(
            f"the stored measures also hold {', '.join(measured.others)}: left out here, as the profile of "
            f"{folder.name} has no such system; re-evaluate with {folder.measures.command}"
        )
    return said + older(folder, {f"runs/{name}": f"the run of {labels[name]}" for name in measured.systems})


def left_out_sentence(measured: Measured, labels: Mapping[str, str], measure: str = "") -> str:
    """Return a sentence on the measures that are left out of imported runs with short lists; "" if there are none.

    Args:
        measure: only this measure.
    """
    groups: dict[tuple[str, ...], list[str]] = {}
    for name, runs in measured.too_deep.items():
        if measure in ("", name):
            groups.setdefault(tuple(runs), []).append(name)
    parts = [
        f"{', '.join(names)} of {labels[runs[0]] if len(runs) == 1 else f'{len(runs)} imported runs'}"
        for runs, names in groups.items()
    ]
    return f"Not shown in tables, as the lists are shorter than the cut-off: {'; '.join(parts)}." if parts else ""


def older(folder: CollectionFolder, places: Mapping[str, str]) -> list[str]:
    """Return a warning, ending with the rebuild command, for each group of artifacts older than their inputs.

    Args:
        places: the artifacts' places, such as "runs/bm25", and their names in the warning.
    """
    groups: dict[tuple[str, ...], list[str]] = {}
    for place in places:
        if changed := changes(folder, place):
            groups.setdefault(tuple(changed), []).append(place)
    said = []
    for what, members in groups.items():
        called = ", ".join(places[place] for place in members)
        gone = " (documents in it may no longer exist)" if "documents" in what else ""
        command = folder.artifact(members[0]).command
        said.append(f"older than the {' and the '.join(what)}: {called}{gone}; rebuild with {command}")
    return said


def not_evaluated(folder: CollectionFolder, systems: Iterable[str]) -> UserError:
    """Return the error for a collection without evaluated systems, with the cause and the command that helps."""
    failures = [failure_of(folder.artifact(f"{place}/{name}")) for place in ("measures", "runs") for name in systems]
    cause = next((f" ({failure})" for failure in failures if failure), "")
    command = folder.measures.command
    return UserError(f"no system of {folder.name} is evaluated yet{cause}; run {command}")


class Results:
    """The results of one built collection, read on demand and cached."""

    def __init__(self, folder: CollectionFolder, profile: Profile):
        self.folder, self.profile = folder, profile
        self.labels = labels_of(profile, folder)
        self._values: dict[str, dict[str, Mapping[str, float]]] = {}
        self._runs: dict[str, Run] = {}

    def digests(self) -> tuple[str, ...]:
        """Return the digests of all artifacts that figures are computed from."""
        return tuple(f"{place} {manifest.digest}" for place, manifest in manifests(self.folder).items())

    @cached_property
    def now(self) -> Evaluation:
        """The systems with runs and those with stored measures."""
        return evaluation(self.profile, self.folder)

    @cached_property
    def _topics_and_qrels(self) -> tuple[list[Topic], Qrels]:
        return read_built_topics(self.folder)

    @cached_property
    def topics(self) -> dict[str, Topic]:
        """The topics by id."""
        return {topic.id: topic for topic in self._topics_and_qrels[0]}

    @property
    def qrels(self) -> Qrels:
        """The judgments."""
        return self._topics_and_qrels[1]

    @cached_property
    def excluded(self) -> Exclusions:
        """The documents that the collection excludes from every run."""
        return built_exclusions(self.folder)

    @cached_property
    def documents(self) -> Mapping[str, Document]:
        """The documents by id; empty if only runs were imported."""
        return built_documents(self.folder)

    @cached_property
    def highest_grade(self) -> int:
        """The highest grade of any judgment; 1 if there are none."""
        return highest_grade(self.qrels)

    @cached_property
    def facts(self) -> dict[str, object]:
        """The facts in the collection's manifest: numbers of documents, topics, judgments."""
        return dict(open_artifact(self.folder.collection, TOPICS, QRELS).facts)

    @cached_property
    def measured(self) -> Measured:
        """The measures of the profile's systems.

        Raises:
            UserError: if topics or judgments are missing or damaged, or no system has a run.
        """
        stored = functools.partial(self._table, MEASURES_FILE)
        found = measured_now(self.folder.name, self.profile, self.now, stored, self._evaluate)
        if found.tidy.empty:
            raise not_evaluated(self.folder, self.labels)
        return found

    @property
    def systems(self) -> list[str]:
        """The systems that are evaluated."""
        return self.measured.systems

    def values(self, measure: str) -> dict[str, Mapping[str, float]]:
        """Return any measure's values, system -> topic -> value.

        Raises:
            UserError: if an artifact is missing or damaged, or the measure is unknown.
        """
        if measure not in self._values:
            self._values[measure] = values_now(
                self.profile, self.now, measure, lambda: self._stored(measure), self._evaluate
            )
        return self._values[measure]

    def stored_values(self, measures: Iterable[str], systems: Iterable[str]) -> dict[str, Values]:
        """Return the values of those measures that are stored for all of the systems.

        Raises:
            UserError: if the stored measures are damaged.
        """
        return stored_for_all(self.now, measures, systems, self._stored)

    def _stored(self, measure: str) -> dict[str, dict[str, float]]:
        return per_topic(self._table(MEASURES_FILE), measure) or self._variations.of_measure(measure)

    @cached_property
    def _variations(self) -> Variations:
        place = self.folder.measures
        return read_whole(place, lambda _: read_variations(place.path))

    def run(self, system: str) -> Run:
        """Return a system's run without the documents that the collection excludes.

        Raises:
            UserError: if it is missing or damaged.
        """
        if system not in self._runs:
            self._runs = {system: built_run(self.folder, system)}  # keep only one run in memory
        return self._runs[system]

    def agreement(self) -> pd.DataFrame:
        """Return the cross-check with sentence-transformers' evaluator that `evaluate` stored, for the current runs.

        Raises:
            UserError: if they are missing or damaged.
        """
        table = self._table(AGREEMENT_FILE)
        return table[table["system"].isin(self.now.stored)]

    def _table(self, name: str) -> pd.DataFrame:
        place = self.folder.measures
        return read_whole(place, lambda _: read_table(place.path, name))

    def _evaluate(self, system: str, measures: Sequence[str]) -> PerTopic:
        return evaluate(self.run(system).scores, self.qrels, measures)
