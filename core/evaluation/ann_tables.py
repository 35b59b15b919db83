"""Tables of ANN sweeps: Pareto-optimal settings, speed-ups at a target recall, scaling with the collection's size.

Sweeps are tables of `core.evaluation.sweep_rows.as_table`.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from core.evaluation.significance import equivalence
from core.evaluation.table_formats import Table
from core.evaluation.verdicts import equivalence_sentence, p_text
from core.indexes.registry import GRAPHS, LABELS, PARAMETER_LABELS
from core.workspace.artifacts import Manifest
from core.workspace.errors import UserError

MATCHED = (0.90, 0.95, 0.99)
"""The values of recall@10 at which indexes are compared."""
COSTS = {
    "p50_ms": "latency, median (ms)",
    "queries_per_second": "throughput (queries/s, batch, one thread)",
}
"""Cost axes and their labels."""
SHOWN = {
    "parameters": "build parameters",
    "parameter": "search parameter",
    "value": "setting",
    "recall": "recall@10",
    "speed_up": "speed-up",
    "batch_speed_up": "batch speed-up",
    "ndcg": "nDCG@10",
    "ndcg_difference": "nDCG@10 vs exact",
    "p50_ms": "latency, median (ms)",
    "p95_ms": "latency, p95 (ms)",
    "p99_ms": "latency, p99 (ms)",
    "queries_per_second": "queries/s",
    "megabytes": "index size (MB)",
    "disk_megabytes": "index file (MB)",
    "build_seconds": "build time (s)",
}
"""Columns of the tables that are shown, by name."""


def frontier(sweep: pd.DataFrame, speed: str = "p50_ms") -> pd.DataFrame:
    """Return the Pareto-optimal rows, fastest first: those that no other row beats in both recall@10 and speed.

    Args:
        sweep: rows of one collection size; columns recall and `speed`.
        speed: p50_ms, where less is faster, or queries_per_second, where more is.
    """
    ordered = sweep.sort_values([speed, "recall"], ascending=[speed == "p50_ms", False], ignore_index=True)
    best_before = ordered["recall"].cummax().shift().fillna(-np.inf)
    return ordered[ordered["recall"] > best_before].reset_index(drop=True)


def one_graph(sweeps: pd.DataFrame) -> pd.DataFrame:
    """Return the rows without those of all implementations of HNSW but the first that was measured."""
    measured = set(sweeps["index"])
    others = [kind for kind in GRAPHS if kind in measured][1:]
    return sweeps[~sweeps["index"].isin(others)].reset_index(drop=True)


def at_recall(sweep: pd.DataFrame, recall: float) -> pd.DataFrame:
    """Return, for each index, its fastest row that reaches a recall@10, with its speed-up over exact search.

    For an index that does not reach it, all other cells are empty. Exact search comes first.

    Args:
        sweep: rows of one collection size, exact search among them.
    """
    exact = sweep[sweep["index"] == "exact"].iloc[0]
    rows = []
    for kind in dict.fromkeys(sweep["index"]):
        reached = sweep[(sweep["index"] == kind) & (sweep["recall"] >= recall)]
        if reached.empty:
            rows.append({"index": kind})
            continue
        best = reached.sort_values("p50_ms").iloc[0].to_dict()
        best["speed_up"] = exact["p50_ms"] / best["p50_ms"]
        best["batch_speed_up"] = best["queries_per_second"] / exact["queries_per_second"]
        rows.append(best)
    return pd.DataFrame(rows)


def growth(sweeps: pd.DataFrame, recall: float) -> pd.DataFrame:
    """Return the median latency of each index at a recall@10 for every size: columns index, documents, p50_ms.

    Args:
        sweeps: sweeps of several sizes, distinguished by the column "documents".
    """
    columns = ["index", "p50_ms"]
    tables = [at_recall(rows, recall)[columns].assign(documents=size) for size, rows in sweeps.groupby("documents")]
    return pd.concat(tables, ignore_index=True).dropna(subset=["p50_ms"])


def speed_ups(sweeps: pd.DataFrame) -> pd.DataFrame:
    """Return each index's speed-up over exact search, NaN if it does not reach the recall.

    Index: index; columns: (documents, recall@10), every size with every recall of `MATCHED`.

    Args:
        sweeps: as in `growth`.
    """
    columns = {
        (size, recall): at_recall(rows, recall).set_index("index")["speed_up"]
        for size, rows in sweeps.groupby("documents")
        for recall in MATCHED
    }
    return pd.DataFrame(columns).reindex(dict.fromkeys(sweeps["index"])).drop(index="exact")


def crossings(grown: pd.DataFrame) -> pd.DataFrame:
    """Return the collection size from which each index is faster than exact search, by log-log interpolation.

    Index: the indexes measured at two sizes or more; columns: documents, 0 if the index is faster at every size and
    infinite if it is slower at the largest; p50_ms, the latency of exact search at that size, NaN if there is none.

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


def size_label(size: int, own: int) -> str:
    """Return whether the vectors of a size are simulated or sampled, given a collection of `own` documents."""
    if size == own:
        return "all vectors"
    return "simulated" if size > own else "random sample"


def setting_text(row: Mapping[str, Any] | pd.Series, before: str = "") -> str:
    """Return a row's search parameter and its value, such as "ef 40", after `before`; "" if it has none."""
    if pd.isna(row["value"]):
        return ""
    return f"{before}{PARAMETER_LABELS.get(row['parameter'], row['parameter'])} {row['value']:.0f}"


def pays_from(size: float) -> str:
    """Return in words the collection size from which an index is faster than exact search; see `crossings`."""
    if size == 0:
        return "at every measured size"
    if math.isinf(size):
        return "not up to the largest measured size"
    return f"from about {float(f'{size:.2g}'):,.0f} documents"


def sweep_table(sweep: pd.DataFrame, about: str) -> Table:
    """Return all measurements of a sweep at one size.

    Args:
        about: the collection, system and size, for the caption.
    """
    names = (
        "parameters parameter value recall recall_deep ndcg ndcg_difference p50_ms p95_ms p99_ms queries_per_second "
        "megabytes disk_megabytes build_seconds"
    )
    return Table(_shown(sweep, sweep, names), f"{about}: all measurements")


def matched_table(sweep: pd.DataFrame, recall: float, about: str) -> Table:
    """Return each index at its fastest setting that reaches a recall@10, at one size."""
    names = "parameter value recall speed_up p50_ms batch_speed_up ndcg_difference megabytes build_seconds"
    table = _shown(at_recall(sweep, recall), sweep, names)
    return Table(table, f"{about}: each index at its fastest setting with recall@10 of at least {recall:.2f}")


def frontier_table(sweep: pd.DataFrame, cost: str, about: str) -> Table:
    """Return the Pareto-optimal settings of recall@10 and a cost, at one size."""
    table = _shown(frontier(sweep, cost), sweep, f"parameter value recall {cost} ndcg_difference megabytes")
    return Table(table, f"{about}: Pareto-optimal settings of recall@10 and {COSTS[cost]}")


def _shown(table: pd.DataFrame, sweep: pd.DataFrame, names: str) -> pd.DataFrame:
    """Return the named columns of a sweep's table under their display names, without empty columns.

    Args:
        sweep: the whole sweep at one size, exact search first.
    """
    table = table.assign(megabytes=table["bytes"] / 1e6, disk_megabytes=table["disk_bytes"] / 1e6)
    table["ndcg_difference"] = table["ndcg"] - sweep["ndcg"].iloc[0]
    table["parameters"] = [_parameters(build) for build in table["build"]]
    table["parameter"] = table["parameter"].map(lambda name: PARAMETER_LABELS.get(name, name), na_action="ignore")
    table["value"] = _whole(table["value"])
    labels = SHOWN | {"recall_deep": f"recall@{sweep['deep'].iloc[0]:.0f}" if sweep["deep"].notna().any() else ""}
    kept = [name for name in names.split() if name == "value" or table[name].notna().any()]
    return table.set_index(_labelled(table["index"]))[kept].rename(columns=labels)


def _whole(values: pd.Series) -> pd.Series:
    """Return values as integers, None where missing."""
    return pd.Series([None if pd.isna(value) else int(value) for value in values], index=values.index, dtype=object)


def _parameters(build: Any) -> str:
    pairs = build.items() if isinstance(build, dict) else ()
    return ", ".join(f"{PARAMETER_LABELS.get(name, name)} = {value}" for name, value in pairs)


def _labelled(kinds: pd.Index | pd.Series) -> pd.Index:
    return pd.Index([LABELS.get(str(kind), str(kind)) for kind in kinds], name="index")


def growth_table(sweeps: pd.DataFrame, recall: float, about: str) -> Table:
    """Return the median latency (ms) of each index at a recall@10, a column for each collection size."""
    grown = growth(sweeps, recall)
    table = grown.pivot_table(index="index", columns="documents", values="p50_ms", sort=False)
    table = table[sorted(table.columns)].set_axis(_labelled(table.index))
    table.columns = pd.Index([f"{size:,} documents" for size in table.columns])
    return Table(table, f"{about}: median latency (ms) at recall@10 of at least {recall:.2f}")


def speed_ups_table(sweeps: pd.DataFrame, about: str) -> Table:
    """Return the speed-up of each index over exact search, a column for each collection size and recall@10."""
    table = speed_ups(sweeps)
    table = table.set_axis(_labelled(table.index))
    table.columns = pd.Index([f"{size:,} at {level:.2f}" for size, level in table.columns])
    return Table(table, f"{about}: median latency of exact search over that of each index, by documents and recall@10")


def crossings_table(sweeps: pd.DataFrame, recall: float, about: str) -> Table:
    """Return the collection size from which each index is faster than exact search at a recall@10."""
    table = crossings(growth(sweeps, recall))
    table = table.set_axis(_labelled(table.index)).rename(columns={"documents": "faster than exact search"})
    table = table.rename(columns={"p50_ms": "latency there, median (ms)"})
    readable = table.assign(**{"faster than exact search": table["faster than exact search"].map(pays_from)})
    return Table(table, f"{about}: crossing points at recall@10 of at least {recall:.2f}", readable)


def equivalence_table(sweep: pd.DataFrame, topics: Sequence[str], margin: float, about: str) -> Table:
    """Return whether each setting equals exact search in nDCG@10 within a margin (two one-sided paired t-tests).

    Args:
        sweep: the rows of one size, exact search first.
        topics: the judged topics.

    Raises:
        UserError: if the sweep does not have the differences by topic.
    """
    rows, sentences = [], []
    none = dict.fromkeys(topics, 0.0)
    for row in sweep.iloc[1:].to_dict("records"):
        differences = row["differences"]
        if not isinstance(differences, dict):
            raise UserError("the sweep was measured before differences by topic were recorded; measure it again")
        found = equivalence(none | differences, none, margin)
        name = LABELS.get(row["index"], row["index"])
        interval = found.interval or (None, None)
        equivalent = "yes" if found.equivalent else "no"
        rows.append((name, setting_text(row), equivalent, row["recall"], found.difference, *interval, found.p))
        if not found.equivalent:
            sentences.append(equivalence_sentence(f"{name}{setting_text(row, ', ')}", "exact search", "nDCG@10", found))
    columns = ["index", "setting", "equivalent", "recall@10", "nDCG@10 vs exact"]
    bounds = ["90 % CI, lower bound", "90 % CI, upper bound"]
    table = pd.DataFrame(rows, columns=[*columns, *bounds, "p, TOST"]).set_index("index")
    shown = table.assign(**{"p, TOST": [p_text(p) for p in table["p, TOST"]]})
    equal = int((table["equivalent"] == "yes").sum())
    said = (
        f"{equal} of {len(table)} settings equal exact search within {margin:g} nDCG@10 (TOST, {len(topics)} topics)."
    )
    caption = f"{about}: equivalence with exact search within {margin:g} nDCG@10 (two one-sided paired t-tests)"
    return Table(table, caption, shown, [said], sentences)


def missed_table(sweep: pd.DataFrame, queries: Mapping[str, str], about: str) -> Table:
    """Return the relevant documents in the top 10 of exact search that each setting misses, topic by topic.

    A document is not missed if another one of the same similarity was found in its place.

    Args:
        sweep: of the collection itself, with its judgments.
        queries: topic -> its query.
    """
    rows, at_highest = [], {}
    for kind, parameter, value, missed in sweep[["index", "parameter", "value", "missed"]].itertuples(index=False):
        name = LABELS.get(str(kind), str(kind))
        by_topic = missed if isinstance(missed, dict) else {}
        at_highest[name] = list(by_topic)  # the last row of an index has its highest setting
        shown = PARAMETER_LABELS.get(parameter, parameter) if isinstance(parameter, str) else None
        rows += [(name, shown, value, t, queries.get(t, ""), ", ".join(found)) for t, found in by_topic.items()]
    columns = ["index", "search parameter", "setting", "topic", "query", "missed documents"]
    table = pd.DataFrame(rows, columns=columns).astype({"topic": str, "query": str}).set_index("index")
    table["setting"] = _whole(table["setting"])
    still = {name: topics for name, topics in at_highest.items() if topics}
    listed = "; ".join(f"{name}: topics {', '.join(topics)}" for name, topics in still.items())
    sentence = (
        f"Still missed at the highest setting: {listed}."
        if still
        else "At its highest setting no index misses a relevant document of the exact top 10, on any topic."
    )
    return Table(table, f"{about}: relevant documents missed by ANN", sentences=(sentence,))


def similarities_table(figures: Mapping[str, Mapping[str, float]], about: str) -> Table:
    """Return the effectiveness of exact search by cosine and by dot product.

    Args:
        figures: system -> the figures recorded by its sweep, see `core.evaluation.ann_sweep.compare_similarities`.
    """
    columns = {"first ten in common": "overlap of the top 10"}
    table = pd.DataFrame.from_dict({label: dict(row) for label, row in figures.items()}, orient="index")
    return Table(table.rename(columns=columns).rename_axis("system"), f"{about}: cosine and dot product, exact search")


def sizes_table(manifests: Sequence[Manifest], about: str) -> Table:
    """Return the collection sizes that were measured.

    Args:
        manifests: the manifests of a system's sweeps, that of the collection itself first, or of reference sweeps.
    """
    rows = [manifest.facts for manifest in manifests]
    table = pd.DataFrame(
        {
            "documents": [facts["documents"] for facts in rows],
            "vectors": [facts.get("vectors") or size_label(facts["documents"], rows[0]["documents"]) for facts in rows],
            "distinct vectors": [facts.get("distinct_vectors") for facts in rows],
            "intrinsic dimension": [facts.get("intrinsic_dimension") for facts in rows],
            "queries": [facts["queries"] for facts in rows],
            "measured": [manifest.facts.get("measured", manifest.finished) for manifest in manifests],
        }
    )
    table["distinct vectors"] = _whole(table["distinct vectors"])
    return Table(table.set_index("documents"), f"{about}: collection sizes that were measured")
