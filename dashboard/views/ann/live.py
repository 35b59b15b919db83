"""The query panel of the ANN page: exact and approximate results of one query side by side."""

import math
import time
from collections.abc import Mapping
from dataclasses import dataclass
from statistics import median
from typing import Any

import numpy as np
import streamlit as st

from core.evaluation.ann_sweep import OWN_GRAPH, search_without
from core.evaluation.table_formats import milliseconds
from core.indexes.base import VectorIndex
from core.indexes.recall import TrueSimilarities, recall_at_k, ties_as_exact
from core.indexes.registry import KINDS, LABELS, PARAMETER_LABELS, make_index
from core.retrieval.backends import searched_vectors
from core.retrieval.systems import DenseSystem
from core.workspace.artifacts import Manifest, open_artifact, read_latest, read_manifest, read_whole
from core.workspace.errors import UserError
from core.workspace.profile import EXACT, SystemSettings
from core.workspace.timing import repeated
from core.workspace.workspace import CollectionFolder
from dashboard.shared import data, left_out, live, ranked_lists, state
from dashboard.shared.escaping import escape_markdown
from dashboard.shared.ranked_lists import Chip, Hit
from dashboard.views.ann.question import Asked, choose_system

DEPTH = 10
MOST_TOPICS = 500
"""Maximum number of topics that the query box offers."""


@st.cache_resource(max_entries=4, show_spinner=False, hash_funcs={SystemSettings: SystemSettings.model_dump_json})
def _index(
    folder: CollectionFolder, settings: SystemSettings, kind: str, parameters: dict[str, int], digest: str
) -> VectorIndex:
    """Return an index of a system's vectors: RankScope's graph if the sweep stored one of them, else built here."""
    place, graph = folder.vectors(settings.name), folder.sweep(settings.name)
    vectors, _ = read_whole(place, lambda _: searched_vectors(folder, settings), digest=digest)
    index = make_index(kind, settings.similarity, **parameters)

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
        return ready, _index(opened.folder, settings, kind, parameters, digest), digest

    return read_latest(
        lambda: open_artifact(place).digest, lambda digest: read_whole(place, lambda _: load(digest), digest=digest)
    )


def query_panel(asked: Asked, dense: list[str]) -> None:
    """Draw the query box, the choice of the index and of its search parameter's setting, and both rankings.

    Args:
        asked: the question of the page; its own sweeps tell how long an index takes to build.
        dense: the dense systems.
    """
    opened, system, own = asked.opened, asked.system, asked.own
    if not system:
        st.caption(f"{opened.folder.name} has no vectors to search.")
        return
    if asked.sweeps is not own:
        choose_system(opened, dense, system)
    settings = next(s for s in opened.profile.system if s.name == system)
    kinds = {of_kind.kind: of_kind for of_kind in opened.profile.ann.index}
    columns = st.columns([3, 2, 2])
    with columns[0]:
        query = _ask(opened)
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
        st.caption("Choose a topic or type a query to search with the exact and the approximate index.")
        return
    seconds = 0.0 if own and kind == OWN_GRAPH else _build_seconds(asked, kind)
    with st.spinner("Building the index" + (f" (about {seconds:,.0f} s)" if seconds >= 1 else "") + " …"):
        ready, index, digest = _open(opened, settings, kind, dict(kinds[kind].build))
    if not isinstance(ready.system, DenseSystem):
        raise UserError(f"{system} is not a dense system")
    exact_index: Any = ready.system.index
    if settings.backend.kind != EXACT:
        exact_index = _index(opened.folder, settings, EXACT, {}, digest)
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
    there = [positions[0][positions[0] >= 0].tolist() for positions in (exact, found)]
    names_of = [[ready.system.document_ids[place] for place in places] for places in there]
    missed = {ready.system.document_ids[place] for place in set(there[0]) - set(reached.tolist())}
    grades = content.qrels.get(topic.id, {}) if topic else None
    st.write(
        f"Recall@{DEPTH} on this query: {recall:.2f}.{_judged_missed(missed, grades)} "
        f"Latency of the search: exact {milliseconds(exact_ms)}, approximate {milliseconds(found_ms)}."
    )
    exact_list = _Ranking("exact", "exact search", names_of[0], of_exact[0].tolist())
    approximate = _Ranking("ANN", LABELS[kind], names_of[1], of_found[0].tolist())
    _draw_lists(content, exact_list, approximate, missed, grades)


def _build_seconds(asked: Asked, kind: str) -> float:
    """Return the seconds to build an index of the system's vectors by the sweep of the nearest size; 0 if unknown."""
    table = (asked.own or asked.growing).table
    built = table[table["index"] == kind].drop_duplicates("documents").set_index("documents")["build_seconds"]
    documents = read_manifest(asked.opened.folder.vectors(asked.system)).facts.get("documents", 0)
    if built.empty or not documents:
        return 0.0
    nearest: int = min(built.index, key=lambda size: abs(math.log(size / documents)))
    return float(built[nearest] * documents / nearest)


def _ask(opened: data.Opened) -> str:
    """Draw the box for a query, which offers the topics, and return the query."""
    key = "live query"
    questions = [topic.question or topic.query for topic in data.judged_topics(opened).topics.values()][:MOST_TOPICS]
    if (typed := state.read("query")) and typed not in questions:
        questions = [typed, *questions]
    st.session_state[key] = typed or None
    query = st.selectbox(
        "Query",
        questions,
        key=key,
        accept_new_options=True,
        placeholder="Choose a topic or type a query",
        on_change=lambda: state.write("query", st.session_state[key] or ""),
    )
    return query or ""


def _judged_missed(missed: set[str], grades: Mapping[str, int] | None) -> str:
    """Return how many documents are missed, and how many of them are relevant if the query is a topic."""
    if not missed:
        return ""
    relevant = sum((grades or {}).get(name, 0) > 0 for name in missed)
    judged = f", {relevant} of them relevant" if grades is not None else ""
    return f" Missed: {len(missed)}{judged}."


@dataclass(frozen=True)
class _Ranking:
    """One of the two lists: its name on chips and in words, and its documents with their scores."""

    letter: str
    label: str
    documents: list[str]
    scores: list[float]

    def rank(self, document: str) -> int | None:
        """Return a document's rank, None if it is not in the list."""
        return self.documents.index(document) + 1 if document in self.documents else None


def _draw_lists(
    content: data.Content,
    exact: _Ranking,
    approximate: _Ranking,
    missed: set[str],
    grades: Mapping[str, int] | None,
) -> None:
    classes = ranked_lists.linked([exact.documents, approximate.documents])
    keys = {"ann-exact": "Exact", "ann-approximate": approximate.label}
    st.html(ranked_lists.list_tabs(keys) + ranked_lists.link_style(classes))
    both = ((exact, approximate), (approximate, exact))
    for column, (key, title), (ranking, other) in zip(st.columns(2), keys.items(), both, strict=True):
        with column, st.container(key=key):
            st.markdown(f"**{escape_markdown(title)}**")
            hits = [
                Hit(
                    name,
                    content.documents.get(name),
                    rank,
                    "" if grades is None else ranked_lists.grade_dot(grades.get(name), content.highest_grade),
                    score,
                    chips=[_chip(rank, other, name, name in missed)],
                )
                for rank, (name, score) in enumerate(zip(ranking.documents, ranking.scores, strict=False), 1)
            ]
            st.html(ranked_lists.compact_list(hits, lambda text: (), classes))


def _chip(rank: int, other: _Ranking, document: str, missed: bool) -> Chip:
    """Return a note on where a document is in the other list."""
    if missed:
        return Chip("missed", f"{other.label} does not return it", "down")
    there = other.rank(document)
    if there is None and other.letter == "exact":
        return Chip("new", "not in the top 10 of exact search", "new")
    if there is None:
        return Chip("equal similarity", f"{other.label} returns a document of the same similarity in its place")
    return ranked_lists.rank_chip(other.letter, rank, there, other.label)


def _milliseconds(index: VectorIndex, vector: np.ndarray, **parameters: int) -> float:
    """Return the median milliseconds of a few searches, one after the other."""

    def seconds() -> float:
        started = time.perf_counter()
        index.search(vector, DEPTH, **parameters)
        return time.perf_counter() - started

    return 1000 * median(repeated(seconds))
