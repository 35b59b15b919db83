"""How two ranked lists of a topic differ: contributions to the difference by document, rank changes and overlap."""

import streamlit as st

from core.evaluation import rank_tables
from dashboard.shared import state
from dashboard.shared.charts import clicked
from dashboard.shared.escaping import escape_markdown
from dashboard.shared.export import picture_button
from dashboard.shared.widgets import SIGNED
from dashboard.views.topic import charts
from dashboard.views.topic.shown import Shown, exports


def difference(shown: Shown) -> None:
    """Draw each document's contribution to the difference of a and b."""
    label_a, label_b = list(shown.labels.values())[:2]
    k = shown.cutoff
    parts = shown.parts()
    titles = shown.titles([part.document for part in parts])
    table = rank_tables.split_table(parts, titles)
    drawn = table[table["contribution"] != 0].reset_index(drop=True)
    if drawn.empty:
        st.info("No document contributes to a difference between the two lists.")
    else:
        open_clicked(
            charts.split_bars(drawn, label_a, label_b, k), "split", "Contribution of each document to the difference"
        )
    highest = shown.content.highest_grade
    exported = rank_tables.contributions_table(parts, label_a, label_b, k, titles, highest, shown.caption)
    st.caption(
        f"{escape_markdown(exported.sentences[-1])} Documents that are not relevant contribute indirectly, through the "
        "ranks of the relevant ones."
    )
    st.dataframe(
        exported.shown.reset_index(),
        hide_index=True,
        placeholder="–",
        column_config={
            "title": st.column_config.Column(width=430),
            f"rank in {label_a}": st.column_config.Column("rank in A", help=escape_markdown(label_a)),
            f"rank in {label_b}": st.column_config.Column("rank in B", help=escape_markdown(label_b)),
            "contribution": SIGNED,
        },
        alt="Contribution of each document to the difference",
    )
    a, b = shown.systems[:2]
    exports(shown, exported, "contributions", measure=shown.measure, a=a, b=b)


def open_clicked(figure: object, key: str, alt: str) -> None:
    """Draw a chart whose points are documents; a click on one opens its score explanation."""
    key = (
        f"{key} {state.read('topic')} {state.read('a')} {state.read('b')} {state.read('more')} {state.read('document')}"
    )

    def ask_why() -> None:
        document = clicked(st.session_state[key].selection.points)
        if document:
            state.write("document", document)
            state.write("list", "")
            state.write("view", "lists")

    st.plotly_chart(figure, key=key, config=picture_button(key), on_select=ask_why, selection_mode="points", alt=alt)


def positions(shown: Shown) -> None:
    """Draw the rank of each document in each list, and the overlap of the lists."""
    depth = shown.depth
    names = rank_tables.shown_documents(shown.rankings, depth)
    table = rank_tables.positions(shown.rankings, names, shown.judgments)
    titles = shown.titles(names)
    table.insert(0, "title", [titles[name] for name in names])
    highest = shown.content.highest_grade
    figure = charts.position_lines(table, shown.labels, depth, highest)
    open_clicked(figure, "positions", "Rank of each document in each list, one line per document")
    st.caption(
        f"Each document in the top {depth} of any list, and its rank in the others. Below the line: ranks beyond "
        f"{depth}; “none”: not retrieved. Click a point to see its score explanation."
    )
    with st.expander("Data of this chart"):
        ranks = rank_tables.ranks_table(shown.rankings, depth, shown.judgments, titles, shown.labels, shown.caption)
        about = "Rank of each document in each list"
        st.dataframe(ranks.shown.reset_index(), hide_index=True, placeholder="–", alt=about)
        exports(shown, ranks, "ranks", systems=shown.systems, depth=depth)
    if len(shown.systems) < 2:
        return
    st.markdown("**Overlap of the ranked lists**")
    overlap = rank_tables.overlap_table(shown.rankings, depth, shown.labels, shown.caption)
    config = dict.fromkeys(["RBO", f"Jaccard@{depth}"], st.column_config.NumberColumn(format="%.3f"))
    about = "Overlap of each pair of ranked lists"
    st.dataframe(overlap.shown.reset_index(), hide_index=True, column_config=config, alt=about)
    exports(shown, overlap, "overlap", systems=shown.systems, depth=depth)
