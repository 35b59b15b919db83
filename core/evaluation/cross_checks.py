"""Cross-checks of the measures: ir_measures on the same runs and qrels, and scikit-learn's nDCG.

ir_measures asks trec_eval for what we ask it for, so it checks how a run and its missing topics are counted and how a
measure is named; scikit-learn's nDCG is a formula of its own.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence

import numpy as np
import pandas as pd

from core.evaluation.measures import PerTopic, mean
from core.evaluation.significance import Values
from core.evaluation.table_formats import Table
from core.formats.qrels import Qrels
from core.formats.runs import Scores, ranked
from core.workspace.errors import UserError
from core.workspace.measure_names import parse_measure

TOLERANCE = 1e-9
LARGEST_DIFFERENCE = "largest difference in a topic"


def checkable(measures: Iterable[str]) -> list[str]:
    """Return the measures that ir_measures defines as we do: all but Judged@k.

    Its Judged@k divides by the documents retrieved where they are fewer than k, ours by k.
    """
    return [name for name in measures if parse_measure(name).name != "Judged"]


def ir_measures_values(scores: Scores, qrels: Qrels, measures: Iterable[str]) -> PerTopic:
    """Return each measure's value for every judged topic by ir_measures (MacAvaney, Macdonald & Ounis, 2022).

    It leaves out a topic that the run has nothing for; as in our own figures such a topic counts 0.

    Raises:
        UserError: if ir_measures is not installed.
    """
    try:
        import ir_measures
    except ImportError:
        raise UserError("ir_measures is not installed; pip install -r requirements.txt brings it") from None
    names = {ir_measures.parse_measure(name): name for name in measures}
    values: PerTopic = {name: dict.fromkeys(qrels, 0.0) for name in names.values()}
    # Topics with nothing to find, or for which nothing was found, can end Python in pytrec_eval.
    judged = {topic: by for topic, by in qrels.items() if max(by.values()) >= 0}
    answered = {topic: by for topic, by in scores.items() if by}
    for found in ir_measures.iter_calc(list(names), judged, answered):
        values[names[found.measure]][found.query_id] = float(found.value)
    return values


def sklearn_ndcg(scores: Scores, qrels: Qrels, k: int) -> dict[str, float]:
    """Return nDCG@k of every judged topic by `sklearn.metrics.ndcg_score`, over retrieved and judged documents.

    It averages over the orders of tied documents, so it is given the ranks that trec_eval puts them in.
    """
    from sklearn.metrics import ndcg_score

    values = {}
    for topic, judgments in qrels.items():
        found = [document for document, _ in ranked(scores.get(topic, {}))]
        missed = judgments.keys() - set(found)
        gains = [judgments.get(document, 0) for document in found]
        gains += [0] * max(k - len(found), 0)  # a list shorter than k does not go on with what it missed
        gains += [judgments[document] for document in missed]
        true = np.maximum(np.array([gains], dtype=float), 0)
        values[topic] = float(ndcg_score(true, -np.arange(len(gains))[None], k=k)) if found and true.any() else 0.0
    return values


def check_rows(
    systems: Sequence[str], values: Mapping[str, Values], scores_of: Callable[[str], Scores], qrels: Qrels
) -> pd.DataFrame:
    """Return one row a figure: library, system, measure, ours, theirs, largest difference in a topic.

    Args:
        values: of each measure that is checked, from `checkable`.
        scores_of: returns a system's run.

    Raises:
        UserError: if ir_measures is not installed.
    """
    ndcgs = {name: parse_measure(name).cutoff for name in values if parse_measure(name).name == "nDCG"}
    rows = []
    for system in systems:
        scores = scores_of(system)
        by_library = {"ir_measures": ir_measures_values(scores, qrels, values)}
        by_library["scikit-learn"] = {name: sklearn_ndcg(scores, qrels, k) for name, k in ndcgs.items()}
        for library, by_measure in by_library.items():
            for measure, theirs in by_measure.items():
                ours = values[measure][system]
                apart = max(abs(theirs[topic] - ours[topic]) for topic in qrels)
                rows.append((library, system, measure, mean(dict(ours)), mean(theirs), apart))
    columns = ["library", "system", "measure", "ours", "theirs", LARGEST_DIFFERENCE]
    return pd.DataFrame(rows, columns=columns)


def check_table(rows: pd.DataFrame, labels: Mapping[str, str], topics: int) -> Table:
    """Return our figures beside the other libraries', and whether they agree.

    Args:
        rows: from `check_rows`.
    """
    largest = rows[LARGEST_DIFFERENCE].max()
    agreed = "all agree" if largest <= TOLERANCE else "they do not all agree"
    said = f"{len(rows)} figures, {topics} topics each: {agreed}; the largest difference in any topic is {largest:.1e}."
    figures = rows.replace({"system": dict(labels)}).set_index("system")
    shown = figures.assign(**{LARGEST_DIFFERENCE: figures[LARGEST_DIFFERENCE].map("{:.1e}".format)})
    return Table(figures, "Checked by other libraries", shown, [said])


def agreement_table(rows: pd.DataFrame, labels: Mapping[str, str]) -> Table:
    """Return our figures beside those of sentence-transformers' evaluator.

    Args:
        rows: system, measure, ours, sentence_transformers.
    """
    figures = rows.assign(difference=rows["ours"] - rows["sentence_transformers"]).replace({"system": dict(labels)})
    figures = figures.set_index("system")
    shown = figures.assign(difference=figures["difference"].map("{:.1e}".format))
    return Table(figures, "Checked by sentence-transformers' evaluator", shown)
