"""Topic: one topic in detail, with the lists of 2 to 4 systems and several views of their differences."""

import pandas as pd
import streamlit as st

from core.formats.runs import ranked
from core.workspace.errors import UserError
from dashboard.shared import comparison, data, glossary, links, results, state, widgets
from dashboard.shared.escaping import escape_markdown, shortened
from dashboard.views.topic import difference, lists, shown, why

MOST = 4
VIEWS = {
    "lists": ("Ranked lists", lists.lists),
    "difference": ("Contributions by document", difference.difference),
    "positions": ("Rank changes and overlap", difference.positions),
    "missed": ("Missed relevant", lists.missed),
    "why": ("Score explanation", why.why),
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


def choose_topic(table: pd.DataFrame) -> str:
    """Draw previous, next and the select box, in the order of the Topics page; return the open topic."""
    names = list(table["topic"])
    wanted = state.read("topic")
    if wanted and wanted not in names:
        st.warning(escape_markdown(f"Topic {wanted} is not in this selection; topic {names[0]} is shown instead."))
    place = names.index(wanted) if wanted in names else 0
    texts = dict(zip(names, table["query"], strict=True))
    with st.container(horizontal=True, vertical_alignment="bottom"):
        before, after = names[max(place - 1, 0)], names[min(place + 1, len(names) - 1)]
        st.button("Previous", disabled=place == 0, on_click=state.write, args=("topic", before), shortcut="P")
        last = place == len(names) - 1
        st.button("Next", disabled=last, on_click=state.write, args=("topic", after), shortcut="N")
        labels = {name: f"{name} · {shortened(texts[name], 80)}" for name in names}
        return state.choose("Topic", names, "topic", names[0], labels, silent=True)


def page(opened: data.Opened) -> None:
    """Draw the Topic page of a collection.

    Raises:
        UserError: no system is evaluated, no topic is left, or what the page reads is missing or damaged.
    """
    content = data.content(opened)
    tidy = widgets.evaluated(opened)
    first_row = st.container()
    view = comparison.choose(opened, tidy)
    measure, (a, b) = view.measure, view.pair
    left, right = st.columns([4, 1])
    with left:
        more = choose_further(opened, view.systems, view.pair)
    with right:
        depth = int(state.choose("Depth", ["10", "20", "50", "100"], "depth", "10"))
    table = shown.topic_order(opened, measure, a, b, state.read("kind"))
    if table.empty:
        raise UserError(f"no topic of type {state.read('kind')} was evaluated for both systems")
    with first_row:
        topic = choose_topic(table)
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
    shown.about(looked_at)
    views = {name: label for name, (label, _) in VIEWS.items() if b or name != "difference"}
    if b:
        shown.sentence(looked_at)
    shown_view = state.choose_view("View", views, "view")
    if shown_view == "why":  # explained with the current indexes, which may not be those that made the runs
        explained = [system for system in opened.profile.system if system.name in systems]
        widgets.say_older(opened, widgets.answering_artifacts(opened, explained))
    VIEWS[shown_view][1](looked_at)
    links.page_link("topics", "All topics", ":material/arrow_back:")
    glossary.explain_terms(
        glossary.NDCG, glossary.JUDGED, glossary.GRADES, glossary.PARTS, glossary.RBO, glossary.WORDS
    )
