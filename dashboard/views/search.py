"""Search: one query, every system's answer side by side, by the same system objects as the batch run."""

from urllib.parse import quote

import streamlit as st

from core.collection import Topic
from core.errors import UserError
from core.profile import SystemSettings
from dashboard import data, state
from dashboard.card import grade_text, result_card
from dashboard.text import escape_markdown, shortened, show_error

LONGEST = 10_000
LONGEST_IN_LINK = 6_000
EXPLAINED_WORDS = 60
EXAMPLES = 4


def ask(query: str) -> None:
    """Make a query the one that is answered: it lives in the URL, or in the session where it is too long for one."""
    query = " ".join(query.split())
    fits = len(quote(query)) <= LONGEST_IN_LINK
    state.write("query", query if fits else "")
    st.session_state["long query"] = "" if fits else query


def query_form() -> str:
    """Draw the form and the example queries; return the query."""
    asked = state.read("query") or st.session_state.get("long query", "")
    st.session_state["query box"] = asked
    with st.form("search", border=False), st.container(horizontal=True, vertical_alignment="bottom"):
        st.text_input("Query", key="query box", placeholder="loss of smell")
        st.form_submit_button("Search", type="primary", on_click=lambda: ask(st.session_state["query box"]))
    with st.container(horizontal=True, vertical_alignment="center"):
        st.caption("Examples", width="content")
        for topic in list(content.topics.values())[:EXAMPLES]:
            label = escape_markdown(shortened(topic.query, 40))
            st.button(label, key=f"example {topic.id}", on_click=ask, args=(topic.query,), type="tertiary")
    return asked


def find_topic(query: str) -> Topic | None:
    """Return the topic whose question or query the text is, whatever its case and spaces."""

    def folded(text: str) -> str:
        return " ".join(text.casefold().split())

    matching = (t for t in content.topics.values() if folded(query) in (folded(t.question), folded(t.query)))
    return next(matching, None)


def answer(settings: SystemSettings, query: str, hits: int, topic: Topic | None) -> None:
    """Let one system answer and draw its column."""
    with st.spinner("searching …"):
        ready = data.open_system(opened, settings)
        with ready.lock:
            found = ready.system.search(query, hits)
    split = ", ".join(f"{step} {1000 * seconds:.1f} ms" for step, seconds in found.seconds.items())
    st.caption(f"{1000 * sum(found.seconds.values()):.1f} ms: {split}" if len(found.seconds) > 1 else split)
    if not found.hits:
        st.info("No document has a word of this query. Fewer or other words may find some.")
    explained = settings.kind == "bm25" and len(query.split()) <= EXPLAINED_WORDS
    predicted = data.expansions(opened) if settings.expanded else {}
    judgments = content.qrels.get(topic.id, {}) if topic else {}
    for rank, (identity, score) in enumerate(found.hits, 1):
        result_card(
            rank,
            identity,
            score,
            content.documents.get(identity),
            grade=grade_text(judgments.get(identity), content.highest_grade) if topic else "",
            parts=ready.system.explain(query, identity) if explained else (),
            predicted=predicted.get(identity, ()),
            snippet=True,
        )


def answers(query: str, hits: int, names: list[str], topic: Topic | None) -> None:
    """Draw a column for every system and fill them in order, so that the fast ones are there first."""
    settings = [system for system in opened.profile.system if system.name in names]
    columns = st.columns(len(settings))
    for column, system in zip(columns, settings, strict=True):
        column.markdown(f"**{escape_markdown(opened.labels[system.name])}**")
    for column, system in zip(columns, settings, strict=True):
        with column:
            try:
                answer(system, query, hits, topic)
            except UserError as error:
                show_error(error)


opened: data.Opened = st.session_state["opened"]
content = data.content(opened)
if opened.is_imported:
    raise UserError(
        f"{opened.folder.name} was made of imported runs: it has no documents and no index, so no new query can be "
        "answered; the Topics page shows what the runs retrieved"
    )
query = query_form()
left, right = st.columns([4, 1])
with left:
    names = state.choose_several("Systems", list(opened.labels), "systems", opened.labels)
with right:
    hits = int(state.choose("Hits", ["5", "10", "20", "50"], "hits", "10"))
if not query:
    st.info("Type a query, or choose one of the examples; every system answers it.")
elif not names:
    st.info("Choose at least one system.")
else:
    topic = find_topic(query)
    if topic:
        st.info(f"This is topic {escape_markdown(topic.id)} of the collection: its judgments are shown.")
    if not state.read("query"):
        st.caption("The query is too long for a link: the address of this page does not hold it.")
    if len(query) > LONGEST:
        st.caption(f"Of {len(query):,} characters the first {LONGEST:,} are searched.")
    if len(query.split()) > EXPLAINED_WORDS:
        st.caption(
            f"A query of more than {EXPLAINED_WORDS} words is answered without the matched terms; dense systems read "
            "its beginning only, as far as their model's limit goes."
        )
    answers(query[:LONGEST], hits, names, topic)
