"""Why a figure differs from a published one: what is tried, one change at a time and several at once.

A run is evaluated otherwise (`core.evaluation.diagnosis_changes`), and searched otherwise: BM25 with other settings, a
dense system with other prompts, another input limit, pooling or similarity. Where the configuration of a run is not
known, the published configuration of BM25 is searched with one change each, and held against the run.
"""

import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tqdm import tqdm

from core.evaluation.diagnosis_bm25 import ANSERINI, Bm25Searcher, bm25_configuration, published_configuration
from core.evaluation.diagnosis_changes import Change, Configuration, Evaluated, Searcher, evaluation_changes, in_words
from core.evaluation.diagnosis_dense import OF_DOCUMENTS, DenseSearcher
from core.evaluation.diagnosis_tables import (
    AS_PUBLISHED,
    CHECK,
    CLOSED,
    JOINED,
    LISTED,
    PUBLISHED,
    SHARE,
    WHOLE,
    Means,
    Trial,
    as_table,
    closing,
)
from core.evaluation.published import is_bm25, is_of, published_figures
from core.formats.collections import QRELS, TOPICS, read_built_collection, read_built_topics
from core.formats.exclusions import Exclusions, built_exclusions, own_documents
from core.formats.qrels import Qrels
from core.formats.runs import FILE as RUN
from core.formats.runs import Scores, first_ranked, read_run
from core.retrieval.encoder import load_encoder, load_vectors
from core.workspace.artifacts import open_artifact, read_manifest, read_whole
from core.workspace.errors import UserError
from core.workspace.measure_names import parse_measure
from core.workspace.model_configuration import describe_model
from core.workspace.models import find_model
from core.workspace.profile import Profile, SystemSettings
from core.workspace.workspace import CollectionFolder

OVERLAP = 10
"""Number of documents of a topic whose overlap with the run is reported."""
SECONDS = 600.0
"""Time for what takes long: documents encoded again, and several changes of a search at once."""
FIRST = 5
"""Number of single changes that every other change is tried with."""
MOST_PAIRS = 10
"""Number of pairs of changes, the best ones, that are reported."""


@dataclass(frozen=True)
class Case:
    """A run whose figure differs.

    Attributes:
        scores: the run with all of its documents.
        excluded: the documents that are removed before it is evaluated.
        own: its topics' own documents, by which `excluded` may differ from the published evaluation.
        by_rank: the run in the order of its rank column, if that is another one.
        other_qrels: other judgments, by name, such as those of another split.
        searcher: searches the collection otherwise, if it has texts.
    """

    scores: Scores
    qrels: Qrels
    excluded: Exclusions = field(default_factory=dict)
    own: Exclusions = field(default_factory=dict)
    by_rank: Scores | None = None
    other_qrels: Mapping[str, Qrels] = field(default_factory=dict)
    searcher: Searcher | None = None


@dataclass(frozen=True)
class Diagnosis:
    """What a diagnosis found.

    Attributes:
        mine: the run's own figures.
        trials: every change that was tried, the one that leaves least of the gap first.
        not_tried: the changes for which there was no time, in words.
    """

    mine: Means
    trials: Sequence[Trial]
    not_tried: Sequence[str] = ()


def diagnose(case: Case, published: Mapping[str, float], seconds: float = SECONDS) -> Diagnosis:
    """Try every change, and several at once where none closes the gap.

    Args:
        published: measure -> figure.
        seconds: time for what takes long; what does not fit is not tried.

    Raises:
        UserError: if a measure is unknown, or there is none.
    """
    if not published:
        raise UserError("a published figure is given as MEASURE=VALUE, such as nDCG@10=0.5947")
    return _Tried(case, dict(published), seconds).diagnosis()


class _Tried:
    """The changes of one case that were tried."""

    def __init__(self, case: Case, published: dict[str, float], seconds: float):
        self.case, self.published, self.time_left = case, published, seconds
        self.measures = list(published)
        self.start = Evaluated(case.scores, case.qrels, case.excluded)
        self.mine = self.start.means(self.measures)
        self.gap = max(abs(self.mine[name] - value) for name, value in published.items())
        self.single: list[tuple[Change, Trial]] = []
        self.others: list[Trial] = []
        self.not_tried: list[str] = []

    def diagnosis(self) -> Diagnosis:
        case = self.case
        evaluations = list(evaluation_changes(self.start, self.measures, case.own, case.by_rank, case.other_qrels))
        for change in evaluations:
            self.add_single(change)
        if case.searcher:
            self.search_otherwise(case.searcher, evaluations)
        if self.gap > CLOSED and not self.is_closed():
            self.try_pairs()
        trials = [*(trial for _, trial in self.single), *self.others]
        trials.sort(key=lambda one: (round(one.left, 6), one.cause.startswith((CHECK, WHOLE)), -(one.overlap or 0)))
        return Diagnosis(self.mine, trials, self.not_tried)

    def is_closed(self) -> bool:
        """Return whether one change, or settings that are the published ones, close the gap entirely."""
        table = as_table([*(trial for _, trial in self.single), *self.others])
        found = closing(table, self.gap)
        return bool(len(found)) and found["left of the gap"].iloc[0] <= CLOSED and found.index[0] != WHOLE

    def search_otherwise(self, searcher: Searcher, evaluations: Sequence[Change]) -> None:
        """Try every setting of the search."""
        if not searcher.known:
            reference = Evaluated(searcher.search(searcher.start), self.case.qrels, self.case.excluded)
            found, overlap = reference.means(self.measures), self.overlap(reference.run)
            check = Trial(CHECK, "the run", "as published", found, self.published, overlap)
            self.others.append(check)
            if check.left > CLOSED:
                for change in evaluations:
                    self.evaluate_reference(reference, change)
        for change in tqdm(list(self.search_changes(searcher)), desc="settings of the search"):
            self.add_single(change)
        if searcher.known and searcher.published:
            self.as_published(searcher, searcher.published)

    def evaluate_reference(self, reference: Evaluated, change: Change) -> None:
        """Try to evaluate the published configuration, searched here, otherwise."""
        if change.evaluation is None or change.of_run:
            return
        changed = change.evaluation(reference)
        if changed.qrels:
            cause = f"{CHECK}: {change.cause}"
            self.others.append(Trial(cause, change.here, change.tried, changed.means(self.measures), self.published))

    def search_changes(self, searcher: Searcher) -> Iterator[Change]:
        """Yield each change of one setting, those to the published one first."""
        start, published = searcher.start, searcher.published if searcher.known else None
        toward, others = [], []
        for name, values in searcher.options().items():
            for value in dict.fromkeys(values):
                if value == start[name]:
                    continue
                if not searcher.known:
                    others.append(Change(name, in_words(value), PUBLISHED + in_words(start[name]), value=value))
                elif published and value == published[name]:
                    toward.append(Change(name, in_words(start[name]), in_words(value) + AS_PUBLISHED, value=value))
                else:
                    others.append(Change(name, in_words(start[name]), in_words(value), value=value))
        yield from toward
        yield from others

    def as_published(self, searcher: Searcher, published: Configuration) -> None:
        """Try all settings as published, and which of them it takes."""
        differing = [name for name, value in searcher.start.items() if published[name] != value]
        if len(differing) < 2:
            return
        whole = self.trial([self.toward(searcher, name) for name in differing])
        if whole is None:
            return
        self.others.append(Trial(WHOLE, "as here", "as published", whole.means, whole.goal, whole.overlap))
        if whole.left > max(CLOSED, SHARE * self.gap):
            return
        allowed = max(CLOSED, whole.left)
        by_effect = {change.cause: trial.left for change, trial in self.single if AS_PUBLISHED in change.tried}
        needed, best = list(differing), whole
        for name in sorted(differing, key=lambda name: -by_effect.get(name, 0.0)):  # those that close least first
            rest = [other for other in needed if other != name]
            trial = self.trial([self.toward(searcher, other) for other in rest]) if rest else None
            if trial and trial.left <= allowed:
                needed, best = rest, trial
        if len(needed) > 1:
            self.others.append(best)

    def toward(self, searcher: Searcher, name: str) -> Change:
        """Return the change of a setting to the published one."""
        value = searcher.published[name] if searcher.published else None
        return Change(name, in_words(searcher.start[name]), in_words(value) + AS_PUBLISHED, value=value)

    def try_pairs(self) -> None:
        """Try the most promising changes together with every other one."""

        def promise(one: tuple[Change, Trial]) -> tuple[float, float]:
            change, trial = one
            unknown = change.evaluation is None and self.case.searcher is not None and not self.case.searcher.known
            return (-(trial.overlap or 0.0), trial.left) if unknown else (trial.left, 0.0)

        pairs: dict[frozenset[tuple[str, str, str]], list[Change]] = {}
        searches = [one for one in self.single if one[0].evaluation is None]
        evaluations = [one for one in self.single if one[0].evaluation is not None]
        known = self.case.searcher is not None and self.case.searcher.known
        # A run of unknown origin: the search is held against the run, its evaluation against the published figure.
        groups = [[*searches, *evaluations]] if known else [searches, evaluations]
        for group in groups:
            for first, _ in sorted(group, key=promise)[:FIRST]:
                for second, _ in group:
                    key = frozenset({(one.cause, one.here, one.tried) for one in (first, second)})
                    if first.cause != second.cause:
                        pair = [first, second] if first.of_run or second.evaluation else [second, first]
                        pairs.setdefault(key, pair)
        tried = (self.trial(pair, is_pair=True) for pair in tqdm(pairs.values(), desc="pairs of changes"))
        found = sorted(filter(None, tried), key=lambda one: (one.left, -(one.overlap or 0)))
        self.others += found[:MOST_PAIRS]

    def add_single(self, change: Change) -> None:
        """Try one change; one of the evaluation that changes nothing is left out."""
        trial = self.trial([change])
        if trial is None:
            return
        same = all(abs(trial.means[name] - self.mine[name]) <= 1e-9 for name in self.measures)
        if not (same and change.evaluation):
            self.single.append((change, trial))

    def trial(self, changes: Sequence[Change], is_pair: bool = False) -> Trial | None:
        """Try changes together; None if there is no time, or no topic is left.

        The time of a pair of any searches is limited, and that of all searches for which documents are encoded again.
        """
        searcher = self.case.searcher
        settings = {change.cause: change.value for change in changes if change.evaluation is None}
        one, overlap, goal = self.start, None, self.published
        cause = JOINED.join(change.cause for change in changes)
        here, tried = LISTED.join(c.here for c in changes), LISTED.join(c.tried for c in changes)
        if settings and searcher:
            configuration = {**searcher.start, **settings}
            limited = searcher.encodes or is_pair
            if limited and searcher.seconds(configuration) > self.time_left:
                self.not_tried.append(f"{cause} ({tried.replace(AS_PUBLISHED, '')})")
                return None
            started = time.perf_counter()
            one = Evaluated(searcher.search(configuration), one.qrels, one.excluded)
            self.time_left -= (time.perf_counter() - started) if limited else 0.0
            overlap = self.overlap(one.run)
            goal = self.published if searcher.known else self.mine
        for change in changes:
            one = change.evaluation(one) if change.evaluation else one
        if not one.qrels:
            return None
        return Trial(cause, here, tried, one.means(self.measures), goal, overlap)

    def overlap(self, run: Scores) -> float:
        """Return the mean share of the run's first documents that another run has among its own."""
        shares = [
            len(set(first_ranked(by, OVERLAP)) & set(first_ranked(run.get(topic, {}), OVERLAP))) / min(OVERLAP, len(by))
            for topic, by in self.start.run.items()
            if by
        ]
        return sum(shares) / len(shares) if shares else 0.0


def parse_published(text: str) -> dict[str, float]:
    """Return measure -> value from a text such as "nDCG@10=0.5947,R@100=0.1091".

    Raises:
        UserError: if it has another form or a measure is unknown.
    """
    found = {}
    for part in text.replace(";", ",").split(","):
        name, equals, value = part.rpartition("=")
        try:
            number = float(value)
        except ValueError:
            number = float("nan")
        if not equals or not 0 <= number <= 1:
            raise UserError(f"a published figure is given as MEASURE=VALUE with a value from 0 to 1, not {part!r}")
        found[parse_measure(name).notation] = number
    return found


# The artifact


def published_for(
    folder: CollectionFolder, system: SystemSettings, given: Mapping[str, float] | None = None
) -> tuple[str, dict[str, float], Mapping[str, Any]]:
    """Return (source, figures, configuration of BM25) that a system is held against.

    They are the published ones of its model, or for BM25 the first of BM25 with a configuration.

    Args:
        given: figures to use instead.

    Raises:
        UserError: if none are given and none are known.
    """
    known = published_figures(open_artifact(folder.collection, TOPICS, QRELS).facts)
    found = next((one for one in known if is_of(one, system)), None)
    bm25 = found.bm25 if found else {}
    if given:
        return "given", dict(given), bm25 or (ANSERINI if is_bm25(system) else {})
    if found is None:
        raise UserError(f"no published figure of {system.name} on {folder.name} is known; give one with --published")
    return found.source, found.measures, bm25


def is_of_collection(case: Case, folder: CollectionFolder) -> bool:
    """Tell whether most of the documents of a run are those of a built collection."""
    retrieved = {document for by_document in case.scores.values() for document in by_document}
    known = {document.id for document in read_built_collection(folder).documents}
    return 2 * len(retrieved & known) > len(retrieved)


def published_searcher(folder: CollectionFolder, topics: Collection[str]) -> Bm25Searcher:
    """Return a searcher for a run whose configuration is not known: the published one is Anserini's BM25."""
    collection = read_built_collection(folder)
    asked = {topic.id: topic for topic in collection.topics if topic.id in topics}
    start = published_configuration(ANSERINI) or {}
    return Bm25Searcher(collection.documents, asked, start, start, known=False)


def built_case(
    profile: Profile,
    folder: CollectionFolder,
    system: SystemSettings,
    published: Mapping[str, Any],
    device: str = "auto",
    encoding: float = 0.0,
) -> Case:
    """Return the run of a system of a built collection as a case.

    Args:
        published: the published configuration of BM25, {} if there is none.
        device: the device of a dense system's model.
        encoding: estimated time in seconds to encode all documents.

    Raises:
        UserError: if an artifact is missing or damaged.
    """
    _, qrels = read_built_topics(folder)
    scores = read_whole(
        folder.run(system.name), lambda _: read_run(folder.run(system.name) / RUN, may_be_empty=True).scores
    )
    searcher: Searcher | None = None
    if is_bm25(system) and not system.expanded:
        searcher = _bm25_searcher(profile, folder, system, published)
    elif can_encode(folder, system):
        searcher = _dense_searcher(profile, folder, system, device, encoding)
    return Case(scores, qrels, built_exclusions(folder), own_documents(qrels), searcher=searcher)


def can_encode(folder: CollectionFolder, system: SystemSettings) -> bool:
    """Tell whether a system is dense, exact, and has its model on this machine."""
    own = system.kind == "dense" and system.is_exact and not system.vectors
    return own and find_model(folder.workspace, system.model) is not None


def _bm25_searcher(
    profile: Profile, folder: CollectionFolder, system: SystemSettings, published: Mapping[str, Any]
) -> Bm25Searcher | None:
    collection = read_built_collection(folder)
    known = system.kind == "bm25"
    topics = {topic.id: topic for topic in collection.topics if topic.id in collection.qrels}
    as_published = published_configuration(published)
    start = as_published
    if known:
        field_name = profile.collection.topic_field
        start = bm25_configuration(profile.bm25_of(system), profile.analyzer_of(system), field_name)
    if start is None or not collection.documents:
        return None
    return Bm25Searcher(collection.documents, topics, start, as_published, known, profile.depth)


def _dense_searcher(
    profile: Profile, folder: CollectionFolder, system: SystemSettings, device: str, encoding: float
) -> DenseSearcher:
    """Return a searcher whose published configuration is the model's own, with cosines."""
    collection = read_built_collection(folder)
    model = find_model(folder.workspace, system.model)
    own = describe_model(model) if model else {}
    facts = own | read_manifest(folder.vectors(system.vectors_name)).facts
    prompts, limit = own.get("prompts", {}), facts.get("model_max_tokens", facts.get("max_tokens", 0))
    published: dict[str, Any] = {
        "topic field": "question",
        "indexed text": "title and text",
        "query prompt": prompts.get("query", ""),
        "document prompt": prompts.get("document", ""),
        "input limit (tokens)": limit,
        "pooling": own.get("pooling", ""),
        "similarity": "cosine",
    }
    start = published | {
        "topic field": profile.collection.topic_field,
        "query prompt": system.query_prefix or published["query prompt"],
        "document prompt": system.document_prefix or published["document prompt"],
        "input limit (tokens)": facts.get("max_tokens", limit),
        "similarity": system.similarity,
    }

    def load() -> Any:
        encoder = load_encoder(folder.workspace, system, device)
        encoder.prompts |= {"query": "", "document": ""}  # the searcher puts them before the texts
        return encoder

    topics = {topic.id: topic for topic in collection.topics if topic.id in collection.qrels}
    vectors, _ = load_vectors(folder, system.vectors_name)
    return DenseSearcher(collection.documents, topics, vectors, start, published, load, profile.depth, encoding)


def costly_changes(searcher: DenseSearcher) -> int:
    """Return the number of single changes for which all documents are encoded again."""
    options = searcher.options()
    return sum(len({*options[name]} - {searcher.start[name]}) for name in OF_DOCUMENTS)
