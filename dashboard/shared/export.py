"""Downloads of tables as CSV, LaTeX and Markdown, and of charts as SVG or PNG."""

from typing import Any

import streamlit as st
from plotly.graph_objects import Figure

from core.evaluation.table_formats import Table, csv, latex, markdown, texts
from dashboard.shared import state


def downloads(table: Table, name: str) -> None:
    """Draw the three buttons of a table.

    Args:
        name: of the files, without ending.
    """
    forms = {
        "CSV": ("csv", "text/csv", lambda: csv(table.figures)),
        "LaTeX": ("tex", "text/x-tex", lambda: latex(texts(table.shown), table.caption)),
        "Markdown": ("md", "text/markdown", lambda: markdown(texts(table.shown))),
    }
    with st.container(horizontal=True, gap="small"):
        for label, (ending, kind, made) in forms.items():
            file = f"{name}.{ending}"
            # Made when it is asked for, not with every drawing of the page.
            st.download_button(label, made, file, kind, key=f"download {file}", on_click="ignore", type="tertiary")


def picture_form() -> str:
    """Return the form that charts are saved in: "svg", or "png" where the URL says so."""
    return state.read("picture") if state.read("picture") in ("svg", "png") else "svg"


def picture_button(name: str) -> dict[str, Any]:
    """Return the configuration of a chart with the one button that saves it as a picture of that name."""
    return {
        "displaylogo": False,
        "displayModeBar": True,
        "modeBarButtons": [["toImage"]],
        "toImageButtonOptions": {"format": picture_form(), "filename": name, "scale": 2},
    }


def chart(figure: Figure, name: str, alt: str) -> None:
    """Draw a chart with the one button that saves it as a picture."""
    st.plotly_chart(figure, config=picture_button(name), alt=alt, key=f"chart {name} {picture_form()}")
