"""The table for a paper: choices, preview, and LaTeX to copy."""

from collections.abc import Sequence
from typing import cast
from urllib.parse import parse_qsl, urlencode

import pandas as pd
import streamlit as st

from core.evaluation import paper_tables
from core.evaluation.comparison_tables import CORRECTIONS, TESTS, evaluated_measures
from core.evaluation.paper_tables import Choices, PaperTable, paper_table, raised
from core.evaluation.published import published_figures
from core.evaluation.significance import Correction, SignificantPairs, Test, Values, significant_pairs
from core.workspace.errors import UserError
from core.workspace.measure_names import parse_measure, split_names
from dashboard.shared import data, results, state
from dashboard.shared.escaping import escape_markdown
from dashboard.shared.provenance import downloads_and_provenance

PARAMETER = "labels"
DECIMALS = ("2", "3", "4")


def draw_paper(opened: data.Opened, tidy: pd.DataFrame, systems: Sequence[str]) -> None:
    """Draw the choices and the table of the chosen systems.

    Raises:
        UserError: if the systems cannot be compared.
    """
    measures = choose_measures(opened, tidy)
    with st.container(horizontal=True, vertical_alignment="bottom"):
        pairs = {"": "all pairs (letters)"} | {name: f"against {opened.labels[name]}" for name in systems}
        against = state.choose("Significance of", list(pairs), "against", "", pairs, width=240)
        tests = {str(name): label for name, label in TESTS.items()}
        test = cast("Test", state.choose("Test", list(tests), "test", "randomisation", tests, width=200))
        corrections = {str(name): label for name, label in CORRECTIONS.items()}
        chosen = state.choose("Correction", list(corrections), "correction", "holm", corrections, width=140)
        correction = cast("Correction", chosen)
        decimals = state.choose("Decimals", DECIMALS, "decimals", "4", width=100)
        bold = state.switch("Best in bold", "bold", default=True)
        known = published_figures(data.collection_manifest(opened).facts)
        published = bool(known) and state.switch("Published figures", "published")
    renamed = edit_labels(opened, systems)
    labels = {name: renamed.get(name, opened.labels[name]) for name in systems}
    choices = Choices(labels, measures, against, test, correction, int(decimals), bold, published)
    values = {name: results.values(opened, name) for name in measures}
    table = paper_table(values, choices, opened.folder.name, known, _significant_pairs)
    for sentence in table.sentences:
        st.warning(escape_markdown(sentence))
    draw_preview(table)
    st.code(table.latex(), language=None, wrap_lines=True)  # the colours of highlighted LaTeX lack contrast
    options = {
        "systems": list(systems),
        "measures": measures,
        "label": renamed,
        "against": against,
        "test": test,
        "correction": correction,
        "decimals": decimals,
        "bold": None if bold else False,
        "published": published or None,
    }
    downloads_and_provenance(opened, f"{opened.folder.name}-paper", table, "paper", options)


def choose_measures(opened: data.Opened, tidy: pd.DataFrame) -> list[str]:
    """Draw the choice of measures, in the order of choice; any measure can be typed."""
    key = "choice measures"
    known, unknown = [], []
    for name in split_names(state.read("measures")):
        try:
            known.append(parse_measure(name).notation)
        except UserError as error:
            unknown.append(str(error))
    for sentence in unknown:
        st.warning(escape_markdown(sentence))
    st.session_state[key] = list(dict.fromkeys(known)) or paper_tables.first_measures(tidy)
    offered = dict.fromkeys([*evaluated_measures(tidy, opened.profile.measures), *st.session_state[key]])
    return st.multiselect(
        "Measures",
        list(offered),
        key=key,
        accept_new_options=True,
        on_change=lambda: state.write("measures", ",".join(st.session_state[key])),
        help="In the order of choice. Others of ir_measures can be typed, such as R(rel=2)@1000 or RBP(rel=1,p=0.5).",
    )


def edit_labels(opened: data.Opened, systems: Sequence[str]) -> dict[str, str]:
    """Draw a field for the label of each system, and return the labels that are not the system's own."""
    given = dict(parse_qsl(state.read(PARAMETER)))

    def write(name: str) -> None:
        label = " ".join(st.session_state[f"label {name}"].split())
        changed = {**given, name: label}
        kept = {system: text for system, text in changed.items() if text and text != opened.labels.get(system)}
        state.write(PARAMETER, urlencode(kept))

    with st.expander("Labels"):
        columns = st.columns(min(len(systems), 4) or 1)
        for number, name in enumerate(systems):
            st.session_state[f"label {name}"] = given.get(name, opened.labels[name])
            with columns[number % len(columns)]:
                st.text_input(name, key=f"label {name}", on_change=write, args=(name,))
    return {name: label for name, label in given.items() if name in systems}


def draw_preview(table: PaperTable) -> None:
    """Draw the table as it will be printed, with its caption."""
    rows = [
        [f"{escape_markdown(text)}{raised(marks)}" if not bold else f"**{escape_markdown(text)}**{raised(marks)}"
         for text, marks, bold in row]
        for row in (*table.rows, *table.published)
    ]  # fmt: skip
    head = [escape_markdown(name) for name in table.head]
    st.caption(escape_markdown(table.caption))
    st.table(pd.DataFrame(rows, columns=head), border="horizontal", hide_index=True)


@st.cache_data(max_entries=100, show_spinner=False)
def _significant_pairs(values: Values, test: Test, correction: Correction, baseline: str) -> SignificantPairs:
    return significant_pairs(values, test, correction, baseline)
