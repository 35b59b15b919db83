"""Judgments rank by rank: the share of judged documents at each depth, and which documents only one run contributes.

A run that was not in the pool is judged less. Leaving out the judgments of the documents that only one run has in its
top k (leave-out-uniques; Zobel, 1998) shows how much its own figure owes to having been judged.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence

import pandas as pd

from core.evaluation.measures import Evaluator, evaluate, judged_share, mean
from core.evaluation.table_formats import Table
from core.formats.qrels import Qrels
from core.formats.runs import Scores, first_ranked

DEPTHS = (1, 3, 5, 10, 20, 50, 100)


def judged_ranks(
    systems: Sequence[str],
    scores_of: Callable[[str], Scores],
    qrels: Qrels,
    measure: str,
    depth: int,
    depths: Sequence[int] = DEPTHS,
) -> pd.DataFrame:
    """Return a row for each system.

    Columns: Judged@k at each depth; the judged documents that only this system has in its top `depth`, over all topics,
    and the relevant ones of these; the mean of the measure, and without the judgments of those documents.

    Args:
        scores_of: returns a system's run; called for one system at a time, so that not all runs are in memory.
    """
    first: dict[str, dict[str, list[str]]] = {}
    judged: dict[str, list[float]] = {}
    means: dict[str, float] = {}
    evaluator = Evaluator(qrels, [measure])
    for system in systems:
        scores = scores_of(system)
        first[system] = {topic: first_ranked(scores.get(topic, {}), depth) for topic in qrels}
        judged[system] = [mean(judged_share(scores, qrels, k)) for k in depths]
        means[system] = mean(evaluator.evaluate(scores)[measure])
    found_by = {topic: Counter(d for lists in first.values() for d in lists[topic]) for topic in qrels}
    rows = {}
    for system in systems:
        own = {
            topic: {d for d in first[system][topic] if found_by[topic][d] == 1 and d in judgments}
            for topic, judgments in qrels.items()
        }
        # A topic of which nothing else is judged keeps a judgment of no document, and counts 0.
        without = {
            topic: {d: grade for d, grade in judgments.items() if d not in own[topic]} or {"": 0}
            for topic, judgments in qrels.items()
        }
        left = mean(evaluate(scores_of(system), without, [measure])[measure])
        rows[system] = [
            *judged[system],
            sum(map(len, own.values())),
            sum(qrels[topic][d] > 0 for topic, documents in own.items() for d in documents),
            means[system],
            left,
            left - means[system],
        ]
    columns = [*(f"Judged@{k}" for k in depths), "only here: judged", "only here: relevant", measure]
    return pd.DataFrame.from_dict(rows, orient="index", columns=[*columns, "without them", "effect"])


def judged_table(rows: pd.DataFrame, labels: Mapping[str, str], measure: str, depth: int, collection: str) -> Table:
    """Return the rows of `judged_ranks` as a table, and the system that owes most to its own documents."""
    table = rows.rename(index=dict(labels)).rename_axis("system")
    said = []
    if len(rows) > 1:
        most = str(rows["effect"].idxmin())
        said.append(
            f"{labels[most]} has {int(rows.loc[most, 'only here: judged'])} judged documents in its top {depth} that "
            f"no other system here has, {int(rows.loc[most, 'only here: relevant'])} of them relevant; without their "
            f"judgments its {measure} is {rows.loc[most, 'without them']:.4f} ({rows.loc[most, 'effect']:+.4f})."
        )
    caption = f"{collection}: judgments by rank, and the judged documents that only one system has in its top {depth}"
    return Table(table, caption, None, said)
