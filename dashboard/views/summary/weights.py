"""The effectiveness of a fusion by its weights, on the topics shown: how they were chosen, not a result."""

import pandas as pd
import plotly.graph_objects as go
import streamlit as st

from core.evaluation.fusion_tuning import Curve, curve_table, read_curve
from core.workspace.artifacts import open_artifact, read_latest
from core.workspace.workspace import CollectionFolder
from dashboard.shared import data, export, state, widgets
from dashboard.shared.charts import BLUE, finish
from dashboard.shared.escaping import escape_markdown, escape_plotly
from dashboard.shared.provenance import downloads_and_provenance
from dashboard.shared.widgets import FOUR

WEIGHT = st.column_config.NumberColumn(format="%.2f")


def draw_weights(opened: data.Opened) -> None:
    """Draw the curve of a fusion, or the command that measures it.

    Raises:
        UserError: the curve is damaged.
    """
    fusions = {system.name: system for system in opened.profile.system if system.kind == "fusion"}
    labels = {name: opened.labels[name] for name in fusions}
    first = next(iter(fusions))
    name = state.choose("Fusion", list(fusions), "fusion", first, labels) if len(fusions) > 1 else first
    place = opened.folder.tuning(name)
    if not place.path.exists():
        st.caption(
            f"{escape_markdown(labels[name])} has not been measured by weights on these topics. Weights are chosen on "
            "one collection or split and used on another; to measure them here:"
        )
        st.code(place.command, language=None, wrap_lines=True)
        return
    widgets.say_older(opened, {f"tuning/{name}": f"the curve of {labels[name]}"})
    systems, curve, measure = read_latest(
        lambda: open_artifact(place).digest, lambda digest: _curve(opened.folder, name, digest)
    )
    table = curve_table(curve, systems, measure, fusions[name], opened.labels, opened.folder.name)
    for sentence in table.sentences:
        st.write(escape_markdown(sentence))
    file = f"{opened.folder.name}-{name}-weights"
    if len(systems) == 2:
        export.chart(chart(table.figures, measure), file, table.caption)
        st.caption("Bars are 95 % CIs of the mean over topics. At either end only one system counts.")
    st.dataframe(
        table.shown.reset_index(),
        hide_index=True,
        column_config=dict.fromkeys(table.shown.index.names, WEIGHT)
        | dict.fromkeys([measure, "CI low", "CI high"], FOUR),
        alt=table.caption,
    )
    downloads_and_provenance(
        opened, file, table, "fusion-weights", {"system": name}, made_from={place.shown: open_artifact(place)}
    )


@st.cache_data(max_entries=3, show_spinner=False)
def _curve(folder: CollectionFolder, system: str, digest: str) -> tuple[list[str], Curve, str]:
    return read_curve(folder, system, digest)


def chart(table: pd.DataFrame, measure: str) -> go.Figure:
    """Draw the mean against the weight of the first of two systems.

    Args:
        table: the figures of `core.evaluation.fusion_tuning.curve_table`.
    """
    figure = go.Figure()
    figure.add_scatter(
        x=table.index.get_level_values(0),
        y=table[measure],
        error_y={
            "array": table["CI high"] - table[measure],
            "arrayminus": table[measure] - table["CI low"],
            "thickness": 1,
        },
        mode="lines+markers",
        line={"color": BLUE},
        hovertemplate="weight %{x:.2f}: %{y:.4f}<extra></extra>",
    )
    figure.update_xaxes(title=escape_plotly(str(table.index.names[0])))
    figure.update_yaxes(title=f"mean {measure}")
    return finish(figure, 320)
