"""Exact vs ANN: what approximate search gains in time and loses in recall, and in relevant documents."""

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
An exact search compares the query's vector with every document's: always right, and slower with every document more.
An approximate one looks at a small part of them, and may miss some of the true nearest: **recall@10** is the share of
its ten documents that are as near to the query as the exact tenth, by the similarities of the whole vectors. Which of
several equal documents it finds does not matter.
"""
WORDS = """
- **HNSW** (Malkov & Yashunin, 2018) is a graph: each document is linked to near ones, and a search walks from link to
  link towards the query. **M** (connections): how many links a document keeps; more find more and need more memory.
  **ef_construction**: how many candidates are weighed while the graph is built. **ef**: how many a search keeps in
  view; a larger one finds more and takes longer.
- **IVF** sorts the documents into cells around centres, and a search looks into the nearest cells. **probes**: how
  many.
- **PQ** (Jégou et al., 2011) keeps a byte for each of some segments of a vector, in place of four bytes a dimension;
  **SQ8** keeps one byte a dimension, **binary** one bit. What is found with such short codes is scored again with the
  whole vectors; **rescore**: how many times ten.
- A graph or cells need vectors of one length. For dot product each vector gets a coordinate more that makes up for
  what its length lacks, and the query a zero there: the products are the same (Bachrach et al., 2014).
"""


def distinct(facts: dict[str, Any]) -> str:
    """Say how many of the vectors differ, "" where all do."""
    count = facts.get("distinct_vectors", facts["documents"])
    return f" ({count:,} distinct)" if count < facts["documents"] else ""


def local_dimension(facts: dict[str, Any]) -> str:
    """Say how many dimensions the vectors locally fill, or why that is not known."""
    if "intrinsic_dimension" in facts:
        return f" that locally fill about {facts['intrinsic_dimension']:.0f}"
    if facts.get("distinct_vectors", LEAST_DISTINCT) < LEAST_DISTINCT:
        return f" (too few distinct ones to estimate how many they locally fill: {LEAST_DISTINCT} are needed)"
    return ""


def warn_if_incomparable(target: Artifact) -> None:
    """Warn of a sweep that was timed by an older procedure, with the command that measures it anew."""
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
        raise UserError(f"{opened.folder.name} has no dense system; this page compares searches over vectors")
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
    facts = read_manifest(opened.folder.sweep(system)).facts
    st.write(
        f"{facts['documents']:,} vectors{distinct(facts)} of dimension {facts['dimension']}"
        f"{local_dimension(facts)}, {facts['queries']} topics as queries."
    )
    recall = sweep.comparison(opened, system, sweeps)
    sections: dict[str, Callable[[], object]] = {
        "Try it": lambda: live.query_panel(opened, system, own),
        "How it grows with the collection": lambda: sizes.sizes(opened, system, sweeps, recall),
        "Relevant documents lost": lambda: sweep.lost(opened, system, own),
        "Cosine against dot product": lambda: sweep.similarities(opened),
        "What was measured": lambda: sizes.origin(sweeps_of(opened.folder, system), system),
    }
    for title, draw in sections.items():
        st.header(title)
        try:
            draw()
        except Exception as error:  # whatever befell one part, the others are drawn
            show_error(error)
    st.header("What the indexes and their parameters are")
    st.markdown(WORDS)
