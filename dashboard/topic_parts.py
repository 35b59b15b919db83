"""The views of the Topic page: one topic's lists side by side, and what makes their difference."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache

import pandas as pd
import streamlit as st

from core.analyzer import Analyzer
from core.collection import Topic
from core.matches import matched_spans
from core.ndcg_difference import Part, ideal_ranking, split_difference
from dashboard import data, state, tables, topic_charts, topic_tables
from dashboard.comparison.export import picture_button
from dashboard.ranked_lists import Hit, Spans, ranked_list
from dashboard.text import escape_markdown, shortened
from dashboard.topics_parts import SIGNED, cutoff, titles_of


@dataclass(frozen=True)
class Shown:
    """What the Topic page looks at: one topic, and the lists of 1 to 4 systems, a and b first."""

    opened: data.Opened
    content: data.Content
    topic: Topic
    measure: str
    systems: list[str]
    scores: Mapping[str, list[tuple[str, float]]]
    """system -> (document, score), best first as trec_eval ranks."""
    depth: int

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

    @cached_property
    def analyzer(self) -> Analyzer:
        """What makes tokens of texts; one of this page's own, for a stemmer is not for two threads at once."""
        return Analyzer(self.opened.profile.analyzer)

    @property
    def labels(self) -> dict[str, str]:
        """The name that each system is shown by."""
        return {system: self.opened.labels[system] for system in self.systems}

    def parts(self) -> list[Part]:
        """Split the difference of a and b in nDCG by document."""
        a, b = self.systems[:2]
        return split_difference(self.rankings[a], self.rankings[b], self.judgments, cutoff(self.measure))


def marks(shown: Shown) -> Spans:
    """Return a function that finds the terms of the query in a text."""
    return lru_cache(maxsize=None)(lambda text: matched_spans(shown.analyzer, text, shown.query))


def sentence(shown: Shown) -> None:
    """Say what changed from b to a."""
    label_a, label_b = list(shown.labels.values())[:2]
    parts = shown.parts()
    titles = titles_of(shown.content, [part.document for part in parts])
    st.write(escape_markdown(topic_tables.change_sentence(parts, label_a, label_b, cutoff(shown.measure), titles)))


def lists(shown: Shown) -> None:
    """Draw the lists of the systems and the ideal list side by side."""
    ranks = {s: {name: rank for rank, name in enumerate(names, 1)} for s, names in shown.rankings.items()}

    letters = dict(zip(shown.systems, "abcd", strict=False))

    def elsewhere(document: str, but: str) -> list[str]:
        return [f"{letters[s]}\u00a0{ranks[s].get(document, '–')}" for s in shown.systems if s != but]

    ideal = shown.ideal[: shown.depth]
    spans = marks(shown)
    highest = shown.content.highest_grade
    documents = shown.content.documents
    values = data.values(shown.opened, shown.measure)
    st.caption("After a score: the document's rank in the other lists, – where a run does not hold it.")
    columns = st.columns(len(shown.systems) + 1)
    for column, system in zip(columns, shown.systems, strict=False):
        names = [
            Hit(
                rank, name, shown.judgments.get(name), " · ".join([f"score\u00a0{score:.3f}", *elsewhere(name, system)])
            )
            for rank, (name, score) in enumerate(shown.scores[system][: shown.depth], 1)
        ]
        relevant = sum((hit.grade or 0) > 0 for hit in names)
        unjudged = sum(hit.grade is None for hit in names)
        facts = f"{shown.measure} {values[system][shown.topic.id]:.4f}; of {len(names)} shown "
        facts += f"{relevant} relevant, {unjudged} unjudged" if names else "nothing: no document, which counts 0"
        column.html(ranked_list(f"{letters[system]}: {shown.labels[system]}", facts, names, documents, spans, highest))
    best = [Hit(rank, name, grade, " · ".join(elsewhere(name, ""))) for rank, (name, grade) in enumerate(ideal, 1)]
    facts = f"{len(shown.ideal)} relevant of {len(shown.judgments)} judged; the best order there is"
    columns[-1].html(ranked_list("Ideal list", facts, best, documents, spans, highest))


def difference(shown: Shown) -> None:
    """Draw what each document adds to the difference of a and b."""
    label_a, label_b = list(shown.labels.values())[:2]
    k = cutoff(shown.measure)
    parts = shown.parts()
    table = topic_tables.split_table(parts, titles_of(shown.content, [part.document for part in parts]))
    drawn = table[table["part"] != 0].reset_index(drop=True)
    if drawn.empty:
        st.info("No document gains or loses anything between the two lists.")
    else:
        open_clicked(topic_charts.split_bars(drawn, label_a, label_b, k), "split", "What each document adds")
    st.caption(
        f"All parts add up to {table['part'].sum():+.4f}, the difference in nDCG@{k} of {escape_markdown(label_a)} "
        f"minus {escape_markdown(label_b)}. A document that is not relevant has no part of its own: it shows in the "
        "others, which it moved down."
    )
    renamed = table.rename(columns={"rank a": f"rank in {label_a}", "rank b": f"rank in {label_b}"})
    st.dataframe(
        renamed,
        hide_index=True,
        placeholder="–",
        column_config={"part": SIGNED},
        alt="The parts of the difference by document",
    )


def open_clicked(figure: object, key: str, alt: str) -> None:
    """Draw a chart whose marks are documents; a click on one asks why it is there."""
    key = (
        f"{key} {state.read('topic')} {state.read('a')} {state.read('b')} {state.read('more')} {state.read('document')}"
    )

    def clicked() -> None:
        document = topic_charts.clicked(st.session_state[key].selection.points)
        if document:
            state.write("document", document)
            state.write("view", "why")

    st.plotly_chart(figure, key=key, config=picture_button(key), on_select=clicked, selection_mode="points", alt=alt)


def positions(shown: Shown) -> None:
    """Draw where each document stands in each list, and how much the lists overlap."""
    depth = shown.depth
    names = topic_tables.shown_documents(shown.rankings, depth)
    table = topic_tables.positions(shown.rankings, names, shown.judgments)
    titles = titles_of(shown.content, names)
    table.insert(0, "title", [titles[name] for name in names])
    highest = shown.content.highest_grade
    figure = topic_charts.position_lines(table, shown.labels, depth, highest)
    open_clicked(figure, "positions", "Lines from list to list, one a document, at its rank")
    st.caption(
        f"Every document that is among the first {depth} of a list, and where it stands in the others: below the line "
        "further down, “none” not in the run at all. A click on a mark explains the document."
    )
    with st.expander("Table of this chart"):
        renamed = table.rename(columns=shown.labels)
        st.dataframe(renamed, hide_index=True, placeholder="–", alt="Rank of each document in each list")
    if len(shown.systems) < 2:
        return
    st.markdown("**Overlap of the lists**")
    overlap = topic_tables.overlaps(shown.rankings, depth).replace({"a": shown.labels, "b": shown.labels})
    config = dict.fromkeys(["RBO", f"Jaccard@{depth}"], st.column_config.NumberColumn(format="%.3f"))
    st.dataframe(overlap, hide_index=True, column_config=config, alt="Overlap of every two lists")


def missed(shown: Shown) -> None:
    """Draw the relevant documents that a list does not show, with their true ranks."""
    depth = shown.depth
    table = topic_tables.missed(shown.rankings, shown.ideal, depth)
    counts = topic_tables.missed_counts(table, shown.rankings, depth)
    for system, row in counts.iterrows():
        st.markdown(
            escape_markdown(
                f"{shown.labels[str(system)]} misses {row['missed']} of {len(shown.ideal)} relevant documents in its "
                f"first {depth}: {row['ranked later']} stand further down, {row['not in the run']} are beyond the "
                f"{row['run']} documents that its run holds for this topic, so their rank is not known."
            )
        )
    titles = titles_of(shown.content, list(table["document"]))
    table.insert(0, "title", [titles[name] for name in table["document"]])
    st.dataframe(
        table.rename(columns=shown.labels),
        hide_index=True,
        placeholder="beyond",
        alt="Relevant documents that a list misses, with their rank in each",
    )


def about(shown: Shown) -> None:
    """Draw the topic: query, question, narrative."""
    topic = shown.topic
    st.subheader(f"Topic {escape_markdown(topic.id)}: {escape_markdown(topic.query)}")
    if topic.question != topic.query:
        st.text(topic.question)
    if topic.narrative:
        st.text(topic.narrative)
    kind = f"{topic.kind}; " if topic.kind else ""
    st.caption(
        escape_markdown(
            f"{kind}{len(shown.ideal)} relevant documents among {len(shown.judgments)} judged; searched for: "
            f"{shortened(shown.query, 200)}"
        )
    )
    if shown.opened.is_imported:
        st.info("The texts are not here: this collection was made of imported runs. Documents are shown by their ids.")


def topic_order(opened: data.Opened, measure: str, a: str, b: str, kind: str) -> pd.DataFrame:
    """Return the topics in the order of the Topics page."""
    values = data.values(opened, measure)
    table = tables.differences(values[a], values.get(b), data.judged_topics(opened).topics)
    return table[table["kind"] == kind] if kind else table
