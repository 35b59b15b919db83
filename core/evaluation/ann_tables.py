"""What the sweeps of `core.ann` say: tables in, tables out."""

import numpy as np
import pandas as pd

MATCHED = (0.90, 0.95, 0.99)
"""The values of recall@10 at which indexes are compared."""


def frontier(sweep: pd.DataFrame, speed: str = "p50_ms") -> pd.DataFrame:
    """Return the rows that no other row beats in both recall@10 and speed, the fastest first.

    Args:
        sweep: rows of one collection size; columns recall@10 and `speed`.
        speed: p50_ms, where less is faster, or queries_per_second, where more is.
    """
    ordered = sweep.sort_values([speed, "recall@10"], ascending=[speed == "p50_ms", False], ignore_index=True)
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


def speed_ups(sweeps: pd.DataFrame) -> pd.DataFrame:
    """Return each index's speed-up over exact search, NaN where it does not reach the recall.

    Index: index; columns: (documents, recall@10), every size with every recall of `MATCHED`.

    Args:
        sweeps: as of `growth`.
    """
    columns = {
        (size, recall): at_recall(rows, recall).set_index("index")["speed-up"]
        for size, rows in sweeps.groupby("documents")
        for recall in MATCHED
    }
    return pd.DataFrame(columns).drop(index="exact")


def crossings(grown: pd.DataFrame) -> pd.DataFrame:
    """Return from which collection size on each index is faster than exact search, by lines through the logarithms.

    Index: index, those alone that were measured at two sizes or more; columns: documents, 0 where it is faster at every
    size, infinite where it is slower at the largest; p50_ms, exact search's there, NaN where there is no such size.

    Args:
        grown: the table of `growth`.
    """
    table = grown.pivot_table(index="documents", columns="index", values="p50_ms", sort=False).sort_index()
    found = {}
    for kind in table.columns.drop("exact"):
        both = np.log(table[["exact", kind]].dropna())
        if len(both) < 2:
            continue
        sizes, exact = np.log(both.index.to_numpy(dtype=float)), both["exact"].to_numpy()
        behind = both[kind].to_numpy() - exact  # above 0: slower than exact search
        slower = np.flatnonzero(behind > 0)
        if not len(slower) or slower[-1] == len(behind) - 1:
            found[kind] = (np.inf if len(slower) else 0.0, np.nan)
            continue
        last = slice(slower[-1], slower[-1] + 2)
        size = np.interp(0, -behind[last], sizes[last])
        found[kind] = (float(np.exp(size)), float(np.exp(np.interp(size, sizes, exact))))
    return pd.DataFrame.from_dict(found, orient="index", columns=["documents", "p50_ms"])
