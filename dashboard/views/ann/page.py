"""Exact vs ANN: what approximate search costs and saves at a collection size, and what it misses."""

from collections.abc import Callable

import streamlit as st

from core.evaluation.ann_answer import Sweeps, own_sweeps, shipped_sweeps
from core.evaluation.ann_sweep import measured_sweeps, sweeps_of
from core.workspace.artifacts import Artifact, read_manifest
from core.workspace.errors import UserError, in_words
from core.workspace.timing import OLDER_TIMING, is_comparable
from dashboard.shared import data, state, widgets
from dashboard.shared.escaping import error_markdown, show_error
from dashboard.views.ann import live, question, tables

INTRODUCTION = (
    "Approximate nearest neighbour (ANN) search compares the query with few documents in place of all. **recall@10**: "
    "the share of the exact top 10 that it finds."
)
THEORY = """
Exact search reads every vector, so its cost grows linearly with the collection: a straight line on logarithmic axes.
The path through a graph grows by only a few steps, and the clusters of IVF grow in number more than in size.
**recall@10** is the share of an index's top 10 that is at least as similar to the query as rank 10 of exact search, by
the similarity of the full vectors; which of several equally similar documents it returns does not matter.

- **HNSW** (Malkov & Yashunin, 2018) is a graph that links each document to near neighbours; a search follows links
  towards the query. **M**: links per document; more of them raise recall and memory. **ef_construction**: size of the
  candidate list while the graph is built. **ef** (efSearch): size of the candidate list of a search; a larger one
  raises recall and latency.
- **IVF** partitions the vectors into **nlist** clusters, and a search scans the nearest **nprobe** of them.
- **PQ** (Jégou et al., 2011) splits a vector into segments and stores one byte for each, instead of four bytes per
  dimension; **SQ8** stores one byte per dimension, **binary** one bit. IVF-PQ and binary re-rank with full vectors:
  a search for 10 documents takes 10 × **oversampling** candidates by the short codes and scores these with the full
  vectors.
- Graphs and clusters assume vectors of equal length. For dot product each document's vector is extended by a component
  that makes its length equal to the largest, and the query by a zero, which leaves the dot products unchanged
  (Bachrach et al., 2014).
"""


def warn_if_incomparable(target: Artifact) -> None:
    """Warn of a sweep that was timed by an older procedure, with the command that measures it again."""
    try:
        manifest = read_manifest(target)
    except UserError:
        return  # the part of the page that reads it says what is wrong
    if not is_comparable(manifest.settings):
        show_error(UserError(f"{target.shown}: {OLDER_TIMING}; measure again with {target.command}"))


def _own(opened: data.Opened, system: str) -> Sweeps | None:
    """Return the sweeps of a system, without those of other sizes if one is damaged; None if there is none."""
    if not opened.folder.sweep(system).path.is_dir():
        return None
    try:
        return own_sweeps(opened.folder, system)
    except UserError as error:
        show_error(error)
    try:
        return own_sweeps(opened.folder, system, simulated=False)
    except UserError:
        return None


def _reference() -> Sweeps | None:
    try:
        return shipped_sweeps()
    except UserError as error:
        show_error(error)
        return None


def _say_what_is_missing(opened: data.Opened, system: str) -> None:
    """Say why the collection has no sweep of its own, in a caption: the reference sweeps stand in."""
    if not system:
        st.caption(f":material/info: {opened.folder.name} has no dense system, and so no vectors: reference sweeps.")
        return
    try:
        read_manifest(opened.folder.sweep(system))
    except UserError as error:
        st.caption(f":material/info: Reference sweeps are shown. {error_markdown(in_words(error))}")


def _chosen_system(dense: list[str], measured: list[str]) -> str:
    """Return the dense system of the URL, else system A or the first with a sweep; "" if there is none."""
    wanted = [name for name in (state.read("system"), state.read("a")) if name in (measured or dense)]
    if state.read("system") in dense:
        return state.read("system")
    return next(iter([*wanted, *measured, *dense]), "")


def page(opened: data.Opened) -> None:
    """Draw the page Exact vs ANN of a collection.

    Raises:
        UserError: neither the collection nor RankScope has a readable sweep.
    """
    st.caption(INTRODUCTION)
    dense = opened.profile.encoded
    measured = [name for name in dense if opened.folder.sweep(name).path.is_dir()]
    system = _chosen_system(dense, measured)
    if system:
        made = {place: f"the sweep {place}" for place in measured_sweeps(opened.folder, system)}
        others = {f"ann/{name}": f"the sweep ann/{name}" for name in measured if name != system}
        settings = [one for one in opened.profile.system if one.name == system]
        widgets.say_older(opened, made | others | widgets.answering_artifacts(opened, settings))
    own = _own(opened, system) if system else None
    reference = _reference()
    if own is None and reference is None:
        raise UserError(f"{opened.folder.name} has no sweep to show")
    asked = question.choose(opened, system, dense, own, reference)
    if own is None:
        _say_what_is_missing(opened, system)
    for target in sweeps_of(opened.folder, system) if own else []:
        warn_if_incomparable(target)
    question.figures(asked)
    question.draw_charts(asked)
    question.origin(asked)
    question.downloads(asked)
    sections: dict[str, Callable[[], object]] = {
        "Compare on a query": lambda: live.query_panel(asked, dense),
        "Measurements": lambda: tables.measurements(asked),
    }
    for title, draw in sections.items():
        st.header(title)
        try:
            draw()
        except Exception as error:  # if one part fails, the others are drawn
            show_error(error)
    with st.expander("How exact and approximate search work"):
        st.markdown(THEORY)
