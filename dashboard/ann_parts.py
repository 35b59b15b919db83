"""Parts of the Exact vs ANN page: what a sweep says, drawn."""

import json
from collections.abc import Mapping

import pandas as pd
import streamlit as st

from core.ann import read_growth
from core.ann_tables import MATCHED, at_recall, crossing, growth
from core.artifacts import Manifest
from core.index_kinds import LABELS
from dashboard import ann_charts, charts, data, state
from dashboard.text import escape_markdown

COLUMNS = {
    "p50_ms": st.column_config.NumberColumn("median ms", format="%.3f"),
    "p95_ms": st.column_config.NumberColumn("p95 ms", format="%.3f"),
    "p99_ms": st.column_config.NumberColumn("p99 ms", format="%.3f"),
    "recall@10": st.column_config.NumberColumn(format="%.4f"),
    "recall@100": st.column_config.NumberColumn(format="%.4f"),
    "nDCG@10": st.column_config.NumberColumn(format="%.4f"),
    "nDCG@10_kept": st.column_config.NumberColumn("nDCG@10 kept", format="percent"),
    "speed-up": st.column_config.NumberColumn(format="%.1f ×"),
    "batch_speed-up": st.column_config.NumberColumn("batch speed-up", format="%.1f ×"),
    "queries_per_second": st.column_config.NumberColumn("queries / s", format="%.0f"),
    "megabytes": st.column_config.NumberColumn(format="%.2f"),
    "build_seconds": st.column_config.NumberColumn("build s", format="%.2f"),
}


MATCHED_COLUMNS = "index dial value recall@10 speed-up p50_ms batch_speed-up nDCG@10_kept megabytes build_seconds"
ALL_COLUMNS = (
    "index parameters dial value recall@10 recall@100 nDCG@10 nDCG@10_kept p50_ms p95_ms p99_ms queries_per_second "
    "megabytes disk_bytes build_seconds"
)


def readable(table: pd.DataFrame, exact_ndcg: float | None) -> pd.DataFrame:
    """Return a table of a sweep with the indexes' names, sizes in megabytes and the share of nDCG that is kept."""
    table = table.assign(index=table["index"].map(LABELS), megabytes=table["bytes"] / 1e6)
    if "nDCG@10" in table and exact_ndcg:
        table["nDCG@10_kept"] = table["nDCG@10"] / exact_ndcg
    return table


def comparison(opened: data.Opened, system: str, sweep: pd.DataFrame) -> None:
    """Draw recall against cost, and the indexes at one recall."""
    exact_ndcg = sweep["nDCG@10"].iloc[0] if "nDCG@10" in sweep else None
    left, right = st.columns(2)
    with left:
        cost = state.choose("Recall against", list(ann_charts.COSTS), "cost", "p50_ms", ann_charts.COSTS)
    with right:
        values = [f"{recall:.2f}" for recall in MATCHED]
        recall = float(state.choose("Table at recall@10 of at least", values, "recall", "0.95"))
    figure = ann_charts.recall_against(sweep, cost)
    st.plotly_chart(figure, config=charts.CONFIG, alt="Recall at 10 against cost, a line an index")
    matched = readable(at_recall(sweep, recall), exact_ndcg)
    _draw(matched, MATCHED_COLUMNS, "Each index at the recall chosen")
    st.caption(
        "Each index at its fastest setting that reaches the recall; – where none does. Speed-up over exact search: "
        "single queries, one thread, timed in turns."
    )
    with st.expander("All that was measured"):
        _draw(readable(sweep, exact_ndcg), ALL_COLUMNS, "The whole sweep")
        name = f"{opened.folder.name}-{system}-ann.csv"
        st.download_button("Table as CSV", sweep.to_csv(index=False), name, "text/csv")


def _draw(table: pd.DataFrame, columns: str, alt: str) -> None:
    shown = [name for name in columns.split() if name in table]
    st.dataframe(table[shown], hide_index=True, column_config=COLUMNS, placeholder="–", alt=alt)


def sizes(opened: data.Opened, system: str) -> None:
    """Draw how latency grows with the collection."""
    sweeps = read_growth(opened.folder, system)
    if sweeps["documents"].nunique() < 2:
        st.write(f"Measured at one size so far. Another: `python -m core.ann --system {system} --size 171332`.")
        return
    grown = growth(sweeps, 0.95)
    st.plotly_chart(ann_charts.growth(grown), config=charts.CONFIG, alt="Latency against the number of documents")
    for kind in ("hnsw", "faiss-ivf"):
        size = crossing(grown, kind)
        if size:
            st.write(
                f"{LABELS[kind]} is faster than exact search, at recall@10 of 0.95, from about {size:,.0f} documents."
            )
    st.caption(
        "At recall@10 of at least 0.95. Sizes above the collection's own are simulated (see `core/simulate.py`)."
    )
    table = grown.pivot_table(index="index", columns="documents", values="p50_ms", sort=False).rename(index=LABELS)
    table.columns = [f"{size:,} documents" for size in table.columns]
    with st.expander("The figures of this chart"):
        st.dataframe(table, placeholder="–", alt="Median milliseconds by index and number of documents")


def lost(sweep: pd.DataFrame) -> None:
    """Draw which relevant documents each setting loses from the exact first ten, topic by topic."""
    rows = [
        {"index": LABELS[row["index"]], "dial": row["value"], "topic": topic, "lost": ", ".join(documents)}
        for row in sweep.to_dict("records")
        for topic, documents in json.loads(row["lost"]).items()
    ]
    widest = sweep.groupby("index", sort=False).tail(1)
    unmended = {r["index"]: json.loads(r["lost"]) for r in widest.to_dict("records") if json.loads(r["lost"])}
    if unmended:
        texts = [f"{LABELS[kind]}: topics {', '.join(topics)}" for kind, topics in unmended.items()]
        st.write(escape_markdown("Lost even with the dial at its end: " + "; ".join(texts) + "."))
        st.caption(
            "SQ8 and binary codes cannot tell apart what differs by less than their step; a walk through a graph ends "
            "early where a document lies among others that are all farther from the query than what was found so far."
        )
    else:
        st.write("With the dial at its end no index loses a relevant document of the exact first ten, on any topic.")
    st.dataframe(pd.DataFrame(rows), hide_index=True, alt="Relevant documents lost, by index, dial and topic")


def similarities(opened: data.Opened, manifests: Mapping[str, Manifest]) -> None:
    """Draw cosine against dot product for every dense system that is measured."""
    names = [name for name in opened.labels if f"ann/{name}" in manifests]
    facts = {name: manifests[f"ann/{name}"].facts.get("similarities") for name in names}
    table = pd.DataFrame({opened.labels[name]: found for name, found in facts.items() if found}).T
    st.dataframe(table, alt="nDCG by cosine and by dot product, for each dense system")
    st.caption(
        "Vectors of one length rank alike by both. Where lengths differ and the model was trained by cosine, the "
        "lengths carry no meaning, and dot product lets long vectors win."
    )
