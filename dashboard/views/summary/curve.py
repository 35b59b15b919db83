"""The precision-recall curve."""

import pandas as pd
import streamlit as st

from core.evaluation.comparison_tables import best_systems, curve_table
from core.evaluation.measures import mean_curves
from core.workspace.artifacts import read_latest
from dashboard.shared import data, export, results
from dashboard.shared.comparison import View
from dashboard.shared.provenance import downloads_and_provenance
from dashboard.views.summary import charts


def draw_curve(view: View) -> None:
    """Draw the curve of each system and its table."""
    relevance = view.parsed.relevance
    curves = read_latest(
        lambda: results.digests(view.opened, view.systems),
        lambda digests: _curves(view.opened, view.systems, relevance, digests),
    )
    table = curve_table(curves, view.labels, relevance)
    name = f"{view.opened.folder.name}-precision-recall"
    shown = curves[best_systems(view.values, view.pair)]
    export.chart(charts.precision_recall(shown, view.labels), name, "Interpolated precision at eleven recall levels")
    st.dataframe(table.shown.style.format("{:.4f}"), height="content", alt=table.caption)
    downloads_and_provenance(view.opened, name, table, "precision-recall", {"relevance": relevance})
    st.caption(
        f"Relevance threshold: grade ≥ {relevance}. Interpolated precision at a recall level is the highest precision "
        "at that or any higher recall (trec_eval's iprec_at_recall), averaged over topics; recall levels that a list "
        "does not reach count as 0."
    )


@st.cache_data(max_entries=20, show_spinner=False, hash_funcs={data.Opened: lambda opened: str(opened.folder)})
def _curves(opened: data.Opened, systems: list[str], relevance: int, digests: tuple[str, ...]) -> pd.DataFrame:
    qrels = data.read_judged_topics(opened.folder, digests[-1]).qrels
    versions = dict(zip(systems, digests, strict=False))
    return mean_curves(systems, lambda name: results.scores_of(opened, name, versions[name]), qrels, relevance)
