"""Three cards: the largest win, the largest loss, and the same score with different documents."""

from collections.abc import Sequence
from html import escape

import streamlit as st

from core.evaluation.topic_examples import Example, Listed, find_examples
from core.evaluation.topic_tables import differences
from core.workspace.artifacts import read_latest
from dashboard.shared import data, links, results
from dashboard.shared.comparison import View
from dashboard.shared.ranked_lists import grade_dot


def draw_examples(view: View) -> None:
    """Draw the cards side by side, each with a link to its topic.

    Raises:
        UserError: a run or the documents are missing or damaged.
    """
    if not view.a:
        return
    found = read_latest(
        lambda: results.digests(view.opened, view.pair),
        lambda digests: _examples(view.opened, view.measure, *view.pair, digests),
    )
    if not found:
        st.caption("Both systems have the same top documents on every topic.")
    for column, example in zip(st.columns(max(len(found), 2)), found, strict=False):
        with column, st.container(border=True, gap="xsmall", height="stretch"):
            labels = view.labels[view.a], view.labels[view.baseline]
            st.html(card(example, labels, view.content.highest_grade))
            links.page_link("topic", f"Open topic {example.topic}", ":material/arrow_forward:", topic=example.topic)


@st.cache_data(max_entries=50, show_spinner=False, hash_funcs={data.Opened: lambda opened: str(opened.folder)})
def _examples(opened: data.Opened, measure: str, a: str, b: str, digests: tuple[str, ...]) -> list[Example]:
    values, content = results.values(opened, measure), data.content(opened)
    table = differences(values[a], values[b], content.topics)
    of_a, of_b = (results.scores_of(opened, *version) for version in zip((a, b), digests, strict=False))
    return find_examples(table, measure, (of_a, of_b), content.qrels, content.documents)


def card(example: Example, labels: tuple[str, str], highest: int) -> str:
    """Return a card as HTML.

    Args:
        labels: the labels of systems A and B.
        highest: the collection's highest grade.
    """
    lists = "".join(
        f'<section><p class="rs-small"><strong title="{label}">{label}</strong><span>{value:.4f}</span></p>'
        f"{_top(top, highest)}</section>"
        for label, value, top in (
            (escape(labels[0]), example.a, example.top_a),
            (escape(labels[1]), example.b, example.top_b),
        )
    )
    topic = f"topic {example.topic}" if example.query in ("", example.topic) else example.query
    return (
        f'<div class="rs-list rs-example"><p><strong>{escape(example.kind)}</strong>: {escape(topic)}</p>'
        f'<p class="rs-small">{escape(example.sentence)}</p><div>{lists}</div></div>'
    )


def _top(top: Sequence[Listed], highest: int) -> str:
    items = "".join(
        f'<li>{grade_dot(listed.grade, highest)}<span class="rs-title">{escape(listed.title)}</span></li>'
        for listed in top
    )
    return f"<ol>{items}</ol>" if items else '<p class="rs-small">No documents.</p>'
