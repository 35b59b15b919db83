"""The question of the Exact vs ANN page, at which size and recall, with its answer in figures and two charts."""

import math
from dataclasses import dataclass

import pandas as pd
import streamlit as st

from core.evaluation.ann_answer import (
    OWN,
    REFERENCE,
    Answer,
    Sweeps,
    answer,
    answer_table,
    at_size_sentence,
    conclusion,
)
from core.evaluation.ann_figures import at_size, caption, reference_caption
from core.evaluation.ann_sweep import measured_sweeps
from core.evaluation.ann_tables import COSTS, MATCHED, growth, one_graph, setting_text, size_label
from core.evaluation.freshness import changes
from core.evaluation.table_formats import milliseconds
from core.indexes.registry import GRAPHS, LABELS
from core.workspace.artifacts import Manifest, read_manifest
from core.workspace.errors import UserError
from core.workspace.timing import THREADS
from dashboard.shared import data, export, state
from dashboard.shared.escaping import escape_markdown
from dashboard.shared.provenance import downloads_and_provenance
from dashboard.views.ann import charts

SMALL = 10_000
"""Exact search takes about a millisecond below this number of documents, so that the page opens at a reference size."""
TYPICAL = 171_332
"""The size of TREC-COVID, at which the page opens for small collections."""


@dataclass(frozen=True)
class Asked:
    """The question: a collection size and a target recall@10.

    Attributes:
        system: the dense system, "" if the collection has none.
        sweeps: those with the size.
        growing: those that show the growth with the collection: `sweeps`, or the reference where they have one size.
        own: the collection's sweeps, None if it has none.
        every_graph: whether all implementations of HNSW are shown, or one.
    """

    opened: data.Opened
    system: str
    sweeps: Sweeps
    growing: Sweeps
    own: Sweeps | None
    size: int
    recall: float
    every_graph: bool

    @property
    def about(self) -> str:
        """The beginning of captions: collection and system, or that it is a reference sweep; the size."""
        return self.about_all(self.size)

    def about_all(self, size: int = 0) -> str:
        """The beginning of captions of all sizes, or of one."""
        if self.sweeps.source == REFERENCE:
            return reference_caption(size)
        return caption(self.opened.folder, self.system, size)

    def shown(self, sweep: pd.DataFrame) -> pd.DataFrame:
        """Return the rows that charts show: one implementation of HNSW, or all."""
        return sweep if self.every_graph else one_graph(sweep)

    @property
    def options(self) -> dict[str, object]:
        """The options of `python -m core.compare` for figures of all sizes."""
        return {"source": REFERENCE} if self.sweeps.source == REFERENCE else {"system": self.system}

    @property
    def options_at_size(self) -> dict[str, object]:
        """The options of `python -m core.compare` for figures of one size."""
        return self.options | {"size": "" if self.size == next(iter(self.sweeps.manifests)) else self.size}

    @property
    def made_from(self) -> dict[str, Manifest]:
        """The sweep of the size, by name, for provenance."""
        return {size_name(self.sweeps, self.size): self.sweeps.manifests[self.size]}

    def export_name(self, what: str) -> str:
        """Return the name of a file with figures of the sweeps, which tells where one is older than its inputs."""
        if self.sweeps.source == REFERENCE:
            return f"reference-{what}"
        return own_export_name(self.opened, self.system, what)


def own_export_name(opened: data.Opened, system: str, what: str) -> str:
    """Return the name of a file with figures of a system's sweeps, which tells where one is older than its inputs."""
    outdated = any(changes(opened.folder, place) for place in measured_sweeps(opened.folder, system))
    return f"{opened.folder.name}-{system}-{what}{'-outdated' if outdated else ''}"


def size_name(sweeps: Sweeps, size: int) -> str:
    """Return the name of a sweep in its provenance."""
    return f"{'reference ' if sweeps.source == REFERENCE else ''}sweep of {size:,} documents"


def choose_system(opened: data.Opened, dense: list[str], system: str, within_sentence: bool = False) -> None:
    """Draw the choice of the dense system, if there are several or the URL has none of them, which is then said."""
    if len(dense) > 1 or state.read("system") not in ("", *dense):
        if within_sentence:
            st.markdown("with", width="content")
        state.choose("Dense system", dense, "system", system, opened.labels, width=220, hidden_label=within_sentence)


def choose(opened: data.Opened, system: str, dense: list[str], own: Sweeps | None, reference: Sweeps | None) -> Asked:
    """Draw the question, a line of words and choices, and return it; the sizes are those that were measured."""
    sources: dict[int, Sweeps] = {}
    for sweeps in (reference, own):  # a sweep of the collection takes precedence over a reference of its size
        sources |= dict.fromkeys(sweeps.sizes, sweeps) if sweeps else {}
    labels = {str(size): _size_label(sources[size], size) for size in sorted(sources)}
    with st.container(horizontal=True, vertical_alignment="center", gap="small", key="ann-question"):
        st.markdown("At", width="content")
        default = str(_first_size(opened, own, reference))
        size = int(state.choose("Documents", list(labels), "size", default, labels, width=230, hidden_label=True))
        st.markdown("documents and recall@10 of at least", width="content")
        values = [f"{recall:.2f}" for recall in MATCHED]
        recall = float(state.choose("Target recall@10", values, "recall", "0.95", width=90, hidden_label=True))
        sweeps = sources[size]
        if sweeps is own:
            choose_system(opened, dense, system, within_sentence=True)
    growing = sweeps if len(sweeps.sizes) > 1 or reference is None else reference
    return Asked(opened, system, sweeps, growing, own, size, recall, state.read("implementations") == "on")


def _size_label(sweeps: Sweeps, size: int) -> str:
    if sweeps.source == REFERENCE:
        return f"{size:,} (reference)"
    own = next(iter(sweeps.manifests))
    return f"{size:,} ({'this collection' if size == own else size_label(size, own)})"


def _first_size(opened: data.Opened, own: Sweeps | None, reference: Sweeps | None) -> int:
    """Return the size of the question where the URL has none.

    It is the collection's own; of a small collection, or one without a sweep, the nearest reference size.
    """
    documents = _documents(opened, own)
    if own and (documents >= SMALL or reference is None):
        return documents
    wanted = documents if documents >= SMALL else TYPICAL
    sizes = reference.sizes if reference else []
    return min(sizes, key=lambda size: abs(math.log(size / wanted)))


def _documents(opened: data.Opened, own: Sweeps | None) -> int:
    if own:
        return next(iter(own.manifests))
    try:
        return int(read_manifest(opened.folder.collection).facts.get("documents", 0))
    except UserError:
        return 0  # other parts say what is wrong with the collection


def figures(asked: Asked) -> None:
    """Draw the answer in a sentence, and in figures: exact search, the fastest index, a query with encoding, cost."""
    found = answer(asked.sweeps, asked.size, asked.recall, asked.every_graph)
    said = conclusion(asked.growing, asked.recall, asked.every_graph)
    st.markdown(f"**{escape_markdown(at_size_sentence(found))}** {escape_markdown(said)}")
    with st.container(horizontal=True, key="ann figures"):
        _metrics(found, asked.sweeps.manifests[asked.size].facts.get("threads", THREADS))


def origin(asked: Asked) -> None:
    """Draw where the figures were measured, and how the time to encode a query is known."""
    found = answer(asked.sweeps, asked.size, asked.recall, asked.every_graph)
    encoding = ""
    if found.encoding is not None:
        whose = asked.opened.labels[asked.system] if asked.sweeps.source == OWN else "the same model"
        encoding = (
            f" Encoding: {milliseconds(found.encoding)}, the median latency of the run of {whose} less its search."
        )
    st.caption(escape_markdown(asked.sweeps.origin(asked.size) + encoding))


def downloads(asked: Asked) -> None:
    """Draw the downloads and the provenance of the answer."""
    found = answer(asked.sweeps, asked.size, asked.recall, asked.every_graph)
    table = answer_table(found, conclusion(asked.growing, asked.recall, asked.every_graph), asked.about)
    options = asked.options_at_size | {"recall": f"{asked.recall:.2f}", "graphs": "all" if asked.every_graph else ""}
    made_from = dict(asked.made_from)
    made_from |= {size_name(asked.growing, size): m for size, m in asked.growing.manifests.items()}
    name = asked.export_name(f"answer-{asked.size}-{asked.recall:.2f}")
    downloads_and_provenance(asked.opened, name, table, "ann-answer", options, made_from=made_from)


def _metrics(found: Answer, threads: int) -> None:
    exact, best = found.exact, found.best
    _figure("Exact search", milliseconds(exact["p50_ms"]), f"index: {exact['bytes'] / 1e6:,.0f} MB")
    if best is None:
        _figure("Fastest index", "none", f"no setting reaches {found.recall:.2f}")
        return
    name = LABELS.get(best["index"], best["index"]) + setting_text(best, ", ")
    ratio = f"speed-up {exact['p50_ms'] / best['p50_ms']:,.1f} ×; recall@10 {best['recall']:.4f}"
    _figure(escape_markdown(name), milliseconds(best["p50_ms"]), ratio)
    if found.encoding is None:
        _figure("With encoding the query", "unknown", "no comparable run of this model")
    else:
        change = f"exact: {milliseconds(found.end_to_end(exact))}"
        _figure("With encoding the query", milliseconds(found.end_to_end(best)), change)
    seconds, megabytes = best["build_seconds"], best["bytes"] / 1e6
    built = f"{seconds:,.{0 if seconds >= 10 else 2}f} s, {megabytes:,.0f} MB"
    _figure("Build time and size", built, f"on {threads} thread{'s' if threads > 1 else ''}")


def _figure(label: str, value: str, below: str) -> None:
    """Draw a figure with a second line that is no change."""
    st.metric(label, value, below, delta_color="off", delta_arrow="off", border=True)


def _controls(asked: Asked, costs: dict[str, str]) -> None:
    """Draw the choice of the cost axis and of the implementations of HNSW, where there is one."""
    indexes = at_size(asked.sweeps.table, asked.size)["index"]
    with st.container(horizontal=True, vertical_alignment="bottom"):
        if len(costs) > 1:
            state.choose("Cost axis", list(costs), "cost", "p50_ms", costs, width=300)
        if indexes[indexes.isin(GRAPHS)].nunique() > 1:
            state.switch("Compare implementations of HNSW", "implementations")


def draw_charts(asked: Asked) -> None:
    """Draw latency against collection size, and recall against cost at the size."""
    left, right = st.columns(2)
    with left:
        st.markdown("**Latency against collection size**")
        apart = asked.own if asked.own and asked.growing is not asked.own else None
        points = growth(asked.shown(apart.table), asked.recall) if apart else None
        grown = growth(asked.shown(asked.growing.table), asked.recall)
        # The time in the answer, where that has one.
        encoding = asked.growing.encoding if asked.sweeps.encoding is None else asked.sweeps.encoding
        figure = charts.growth(grown, asked.size, encoding, points)
        alt = "Median latency of each index against the number of documents, both axes logarithmic"
        export.chart(figure, asked.export_name(f"growth-{asked.recall:.2f}"), alt)
        beside = " Open marks: this collection." if apart else ""
        lines = "Lines: reference sweeps. " if asked.growing.source == REFERENCE else ""
        st.caption(
            f"{lines}Each index at its fastest setting with recall@10 of at least {asked.recall:.2f}, where it has one."
            f"{beside}"
        )
    with right:
        st.markdown(f"**Recall and cost at {asked.size:,} documents**")
        sweep = asked.shown(at_size(asked.sweeps.table, asked.size))
        costs = {cost: label for cost, label in COSTS.items() if sweep[cost].notna().all()}
        cost = state.read("cost") if state.read("cost") in costs else "p50_ms"
        alt = "Recall at 10 against cost, by index, with the recall axis stretched towards 1"
        figure = charts.recall_against(sweep, cost, asked.recall)
        export.chart(figure, asked.export_name(f"ann-{asked.size}-{cost}"), alt)
        better = "left" if cost == "p50_ms" else "right"
        st.caption(
            f"Each point is one parameter setting; up and to the {better} is better. Grey: dominated, another setting "
            "is as good in both and better in one."
        )
        _controls(asked, costs)
