"""Two systems over all topics: the difference on each topic, notable topics, and the mean by topic type."""

from collections.abc import Mapping
from functools import partial

import streamlit as st

from core.evaluation import topic_tables
from core.evaluation.rank_overlap import rank_biased_overlap
from core.evaluation.rank_tables import titles_of
from core.evaluation.topic_tables import MEDIAN
from core.formats.documents import Document
from core.formats.runs import Scores, ranked
from core.workspace.artifacts import read_latest
from dashboard.shared import charts, data, links, results, state
from dashboard.shared.escaping import escape_markdown
from dashboard.shared.export import picture_button
from dashboard.shared.widgets import FOUR, SIGNED, topic_link
from dashboard.views.topics.charts import kind_bars
from dashboard.views.topics.chosen import Chosen, chart, table_downloads, table_of
from dashboard.views.topics.topic_list import topic_list


def differences(chosen: Chosen, key: str) -> None:
    """Draw the topics as a list beside the bars of their differences, and the numbers of wins, ties and losses."""
    label_a, label_b = chosen.labels[chosen.a], chosen.labels.get(chosen.b, "")
    current = state.read("topic")
    left, right = st.columns([5, 3])
    with left:
        address = partial(links.address, "topic", document="", list="")
        st.html(topic_list(chosen.table, label_a, label_b, lambda topic: address(topic=topic), current, chosen.tie))
    with right, st.container(key="topics-chart"):
        figure = charts.difference_bars(chosen.table, label_a, label_b, chosen.measure, current, chosen.tie)
        chart(figure, key, "Difference on each topic, largest first; click a bar to open the topic")
    collection = chosen.opened.folder.name
    shown = topic_tables.differences_table(
        chosen.table, chosen.labels, chosen.a, chosen.b, chosen.measure, collection, chosen.compared
    )
    table_of(chosen, shown, "topics", {label_a: FOUR, label_b: FOUR, "difference": SIGNED}, tie=chosen.tie)
    if not chosen.b:
        return
    values = {**chosen.values, MEDIAN: topic_tables.median_system(chosen.values)}
    wins = topic_tables.wins_table(values, chosen.b, chosen.topics, chosen.tie, chosen.labels, chosen.caption)
    with st.expander(f"Wins, ties and losses against {escape_markdown(label_b)}"):
        about = f"Wins, ties and losses of each system against {label_b}"
        st.dataframe(wins.shown, column_config={"difference": SIGNED}, alt=about)
        table_downloads(chosen, wins, "wins", tie=chosen.tie)


def contrasts(chosen: Chosen, key: str) -> None:
    """Draw the notable topics, with the changes in each."""
    both = chosen.b in chosen.values  # the median system has no list
    overlaps: dict[str, float] = {}
    texts: Mapping[str, Document] = {}
    if both:
        texts = data.content(chosen.opened).documents
        overlaps = read_latest(
            lambda: results.digests(chosen.opened, [chosen.a, chosen.b]),
            lambda digests: _overlaps(chosen.opened, chosen.a, chosen.b, chosen.topics, digests),
        )

    def lists(topic: str) -> tuple[list[str], list[str]]:
        of_a, of_b = (documents(results.run_scores(chosen.opened, system), topic) for system in (chosen.a, chosen.b))
        return of_a, of_b

    labels = (chosen.labels[chosen.a], chosen.labels.get(chosen.b, ""))
    table = topic_tables.notable_table(
        chosen.table,
        chosen.tie,
        lists if both else None,
        overlaps,
        chosen.content.qrels,
        lambda names: titles_of(texts, names),
        labels,
        chosen.measure,
        chosen.opened.folder.name,
    )
    for column, heading in zip(st.columns(3), topic_tables.notable_headings(*labels), strict=True):
        with column:
            st.markdown(f"**{escape_markdown(heading)}**")
            rows = table.figures[table.figures["notable"] == heading]
            if rows.empty:
                st.caption(
                    f"No topic where the scores differ by at most {max(chosen.tie, topic_tables.CLOSE)}."
                    if heading == topic_tables.TIED
                    else "No topics."
                )
            for topic, row in rows.iterrows():
                with st.container(border=True, gap="xsmall"):
                    topic_link(str(topic), str(row["query"]))
                    overlap = f", overlap (RBO) {row['overlap (RBO)']:.2f}" if both else ""
                    st.caption(f"{chosen.measure} difference {row['difference']:+.4f}{overlap}")
                    if row["change"]:
                        st.caption(escape_markdown(str(row["change"])))
    table_downloads(chosen, table, "notable", tie=chosen.tie)


# sorts both runs for all topics
@st.cache_data(max_entries=20, show_spinner=False, hash_funcs={data.Opened: lambda opened: str(opened.folder)})
def _overlaps(opened: data.Opened, a: str, b: str, topics: list[str], digests: tuple[str, ...]) -> dict[str, float]:
    of_a, of_b = (results.read_run(opened.folder, *version).scores for version in zip((a, b), digests, strict=False))
    return {topic: rank_biased_overlap(documents(of_a, topic), documents(of_b, topic)) for topic in topics}


def documents(run: Scores, topic: str) -> list[str]:
    """Return the documents that a run retrieved for a topic, best first."""
    return [name for name, _ in ranked(run.get(topic, {}))]


def kinds(chosen: Chosen, key: str) -> None:
    """Draw the mean difference by topic type."""
    figure = kind_bars(topic_tables.mean_differences_by_type(chosen.table), f"mean {chosen.difference}")
    st.plotly_chart(figure, key=key, config=picture_button(key), alt="Mean difference by topic type")
    shown = topic_tables.types_table(
        chosen.values,
        chosen.content.topics,
        chosen.labels,
        chosen.measure,
        chosen.opened.folder.name,
        chosen.table,
    )
    config = {label: FOUR for label in chosen.labels.values()} | {"difference": SIGNED}
    table_of(chosen, shown, "types", config)
