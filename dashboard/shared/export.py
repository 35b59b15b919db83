"""Downloads of tables as CSV, LaTeX and Markdown, and of charts as SVG or PNG."""

from collections.abc import Callable
from functools import partial
from typing import Any

import streamlit as st
from plotly.graph_objects import Figure

from core.evaluation.table_exports import Provenance, export
from core.evaluation.table_formats import Table
from dashboard.shared import state


def downloads(table: Table, name: str, provenance: Callable[[], Provenance] | None = None) -> None:
    """Draw the buttons of a table.

    Args:
        name: name of the files, without the extension.
        provenance: returns what the files carry, so that `python -m core.verify` can repeat them.
    """
    forms = {
        "CSV": ("csv", "text/csv"),
        "LaTeX": ("tex", "text/x-tex"),
        "Markdown": ("md", "text/markdown"),
        "JSON": ("json", "application/json"),
    }
    with st.container(horizontal=True, gap="small"):
        for label, (ending, kind) in forms.items():
            made = partial(_made, table, label.lower(), provenance)
            file = f"{name}.{ending}"
            # Rendered on request, not each time the page is drawn.
            st.download_button(label, made, file, kind, key=f"download {file}", on_click="ignore", type="tertiary")


def _made(table: Table, form: str, provenance: Callable[[], Provenance] | None) -> str:
    return export(table, form, provenance() if provenance else None)


def picture_form() -> str:
    """Return the format for saving charts: "svg", or "png" if the URL says so."""
    return state.read("picture") if state.read("picture") in ("svg", "png") else "svg"


def picture_button(name: str) -> dict[str, Any]:
    """Return the configuration of a chart whose only button saves it as a picture of the given name."""
    return {
        "displaylogo": False,
        "displayModeBar": True,
        "modeBarButtons": [["toImage"]],
        "toImageButtonOptions": {"format": picture_form(), "filename": name, "scale": 2},
    }


def chart(figure: Figure, name: str, alt: str) -> None:
    """Draw a chart with a button that saves it as a picture."""
    st.plotly_chart(figure, config=picture_button(name), alt=alt, key=f"chart {name} {picture_form()}")
