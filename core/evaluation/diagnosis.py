"""Why a figure differs from a published one: one change at a time, and which of them closes the gap.

A run is evaluated otherwise (ties, gains, ideal ranking, missing topics, depth, own documents, other judgments), and
BM25 is searched otherwise (topic field, fields, stop words, stemmer, k1 and b, document lengths). Where the
configuration of the run is not known, the published configuration of BM25 is searched with one change each, and held
against the run.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from pydantic import ValidationError

from core.evaluation.diagnosis_tables import CHECK, WHOLE, Means, Trial
from core.evaluation.measures import evaluate, mean
from core.evaluation.published import is_bm25, is_of, published_figures
from core.evaluation.unjudged import condensed
from core.formats.collections import QRELS, TOPICS, read_built_collection, read_built_topics
from core.formats.documents import Document
from core.formats.exclusions import Exclusions, built_exclusions, left_out, own_documents, without
from core.formats.qrels import Qrels, highest_grade
from core.formats.runs import FILE as RUN
from core.formats.runs import Scores, first_ranked, ranked, read_run
from core.formats.topics import Topic
from core.retrieval.bm25 import Bm25Index
from core.workspace.artifacts import open_artifact, read_whole
from core.workspace.errors import UserError
from core.workspace.measure_names import parse_measure
from core.workspace.profile import AnalyzerSettings, Bm25Settings, Profile, SystemSettings
from core.workspace.workspace import CollectionFolder

ANSERINI = {
    **{"k1": 0.9, "b": 0.4, "fields": "one", "lengths": "lucene", "tokenizer": "lucene", "stop_words": "short"},
    **{"stemmer": "porter", "unify_names": False},
}
"""The configuration of Anserini's regressions with one field, which a published BM25 is taken to have."""
DEPTHS = (10, 20, 50, 100, 200, 500, 1000)
PARAMETERS = ((0.9, 0.4), (1.2, 0.75), (1.5, 0.75), (1.5, 0.4), (0.82, 0.68), (2.0, 0.75))
"""k1 and b: Anserini's, Lucene's, rank_bm25's, RankScope's, Anserini's for MS MARCO, those of older papers."""
STOP_WORDS = ("none", "short", "long", "glasgow")
STEMMERS = ("none", "porter", "english")
OVERLAP = 10
"""Number of documents of a topic whose overlap with the run is reported."""


@dataclass(frozen=True)
class Bm25Configuration:
    """How BM25 searches: its settings, the analyzer, the topic field, and the part of the documents that is indexed."""

    bm25: Bm25Settings
    analyzer: AnalyzerSettings
    topic_field: str = "question"
    part: str = "title and text"


@dataclass(frozen=True)
class Case:
    """A run whose figure differs.

    Attributes:
        scores: the run with all of its documents.
        excluded: the documents that are removed before it is evaluated.
        own: its topics' own documents, by which `excluded` may differ from the published evaluation.
        by_rank: the run in the order of its rank column, if that is another one.
        other_qrels: other judgments, by name, such as those of another split.
        documents, topics: the collection's, if it has texts.
        configuration: how the run's BM25 searches; None if that is not known.
        published_as: the published configuration of BM25.
        depth: the number of documents that BM25 retrieves.
    """

    scores: Scores
    qrels: Qrels
    excluded: Exclusions = field(default_factory=dict)
    own: Exclusions = field(default_factory=dict)
    by_rank: Scores | None = None
    other_qrels: Mapping[str, Qrels] = field(default_factory=dict)
    documents: Sequence[Document] = ()
    topics: Mapping[str, Topic] = field(default_factory=dict)
    configuration: Bm25Configuration | None = None
    published_as: Bm25Configuration | None = None
    depth: int = 1000

    @property
    def evaluated(self) -> Scores:
        """The run as it is evaluated."""
        return without(self.scores, left_out(self.scores, self.excluded))

    def search(self, configuration: Bm25Configuration) -> Scores:
        """Return the run of BM25 with a configuration."""
        documents = self.documents
        if configuration.part == "title":
            documents = [Document(document.id, document.title, "") for document in documents]
        elif configuration.part == "text":
            documents = [Document(document.id, "", document.text) for document in documents]
        index = Bm25Index.build(documents, configuration.bm25, configuration.analyzer)
        asked = {
            topic: self.topics[topic].text(configuration.topic_field) for topic in self.qrels if topic in self.topics
        }
        scores = {topic: dict(index.search(query, self.depth)) for topic, query in asked.items()}
        return without(scores, left_out(scores, self.excluded))


def diagnose(case: Case, published: Mapping[str, float]) -> tuple[Means, list[Trial]]:
    """Return the run's own figures, and every change that was tried, the one that leaves least of the gap first.

    Raises:
        UserError: if a measure is unknown, or there is none.
    """
    if not published:
        raise UserError("a published figure is given as MEASURE=VALUE, such as nDCG@10=0.5947")
    mine = means(case.evaluated, case.qrels, published)
    trials = [*evaluation_trials(case, published), *bm25_trials(case, mine, published)]
    return mine, sorted(
        trials, key=lambda trial: (round(trial.left, 6), trial.cause in (CHECK, WHOLE), -(trial.overlap or 0))
    )


def means(scores: Scores, qrels: Qrels, measures: Iterable[str]) -> Means:
    """Return the mean of each measure over the judged topics."""
    return {name: mean(by_topic) for name, by_topic in evaluate(scores, qrels, measures).items()}


# Evaluation


def evaluation_trials(case: Case, published: Mapping[str, float]) -> Iterator[Trial]:
    """Yield the run evaluated otherwise, one change each; changes that change nothing are left out."""
    measures, run, qrels = list(published), case.evaluated, case.qrels
    mine = means(run, qrels, measures)

    def trial(cause: str, here: str, tried: str, scores: Scores, judgments: Qrels) -> Iterator[Trial]:
        if judgments:
            found = means(scores, judgments, measures)
            if any(abs(found[name] - mine[name]) > 1e-9 for name in measures):
                yield Trial(cause, here, tried, found, published)

    if case.by_rank is not None:
        by_rank = without(case.by_rank, left_out(case.by_rank, case.excluded))
        yield from trial("ties and order", "by score", "by the rank column", by_rank, qrels)
    ascending = {t: _ties_ascending(by) for t, by in run.items()}
    yield from trial("ties and order", "tied documents by id, descending", "by id, ascending", ascending, qrels)
    if any(parse_measure(name).name == "nDCG" for name in measures) and highest_grade(qrels) > 1:
        binary = {t: {d: int(grade > 0) for d, grade in by.items()} for t, by in qrels.items()}
        yield from trial("gains", "the grade", "binary: 1 for every relevant document", run, binary)
        powers = {t: {d: 2 ** max(grade, 0) - 1 for d, grade in by.items()} for t, by in qrels.items()}
        yield from trial("gains", "the grade", "2^grade - 1", run, powers)
    highest = highest_grade(qrels)
    for level in range(2, highest + 1):
        raised = {t: {d: grade if grade >= level else 0 for d, grade in by.items()} for t, by in qrels.items()}
        yield from trial("relevance threshold", "grade >= 1", f"grade >= {level}", run, raised)
    kept = {t: {d: grade for d, grade in by.items() if d in run.get(t, {})} for t, by in qrels.items()}
    retrieved = {t: by or {"": 0} for t, by in kept.items()}
    yield from trial("ideal ranking", "all judged documents", "the retrieved judged documents", run, retrieved)
    for k in sorted({parse_measure(name).cutoff for name in measures} - {0}):
        first = {t: set(first_ranked(by, k)) for t, by in run.items()}
        kept = {t: {d: grade for d, grade in by.items() if d in first.get(t, ())} or {"": 0} for t, by in qrels.items()}
        yield from trial("ideal ranking", "all judged documents", f"the first {k} documents", run, kept)
    answered = {t: by for t, by in qrels.items() if run.get(t)}
    yield from trial("missing topics", "count as 0", "left out", run, answered)
    relevant = {t: by for t, by in qrels.items() if max(by.values()) > 0}
    yield from trial("topics without relevant documents", "count as 0", "left out", run, relevant)
    yield from trial("unjudged documents", "not relevant", "removed from the ranking", condensed(run, qrels), qrels)
    deepest = max(map(len, run.values()), default=0)
    for depth in DEPTHS:
        if depth < deepest:
            cut = {t: {d: by[d] for d in first_ranked(by, depth)} for t, by in run.items()}
            yield from trial("depth", str(deepest), f"the first {depth}", cut, qrels)
    yield from trial("own documents of topics", "removed", "kept", case.scores, qrels)
    if case.own:
        removed = without(run, left_out(run, case.own))
        yield from trial("own documents of topics", "kept", "removed", removed, qrels)
    for name, judgments in case.other_qrels.items():
        yield from trial("judgments", "these", name, run, judgments)


def _ties_ascending(by_document: Mapping[str, float]) -> dict[str, float]:
    """Return ranks as scores, tied documents by ascending id."""
    order = sorted(ranked(by_document), key=lambda hit: hit[0])
    order.sort(key=lambda hit: -hit[1])
    return {document: -float(rank) for rank, (document, _) in enumerate(order)}


# BM25


def bm25_trials(case: Case, mine: Means, published: Mapping[str, float]) -> Iterator[Trial]:
    """Yield BM25 searched otherwise, one change each.

    The changes are to the run's configuration, and lead to the published figures; or if it is not known, to the
    published configuration, and lead to the run's figures.
    """
    start = case.configuration or case.published_as
    if start is None or not case.documents or not case.topics:
        return
    known = case.configuration is not None
    goal = published if known else mine
    run = case.evaluated
    if not known:
        yield _searched(case, start, CHECK, ("the run", "as published"), published, run)
    for cause, here, tried, changed in changes(start, case):
        shown = (here, tried) if known else (tried, f"published: {here}")
        yield _searched(case, changed, cause, shown, goal, run)


def changes(start: Bm25Configuration, case: Case) -> Iterator[tuple[str, str, str, Bm25Configuration]]:
    """Yield (what, from, to, changed configuration) for every single change, and for the published one as a whole."""
    bm25, analyzer = start.bm25, start.analyzer
    if case.configuration and case.published_as and case.published_as != start:
        yield WHOLE, "as here", "as published", case.published_as
    for name in ("query", "question", "narrative"):
        if name != start.topic_field and any(t.text(name) != t.text(start.topic_field) for t in case.topics.values()):
            yield "topic field", start.topic_field, name, replace(start, topic_field=name)
    other = "two" if bm25.fields == "one" else "one"
    yield "fields", bm25.fields, other, replace(start, bm25=bm25.model_copy(update={"fields": other}))
    for part in ("title and text", "title", "text"):
        if part != start.part:
            yield "indexed text", start.part, part, replace(start, part=part)
    for k1, b in PARAMETERS:
        if (k1, b) != (bm25.k1, bm25.b):
            changed = replace(start, bm25=bm25.model_copy(update={"k1": k1, "b": b}))
            yield "k1 and b", f"{bm25.k1:g}, {bm25.b:g}", f"{k1:g}, {b:g}", changed
    lengths = "lucene" if bm25.lengths == "exact" else "exact"
    changed = replace(start, bm25=bm25.model_copy(update={"lengths": lengths}))
    yield "document lengths", bm25.lengths, lengths, changed
    for key, what, options in (
        ("stop_words", "stop words", STOP_WORDS),
        ("stemmer", "stemmer", STEMMERS),
        ("tokenizer", "tokenizer", ("rankscope", "lucene")),
        ("unify_names", "virus names unified", (True, False)),
    ):
        for option in options:
            given = getattr(analyzer, key)
            settings = analyzer.model_dump() | {key: option}
            if key == "tokenizer" and option == "lucene":
                settings["unify_names"] = False
            if option == given:
                continue
            try:
                changed_analyzer = AnalyzerSettings.model_validate(settings)
            except ValidationError:
                continue  # Lucene's tokenizer does not unify names
            yield what, str(given), str(option), replace(start, analyzer=changed_analyzer)


def _searched(
    case: Case,
    configuration: Bm25Configuration,
    cause: str,
    shown: tuple[str, str],
    goal: Mapping[str, float],
    run: Scores,
) -> Trial:
    found = case.search(configuration)
    shares = [
        len(set(first_ranked(by, OVERLAP)) & set(first_ranked(found.get(topic, {}), OVERLAP))) / min(OVERLAP, len(by))
        for topic, by in run.items()
        if by
    ]
    overlap = sum(shares) / len(shares) if shares else 0.0
    return Trial(cause, *shown, means(found, case.qrels, goal), goal, overlap)


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


def published_configuration(settings: Mapping[str, Any]) -> Bm25Configuration | None:
    """Return the configuration in `bm25` of a published figure, None if it has none."""
    if not settings:
        return None
    bm25 = {key: settings[key] for key in ("k1", "b", "fields", "lengths") if key in settings}
    analyzer = {key: settings[key] for key in ("stop_words", "stemmer", "tokenizer", "unify_names") if key in settings}
    return Bm25Configuration(Bm25Settings(**bm25), AnalyzerSettings(**analyzer))


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


def built_case(
    profile: Profile, folder: CollectionFolder, system: SystemSettings, published: Mapping[str, Any]
) -> Case:
    """Return the run of a system of a built collection as a case.

    Args:
        published: the published configuration of BM25, {} if there is none.

    Raises:
        UserError: if an artifact is missing or damaged.
    """
    topics, qrels = read_built_topics(folder)
    excluded = built_exclusions(folder)
    scores = read_whole(
        folder.run(system.name), lambda _: read_run(folder.run(system.name) / RUN, may_be_empty=True).scores
    )
    configuration = None
    documents: Sequence[Document] = ()
    if is_bm25(system) and not system.expanded:
        documents = read_built_collection(folder).documents
    if system.kind == "bm25" and documents:
        field = profile.collection.topic_field
        configuration = Bm25Configuration(profile.bm25_of(system), profile.analyzer_of(system), field)
    return Case(
        scores,
        qrels,
        excluded,
        own_documents(qrels),
        documents=documents,
        topics={topic.id: topic for topic in topics},
        configuration=configuration,
        published_as=published_configuration(published),
        depth=profile.depth,
    )
