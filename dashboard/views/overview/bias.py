"""The bias of unjudged documents made visible: condensed lists, and how far judging could move nDCG and differences."""

import pandas as pd
import streamlit as st

from core.evaluation import table_formats
from core.evaluation.unjudged import figures
from core.workspace.artifacts import read_latest
from dashboard.shared import data, export, results
from dashboard.shared.provenance import command, provenance
from dashboard.shared.widgets import FOUR
from dashboard.views.overview import charts
from dashboard.views.overview.view import View

WORDS = """
- **Condensed list** (Sakai, 2007): the unjudged documents are taken out of the ranking and the others move up.
- **Lowest, highest**: nDCG if every unjudged document among the first {k} were judged, with the grades from 0 to
  {highest} that make it lowest or highest. The ideal list changes too: a document found relevant belongs to it, so
  nDCG can also fall. Documents that no list shows among its first {k} stay unjudged.
- **Difference**: the same for the difference to the baseline, the unjudged documents of both lists judged alike. Where
  zero lies between lowest and highest, judging could turn the order of the two systems round.
"""


def draw(view: View) -> None:
    """Draw the ranges of nDCG and of the differences to the baseline."""
    table = read_latest(
        lambda: results.digests(view.opened, view.systems),
        lambda digests: _ranges(view.opened, view.systems, view.baseline, view.cutoff, digests),
    )
    measure = f"nDCG@{view.cutoff}"
    name = f"{view.opened.folder.name}-{measure}-unjudged"
    export.chart(charts.ndcg_ranges(table, view.labels, measure), name, f"How far judging could move {measure}")
    shown = table.rename(columns={"nDCG": measure, "condensed": f"condensed {measure}"}).rename(index=view.labels)
    config = {column: FOUR for column in shown.columns if shown[column].dtype.kind == "f"}
    st.dataframe(
        shown, column_config=config, placeholder=table_formats.MISSING, alt="nDCG and its bounds for each system"
    )
    with st.container(horizontal=True, vertical_alignment="center"):
        export.downloads(shown, name, f"{measure} and what the unjudged documents could make of it")
        option = f"--cutoff {view.cutoff}"
        commands = {s: command(view.opened, "unjudged", [s, view.baseline], option) for s in view.systems}
        about = "the bounds are exact, over all grades that the unjudged documents could be given"
        provenance(view.opened, "unjudged", measure, commands, about)
    st.markdown(WORDS.format(k=view.cutoff, highest=view.content.highest_grade))


@st.cache_data(max_entries=20, show_spinner=False, hash_funcs={data.Opened: lambda opened: str(opened.folder)})
def _ranges(opened: data.Opened, systems: list[str], baseline: str, k: int, digests: tuple[str, ...]) -> pd.DataFrame:
    qrels = data.read_judged_topics(opened.folder, digests[-1]).qrels
    versions = dict(zip(systems, digests, strict=False))
    of_baseline = results.read_run(opened.folder, baseline, versions[baseline]).scores
    # One run after another: not all of many stay in memory.
    rows = {
        system: figures(results.read_run(opened.folder, system, digest).scores, of_baseline, qrels, k)
        for system, digest in versions.items()
    }
    table = pd.DataFrame.from_dict(rows, orient="index").rename_axis("system")
    turns = (table["difference lowest"] < 0) & (table["difference highest"] > 0)
    table["order could turn"] = turns.map({True: "yes", False: "no"})
    table.loc[baseline, ["difference", "difference lowest", "difference highest"]] = None
    table.loc[baseline, "order could turn"] = table_formats.MISSING
    return table
