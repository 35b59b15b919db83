"""Documents: a map of a dense system's vectors, marking a topic's relevant and retrieved documents."""

from collections.abc import Mapping
from dataclasses import dataclass

import pandas as pd
import streamlit as st

from core.evaluation.grades import grade_text
from core.evaluation.rank_tables import document_title, title_of
from core.formats.runs import ranked
from core.workspace.errors import UserError
from dashboard.shared import data, left_out, results, state, widgets
from dashboard.shared.charts import clicked
from dashboard.shared.escaping import escape_markdown, shortened
from dashboard.views.documents import document_map

FIRST = 10
WORDS = """
Each point is a document: its **vector**, projected onto the first two principal components (PC). Neighbouring points
are often about the same subject, but two dimensions preserve little of several hundred: the axis labels give the share
of the variance explained. The systems rank by all dimensions, so points that are close on the map need not have similar
vectors.
"""


@dataclass(frozen=True)
class Marked:
    """A topic ("" if none is chosen), its judgments, and the ranks of its documents in each chosen system."""

    topic: str
    judgments: Mapping[str, int]
    ranks: dict[str, dict[str, int]]
    """system -> document -> rank, of the systems that have a run"""

    @property
    def relevant(self) -> dict[str, int]:
        """The relevant documents with their grades."""
        return {document: grade for document, grade in self.judgments.items() if grade > 0}


def marked_documents(opened: data.Opened, content: data.Content, topic: str, systems: list[str]) -> Marked:
    """Return the judgments and ranks that the map marks for a topic."""
    found = {}
    for name in systems if topic else []:
        try:
            hits = ranked(results.run_scores(opened, name).get(topic, {}))
        except UserError:
            continue  # the Overview shows which systems have no run, and why
        found[name] = {document: rank for rank, (document, _) in enumerate(hits, 1)}
    return Marked(topic, content.qrels.get(topic, {}), found)


def open_clicked_document(key: str) -> None:
    """Write the document of the clicked point to the URL."""
    document = clicked(st.session_state[key].selection.points)
    if document:
        state.write("document", document)


def open_document_of_row(key: str, documents: list[str]) -> None:
    """Write the document of the chosen row to the URL."""
    rows = st.session_state[key].selection.rows
    if rows:
        state.write("document", documents[rows[0]])


def draw_table(opened: data.Opened, content: data.Content, marked: Marked, chosen: str) -> None:
    """Draw a table of the documents that are relevant or in a system's top ranks, with their ranks."""
    places = marked.ranks.values()
    first = {document for by in places for document, rank in by.items() if rank <= FIRST}
    graded = [(document, marked.judgments.get(document)) for document in first | set(marked.relevant)]
    best = {d: min((by[d] for by in places if d in by), default=10**9) for d, _ in graded}
    graded.sort(key=lambda row: (-(row[1] if row[1] is not None else -1), best[row[0]], row[0]))
    rows = [
        {"grade": grade_text(grade, content.highest_grade)}
        | {opened.labels[name]: by.get(document) for name, by in marked.ranks.items()}
        | {"title": document_title(content.documents.get(document), document), "document": document}
        for document, grade in graded
    ]
    key = f"rows {marked.topic} {'.'.join(marked.ranks)} {chosen}"
    st.dataframe(
        pd.DataFrame(rows),
        hide_index=True,
        key=key,
        height=document_map.HEIGHT - 40,
        placeholder="–",
        column_config={"title": st.column_config.TextColumn(width="medium")},
        on_select=lambda: open_document_of_row(key, [document for document, _ in graded]),
        selection_mode="single-row",
        alt="Relevant and retrieved documents of the topic with their ranks",
    )
    st.caption(f"{len(rows)} documents that are relevant or in a system's top {FIRST}. The numbers are ranks.")


def draw_document(opened: data.Opened, content: data.Content, marked: Marked, chosen: str) -> None:
    """Draw the open document."""
    document = content.documents.get(chosen)
    if document is None:
        missing = "The collection has no document" if opened.has_texts else "There is no text here of document"
        st.info(f"{missing} {escape_markdown(chosen)}.")
        return
    with st.container(border=True):
        st.markdown(f"**{escape_markdown(title_of(document, chosen))}**")
        if marked.topic:
            ranks = marked.ranks.items()
            facts = [grade_text(marked.judgments.get(chosen), content.highest_grade)]
            facts += [f"rank {by[chosen]} in {opened.labels[name]}" for name, by in ranks if chosen in by]
            st.caption(escape_markdown(" · ".join(facts)))
        st.text(document.text or "(no text)")
        st.text(f"document {document.id}")
        st.button("Close", on_click=state.write, args=("document", ""))


def page(opened: data.Opened) -> None:
    """Draw the Documents page of a collection.

    Raises:
        UserError: the collection has no dense system, or the collection or the vectors are missing or damaged.
    """
    content = data.content(opened)
    dense = [system.name for system in opened.profile.system if system.kind == "dense"]
    if not dense:
        raise UserError(f"{opened.folder.name} has no dense system, so there are no vectors to map")
    first, second = st.columns(2)
    with first:
        system = state.choose("Embedding model", dense, "system", dense[0], opened.labels)
    with second:
        names = {t.id: f"{t.id} · {shortened(t.query, 80)}" for t in content.topics.values()}
        topic = state.choose("Topic", ["", *names], "topic", "", names | {"": "none"})
    systems = state.choose_several("Mark the top 10 of", list(opened.labels), "systems", opened.labels)
    svg = state.switch(
        "Compatibility mode (SVG)",
        "svg",
        "Use this if the map stays empty; slower, and draws fewer documents of a large collection",
    )
    widgets.say_older(
        opened,
        {f"vectors/{system}": f"the vectors of {opened.labels[system]}"}
        | {f"runs/{name}": f"the run of {opened.labels[name]}" for name in (systems if topic else [])},
    )
    layout, shares = document_map.points(opened, system)
    marked = marked_documents(opened, content, topic, systems)
    chosen = state.read("document")
    found = {opened.labels[name]: list(by)[:FIRST] for name, by in marked.ranks.items()}
    titles = {
        document: document_title(content.documents.get(document), document)
        for by in [*found.values(), list(marked.relevant)]
        for document in by
    }
    webgl = not svg and len(layout) > document_map.MOST_IN_SVG
    drawn = document_map.figure(layout, shares, titles, marked.relevant, found, chosen, webgl)
    left, right = st.columns([3, 2]) if topic else (st.container(), None)
    with left:
        key = f"map {system} {topic} {'.'.join(systems)} {chosen}"
        st.plotly_chart(
            drawn,
            key=key,
            config=document_map.CONFIG,
            on_select=lambda: open_clicked_document(key),
            selection_mode="points",
            alt="Map of the documents; the table lists the marked ones",
        )
    if right:
        with right:
            draw_table(opened, content, marked, chosen)
        left_out.caption(content, topic)
    else:
        st.caption("Choose a topic to mark its relevant documents and those the systems retrieved.")
    if chosen:
        draw_document(opened, content, marked, chosen)
    st.markdown(WORDS)
