"""A part of the page that computes only while it is open; which ones are open is in the URL."""

from collections.abc import Callable

import streamlit as st

from core.workspace.errors import UserError
from dashboard.shared import state
from dashboard.shared.escaping import show_error


def section(label: str, name: str, draw: Callable[[], None]) -> None:
    """Draw an expander whose content is made by `draw` when it is open, and not before."""
    key = f"section {name}"
    opened = [part for part in state.read("open").split(",") if part]

    def write() -> None:
        others = [part for part in opened if part != name]
        state.write("open", ",".join([*others, name] if st.session_state[key] else others))

    st.session_state[key] = name in opened
    box = st.expander(label, key=key, on_change=write)
    if not box.open:
        return
    with box, st.spinner("Computing …"):
        try:
            draw()
        except UserError as error:
            show_error(error)
