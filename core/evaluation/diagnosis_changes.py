"""Changes that a diagnosis tries, alone and together: of the evaluation of a run, and of how it was searched."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

from core.evaluation.measures import evaluate, mean
from core.evaluation.unjudged import condensed
from core.formats.exclusions import Exclusions, left_out, together, without
from core.formats.qrels import Qrels, highest_grade
from core.formats.runs import Scores, first_ranked, ranked
from core.workspace.measure_names import parse_measure

DEPTHS = (10, 20, 50, 100, 200, 500, 1000)
Configuration = Mapping[str, Any]
"""How a system searches: setting, by the name that a diagnosis gives it -> value."""


@dataclass(frozen=True)
class Evaluated:
    """What is evaluated: a run with all of its documents, those that are removed from it, and the judgments."""

    scores: Scores
    qrels: Qrels
    excluded: Exclusions

    @property
    def run(self) -> Scores:
        """The run without the excluded documents."""
        return without(self.scores, left_out(self.scores, self.excluded))

    def means(self, measures: Sequence[str]) -> dict[str, float]:
        """Return the mean of each measure over the judged topics."""
        return {name: mean(by_topic) for name, by_topic in evaluate(self.run, self.qrels, measures).items()}

    def with_run(self, scores: Scores) -> "Evaluated":
        """Return the same evaluation of a run from which documents were already removed."""
        return Evaluated(scores, self.qrels, {})


@dataclass(frozen=True)
class Change:
    """One change of the evaluation or of a setting of the search.

    Attributes:
        cause: what is changed, such as "stop words"; of a search the setting's name.
        here, tried: how it is here and how it is tried, in words.
        evaluation: changes the evaluation; None for a change of the search.
        value: the setting's value that is tried.
        of_run: whether it is about this run, so that it says nothing of another one.
    """

    cause: str
    here: str
    tried: str
    evaluation: Callable[[Evaluated], Evaluated] | None = None
    value: Any = None
    of_run: bool = False


class Searcher(Protocol):
    """Searches the collection with any configuration.

    Attributes:
        start: the configuration that is changed: the run's, or the published one if that is not known.
        published: the configuration of the published figure, None if that is not known.
        known: whether `start` is the run's.
        encodes: whether a change of one setting may take long.
    """

    start: Configuration
    published: Configuration | None
    known: bool
    encodes: bool

    def options(self) -> Mapping[str, Sequence[Any]]:
        """Return the values that are tried of each setting."""

    def search(self, configuration: Configuration) -> Scores:
        """Return the run of a configuration."""

    def seconds(self, configuration: Configuration) -> float:
        """Return about how long a search takes; 0 if that is not known or short."""


def in_words(value: Any) -> str:
    """Return the value of a setting in words."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, tuple):
        return ", ".join(f"{one:g}" for one in value)
    text = str(value)
    return (f'"{text}"' if text != text.strip() else text) or "none"  # prompts end in a space


def evaluation_changes(
    start: Evaluated,
    measures: Sequence[str],
    own: Exclusions,
    by_rank: Scores | None,
    other_qrels: Mapping[str, Qrels],
) -> Iterator[Change]:
    """Yield the changes of how a run is evaluated.

    Args:
        own: the topics' own documents, by which the excluded ones may differ from those of a publication.
        by_rank: the run in the order of its rank column, if that is another one.
        other_qrels: other judgments, by name, such as those of another split.
    """
    if start.excluded:
        yield Change("own documents of topics", "removed", "kept", lambda one: replace(one, excluded={}))
    if own:
        removed = together(start.excluded, own)
        yield Change("own documents of topics", "kept", "removed", lambda one: replace(one, excluded=removed))
    if by_rank is not None:
        order = by_rank
        rank = "by the rank column"
        yield Change("ties and order", "by score", rank, lambda one: replace(one, scores=order), of_run=True)
    yield Change("ties and order", "tied documents by id, descending", "by id, ascending", _ties_ascending)
    parsed = [parse_measure(name) for name in measures]
    highest = highest_grade(start.qrels)
    if any(measure.name == "nDCG" for measure in parsed) and highest > 1:
        yield Change("gains", "the grade", "binary: 1 for every relevant document", _graded(lambda g: int(g > 0)))
        yield Change("gains", "the grade", "2^grade - 1", _graded(lambda g: 2 ** max(g, 0) - 1))
    for level in range(2, highest + 1):
        yield Change("relevance threshold", "grade >= 1", f"grade >= {level}", _graded(_from_level(level)))
    judged = "all judged documents"
    yield Change("ideal ranking", judged, "the retrieved judged documents", _ideal_of(0))
    for k in sorted({measure.cutoff for measure in parsed} - {0}):
        yield Change("ideal ranking", judged, f"the first {k} documents", _ideal_of(k))
    yield Change("missing topics", "count as 0", "left out", lambda one: _topics_with(one, one.run))
    yield Change("topics without relevant documents", "count as 0", "left out", lambda one: _topics_with(one, None))
    condense = "removed from the ranking"
    yield Change(
        "unjudged documents", "not relevant", condense, lambda one: one.with_run(condensed(one.run, one.qrels))
    )
    deepest = max(map(len, start.scores.values()), default=0)
    for depth in DEPTHS:
        if depth < deepest:
            yield Change("depth", str(deepest), f"the first {depth}", _cut_at(depth))
    for name, judgments in other_qrels.items():
        yield Change("judgments", "these", name, _judged_by(judgments))


def _graded(gain: Callable[[int], int]) -> Callable[[Evaluated], Evaluated]:
    def change(one: Evaluated) -> Evaluated:
        return replace(one, qrels={t: {d: gain(grade) for d, grade in by.items()} for t, by in one.qrels.items()})

    return change


def _from_level(level: int) -> Callable[[int], int]:
    return lambda grade: grade if grade >= level else 0


def _ideal_of(k: int) -> Callable[[Evaluated], Evaluated]:
    """Keep the judgments of the first k retrieved documents, or of all if k is 0."""

    def change(one: Evaluated) -> Evaluated:
        run = one.run
        first = {t: set(first_ranked(by, k)) if k else by.keys() for t, by in run.items()}
        kept = {t: {d: grade for d, grade in by.items() if d in first.get(t, ())} for t, by in one.qrels.items()}
        return replace(one, qrels={t: by or {"": 0} for t, by in kept.items()})

    return change


def _topics_with(one: Evaluated, run: Scores | None) -> Evaluated:
    """Leave out the topics without retrieved documents, or, without a run, those without relevant ones."""
    kept = {t: by for t, by in one.qrels.items() if (run.get(t) if run is not None else max(by.values()) > 0)}
    return replace(one, qrels=kept)


def _cut_at(depth: int) -> Callable[[Evaluated], Evaluated]:
    def change(one: Evaluated) -> Evaluated:
        return one.with_run({t: {d: by[d] for d in first_ranked(by, depth)} for t, by in one.run.items()})

    return change


def _judged_by(qrels: Qrels) -> Callable[[Evaluated], Evaluated]:
    return lambda one: replace(one, qrels=qrels)


def _ties_ascending(one: Evaluated) -> Evaluated:
    """Return ranks as scores, tied documents by ascending id."""

    def ascending(by_document: Mapping[str, float]) -> dict[str, float]:
        order = sorted(ranked(by_document), key=lambda hit: hit[0])
        order.sort(key=lambda hit: -hit[1])
        return {document: -float(rank) for rank, (document, _) in enumerate(order)}

    return one.with_run({topic: ascending(by) for topic, by in one.run.items()})
