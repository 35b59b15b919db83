"""Cross-checks of the measures: ir_measures on the same runs and qrels, and scikit-learn's nDCG.

ir_measures also calls trec_eval, so it checks how missing topics are counted and how measures are named; scikit-learn's
nDCG is an independent implementation.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence

import numpy as np
import pandas as pd

from core.evaluation.measures import PerTopic, mean
from core.evaluation.significance import Values
from core.evaluation.table_formats import Table
from core.formats.qrels import Qrels
from core.formats.runs import Scores, first_ranked
from core.workspace.errors import UserError
from core.workspace.measure_names import judged_cutoff, parse_measure

TOLERANCE = 1e-9
LARGEST_DIFFERENCE = "largest per-topic difference"
OURS, REFERENCE = "RankScope", "reference"


def checkable(measures: Iterable[str]) -> list[str]:
    """Return the measures that ir_measures defines in the same way: all but Judged@k.

    If fewer than k documents were retrieved, ir_measures divides by their number in Judged@k, and RankScope by k.
    """
    return [name for name in measures if parse_measure(name).name != "Judged"]


def ir_measures_values(scores: Scores, qrels: Qrels, measures: Iterable[str]) -> PerTopic:
    """Return each measure's value for every judged topic by ir_measures (MacAvaney, Macdonald & Ounis, 2022).

    ir_measures omits topics that are missing from the run; they count as 0 here, as they do in RankScope.

    Raises:
        UserError: if ir_measures is not installed.
    """
    try:
        import ir_measures
    except ImportError:
        raise UserError("ir_measures is not installed; run pip install -r requirements.txt") from None
    names = {ir_measures.parse_measure(name): name for name in measures}
    values: PerTopic = {name: dict.fromkeys(qrels, 0.0) for name in names.values()}
    # pytrec_eval can crash Python on topics without a non-negative judgment or without retrieved documents.
    judged = {topic: by for topic, by in qrels.items() if max(by.values()) >= 0}
    answered = {topic: by for topic, by in scores.items() if by}
    for metric in ir_measures.iter_calc(list(names), judged, answered):
        values[names[metric.measure]][metric.query_id] = float(metric.value)
    return values


def sklearn_ndcg(scores: Scores, qrels: Qrels, k: int) -> dict[str, float]:
    """Return nDCG@k of every judged topic by `sklearn.metrics.ndcg_score`, over the top k and the judged documents.

    scikit-learn averages over the possible orders of ties, so it is given trec_eval's ranks instead of scores.
    """
    from sklearn.metrics import ndcg_score

    values = {}
    for topic, judgments in qrels.items():
        ranking = first_ranked(scores.get(topic, {}), k)
        missed = judgments.keys() - set(ranking)
        gains = [judgments.get(document, 0) for document in ranking]
        gains += [0] * max(k - len(ranking), 0)  # keep missed documents out of the top k of a shorter list
        gains += [judgments[document] for document in missed]
        true = np.maximum(np.array([gains], dtype=float), 0)
        values[topic] = float(ndcg_score(true, -np.arange(len(gains))[None], k=k)) if ranking and true.any() else 0.0
    return values


def check_rows(
    systems: Sequence[str], values: Mapping[str, Values], scores_of: Callable[[str], Scores], qrels: Qrels
) -> pd.DataFrame:
    """Return one row per value: library, system, measure, RankScope, reference, largest per-topic difference.

    Args:
        values: the values of each checked measure, which `checkable` selects.
        scores_of: returns a system's run.

    Raises:
        UserError: if ir_measures is not installed.
    """
    ndcgs = {name: cutoff for name in values if (cutoff := judged_cutoff(name))}
    rows = []
    for system in systems:
        scores = scores_of(system)
        by_library = {"ir_measures": ir_measures_values(scores, qrels, values)}
        by_library["scikit-learn"] = {name: sklearn_ndcg(scores, qrels, k) for name, k in ndcgs.items()}
        for library, by_measure in by_library.items():
            for measure, theirs in by_measure.items():
                ours = values[measure][system]
                apart = max(abs(theirs[topic] - ours[topic]) for topic in qrels)
                rows.append((library, system, measure, mean(ours), mean(theirs), apart))
    columns = ["library", "system", "measure", OURS, REFERENCE, LARGEST_DIFFERENCE]
    return pd.DataFrame(rows, columns=columns)


def check_table(rows: pd.DataFrame, labels: Mapping[str, str], topics: int) -> Table:
    """Return a table that compares the figures with those of other libraries, and says whether they agree.

    Args:
        rows: the table from `check_rows`.
    """
    largest = rows[LARGEST_DIFFERENCE].max()
    identical = "identical" if largest <= TOLERANCE else "not identical"
    said = (
        f"{len(rows)} means over {topics} topics: {identical} within tolerance ({TOLERANCE:.0e}); "
        f"largest per-topic difference {largest:.1e}."
    )
    figures = rows.replace({"system": dict(labels)}).set_index("system")
    shown = figures.assign(**{LARGEST_DIFFERENCE: figures[LARGEST_DIFFERENCE].map("{:.1e}".format)})
    return Table(figures, "Cross-check with other libraries", shown, [said])


def agreement_table(rows: pd.DataFrame, labels: Mapping[str, str]) -> Table:
    """Return a table that compares the figures with those of sentence-transformers' evaluator.

    Args:
        rows: a table with columns system, measure, ours, sentence_transformers.
    """
    figures = rows.assign(difference=rows["ours"] - rows["sentence_transformers"]).replace({"system": dict(labels)})
    figures = figures.rename(columns={"ours": OURS, "sentence_transformers": REFERENCE}).set_index("system")
    shown = figures.assign(difference=figures["difference"].map("{:.1e}".format))
    return Table(figures, "Cross-check with the evaluator of sentence-transformers", shown)
