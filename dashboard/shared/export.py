"""Downloads of tables as CSV, LaTeX and Markdown, and of charts as SVG or PNG."""

from typing import Any

import streamlit as st
from plotly.graph_objects import Figure

from core.evaluation.table_formats import Table, csv
from dashboard.shared import state


def downloads(table: Table, name: str) -> None:
    """Draw the three buttons of a table.

    Args:
        name: name of the files, without the extension.
    """
    forms = {
        "CSV": ("csv", "text/csv", lambda: csv(table.figures)),
        "LaTeX": ("tex", "text/x-tex", table.latex),
        "Markdown": ("md", "text/markdown", table.markdown),
    }
    with st.container(horizontal=True, gap="small"):
        for label, (ending, kind, made) in forms.items():
            file = f"{name}.{ending}"
            # Rendered on request, not each time the page is drawn.
            st.download_button(label, made, file, kind, key=f"download {file}", on_click="ignore", type="tertiary")


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
