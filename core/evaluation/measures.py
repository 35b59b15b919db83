"""Evaluation of runs by trec_eval (through pytrec_eval), and by ir_measures where trec_eval lacks a measure.

A judged topic that is missing from the run counts as 0, as with `trec_eval -c`; a topic without judgments is left out.
trec_eval ranks by score, ties by descending document id, and ignores the rank column; ir_measures' other providers
treat ties differently, so they are given trec_eval's ranks instead of scores.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from math import fsum, isfinite
from typing import Any

import pandas as pd
import pytrec_eval

from core.formats.qrels import Qrels
from core.formats.runs import Scores, first_ranked, ranked
from core.workspace.errors import UserError, in_words
from core.workspace.measure_names import RANKSCOPE, RECALL_LEVELS, TREC_EVAL, Measure, parse_measure

PerTopic = dict[str, dict[str, float]]
"""measure -> topic -> value."""


class Evaluator:
    """Evaluator of many runs with the same qrels, which trec_eval parses only once."""

    def __init__(self, qrels: Qrels, measures: Iterable[str]):
        """Take the names of the measures.

        Raises:
            UserError: if a measure is unknown.
        """
        self.qrels = qrels
        self.measures = {name: parse_measure(name) for name in measures}
        self._of_trec_eval: list[tuple[TrecEval, dict[str, str]]] = []
        for level in sorted({measure.relevance for measure in self.measures.values()}):
            keys = {
                name: measure.trec_eval_key
                for name, measure in self.measures.items()
                if measure.provider == TREC_EVAL and measure.relevance == level
            }
            if not keys:
                continue
            found_as = {name: key.replace(".", "_") for name, key in keys.items()}
            self._of_trec_eval.append((TrecEval(qrels, set(keys.values()), level), found_as))

    def evaluate(self, scores: Scores) -> PerTopic:
        """Return every measure's value for every judged topic; all are 0 for an empty run."""
        result: PerTopic = {}
        for trec_eval, found_as in self._of_trec_eval:
            values = trec_eval.evaluate(scores)
            for name, key in found_as.items():
                result[name] = {topic: values[topic][key] if topic in values else 0.0 for topic in self.qrels}
        others = {}
        for name, measure in self.measures.items():
            if measure.provider == RANKSCOPE:
                result[name] = judged_share(scores, self.qrels, measure.cutoff)
            elif measure.provider != TREC_EVAL:
                others[name] = measure
        result |= _by_ir_measures(scores, self.qrels, others) if others else {}
        return {name: result[name] for name in self.measures}


def evaluate(scores: Scores, qrels: Qrels, measures: Iterable[str]) -> PerTopic:
    """Return every measure's value for every judged topic; an `Evaluator` is faster for many runs.

    Raises:
        UserError: if a measure is unknown.
    """
    return Evaluator(qrels, measures).evaluate(scores)


def _by_ir_measures(scores: Scores, qrels: Qrels, measures: Mapping[str, Measure]) -> PerTopic:
    """Return the values of measures that ir_measures' own providers compute (MacAvaney, Macdonald & Ounis, 2022).

    Topics are numbered, as gdeval requires, and scores replaced by ranks, so that ties are trec_eval's.

    Raises:
        UserError: if a provider fails.
    """
    import ir_measures

    numbers = {topic: str(number) for number, topic in enumerate(qrels, 1) if max(qrels[topic].values()) >= 0}
    topics = {number: topic for topic, number in numbers.items()}
    judged = {number: qrels[topic] for number, topic in topics.items()}
    answered = {
        # Positive, as Compat takes 0 for the score of a document that was not retrieved.
        number: {document: float(rank) for rank, (document, _) in enumerate(reversed(ranked(scores[topic])), 1)}
        for number, topic in topics.items()
        if scores.get(topic)
    }
    values: PerTopic = {name: dict.fromkeys(qrels, 0.0) for name in measures}
    if not answered:
        return values
    names: dict[Any, str] = {ir_measures.parse_measure(measure.notation): name for name, measure in measures.items()}
    try:
        found = list(ir_measures.iter_calc(list(names), judged, answered))
    except Exception as error:  # each provider has its own errors
        if len(measures) > 1:  # the one that fails is named
            alone = (_by_ir_measures(scores, qrels, {name: measure}) for name, measure in measures.items())
            return {name: by_topic for found_alone in alone for name, by_topic in found_alone.items()}
        raise UserError(f"{', '.join(measures)}: ir_measures failed ({in_words(error)})") from None
    for metric in found:
        values[names[metric.measure]][topics[metric.query_id]] = float(metric.value)
    if name := next((name for name, by in values.items() if not all(map(isfinite, by.values()))), ""):
        raise UserError(f"{name}: ir_measures returned a value that is not finite")
    return values


def rbp_residual(scores: Scores, qrels: Qrels, persistence: float) -> dict[str, float]:
    """Return the residual of RBP for every judged topic: the weight of unjudged and missing ranks.

    It is the amount by which RBP would rise if all of these documents were relevant (Moffat & Zobel, 2008).
    """
    residuals = {}
    for topic, judgments in qrels.items():
        ranking = [document for document, _ in ranked(scores.get(topic, {}))]
        unjudged = fsum(persistence**i for i, document in enumerate(ranking) if document not in judgments)
        residuals[topic] = (1 - persistence) * unjudged + persistence ** len(ranking)
    return residuals


def residuals(scores: Scores, qrels: Qrels, measures: Iterable[str]) -> dict[str, dict[str, float]]:
    """Return the residual of every RBP among the measures, measure -> topic -> residual."""
    import ir_measures

    parsed = {name: ir_measures.parse_measure(name) for name in measures if parse_measure(name).name == "RBP"}
    return {name: rbp_residual(scores, qrels, float(measure["p"])) for name, measure in parsed.items()}


def providers(measures: Sequence[str]) -> str:
    """Return which libraries compute the measures, in words."""
    by_provider: dict[str, list[str]] = {}
    for name in measures:
        by_provider.setdefault(parse_measure(name).provider, []).append(name)
    if list(by_provider) in ([TREC_EVAL], []):
        return f"Measures by {TREC_EVAL}"
    return "Measures by " + "; ".join(
        f"{provider if provider in (TREC_EVAL, RANKSCOPE) else f'{provider} (ir_measures)'}: {', '.join(names)}"
        for provider, names in by_provider.items()
    )


def interpolated_precision(scores: Scores, qrels: Qrels, relevance: int = 1) -> PerTopic:
    """Return interpolated precision at the eleven recall levels 0.0 to 1.0, recall level -> topic -> precision.

    The value is the highest precision at that recall or above; its mean over topics is TREC's precision-recall curve
    (trec_eval's iprec_at_recall). A level that is never reached counts as 0. As in trec_eval, floor(r * R + 0.9) of R
    relevant documents reach recall level r.

    Args:
        relevance: the lowest grade that counts as relevant.
    """
    values = TrecEval(qrels, {"iprec_at_recall"}, relevance).evaluate(scores)
    return {
        level: {topic: float(values.get(topic, {}).get(f"iprec_at_recall_{level}0", 0.0)) for topic in qrels}
        for level in RECALL_LEVELS
    }


def mean_curves(
    systems: Iterable[str], scores_of: Callable[[str], Scores], qrels: Qrels, relevance: int = 1
) -> pd.DataFrame:
    """Return the precision-recall curve of each system, indexed by recall level, one column per system.

    Args:
        scores_of: returns a system's run; called for one system at a time, so that not all runs are in memory.
    """
    columns = {}
    for system in systems:
        curve = interpolated_precision(scores_of(system), qrels, relevance)
        columns[system] = {level: mean(by_topic) for level, by_topic in curve.items()}
    return pd.DataFrame(columns).rename_axis("recall")


class TrecEval:
    """pytrec_eval, guarded against inputs that crash it."""

    def __init__(self, qrels: Qrels, measures: set[str], relevance: int):
        """Take trec_eval's names of the measures and the lowest grade that counts as relevant."""
        # pytrec_eval writes out of bounds on topics whose grades are all negative, and sometimes on topics without
        # retrieved documents. Both count as 0.
        judged = {topic: judgments for topic, judgments in qrels.items() if max(judgments.values()) >= 0}
        self._evaluator = pytrec_eval.RelevanceEvaluator(judged, measures, relevance_level=relevance)

    def evaluate(self, scores: Scores) -> dict[str, dict[str, float]]:
        """Return topic -> trec_eval's name of the measure -> value, without topics for which nothing was retrieved."""
        return self._evaluator.evaluate({topic: by_document for topic, by_document in scores.items() if by_document})


def check_topics(run: str, scores: Scores, qrels: Qrels) -> None:
    """Check that a run and its judgments share a topic; an empty run fits any judgments.

    Raises:
        UserError: if they have no topic in common.
    """
    if scores and not scores.keys() & qrels.keys():
        raise UserError(f"{run}: the run and the judgments have no topic in common")


def judged_share(scores: Scores, qrels: Qrels, k: int) -> dict[str, float]:
    """Return Judged@k for every judged topic: the share of the first k ranks with a judged document."""
    return {
        topic: sum(document in judgments for document in first_ranked(scores.get(topic, {}), k)) / k
        for topic, judgments in qrels.items()
    }


def mean(by_topic: Mapping[str, float]) -> float:
    """Return the mean over topics; the sum is exact, so that every table rounds the same number."""
    return fsum(by_topic.values()) / len(by_topic)
