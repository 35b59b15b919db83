"""The selection of the Topic page, one topic and several systems' lists, and the text above its views."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import pandas as pd
import streamlit as st

from core.evaluation import rank_tables, topic_tables
from core.evaluation.ndcg_decomposition import Part, ideal_ranking, split_difference
from core.evaluation.table_formats import Table
from core.evaluation.topic_tables import TYPE_LABELS
from core.formats.topics import Topic
from core.retrieval.analyzer import Analyzer, open_analyzer
from core.retrieval.highlighting import term_finders
from core.workspace.names import safe_name
from core.workspace.profile import SystemSettings
from dashboard.shared import data, left_out, results
from dashboard.shared.escaping import escape_markdown, shortened
from dashboard.shared.provenance import downloads_and_provenance
from dashboard.shared.ranked_lists import Spans, grade_badge


@dataclass(frozen=True)
class Shown:
    """The selection of the Topic page: one topic, and the lists of 1 to 4 systems, a and b first."""

    opened: data.Opened
    content: data.Content
    topic: Topic
    measure: str
    systems: list[str]
    scores: Mapping[str, list[tuple[str, float]]]
    """system -> (document, score), in trec_eval's order."""
    depth: int
    held: Collection[str] = ()
    """Documents in the runs that are excluded from the lists."""

    @cached_property
    def rankings(self) -> dict[str, list[str]]:
        """The documents of each list, best first."""
        return {system: [document for document, _ in hits] for system, hits in self.scores.items()}

    @cached_property
    def judgments(self) -> Mapping[str, int]:
        """The grades of the topic's judged documents."""
        return self.content.qrels.get(self.topic.id, {})

    @cached_property
    def ideal(self) -> list[tuple[str, int]]:
        """The relevant documents in the best order."""
        return ideal_ranking(self.judgments)

    @cached_property
    def query(self) -> str:
        """The text of the topic that was searched."""
        return self.topic.text(self.opened.profile.collection.topic_field)

    def analyzer(self, system: SystemSettings) -> Analyzer:
        """Return a system's analyzer; each page has its own, since stemmers are not thread-safe."""
        return open_analyzer(self.opened.profile.analyzer_of(system))

    @property
    def labels(self) -> dict[str, str]:
        """The display name of each system."""
        return {system: self.opened.labels[system] for system in self.systems}

    @property
    def caption(self) -> str:
        """The caption of the tables."""
        return f"{self.opened.folder.name}, topic {self.topic.id}"

    @property
    def cutoff(self) -> int:
        """The cut-off of the nDCG that is split by document."""
        return rank_tables.split_cutoff(self.measure)

    @cached_property
    def spans(self) -> Callable[[str], Spans]:
        """Returns, for a system's name, what finds the terms of the query in a text by the system's analyzer."""
        return term_finders(self.opened.profile, self.query)

    def badge(self, document: str) -> str:
        """Return the badge of a document's grade."""
        return grade_badge(self.judgments.get(document), self.content.highest_grade)

    def titles(self, documents: Sequence[str]) -> dict[str, str]:
        """Return the title of each document."""
        return rank_tables.titles_of(self.content.documents, documents)

    def parts(self) -> list[Part]:
        """Split the difference of a and b in nDCG by document."""
        a, b = self.systems[:2]
        return split_difference(self.rankings[a], self.rankings[b], self.judgments, self.cutoff)


def about(shown: Shown) -> None:
    """Draw the topic: query, question, narrative."""
    topic = shown.topic
    st.header(f"Topic {escape_markdown(topic.id)}: {escape_markdown(topic.query)}")
    if topic.question != topic.query:
        st.text(topic.question)
    if topic.narrative:
        st.text(topic.narrative)
    kind = f"Topic type: {TYPE_LABELS.get(topic.kind, topic.kind)}; " if topic.kind else ""
    st.caption(
        escape_markdown(
            f"{kind}{len(shown.ideal)} relevant of {len(shown.judgments)} judged documents; query used: "
            f"{shortened(shown.query, 200)}"
        )
    )
    left_out.caption(shown.content, topic.id, shown.held)
    if shown.opened.is_imported:
        st.info(
            "Document texts are not available: this collection holds imported runs only. Documents are shown by id."
        )


def exports(shown: Shown, table: Table, figure: str, **options: object) -> None:
    """Draw the downloads of a table and its provenance.

    Args:
        figure: its name in `python -m core.compare`.
        options: options of the command, other than the topic.
    """
    name = f"{shown.opened.folder.name}-{safe_name(shown.topic.id)}-{figure}"
    downloads_and_provenance(shown.opened, name, table, figure, {"topic": shown.topic.id, **options})


def sentence(shown: Shown) -> None:
    """Draw a sentence on the changes from b to a."""
    label_a, label_b = list(shown.labels.values())[:2]
    parts = shown.parts()
    titles = shown.titles([part.document for part in parts])
    st.write(escape_markdown(rank_tables.change_sentence(parts, label_a, label_b, shown.cutoff, titles)))


def topic_order(opened: data.Opened, measure: str, a: str, b: str, kind: str) -> pd.DataFrame:
    """Return the topics in the order of the Topics page."""
    values = results.values(opened, measure)
    table = topic_tables.differences(values[a], values.get(b), data.judged_topics(opened).topics)
    return table[table["kind"] == kind] if kind else table
