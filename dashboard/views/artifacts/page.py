"""Artifacts: what was made, from what, fresh or stale and why, how large, and the command that makes it again."""

import pandas as pd
import streamlit as st

from core.evaluation.table_formats import csv
from core.workspace.errors import UserError
from dashboard.shared import data, state
from dashboard.shared.escaping import escape_markdown

SIGNS = {"fresh": "● fresh", "stale": "◐ stale", "missing": "○ missing", "not of this build": "? not of this build"}
WORDS = """
An **artifact** is one folder that one stage wrote whole. Its **manifest** says by which settings, from which inputs
(their SHA-256) and with which versions. It is **stale** when any of these would be different now, or a file is not the
one that was written; the command makes what is stale, and leaves the rest.
"""


def page(opened: data.Opened) -> None:
    """Draw the Artifacts page of a collection."""
    with st.spinner("comparing every file with its manifest …"):
        from core.artifact_list import inventory  # with it come the libraries of indexes, a second the first time

        entries = inventory(opened.profile, opened.folder)
    if not entries:
        raise UserError(f"{opened.folder.name} has no artifact yet")
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
            "why": [entry.reason for entry in entries],
            "MB": [entry.bytes / 1e6 for entry in entries],
            "seconds": [entry.manifest.seconds if entry.manifest else None for entry in entries],
            "made": [entry.manifest.finished if entry.manifest else None for entry in entries],
            "command": [entry.command for entry in entries],
        }
    )
    st.dataframe(
        table,
        hide_index=True,
        placeholder="–",
        column_config={"MB": st.column_config.NumberColumn(format="%.2f")},
        alt="Every artifact with its state, size and command",
    )
    st.download_button("Table as CSV", csv(table, index=False), f"{opened.folder.name}-artifacts.csv", "text/csv")
    st.markdown(WORDS)
    place = state.choose("Whole manifest of", places, "artifact", places[0])
    entry = entries[places.index(place)]
    st.text(f"{SIGNS[entry.state]}: {entry.reason}" if entry.reason else SIGNS[entry.state])
    st.caption("The command that makes it again:")
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
