"""Runs: import runs made elsewhere, check them and compare them; re-evaluate all runs with other qrels."""

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd
import streamlit as st

from core.derive import derive
from core.evaluation.results import left_out_sentence, notices
from core.evaluation.run_orders import orders_table, stored_orders
from core.evaluation.verdicts import counted
from core.formats.runs import run_depth
from core.import_runs import arrange_runs, remove_run
from core.workspace.artifacts import Artifact, open_artifact, read_manifest
from core.workspace.errors import UserError
from dashboard.shared import data, links, results
from dashboard.shared.escaping import escape_markdown, show_error
from dashboard.shared.provenance import downloads_and_provenance
from dashboard.shared.uploads import saved
from dashboard.views.runs.importing import IMPORTED, MESSAGE, ROUND, bring_runs, carry_out, draw_orders


def imported_runs(opened: data.Opened) -> None:
    """Draw what is imported: a sentence, the table of runs, both orders, and the editing and removal of runs."""
    names = [system.name for system in opened.profile.system if system.kind == "run"]
    if not names:
        st.write("No runs have been imported into this collection yet.")
        return
    evaluated: list[str] = []
    try:
        measured = results.measured(opened)
        evaluated = [name for name in names if name in measured.systems]
        for sentence in notices(opened.folder, opened.labels, measured):
            show_error(UserError(sentence))
        st.write(f"{counted(len(names), 'imported run')}, {len(evaluated)} evaluated.")
        if short := left_out_sentence(measured, opened.labels):
            st.warning(escape_markdown(short), icon=":material/straighten:")
    except UserError as error:
        show_error(error)  # and continue: a damaged run can be removed here
    rows = []
    for name in names:
        row: dict[str, Any] = {
            "run": opened.labels[name],
            "state": "evaluated" if name in evaluated else "not evaluated",
        }
        try:
            manifest = open_artifact(opened.folder.run(name))
            row |= {"depth": run_depth(opened.folder, name, manifest), "imported": manifest.finished}
            row |= {"warnings": "; ".join(manifest.facts.get("notices", []))}
        except UserError as error:
            row["state"] = str(error)
        rows.append(row)
    st.dataframe(
        pd.DataFrame(rows),
        hide_index=True,
        placeholder="",
        column_config={
            "depth": st.column_config.NumberColumn(help="The largest number of documents of a topic"),
            "imported": st.column_config.DatetimeColumn(format="YYYY-MM-DD HH:mm"),
        },
        alt="Imported runs",
    )
    both_orders(opened)
    with st.container(horizontal=True):
        with st.popover("Edit labels and order"):
            edit_runs(opened, names)
        with st.popover("Remove a run"):
            name = st.selectbox("Imported run", names, format_func=opened.labels.__getitem__)
            if st.button("Remove the run and its measures", key="remove", type="primary"):
                carry_out(lambda: remove_run(opened.folder, name), f"{opened.labels[name]} was removed.")
    st.caption(
        "Imported runs appear beside the built-in systems on every results page. Not available for them: answers to "
        "new queries, latency, vectors on the map."
    )


def both_orders(opened: data.Opened) -> None:
    """Draw the measures of the runs whose order by score differs from that by rank."""
    found = stored_orders(opened.profile, opened.labels, results.manifests(opened))
    if not found:
        return
    table = orders_table(found, f"{opened.folder.name}: imported runs by score and by rank")
    said = f"In {counted(len(found), 'run')}, scores are tied or disagree with the ranks. {' '.join(table.sentences)}"
    st.write(escape_markdown(said))
    with st.expander("Measures by score and by rank"):
        draw_orders(table)
        st.caption("Import a run again with the other ranking order to evaluate it so.")
        runs = {opened.folder.run(name).shown: opened.folder.run(name) for name in opened.labels}
        made_from = {place: read_manifest(run) for place, run in runs.items() if "orders" in facts_of(run)}
        name = f"{opened.folder.name}-run-orders"
        downloads_and_provenance(opened, name, table, "run-orders", {}, made_from=made_from)


def facts_of(run: Artifact) -> Mapping[str, Any]:
    """Return the facts in a run's manifest; nothing if it cannot be read."""
    try:
        return read_manifest(run).facts
    except UserError:
        return {}


def edit_runs(opened: data.Opened, names: list[str]) -> None:
    """Draw the table in which labels and places of imported runs are edited, and the button that saves them."""
    table = pd.DataFrame(
        {"place": range(1, len(names) + 1), "run": names, "label": [opened.labels[name] for name in names]}
    )
    edited = st.data_editor(
        table,
        hide_index=True,
        disabled=["run"],
        column_config={
            "place": st.column_config.NumberColumn(help="Runs are sorted by this number", required=True, width="small"),
            "label": st.column_config.TextColumn(help="The name on all pages; empty for the run's own", width="medium"),
        },
        key=f"edited {opened.folder.name} {st.session_state.get(ROUND, 0)}",
        alt="Labels and places of imported runs",
    )
    if st.button("Save", key="arrange", type="primary", disabled=edited.equals(table)):
        labels, order = arrangement(edited)
        carry_out(lambda: arrange_runs(opened.folder, labels, order), "Labels and order were saved.")


def arrangement(edited: pd.DataFrame) -> tuple[dict[str, str], list[str]]:
    """Return the labels of runs and their order from the edited table with the columns place, run and label.

    A label that is the run's own name, or empty, is "".
    """
    ordered = edited.sort_values("place", kind="stable")
    labels = dict(zip(ordered["run"], ordered["label"].fillna("").str.strip(), strict=True))
    return {run: "" if label == run else label for run, label in labels.items()}, list(ordered["run"])


def other_judgments(opened: data.Opened) -> None:
    """Draw the form that creates a collection of the same runs with other qrels."""
    st.write(
        "Creates a new collection in which the same topics and runs are re-evaluated with the uploaded qrels. The "
        "judgments of this collection do not change."
    )
    label = "Qrels in TREC format (four columns) or BEIR format (three columns), plain or .gz"
    upload = st.file_uploader(label, key=f"qrels file {st.session_state.get(ROUND, 0)}")
    residual = st.checkbox(
        "Residual collection: remove documents that are judged here from runs and qrels",
        help="Each system is then evaluated on the documents that had not been judged before.",
    )
    name = st.text_input("Name of the new collection", f"{opened.folder.name}-{'residual' if residual else 'judged'}")
    if not st.button("Create", key="derive", disabled=not upload) or not upload:
        return
    with tempfile.TemporaryDirectory() as temporary:
        carry_out(
            lambda: derive(
                opened.folder.workspace,
                opened.folder.name,
                name.strip(),
                saved(upload.name, upload.getvalue(), Path(temporary)),
                residual,
            ),
            f"Created the collection {name.strip()}; select it in the sidebar.",
        )


def page(opened: data.Opened) -> None:
    """Draw the page Import runs of a collection."""
    imported = st.session_state.pop(IMPORTED, "")
    if message := st.session_state.pop(MESSAGE, ""):
        st.success(escape_markdown(message))
    if imported in opened.labels:
        label = escape_markdown(f"Compare {opened.labels[imported]} with the other systems")
        links.page_link("summary", label, icon=":material/leaderboard:", a=imported)
    imported_runs(opened)
    st.header("Upload runs")
    bring_runs(opened)
    with st.expander("Import a folder on the server"):
        st.code(f"python -m core.import_runs FOLDER --name {opened.folder.name}", language=None, wrap_lines=True)
    with st.expander("Re-evaluate with other qrels"):
        other_judgments(opened)
