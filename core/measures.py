"""Measures of a run against qrels, by trec_eval (through pytrec_eval), under ir_measures' names.

A topic with judgments that the run has nothing for counts 0, as with `trec_eval -c`; a topic without judgments is left
out. trec_eval ranks by score, ties by document id descending, and does not look at the rank column.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass

import pytrec_eval

from core.errors import UserError
from core.qrels import Qrels
from core.runs import Scores, ranked

PerTopic = dict[str, dict[str, float]]
"""measure -> topic -> value."""


@dataclass(frozen=True)
class Family:
    """A kind of measure: its name in trec_eval, and what it is in a sentence for the reader of a page."""

    trec_eval: str
    with_cutoff: bool
    description: str


FAMILIES = {
    "nDCG": Family(
        "ndcg_cut",
        True,
        "Normalised discounted cumulative gain (Järvelin & Kekäläinen, 2002): the gain is the grade, the discount "
        "log2(rank + 1), the ideal over all judged documents of the topic; unjudged documents gain nothing",
    ),
    "P": Family("P", True, "Precision: the share of the first k documents that are relevant (grade 1 or more)"),
    "R": Family("recall", True, "Recall: the share of all relevant documents that are among the first k"),
    "AP": Family("map", False, "Average precision over the ranks of the relevant documents; its mean is MAP"),
    "Bpref": Family(
        "bpref",
        False,
        "Binary preference (Buckley & Voorhees, 2004): how often judged relevant documents stand above judged "
        "not relevant ones; unjudged documents are not looked at",
    ),
    "RR": Family("recip_rank", False, "Reciprocal rank: 1 / rank of the first relevant document"),
    "Judged": Family("", True, "The share of the first k documents that have a judgment for the topic"),
}
NOTATION = re.compile(r"^([A-Za-z]+)(?:@([1-9][0-9]{0,4}))?$")


def parse_measure(name: str) -> tuple[Family, str, int]:
    """Split a measure such as "nDCG@10" into its family, the family's name and the cut-off (0 where it has none).

    Raises:
        UserError: it is not one of `FAMILIES` with a cut-off where, and only where, there is one.
    """
    match = NOTATION.match(name.strip())
    family = FAMILIES.get(match[1]) if match else None
    if not match or not family or family.with_cutoff != bool(match[2]):
        known = ", ".join(f"{n}@k" if f.with_cutoff else n for n, f in FAMILIES.items())
        raise UserError(f"{name!r} is not a measure known here; there are {known}")
    return family, match[1], int(match[2] or 0)


def evaluate(scores: Scores, qrels: Qrels, measures: Iterable[str]) -> PerTopic:
    """Return every measure's value for every judged topic.

    Raises:
        UserError: a measure is unknown, or the run has no judged topic.
    """
    wanted = {name: parse_measure(name) for name in measures}
    if not qrels.keys() & scores.keys():
        raise UserError("the run and the qrels have no topic in common")
    by_trec_eval = {
        name: f"{family.trec_eval}.{cutoff}" if family.with_cutoff else family.trec_eval
        for name, (family, _, cutoff) in wanted.items()
        if family.trec_eval
    }
    # A topic whose grades are all negative has nothing to find, and pytrec_eval writes out of bounds on it.
    judged = {topic: judgments for topic, judgments in qrels.items() if max(judgments.values()) >= 0}
    values = pytrec_eval.RelevanceEvaluator(judged, set(by_trec_eval.values())).evaluate(scores)
    result = {
        name: {topic: float(values[topic][key.replace(".", "_")]) if topic in values else 0.0 for topic in qrels}
        for name, key in by_trec_eval.items()
    }
    for name, (family, _, cutoff) in wanted.items():
        if not family.trec_eval:
            result[name] = judged_share(scores, qrels, cutoff)
    return {name: result[name] for name in wanted}


def judged_share(scores: Scores, qrels: Qrels, k: int) -> dict[str, float]:
    """Return, for every judged topic, the share of the first k ranks that hold a judged document."""
    return {
        topic: sum(document in judgments for document, _ in ranked(scores.get(topic, {}))[:k]) / k
        for topic, judgments in qrels.items()
    }


def mean(by_topic: dict[str, float]) -> float:
    """Return the mean over topics."""
    return sum(by_topic.values()) / len(by_topic)
