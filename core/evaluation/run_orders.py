"""The two orders of an imported run: by score, as trec_eval ranks, and by its rank column.

They differ where scores are tied, which trec_eval orders by document id, or disagree with the ranks.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

import pandas as pd

from core.evaluation.measures import Evaluator, mean
from core.evaluation.results import Results, manifests
from core.evaluation.table_formats import Table
from core.formats.exclusions import Exclusions
from core.formats.qrels import Qrels
from core.formats.runs import read_run
from core.workspace.artifacts import Manifest
from core.workspace.profile import Profile

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


def orders_table(of_runs: Mapping[str, MeansByOrder], caption: str) -> Table:
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
    said = largest_difference(of_runs) or "No run has an order by rank that differs from that by score."
    return Table(table.set_index("run"), caption, sentences=[said])


def run_orders(results: Results) -> Table:
    """The measures of imported runs whose order by score (trec_eval) differs from that by rank, in both orders."""
    found = stored_orders(results.profile, results.labels, manifests(results.folder))
    return orders_table(found, f"{results.folder.name}: imported runs by score and by rank")


def stored_orders(
    profile: Profile, labels: Mapping[str, str], known: Mapping[str, Manifest]
) -> dict[str, MeansByOrder]:
    """Return the means by order that imports recorded, by the label of the run.

    Args:
        known: manifests by the artifact's place.
    """
    names = [system.name for system in profile.system if system.kind == "run" and f"runs/{system.name}" in known]
    facts = {labels[name]: known[f"runs/{name}"].facts for name in names}
    return {label: of_run["orders"] for label, of_run in facts.items() if "orders" in of_run}


def largest_difference(of_runs: Mapping[str, MeansByOrder]) -> str:
    """Return a sentence on the run whose first measure with a difference changes most by the order; "" without runs."""
    if not of_runs:
        return ""
    for measure in next(iter(of_runs.values()))["score"]:
        changes = {label: abs(means["rank"][measure] - means["score"][measure]) for label, means in of_runs.items()}
        label = max(changes, key=changes.__getitem__)
        if changes[label]:
            by_score, by_rank = (of_runs[label][order][measure] for order in ORDERS)
            largest = "Largest change: " if len(of_runs) > 1 else ""
            return f"{largest}{measure} of {label} is {by_score:.4f} by score (trec_eval) and {by_rank:.4f} by rank."
    return "No measure differs."
