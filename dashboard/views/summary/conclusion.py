"""Robustness of the ranking: the winner under other measures, cut-offs, thresholds, and without each topic."""

from collections.abc import Sequence

import streamlit as st

from core.evaluation.measures import Evaluator
from core.evaluation.robustness import Winner, leave_one_out, robustness_table, variations
from core.evaluation.significance import Values
from core.evaluation.table_formats import Table
from dashboard.shared import data, results
from dashboard.shared.comparison import View
from dashboard.shared.escaping import escape_markdown
from dashboard.shared.provenance import downloads_and_provenance


def table(view: View, systems: Sequence[str] = ()) -> Table:
    """Return the winner under every variation, see `robustness_table`.

    Args:
        systems: the systems among which the winner is; all if empty.
    """
    chosen = list(systems or view.systems)
    stored = list(view.tidy["measure"].unique())
    varied = list(variations(view.measure, stored, view.content.highest_grade))
    names = [name for _, name in varied]
    found = results.stored_values(view.opened, names, chosen) | {view.measure: view.values}
    if others := tuple(name for name in names if name not in found):
        found |= _measured(view.opened, chosen, others, results.digests(view.opened, chosen))
    values = {name: {system: by[system] for system in chosen} for name, by in found.items()}
    # Leaving one of two topics out leaves a single topic, which compares nothing.
    without = _left_out(values[view.measure]) if len(values[view.measure][chosen[0]]) > 2 else {}
    return robustness_table(view.measure, varied, values, without, view.labels)


# All measures of a run together: with many systems, each run would otherwise be read once per measure.
@st.cache_data(max_entries=10, show_spinner=False, hash_funcs={data.Opened: lambda opened: str(opened.folder)})
def _measured(
    opened: data.Opened, systems: list[str], measures: tuple[str, ...], digests: tuple[str, ...]
) -> dict[str, Values]:
    evaluator = Evaluator(data.judged_topics(opened).qrels, measures)
    found = {system: evaluator.evaluate(results.run_scores(opened, system)) for system in systems}
    return {measure: {system: found[system][measure] for system in systems} for measure in measures}


@st.cache_data(max_entries=50, show_spinner=False)  # sums over all other topics, for each topic
def _left_out(values: Values) -> dict[str, Winner]:
    return leave_one_out(values)


def draw_conclusion(view: View) -> None:
    """Draw the table and say how often the winner is the same."""
    found = table(view)
    systems = len(view.systems)
    for sentence in found.sentences:
        st.write(escape_markdown(sentence))
    config = {"margin": st.column_config.NumberColumn(format="%.4f")}
    shown = found.shown.reset_index()
    st.dataframe(
        shown,
        hide_index=True,
        column_config=config,
        height="content",
        alt="The winner under other measures, cut-offs and thresholds, and without each topic",
    )
    name = f"{view.opened.folder.name}-conclusion"
    about = "the winner is the system with the highest mean; the margin is not a significance test"
    downloads_and_provenance(view.opened, name, found, "robustness", {"measure": view.measure}, about)
    st.caption(
        "A result that changes with the measure or with a single topic is not robust. The margin is the difference to "
        "the runner-up; for its significance, see the tests above."
        + (f" Here all {systems} systems compete; beside the headline, A and B alone." if systems > 2 else "")
    )
