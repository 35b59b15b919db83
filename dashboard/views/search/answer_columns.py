"""The columns of the Search page: a compact ranked list per system, with the rank of each document in the others."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from string import ascii_uppercase

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from core.evaluation.table_formats import milliseconds
from core.formats.topics import Topic
from core.retrieval.answer import Answer
from core.retrieval.fusion import K, fuse_answers
from core.retrieval.highlighting import term_finders
from core.workspace.errors import UserError
from core.workspace.profile import SystemSettings
from dashboard.shared import data
from dashboard.shared.escaping import escape_markdown, show_error
from dashboard.shared.predicted_queries import searched
from dashboard.shared.ranked_lists import Hit, compact_list, grade_dot, link_style, linked, list_tabs
from dashboard.views.search import judging
from dashboard.views.search.answers import (
    DEPTH,
    NDCG,
    Latency,
    chips,
    in_batches,
    measure_latency,
    shared_documents,
    topic_ndcg,
)

EXPLAINED_WORDS = 60
"""The matched terms are not shown for longer queries."""
FUSED = "fused"
FUSED_LABEL = "Fused (RRF)"
STEPS = {"encode": "encoding", "rerank": "re-ranking"}
"""The steps of a search that a latency names."""


@dataclass(frozen=True)
class Asked:
    """A query and how its answers are shown.

    Attributes:
        systems: the systems that answer, in the order of their columns.
        hits: the number of documents shown per system.
        topic: the topic whose text is the query, if any.
        fused: whether there is a column with the fusion of all systems.
        differences: whether documents that all systems have are folded.
    """

    opened: data.Opened
    systems: Sequence[SystemSettings]
    query: str
    hits: int
    topic: Topic | None
    fused: bool
    differences: bool

    @property
    def labels(self) -> dict[str, str]:
        """The label of each column."""
        labels = {system.name: self.opened.labels[system.name] for system in self.systems}
        return labels | ({FUSED: FUSED_LABEL} if self.fused else {})


class Columns:
    """The columns, empty at first, and the answers that they show."""

    def __init__(self, asked: Asked):
        self.asked, self.content = asked, data.content(asked.opened)
        self.answers: dict[str, Answer] = {}
        self._letters = dict(zip((system.name for system in asked.systems), ascii_uppercase, strict=False))
        self._spans = term_finders(asked.opened.profile, asked.query)
        self._expanded = {system.name: system for system in asked.systems if system.expanded}
        self._sparse = {system.name for system in asked.systems if system.kind == "sparse"}
        self._reranked = {system.name for system in asked.systems if system.kind == "rerank"}
        self._predicted: dict[str, Mapping[str, list[str]]] = {}
        topic = asked.topic
        self._judgments = self.content.qrels.get(topic.id, {}) if topic else None
        self._by_hand = judging.by_hand(asked.opened.folder.name, judging.topic_id(asked.query, topic))
        titles = {name: f"{self._letters.get(name, '')} {label}".strip() for name, label in asked.labels.items()}
        keys = {name: f"rs-list-{number}" for number, name in enumerate(titles)}
        if len(titles) > 1:
            st.html(list_tabs({keys[name]: title for name, title in titles.items()}))
        self._columns: dict[str, DeltaGenerator] = {}
        self.values: dict[str, DeltaGenerator] = {}
        self.latencies: dict[str, DeltaGenerator] = {}
        self.lists: dict[str, DeltaGenerator] = {}
        for (name, title), column in zip(titles.items(), st.columns(len(titles)), strict=True):
            self._columns[name] = column = column.container(key=keys[name], gap="xsmall")
            column.container(key=f"{keys[name]}-name").markdown(f"**{escape_markdown(title)}**")
            self.values[name], self.latencies[name], self.lists[name] = column.empty(), column.empty(), column.empty()
            if name == FUSED:
                self.latencies[name].caption(f"Sum of 1 / ({K} + rank)", help=f"Over the top {DEPTH} of each system")
            else:
                self.latencies[name].caption("…")
            self.lists[name].caption("Searching …")

    def draw_one(self, name: str) -> None:
        """Draw the list of a system while others have not answered yet."""
        self._draw(name, self.answers[name], {}, {}, ())

    def draw_all(self) -> None:
        """Draw all lists once all systems have answered or failed, with the rank of each document in the others."""
        asked, labels = self.asked, self.asked.labels
        ranks = {name: _ranks(answer.ranking) for name, answer in self.answers.items()}
        others = {name: (self._letters[name], labels[name], ranks[name]) for name in self.answers}
        answers = self.answers | ({FUSED: fuse_answers(self.answers)} if asked.fused and self.answers else {})
        classes = linked(answer.ranking[: asked.hits] for answer in answers.values())
        folded = self.shared() if asked.differences and len(self.answers) > 1 else set()
        for name, answer in answers.items():
            rest = {other: about for other, about in others.items() if other != name}
            self._draw(name, answer, rest, classes, folded)
        if style := link_style(classes):
            st.html(style)

    def shared(self) -> set[str]:
        """Return the documents that all systems that have answered show."""
        return shared_documents((answer.ranking for answer in self.answers.values()), self.asked.hits)

    def _draw(
        self,
        name: str,
        answer: Answer,
        others: Mapping[str, tuple[str, str, Mapping[str, int]]],
        classes: Mapping[str, str],
        folded: Collection[str],
    ) -> None:
        """Draw a list as a single HTML element, which is the fastest to draw."""
        if self._judgments:
            value = topic_ndcg(answer, self.asked.topic.id, self._judgments) if self.asked.topic else 0.0
            self.values[name].markdown(f"{NDCG} **{value:.4f}**")
        if not answer.hits:
            only = "" if name in self._sparse else ", or the query has only stop words"
            self.lists[name].markdown(f"No query term occurs in the index{only}.")
            return
        predicted = self._queries_of(name)
        hits = self.asked.hits
        shown = [
            Hit(
                identity,
                self.content.documents.get(identity),
                rank,
                self._dot(identity),
                score,
                note=answer.parts[identity][0][0] if name in self._reranked and identity in answer.parts else "",
                parts=() if name in self._reranked else answer.parts.get(identity, ()),
                predicted=predicted.get(identity, ()),
                chips=chips(identity, rank, others, hits) if name != FUSED else chips(identity, rank, others, DEPTH),
            )
            for rank, (identity, score) in enumerate(answer.hits[:hits], 1)
        ]
        self.lists[name].html(compact_list(shown, self._spans(name), classes, folded))

    def _dot(self, document: str) -> str:
        """Return the mark of the user's grade, else of the grade in the qrels; "" if the query is not a topic."""
        highest = self.content.highest_grade
        if document in self._by_hand:
            return grade_dot(self._by_hand[document], highest, by_hand=True)
        return "" if self._judgments is None else grade_dot(self._judgments.get(document), highest)

    def _queries_of(self, name: str) -> Mapping[str, list[str]]:
        """Return the predicted queries that a system indexes, by document; show an error, once, if they are missing."""
        if name in self._expanded and name not in self._predicted:
            try:
                self._predicted[name] = searched(self.asked.opened, self._expanded[name])
            except UserError as error:
                self._predicted[name] = {}
                with self._columns[name]:
                    show_error(error)
        return self._predicted.get(name, {})


def draw_answers(asked: Asked, overlap: DeltaGenerator) -> Columns:
    """Draw a column per system and the fused one; return them with the answers.

    Systems that answer at once are drawn together; if one takes long, the others are drawn before it, without the
    ranks in other columns.

    Args:
        overlap: placeholder for the number of documents that all systems have.
    """
    columns, found = Columns(asked), {}
    excluded = columns.content.excluded.get(asked.topic.id, set()) if asked.topic else set()
    explained = asked.hits if len(asked.query.split()) <= EXPLAINED_WORDS else 0
    waiting = {system.name for system in asked.systems}
    for batch in in_batches(asked.opened, asked.systems, asked.query, explained, excluded):
        waiting -= set(batch)
        for name, given in batch.items():
            if isinstance(given, Exception):
                columns.latencies[name].empty()
                with columns.lists[name]:
                    show_error(given)
                continue
            found[name] = given
            columns.answers = {system: found[system] for system in asked.labels if system in found}
            if waiting:
                columns.draw_one(name)
    columns.draw_all()
    most = max((len(answer.ranking[: asked.hits]) for answer in columns.answers.values()), default=0)
    if len(columns.answers) > 1 and most:
        overlap.markdown(f"**{len(columns.shared())} of {most}** shared by all", width="content")
        st.caption(
            f"B 4 (+3): at rank 4 in column B, 3 places higher here; –: not in its top {DEPTH}; new: in the top "
            f"{asked.hits} of no other system."
        )
    return columns


def _ranks(ranking: Sequence[str]) -> dict[str, int]:
    return {document: rank for rank, document in enumerate(ranking, 1)}


def show_latencies(columns: Columns) -> None:
    """Measure the systems that have answered, one at a time, and write each latency into its column.

    Call this after the rest of the page has been drawn.
    """
    asked, busy = columns.asked, False
    for system in asked.systems:
        if system.name not in columns.answers:
            continue
        place = columns.latencies[system.name]
        try:
            latency = None if busy else measure_latency(asked.opened, system, asked.query)
        except Exception as error:  # one failing system must not stop the others
            with place:
                show_error(error)
            continue
        busy = latency is None
        if latency:
            place.caption(latency_text(latency), help=measured_text(latency))
        else:
            place.caption("Latency not measured: another measurement is in progress")


def latency_text(latency: Latency) -> str:
    """Return a latency as text: the total, and the time of encoding and of re-ranking."""
    times = {name: latency.seconds[step] for step, name in STEPS.items() if step in latency.seconds}
    steps = ", ".join(f"{name} {milliseconds(1000 * seconds)}" for name, seconds in times.items())
    return f"{milliseconds(1000 * sum(latency.seconds.values()))}{f' ({steps})' if steps else ''}"


def measured_text(latency: Latency) -> str:
    """Return how a latency was measured, in a sentence."""
    times = f"Median of {latency.times} searches" if latency.times > 1 else "One search"
    return f"{times} of the top {DEPTH}, after the answer below, while no other system searched."
