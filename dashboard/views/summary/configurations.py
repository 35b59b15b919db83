"""The configuration of the systems, and their means held against published figures."""

from collections.abc import Collection
from functools import partial

import streamlit as st

from core.evaluation.comparison_tables import published_rows
from core.evaluation.configurations import bm25_table, dense_table, fusion_table, sparse_table
from core.evaluation.diagnosis_tables import read_diagnosis
from core.evaluation.published import MEASURE, agreement_table, exercise_table, published_figures
from core.evaluation.table_formats import MISSING, Table
from core.workspace.artifacts import Manifest, read_manifest
from dashboard.shared import data, results, widgets
from dashboard.shared.comparison import View
from dashboard.shared.escaping import escape_markdown
from dashboard.shared.provenance import downloads_and_provenance
from dashboard.shared.widgets import FOUR, SIGNED

NARROW = {
    "input limit (tokens)": st.column_config.Column("input limit", help="input limit (tokens)"),
    "the model's own limit": st.column_config.Column("own limit", help="the model's own limit (tokens)"),
}
"""Columns with shorter names, so that the table fits the page."""


def published_table(opened: data.Opened, systems: Collection[str], manifests: dict[str, Manifest]) -> Table:
    """Return the table of measured and published figures; see `core.evaluation.published.agreement_table`."""
    return agreement_table(
        published_figures(data.collection_manifest(opened).facts),
        opened.folder.workspace,
        [system for system in opened.profile.system if system.name in systems],
        manifests,
        partial(results.values, opened),
        opened.labels,
        opened.folder.name,
    )


def configuration_tables(
    opened: data.Opened, names: Collection[str], manifests: dict[str, Manifest]
) -> dict[str, Table]:
    """Return the tables of the systems of each kind, by the name of their figure, without empty ones."""
    systems = [system for system in opened.profile.system if system.name in names]
    labels, name = opened.labels, opened.folder.name
    tables = {
        "dense-systems": dense_table(opened.folder.workspace, systems, manifests, labels, name),
        "sparse-systems": sparse_table(systems, manifests, labels, name),
        "bm25-systems": bm25_table(systems, manifests, labels, name),
        "fusions": fusion_table(systems, manifests, labels, name),
    }
    return {figure: table for figure, table in tables.items() if len(table.figures)}


def draw_published(view: View, manifests: dict[str, Manifest]) -> None:
    """Draw the published figures of the collection, and the means that were measured with their configuration."""
    opened = view.opened
    known = published_figures(data.collection_manifest(opened).facts)
    table = published_table(opened, view.systems, manifests)
    for sentence in table.sentences:
        st.write(escape_markdown(sentence))
    if len(table.figures):
        config = {"measured": FOUR, "published": FOUR, "difference": SIGNED}
        st.dataframe(table.shown, column_config=config, alt="Measured and published figures of the same configurations")
        downloads_and_provenance(opened, f"{opened.folder.name}-published", table, "published", {})
    draw_diagnoses(view)
    if not known:
        return
    measures = list(dict.fromkeys(name for one in known for name in one.measures))
    rows = published_rows(known, measures).rename_axis("system")
    st.dataframe(rows, column_config=dict.fromkeys(measures, FOUR), placeholder=MISSING, alt="Published figures")
    sources = "; ".join(f"{one.system}: {one.source}" for one in known)
    st.caption(escape_markdown(f"Published figures are given for context and are not part of the tests. {sources}."))
    draw_exercise(opened)


def draw_exercise(opened: data.Opened) -> None:
    """Draw what others reached in the exercise that RankScope grew from, if that is known for the collection."""
    table = exercise_table(data.collection_manifest(opened).facts, opened.folder.name)
    if table.figures.empty:
        return
    st.markdown("**The exercise by others**")
    for sentence in table.sentences:
        st.write(escape_markdown(sentence))
    st.dataframe(table.shown, column_config={MEASURE: FOUR}, height=240, alt=table.caption)
    downloads_and_provenance(opened, f"{opened.folder.name}-exercise", table, "exercise", {})


def draw_diagnoses(view: View) -> None:
    """Draw the stored diagnoses of why figures differ from published ones."""
    opened = view.opened
    for system in view.systems:
        if not opened.folder.diagnosis(system).path.exists():
            continue
        place, label = f"diagnosis/{system}", view.labels[system]
        widgets.say_older(opened, {place: f"the diagnosis of {label}"})
        table = read_diagnosis(opened.folder, system, label)
        st.markdown(f"**Why the figure of {escape_markdown(label)} differs**")
        for sentence in table.sentences:
            st.write(escape_markdown(sentence))
        figures = [column for column in table.shown if table.shown[column].dtype.kind == "f"]
        config = dict.fromkeys(figures, FOUR) | {"cause": st.column_config.Column(width="medium")}
        st.dataframe(table.shown, column_config=config, placeholder=MISSING, alt=table.caption)
        made_from = {place: read_manifest(opened.folder.diagnosis(system))}
        name = f"{opened.folder.name}-diagnosis-{system}"
        downloads_and_provenance(opened, name, table, "diagnosis", {"system": system}, made_from=made_from)


def draw_configurations(opened: data.Opened, manifests: dict[str, Manifest]) -> None:
    """Draw the configuration of the systems, a table for each kind."""
    tables = configuration_tables(opened, list(opened.labels), manifests)
    if not tables:
        st.write("These systems were imported as runs; how they were configured is not known.")
    for figure, table in tables.items():
        shown = table.shown.dropna(axis="columns", how="all")
        st.dataframe(shown, column_config=NARROW, placeholder=MISSING, alt=table.caption)
        downloads_and_provenance(opened, f"{opened.folder.name}-{figure}", table, figure, {})
    if "dense-systems" in tables:
        st.caption(
            "From the manifests of vectors and runs. Text beyond the input limit is cut off. Pooling, the model's own "
            "limit and its prompts are read from the model's files where the vectors were made by an older version."
        )
