#!/usr/bin/env python3
"""Print one table of systems on several built collections, as Markdown: what a model gains on one and loses on others.

    python scripts/tables/collections_table.py trec-covid-subset scifact msmarco-hard --baseline all-MiniLM-L6-v2

A cell has the mean nDCG@10, its difference from the baseline in percent with p (paired randomisation test; in brackets
Holm-adjusted over the systems of the collection), and Judged@10. Systems that a collection lacks are left blank.
"""

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import pandas as pd

from core.evaluation.comparison_tables import against_baseline
from core.evaluation.measures import mean
from core.evaluation.results import Results, saved_profile
from core.evaluation.table_formats import markdown
from core.evaluation.verdicts import p_text
from core.workspace import command_line
from core.workspace.errors import UserError
from core.workspace.workspace import Workspace


def column(results: Results, baseline: str, measure: str) -> dict[str, str]:
    """Return the cell of each system of a collection, by label.

    Raises:
        UserError: if the collection has no run of the baseline.
    """
    if baseline not in results.systems:
        raise UserError(f"{results.folder.name} has no run of {baseline}; it has {', '.join(results.systems)}")
    judged = results.values("Judged@10")
    cells = {}
    values = {name: values for name, values in results.values(measure).items() if name in results.systems}
    for name, row in against_baseline(values, baseline, ["randomisation"])[0].iterrows():
        cell = f"{row['mean']:.4f}"
        if name != baseline:
            change = 100 * row["difference"] / mean(values[baseline])
            p, adjusted = (p_text(row[column]) for column in ("p randomisation", "Holm randomisation"))
            cell += f", {change:+.1f} %, p {p} ({adjusted})"
        cells[results.labels[str(name)]] = f"{cell}; {mean(judged[str(name)]):.3f}"
    return cells


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("collections", nargs="+", metavar="COLLECTION")
    parser.add_argument("--baseline", required=True, metavar="SYSTEM")
    parser.add_argument("--measure", default="nDCG@10")
    options = parser.parse_args()
    columns = {}
    for name in options.collections:
        results = Results(*saved_profile(Workspace.default(), name))
        columns[name] = column(results, options.baseline, options.measure)
    print(markdown(pd.DataFrame(columns).fillna("")), end="")


if __name__ == "__main__":
    command_line.run(main)
