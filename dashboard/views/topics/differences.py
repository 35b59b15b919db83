"""Two systems over all topics: the difference of each, the topics picked for the reader, and the mean by kind."""

import streamlit as st

from core.evaluation import topic_tables
from core.evaluation.ndcg_decomposition import split_difference
from core.evaluation.rank_overlap import rank_biased_overlap
from core.evaluation.rank_tables import change_sentence, split_cutoff, titles_of
from core.formats.runs import Scores, ranked
from core.workspace.artifacts import read_latest
from dashboard.shared import charts, data, results, state
from dashboard.shared.escaping import escape_markdown
from dashboard.shared.export import picture_button
from dashboard.shared.widgets import FOUR, SIGNED, topic_link
from dashboard.views.topics.charts import kind_bars
from dashboard.views.topics.chosen import Chosen, chart, table_downloads, table_of

PICKED = 3


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
    shown = tallies.rename(index=chosen.labels).rename_axis("system")
    about = f"Wins, ties and losses of every system against {label_b}"
    st.dataframe(shown, column_config={"difference": SIGNED}, alt=about)
    table_downloads(chosen, shown, "wins-ties-losses")


def contrasts(chosen: Chosen, key: str) -> None:
    """Draw the topics to look at first, with what changed in each."""
    label_a, label_b = chosen.labels[chosen.a], chosen.labels.get(chosen.b, "")
    both = chosen.b in chosen.values  # the median has no list
    overlaps: dict[str, float] = {}
    if both:
        overlaps = read_latest(
            lambda: results.digests(chosen.opened, [chosen.a, chosen.b]),
            lambda digests: _overlaps(chosen.opened, chosen.a, chosen.b, chosen.topics, digests),
        )
    picked = topic_tables.contrasts(chosen.table, overlaps, chosen.tie, PICKED)
    headings = {
        "a": f"{label_a} furthest ahead",
        "b": f"{label_b} furthest ahead",
        "apart": "Tied, with other documents",
    }
    rows = chosen.table.set_index("topic")
    texts = data.content(chosen.opened).documents if both else {}
    k = split_cutoff(chosen.measure)
    for column, (name, heading) in zip(st.columns(3), headings.items(), strict=True):
        with column:
            st.markdown(f"**{escape_markdown(heading)}**")
            if not picked[name]:
                st.caption("No such topic.")
            for topic in picked[name]:
                with st.container(border=True, gap="xsmall"):
                    topic_link(topic, str(rows["query"][topic]))
                    overlap = f", overlap (RBO) {overlaps[topic]:.2f}" if both else ""
                    st.caption(f"{chosen.measure} {rows['difference'][topic]:+.4f}{overlap}")
                    if both:
                        judgments = chosen.content.qrels.get(topic, {})
                        runs = (results.run_scores(chosen.opened, system) for system in (chosen.a, chosen.b))
                        of_a, of_b = (documents(run, topic) for run in runs)
                        parts = split_difference(of_a, of_b, judgments, k)
                        titles = titles_of(texts, [part.document for part in parts])
                        sentence = change_sentence(parts, label_a, label_b, k, titles)
                        st.caption(escape_markdown(sentence))


# Both runs are sorted whole, for all topics.
@st.cache_data(max_entries=20, show_spinner=False, hash_funcs={data.Opened: lambda opened: str(opened.folder)})
def _overlaps(opened: data.Opened, a: str, b: str, topics: list[str], digests: tuple[str, ...]) -> dict[str, float]:
    of_a, of_b = (results.read_run(opened.folder, *version).scores for version in zip((a, b), digests, strict=False))
    return {topic: rank_biased_overlap(documents(of_a, topic), documents(of_b, topic)) for topic in topics}


def documents(run: Scores, topic: str) -> list[str]:
    """Return what a run retrieved for a topic, best first."""
    return [name for name, _ in ranked(run.get(topic, {}))]


def kinds(chosen: Chosen, key: str) -> None:
    """Draw the mean difference by kind of topic."""
    kept = set(chosen.topics)
    groups = chosen.table[chosen.table["kind"] != ""].groupby("kind", sort=False)["difference"]
    table = groups.agg(["size", "mean"]).set_axis(["topics", "difference"], axis=1)
    figure = kind_bars(table, f"mean of {chosen.difference}")
    st.plotly_chart(figure, key=key, config=picture_button(key), alt="Mean difference by kind of topic")
    values = {s: {t: v for t, v in by.items() if t in kept} for s, by in chosen.values.items()}
    shown = topic_tables.means_by_type(values, chosen.content.topics).join(table["difference"])
    config = {label: FOUR for label in chosen.labels.values()} | {"difference": SIGNED}
    table_of(chosen, shown.rename(columns=dict(chosen.labels)).reset_index(), "kinds", config)
