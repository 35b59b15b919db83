"""The part of the Exact vs ANN page on sizes: how latency grows with the collection, and where approximation pays."""

import math

import pandas as pd
import streamlit as st

from core.evaluation import table_formats
from core.evaluation.ann_tables import crossings, growth, speed_ups
from core.evaluation.table_formats import Table
from core.indexes.registry import LABELS
from core.indexes.simulation import LEAST_DISTINCT
from core.workspace.artifacts import Artifact, read_manifest
from dashboard.shared import data, export
from dashboard.views.ann import charts as ann_charts
from dashboard.views.ann.sweep import export_name, kind_of

WORDS = """
Exact search reads every vector, so twice the documents take twice the time: a straight line on these axes. A graph's
walk gets only a few steps longer, and cells are more but not much larger. Below the **crossing point** (circled) the
detour of an approximate search costs more than it saves; beyond it, the larger the collection, the more it saves.
"""


def sizes(opened: data.Opened, system: str, sweeps: pd.DataFrame, recall: float) -> None:
    """Draw how latency grows with the collection, where each index overtakes exact search, and all speed-ups.

    Args:
        sweeps: from `core.evaluation.ann_sweep.read_growth`.
        recall: the recall@10 that the chart is drawn at.
    """
    if sweeps["documents"].nunique() > 1:
        grown = growth(sweeps, recall)
        found = crossings(grown)
        figure = ann_charts.growth(grown, found)
        name = export_name(opened, system, "growth")
        export.chart(figure, f"{name}-{recall:.2f}", "Latency against the number of documents, both axes logarithmic")
        st.caption(f"At recall@10 of at least {recall:.2f}; where an index does not reach it, it has no mark.")
        st.markdown(WORDS)
        said = [f"- {LABELS[kind]}: {pays(size)}" for kind, size in found["documents"].items()]
        st.markdown("\n".join([f"**Faster than exact search**, at recall@10 of {recall:.2f}:", "", *said]))
    st.markdown("**Speed-up over exact search**")
    table = _speed_ups(sweeps).rename(index=LABELS).rename_axis("index")
    table.columns = [f"{size:,} at {level:.2f}" for size, level in table.columns]
    config = dict.fromkeys(table.columns, st.column_config.NumberColumn(format="%.1f ×"))
    st.dataframe(table, column_config=config, placeholder=table_formats.MISSING, alt="Speed-up by size and recall")
    about = "median latency of exact search over that of each index, by documents and recall@10"
    name = export_name(opened, system, "speed-ups")
    export.downloads(Table(table, f"{name}: {about}"), name)
    st.caption(
        "Columns: documents, and the recall@10 that is reached at least; – where no setting reaches it. All indexes of "
        "a size are measured in one run, query by query in turns."
    )


@st.cache_data(max_entries=20, show_spinner=False)  # every size at every recall
def _speed_ups(sweeps: pd.DataFrame) -> pd.DataFrame:
    return speed_ups(sweeps)


def pays(size: float) -> str:
    """Say from which size on an index is faster than exact search; see `core.evaluation.ann_tables.crossings`."""
    if size == 0:
        return "at every size measured"
    if math.isinf(size):
        return "not yet at the largest size measured"
    return f"from about {float(f'{size:.2g}'):,.0f} documents on"


def origin(sweeps: list[Artifact], system: str) -> None:
    """Draw what was measured, and a button that says what made each sweep.

    Args:
        sweeps: the artifacts, from `core.evaluation.ann_sweep.sweeps_of`.
    """
    manifests = {sweep.shown: read_manifest(sweep) for sweep in sweeps}
    own = next(iter(manifests.values())).facts["documents"]
    rows = [
        {
            "documents": manifest.facts["documents"],
            "vectors": kind_of(manifest.facts["documents"], own),
            "distinct": manifest.facts.get("distinct_vectors"),
            "intrinsic dimension": manifest.facts.get("intrinsic_dimension"),
            "queries": manifest.facts["queries"],
            "made": manifest.finished,
        }
        for manifest in manifests.values()
    ]
    st.dataframe(
        pd.DataFrame(rows), hide_index=True, placeholder=table_formats.MISSING, alt="The sizes that were measured"
    )
    st.caption(
        "Intrinsic dimension: how many directions the distinct vectors locally fill; the more, the harder a search is. "
        f"{table_formats.MISSING} where fewer than {LEAST_DISTINCT} are distinct, or the similarity is not cosine. "
        "Simulated: the real vectors, and new ones between neighbours of them. `python -m core.simulate` compares half "
        "of the collection, simulated to full size, with the whole. Another size, larger or smaller: "
        f"`python -m core.ann --systems {system} --size 171332`."
    )
    with st.popover("Provenance", type="tertiary", icon=":material/fingerprint:", key="provenance ann"):
        for place, manifest in manifests.items():
            inputs = "\n".join(f"{name}: SHA-256 {digest}" for name, digest in manifest.inputs.items())
            st.text(f"{place}: SHA-256 {manifest.digest}, made {manifest.finished} on {manifest.host}\n{inputs}")
            st.code(manifest.command, language=None, wrap_lines=True)
