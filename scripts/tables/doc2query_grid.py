#!/usr/bin/env python3
"""Print BM25's nDCG@10 by the number of predicted queries, from none to 40, and by k of their top-k sampling.

    python scripts/tables/doc2query_grid.py --collection scifact --split train --name scifact-train
    python scripts/tables/doc2query_grid.py --collection scifact --split train --name scifact-train --most 20

k = 1 is greedy decoding, which has one query. The T5 of the profile must have been trained (`python -m core.doc2query
train`). Each k is a collection of its own, NAME-kK. A grid that was interrupted resumes: finished stages are kept, and
queries that were generated are not generated again.
"""

import argparse
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import pandas as pd

from core import collection, doc2query
from core.evaluation.expansion_curve import Variant, read_curve
from core.evaluation.measures import PerTopic, mean
from core.evaluation.significance import compare
from core.workspace import command_line
from core.workspace.profile import SystemSettings
from core.workspace.stage import Build, Stage

STAGES: tuple[Stage[Any], ...] = (collection.STAGE, doc2query.GENERATE, doc2query.CURVE)
EXPANDED = SystemSettings(name="bm25-doc2query", kind="bm25", expanded=True)


def build_of(build: Build, k: int, most: int) -> Build:
    """Return the build of one k: a collection of its own, with queries of the T5, all of them indexed."""
    profile, name = build.profile, f"{build.folder.name}-k{k}"
    changed = {"source": "model", "top_k": k, "queries": most if k > 1 else 1}
    profile = profile.model_copy(
        update={
            "collection": profile.collection.model_copy(update={"name": name}),
            "doc2query": profile.doc2query.model_copy(update=changed),
            "system": [EXPANDED],
        }
    )
    return replace(build, profile=profile, folder=build.folder.workspace.collection(name))


def row_of(k: int, curve: Mapping[Variant, PerTopic]) -> dict[str, float]:
    """Return nDCG@10 by number of queries, and p of the difference of the largest number from none."""
    values = {number: by_measure["nDCG@10"] for (number, keep), by_measure in curve.items() if keep == 1}
    most = max(values)
    p = compare(values[most], values[0]).p_randomisation
    return {"k": k} | {str(number): mean(values[number]) for number in sorted(values)} | {f"p of {most}": p}


def main() -> None:
    """Make what is missing, and print the grid."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    command_line.add_profile_options(parser)
    parser.add_argument("--k", type=command_line.numbers, default=[1, 10, 18, 30], help="values of k, comma-separated")
    parser.add_argument("--most", type=int, default=40, help="queries per document (default: 40)")
    options = parser.parse_args()
    build = command_line.build_from(options)
    rows = []
    for k in options.k:
        one = build_of(build, k, options.most)
        for stage in STAGES:
            for target in stage.targets(one):
                if stage.stale(one, target):
                    stage.run(one, target)
        rows.append(row_of(k, read_curve(one.folder)))
    print(pd.DataFrame(rows).to_string(index=False, float_format="{:.4f}".format, na_rep=""))


if __name__ == "__main__":
    command_line.run(main)
