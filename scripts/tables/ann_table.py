#!/usr/bin/env python3
"""Print the indexes at matched recall, for every measured size, as Markdown.

python scripts/tables/ann_table.py --collection trec-covid-subset/ --system all-MiniLM-L6-v2
"""

import argparse
import math
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import pandas as pd

from core.evaluation.ann_sweep import read_growth
from core.evaluation.ann_tables import MATCHED, at_recall, crossings, growth
from core.evaluation.table_formats import markdown
from core.indexes.registry import LABELS, PARAMETER_LABELS
from core.workspace import command_line

COLUMNS = ["index", *(f"{recall:.2f}" for recall in MATCHED), "best recall@10", "build time (s)", "index size (MB)"]


def matched(sweep: pd.DataFrame) -> pd.DataFrame:
    """Return a row for each index: speed-up over exact search at each recall and its setting; see `COLUMNS`."""
    best = {recall: at_recall(sweep, recall).set_index("index") for recall in MATCHED}
    rows = []
    for kind, own in sweep.groupby("index", sort=False):
        cells = [LABELS[str(kind)]]
        for table in best.values():
            row = table.loc[str(kind)]
            parameter = PARAMETER_LABELS.get(row["parameter"], row["parameter"])
            setting = f" ({parameter} {row['value']:.0f})" if pd.notna(row["value"]) else ""
            cells.append("–" if pd.isna(row["p50_ms"]) else f"{row['speed_up']:.1f} x, {row['p50_ms']:.2f} ms{setting}")
        cells += [f"{own['recall'].max():.4f}", f"{own['build_seconds'].iloc[0]:,.3g}"]
        rows.append([*cells, f"{own['bytes'].iloc[0] / 1e6:,.0f}"])
    return pd.DataFrame(rows, columns=COLUMNS)


def main() -> None:
    """Print one table per size, and the size from which each index is faster than exact search."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    command_line.add_profile_options(parser)
    parser.add_argument("--system", required=True)
    options = parser.parse_args()
    _, folder = command_line.profile_and_folder(options)
    sweeps = read_growth(folder, options.system)
    for size, sweep in sweeps.groupby("documents"):
        print(f"\n{size:,} documents\n\n{markdown(matched(sweep).set_index(COLUMNS[0]))}")
    for recall in MATCHED:
        sizes = crossings(growth(sweeps, recall))["documents"]
        found = [f"{LABELS[kind]} {size:,.0f}" for kind, size in sizes.items() if 0 < size < math.inf]
        print(
            f"\nFaster than exact search at recall@10 {recall} from (documents): {', '.join(found) or 'none crosses'}"
        )


if __name__ == "__main__":
    command_line.run(main)
