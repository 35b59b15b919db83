"""Runs: bring runs made elsewhere, look them through, compare them like a built-in system; judge by other qrels."""

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
    """Draw the runs that were imported, and the way to remove one."""
    names = [system.name for system in opened.profile.system if system.kind == "run"]
    if not names:
        st.write("No run was imported into this collection yet.")
        return
    evaluated: list[str] = []
    try:
        measured = results.measured(opened)
        evaluated = measured.systems
        for sentence in notices(opened.folder, opened.labels, measured):
            show_error(UserError(sentence))
    except UserError as error:
        show_error(error)  # and go on: a run that is damaged can be removed here
    rows = []
    for name in names:
        row = {"run": opened.labels[name], "state": "evaluated" if name in evaluated else "not evaluated"}
        try:
            manifest = open_artifact(opened.folder.run(name))
            row |= {"imported": manifest.finished, "what is odd": "; ".join(manifest.facts.get("notices", []))}
        except UserError as error:
            row["state"] = str(error)
        rows.append(row)
    st.dataframe(pd.DataFrame(rows), hide_index=True, placeholder="", alt="Imported runs")
    st.caption(
        "On every page of figures they stand beside the built-in systems. What cannot be had of them: an answer to a "
        "new query, a latency, vectors on the map."
    )
    with st.popover("Remove a run"):
        name = st.selectbox("Imported run", names, format_func=opened.labels.__getitem__)
        if st.button("Remove it and its measures", key="remove", type="primary"):
            carry_out(lambda: remove_run(opened.folder, name), f"{opened.labels[name]} was removed.")


def other_judgments(opened: data.Opened) -> None:
    """Draw the making of a collection that judges the same runs by other qrels."""
    st.write(
        "The same topics and runs, judged anew, become a collection of their own: every page can show it, and these "
        "judgments stay as they are."
    )
    label = "Judgments: TREC's four columns or BEIR's three; plain or .gz"
    upload = st.file_uploader(label, key=f"qrels file {st.session_state.get(ROUND, 0)}")
    residual = st.checkbox(
        "Residual: leave out of runs and judgments what is judged here",
        help="Each system is then measured on what it finds beyond the documents that were judged before.",
    )
    name = st.text_input("Name of the new collection", f"{opened.folder.name}-{'residual' if residual else 'judged'}")
    if not st.button("Make it", key="derive", disabled=not upload) or not upload:
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
            f"The collection {name.strip()} is there; choose it at the left.",
        )


def page(opened: data.Opened) -> None:
    """Draw the Runs page of a collection."""
    if message := st.session_state.get(MESSAGE, ""):
        st.success(escape_markdown(message))
    imported_runs(opened)
    st.header("Bring runs")
    bring_runs(opened)
    st.caption("A folder of runs that is on the server, in one command:")
    st.code(f"python -m core.import_runs FOLDER --name {opened.folder.name}", language=None, wrap_lines=True)
    st.header("Other judgments")
    other_judgments(opened)
