"""The document that expansion helped most: its predicted queries, the decisive one marked, and what that earned."""

from collections.abc import Sequence

import streamlit as st

from core.evaluation.expansion_example import CUTOFF, Example, example_table, find_example, gains
from core.evaluation.grades import grade_text
from core.evaluation.rank_tables import title_of
from core.retrieval.bm25 import Origin, origins
from core.retrieval.systems import Bm25System
from core.workspace.artifacts import open_artifact, read_latest
from core.workspace.profile import SystemSettings
from dashboard.shared import data, links, live, results
from dashboard.shared.escaping import escape_markdown, shortened
from dashboard.shared.predicted_queries import searched
from dashboard.shared.provenance import downloads_and_provenance

LONGEST_TEXT = 280


def draw_example(opened: data.Opened, content: data.Content, system: SystemSettings, plain: str) -> None:
    """Draw the example; nothing if the texts or the predicted queries of no document explain a gain.

    Raises:
        UserError: a run, the index or the judgments are missing or damaged.
    """
    if not opened.has_texts:
        return
    place = opened.folder.bm25(system.name)
    example = read_latest(
        lambda: (open_artifact(place).digest, *results.digests(opened, [plain, system.name])),
        lambda digests: _example(opened, system.name, plain, digests),
    )
    if example is None:
        st.caption(f"No relevant document gains nDCG@{CUTOFF} on a topic through a predicted query.")
        return
    gain, document = example.gain, content.documents[example.gain.document]
    topic = content.topics[gain.topic]
    before = f"rank {gain.before}" if gain.before else "not retrieved"
    with st.container(border=True):
        left, right = st.columns([2, 3], gap="medium")
        with left:
            st.caption(
                f"Topic {escape_markdown(gain.topic)}: "
                f"{escape_markdown(topic.text(opened.profile.collection.topic_field))}"
            )
            st.markdown(
                f"**{escape_markdown(title_of(document, document.id))}**  \n"
                f"{escape_markdown(grade_text(gain.grade, content.highest_grade))} · {before} → **rank {gain.after}** "
                f"· {gain.value:+.4f} nDCG@{CUTOFF}"
            )
            st.text(shortened(document.text, LONGEST_TEXT))
            links.page_link(
                "topic",
                f"Open topic {escape_markdown(gain.topic)}",
                ":material/arrow_forward:",
                topic=gain.topic,
                document=gain.document,
                list="A",
                a=system.name,
                b=plain,
            )
        with right:
            st.markdown("\n".join(_queries(example)))
    with st.expander("Values, downloads and provenance of this example"):
        table = example_table(
            example,
            topic.query,
            content.documents,
            (opened.labels[system.name], opened.labels[plain]),
            opened.folder.name,
        )
        for sentence in table.sentences:
            st.markdown(escape_markdown(sentence))
        st.dataframe(table.shown.reset_index(), hide_index=True, alt=table.caption)
        options = {"expanded": system.name, "plain": plain}
        downloads_and_provenance(opened, f"{opened.folder.name}-expansion-example", table, "expansion-example", options)


def _queries(example: Example) -> list[str]:
    """Return the predicted queries as lines of Markdown, the decisive one first and in bold."""
    whole = 100 * example.queries["earned"].sum() / example.score
    lines = [f"Predicted queries earn {whole:.0f} % of its BM25 score:", ""]
    for number, (query, earned, terms) in enumerate(example.queries.itertuples(name=None)):
        text, share = escape_markdown(str(query)), f"{100 * earned / example.score:.0f} %"
        if not number:
            lines.append(f"- **{text}** :blue-badge[decisive: {share}, by {escape_markdown(terms)}]")
        else:
            lines.append(f"- {text}" + (f" · {share}, by {escape_markdown(terms)}" if earned else ""))
    return lines


@st.cache_data(max_entries=20, show_spinner="Looking for the document that expansion helped most …")
def _example(_opened: data.Opened, expanded: str, plain: str, digests: tuple[str, ...]) -> Example | None:
    opened = _opened
    content, profile = data.content(opened), opened.profile
    settings = next(system for system in profile.system if system.name == expanded)
    ready, kept = live.ready_system(opened, settings), searched(opened, settings)
    assert isinstance(ready.system, Bm25System)
    index = ready.system.index

    def explain(topic: str, document: str) -> tuple[Sequence[Origin], Sequence[str]]:
        query, queries = content.topics[topic].text(profile.collection.topic_field), kept.get(document, [])
        known = content.documents.get(document)
        return (origins(index, profile.bm25_of(settings), query, known, queries), queries) if known else ([], [])

    after, before = (results.run_scores(opened, name) for name in (expanded, plain))
    with ready.lock:
        return find_example(gains(before, after, content.qrels), explain, index.analyzer)
