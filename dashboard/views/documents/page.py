"""Documents: a map of a dense system's vectors with clusters, a topic's documents, and those near a query."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import streamlit as st

from core.evaluation.document_map import DocumentMap, clusters_table, neighbours_table
from core.evaluation.grades import grade_text
from core.evaluation.rank_tables import document_title, title_of, titles_of
from core.formats.runs import ranked
from core.retrieval.systems import DenseSystem
from core.workspace.artifacts import open_artifact
from core.workspace.errors import UserError
from core.workspace.profile import find_settings
from dashboard.shared import data, left_out, live, results, state, widgets
from dashboard.shared.charts import clicked
from dashboard.shared.escaping import escape_markdown, show_error
from dashboard.shared.provenance import downloads_and_provenance
from dashboard.views.documents import document_map

FIRST = 10
ENCODED = "encoded query"
"""Key of the session's state that holds the last query's vector and its nearest documents."""
LONGEST_QUERY = 1000
"""Number of letters of a query, which is kept in the URL."""
TEXT_HEIGHT, LONG_TEXT = 180, 600
"""Height in pixels of the text of the open document, if it has more letters than that."""
WORDS = """
Each point is a document: its **vector**, projected onto the first two principal components (PC). Neighbouring points
are often about the same subject, but two dimensions preserve little of several hundred: the axis labels give the share
of the variance explained. The systems rank by all dimensions, so points that are close on the map need not have similar
vectors. **Nearest documents** and **clusters** (k-means) are those in all dimensions. A cluster is named by the terms
that distinguish its most central documents from those of the other clusters. Lines show the **density** of all
documents. A **query** is encoded by the same model and projected onto the same components.
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
            continue  # the Summary shows which systems have no run, and why
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
        with st.container(height=TEXT_HEIGHT if len(document.text) > LONG_TEXT else "content", border=False):
            st.text(document.text or "(no text)")
        st.text(f"document {document.id}")
        st.button("Close", on_click=state.write, args=("document", ""))


def draw_nearest(
    opened: data.Opened,
    content: data.Content,
    system: str,
    marked: Marked,
    found: Sequence[tuple[str, float]],
    options: Mapping[str, str],
) -> None:
    """Draw the documents nearest to the open document or the query; a row opens its document.

    Args:
        found: (document, similarity) pairs, the most similar first.
        options: the option of `python -m core.compare document-neighbours` that names the document or the query.
    """
    titles = titles_of(content.documents, [document for document, _ in found])
    ((kind, name),) = options.items()
    about = name if kind == "document" else f"the query “{name}”"
    table = neighbours_table(found, titles, about, opened.labels[system], opened.folder.name)
    shown = table.shown.reset_index()
    if marked.topic:
        grades = [grade_text(marked.judgments.get(document), content.highest_grade) for document, _ in found]
        shown.insert(2, "grade", grades)
    key = f"nearest {system} {kind} {name} {marked.topic}"
    st.markdown(f"**Nearest documents** of {'this document' if kind == 'document' else 'the query'}, all dimensions")
    st.dataframe(
        shown,
        hide_index=True,
        key=key,
        column_config={
            "similarity": st.column_config.NumberColumn(format="%.3f"),
            "title": st.column_config.TextColumn(width="medium"),
        },
        on_select=lambda: open_document_of_row(key, [document for document, _ in found]),
        selection_mode="single-row",
        alt=table.caption,
    )
    name = f"{opened.folder.name}-nearest"
    made_from = {opened.folder.vectors(system).shown: open_artifact(opened.folder.vectors(system))}
    options = {**options, "system": system}
    downloads_and_provenance(opened, name, table, "document-neighbours", options, made_from=made_from)


def draw_clusters(opened: data.Opened, content: data.Content, system: str, found: DocumentMap) -> None:
    """Draw the table of the clusters; a row opens the most central document."""
    table = clusters_table(found, content.documents, opened.labels[system], opened.folder.name)
    for sentence in table.sentences:
        st.caption(sentence)
    if not found.names:
        return
    key = f"clusters {system}"
    documents = [central[0] for central in found.central]
    st.dataframe(
        table.shown.reset_index()[["cluster", "documents", "most central document"]],
        hide_index=True,
        key=key,
        height=document_map.HEIGHT - 80,
        column_config={
            "cluster": st.column_config.TextColumn(width="medium"),
            "documents": st.column_config.NumberColumn(width="small"),
        },
        on_select=lambda: open_document_of_row(key, documents),
        selection_mode="single-row",
        alt="Clusters with their number of documents and most central document",
    )
    made_from = {opened.folder.vectors(system).shown: open_artifact(opened.folder.vectors(system))}
    name = f"{opened.folder.name}-clusters"
    downloads_and_provenance(opened, name, table, "document-clusters", {"system": system}, made_from=made_from)


def ask_query() -> str:
    """Draw the box of the query, which is kept in the URL, and return the query."""
    st.session_state["map query"] = state.read("query")[:LONGEST_QUERY]
    st.text_input(
        "Query",
        key="map query",
        max_chars=LONGEST_QUERY,
        placeholder="loss of smell",
        help="Encoded by the embedding model: its point on the map, and the documents nearest to it",
        on_change=lambda: state.write("query", " ".join(st.session_state["map query"].split())),
    )
    return state.read("query")[:LONGEST_QUERY]


def encode_query(
    opened: data.Opened, system: str, query: str, draw_first: Callable[[], object]
) -> tuple[np.ndarray, list[tuple[str, float]]]:
    """Return a query's vector, float32 [1, dimension], and its nearest documents with their similarities.

    Args:
        draw_first: draws what need not wait for the model, which takes seconds to load; not called if the query is the
            last one of the session.

    Raises:
        UserError: the model or the vectors cannot be loaded.
    """
    version = (str(opened.folder), system, query, open_artifact(opened.folder.vectors(system)).digest)
    known = st.session_state.get(ENCODED)
    if known and known[0] == version:
        return known[1], known[2]
    draw_first()
    with st.spinner("Encoding the query …"):
        ready = live.ready_system(opened, find_settings(opened.profile, system))
        assert isinstance(ready.system, DenseSystem)
        with ready.lock:
            vector, hits = ready.system.encode([query]), ready.system.search([query], FIRST)[0].hits
    st.session_state[ENCODED] = (version, vector, hits)
    return vector, hits


def choose(opened: data.Opened, content: data.Content, dense: list[str]) -> tuple[str, str, str, list[str], bool]:
    """Draw the choices; return query, topic, embedding model, the systems to mark, and whether to draw with SVG."""
    first, second, third = st.columns([4, 4, 2], vertical_alignment="bottom")
    with first:
        query = ask_query()
    with second:
        names = {t.id: widgets.topic_name(t.id, t.query) for t in content.topics.values()}
        topic = state.choose("Topic", ["", *names], "topic", "", names | {"": "none"})
    with third, st.popover("Map options", width="stretch"):
        default = next((name for name in (state.read("a"), state.read("b")) if name in dense), dense[0])
        system = state.choose("Embedding model", dense, "system", default, opened.labels)
        systems = state.choose_several("Mark the top 10 of", list(opened.labels), "systems", opened.labels)
        svg = state.switch(
            "Compatibility mode (SVG)",
            "svg",
            "Use this if the map stays empty; slower, and draws fewer documents of a large collection",
        )
    return query, topic, system, systems, svg


def summary(found: DocumentMap, label: str) -> str:
    """Return what the map shows, a sentence."""
    count = f"{len(found.documents):,} documents by the vectors of {label}"
    if not found.names:
        return f"{count}."
    largest = int((found.clusters == 0).sum())
    return f"{count}, in {len(found.names)} clusters; the largest ({largest:,}): {found.names[0]}."


def page(opened: data.Opened) -> None:
    """Draw the Documents page of a collection.

    Raises:
        UserError: the collection has no dense system, or the collection or the vectors are missing or damaged.
    """
    content = data.content(opened)
    dense = opened.profile.encoded
    if not dense:
        raise UserError(f"{opened.folder.name} has no dense system, so there are no vectors to map")
    above = st.empty()
    query, topic, system, systems, svg = choose(opened, content, dense)
    widgets.say_older(
        opened,
        {f"vectors/{system}": f"the vectors of {opened.labels[system]}"}
        | {f"runs/{name}": f"the run of {opened.labels[name]}" for name in (systems if topic else [])},
    )
    found = document_map.mapped(opened, system)
    above.markdown(escape_markdown(summary(found, opened.labels[system])))
    marked = marked_documents(opened, content, topic, systems)
    chosen = state.read("document")
    point: np.ndarray | None = None
    nearest: list[tuple[str, float]] = []
    of: dict[str, str] = {}
    top = {opened.labels[name]: list(by)[:FIRST] for name, by in marked.ranks.items()}
    webgl = not svg and len(found.documents) > document_map.MOST_IN_SVG
    left, right = st.columns([3, 2])
    with left, st.container(key="document-map"):
        place = st.empty()

    def draw_map(final: bool) -> None:
        titles = dict(document_map.all_titles(opened)) or titles_of(
            content.documents, [d for some in (*top.values(), marked.relevant, [d for d, _ in nearest]) for d in some]
        )
        shown = document_map.Shown(titles, marked.relevant, top, chosen, [document for document, _ in nearest], point)
        key = f"map {system} {topic} {'.'.join(systems)} {chosen} {query} {final}"
        place.plotly_chart(
            document_map.figure(found, shown, webgl),
            key=key,
            config=document_map.CONFIG,
            on_select=lambda: open_clicked_document(key),
            selection_mode="points",
            alt="Map of the documents; the tables list the clusters and the marked documents",
        )
        st.html(document_map.narrow_style(found, shown))

    if chosen in content.documents:
        nearest, of = document_map.nearest_documents(opened, system, chosen, FIRST), {"document": chosen}
    if query:
        with right:
            try:
                vector, hits = encode_query(opened, system, query, lambda: draw_map(final=False))
                point = found.projection.points(vector)[0]
                nearest, of = (nearest, of) if of else (hits, {"query": query})
            except UserError as error:
                show_error(error)
    draw_map(final=True)
    with right:
        if chosen:
            draw_document(opened, content, marked, chosen)
        if nearest:
            draw_nearest(opened, content, system, marked, nearest, of)
        if topic and not (chosen or nearest):
            draw_table(opened, content, marked, chosen)
        if not (chosen or nearest or topic):
            draw_clusters(opened, content, system, found)
            st.caption("Click on a point or a row to open a document. Choose a topic to mark its documents.")
    if topic and (chosen or nearest):
        draw_table(opened, content, marked, chosen)
    left_out.caption(content, topic)
    with st.expander("What the map shows", icon=":material/help:"):
        st.markdown(WORDS)
