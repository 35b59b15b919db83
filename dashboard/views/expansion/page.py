"""doc2query: the documents that predicted queries promoted or demoted, per topic, and the queries themselves."""

import streamlit as st

from core.evaluation import expansion_effects
from core.evaluation.expansion_effects import Move, moves
from core.evaluation.rank_tables import document_title
from core.evaluation.table_formats import Table
from core.evaluation.verdicts import verdict
from core.formats.documents import Document
from core.formats.predicted_queries import SCORES_FOLDER, described
from core.workspace.artifacts import open_artifact
from core.workspace.errors import UserError
from core.workspace.names import safe_name
from core.workspace.profile import SystemSettings
from dashboard.shared import comparison, data, export, left_out, results, state, widgets
from dashboard.shared.charts import clicked, difference_bars
from dashboard.shared.escaping import escape_markdown, show_error
from dashboard.shared.predicted_queries import draw_predicted_queries
from dashboard.shared.provenance import downloads_and_provenance
from dashboard.shared.verdicts import compare_pair, draw_verdict
from dashboard.shared.widgets import SIGNED
from dashboard.views.expansion.curve import draw_curve
from dashboard.views.expansion.effects import effects_by_topic
from dashboard.views.expansion.example import draw_example

DEPTHS = ["10", "20", "100"]
WORDS = """
**doc2query** (Nogueira & Lin, 2019) uses a T5 model that reads each document and generates queries the document could
answer. BM25 indexes them with the document, so that it is also found by words it does not contain.

Some generated queries are not answered by the document. **doc2query--** (Gospodinov et al., 2023) scores each query
against its document with another model and filters out low-scoring queries.
"""


def older_artifacts(opened: data.Opened, system: SystemSettings) -> None:
    """Draw warnings of predicted queries, scores and index that are older than their inputs."""
    made = {
        "doc2query": "the predicted queries",
        SCORES_FOLDER: "their scores",
        f"bm25/{system.name}": f"the index of {opened.labels[system.name]}",
    }
    widgets.say_older(opened, made)


def choose_expanded_and_plain(opened: data.Opened) -> tuple[SystemSettings, str]:
    """Return the expanded system and the system it is compared with; draw the choice if there are several or the link
    names one.

    Raises:
        UserError: there is no expanded system, or none to compare with.
    """
    systems = {system.name: system for system in opened.profile.system if system.expanded}
    if not systems:
        raise UserError(
            f"{opened.folder.name} has no expanded system; set expanded = true for a BM25 system of its profile and "
            "rebuild"
        )
    plain = [s.name for s in opened.profile.system if s.kind == "bm25" and not s.expanded]
    named = state.read("expanded") or state.read("plain")
    left, right = st.columns(2) if named or len(systems) > 1 or len(plain) > 1 else (None, None)
    name = next(iter(systems))
    if left:
        with left:
            name = state.choose("Expanded system", list(systems), "expanded", name, opened.labels)
    others = plain + [other for other in systems if other != name]
    if not others:
        raise UserError(f"{opened.folder.name} has no BM25 system without expansion to compare with")
    if not right:
        return systems[name], others[0]
    with right:
        return systems[name], state.choose("Compared with", others, "plain", others[0], opened.labels)


def draw_effect(opened: data.Opened, content: data.Content, system: SystemSettings, plain: str, topic: str) -> Table:
    """Draw the comparison over all topics, the difference of each topic, and their table; return the table.

    Raises:
        UserError: one of the two systems is not evaluated.
    """
    measure = comparison.choose_measure(opened, widgets.evaluated(opened))
    values = results.values(opened, measure)
    for name in (system.name, plain):
        if name not in values:
            raise UserError(f"{opened.labels[name]} has not been evaluated yet")
    depth = chosen_depth()
    labels = (opened.labels[system.name], opened.labels[plain])
    found = compare_pair(values, system.name, plain)
    table = expansion_effects.topics_table(
        effects_by_topic(opened, plain, system.name, depth),
        values[system.name],
        values[plain],
        measure,
        content.topics,
        labels,
        opened.folder.name,
        found,
    )
    draw_verdict(verdict(labels[0], labels[1], measure, *found))
    shown = table.shown.reset_index()
    name = f"{opened.folder.name}-expansion"
    bars = difference_bars(shown.rename(columns={f"{measure} difference": "difference"}), *labels, measure, topic)
    key = f"chart {name} {measure} {topic}"
    st.plotly_chart(
        bars,
        key=key,
        config=export.picture_button(name),
        on_select=lambda: open_topic(clicked(st.session_state[key].selection.points)),
        selection_mode="points",
        alt=f"Topics that expansion helps and harms: difference in {measure}, in the table below",
    )
    with st.expander("Topics: difference, documents gained and lost"):
        state.choose("Depth", DEPTHS, "depth", DEPTHS[0], width=120)
        st.dataframe(
            shown,
            hide_index=True,
            height=300,
            column_config={f"{measure} difference": SIGNED},
            alt="Effect of expansion by topic",
        )
        st.caption(f"Gained and lost: documents that expansion moved into and out of the top {depth}.")
        options = {"expanded": system.name, "plain": plain, "measure": measure, "depth": depth}
        downloads_and_provenance(opened, name, table, "expansion", options)
    return table


def open_topic(topic: str) -> None:
    """Write a topic to the URL, and close the open document."""
    if topic:
        state.write("topic", topic)
        state.write("document", "")


def chosen_depth() -> int:
    """Return the depth in the URL, 10 if there is none."""
    return int(state.read("depth") if state.read("depth") in DEPTHS else DEPTHS[0])


def topic_moves(
    opened: data.Opened, content: data.Content, system: SystemSettings, plain: str, topic: str
) -> list[Move]:
    """Draw three tables of a topic's documents whose rank changed; return all rank changes."""
    depth = chosen_depth()
    before, after = (results.run_scores(opened, name).get(topic, {}) for name in (plain, system.name))
    found = moves(before, after, content.qrels.get(topic, {}), depth)
    about = f"{opened.folder.name}, topic {topic}"
    table = expansion_effects.moves_table(found, content.documents, content.highest_grade, about)
    for title in expansion_effects.MOVED:
        rows = table.shown[table.shown.index == title]
        st.markdown(f"**{title}** ({len(rows)})")
        if len(rows):
            st.dataframe(rows.reset_index(drop=True), hide_index=True, placeholder="–", alt=title)
    left_out.caption(content, topic)
    st.caption(f"Ranks without and with expansion; – means not retrieved. {' '.join(table.sentences)}")
    name = f"{opened.folder.name}-{safe_name(topic)}-moves"
    options = {"topic": topic, "expanded": system.name, "plain": plain, "depth": depth}
    downloads_and_provenance(opened, name, table, "moves", options)
    return found


def moved_document(
    opened: data.Opened, content: data.Content, system: SystemSettings, found: list[Move], topic: str
) -> None:
    """Draw the selector of a document whose rank changed, and its predicted queries; nothing without texts."""
    if not opened.has_texts:
        return
    texts = {m.document: content.documents[m.document] for m in found if m.document in content.documents}

    def label(document: Document) -> str:
        return f"{document.id} · {document_title(document, document.id)}"

    labels = {name: label(document) for name, document in texts.items()} | {"": "choose a document whose rank changed"}
    chosen = state.choose("Predicted queries of", ["", *texts], "document", "", labels)
    if chosen:
        query = content.topics[topic].text(opened.profile.collection.topic_field)
        with st.expander("Document text"):
            st.text(texts[chosen].title)
            st.text(texts[chosen].text or "(no text)")
        draw_predicted_queries(opened, system, texts[chosen], query)


def page(opened: data.Opened) -> None:
    """Draw the doc2query page of a collection.

    Raises:
        UserError: there is no expanded system to compare, or an artifact is missing or damaged.
    """
    content = data.content(opened)
    system, plain = choose_expanded_and_plain(opened)
    older_artifacts(opened, system)
    manifest = open_artifact(opened.folder.predicted_queries)
    topic = state.read("topic")
    try:
        draw_example(opened, content, system, plain)
    except UserError as error:
        show_error(error)
    st.header("Effect on the topics")
    table = draw_effect(opened, content, system, plain, topic).shown
    names = {str(name): widgets.topic_name(str(name), query) for name, query in table["query"].items()}
    topic = state.choose("Topic", ["", *names], "topic", "", names | {"": "choose a topic to see its rank changes"})
    if topic:
        st.subheader(f"Topic {escape_markdown(topic)}: {escape_markdown(content.topics[topic].query)}")
        st.text(content.topics[topic].text(opened.profile.collection.topic_field))
        try:
            found = topic_moves(opened, content, system, plain, topic)
            moved_document(opened, content, system, found, topic)
        except UserError as error:
            show_error(error)
    try:
        draw_curve(opened, state.read("measure"))
    except UserError as error:
        show_error(error)
    with st.expander("What doc2query is, and how these queries were made", icon=":material/help:"):
        st.markdown(WORDS)
        st.write(escape_markdown(described(manifest)))
