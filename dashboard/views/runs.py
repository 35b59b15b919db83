"""Runs: bring runs made elsewhere, look them through, compare them like a built-in system; judge by other qrels."""

import re
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import streamlit as st

from core.artifacts import open_artifact
from core.derive import derive
from core.errors import UserError
from core.import_runs import import_runs, remove_run
from core.profile import SAFE_NAME
from core.run_check import RunCheck, check_run
from core.runs import run_name
from dashboard import data
from dashboard.text import error_markdown, escape_markdown, show_error
from dashboard.uploads import saved

LONGEST_NAME = 60
ORDERS = {"score": "by score, as trec_eval does", "rank": "by the rank column"}
SAID = "runs said"
ROUND = "runs round"  # in the uploaders' keys, so that they are empty again after each import


def do(work: Callable[[], Any], said: str) -> None:
    """Do what a button asks for; then draw the page anew with a sentence on what was done, or say why it was not."""
    try:
        with st.spinner("evaluating …"):
            work()
    except UserError as error:
        show_error(error)
        return
    st.session_state[SAID] = said
    st.session_state[ROUND] = st.session_state.get(ROUND, 0) + 1
    st.rerun()


def imported_runs() -> None:
    """Draw the runs that were imported, and the way to remove one."""
    names = [system.name for system in opened.profile.system if system.kind == "run"]
    if not names:
        st.write("No run was imported into this collection yet.")
        return
    measured = set(data.measures(opened)["system"])
    rows = []
    for name in names:
        row = {"run": opened.labels[name], "state": "evaluated" if name in measured else "not evaluated"}
        try:
            manifest = open_artifact(opened.folder / "runs" / name)
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
            do(lambda: remove_run(opened.folder.name, name), f"{opened.labels[name]} was removed.")


@st.cache_data(max_entries=50, show_spinner="Looking through the run …")
def looked_through(name: str, content: bytes, order: str, folder: Path, digest: str) -> RunCheck:
    """Check an uploaded run against the collection under `folder`, which has that digest."""
    known = data.content(data.open_collection(folder.name))
    with tempfile.TemporaryDirectory() as temporary:
        path = saved(name, content, Path(temporary))
        return check_run(path, known.topics.keys(), known.documents.keys(), "rank" if order == "rank" else "score")


def free_name(name: str) -> str:
    """Return what is wrong with a name for a new run, "" where nothing is."""
    if not re.match(SAFE_NAME, name) or len(name) > LONGEST_NAME:
        return f"a name is of letters, digits, '.', '_', '+' and '-', and at most {LONGEST_NAME} long"
    return f"a system is named {name} already; give another name" if name in opened.labels else ""


def bring_runs() -> None:
    """Draw the upload of runs, what is wrong or odd about each, its name, and the button that imports them."""
    label = "Run files: topic Q0 document rank score tag; plain or .gz"
    uploads = st.file_uploader(label, accept_multiple_files=True, key=f"run files {st.session_state.get(ROUND, 0)}")
    order = st.radio("Read them", list(ORDERS), format_func=ORDERS.__getitem__, horizontal=True)
    digest = data.collection_manifest(opened).digest
    chosen: dict[str, tuple[str, bytes]] = {}
    ready = bool(uploads)
    for number, upload in enumerate(uploads):
        content = upload.getvalue()
        try:
            check = looked_through(upload.name, content, order, opened.folder, digest)
        except UserError as error:
            st.error(error_markdown(str(error)))
            ready = False
            continue
        with st.container(border=True):
            st.text(f"{upload.name}: topics {check.topics}, lines {check.lines:,}")
            for fault in check.faults:
                st.error(error_markdown(fault))
            if check.faults:
                ready = False
                continue
            for notice in check.notices:
                st.warning(error_markdown(notice))
            suggested = re.sub(r"[^A-Za-z0-9._+-]", "-", run_name(Path(upload.name)))[:LONGEST_NAME].lstrip("._+-")
            name = st.text_input("Name", suggested or f"run-{number + 1}", key=f"name {upload.file_id}").strip()
            problem = "two of these runs have this name" if name in chosen else free_name(name)
            if problem:
                st.error(error_markdown(problem))
                ready = False
            chosen[name] = (upload.name, content)
    count = f" {len(chosen)} runs" if len(chosen) > 1 else ""
    if st.button(f"Import{count}", key="import", type="primary", disabled=not ready):
        do(lambda: bring(chosen, order == "rank"), f"Imported: {', '.join(chosen)}. Compare them on the Overview page.")


def bring(chosen: dict[str, tuple[str, bytes]], by_rank: bool) -> None:
    """Import runs, name -> (file's name, content)."""
    with tempfile.TemporaryDirectory() as temporary:
        paths = []
        for number, (file, content) in enumerate(chosen.values()):
            folder = Path(temporary) / str(number)
            folder.mkdir()
            paths.append(saved(file, content, folder))
        import_runs(opened.folder.name, paths, by_rank=by_rank, names=list(chosen))


def other_judgments() -> None:
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
        do(
            lambda: derive(
                opened.folder.name, name.strip(), saved(upload.name, upload.getvalue(), Path(temporary)), residual
            ),
            f"The collection {name.strip()} is there; choose it at the left.",
        )


opened: data.Opened = st.session_state["opened"]
if said := st.session_state.get(SAID, ""):
    st.success(escape_markdown(said))
imported_runs()
st.subheader("Bring runs")
bring_runs()
st.caption("A folder of runs that is on the server, in one command:")
st.code(f"python -m core.import_runs FOLDER --name {opened.folder.name}", language=None, wrap_lines=True)
st.subheader("Other judgments")
other_judgments()
