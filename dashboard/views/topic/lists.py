"""The ranked lists of a topic, and the relevant documents that they miss."""

import streamlit as st

from core.evaluation import rank_tables
from dashboard.shared import results
from dashboard.shared.escaping import escape_markdown
from dashboard.shared.ranked_lists import Hit, ranked_list
from dashboard.views.topic.shown import Shown, exports


def lists(shown: Shown) -> None:
    """Draw the ranked lists of the systems and the ideal ranking side by side."""
    ranks = {s: {name: rank for rank, name in enumerate(names, 1)} for s, names in shown.rankings.items()}
    letters = dict(zip(shown.systems, "ABCD", strict=False))

    def hit(document: str, rank: int, score: float | None, system: str) -> Hit:
        """Return a hit with the ranks of the document in the other lists."""
        others = [f"{letters[s]}\u00a0{ranks[s].get(document, '–')}" for s in shown.systems if s != system]
        about = shown.content.documents.get(document)
        return Hit(document, about, rank, shown.badge(document), score, " · ".join(others))

    values = results.values(shown.opened, shown.measure)
    st.caption("After the score: the rank of the document in the other lists; – means not retrieved.")
    columns = st.columns(len(shown.systems) + 1)
    for column, system in zip(columns, shown.systems, strict=False):
        first = shown.scores[system][: shown.depth]
        hits = [hit(name, rank, score, system) for rank, (name, score) in enumerate(first, 1)]
        value = values[system][shown.topic.id]
        facts = rank_tables.list_facts(shown.scores[system], shown.depth, shown.judgments, shown.measure, value)
        column.html(ranked_list(hits, shown.spans(system), f"{letters[system]}: {shown.labels[system]}", facts))
    best = [hit(name, rank, None, "") for rank, (name, _) in enumerate(shown.ideal[: shown.depth], 1)]
    facts = rank_tables.ideal_facts(shown.judgments)
    columns[-1].html(ranked_list(best, shown.spans(""), "Ideal ranking", facts))
    table = rank_tables.lists_table(
        shown.scores,
        shown.judgments,
        shown.depth,
        shown.measure,
        {system: by_topic[shown.topic.id] for system, by_topic in values.items()},
        shown.titles,
        shown.labels,
        shown.caption,
    )
    exports(shown, table, "lists", measure=shown.measure, systems=shown.systems, depth=shown.depth)


def missed(shown: Shown) -> None:
    """Draw the relevant documents that a system misses in its top k, with their ranks."""
    table = rank_tables.missed_table(
        shown.rankings, shown.ideal, shown.depth, shown.titles, shown.labels, shown.caption
    )
    for sentence in table.sentences:
        st.markdown(escape_markdown(sentence))
    st.dataframe(
        table.shown.reset_index(),
        hide_index=True,
        placeholder="not retrieved",
        alt="Missed relevant documents, with their rank in each list",
    )
    exports(shown, table, "missed", systems=shown.systems, depth=shown.depth)
