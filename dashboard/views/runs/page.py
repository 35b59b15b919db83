"""Runs: import runs made elsewhere, check them and compare them; re-evaluate all runs with other qrels."""

import tempfile
from pathlib import Path

import pandas as pd
import streamlit as st

from core.derive import derive
from core.evaluation.results import notices
from core.import_runs import remove_run
from core.workspace.artifacts import open_artifact
from core.workspace.errors import UserError
from dashboard.shared import data, results
from dashboard.shared.escaping import escape_markdown, show_error
from dashboard.shared.uploads import saved
from dashboard.views.runs.importing import MESSAGE, ROUND, bring_runs, carry_out


def imported_runs(opened: data.Opened) -> None:
    """Draw the table of imported runs, and the removal of a run."""
    names = [system.name for system in opened.profile.system if system.kind == "run"]
    if not names:
        st.write("No runs have been imported into this collection yet.")
        return
    evaluated: list[str] = []
    try:
        measured = results.measured(opened)
        evaluated = measured.systems
        for sentence in notices(opened.folder, opened.labels, measured):
            show_error(UserError(sentence))
    except UserError as error:
        show_error(error)  # and continue: a damaged run can be removed here
    rows = []
    for name in names:
        row = {"run": opened.labels[name], "state": "evaluated" if name in evaluated else "not evaluated"}
        try:
            manifest = open_artifact(opened.folder.run(name))
            row |= {"imported": manifest.finished, "warnings": "; ".join(manifest.facts.get("notices", []))}
        except UserError as error:
            row["state"] = str(error)
        rows.append(row)
    st.dataframe(pd.DataFrame(rows), hide_index=True, placeholder="", alt="Imported runs")
    st.caption(
        "Imported runs appear beside the built-in systems on every results page. Not available for them: answers to "
        "new queries, latency, vectors on the map."
    )
    with st.popover("Remove a run"):
        name = st.selectbox("Imported run", names, format_func=opened.labels.__getitem__)
        if st.button("Remove the run and its measures", key="remove", type="primary"):
            carry_out(lambda: remove_run(opened.folder, name), f"{opened.labels[name]} was removed.")


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
    """Draw the Runs page of a collection."""
    if message := st.session_state.get(MESSAGE, ""):
        st.success(escape_markdown(message))
    imported_runs(opened)
    st.header("Import runs")
    bring_runs(opened)
    st.caption("To import a folder on the server:")
    st.code(f"python -m core.import_runs FOLDER --name {opened.folder.name}", language=None, wrap_lines=True)
    st.header("Re-evaluate with other qrels")
    other_judgments(opened)
