"""The two orders of an imported run: by score, as trec_eval ranks, and by its rank column.

They differ where scores are tied, which trec_eval orders by document id, or disagree with the ranks.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import pandas as pd

from core.evaluation.measures import Evaluator, mean
from core.evaluation.results import Results, manifests
from core.evaluation.table_formats import Table
from core.formats.exclusions import Exclusions
from core.formats.qrels import Qrels
from core.formats.runs import read_run

Order = Literal["score", "rank"]
ORDERS: dict[Order, str] = {"score": "by score (trec_eval)", "rank": "by rank"}
MeansByOrder = dict[str, dict[str, float]]
"""Order -> measure -> mean."""


def means_by_order(path: Path, qrels: Qrels, excluded: Exclusions, measures: Sequence[str]) -> MeansByOrder:
    """Return the means of a run file in both orders.

    Raises:
        UserError: if the file cannot be read as a run.
    """
    evaluator = Evaluator(qrels, measures)
    found: MeansByOrder = {}
    for order in ORDERS:
        values = evaluator.evaluate(read_run(path, order).without(excluded).scores)
        found[order] = {measure: mean(by_topic) for measure, by_topic in values.items()}
    return found


def orders_table(of_runs: Mapping[str, Mapping[str, Any]], caption: str) -> Table:
    """Return the means of runs in both orders.

    Args:
        of_runs: the label of each run, and its means by order.
    """
    rows = [
        (label, measure, *(of_run[order][measure] for order in ORDERS), of_run["rank"][measure] - value)
        for label, of_run in of_runs.items()
        for measure, value in of_run["score"].items()
    ]
    table = pd.DataFrame(rows, columns=["run", "measure", *ORDERS.values(), "difference"])
    return Table(table.set_index("run"), caption)


def run_orders(results: Results) -> Table:
    """The measures of imported runs whose order by score (trec_eval) differs from that by rank, in both orders."""
    found = stored_orders(results)
    said = [] if found else ["No imported run has an order by rank that differs from that by score."]
    table = orders_table(found, f"{results.folder.name}: imported runs by score and by rank")
    return Table(table.figures, table.caption, sentences=said)


def stored_orders(results: Results) -> dict[str, MeansByOrder]:
    """Return the means by order that the import recorded, by the label of the run."""
    known = manifests(results.folder)
    facts = {
        system.name: known[f"runs/{system.name}"].facts
        for system in results.profile.system
        if system.kind == "run" and f"runs/{system.name}" in known
    }
    return {results.labels[name]: of_run["orders"] for name, of_run in facts.items() if "orders" in of_run}
