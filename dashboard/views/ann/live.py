"""The query panel of the ANN page: exact and approximate results of one query side by side."""

import time
from statistics import median
from typing import Any

import numpy as np
import pandas as pd
import streamlit as st

from core.evaluation.ann_sweep import OWN_GRAPH, search_without
from core.evaluation.rank_tables import document_title
from core.indexes.base import VectorIndex
from core.indexes.recall import TrueSimilarities, recall_at_k, ties_as_exact
from core.indexes.registry import KINDS, LABELS, PARAMETER_LABELS, make_index
from core.retrieval.encoder import load_vectors
from core.retrieval.systems import DenseSystem
from core.workspace.artifacts import Manifest, open_artifact, read_latest, read_whole
from core.workspace.errors import UserError
from core.workspace.profile import SystemSettings
from core.workspace.timing import repeated
from core.workspace.workspace import CollectionFolder
from dashboard.shared import data, left_out, live, state
from dashboard.shared.escaping import escape_markdown

DEPTH = 10


@st.cache_resource(max_entries=4, show_spinner=False)
def _index(
    folder: CollectionFolder, system: str, kind: str, similarity: str, parameters: dict[str, int], digest: str
) -> VectorIndex:
    """Return an index of a system's vectors: RankScope's graph if the sweep stored one of them, else built here."""
    place, graph = folder.vectors(system), folder.sweep(system)
    vectors, _ = read_whole(place, lambda _: load_vectors(folder, system), digest=digest)
    index = make_index(kind, similarity, **parameters)

    def load(manifest: Manifest) -> bool:
        of_these_vectors = manifest.inputs.get("vectors", digest) == digest
        if of_these_vectors:
            index.load(graph / f"index-{OWN_GRAPH}", np.array(vectors))
        return of_these_vectors

    if kind != OWN_GRAPH or not read_whole(graph, load):
        index.build(np.array(vectors))
    return index


def _open(
    opened: data.Opened, settings: SystemSettings, kind: str, parameters: dict[str, int]
) -> tuple[live.Ready, VectorIndex, str]:
    """Return a system and an index of its vectors, both of one version of these, and the version's digest."""
    place = opened.folder.vectors(settings.name)

    def load(digest: str) -> tuple[live.Ready, VectorIndex, str]:
        ready = live.ready_system(opened, settings)
        return ready, _index(opened.folder, settings.name, kind, settings.similarity, parameters, digest), digest

    return read_latest(
        lambda: open_artifact(place).digest, lambda digest: read_whole(place, lambda _: load(digest), digest=digest)
    )


def query_panel(opened: data.Opened, system: str, sweep: pd.DataFrame) -> None:
    """Draw the query box, the choice of the index and of its search parameter's setting, and both rankings.

    Args:
        sweep: of the system, see `core.evaluation.ann_sweep.read_sweep`: how long an index takes to build.
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
    parameters = {}
    with columns[2]:
        if values:
            texts = [str(value) for value in values]
            name = KINDS[kind].index.search_parameter
            parameters[name] = int(state.slide(PARAMETER_LABELS.get(name, name), texts, "setting", texts[0]))
    if not query.strip():
        st.caption("Enter a query to search with the exact and the approximate index; missed documents are marked.")
        return
    seconds = 0 if kind == OWN_GRAPH else sweep.loc[sweep["index"] == kind, "build_seconds"].max()
    with st.spinner("Building the index" + (f" (took {seconds:.0f} s in the sweep)" if seconds >= 1 else "") + " …"):
        ready, index, digest = _open(opened, settings, kind, dict(kinds[kind].build))
    if not isinstance(ready.system, DenseSystem):
        raise UserError(f"{system} is not a dense system")
    exact_index: Any = ready.system.index
    if settings.engine != "exact":
        exact_index = _index(opened.folder, system, "exact", settings.similarity, {}, digest)
    content = data.content(opened)
    topic = data.find_topic(query, content.topics.values())
    names = content.excluded.get(topic.id, set()) if topic else set()
    excluded = {place for place, name in enumerate(ready.system.document_ids) if name in names} if names else set()
    if topic:
        left_out.caption(content, topic.id)
    with ready.lock:
        vector = ready.system.encode([query])
    # The lock of timings comes first, as on the Search page, so that no two wait for one another.
    with live.TIMING, ready.lock:
        exact, of_exact = search_without(exact_index, vector, DEPTH, [excluded])
        found, of_found = search_without(index, vector, DEPTH, [excluded], **parameters)
        exact_ms, found_ms = _milliseconds(exact_index, vector), _milliseconds(index, vector, **parameters)
    true_similarities = TrueSimilarities(vector, exact_index.vectors, settings.similarity)
    truly_exact, truly_found = true_similarities(exact), true_similarities(found)
    recall = recall_at_k(truly_found, truly_exact)
    reached = ties_as_exact(found[0], truly_found[0], exact[0], truly_exact[0])
    missed = set(exact[0].tolist()) - set(reached.tolist())
    st.write(
        f"Recall@{DEPTH} on this query: {recall:.2f}. Latency: exact {exact_ms:.3f} ms, approximate {found_ms:.3f} ms."
    )
    for column, title, places, scores in zip(
        st.columns(2), ("Exact", escape_markdown(LABELS[kind])), (exact[0], found[0]), (of_exact, of_found), strict=True
    ):
        with column:
            st.markdown(f"**{title}**")
            there = places >= 0
            _list(opened, ready.system.document_ids, places[there].tolist(), scores[0][there].tolist(), missed)


def _milliseconds(index: VectorIndex, vector: np.ndarray, **parameters: int) -> float:
    """Return the median milliseconds of a few searches, one after the other."""

    def seconds() -> float:
        started = time.perf_counter()
        index.search(vector, DEPTH, **parameters)
        return time.perf_counter() - started

    return 1000 * median(repeated(seconds))


def _list(opened: data.Opened, ids: list[str], places: list[int], scores: list[float], missed: set[int]) -> None:
    documents: Any = data.content(opened).documents
    for rank, (place, score) in enumerate(zip(places, scores, strict=True), 1):
        title = document_title(documents.get(ids[place]), ids[place])
        mark = " · :orange[**missed**]" if place in missed else ""
        st.markdown(f"{rank}. {escape_markdown(title)} · {score:.3f}{mark}")
