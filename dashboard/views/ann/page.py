"""Exact vs ANN: the speed that approximate search gains, and the recall and relevant documents that it loses."""

from collections.abc import Callable
from typing import Any

import streamlit as st

from core.evaluation.ann_sweep import measured_sweeps, read_growth, read_sweep, sweeps_of
from core.indexes.simulation import LEAST_DISTINCT
from core.workspace.artifacts import Artifact, read_manifest
from core.workspace.errors import UserError
from core.workspace.timing import OLDER_TIMING, is_comparable
from dashboard.shared import data, state, widgets
from dashboard.shared.escaping import show_error
from dashboard.views.ann import live, sizes, sweep

INTRODUCTION = """
Exact search compares the query's vector with that of every document, so its cost grows linearly with the collection.
Approximate nearest neighbour (ANN) search compares it with few of them and may miss some of the nearest. **recall@10**
is the share of its top 10 that is at least as similar to the query as rank 10 of exact search, by the similarity of the
full vectors; which of several equally similar documents it returns does not matter.
"""
GLOSSARY = """
- **HNSW** (Malkov & Yashunin, 2018) is a graph that links each document to near neighbours; a search follows links
  towards the query. **M**: links per document; more of them raise recall and memory. **ef_construction**: size of the
  candidate list while the graph is built. **ef**: size of the candidate list of a search; a larger one raises recall
  and latency.
- **IVF** partitions the vectors into **nlist** clusters, and a search scans the nearest **nprobe** of them.
- **PQ** (Jégou et al., 2011) splits a vector into segments and stores one byte for each, instead of four bytes per
  dimension; **SQ8** stores one byte per dimension, **binary** one bit. IVF-PQ and binary re-rank with full vectors:
  a search for 10 documents takes 10 × **oversampling** candidates by the short codes and scores these with the full
  vectors.
- Graphs and clusters assume vectors of equal length. For dot product each document's vector is extended by a component
  that makes its length equal to the largest, and the query by a zero, which leaves the dot products unchanged
  (Bachrach et al., 2014).
"""


def distinct(facts: dict[str, Any]) -> str:
    """Return how many of the vectors are distinct in words, "" if all are."""
    count = facts.get("distinct_vectors", facts["documents"])
    return f" ({count:,} distinct)" if count < facts["documents"] else ""


def intrinsic_dimension(facts: dict[str, Any]) -> str:
    """Return the intrinsic dimension of the vectors in words, or why it is unknown."""
    if "intrinsic_dimension" in facts:
        return f"; intrinsic dimension about {facts['intrinsic_dimension']:.0f}"
    if facts.get("distinct_vectors", LEAST_DISTINCT) < LEAST_DISTINCT:
        return f"; intrinsic dimension unknown: fewer than {LEAST_DISTINCT} distinct vectors"
    return ""


def warn_if_incomparable(target: Artifact) -> None:
    """Warn of a sweep that was timed by an older procedure, with the command that measures it again."""
    try:
        manifest = read_manifest(target)
    except UserError:
        return  # the part of the page that reads it says what is wrong
    if not is_comparable(manifest.settings):
        show_error(UserError(f"{target.shown}: {OLDER_TIMING}; measure again with {target.command}"))


def page(opened: data.Opened) -> None:
    """Draw the page Exact vs ANN of a collection.

    Raises:
        UserError: the collection has no dense system, or the chosen one has no readable sweep.
    """
    st.markdown(INTRODUCTION)
    dense = [system.name for system in opened.profile.system if system.kind == "dense"]
    if not dense:
        raise UserError(f"{opened.folder.name} has no dense system, and this page is about vector search")
    measured = [name for name in dense if opened.folder.sweep(name).path.is_dir()]
    system = state.choose("Dense system", dense, "system", (measured or dense)[0], opened.labels)
    made = {place: f"the sweep {place}" for place in measured_sweeps(opened.folder, system)}
    others = {f"ann/{name}": f"the sweep ann/{name}" for name in measured if name != system}
    settings = [one for one in opened.profile.system if one.name == system]
    widgets.say_older(opened, made | others | widgets.answering_artifacts(opened, settings))
    own = read_sweep(opened.folder, system)
    try:
        sweeps = read_growth(opened.folder, system)
    except UserError as error:
        show_error(error)
        sweeps = own
    for target in sweeps_of(opened.folder, system):
        warn_if_incomparable(target)
    targets = sweeps_of(opened.folder, system) if sweeps is not own else [opened.folder.sweep(system)]
    manifests = {manifest.facts["documents"]: manifest for manifest in map(read_manifest, targets)}
    facts = next(iter(manifests.values())).facts
    st.write(
        f"{facts['documents']:,} vectors{distinct(facts)} of dimension {facts['dimension']}"
        f"{intrinsic_dimension(facts)}; {facts['queries']} topics as queries."
    )
    recall = sweep.comparison(opened, system, sweeps, manifests)
    sections: dict[str, Callable[[], object]] = {
        "Compare on a query": lambda: live.query_panel(opened, system, own),
        "Scaling with collection size": lambda: sizes.sizes(opened, system, sweeps, manifests, recall),
        "Relevant documents missed by ANN": lambda: sweep.missed(opened, system, own),
        "Cosine and dot product": lambda: sweep.similarities(opened),
        "Measured collection sizes": lambda: sizes.measured(opened, system, manifests),
    }
    for title, draw in sections.items():
        st.header(title)
        try:
            draw()
        except Exception as error:  # if one part fails, the others are drawn
            show_error(error)
    st.header("Indexes and their parameters")
    st.markdown(GLOSSARY)
