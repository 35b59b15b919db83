"""The bias of unjudged documents made visible: condensed lists, and how far judging could move nDCG and differences."""

import streamlit as st

from core.evaluation.comparison_tables import unjudged_table
from core.evaluation.table_formats import MISSING
from core.evaluation.unjudged import figures
from core.workspace.artifacts import read_latest
from dashboard.shared import data, export, results
from dashboard.shared.comparison import View
from dashboard.shared.provenance import downloads_and_provenance
from dashboard.shared.widgets import FOUR
from dashboard.views.overview import charts

WORDS = """
- **Condensed list** (Sakai, 2007): the unjudged documents are taken out of the ranking and the others move up.
- **Lowest, highest**: nDCG if every unjudged document among the first {k} were judged, with the grades from 0 to
  {highest} that make it lowest or highest. The ideal list changes too: a document found relevant belongs to it, so
  nDCG can also fall. Documents that no list shows among its first {k} stay unjudged.
- **Difference**: the same for the difference to the baseline, the unjudged documents of both lists judged alike. Where
  zero lies between lowest and highest, judging could turn the order of the two systems round.
"""


def draw_unjudged(view: View) -> None:
    """Draw the ranges of nDCG and of the differences to the baseline."""
    rows = read_latest(
        lambda: results.digests(view.opened, view.systems),
        lambda digests: _ranges(view.opened, view.systems, view.baseline, view.cutoff, digests),
    )
    measure = f"nDCG@{view.cutoff}"
    name = f"{view.opened.folder.name}-{measure}-unjudged"
    figure = charts.ndcg_ranges(rows, view.labels, measure)
    export.chart(figure, name, f"How far judging could move {measure}")
    table = unjudged_table(rows, view.baseline, view.labels, view.cutoff)
    config = {column: FOUR for column in table.figures.columns if table.figures[column].dtype.kind == "f"}
    st.dataframe(table.shown, column_config=config, placeholder=MISSING, alt="nDCG and its bounds by system")
    about = "the bounds are exact, over all grades that the unjudged documents could be given"
    options = {"cutoff": view.cutoff, "baseline": view.baseline}
    downloads_and_provenance(view.opened, name, table, "unjudged", options, about)
    st.markdown(WORDS.format(k=view.cutoff, highest=view.content.highest_grade))


@st.cache_data(max_entries=20, show_spinner=False, hash_funcs={data.Opened: lambda opened: str(opened.folder)})
def _ranges(
    opened: data.Opened, systems: list[str], baseline: str, k: int, digests: tuple[str, ...]
) -> dict[str, dict[str, float]]:
    qrels = data.read_judged_topics(opened.folder, digests[-1]).qrels
    versions = dict(zip(systems, digests, strict=False))
    of_baseline = results.scores_of(opened, baseline, versions[baseline])
    # One run after another: not all of many stay in memory.
    return {
        system: figures(results.scores_of(opened, system, digest), of_baseline, qrels, k)
        for system, digest in versions.items()
    }
