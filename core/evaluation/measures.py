"""Evaluation of runs by trec_eval (through pytrec_eval), with ir_measures' names of measures.

A judged topic that is missing from the run counts as 0, as with `trec_eval -c`; a topic without judgments is left out.
trec_eval ranks by score, ties by descending document id, and ignores the rank column.
"""

from collections.abc import Callable, Iterable, Mapping
from math import fsum

import pandas as pd
import pytrec_eval

from core.formats.qrels import Qrels
from core.formats.runs import Scores, first_ranked
from core.workspace.errors import UserError
from core.workspace.measure_names import RECALL_LEVELS, parse_measure

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
                name: f"{family.trec_eval}.{cutoff}" if family.with_cutoff else family.trec_eval
                for name, (family, _, cutoff, relevance) in self.measures.items()
                if family.trec_eval and relevance == level
            }
            found_as = {name: key.replace(".", "_") for name, key in keys.items()}
            self._of_trec_eval.append((TrecEval(qrels, set(keys.values()), level), found_as))

    def evaluate(self, scores: Scores) -> PerTopic:
        """Return every measure's value for every judged topic; all are 0 for an empty run."""
        result: PerTopic = {}
        for trec_eval, found_as in self._of_trec_eval:
            values = trec_eval.evaluate(scores)
            for name, key in found_as.items():
                result[name] = {topic: values[topic][key] if topic in values else 0.0 for topic in self.qrels}
        for name, (family, _, cutoff, _) in self.measures.items():
            if not family.trec_eval:
                result[name] = judged_share(scores, self.qrels, cutoff)
        return {name: result[name] for name in self.measures}


def evaluate(scores: Scores, qrels: Qrels, measures: Iterable[str]) -> PerTopic:
    """Return every measure's value for every judged topic; an `Evaluator` is faster for many runs.

    Raises:
        UserError: if a measure is unknown.
    """
    return Evaluator(qrels, measures).evaluate(scores)


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
