"""Topics: the difference of two systems topic by topic; a topic opens both ranked lists."""

import pandas as pd
import streamlit as st

from core.runs import ranked
from core.significance import compare
from dashboard import charts, data, parts, state, tables
from dashboard.card import grade_text, result_card
from dashboard.text import escape_markdown, shortened

CHART = "differences"


def open_clicked_topic(key: str) -> None:
    """Write the topic of the clicked bar to the URL."""
    points = st.session_state[key].selection.points
    if points:
        clicked = points[0]["customdata"]
        state.write("topic", clicked[0] if isinstance(clicked, list) else str(clicked))


def choices(tidy: pd.DataFrame) -> tuple[str, str, str, str]:
    """Draw the choices above the chart; return system a, system b ("" where only one has run), measure, kind."""
    systems = list(dict.fromkeys(tidy["system"]))
    kinds = sorted({topic.kind for topic in content.topics.values() if topic.kind})
    columns = st.columns(4 if kinds else 3)
    baseline = parts.first_baseline(opened, systems)
    with columns[0]:
        others = [system for system in systems if system != baseline]
        a = state.choose("System a", systems, "a", others[0] if others else baseline, opened.labels)
    b = ""
    if len(systems) > 1:
        rest = [system for system in systems if system != a]
        with columns[1]:
            b = state.choose("minus system b", rest, "b", baseline if baseline in rest else rest[0], opened.labels)
    with columns[2]:
        measure = parts.choose_measure(opened, tidy)
    kind = ""
    if kinds:
        with columns[3]:
            kind = state.choose("Kind of topic", ["", *kinds], "kind", "", {"": "all"})
    return a, b, measure, kind


def choose_topic(table: pd.DataFrame) -> str:
    """Draw previous, next and the select box, in the chart's order; return the open topic or ""."""
    names = list(table["topic"])
    topic = state.read("topic")
    place = names.index(topic) if topic in names else -1
    texts = {name: f"{name} · {shortened(content.topics[name].query, 80)}" for name in names if name in content.topics}
    with st.container(horizontal=True, vertical_alignment="bottom"):
        previous, following = names[max(place - 1, 0)], names[min(place + 1, len(names) - 1)]
        st.button("Previous", disabled=place <= 0, on_click=state.write, args=("topic", previous))
        st.button("Next", disabled=place == len(names) - 1, on_click=state.write, args=("topic", following))
        return state.choose("Topic", ["", *names], "topic", "", texts | {"": "choose one, or click a bar"})


def ranked_list(system: str, other: str, depth: int) -> None:
    """Draw the first documents of a system's list for the open topic."""
    st.markdown(f"**{escape_markdown(opened.labels[system])}** · {measure} {values[system][topic]:.4f}")
    hits = ranked(data.run_scores(opened, system).get(topic, {}))
    if not hits:
        st.write("This run has nothing for the topic; it counts 0.")
    places = {}
    if other:
        in_other = ranked(data.run_scores(opened, other).get(topic, {}))
        places = {identity: rank for rank, (identity, _) in enumerate(in_other, 1)}
    judgments = content.qrels.get(topic, {})
    for rank, (identity, score) in enumerate(hits[:depth], 1):
        place = f"rank {places[identity]}" if identity in places else "not"
        result_card(
            rank,
            identity,
            score,
            content.documents.get(identity),
            grade=grade_text(judgments.get(identity), content.highest_grade),
            elsewhere=f"{place} in {opened.labels[other]}" if other else "",
        )


opened: data.Opened = st.session_state["opened"]
content = data.content(opened)
tidy = parts.evaluated(opened)
a, b, measure, kind = choices(tidy)
values = tables.per_topic(tidy, measure)
table = tables.differences(values[a], values.get(b), content.topics)
table = table[table["kind"] == kind] if kind else table
label_a, label_b = opened.labels[a], opened.labels.get(b, "")
kept = list(table["topic"])
if b and len(kept) > 1:
    found = compare({t: values[a][t] for t in kept}, {t: values[b][t] for t in kept})
    st.write(escape_markdown(tables.verdict(label_a, label_b, measure, found)))
elif not b:
    st.write(escape_markdown(f"Only {label_a} has run: its own {measure} is drawn, there is nothing to compare with."))
topic = state.read("topic")
figure = charts.difference_bars(table, label_a, label_b, measure, topic)
# A key of its own for each view: no click of an earlier one stays selected in it.
key = f"{CHART} {a} {b} {measure} {kind} {topic}"
st.plotly_chart(
    figure,
    key=key,
    config=charts.CONFIG,
    on_select=lambda: open_clicked_topic(key),
    selection_mode="points",
    alt="Bars of the difference for each topic, the largest first",
)
with st.expander("Table of these differences"):
    shown = table.rename(columns={"a": label_a, "b": label_b}) if b else table.drop(columns=["a", "b"])
    four = st.column_config.NumberColumn(format="%.4f")
    st.dataframe(shown, hide_index=True, column_config=dict.fromkeys([label_a, label_b, "difference"], four))
    st.download_button("Table as CSV", shown.to_csv(index=False), f"{opened.folder.name}-topics.csv", "text/csv")
topic = choose_topic(table)
if topic:
    about = content.topics[topic]
    st.subheader(f"Topic {escape_markdown(topic)}: {escape_markdown(about.query)}")
    st.text(about.question)
    if about.narrative:
        st.text(about.narrative)
    if opened.is_imported:
        st.info("The texts are not here: this collection was made of imported runs. Documents are shown by their ids.")
    depth = int(state.choose("Documents shown", ["10", "20", "50", "100"], "depth", "10", width=160))
    columns = st.columns(2 if b else 1)
    for column, system, other in zip(columns, (a, b), (b, a), strict=False):
        with column:
            ranked_list(system, other, depth)
