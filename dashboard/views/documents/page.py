"""Documents: the vectors of a dense system as a map, with a topic's relevant documents and what each system found."""

import pandas as pd
import streamlit as st

from core.evaluation.grades import grade_text
from core.formats.runs import ranked
from core.workspace.errors import UserError
from dashboard.shared import data, left_out, results, state, widgets
from dashboard.shared.charts import clicked
from dashboard.shared.escaping import escape_markdown, shortened
from dashboard.views.documents import document_map

FIRST = 10
WORDS = """
Each point is a document, placed by its **vector**: the two directions along which the vectors differ most (principal
components). Near points are often of one subject, but two dimensions keep little of several hundred: the percentages at
the axes say how much. The systems rank by all dimensions, so a near point is not always a near vector.
"""


def ranks() -> dict[str, dict[str, int]]:
    """Return system -> document -> rank for the topic, of the chosen systems that have run."""
    found = {}
    for name in systems if topic else []:
        try:
            hits = ranked(results.run_scores(opened, name).get(topic, {}))
        except UserError:
            continue  # the Overview says which systems have no run, and why
        found[name] = {document: rank for rank, (document, _) in enumerate(hits, 1)}
    return found


def open_clicked(key: str) -> None:
    """Write the document of the clicked point to the URL."""
    document = clicked(st.session_state[key].selection.points)
    if document:
        state.write("document", document)


def open_row(key: str, documents: list[str]) -> None:
    """Write the document of the chosen row to the URL."""
    rows = st.session_state[key].selection.rows
    if rows:
        state.write("document", documents[rows[0]])


def title(document: str) -> str:
    """Return a document's title, or the beginning of its text."""
    known = content.documents.get(document)
    return shortened(known.title or known.text, 100) if known else ""


def table(places: dict[str, dict[str, int]]) -> None:
    """Draw the relevant documents and those that a system has among its first, with their ranks."""
    first = {document for by in places.values() for document, rank in by.items() if rank <= FIRST}
    graded = [(document, judgments.get(document)) for document in first | set(relevant)]
    best = {d: min((by[d] for by in places.values() if d in by), default=10**9) for d, _ in graded}
    graded.sort(key=lambda row: (-(row[1] if row[1] is not None else -1), best[row[0]], row[0]))
    rows = [
        {"grade": grade_text(grade, content.highest_grade)}
        | {opened.labels[name]: by.get(document) for name, by in places.items()}
        | {"title": title(document), "document": document}
        for document, grade in graded
    ]
    key = f"rows {topic} {'.'.join(places)} {chosen}"
    st.dataframe(
        pd.DataFrame(rows),
        hide_index=True,
        key=key,
        height=document_map.HEIGHT - 40,
        placeholder="–",
        column_config={"title": st.column_config.TextColumn(width="medium")},
        on_select=lambda: open_row(key, [document for document, _ in graded]),
        selection_mode="single-row",
        alt="Relevant and retrieved documents of the topic with their ranks",
    )
    st.caption(f"{len(rows)} documents, relevant or among a system's first {FIRST}; the numbers are ranks.")


def card() -> None:
    """Draw the open document."""
    document = content.documents.get(chosen)
    if document is None:
        st.info(f"The collection has no document {escape_markdown(chosen)}.")
        return
    with st.container(border=True):
        st.markdown(f"**{escape_markdown(document.title) or '(no title)'}**")
        if topic:
            facts = [grade_text(judgments.get(chosen), content.highest_grade)]
            facts += [f"rank {by[chosen]} in {opened.labels[name]}" for name, by in places.items() if chosen in by]
            st.caption(escape_markdown(" · ".join(facts)))
        st.text(document.text or "(no text)")
        st.text(f"document {document.id}")
        st.button("Close", on_click=state.write, args=("document", ""))


opened: data.Opened = st.session_state["opened"]
content = data.content(opened)
dense = [system.name for system in opened.profile.system if system.kind == "dense"]
if not dense:
    raise UserError(f"{opened.folder.name} has no dense system, so there are no vectors to lay out")
first, second = st.columns(2)
with first:
    system = state.choose("Vectors of", dense, "system", dense[0], opened.labels)
with second:
    names = {t.id: f"{t.id} · {shortened(t.query, 80)}" for t in content.topics.values()}
    topic = state.choose("Topic", ["", *names], "topic", "", names | {"": "none"})
systems = state.choose_several("Systems whose first ten are marked", list(opened.labels), "systems", opened.labels)
svg = state.switch(
    "Without WebGL", "svg", "Where the map stays empty: slower, and of many documents only some are drawn"
)
widgets.say_older(
    opened,
    {f"vectors/{system}": f"the vectors of {opened.labels[system]}"}
    | {f"runs/{name}": f"the run of {opened.labels[name]}" for name in (systems if topic else [])},
)
layout, shares = document_map.points(opened, system)
judgments = content.qrels.get(topic, {})
relevant = {document: grade for document, grade in judgments.items() if grade > 0}
places, chosen = ranks(), state.read("document")
found = {opened.labels[name]: list(by)[:FIRST] for name, by in places.items()}
titles = {document: title(document) for by in [*found.values(), list(relevant)] for document in by}
webgl = not svg and len(layout) > document_map.MOST_IN_SVG
drawn = document_map.figure(layout, shares, titles, relevant, found, chosen, webgl)
left, right = st.columns([3, 2]) if topic else (st.container(), None)
with left:
    key = f"map {system} {topic} {'.'.join(systems)} {chosen}"
    st.plotly_chart(
        drawn,
        key=key,
        config=document_map.CONFIG,
        on_select=lambda: open_clicked(key),
        selection_mode="points",
        alt="Map of the documents; the table holds what is marked",
    )
if right:
    with right:
        table(places)
    left_out.caption(content, topic)
else:
    st.caption("Choose a topic to mark its relevant documents and what the systems found.")
if chosen:
    card()
st.markdown(WORDS)
