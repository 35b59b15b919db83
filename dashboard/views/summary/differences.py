"""The charts of the answer: difference of every system to the baseline, and the means of A and B by topic type."""

import pandas as pd
import streamlit as st

from core.evaluation.comparison_tables import BEST, best_systems
from core.evaluation.significance import ALPHA
from core.evaluation.topic_tables import means_by_type
from core.evaluation.verdicts import outcome_of
from dashboard.shared import export, state
from dashboard.shared.charts import clicked
from dashboard.shared.comparison import View
from dashboard.shared.escaping import escape_markdown
from dashboard.views.summary import charts
from dashboard.views.summary.answer import Against


def draw_differences(view: View, against: Against) -> None:
    """Draw the forest plot, and beside it the dot plot where the topics have types."""
    by_type = means_by_type({name: view.values[name] for name in view.pair if name}, view.content.topics)
    if not view.a:
        if not by_type.empty:
            _draw_types(view, by_type)
        return
    if by_type.empty:
        _draw_forest(view, against)
        return
    left, right = st.columns([3, 2])
    with left:
        _draw_forest(view, against)
    with right:
        _draw_types(view, by_type)


def _draw_forest(view: View, against: Against) -> None:
    table, found = against
    shown = set(best_systems(view.values, (view.a, view.baseline)))
    rows = table[table.index.isin(shown & set(found))].sort_values("difference", ascending=False, kind="stable")
    outcomes = [outcome_of(found[name], float(rows.loc[name, "Holm randomisation"])) for name in rows.index]
    rows = rows.assign(significant=[outcome in ("better", "worse") for outcome in outcomes])
    name = f"{view.opened.folder.name}-{view.measure}-differences"
    # A key for each selection, so that a click is forgotten once it has chosen system A.
    key = f"chart {name} {view.a} {view.baseline} {export.picture_form()}"

    def choose() -> None:
        if system := clicked(st.session_state[key].selection.points):
            state.write("a", system)

    st.plotly_chart(
        charts.forest(rows, view.labels, view.measure, view.baseline, view.a),
        config=export.picture_button(name),
        key=key,
        on_select=choose,
        selection_mode="points",
        alt=f"Difference in {view.measure} of each system to {view.labels[view.baseline]}, with 95 % CI",
    )
    said = f"Filled: significant (p < {ALPHA}, Holm-adjusted). Click a system to make it system A."
    if len(found) > len(rows):
        said = f"The best {BEST} of {len(view.values)} systems; all are in the tables below. {said}"
    st.caption(escape_markdown(said))


def _draw_types(view: View, by_type: pd.DataFrame) -> None:
    name = f"{view.opened.folder.name}-{view.measure}-types"
    figure = charts.type_dots(by_type, view.labels, view.measure, view.pair)
    export.chart(figure, name, f"Mean {view.measure} by topic type")
