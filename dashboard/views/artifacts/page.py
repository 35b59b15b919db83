"""Build and provenance: what is built, whether it is up to date, what a build would make, and each manifest."""

from collections.abc import Sequence

import pandas as pd
import streamlit as st

from core.artifact_list import Entry
from core.evaluation.table_formats import csv
from core.evaluation.verdicts import counted
from core.workspace.errors import UserError
from core.workspace.estimates import in_bytes, in_time
from dashboard.shared import data, state
from dashboard.shared.escaping import escape_markdown

SIGNS = {
    "up to date": "● up to date",
    "stale": "◐ stale",
    "missing": "○ missing",
    "not included": "◌ not included",
    "outside this profile": "? outside this profile",
}
TO_MAKE = ("stale", "missing")
WORDS = """
An **artifact** is a folder written by one stage. Its **manifest** records the settings, the inputs (as SHA-256) and the
software versions. It is **stale** if any of these have changed since, or if a file differs from the one that was
written. The command rebuilds what is stale or missing and keeps the rest. **Not included**: the archive that the
collection came from leaves files of it out. **Outside this profile**: no system of the profile uses it.
"""


def inventory(opened: data.Opened) -> list[Entry]:
    """Return the collection's artifacts in build order, each with its state.

    Raises:
        UserError: there are none.
    """
    with st.spinner("Checking every file against its manifest …"):
        from core.artifact_list import inventory  # imports the index libraries, which takes a second the first time

        entries = inventory(opened.profile, opened.folder)
    if not entries:
        raise UserError(f"{opened.folder.name} has no artifacts yet")
    return entries


def answer(entries: Sequence[Entry]) -> str:
    """Return whether everything is up to date, as a sentence."""
    unmade = [entry for entry in entries if entry.state in TO_MAKE]
    if not unmade:
        return f"Up to date: {counted(len(entries), 'artifact')}, nothing to build."
    counts = {kind: sum(entry.state == kind for entry in unmade) for kind in TO_MAKE}
    kinds = [f"{count} {kind}" for kind, count in counts.items() if count]
    return f"To build: {len(unmade)} of {counted(len(entries), 'artifact')} ({', '.join(kinds)})."


def origin(entries: Sequence[Entry]) -> str:
    """Return when, where and in which time the artifacts were built, and their size, as a sentence."""
    size = f"{in_bytes(sum(entry.bytes for entry in entries))} on disk"
    known = [entry.manifest for entry in entries if entry.manifest]
    if not known:
        return f"{size}."
    days = sorted({manifest.finished[:10] for manifest in known})
    when = days[0] if len(days) == 1 else f"{days[0]} to {days[-1]}"
    hosts = dict.fromkeys(
        f"{manifest.host.get('system')} {manifest.host.get('machine')}, "
        f"{counted(int(manifest.host.get('cores') or 0), 'core')}"
        for manifest in known
        if manifest.host
    )
    took = in_time(sum(manifest.seconds for manifest in known))
    return f"{size}; built {when} in {took}" + (f" on {' and '.join(hosts)}." if hosts else ".")


def draw_plan(opened: data.Opened, entries: Sequence[Entry]) -> None:
    """Draw what is stale or missing, in the order of a build, and the commands that make it."""
    unmade = [entry for entry in entries if entry.state in TO_MAKE]
    if not unmade:
        return
    st.markdown("Build it with:")
    for command in dict.fromkeys(entry.command for entry in unmade):
        st.code(command, language=None, wrap_lines=True)
        if "scripts/build.py" in command:
            st.write("The same command with `--plan` prints the steps with estimates of time and disk space.")
    st.dataframe(
        pd.DataFrame(
            {
                "artifact": [_place(opened, entry) for entry in unmade],
                "state": [SIGNS[entry.state] for entry in unmade],
                "reason": [_reason(entry) for entry in unmade],
            }
        ),
        hide_index=True,
        column_order=["artifact", "state", *(["reason"] if any(map(_reason, unmade)) else [])],
        alt="What is stale or missing, in the order of a build",
    )


def _place(opened: data.Opened, entry: Entry) -> str:
    return entry.place.removeprefix(f"artifacts/{opened.folder.name}/").removeprefix("artifacts/")


def _reason(entry: Entry) -> str:
    """Return why an artifact is in its state; "" where the state says it."""
    return "" if entry.reason == entry.state else entry.reason


def draw_table(opened: data.Opened, entries: Sequence[Entry], places: Sequence[str]) -> None:
    """Draw the table of all artifacts; a row opens its manifest."""
    table = pd.DataFrame(
        {
            "state": [SIGNS[entry.state] for entry in entries],
            "artifact": places,
            "reason": [_reason(entry) for entry in entries],
            "size (MB)": [entry.bytes / 1e6 if entry.bytes else None for entry in entries],
            "build time (s)": [entry.manifest.seconds if entry.manifest else None for entry in entries],
            "built": [entry.manifest.finished if entry.manifest else None for entry in entries],
            "command": [entry.command for entry in entries],
        }
    )
    key = f"artifacts {opened.folder.name} {state.read('artifact')}"

    def open_row() -> None:
        if rows := st.session_state[key].selection.rows:
            state.write("artifact", places[rows[0]])

    st.dataframe(
        table,
        hide_index=True,
        placeholder="–",
        key=key,
        on_select=open_row,
        selection_mode="single-row",
        column_order=[name for name in table if name != "reason" or table["reason"].any()],
        column_config={
            "size (MB)": st.column_config.NumberColumn(format="%.2f"),
            "build time (s)": st.column_config.NumberColumn(format="%.1f"),
            "built": st.column_config.DatetimeColumn(format="YYYY-MM-DD HH:mm"),
        },
        alt="Every artifact with its state, size and command",
    )
    st.download_button("Table as CSV", csv(table, index=False), f"{opened.folder.name}-artifacts.csv", "text/csv")


def draw_manifest(entry: Entry, place: str) -> None:
    """Draw the state of an artifact, the command that makes it, its files and its manifest."""
    st.text(": ".join(filter(None, [SIGNS[entry.state], _reason(entry)])))
    st.caption("Command to rebuild it:")
    st.code(entry.command, language=None, wrap_lines=True)
    if entry.manifest is None:
        st.info("There is no manifest to show.")
        return
    files = pd.DataFrame(
        [
            {"file": name, "bytes": about["bytes"], "SHA-256": about["sha256"]}
            for name, about in entry.manifest.files.items()
        ]
    )
    st.dataframe(files, hide_index=True, alt=f"Files of {place}")
    st.json({**vars(entry.manifest), "digest": entry.manifest.digest}, expanded=1)


def page(opened: data.Opened) -> None:
    """Draw the page of a collection's artifacts."""
    entries = inventory(opened)
    made = all(entry.state not in TO_MAKE for entry in entries)
    icon = ":green[:material/check_circle:]" if made else ":orange[:material/build:]"
    st.markdown(f"{icon} **{escape_markdown(answer(entries))}** {escape_markdown(origin(entries))}")
    draw_plan(opened, entries)
    places = [_place(opened, entry) for entry in entries]
    st.header("Artifacts")
    draw_table(opened, entries, places)
    st.header("Manifest")
    place = state.choose("Artifact", places, "artifact", places[0])
    draw_manifest(entries[places.index(place)], place)
    with st.expander("Browse this collection on another machine", icon=":material/archive:"):
        st.caption("Pack it here and open the archive there:")
        name = opened.folder.name
        st.code(f"rankscope pack {name} --to {name}.zip\nrankscope open {name}.zip", language=None, wrap_lines=True)
    with st.expander("What these states mean", icon=":material/help:"):
        st.markdown(WORDS)
