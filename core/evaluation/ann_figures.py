"""The figures of the Exact vs ANN page: functions that compute a table from a collection's results.

`python -m core.compare` prints them; the page makes the same tables with `core.evaluation.ann_tables`.
"""

from contextlib import suppress

import pandas as pd

from core.evaluation import ann_tables
from core.evaluation.ann_answer import (
    OWN,
    REFERENCE,
    Sweeps,
    answer,
    answer_table,
    conclusion,
    own_sweeps,
    shipped_sweeps,
)
from core.evaluation.ann_sweep import SWEEP, measured_sweeps, read_sweep, sweeps_of
from core.evaluation.results import Results, older
from core.evaluation.table_formats import Table
from core.workspace.artifacts import open_artifact, read_manifest
from core.workspace.errors import UserError
from core.workspace.profile import Profile
from core.workspace.timing import OLDER_TIMING, is_comparable
from core.workspace.workspace import CollectionFolder


def ann_answer(
    results: Results, system: str = "", size: int = 0, recall: float = 0.95, source: str = OWN, graphs: str = "one"
) -> Table:
    """Exact search and the fastest index at a collection size and recall@10, and up to which size exact is enough."""
    sweeps = _sweeps(results, system, source)
    size = size or next(iter(sweeps.manifests))
    at_size(sweeps.table, size)
    known = sweeps if len(sweeps.sizes) > 1 else shipped_sweeps()
    sentence = conclusion(known, recall, graphs == "all")
    return answer_table(answer(sweeps, size, recall, graphs == "all"), sentence, _about(results, system, source, size))


def ann_sweep(results: Results, system: str = "", size: int = 0, source: str = OWN) -> Table:
    """All measurements of a dense system's ANN sweep at one collection size."""
    sweep, about = _of_size(results, system, size, source)
    return ann_tables.sweep_table(sweep, about)


def ann_at_recall(results: Results, system: str = "", size: int = 0, recall: float = 0.95, source: str = OWN) -> Table:
    """Each index at its fastest setting that reaches a recall@10, with its speed-up over exact search."""
    sweep, about = _of_size(results, system, size, source)
    return ann_tables.matched_table(sweep, recall, about)


def ann_pareto(results: Results, system: str = "", size: int = 0, cost: str = "p50_ms", source: str = OWN) -> Table:
    """The Pareto-optimal settings of recall@10 and latency or throughput."""
    sweep, about = _of_size(results, system, size, source)
    return ann_tables.frontier_table(sweep, cost, about)


def ann_latency(results: Results, system: str = "", recall: float = 0.95, source: str = OWN) -> Table:
    """The median latency of each index at a recall@10, by collection size."""
    sweeps = _sweeps(results, system, source).table
    return ann_tables.growth_table(sweeps, recall, _about(results, system, source))


def ann_speed_ups(results: Results, system: str = "", source: str = OWN) -> Table:
    """The speed-up of each index over exact search, by collection size and recall@10."""
    return ann_tables.speed_ups_table(_sweeps(results, system, source).table, _about(results, system, source))


def ann_crossings(results: Results, system: str = "", recall: float = 0.95, source: str = OWN) -> Table:
    """The collection size from which each index is faster than exact search at a recall@10."""
    sweeps = _sweeps(results, system, source).table
    return ann_tables.crossings_table(sweeps, recall, _about(results, system, source))


def ann_missed(results: Results, system: str = "") -> Table:
    """The relevant documents in the top 10 of exact search that each index misses, by topic."""
    system = dense_system(results, system)
    queries = {name: topic.query for name, topic in results.topics.items()}
    return ann_tables.missed_table(read_sweep(results.folder, system), queries, caption(results.folder, system))


def ann_equivalence(results: Results, system: str = "", margin: float = 0.01) -> Table:
    """Equivalence of each index with exact search in nDCG@10 within a margin: two one-sided paired t-tests (TOST)."""
    system = dense_system(results, system)
    sweep = read_sweep(results.folder, system)
    about = caption(results.folder, system)
    return ann_tables.equivalence_table(sweep, list(results.qrels), margin, about)


def ann_similarities(results: Results) -> Table:
    """The nDCG@10 of exact search by cosine and by dot product, of every dense system with a sweep."""
    figures = {}
    for system in measured_systems(results.folder, results.profile):
        recorded = open_artifact(results.folder.sweep(system), SWEEP).facts.get("similarities")
        if recorded:
            figures[results.labels[system]] = recorded
    return ann_tables.similarities_table(figures, results.folder.name)


def ann_sizes(results: Results, system: str = "", source: str = OWN) -> Table:
    """The collection sizes at which indexes were measured."""
    manifests = list(_sweeps(results, system, source).manifests.values())
    return ann_tables.sizes_table(manifests, _about(results, system, source))


def measured_systems(folder: CollectionFolder, profile: Profile) -> list[str]:
    """Return the systems with a sweep of the collection itself."""
    return [system.name for system in profile.system if folder.sweep(system.name).path.is_dir()]


def dense_system(results: Results, system: str) -> str:
    """Return the named dense system, by default the first with a sweep, or else the first.

    Raises:
        UserError: if there is no such dense system.
    """
    dense = results.profile.encoded
    if not dense:
        raise UserError(f"{results.folder.name} has no dense system, and approximate search needs vectors")
    if system and system not in dense:
        raise UserError(f"{results.folder.name} has no dense system {system}; it has {', '.join(dense)}")
    measured = measured_systems(results.folder, results.profile)
    return system or next((name for name in dense if name in measured), dense[0])


def caption(folder: CollectionFolder, system: str, size: int = 0) -> str:
    """Return the beginning of a caption: collection, system and, if given, the number of documents."""
    return f"{folder.name}, {system}" + (f", {size:,} documents" if size else "")


def at_size(sweeps: pd.DataFrame, size: int) -> pd.DataFrame:
    """Return the rows of one collection size.

    Raises:
        UserError: if the size was not measured.
    """
    sweep = sweeps[sweeps["documents"] == size].reset_index(drop=True)
    if sweep.empty:
        measured = ", ".join(str(size) for size in dict.fromkeys(sweeps["documents"]))
        raise UserError(f"no sweep of {size} documents was measured; choose one of {measured}")
    return sweep


def sweep_notices(folder: CollectionFolder, profile: Profile) -> list[str]:
    """Return warnings about sweeps that are older than their inputs or were timed by an older procedure.

    Each is a sentence with the command that helps. Damaged sweeps are left to what reads them.
    """
    systems = measured_systems(folder, profile)
    said = older(folder, {place: f"the sweep {place}" for name in systems for place in measured_sweeps(folder, name)})
    for target in (target for name in systems for target in sweeps_of(folder, name)):
        with suppress(UserError):
            if not is_comparable(read_manifest(target).settings):
                said.append(f"{target.shown}: {OLDER_TIMING}; measure again with {target.command}")
    return said


def reference_caption(size: int = 0) -> str:
    """Return the beginning of a caption of reference sweeps."""
    return "reference sweeps" + (f", {size:,} documents" if size else "")


def _about(results: Results, system: str, source: str, size: int = 0) -> str:
    if source == REFERENCE:
        return reference_caption(size)
    return caption(results.folder, dense_system(results, system), size)


def _sweeps(results: Results, system: str, source: str, simulated: bool = True) -> Sweeps:
    if source == REFERENCE:
        return shipped_sweeps()
    return own_sweeps(results.folder, dense_system(results, system), simulated)


def _of_size(results: Results, system: str, size: int, source: str) -> tuple[pd.DataFrame, str]:
    """Return the sweep at one size, by default that of the collection, and the beginning of its caption."""
    sweeps = _sweeps(results, system, source, bool(size)).table
    size = size or int(sweeps["documents"].iloc[0])
    return at_size(sweeps, size), _about(results, system, source, size)
