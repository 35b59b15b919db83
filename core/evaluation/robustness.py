"""Robustness of the ranking: which system is first under other measures, cut-offs, thresholds, and without a topic."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from core.evaluation.measures import mean
from core.evaluation.significance import Values, same_topics
from core.evaluation.table_formats import Table
from core.workspace.errors import UserError
from core.workspace.measure_names import COUNTS, TREC_EVAL, measure_name, parse_measure

CUTOFFS = (1, 3, 5, 10, 20, 50, 100)
DEFAULT_CUTOFF = 10
"""Cut-off for precision if the chosen measure has none."""
MOST_GRADES = 4
"""Highest relevance threshold whose values are stored."""
COLUMNS = ["varied", "measure", "winner", "margin", "runner-up", "same winner?"]

SAME = 1e-9
"""Tolerance below which means count as equal; smaller differences come from the order of summation."""


@dataclass(frozen=True)
class Winner:
    """The system with the highest mean (several if tied), and its margin over the runner-up."""

    systems: tuple[str, ...]
    lead: float
    second: str
    """The runner-up, "" if there is none."""


def winner(values: Values) -> Winner:
    """Return the system with the highest mean over topics.

    Raises:
        UserError: if the systems were not evaluated on the same topics, or on fewer than two.
    """
    same_topics(values)
    return _of_means({system: mean(by_topic) for system, by_topic in values.items()})


def _of_means(means: Mapping[str, float]) -> Winner:
    highest = max(means.values())
    first = tuple(system for system, value in means.items() if value > highest - SAME)
    others = {system: value for system, value in means.items() if system not in first}
    if len(first) > 1 or not others:
        return Winner(first, 0.0, "")
    second = max(others, key=others.__getitem__)
    return Winner(first, highest - others[second], second)


def leave_one_out(values: Values) -> dict[str, Winner]:
    """Return, for each topic, the winner when that topic is left out.

    Raises:
        UserError: if the systems were not evaluated on the same topics, or on fewer than three.
    """
    topics = same_topics(values)
    if len(topics) < 3:
        raise UserError("leaving out a topic needs at least three topics")
    array = np.array([[by_topic[topic] for by_topic in values.values()] for topic in topics])
    means = ((array.sum(axis=0) - array) / (len(topics) - 1)).tolist()
    return {topic: _of_means(dict(zip(values, row, strict=True))) for topic, row in zip(topics, means, strict=True)}


def variations(measure: str, measures: Iterable[str], highest_grade: int) -> Iterator[tuple[str, str]]:
    """Yield (variation, measure) pairs without duplicate measures, the chosen measure first.

    Args:
        measures: the other measures.
        highest_grade: the highest grade of the judgments.
    """
    chosen = parse_measure(measure)
    seen = set()
    rows = [("selected measure", measure)]
    rows += [("other measure", other) for other in dict.fromkeys(measures)]
    if chosen.cutoff:
        rows += [("other cut-off", chosen.at_cutoff(k)) for k in CUTOFFS]
    varies = chosen.family.binary and chosen.is_plain
    names = {chosen.name: chosen.cutoff} if varies else {"P": chosen.cutoff or DEFAULT_CUTOFF, "AP": 0}
    for relevance in range(1, highest_grade + 1):
        rows += [("other relevance threshold", measure_name(name, k, relevance)) for name, k in names.items()]
    for varied, name in rows:
        if name not in seen and (name == measure or parse_measure(name).name not in COUNTS):
            seen.add(name)
            yield varied, name


def stored_variations(measures: Iterable[str], highest_grade: int) -> list[str]:
    """Return the variations of all measures at any cut-off, for those that trec_eval computes.

    Relevance thresholds go up to `MOST_GRADES`, as each takes another evaluation of every run.
    """
    names: dict[str, None] = {}
    for measure in measures:
        chosen = parse_measure(measure)
        if chosen.provider != TREC_EVAL:
            continue
        at = [measure, *(chosen.at_cutoff(k) for k in CUTOFFS if chosen.cutoff)]
        for one in at:
            names |= dict.fromkeys(name for _, name in variations(one, (), min(highest_grade, MOST_GRADES)))
    return list(names)


def in_short(table: pd.DataFrame) -> tuple[bool, str]:
    """Return whether the winner is the same under every variation and without each topic, and that in a few words.

    Args:
        table: the table of `robustness_table`.
    """
    others = table.loc[table.index.str.startswith("other "), "same winner?"] == "yes"
    if not others.all():
        return False, f"not robust: same winner under {others.sum()} of {len(others)} variations"
    if table.index.str.startswith("without topic").any():
        return False, "not robust: without one topic, another system wins"
    return True, f"robust under all {len(others)} variations"


def robustness_table(
    measure: str,
    varied: Iterable[tuple[str, str]],
    values: Mapping[str, Values],
    without: Mapping[str, Winner],
    labels: Mapping[str, str],
) -> Table:
    """Return one row per variation: variation, measure, winner, margin, runner-up, whether the winner is the same.

    A row is added for each topic without which another system wins, or if there is none, for the smallest margin.

    Args:
        measure: the chosen measure.
        varied: the pairs from `variations`.
        values: the values of each measure, including the chosen one.
        without: topic -> the winner by the chosen measure without that topic, from `leave_one_out`.
    """
    first = winner(values[measure])

    def row(what: str, name: str, found: Winner) -> tuple[str, str, str, float, str, str]:
        names = " = ".join(labels[system] for system in found.systems)
        holds = "yes" if found.systems == first.systems else "no"
        return what, name, names, found.lead, labels.get(found.second, ""), holds

    rows = [row(what, name, winner(values[name])) for what, name in varied]
    others = sum(holds == "no" for *_, holds in rows)
    changed = [topic for topic, one in without.items() if one.systems != first.systems]
    names = [labels[system] for system in first.systems]
    tied = len(first.systems) > 1
    sentences = [f"{' and '.join(names)} {'are tied for' if tied else 'has'} the highest mean {measure}."]
    if count := len(rows) - 1:
        under = f"all {count}" if not others else f"{count - others} of {count}"
        also = "They also tie" if tied else "The winner also wins"
        sentences.append(f"{also} under {under} other measures, cut-offs and thresholds.")
    shown = {f"without topic {topic}": without[topic] for topic in changed}
    if changed:
        what = f"{len(changed)} of {len(without)} topics ({', '.join(changed)})"
        sentences.append(f"Leaving out one topic changes the winner for {what}.")
    elif without:
        sentences.append(f"{'They stay tied' if tied else 'The winner stays first'} whichever topic is left out.")
        closest = min(without, key=lambda topic: without[topic].lead)
        shown = {f"smallest margin: without topic {closest}": without[closest]}
    rows += [row(what, measure, one) for what, one in shown.items()]
    table = pd.DataFrame(rows, columns=COLUMNS).set_index("varied")
    return Table(table, f"Robustness of the ranking by mean {measure}", sentences=[" ".join(sentences)])
