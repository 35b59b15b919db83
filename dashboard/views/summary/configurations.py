"""The configuration of the systems, and their means held against published figures."""

from collections.abc import Collection
from functools import partial

import streamlit as st

from core.evaluation.configurations import bm25_table, dense_table
from core.evaluation.published import agreement_table, published_figures
from core.evaluation.table_formats import MISSING, Table
from core.workspace.artifacts import Manifest
from core.workspace.errors import UserError
from dashboard.shared import data, results
from dashboard.shared.escaping import escape_markdown, show_error
from dashboard.shared.provenance import downloads_and_provenance
from dashboard.shared.widgets import FOUR


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
    """Return the tables of dense and of BM25 systems, by the name of their figure, without empty ones."""
    systems = [system for system in opened.profile.system if system.name in names]
    labels, name = opened.labels, opened.folder.name
    tables = {
        "dense-systems": dense_table(opened.folder.workspace, systems, manifests, labels, name),
        "bm25-systems": bm25_table(systems, manifests, labels, name),
    }
    return {figure: table for figure, table in tables.items() if len(table.figures)}


def draw_published(opened: data.Opened, systems: Collection[str], manifests: dict[str, Manifest]) -> None:
    """Draw the means beside the published figures, or a sentence that there are none to compare with."""
    try:
        table = published_table(opened, systems, manifests)
    except UserError as error:
        show_error(error)
        return
    if table.figures.empty:
        st.caption(escape_markdown(" ".join(table.sentences)))
        return
    st.subheader("Measured against published figures")
    for sentence in table.sentences:
        st.write(escape_markdown(sentence))
    config = {
        "measured": FOUR,
        "published": FOUR,
        "difference": st.column_config.NumberColumn(format="%+.4f"),
    }
    st.dataframe(table.shown, column_config=config, alt="Measured and published figures of the same configurations")
    downloads_and_provenance(opened, f"{opened.folder.name}-published", table, "published", {})


def draw_configurations(opened: data.Opened, manifests: dict[str, Manifest]) -> None:
    """Draw the configuration of the dense and of the BM25 systems."""
    tables = configuration_tables(opened, list(opened.labels), manifests)
    if not tables:
        st.write("These systems were imported as runs; how they were configured is not known.")
    for figure, table in tables.items():
        st.dataframe(table.shown, placeholder=MISSING, alt=table.caption)
        downloads_and_provenance(opened, f"{opened.folder.name}-{figure}", table, figure, {})
    if "dense-systems" in tables:
        st.caption(
            "From the manifests of vectors and runs. Text beyond the input limit is cut off. Pooling, the model's own "
            "limit and its prompts are read from the model's files where the vectors were made by an older version."
        )
