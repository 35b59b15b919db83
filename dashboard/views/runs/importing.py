"""Import of run files on the page Import runs: checks, names, import."""

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import streamlit as st

from core.evaluation.run_orders import ORDERS, MeansByOrder, means_by_order, orders_table
from core.evaluation.table_formats import Table
from core.evaluation.verdicts import counted
from core.formats.run_validation import RunCheck, check_run
from core.formats.runs import run_name
from core.import_runs import import_runs
from core.workspace.errors import UserError
from core.workspace.names import name_problem, safe_name
from core.workspace.workspace import CollectionFolder
from dashboard.shared import data
from dashboard.shared.escaping import error_markdown, escape_markdown, show_error
from dashboard.shared.uploads import LARGEST_UNPACKED, saved
from dashboard.shared.widgets import FOUR, SIGNED

MESSAGE = "runs message"
IMPORTED = "runs imported"
"""Key of the session's state that holds the name of a run that was just imported."""
ROUND = "runs round"  # part of the uploaders' keys, so that they are empty after each import


def carry_out(work: Callable[[], Any], message: str, imported: str = "") -> None:
    """Carry out a button's action, then redraw the page with the message, or show the error.

    Args:
        imported: the name of a run that the action imports, which the page then links to.
    """
    try:
        with st.spinner("Evaluating …"):
            work()
    except UserError as error:
        show_error(error)
        return
    st.session_state[MESSAGE], st.session_state[IMPORTED] = message, imported
    st.session_state[ROUND] = st.session_state.get(ROUND, 0) + 1
    st.rerun()


@st.cache_data(max_entries=1000, show_spinner="Checking the run …")  # each redraw checks every uploaded file
def looked_through(
    upload: str, name: str, _content: bytes, order: str, folder: CollectionFolder, digest: str, measures: list[str]
) -> tuple[RunCheck, MeansByOrder]:
    """Check an uploaded run against the collection under `folder`, which has that digest.

    Returns:
        The check, and the means in both orders if these differ.

    Args:
        upload: the id of the upload, hashed in place of its content, which would be hashed at each redraw.
    """
    known = data.content(data.open_collection(folder.name))
    with tempfile.TemporaryDirectory() as temporary:
        path = saved(name, _content, Path(temporary))
        by: Literal["score", "rank"] = "rank" if order == "rank" else "score"
        check = check_run(path, known.qrels, known.documents.keys(), by, known.excluded, measures)
        return check, means_by_order(path, known.qrels, known.excluded, measures) if check.reordered else {}


def problem_of(opened: data.Opened, name: str) -> str:
    """Return why a name is invalid for a new run, "" if it is valid."""
    if problem := name_problem(name, "run"):
        return problem
    taken = name.lower() in {system.lower() for system in opened.labels}
    return f"a system named {name} already exists; choose another name" if taken else ""


def bring_runs(opened: data.Opened) -> None:
    """Draw the upload of runs, the errors and warnings of each, its name, and the import button."""
    most = f"{LARGEST_UNPACKED / 1e6:,.0f} MB"
    label = f"Run files in TREC format (topic Q0 document rank score tag), plain or .gz, up to {most} each"
    several: Literal["directory", True] = "directory" if st.toggle("Upload a folder") else True
    key = f"run files {several} {st.session_state.get(ROUND, 0)}"
    uploads = st.file_uploader(label, accept_multiple_files=several, key=key)
    order = st.radio("Ranking order", list(ORDERS), format_func=lambda name: ORDERS[name], horizontal=True)
    digest = data.collection_manifest(opened).digest
    chosen: dict[str, tuple[str, bytes]] = {}
    ready = True
    for number, upload in enumerate(uploads):
        path = Path(upload.name)
        if several == "directory" and path.name.startswith("."):
            continue
        content = upload.getvalue()
        try:
            check, orders = looked_through(
                upload.file_id, upload.name, content, order, opened.folder, digest, opened.profile.measures
            )
            faults = check.faults
        except UserError as error:
            faults = [str(error)]
        if faults and several == "directory":
            st.warning(error_markdown(f"Skipped: {faults[0]}"))
            continue
        with st.container(border=True):
            st.text(upload.name if faults else f"{upload.name}: {check.topics:,} topics, {check.lines:,} lines")
            for fault in faults:
                st.error(error_markdown(fault))
            if faults:
                ready = False
                continue
            if check.notices:
                st.warning("\n".join(f"- {error_markdown(notice)}" for notice in check.notices))
            if orders:
                table = orders_table({upload.name: orders}, f"{upload.name} by score and by rank")
                st.write(
                    f"The order by rank differs from that by score in {counted(check.reordered, 'topic')}. "
                    f"{escape_markdown(' '.join(table.sentences))}"
                )
                with st.expander("Measures by score and by rank"):
                    draw_orders(table)
            suggested = safe_name(run_name(path, check.tag)) or f"run-{number + 1}"
            name = st.text_input("Name", suggested, key=f"name {upload.file_id}").strip()
            problem = "another of these runs has the same name" if name in chosen else problem_of(opened, name)
            if problem:
                st.error(error_markdown(problem))
                ready = False
            chosen[name] = (upload.name, content)
    count = f" {len(chosen)} runs" if len(chosen) > 1 else ""
    if st.button(f"Import{count}", key="import", type="primary", disabled=not (ready and chosen)):
        carry_out(
            lambda: import_uploads(opened, chosen, order == "rank"),
            f"Imported: {', '.join(chosen)}.",
            next(iter(chosen)),
        )


def draw_orders(table: Table) -> None:
    """Draw the measures of runs in both orders."""
    config = dict.fromkeys(ORDERS.values(), FOUR) | {"difference": SIGNED}
    st.dataframe(table.shown.reset_index(), hide_index=True, column_config=config, alt=table.caption)


def import_uploads(opened: data.Opened, chosen: dict[str, tuple[str, bytes]], by_rank: bool) -> None:
    """Import runs, given as name -> (file name, content)."""
    with tempfile.TemporaryDirectory() as temporary:
        paths = []
        for number, (file, content) in enumerate(chosen.values()):
            folder = Path(temporary) / str(number)
            folder.mkdir()
            paths.append(saved(file, content, folder))
        import_runs(opened.folder, paths, by_rank=by_rank, names=list(chosen), replace=False)
