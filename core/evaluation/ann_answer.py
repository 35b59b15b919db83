"""What approximate search saves at a collection size and recall, with the encoding of the query in the account."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from core.evaluation.ann_sweep import read_growth, read_sweep, sweeps_of
from core.evaluation.ann_tables import at_recall, growth, one_graph, setting_text, size_label
from core.evaluation.reference_sweeps import COMMAND, FOLDER, SHOWN, read_references, reference_sweeps
from core.evaluation.table_formats import Table, milliseconds
from core.indexes.registry import LABELS
from core.workspace.artifacts import Manifest, read_manifest
from core.workspace.errors import UserError
from core.workspace.timing import OLDER_TIMING, is_comparable
from core.workspace.workspace import CollectionFolder

OWN, REFERENCE = "own", "reference"
SOURCES = {OWN: "this collection", REFERENCE: "reference"}
"""Whose vectors were measured, and how choices name it."""
WORTHWHILE = 0.1
"""Share of a query's latency that an index must save before it is recommended over exact search."""


@dataclass(frozen=True)
class Sweeps:
    """The sweeps of one set of vectors, at one collection size or more.

    Attributes:
        source: a key of SOURCES.
        table: their rows, see `core.evaluation.sweep_rows.as_table`.
        manifests: of the sweeps, by number of documents.
        encoding: median time to encode a query, in milliseconds; None if unknown.
    """

    source: str
    table: pd.DataFrame
    manifests: Mapping[int, Manifest]
    encoding: float | None

    @property
    def sizes(self) -> list[int]:
        """The measured numbers of documents, ascending."""
        return sorted(self.manifests)

    def origin(self, size: int) -> str:
        """Return what the sweep of a size measured, where and when, as sentences."""
        manifest = self.manifests[size]
        facts, host = manifest.facts, manifest.facts.get("host", manifest.host)
        machine = f"{host.get('processor') or host.get('machine')}, {host.get('cores')} cores"
        about = f"{facts['queries']} queries, one at a time; {machine}; {facts.get('measured', manifest.finished)[:10]}"
        old = "" if is_comparable(manifest.settings) else f" The latencies were {OLDER_TIMING}."
        if self.source == REFERENCE:
            note = f"; {facts['note']}" if "note" in facts else ""
            return f"Reference sweep, not of this collection: {facts['vectors']}; {about}{note}.{old}"
        own = next(iter(self.manifests))
        vectors = "" if size == own else f" ({size_label(size, own)})"
        return f"Measured on {size:,} vectors of this collection{vectors}: {about}.{old}"


def own_sweeps(folder: CollectionFolder, system: str, simulated: bool = True) -> Sweeps:
    """Return the sweeps of a collection's dense system.

    The encoding time is the median latency of the system's run less that of exact search.

    Args:
        simulated: whether to read those of other sizes, too.

    Raises:
        UserError: if a sweep is damaged or of an older version, or that of the collection itself is missing.
    """
    table = read_growth(folder, system) if simulated else read_sweep(folder, system)
    targets = sweeps_of(folder, system) if simulated else [folder.sweep(system)]
    manifests = {manifest.facts["documents"]: manifest for manifest in map(read_manifest, targets)}
    encoding = _encoding(folder, system, next(iter(manifests.values())), float(table["p50_ms"].iloc[0]))
    return Sweeps(OWN, table, manifests, encoding)


def _encoding(folder: CollectionFolder, system: str, sweep: Manifest, exact: float) -> float | None:
    """Return the median latency of a run less that of exact search; None if that is unknown or not comparable."""
    try:
        run = read_manifest(folder.run(system))
    except UserError:
        return None
    milliseconds = run.facts.get("median_milliseconds")
    if (
        milliseconds is None
        or milliseconds < exact
        or not (is_comparable(run.settings) and is_comparable(sweep.settings))
    ):
        return None
    return float(milliseconds) - exact


def shipped_sweeps() -> Sweeps:
    """Return the reference sweeps.

    Raises:
        UserError: if there are none, or one is damaged.
    """
    targets = reference_sweeps()
    if not targets:
        raise UserError(f"{SHOWN} has no sweep in {FOLDER.name}; install the project again, or make one with {COMMAND}")
    manifests = {manifest.facts["documents"]: manifest for manifest in map(read_manifest, targets)}
    known = [m.facts["encoding_milliseconds"] for m in manifests.values() if "encoding_milliseconds" in m.facts]
    return Sweeps(REFERENCE, read_references(), manifests, known[0] if known else None)


@dataclass(frozen=True)
class Answer:
    """Exact search and the fastest index at one collection size and recall.

    Attributes:
        exact: the row of exact search.
        best: the fastest row of an index that reaches the recall; None if none does.
        encoding: median time to encode a query, in milliseconds; None if unknown.
    """

    documents: int
    recall: float
    exact: pd.Series
    best: pd.Series | None
    encoding: float | None

    def end_to_end(self, row: pd.Series) -> float:
        """Return the latency of encoding and search, in milliseconds; of the search alone if encoding is unknown."""
        return float(row["p50_ms"]) + (self.encoding or 0)

    @property
    def saved(self) -> float:
        """The share of the latency of `end_to_end` that the index saves over exact search; below 0 if it is slower."""
        return 0.0 if self.best is None else 1 - self.end_to_end(self.best) / self.end_to_end(self.exact)


def answer(sweeps: Sweeps, size: int, recall: float, every_graph: bool = False) -> Answer:
    """Return what the sweep of a size says at a target recall@10.

    Args:
        every_graph: whether all implementations of HNSW compete, or one.
    """
    table = sweeps.table if every_graph else one_graph(sweeps.table)
    rows = at_recall(table[table["documents"] == size], recall)
    others = rows[rows["index"] != "exact"].dropna(subset=["p50_ms"])
    best = others.loc[others["p50_ms"].idxmin()] if len(others) else None
    return Answer(size, recall, rows.iloc[0], best, sweeps.encoding)


def worthwhile_from(grown: pd.DataFrame, encoding: float | None) -> float:
    """Return the collection size from which the fastest index saves the share WORTHWHILE of a query's latency.

    Between sizes both latencies are interpolated log-log. The result is 0 if the share is saved at every size, and
    infinite if it is not at the largest.

    Args:
        grown: the table of `core.evaluation.ann_tables.growth`.
        encoding: milliseconds to encode a query, which no index saves; None if unknown.
    """
    table = grown.pivot_table(index="documents", columns="index", values="p50_ms").sort_index()
    exact = table["exact"].to_numpy()
    best = table.drop(columns="exact").min(axis="columns").fillna(table["exact"]).to_numpy()

    def enough(exact: np.ndarray, best: np.ndarray) -> np.ndarray:
        return (exact - best) / (exact + (encoding or 0)) >= WORTHWHILE  # type: ignore[no-any-return]

    short = np.flatnonzero(~enough(exact, best))
    if not len(short) or short[-1] == len(table) - 1:
        return math.inf if len(short) else 0.0
    sizes = np.log(table.index.to_numpy(dtype=float))
    last = short[-1]
    between = np.linspace(sizes[last], sizes[last + 1], 1001)
    reached = enough(*(np.exp(np.interp(between, sizes, np.log(values))) for values in (exact, best)))
    return float(np.exp(between[np.argmax(reached)]))


def conclusion(sweeps: Sweeps, recall: float, every_graph: bool = False) -> str:
    """Return up to which collection size exact search should be kept, in a sentence."""
    grown = growth(sweeps.table if every_graph else one_graph(sweeps.table), recall)
    size, sizes = worthwhile_from(grown, sweeps.encoding), sweeps.sizes
    account = "encoding included" if sweeps.encoding is not None else "encoding, whose time is unknown, left out"
    gain = f"{100 * WORTHWHILE:.0f} % of a query's latency, {account}"
    if 0 < size < math.inf:
        text = f"Below about {float(f'{size:.2g}'):,.0f} documents keep exact search: an index saves less than {gain}"
    elif len(sizes) == 1:
        text = f"At {sizes[0]:,} documents "
        text += f"keep exact search: an index saves less than {gain}" if size else f"an index saves at least {gain}"
    elif size:
        text = f"Keep exact search up to {sizes[-1]:,} documents, the largest measured size: an index that reaches the "
        text += f"target saves less than {gain}"
    else:
        text = f"From {sizes[0]:,} documents, the smallest measured size, an index saves at least {gain}"
    return f"{text}{' (reference sweeps)' if sweeps.source == REFERENCE else ''}."


def at_size_sentence(answer: Answer) -> str:
    """Return what the fastest index saves at a size, in a sentence."""
    at = f"At {answer.documents:,} documents"
    if answer.best is None:
        return f"{at} no measured setting reaches recall@10 of {answer.recall:.2f}."
    name = LABELS.get(answer.best["index"], answer.best["index"]) + setting_text(answer.best, ", ")
    what = "the search" if answer.encoding is None else "a query"
    after, before = (milliseconds(answer.end_to_end(row)) for row in (answer.best, answer.exact))
    percent = round(100 * answer.saved)
    change = f"{abs(percent)} % {'less' if percent > 0 else 'more'}" if percent else "a difference below 1 %"
    return f"{at} {what} takes {after} with {name}, and {before} with exact search: {change}."


def answer_table(answer: Answer, sentence: str, about: str) -> Table:
    """Return exact search and the fastest index as a table: latency of search and of a query, build time, size.

    Args:
        sentence: the conclusion, see `conclusion`.
        about: the collection and the system, for the caption.
    """
    rows = [answer.exact] if answer.best is None else [answer.exact, answer.best]
    table = pd.DataFrame(
        {
            "setting": [setting_text(row) for row in rows],
            "recall@10": [row["recall"] for row in rows],
            "latency, median (ms)": [row["p50_ms"] for row in rows],
            "with encoding (ms)": [answer.end_to_end(row) if answer.encoding is not None else None for row in rows],
            "build time (s)": [row["build_seconds"] for row in rows],
            "index size (MB)": [row["bytes"] / 1e6 for row in rows],
        },
        index=pd.Index([LABELS.get(row["index"], row["index"]) for row in rows], name="index"),
    )
    caption = f"{about}: exact search and the fastest index with recall@10 of at least {answer.recall:.2f}"
    return Table(table, caption, sentences=(sentence, at_size_sentence(answer)))
