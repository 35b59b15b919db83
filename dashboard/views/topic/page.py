"""Topic: one topic in detail, with the lists of 2 to 4 systems and several views of their differences."""

import pandas as pd
import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from core.evaluation.results import first_baseline
from core.formats.runs import ranked
from core.workspace.errors import UserError
from dashboard.shared import data, glossary, links, results, state, widgets
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


def choose_systems(
    opened: data.Opened, systems: list[str], columns: list[DeltaGenerator]
) -> tuple[str, str, list[str]]:
    """Draw the choice of systems; return a, b ("" if only one has a run) and the others to show."""
    baseline = first_baseline(opened.profile, systems)
    left, middle, right = columns
    with left:
        others = [system for system in systems if system != baseline]
        a = state.choose("System A", systems, "a", others[0] if others else baseline, opened.labels)
    rest = [system for system in systems if system != a]
    if not rest:
        return a, "", []
    with middle:
        b = state.choose("Compared with B", rest, "b", baseline if baseline in rest else rest[0], opened.labels)
    further = [system for system in rest if system != b]
    if not further:
        return a, b, []
    key = "choice more"
    wanted = state.read("more").split(",")
    st.session_state[key] = [system for system in further if system in wanted][: MOST - 2]
    if unknown := [name for name in wanted if name and name not in systems]:
        st.warning(escape_markdown(f"Also show: {', '.join(unknown)} is not available."))
    with right:
        more = st.multiselect(
            "Also show",
            further,
            key=key,
            format_func=opened.labels.__getitem__,
            max_selections=MOST - 2,
            placeholder="up to two more",
            on_change=lambda: state.write("more", ",".join(st.session_state[key])),
        )
    return a, b, more


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
    columns = st.columns([3, 3, 4, 3, 2])
    a, b, more = choose_systems(opened, list(dict.fromkeys(tidy["system"])), columns[:3])
    with columns[3]:
        measure = widgets.choose_measure(opened, tidy, state.read("measure"))
    with columns[4]:
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
    view = state.choose_view("View", views, "view")
    if view == "why":  # explained with the current indexes, which may not be those that made the runs
        explained = [system for system in opened.profile.system if system.name in systems]
        widgets.say_older(opened, widgets.answering_artifacts(opened, explained))
    VIEWS[view][1](looked_at)
    links.page_link("topics", "All topics", ":material/arrow_back:")
    glossary.explain_terms(
        glossary.NDCG, glossary.JUDGED, glossary.GRADES, glossary.PARTS, glossary.RBO, glossary.WORDS
    )
