"""The selection of the Topic page, one topic and several systems' lists, and the text above its views."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from html import escape

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
from dashboard.shared.ranked_lists import Spans


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
    def ranks(self) -> dict[str, dict[str, int]]:
        """The rank of each document in each list."""
        return {s: {name: rank for rank, name in enumerate(names, 1)} for s, names in self.rankings.items()}

    @property
    def letters(self) -> dict[str, str]:
        """The letter that stands for each system."""
        return dict(zip(self.systems, "ABCD", strict=False))

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

    def titles(self, documents: Sequence[str]) -> dict[str, str]:
        """Return the title of each document."""
        return rank_tables.titles_of(self.content.documents, documents)

    def parts(self) -> list[Part]:
        """Split the difference of a and b in nDCG by document."""
        a, b = self.systems[:2]
        return split_difference(self.rankings[a], self.rankings[b], self.judgments, self.cutoff)


LINE = """<style>
[data-testid="stLayoutWrapper"]:has(> .st-key-topic-line) { position: sticky; top: 3.75rem; z-index: 9;
  background: light-dark(#ffffff, #12171d); /* the theme's */
  border-bottom: 1px solid color-mix(in srgb, currentColor 20%, transparent); }
.st-key-topic-line > :has(.rs-topic) { flex: 1 1 0; min-width: 0; }
.rs-topic { line-height: 1.35; min-width: 0; }
.rs-topic h2 { font-size: 1.125rem; font-weight: 600; padding: 0; margin: 0; line-height: 1.35; overflow: hidden;
  text-overflow: ellipsis; white-space: nowrap; }
.rs-topic p { font-size: 0.875rem; margin: 0; display: flex; flex-wrap: wrap; column-gap: 0.9rem; }
.rs-topic b { font-variant-numeric: tabular-nums; }
.rs-about { display: flex; flex-wrap: wrap; font-size: 0.875rem; align-items: baseline; column-gap: 1rem; }
.rs-about summary { cursor: pointer; }
.rs-about details[open] { flex-basis: 100%; }
@media (max-width: 640px) {
  .st-key-topic-line { row-gap: 0.25rem; }
  .st-key-topic-line > :has(.rs-topic) { order: -1; flex-basis: 100%; } }
/* The line names the topic; the page's title stays for screen readers. */
.stMain [data-testid="stElementContainer"]:has(> .stHeading h1) {
  position: absolute; width: 1px; overflow: hidden; clip-path: inset(50%); }
</style>"""


def topic_line(shown: Shown, table: pd.DataFrame, place: int) -> str:
    """Return the topic, its place in the order of the Topics page, and its values, as HTML.

    Args:
        table: the topics in that order.
        place: the number of this topic in it, from 0.
    """
    topic, row = shown.topic, table.iloc[place]
    order = "difference" if len(shown.systems) > 1 else "value"
    facts = [f"{place + 1} of {len(table)} by {order}", f"A {_value(row['a'])}"]
    if len(shown.systems) > 1:
        facts += [f"B {_value(row['b'])}", f"{_value(row['difference'], '+.4f')} {escape(shown.measure)}"]
    else:
        facts.append(escape(shown.measure))
    if topic.kind:
        facts.append(escape(TYPE_LABELS.get(topic.kind, topic.kind)))
    facts.append(f"{len(shown.ideal)} relevant of {len(shown.judgments)} judged")
    name = escape(f"Topic {topic.id}" + (f": {topic.query}" if topic.query not in ("", topic.id) else ""))
    inside = "".join(f"<span>{fact}</span>" for fact in facts)
    return f'{LINE}<div class="rs-topic"><h2 title="{name}">{name}</h2><p>{inside}</p></div>'


def _value(value: float, form: str = ".4f") -> str:
    return f"<b>{value:{form}}</b>".replace("-", "\N{MINUS SIGN}")


def about(shown: Shown) -> None:
    """Draw the topic's question and narrative, and what was searched."""
    topic = shown.topic
    said = [f"<span>{escape(topic.question)}</span>"] if topic.question != topic.query else []
    if shown.opened.is_imported and topic.query == topic.id:
        said = []  # the judgments of an import need no texts of topics; "topic 1" stands in
    elif shown.query not in (topic.question, topic.query):
        said.append(f"<span>query used: {escape(shortened(shown.query, 200))}</span>")
    if topic.narrative:
        said.append(f"<details><summary>Narrative</summary>{escape(topic.narrative)}</details>")
    if said:
        st.html(f'<div class="rs-about">{"".join(said)}</div>')
    left_out.caption(shown.content, topic.id, shown.held)
    if shown.opened.is_imported:
        st.caption(
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
    """Draw a sentence on the difference of a and b and its largest contribution."""
    label_a, label_b = list(shown.labels.values())[:2]
    parts, highest = shown.parts(), shown.content.highest_grade
    titles = shown.titles([part.document for part in parts])
    said = rank_tables.reason_sentence(parts, label_a, label_b, shown.cutoff, titles, highest)
    st.markdown(escape_markdown(said))


def topic_order(opened: data.Opened, measure: str, a: str, b: str, kind: str) -> pd.DataFrame:
    """Return the topics in the order of the Topics page."""
    values = results.values(opened, measure)
    table = topic_tables.differences(values[a], values.get(b), data.judged_topics(opened).topics)
    return table[table["kind"] == kind] if kind else table
