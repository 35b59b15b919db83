"""What the sweeps of `core.ann` say: tables in, tables out."""

import numpy as np
import pandas as pd

MATCHED = (0.90, 0.95, 0.99)
"""The values of recall@10 at which indexes are compared."""


def frontier(sweep: pd.DataFrame) -> pd.DataFrame:
    """Return the rows that no other row beats in both recall@10 and median latency, the fastest first.

    Args:
        sweep: rows of one collection size; columns recall@10 and p50_ms.
    """
    ordered = sweep.sort_values(["p50_ms", "recall@10"], ascending=[True, False], ignore_index=True)
    best_before = ordered["recall@10"].cummax().shift(fill_value=-np.inf)
    return ordered[ordered["recall@10"] > best_before].reset_index(drop=True)


def at_recall(sweep: pd.DataFrame, recall: float) -> pd.DataFrame:
    """Return, for each index, its fastest row that reaches a recall@10, with its speed-up over exact search.

    Indexes that do not reach it have a row with their index alone. Exact search comes first.

    Args:
        sweep: rows of one collection size, exact search among them.
    """
    exact = sweep[sweep["index"] == "exact"].iloc[0]
    rows = []
    for kind in dict.fromkeys(sweep["index"]):
        reached = sweep[(sweep["index"] == kind) & (sweep["recall@10"] >= recall)]
        if reached.empty:
            rows.append({"index": kind})
            continue
        best = reached.sort_values("p50_ms").iloc[0].to_dict()
        best["speed-up"] = exact["p50_ms"] / best["p50_ms"]
        best["batch_speed-up"] = best["queries_per_second"] / exact["queries_per_second"]
        rows.append(best)
    return pd.DataFrame(rows)


def growth(sweeps: pd.DataFrame, recall: float) -> pd.DataFrame:
    """Return the median latency of each index at a recall@10 for every size: columns index, documents, p50_ms.

    Args:
        sweeps: sweeps of several sizes, told apart by the column "documents".
    """
    tables = [at_recall(rows, recall).assign(documents=size) for size, rows in sweeps.groupby("documents")]
    return pd.concat(tables, ignore_index=True).dropna(subset=["p50_ms"])


def crossing(grown: pd.DataFrame, kind: str) -> float | None:
    """Return the collection size from which an index is faster than exact search, by lines through the logarithms.

    None where it is faster at every size measured, or at none, or where fewer than two sizes were.

    Args:
        grown: the table of `growth`.
    """
    table = grown.pivot_table(index="documents", columns="index", values="p50_ms")
    if kind not in table or len(table.dropna(subset=[kind, "exact"])) < 2:
        return None
    both = table.dropna(subset=[kind, "exact"])
    ahead = np.log(both[kind] / both["exact"]).to_numpy()  # below 0: faster than exact search
    sizes = np.log(both.index.to_numpy(dtype=float))
    for i in range(1, len(ahead)):
        if ahead[i - 1] > 0 >= ahead[i]:
            return float(np.exp(np.interp(0, [-ahead[i - 1], -ahead[i]], [sizes[i - 1], sizes[i]])))
    return None
