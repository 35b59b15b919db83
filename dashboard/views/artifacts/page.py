"""Artifacts: their state and its reason, size, manifest and the command that rebuilds each."""

import pandas as pd
import streamlit as st

from core.evaluation.table_formats import csv
from core.workspace.errors import UserError
from dashboard.shared import data, state
from dashboard.shared.escaping import escape_markdown

SIGNS = {
    "up to date": "● up to date",
    "stale": "◐ stale",
    "missing": "○ missing",
    "not included": "◌ not included",
    "outside this profile": "? outside this profile",
}
WORDS = """
An **artifact** is a folder written by one stage. Its **manifest** records the settings, the inputs (as SHA-256) and the
software versions. It is **stale** if any of these have changed since, or if a file differs from the one that was
written. The command rebuilds what is stale or missing and keeps the rest. **Not included**: the archive that the
collection came from leaves files of it out. **Outside this profile**: no system of the profile uses it.
"""


def page(opened: data.Opened) -> None:
    """Draw the Artifacts page of a collection."""
    with st.spinner("Checking every file against its manifest …"):
        from core.artifact_list import inventory  # imports the index libraries, which takes a second the first time

        entries = inventory(opened.profile, opened.folder)
    if not entries:
        raise UserError(f"{opened.folder.name} has no artifacts yet")
    counts = pd.Series([entry.state for entry in entries]).value_counts()
    st.write(
        escape_markdown(
            f"{len(entries)} artifacts, {sum(entry.bytes for entry in entries) / 1e6:,.1f} MB: "
            + ", ".join(f"{count} {name}" for name, count in counts.items())
        )
    )
    here = f"artifacts/{opened.folder.name}/"
    places = [entry.place.removeprefix(here).removeprefix("artifacts/") for entry in entries]
    table = pd.DataFrame(
        {
            "state": [SIGNS[entry.state] for entry in entries],
            "artifact": places,
            "reason": [entry.reason for entry in entries],
            "size (MB)": [entry.bytes / 1e6 for entry in entries],
            "build time (s)": [entry.manifest.seconds if entry.manifest else None for entry in entries],
            "built": [entry.manifest.finished if entry.manifest else None for entry in entries],
            "command": [entry.command for entry in entries],
        }
    )
    st.dataframe(
        table,
        hide_index=True,
        placeholder="–",
        column_config={"size (MB)": st.column_config.NumberColumn(format="%.2f")},
        alt="Every artifact with its state, size and command",
    )
    st.download_button("Table as CSV", csv(table, index=False), f"{opened.folder.name}-artifacts.csv", "text/csv")
    st.markdown(WORDS)
    place = state.choose("Manifest", places, "artifact", places[0])
    entry = entries[places.index(place)]
    st.text(f"{SIGNS[entry.state]}: {entry.reason}" if entry.reason else SIGNS[entry.state])
    st.caption("Command to rebuild it:")
    st.code(entry.command, language=None, wrap_lines=True)
    if entry.manifest is None:
        st.info("There is no manifest to show.")
    else:
        files = pd.DataFrame(
            [
                {"file": name, "bytes": about["bytes"], "SHA-256": about["sha256"]}
                for name, about in entry.manifest.files.items()
            ]
        )
        st.dataframe(files, hide_index=True, alt=f"Files of {place}")
        st.json({**vars(entry.manifest), "digest": entry.manifest.digest}, expanded=1)
    st.caption("To browse this collection on another machine, pack it here and open the archive there:")
    name = opened.folder.name
    st.code(f"rankscope pack {name} --to {name}.zip\nrankscope open {name}.zip", language=None, wrap_lines=True)
