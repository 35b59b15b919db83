"""Effectiveness vs cost: the mean of each system, its latency by step, memory, build time, and money per query."""

from collections.abc import Iterable, Iterator, Mapping

import pandas as pd

from core.evaluation.comparison_tables import BASELINE_COLUMNS, BUILD_TIME, INDEX_SIZE, LATENCY
from core.evaluation.table_formats import MISSING, Table, milliseconds
from core.retrieval.kinds import KINDS
from core.workspace.artifacts import Manifest
from core.workspace.models import find_model
from core.workspace.profile import EXACT, Profile, SystemSettings
from core.workspace.workspace import CollectionFolder

P95 = "Latency, p95 (ms)"
MEMORY, PRICE, OPTIMAL = "Memory with models (MB)", "Cost of a million queries", "Pareto-optimal"
STEPS = {"encode": "Encode (ms)", "search": "Search (ms)", "fuse": "Fuse (ms)", "rerank": "Re-rank (ms)"}
"""Steps of a query -> their columns, the median of each."""
MILLION_PER_HOUR = 1e6 / 1000 / 3600
"""Hours that a million queries of one millisecond take."""


def cost_rows(
    means: pd.DataFrame, profile: Profile, folder: CollectionFolder, manifests: Mapping[str, Manifest], price: float
) -> pd.DataFrame:
    """Return one row per system: its mean with interval, latencies, size, build time and price.

    A cost that is unknown is NaN; percentiles and steps that no run has recorded, and the price if it is 0, have no
    column. A fusion or a re-ranker has the costs of what it builds on.

    Args:
        means: a table indexed by system with columns mean, low, high.
        manifests: manifests keyed by the artifact's place.
        price: of a machine per hour, on which a million queries are answered one after the other.
    """
    by_name = {system.name: system for system in profile.system}
    rows: dict[str, dict[str, float | None]] = {}
    for name in map(str, means.index):
        facts = manifests[f"runs/{name}"].facts if f"runs/{name}" in manifests else {}
        every = [*profile.built_on(by_name[name]), by_name[name]]
        parts = {key: costs for system in every for key, costs in _artifacts(folder, system, manifests)}
        index = _total(size for size, _ in parts.values())
        models = {system.model: _model_bytes(folder, system.model) for system in every if system.model}
        rows[name] = {LATENCY: facts.get("median_milliseconds"), P95: facts.get("p95_milliseconds")}
        rows[name] |= {column: facts.get("step_milliseconds", {}).get(step) for step, column in STEPS.items()}
        rows[name] |= {INDEX_SIZE: index, MEMORY: _total([index, *models.values()])}
        rows[name][BUILD_TIME] = _total(seconds for _, seconds in parts.values())
    costs = pd.DataFrame.from_dict(rows, orient="index", dtype=float)
    costs[[INDEX_SIZE, MEMORY]] /= 1e6
    if price:
        costs[PRICE] = costs[LATENCY] * MILLION_PER_HOUR * price
    costs = costs.drop(columns=[column for column in (P95, *STEPS.values()) if costs[column].isna().all()])
    table = means[["mean", "low", "high"]].join(costs)
    return table.assign(**{OPTIMAL: table.index.isin(front(table, LATENCY).index)})


def _artifacts(
    folder: CollectionFolder, system: SystemSettings, manifests: Mapping[str, Manifest]
) -> Iterator[tuple[str, tuple[float | None, float | None]]]:
    """Yield what a system searches: a key, its bytes in memory or of its files, and the seconds that it took to make.

    Vectors count where they are searched exactly; the bytes of an index include those that it needs.
    """
    for artifact in KINDS[system.kind].searched(folder, system).values():
        place = folder.place(artifact)
        if place.startswith("runs/"):
            continue
        if (manifest := manifests.get(place)) is None:
            yield place, (None, None)
            continue
        size: float = manifest.facts.get("memory_bytes") or sum(file["bytes"] for file in manifest.files.values())
        if system.kind == "dense" and place.startswith("vectors/"):
            share = (system.dimensions or 1) / (manifest.facts["dimension"] if system.dimensions else 1)
            size = size * share if system.backend.kind == EXACT else 0.0
        yield f"{place} {system.dimensions} {system.backend.kind}", (size, manifest.seconds)


def _model_bytes(folder: CollectionFolder, name: str) -> float | None:
    """Return the bytes of a model's weights, None if it is not on this machine."""
    model = find_model(folder.workspace, name)
    return float(sum(file.stat().st_size for file in model.rglob("*.safetensors"))) if model else None


def _total(values: Iterable[float | None]) -> float | None:
    """Return the sum, None if there is nothing or a value is unknown."""
    known = list(values)
    return None if not known or None in known else sum(value for value in known if value is not None)


def front(rows: pd.DataFrame, cost: str) -> pd.DataFrame:
    """Return the Pareto-optimal systems, cheapest first: no other is as good and costs less, or is better at that cost.

    Args:
        rows: columns mean and `cost`; a system whose cost is unknown is left out.
    """
    ordered = rows.dropna(subset=[cost]).sort_values([cost, "mean"], ascending=[True, False])
    return ordered[ordered["mean"] > ordered["mean"].cummax().shift().fillna(-1.0)]


def cost_table(rows: pd.DataFrame, labels: Mapping[str, str], measure: str) -> Table:
    """Return the table of effectiveness and cost.

    Args:
        rows: from `cost_rows`.
    """
    table = rows.rename(index=labels, columns=BASELINE_COLUMNS)
    table[OPTIMAL] = table[OPTIMAL].map({True: "yes", False: ""})
    times = [column for column in (LATENCY, P95, *STEPS.values()) if column in table]
    readable = {name: [MISSING if pd.isna(one) else milliseconds(one, "") for one in table[name]] for name in times}
    return Table(table, f"{measure}: effectiveness vs cost", table.assign(**readable))
