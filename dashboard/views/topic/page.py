"""Topic: one topic in detail, with the lists of 2 to 4 systems and several views of their differences."""

import pandas as pd
import streamlit as st

from core.formats.runs import ranked
from core.workspace.errors import UserError
from dashboard.shared import comparison, data, glossary, links, results, state, widgets
from dashboard.shared.availability import unavailable
from dashboard.shared.escaping import escape_markdown
from dashboard.views.topic import difference, lists, shown

MOST = 4
VIEWS = {
    "lists": ("Ranked lists", lists.lists),
    "difference": ("Contributions", difference.difference),
    "positions": ("Rank changes", difference.positions),
}


def choose_further(opened: data.Opened, systems: list[str], pair: tuple[str, str]) -> list[str]:
    """Draw the choice of further systems beside a and b, and return it."""
    further = [system for system in systems if system not in pair]
    if not further:
        return []
    key = "choice more"
    wanted = state.read("more").split(",")
    st.session_state[key] = [system for system in further if system in wanted][: MOST - 2]
    if unknown := [name for name in wanted if name and name not in systems]:
        st.warning(escape_markdown(f"Also show: {', '.join(unknown)} is not available."))
    return st.multiselect(
        "Also show",
        further,
        key=key,
        format_func=opened.labels.__getitem__,
        max_selections=MOST - 2,
        placeholder="up to two more",
        on_change=lambda: state.write("more", ",".join(st.session_state[key])),
    )


def open_topic(topic: str) -> None:
    """Open a topic; the open document belongs to the one before."""
    state.write("topic", topic)
    state.write("document", "")
    state.write("list", "")


def choose_place(names: list[str]) -> int:
    """Return the place of the topic in the URL among the names; draw a warning if it is not there."""
    wanted = state.read("topic")
    if wanted in names:
        return names.index(wanted)
    if wanted:
        st.warning(escape_markdown(f"Topic {wanted} is not in this selection; topic {names[0]} is shown instead."))
    return 0


def options(view: comparison.View, table: pd.DataFrame) -> tuple[list[str], int]:
    """Draw the choice of topic, further systems and depth; return the last two."""
    names = list(table["topic"])
    labels = {t: widgets.topic_name(t, query) for t, query in zip(names, table["query"], strict=True)}
    with st.popover("Options", icon=":material/tune:"):
        state.choose("Topic", names, "topic", names[0], labels, silent=True)
        more = choose_further(view.opened, view.systems, view.pair)
        depth = int(state.choose("Depth", ["10", "20", "50", "100"], "depth", "10"))
    return more, depth


def page(opened: data.Opened) -> None:
    """Draw the Topic page of a collection.

    Raises:
        UserError: no system is evaluated, no topic is left, or what the page reads is missing or damaged.
    """
    content = data.content(opened)
    view = comparison.choose(opened, widgets.evaluated(opened))
    measure, (a, b) = view.measure, view.pair
    table = shown.topic_order(opened, measure, a, b, state.read("kind"))
    if table.empty:
        raise UserError(f"no topic of type {state.read('kind')} was evaluated for both systems")
    names = list(table["topic"])
    place = choose_place(names)
    topic = names[place]
    with st.container(horizontal=True, vertical_alignment="center", key="topic-line"):
        if st.button("Topics", icon=":material/arrow_back:", shortcut="B", type="tertiary"):
            links.switch_to("topics")
        before, after = names[max(place - 1, 0)], names[min(place + 1, len(names) - 1)]
        st.button("Previous", disabled=topic == before, on_click=open_topic, args=(before,), shortcut="P")
        line = st.empty()
        st.button("Next", disabled=topic == after, on_click=open_topic, args=(after,), shortcut="N")
    with st.container(gap="xsmall"):
        words = st.container(gap="xsmall")
        with st.container(horizontal=True, vertical_alignment="center"):
            views = {name: label for name, (label, _) in VIEWS.items() if b or name != "difference"}
            chosen = state.choose_view("View", views, "view")
            if "documents" not in unavailable(opened):
                links.page_link("documents", "Map", ":material/scatter_plot:", topic=topic)
            more, depth = options(view, table)
            if chosen == "lists":
                lists.switches(depth, bool(b))
    systems = [a, b, *more] if b else [a]
    runs = {system: results.run(opened, system) for system in systems}
    looked_at = shown.Shown(
        opened,
        content,
        content.topics[topic],
        measure,
        systems,
        {system: ranked(run.scores.get(topic, {})) for system, run in runs.items()},
        depth,
        set().union(*(run.left_out.get(topic, ()) for run in runs.values())),
    )
    line.html(shown.topic_line(looked_at, table, place))
    with words:
        shown.about(looked_at)
        if b:
            shown.sentence(looked_at)
    VIEWS[chosen][1](looked_at)
    glossary.explain_terms(
        glossary.NDCG, glossary.JUDGED, glossary.GRADES, glossary.PARTS, glossary.RBO, glossary.WORDS
    )
