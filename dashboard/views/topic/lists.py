"""The lists of a topic side by side, and the relevant documents that they miss."""

import streamlit as st

from core.evaluation import rank_tables
from dashboard.shared import results
from dashboard.shared.escaping import escape_markdown
from dashboard.shared.ranked_lists import Hit, ranked_list
from dashboard.views.topic.shown import Shown


def lists(shown: Shown) -> None:
    """Draw the lists of the systems and the ideal list side by side."""
    ranks = {s: {name: rank for rank, name in enumerate(names, 1)} for s, names in shown.rankings.items()}
    letters = dict(zip(shown.systems, "abcd", strict=False))

    def hit(document: str, rank: int, score: float | None, system: str) -> Hit:
        """Return a hit that says where the other lists have the document."""
        others = [f"{letters[s]}\u00a0{ranks[s].get(document, '–')}" for s in shown.systems if s != system]
        about = shown.content.documents.get(document)
        return Hit(document, about, rank, shown.badge(document), score, " · ".join(others))

    values = results.values(shown.opened, shown.measure)
    st.caption("After a score: the document's rank in the other lists, – where a run does not hold it.")
    columns = st.columns(len(shown.systems) + 1)
    for column, system in zip(columns, shown.systems, strict=False):
        first = shown.scores[system][: shown.depth]
        hits = [hit(name, rank, score, system) for rank, (name, score) in enumerate(first, 1)]
        relevant = sum(shown.judgments.get(name, 0) > 0 for name, _ in first)
        unjudged = sum(name not in shown.judgments for name, _ in first)
        facts = f"{shown.measure} {values[system][shown.topic.id]:.4f}; of {len(hits)} shown "
        nothing = "nothing: no document was retrieved, which counts 0"
        facts += f"{relevant} relevant, {unjudged} unjudged" if hits else nothing
        column.html(ranked_list(hits, shown.spans, f"{letters[system]}: {shown.labels[system]}", facts))
    best = [hit(name, rank, None, "") for rank, (name, _) in enumerate(shown.ideal[: shown.depth], 1)]
    facts = f"{len(shown.ideal)} relevant of {len(shown.judgments)} judged; the best order there is"
    columns[-1].html(ranked_list(best, shown.spans, "Ideal list", facts))


def missed(shown: Shown) -> None:
    """Draw the relevant documents that a list does not show, with their true ranks."""
    depth = shown.depth
    table = rank_tables.missed(shown.rankings, shown.ideal, depth)
    counts = rank_tables.missed_counts(table, shown.rankings, depth)
    for system, row in counts.iterrows():
        st.markdown(
            escape_markdown(
                f"{shown.labels[str(system)]} misses {row['missed']} of {len(shown.ideal)} relevant documents in its "
                f"first {depth}: {row['ranked later']} stand further down, {row['not in the run']} are beyond the "
                f"{row['run']} documents that its run holds for this topic, so their rank is not known."
            )
        )
    titles = shown.titles(list(table["document"]))
    table.insert(0, "title", [titles[name] for name in table["document"]])
    st.dataframe(
        table.rename(columns=shown.labels),
        hide_index=True,
        placeholder="beyond",
        alt="Relevant documents that a list misses, with their rank in each",
    )
