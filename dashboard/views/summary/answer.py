"""The answer: who is better and by how much, the evidence, and chips on robustness, latency and training."""

from collections.abc import Mapping, Sequence

import pandas as pd
import streamlit as st

from core.evaluation.comparison_tables import latencies
from core.evaluation.robustness import in_short
from core.evaluation.significance import Comparison
from core.evaluation.table_formats import Table, milliseconds
from core.evaluation.training_figures import recipe, recipe_in_short
from core.evaluation.verdicts import Verdict, single_verdict, verdict
from core.training.histories import trained_models
from core.workspace.artifacts import Manifest, read_latest, read_manifest
from core.workspace.errors import UserError
from dashboard.shared import results
from dashboard.shared.comparison import View
from dashboard.shared.escaping import escape_markdown
from dashboard.views.summary import conclusion

Against = tuple[pd.DataFrame, Mapping[str, Comparison]]
"""The comparison of every system with the baseline, from `comparison_tables.against_baseline`."""


def verdict_of(view: View, against: Against) -> Verdict:
    """Return the comparison of systems A and B, or the mean of the only system."""
    table, found = against
    if not view.a:
        mean, low, high = table.loc[view.baseline, ["mean", "low", "high"]]
        topics = len(view.values[view.baseline])
        return single_verdict(view.labels[view.baseline], view.measure, mean, low, high, topics)
    adjusted = float(table.loc[view.a, "Holm randomisation"])
    labels = view.labels[view.a], view.labels[view.baseline]
    return verdict(*labels, view.measure, found[view.a], adjusted, len(found), better_first=True)


def draw_answer(view: View, against: Against, manifests: Mapping[str, Manifest]) -> st.delta_generator.DeltaGenerator:
    """Draw headline, evidence and chips; return the place of the chip that needs the runs, for `draw_robustness`."""
    found = verdict_of(view, against)
    st.header(escape_markdown(found.headline), anchor=False)
    if found.evidence:
        st.markdown(escape_markdown(f"{found.evidence}."))
    if not view.a:
        return st.empty()
    with st.container(horizontal=True, vertical_alignment="center", gap="xsmall"):
        place = st.empty()
        if said := _latencies(view.pair if against[1][view.a].difference >= 0 else view.pair[::-1], manifests):
            st.badge(said, icon=":material/timer:", color="gray", help="Median time of one query, with its encoding.")
        if model := trained(view):
            said = escape_markdown(recipe_in_short(model).capitalize())
            st.badge(said, icon=":material/model_training:", color="gray", help=escape_markdown(f"{recipe(model)}."))
        if found.details:
            with st.popover("Details", type="tertiary"):
                for sentence in found.details:
                    st.markdown(escape_markdown(sentence))
    return place


def draw_robustness(view: View, place: st.delta_generator.DeltaGenerator) -> None:
    """Draw in a chip whether the better of the two systems is also better by other measures and without each topic."""
    if not view.a or view.values[view.a] == view.values[view.baseline]:
        return
    try:
        table = read_latest(lambda: results.digests(view.opened, view.pair), lambda digests: _robustness(view, digests))
    except UserError:
        return  # the section on robustness says why
    robust, said = in_short(table.figures)
    explained = escape_markdown(" ".join(table.sentences))
    if robust:
        place.badge(said.capitalize(), icon=":material/check_circle:", color="blue", help=explained)
    else:
        place.badge(said.capitalize(), icon=":material/warning:", color="orange", help=explained)


def _chosen(view: View) -> tuple[str, ...]:
    return str(view.opened.folder), *view.pair, view.measure, *view.tidy["measure"].unique()


@st.cache_data(max_entries=50, show_spinner=False, hash_funcs={View: _chosen})
def _robustness(view: View, digests: tuple[str, ...]) -> Table:
    return conclusion.table(view, view.pair)


def _latencies(pair: Sequence[str], manifests: Mapping[str, Manifest]) -> str:
    """Return the latencies of two systems, in the order in which the headline names them."""
    first, second = latencies(pair, manifests).values()
    return f"Latency {milliseconds(first, '')} vs {milliseconds(second)}" if first and second else ""


def trained(view: View) -> Manifest | None:
    """Return the manifest of the model of system A if it was fine-tuned in this workspace."""
    models = {system.name: system.model for system in view.opened.profile.system if system.kind == "dense"}
    if not models.get(view.a):
        return None
    model = view.opened.folder.workspace.model(models[view.a])
    if model.path not in {one.path for one in trained_models(view.opened.folder.workspace)}:
        return None
    try:
        return read_manifest(model)
    except UserError:
        return None  # the Fine-tuning page says what is wrong
