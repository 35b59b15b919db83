"""The live panel of the ANN page: one query answered exactly and approximately side by side."""

import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import streamlit as st

from core.ann import OWN_GRAPH, search_without
from core.artifacts import open_artifact
from core.encode import load_vectors
from core.errors import UserError
from core.index import VectorIndex
from core.index_kinds import KINDS, LABELS, make_index
from core.systems import DenseSystem
from dashboard import data, left_out, live, state
from dashboard.asking import find_topic
from dashboard.text import escape_markdown, shortened

DEPTH = 10


@st.cache_resource(max_entries=4, show_spinner=False)
def _index(
    folder: Path, system: str, kind: str, similarity: str, parameters: dict[str, int], digest: str
) -> VectorIndex:
    """Return an index of a system's vectors: our own graph as the sweep left it, others made here."""
    vectors, _ = load_vectors(folder, system)
    index = make_index(kind, similarity, **parameters)
    if kind == OWN_GRAPH:
        open_artifact(folder / "ann" / system)
        index.load(folder / "ann" / system / f"index-{OWN_GRAPH}", np.array(vectors))
    else:
        index.build(np.array(vectors))
    return index


def panel(opened: data.Opened, system: str, sweep: pd.DataFrame) -> None:
    """Draw the query box, the choice of the index, its dial, and both rankings.

    Args:
        sweep: of the system, see `core.ann.read_sweep`: how long an index takes to make.
    """
    settings = next(s for s in opened.profile.system if s.name == system)
    kinds = {of_kind.kind: of_kind for of_kind in opened.profile.ann.index}
    columns = st.columns([3, 2, 2])
    with columns[0]:
        key = "live query"
        st.session_state[key] = state.read("query")
        query = st.text_input("Query", key=key, on_change=lambda: state.write("query", st.session_state[key]))
    with columns[1]:
        kind = state.choose(
            "Index", list(kinds), "index", OWN_GRAPH if OWN_GRAPH in kinds else next(iter(kinds)), LABELS
        )
    values = kinds[kind].values
    value = None
    with columns[2]:
        if values:
            texts = [str(value) for value in values]
            value = int(state.slide(f"Its dial: {KINDS[kind].dial}", texts, "dial", texts[0]))
    if not query.strip():
        st.caption("Type a query: it is answered by exact and by approximate search, and what was missed is marked.")
        return
    ready = live.open_system(opened, settings)
    if not isinstance(ready.system, DenseSystem):
        raise UserError(f"{system} does not search vectors")
    digest = open_artifact(opened.folder / "vectors" / system).digest
    seconds = 0 if kind == OWN_GRAPH else sweep.loc[sweep["index"] == kind, "build_seconds"].max()
    with st.spinner("Making the index" + (f", which took {seconds:.0f} s in the sweep" if seconds >= 1 else "") + " …"):
        index = _index(opened.folder, system, kind, settings.similarity, dict(kinds[kind].build), digest)
    exact_index: VectorIndex = ready.system.index
    if settings.engine != "exact":
        exact_index = _index(opened.folder, system, "exact", settings.similarity, {}, digest)
    content = data.content(opened)
    topic = find_topic(query, content.topics.values())
    names = content.excluded.get(topic.id, set()) if topic else set()
    excluded = {place for place, name in enumerate(ready.system.document_ids) if name in names} if names else set()
    if topic:
        left_out.caption(content, topic.id)
    with ready.lock:
        vector = ready.system.encode(query)
        if value is not None:
            setattr(index, index.dial, value)
        answers = [_timed(exact_index, vector, excluded), _timed(index, vector, excluded)]
    (exact, of_exact, exact_ms), (found, of_found, found_ms) = answers
    missed = [i for i in exact if i not in set(found)]
    recall = 1 - len(missed) / max(1, len(exact))
    st.write(f"Recall@{DEPTH} of this query: {recall:.2f}. Exact {exact_ms:.3f} ms, approximate {found_ms:.3f} ms.")
    for column, title, places, scores in zip(
        st.columns(2), ("Exact", escape_markdown(LABELS[kind])), (exact, found), (of_exact, of_found), strict=True
    ):
        with column:
            st.markdown(f"**{title}**")
            _list(opened, ready.system.document_ids, places, scores, set(missed))


def _timed(index: VectorIndex, vector: np.ndarray, excluded: set[int]) -> tuple[list[int], list[float], float]:
    """Return positions, similarities and the milliseconds of a search: the second of two, the first warms up."""
    search_without(index, vector, DEPTH, [excluded])
    started = time.perf_counter()
    positions, similarities = search_without(index, vector, DEPTH, [excluded])
    milliseconds = 1000 * (time.perf_counter() - started)
    found = [int(i) for i in positions[0] if i >= 0]
    return found, [float(s) for s in similarities[0][: len(found)]], milliseconds


def _list(opened: data.Opened, ids: list[str], places: list[int], scores: list[float], missed: set[int]) -> None:
    documents: Any = data.content(opened).documents
    for rank, (place, score) in enumerate(zip(places, scores, strict=True), 1):
        document = documents.get(ids[place])
        title = shortened((document.title or document.text) if document else ids[place], 90)
        mark = " · :orange[**missed**]" if place in missed else ""
        st.markdown(f"{rank}. {escape_markdown(title)} · {score:.3f}{mark}")
