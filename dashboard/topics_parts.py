"""The views of the Topics page: each draws one chart over all topics, and its table."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd
import streamlit as st

from core.measures import parse_measure
from core.ndcg_difference import split_difference
from core.overlap import rank_biased_overlap
from core.runs import Scores, ranked
from dashboard import charts, data, state, tables, topic_charts, topic_tables
from dashboard.comparison.export import picture_button
from dashboard.comparison.provenance import command, provenance
from dashboard.text import escape_markdown, shortened

PAGE = "views/topic.py"
FOUR = st.column_config.NumberColumn(format="%.4f")
SIGNED = st.column_config.NumberColumn(format="%+.4f")
PICKED = 3


@dataclass(frozen=True)
class Chosen:
    """What the Topics page looks at: system a against b ("" where only one has run), one measure, some topics."""

    opened: data.Opened
    content: data.Content
    measure: str
    values: topic_tables.Values
    """Of the systems that ran, without the median."""
    a: str
    b: str
    tie: float
    table: pd.DataFrame
    """From `tables.differences`."""
    labels: Mapping[str, str]

    @property
    def topics(self) -> list[str]:
        """The topics that are looked at, the largest difference first."""
        return list(self.table["topic"])

    @property
    def difference(self) -> str:
        """What is drawn, in words."""
        return f"{self.measure}: a − b" if self.b else self.measure


def open_topic(topic: str) -> None:
    """Go to the page of a topic, every other choice as it is."""
    st.switch_page(PAGE, query_params={**st.query_params.to_dict(), "topic": topic})


def chart(figure: object, key: str, alt: str) -> None:
    """Draw a chart whose marks are topics; a click on one opens its topic."""
    event = st.plotly_chart(
        figure, key=key, config=picture_button(key), on_select="rerun", selection_mode="points", alt=alt
    )
    topic = topic_charts.clicked(event.selection.points)
    if topic:
        open_topic(topic)


def table_of(chosen: Chosen, table: pd.DataFrame, name: str, config: Mapping[str, Any]) -> None:
    """Draw the table of a chart, closed at first, with its download."""
    with st.expander("Table of this chart"):
        st.dataframe(table, hide_index=True, column_config=dict(config), alt=f"Table of {name}")
        file = f"{chosen.opened.folder.name}-{name}.csv"
        st.download_button("Table as CSV", table.to_csv(index=False), file, "text/csv", key=f"csv {name}")


def differences(chosen: Chosen, key: str) -> None:
    """Draw the difference of every topic, and who wins how often."""
    label_a, label_b = chosen.labels[chosen.a], chosen.labels.get(chosen.b, "")
    figure = charts.difference_bars(chosen.table, label_a, label_b, chosen.measure, state.read("topic"), chosen.tie)
    chart(figure, key, "Bars of the difference for each topic, the largest first; a click opens the topic")
    shown = chosen.table.drop(columns=["a", "b"])
    if chosen.b:
        shown = chosen.table.rename(columns={"a": label_a, "b": label_b})
    table_of(chosen, shown, "differences", {label_a: FOUR, label_b: FOUR, "difference": SIGNED})
    if not chosen.b:
        return
    values = {**chosen.values, topic_tables.MEDIAN: topic_tables.median_system(chosen.values)}
    tallies = topic_tables.tallies(values, chosen.b, chosen.topics, chosen.tie)
    st.markdown(f"**Wins, ties and losses against {escape_markdown(label_b)}**")
    st.dataframe(
        tallies.rename(index=chosen.labels).rename_axis("system"),
        column_config={"difference": SIGNED},
        alt=f"Wins, ties and losses of every system against {label_b}",
    )


def contrasts(chosen: Chosen, key: str) -> None:
    """Draw the topics to look at first, with what changed in each."""
    label_a, label_b = chosen.labels[chosen.a], chosen.labels.get(chosen.b, "")
    runs = {s: data.run_scores(chosen.opened, s) for s in (chosen.a, chosen.b) if s in chosen.values}
    rankings = {topic: [documents(run, topic) for run in runs.values()] for topic in chosen.topics}
    both = len(runs) == 2
    overlaps = {topic: rank_biased_overlap(a, b) for topic, (a, b) in rankings.items()} if both else {}
    picked = topic_tables.contrasts(chosen.table, overlaps, chosen.tie, PICKED)
    headings = {
        "a": f"{label_a} furthest ahead",
        "b": f"{label_b} furthest ahead",
        "apart": "Tied, with other documents",
    }
    rows = chosen.table.set_index("topic")
    k = cutoff(chosen.measure)
    for column, (name, heading) in zip(st.columns(3), headings.items(), strict=True):
        with column:
            st.markdown(f"**{escape_markdown(heading)}**")
            if not picked[name]:
                st.caption("No such topic.")
            for topic in picked[name]:
                with st.container(border=True, gap="xsmall"):
                    link(topic, str(rows["query"][topic]))
                    overlap = f", overlap (RBO) {overlaps[topic]:.2f}" if both else ""
                    st.caption(f"{chosen.measure} {rows['difference'][topic]:+.4f}{overlap}")
                    if both:
                        judgments = chosen.content.qrels.get(topic, {})
                        parts = split_difference(rankings[topic][0], rankings[topic][1], judgments, k)
                        titles = titles_of(data.content(chosen.opened), [part.document for part in parts])
                        sentence = topic_tables.change_sentence(parts, label_a, label_b, k, titles)
                        st.caption(escape_markdown(sentence))


def documents(run: Scores, topic: str) -> list[str]:
    """Return what a run retrieved for a topic, best first."""
    return [name for name, _ in ranked(run.get(topic, {}))]


def cutoff(measure: str) -> int:
    """Return the cut-off of the nDCG that is split: the measure's own, else 10."""
    parsed = parse_measure(measure)
    return parsed.cutoff if parsed.name == "nDCG" else 10


def titles_of(content: data.Content, documents: Sequence[str]) -> dict[str, str]:
    """Return what each document is called."""
    return {name: topic_tables.document_title(content.documents.get(name), name) for name in documents}


def figures_origin(opened: data.Opened, measure: str, systems: Sequence[str]) -> None:
    """Draw the button that says where the figures of the page come from."""
    option = f'--measures "{measure}" --per-topic'
    commands = {system: command(opened, "evaluate", [system], option) for system in systems}
    about = "values by topic, paired by topic id; a judged topic that a run lacks counts 0"
    provenance(opened, "topics", measure, commands, about)


def link(topic: str, query: str) -> None:
    """Draw a link to a topic's page."""
    label = escape_markdown(f"{topic} · {shortened(query, 40)}")
    st.page_link(PAGE, label=label, query_params={**st.query_params.to_dict(), "topic": topic})


def heat_map(chosen: Chosen, key: str) -> None:
    """Draw topics x systems."""
    table = hard_topics(chosen)
    systems = {name: chosen.labels[name] for name in chosen.values}
    figure = topic_charts.heat_map(table, systems, chosen.measure)
    chart(figure, key, f"{chosen.measure} of every topic and system; a click opens the topic")
    shown = table[["topic", "query", *systems]].rename(columns=systems)
    table_of(chosen, shown, "heat-map", dict.fromkeys(systems.values(), FOUR))


def hard_topics(chosen: Chosen) -> pd.DataFrame:
    """Return the table of `topic_tables.difficulty` for what is looked at."""
    content = chosen.content
    return topic_tables.difficulty(chosen.values, content.topics, content.qrels, chosen.topics)


def difficulty(chosen: Chosen, key: str) -> None:
    """Draw how hard each topic is for all systems."""
    table = hard_topics(chosen)
    chart(topic_charts.difficulty_bars(table, chosen.measure), key, "Mean over systems of each topic, hardest first")
    st.caption("Bar: the mean over systems. Line: from the lowest to the highest system. Left: hard for all.")
    shown = table.drop(columns=list(chosen.values)).replace({"best": dict(chosen.labels)})
    table_of(chosen, shown, "difficulty", dict.fromkeys(["mean", "lowest", "highest"], FOUR))


def query_length(chosen: Chosen, key: str) -> None:
    """Draw the difference against the number of words that were searched."""
    field = chosen.opened.profile.collection.topic_field
    table = topic_tables.with_lengths(chosen.table, chosen.content.topics, field)
    chart(topic_charts.length_scatter(table, chosen.difference), key, "The difference against the words of the query")
    found = topic_tables.rank_correlation(table["words"], table["difference"])
    if found:
        st.write(f"Spearman's rank correlation of words and difference: {found[0]:+.2f} (p = {found[1]:.2g}).")
    shown = table[["topic", "query", "words", "difference"]]
    table_of(chosen, shown, "query-length", {"difference": SIGNED})


def kinds(chosen: Chosen, key: str) -> None:
    """Draw the mean difference by kind of topic."""
    kept = set(chosen.topics)
    groups = chosen.table[chosen.table["kind"] != ""].groupby("kind", sort=False)["difference"]
    table = groups.agg(["size", "mean"]).set_axis(["topics", "difference"], axis=1)
    figure = topic_charts.kind_bars(table, f"mean of {chosen.difference}")
    st.plotly_chart(figure, key=key, config=picture_button(key), alt="Mean difference by kind of topic")
    values = {s: {t: v for t, v in by.items() if t in kept} for s, by in chosen.values.items()}
    shown = tables.by_kind(values, chosen.content.topics).join(table["difference"])
    config = {label: FOUR for label in chosen.labels.values()} | {"difference": SIGNED}
    table_of(chosen, shown.rename(columns=dict(chosen.labels)).reset_index(), "kinds", config)
