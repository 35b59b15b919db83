"""Effect of unjudged documents: condensed lists, and the range of nDCG and differences over possible judgments."""

import pandas as pd
import streamlit as st

from core.evaluation.comparison_tables import best_systems, unjudged_table
from core.evaluation.judged_ranks import judged_ranks, judged_table
from core.evaluation.table_formats import MISSING
from core.evaluation.unjudged import figures
from core.workspace.artifacts import read_latest
from dashboard.shared import data, export, results
from dashboard.shared.comparison import View
from dashboard.shared.escaping import escape_markdown
from dashboard.shared.provenance import downloads_and_provenance
from dashboard.shared.widgets import FOUR, SIGNED
from dashboard.views.summary import charts

NARROW = {
    "difference, lower bound": st.column_config.NumberColumn("lower", format="%+.4f", help="difference, lower bound"),
    "difference, upper bound": st.column_config.NumberColumn("upper", format="%+.4f", help="difference, upper bound"),
    "ranking could flip": st.column_config.Column("could flip", help="ranking could flip"),
}
"""Columns with shorter names, so that the table fits the page."""
WORDS = """
- **Condensed list** (Sakai, 2007): unjudged documents are removed from the ranking and the others move up.
- **Lower bound, upper bound**: the lowest and highest nDCG that is possible if every unjudged document in the top {k}
  is given some grade from 0 to {highest}. The ideal ranking changes with these grades, so judging can also lower nDCG.
  Documents below the top {k} stay unjudged.
- **Difference**: the same bounds for the difference to the baseline; a document has the same grade in both lists.
  Where the range contains zero, further judgments could flip the ranking of the two systems.
"""


def draw_unjudged(view: View) -> None:
    """Draw the ranges of nDCG and of the differences to the baseline."""
    rows = read_latest(
        lambda: results.digests(view.opened, view.systems),
        lambda digests: _ranges(view.opened, view.systems, view.baseline, view.cutoff, digests),
    )
    measure = f"nDCG@{view.cutoff}"
    name = f"{view.opened.folder.name}-{measure}-unjudged"
    figure = charts.ndcg_ranges(
        {name: rows[name] for name in best_systems(view.values, view.pair)}, view.labels, measure
    )
    export.chart(figure, name, f"Range of {measure} over possible judgments")
    table = unjudged_table(rows, view.baseline, view.labels, view.cutoff)
    figures_of = [column for column in table.figures.columns if table.figures[column].dtype.kind == "f"]
    config = {column: SIGNED if column.startswith("difference") else FOUR for column in figures_of} | NARROW
    config[f"condensed-list {measure}"] = st.column_config.NumberColumn("condensed list", format="%.4f")
    st.dataframe(
        table.shown, column_config=config, placeholder=MISSING, alt="nDCG of each system with its lower and upper bound"
    )
    about = "the bounds are exact over all grades that the unjudged documents could be given"
    options = {"cutoff": view.cutoff, "baseline": view.baseline}
    downloads_and_provenance(view.opened, name, table, "unjudged", options, about)
    st.markdown(WORDS.format(k=view.cutoff, highest=view.content.highest_grade))
    _draw_ranks(view)


def _draw_ranks(view: View) -> None:
    """Draw Judged@k at each depth, and what each system owes to the documents that only it has."""
    st.markdown("**Judgments by rank**")
    rows = read_latest(
        lambda: results.digests(view.opened, view.systems),
        lambda digests: _by_rank(view.opened, view.systems, view.measure, view.cutoff, digests),
    )
    table = judged_table(rows, view.labels, view.measure, view.cutoff, view.opened.folder.name)
    for sentence in table.sentences:
        st.write(escape_markdown(sentence))
    figures_of = [column for column in table.figures.columns if table.figures[column].dtype.kind == "f"]
    config = dict.fromkeys(figures_of, FOUR) | {"effect": SIGNED}
    judged = [column for column in table.shown if str(column).startswith("Judged@")]
    only_here = [column for column in table.shown if column not in judged]  # in a table of their own: one is too wide
    st.dataframe(table.shown[judged], column_config=config, placeholder=MISSING, alt="Judged@k at each depth")
    st.dataframe(table.shown[only_here], column_config=config, placeholder=MISSING, alt=table.caption)
    name = f"{view.opened.folder.name}-{view.measure}-judged-ranks"
    options = {"measure": view.measure, "depth": view.cutoff}
    downloads_and_provenance(view.opened, name, table, "judged-ranks", options)
    st.caption(
        f"Only here: judged documents in the top {view.cutoff} of this system and no other. Without them: the measure "
        "after their judgments are removed (Zobel, 1998), as if the system had not been judged."
    )


@st.cache_data(max_entries=20, show_spinner=False, hash_funcs={data.Opened: lambda opened: str(opened.folder)})
def _by_rank(
    opened: data.Opened, systems: list[str], measure: str, depth: int, digests: tuple[str, ...]
) -> pd.DataFrame:
    qrels = data.read_judged_topics(opened.folder, digests[-1]).qrels
    versions = dict(zip(systems, digests, strict=False))
    return judged_ranks(systems, lambda name: results.scores_of(opened, name, versions[name]), qrels, measure, depth)


@st.cache_data(max_entries=20, show_spinner=False, hash_funcs={data.Opened: lambda opened: str(opened.folder)})
def _ranges(
    opened: data.Opened, systems: list[str], baseline: str, k: int, digests: tuple[str, ...]
) -> dict[str, dict[str, float]]:
    qrels = data.read_judged_topics(opened.folder, digests[-1]).qrels
    versions = dict(zip(systems, digests, strict=False))
    return figures(systems, lambda name: results.scores_of(opened, name, versions[name]), baseline, qrels, k)
