"""Exact vs ANN: what approximate search gains in latency and loses in recall, for each value of ef."""

import streamlit as st

from core.ann import read_sweep
from core.errors import UserError
from dashboard import charts, data, state

WORDS = """
An exact search compares the query's vector with every document's: always right, and slower with every document more.
**HNSW** (Malkov & Yashunin, 2018) is a graph: each document is linked to near ones, and a search walks from link to
link towards the query. It looks at a small part of the documents, and may miss some of the true nearest.

- **M**: how many links each document keeps. More links find more and need more memory and a longer build.
- **ef_construction**: how many candidates are weighed while the graph is built. More makes a better graph, more slowly.
- **ef**: how many candidates a search keeps in view. The one dial that can be turned after the build: a larger ef
  finds more of the true nearest (recall rises) and takes longer.
"""

opened: data.Opened = st.session_state["opened"]
dense = [system.name for system in opened.profile.system if system.kind == "dense"]
if not dense:
    raise UserError(f"{opened.folder.name} has no dense system; this page compares searches over vectors")
manifests = data.manifests(opened)
measured = [name for name in dense if f"ann/{name}" in manifests]
system = state.choose("Dense system", dense, "system", (measured or dense)[0], opened.labels)
sweep = read_sweep(opened.folder, system)
settings, facts = manifests[f"ann/{system}"].settings, manifests[f"ann/{system}"].facts
exact, graph = sweep[sweep["ef"].isna()], sweep[sweep["ef"].notna()]
st.write(
    f"{facts['documents']:,} vectors of dimension {facts['dimension']}, {facts['queries']} topics as queries, one "
    f"thread. M = {settings['connections']}, ef_construction = {settings['ef_construction']}: built in "
    f"{graph['build_seconds'].iloc[0]:.2f} s."
)
left, right = st.columns(2)
with left:
    st.plotly_chart(charts.ann_scatter(sweep), config=charts.CONFIG, alt="Recall at 10 against median latency, per ef")
with right:
    table = sweep.assign(
        ef=sweep["ef"].map(lambda ef: "exact" if ef != ef else f"{ef:.0f}"),
        **{"nDCG@10 kept": sweep["nDCG@10"] / exact["nDCG@10"].iloc[0]},
        megabytes=sweep["bytes"] / 1e6,
    )
    columns = ["ef", "recall@10", "p50_ms", "nDCG@10", "nDCG@10 kept", "megabytes", "build_seconds", "p95_ms", "p99_ms"]
    st.dataframe(
        table[columns],
        hide_index=True,
        column_config={
            "recall@10": st.column_config.NumberColumn(format="%.4f"),
            "nDCG@10": st.column_config.NumberColumn(format="%.4f"),
            "nDCG@10 kept": st.column_config.NumberColumn(format="percent"),
            "megabytes": st.column_config.NumberColumn(format="%.2f"),
        },
        alt="Recall, latency, nDCG, build time and size for each value of ef",
    )
    st.download_button("Table as CSV", sweep.to_csv(index=False), f"{opened.folder.name}-{system}-ann.csv", "text/csv")
fast = graph[graph["recall@10"] >= 0.95].sort_values("p50_ms")
if fast.empty:
    st.write("No value of ef that was tried finds 95 % of the exact ten nearest.")
else:
    best, slow = fast.iloc[0], exact["p50_ms"].iloc[0]
    factor = slow / best["p50_ms"]
    st.write(
        f"At recall@10 of {best['recall@10']:.3f} (ef {best['ef']:.0f}) the graph answers in {best['p50_ms']:.3f} ms, "
        f"exact search in {slow:.3f} ms: {factor:.1f} times as fast."
        if factor >= 1
        else f"On {facts['documents']:,} documents exact search ({slow:.3f} ms) is faster than the graph at recall "
        f"0.95 ({best['p50_ms']:.3f} ms): the graph pays on larger collections."
    )
st.markdown(WORDS)
