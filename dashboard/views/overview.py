"""Overview: all systems, all measures; one measure against a baseline with intervals and p values."""

import json

import pandas as pd
import streamlit as st

from core.artifacts import read_manifest
from core.errors import UserError
from dashboard import charts, data, parts, state, tables
from dashboard.text import escape_markdown, show_error

FOUR = st.column_config.NumberColumn(format="%.4f")


def measures_table(tidy: pd.DataFrame) -> None:
    """Draw systems x measures."""
    table = tables.means(tidy, tables.measure_order(opened.profile.measures))
    runs = [manifests.get(f"runs/{system}") for system in table.index]
    table["median ms"] = [run.facts.get("median_milliseconds") if run else None for run in runs]
    table = table.rename(index=opened.labels).rename_axis("system")
    st.dataframe(
        table,
        column_config={name: FOUR for name in table.columns if name != "median ms"},
        placeholder="–",
        alt="Mean of each measure for each system",
    )
    st.caption(
        f"Means over {tidy['topic'].nunique()} topics. Judged@k beside nDCG@k: where it is low, many of the first k "
        "documents were never judged and count as not relevant. Median ms: one query, encoding included, when the run "
        "was made."
    )
    st.download_button("Table as CSV", table.to_csv(), f"{opened.folder.name}-measures.csv", "text/csv")


def comparison(tidy: pd.DataFrame) -> None:
    """Draw one measure: means with intervals, and each system against the baseline."""
    left, right = st.columns(2)
    with left:
        measure = parts.choose_measure(opened, tidy)
    values = tables.per_topic(tidy, measure)
    with right:
        default = parts.first_baseline(opened, list(values))
        baseline = state.choose("Baseline", list(values), "baseline", default, opened.labels)
    table = tables.against_baseline(values, baseline)
    left, right = st.columns([1, 2])
    with left:
        figure = charts.mean_bars(table, opened.labels, measure, baseline)
        st.plotly_chart(figure, config=charts.CONFIG, alt=f"Bars of mean {measure} by system")
    with right:
        st.dataframe(
            tables.readable(table).rename(index=opened.labels),
            column_config=dict.fromkeys(["mean", "difference"], FOUR)
            | dict.fromkeys(["p randomisation", "p t-test"], st.column_config.NumberColumn(format="%.2g")),
            placeholder="–",
            alt=f"{measure} of each system against the baseline",
        )
        name = f"{opened.folder.name}-{measure.replace('@', '-')}.csv"
        st.download_button("Comparison as CSV", table.to_csv(), name, "text/csv")
    st.caption(
        f"{measure}: {tables.explanation(measure)}. Differences are to the baseline, paired by topic; 95 % intervals "
        "are Student's t over topics; p by the seeded randomisation test and by the paired t-test."
    )
    kinds = tables.by_kind(values, data.content(opened).topics)
    if not kinds.empty:
        st.subheader(f"{measure} by kind of topic")
        config = {system: FOUR for system in opened.labels.values()}
        st.dataframe(kinds.rename(columns=opened.labels), column_config=config, alt=f"{measure} by kind of topic")


def agreement() -> None:
    """Draw our figures beside sentence-transformers' own."""
    table = data.agreement(opened)
    if table.empty:
        st.write("No dense system is evaluated yet.")
        return
    table["difference"] = table["ours"] - table["sentence_transformers"]
    st.dataframe(table.replace({"system": opened.labels}), hide_index=True)
    st.caption("Both with relevance taken as yes or no, as its evaluator has it, and to the depth of the run.")


def provenance() -> None:
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
    st.dataframe(pd.DataFrame(rows), hide_index=True)
    place = st.selectbox("Whole manifest of", list(manifests))
    st.json({**vars(manifests[place]), "digest": manifests[place].digest}, expanded=1)


opened: data.Opened = st.session_state["opened"]
manifests = data.manifests(opened)
if opened.is_sample:
    st.info(
        "This is the embedded sample: documents, topics and judgments written for this project for demonstration "
        "(CC0), not medical evidence. For the real TREC-COVID run `python scripts/build.py --profile trec-covid`, "
        "then `python3 scripts/start.py --profile trec-covid`."
    )
facts = read_manifest(opened.folder / "collection").facts
documents = "imported runs without texts" if opened.is_imported else f"{facts.get('documents', 0):,} documents"
st.write(
    f"{escape_markdown(opened.folder.name)}: {documents}, {facts.get('topics', 0):,} topics, "
    f"{facts.get('judgments', 0):,} judgments."
)
tidy = parts.evaluated(opened)
measures_table(tidy)
st.subheader("Against a baseline")
try:
    comparison(tidy)
except UserError as error:
    show_error(error)
with st.expander("Agreement with sentence-transformers' evaluator"):
    agreement()
with st.expander("Provenance"):
    provenance()
