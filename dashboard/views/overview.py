"""Overview: all systems, all measures; one measure against a baseline; whether the conclusion holds."""

import json

import pandas as pd
import streamlit as st

from core.errors import UserError
from dashboard import data, parts, results, state
from dashboard.comparison import baseline, bias, checks, conclusion, cost, curve, main_table
from dashboard.comparison.section import section
from dashboard.comparison.view import choose
from dashboard.text import escape_markdown, show_error


def artifacts() -> None:
    """Draw what made each artifact."""
    rows = [
        {
            "artifact": place,
            "digest": manifest.digest[:12],
            "seconds": manifest.seconds,
            "finished": manifest.finished,
            "command": manifest.command,
            "settings": json.dumps(manifest.settings),
            "versions": json.dumps(manifest.versions),
        }
        for place, manifest in manifests.items()
    ]
    st.dataframe(pd.DataFrame(rows), hide_index=True, alt="What made each artifact")
    place = st.selectbox("Whole manifest of", list(manifests))
    st.json({**vars(manifests[place]), "digest": manifests[place].digest}, expanded=1)


opened: data.Opened = st.session_state["opened"]
manifests = results.manifests(opened)
if opened.is_sample:
    st.info(
        "This is the embedded sample: documents, topics and judgments written for this project for demonstration "
        "(CC0), not medical evidence. For the real TREC-COVID run `python scripts/build.py --profile trec-covid`, "
        "then `python3 scripts/start.py --profile trec-covid`."
    )
facts = data.collection_manifest(opened).facts
documents = "imported runs without texts" if opened.is_imported else f"{facts.get('documents', 0):,} documents"
st.write(
    f"{escape_markdown(opened.folder.name)}: {documents}, {facts.get('topics', 0):,} topics, "
    f"{facts.get('judgments', 0):,} judgments."
)
tidy = parts.evaluated(opened)
main_table.draw(opened, tidy, manifests)
st.header("Against a baseline")
view = choose(opened, tidy)
for draw in (baseline.draw, baseline.kinds):
    try:
        draw(view)
    except UserError as error:
        show_error(error)
st.header("A closer look")
section("Does the conclusion hold?", "conclusion", lambda: conclusion.draw(view))
section("Precision and recall", "curve", lambda: curve.draw(view))
section("Unjudged documents", "unjudged", lambda: bias.draw(view))
section("Cost beside quality", "cost", lambda: cost.draw(view, manifests))
section("Checked by other libraries", "checks", lambda: checks.draw(view))
section("What made each artifact", "artifacts", artifacts)
state.choose("Pictures are saved as", ["svg", "png"], "picture", "svg", {"svg": "SVG", "png": "PNG"}, width=200)
