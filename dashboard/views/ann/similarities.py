"""Cosine against dot product, on the page Exact vs ANN."""

import pandas as pd
import streamlit as st

from core.evaluation.ann_sweep import SWEEP
from core.workspace.artifacts import open_artifact
from core.workspace.errors import UserError
from dashboard.shared import data
from dashboard.shared.escaping import show_error


def similarities(opened: data.Opened) -> None:
    """Draw cosine against dot product for every dense system that is measured."""
    found = {}
    for name in opened.labels:
        place = opened.folder / "ann" / name
        if place.is_dir():
            try:
                found[opened.labels[name]] = open_artifact(place, SWEEP).facts.get("similarities")
            except UserError as error:
                show_error(error)
    table = pd.DataFrame({label: figures for label, figures in found.items() if figures}).T
    st.dataframe(table, alt="nDCG by cosine and by dot product, for each dense system")
    st.caption(
        "Vectors of one length rank alike by both. Where lengths differ and the model was trained by cosine, the "
        "lengths carry no meaning, and dot product lets long vectors win."
    )
