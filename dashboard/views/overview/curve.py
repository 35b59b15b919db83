"""The precision-recall curve."""

import pandas as pd
import streamlit as st

from core.evaluation.measures import interpolated_precision, mean
from core.workspace.artifacts import read_latest
from dashboard.shared import data, export, results
from dashboard.shared.provenance import command, provenance
from dashboard.views.overview import charts
from dashboard.views.overview.view import View


def draw(view: View) -> None:
    """Draw the curve of each system and its table."""
    relevance = view.parsed.relevance
    table = read_latest(
        lambda: results.digests(view.opened, view.systems),
        lambda digests: _curves(view.opened, view.systems, relevance, digests),
    )
    name = f"{view.opened.folder.name}-precision-recall"
    export.chart(charts.precision_recall(table, view.labels), name, "Interpolated precision at eleven recall levels")
    table = table.rename(columns=dict(view.labels))
    st.dataframe(table.style.format("{:.4f}"), height="content", alt="Interpolated precision at eleven recall levels")
    with st.container(horizontal=True, vertical_alignment="center"):
        export.downloads(table, name, "Interpolated precision at eleven recall levels")
        option = f"--curve {relevance}"
        commands = {system: command(view.opened, "evaluate", [system], option) for system in view.systems}
        provenance(view.opened, "curve", "trec_eval's iprec_at_recall", commands, f"relevant from grade {relevance}")
    st.caption(
        f"Relevant: grade {relevance} or more. Interpolated precision at a recall level is the highest precision at "
        "that recall or any higher (trec_eval's iprec_at_recall), mean over topics; a list that ends before counts 0."
    )


@st.cache_data(max_entries=20, show_spinner=False, hash_funcs={data.Opened: lambda opened: str(opened.folder)})
def _curves(opened: data.Opened, systems: list[str], relevance: int, digests: tuple[str, ...]) -> pd.DataFrame:
    qrels = data.read_judged_topics(opened.folder, digests[-1]).qrels
    columns = {}
    for system, digest in zip(systems, digests, strict=False):
        curve = interpolated_precision(results.read_run(opened.folder, system, digest).scores, qrels, relevance)
        columns[system] = {level: mean(by_topic) for level, by_topic in curve.items()}
    return pd.DataFrame(columns).rename_axis("recall")
