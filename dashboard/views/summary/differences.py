"""The charts of the answer: difference of every system to the baseline, and the means of A and B by topic type."""

from functools import partial

import pandas as pd
import streamlit as st

from core.evaluation.comparison_tables import BEST, best_systems
from core.evaluation.significance import ALPHA
from core.evaluation.topic_tables import means_by_type
from core.evaluation.verdicts import outcome_of
from dashboard.shared import links
from dashboard.shared.comparison import View
from dashboard.shared.escaping import escape_markdown
from dashboard.views.summary import dot_plots
from dashboard.views.summary.answer import Against


def draw_differences(view: View, against: Against) -> None:
    """Draw the forest plot, and beside it the dot plot where the topics have types."""
    st.html(dot_plots.STYLE)
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


def forest_rows(view: View, against: Against) -> pd.DataFrame:
    """Return the rows of the forest plot, the largest difference first: the best systems, with A, without the baseline.

    Columns as in `comparison_tables.against_baseline`, and significant.
    """
    table, found = against
    shown = set(best_systems(view.values, (view.a, view.baseline)))
    rows = table[table.index.isin(shown & set(found))].sort_values("difference", ascending=False, kind="stable")
    outcomes = [outcome_of(found[name], float(rows.loc[name, "Holm randomisation"])) for name in rows.index]
    return rows.assign(significant=[outcome in ("better", "worse") for outcome in outcomes])


def _draw_forest(view: View, against: Against) -> None:
    rows = forest_rows(view, against)
    address = partial(links.address, "summary")
    st.html(dot_plots.forest(rows, view.labels, view.measure, view.baseline, view.a, lambda name: address(a=name)))
    said = f"Filled: significant (p < {ALPHA}, Holm-adjusted). Click a system to make it system A."
    if len(against[1]) > len(rows):
        said = f"The best {BEST} of {len(view.values)} systems; all are in the tables below. {said}"
    st.caption(escape_markdown(said))


def _draw_types(view: View, by_type: pd.DataFrame) -> None:
    st.html(dot_plots.type_dots(by_type, view.labels, view.measure, view.pair))
