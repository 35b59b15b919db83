"""Parts of the Exact vs ANN page: the sweep at one size, the relevant documents missed, cosine and dot product."""

import json
from functools import partial

import pandas as pd
import streamlit as st

from core.evaluation import table_formats
from core.evaluation.ann_sweep import SWEEP, measured_sweeps
from core.evaluation.ann_tables import MATCHED, at_recall
from core.evaluation.freshness import changes
from core.evaluation.table_formats import Table
from core.indexes.registry import LABELS
from core.workspace.artifacts import open_artifact
from core.workspace.errors import UserError
from dashboard.shared import data, export, state
from dashboard.shared.escaping import escape_markdown, show_error
from dashboard.views.ann import charts as ann_charts

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
WORDS_OF_LOSS = """
Why no setting mends it. **SQ8** and **binary** keep each number of a vector in few bits: documents whose similarities
lie closer together than that rounding change places, and one at rank 10 falls out. In a **graph** a search only goes on
from documents that are among the best so far: one whose neighbours are all farther from the query than those is never
reached. A larger ef makes that rarer, not impossible. **IVF** never sees what lies in a cell beyond the last probe.
"""


def readable(table: pd.DataFrame, exact_ndcg: float | None) -> pd.DataFrame:
    """Return a table of a sweep with the indexes' names, sizes in megabytes and the share of nDCG that is kept."""
    table = table.assign(index=table["index"].map(LABELS), megabytes=table["bytes"] / 1e6)
    if "nDCG@10" in table and exact_ndcg:
        table["nDCG@10_kept"] = table["nDCG@10"] / exact_ndcg
    return table


def export_name(opened: data.Opened, system: str, what: str) -> str:
    """Return the name of a file with figures of a system's sweeps, which tells where one is older than its inputs."""
    outdated = any(changes(opened.folder, place) for place in measured_sweeps(opened.folder, system))
    return f"{opened.folder.name}-{system}-{what}{'-outdated' if outdated else ''}"


def kind_of(size: int, own: int) -> str:
    """Say what the vectors of a size are, in a collection of `own` documents."""
    if size == own:
        return "all real"
    return "simulated" if size > own else "a random part"


def comparison(opened: data.Opened, system: str, sweeps: pd.DataFrame) -> float:
    """Draw recall against cost, and the indexes at one recall, at one size; return the recall that was chosen."""
    every = [str(size) for size in dict.fromkeys(sweeps["documents"])]
    size = every[0]
    columns = st.columns(3 if len(every) > 1 else 2)
    with columns[0]:
        cost = state.choose("Recall against", list(ann_charts.COSTS), "cost", "p50_ms", ann_charts.COSTS)
    with columns[1]:
        values = [f"{recall:.2f}" for recall in MATCHED]
        recall = float(state.choose("Compared at recall@10 of at least", values, "recall", "0.95"))
    if len(every) > 1:
        with columns[2]:
            labels = {size: f"{int(size):,}, {kind_of(int(size), int(every[0]))}" for size in every}
            size = state.choose("Documents", every, "size", every[0], labels)
    # What was not measured at this size, as nDCG is where documents are simulated, is no column.
    sweep = sweeps[sweeps["documents"] == int(size)].dropna(axis="columns", how="all")
    exact_ndcg = sweep["nDCG@10"].iloc[0] if "nDCG@10" in sweep else None
    name = export_name(opened, system, f"ann-{size}")
    figure = ann_charts.recall_against(sweep, cost)
    export.chart(figure, f"{name}-{cost}", "Recall at 10 against cost, a line an index")
    better = "left" if cost == "p50_ms" else "right"
    st.caption(
        f"One mark a setting of the dial; better is up and to the {better}. Frontier: the settings that none beats in "
        "both; the others cost time for nothing."
    )
    matched = readable(at_recall(sweep, recall), exact_ndcg)
    shown = _draw_columns(matched, MATCHED_COLUMNS, "Each index at the recall chosen").set_index("index")
    st.caption(
        "Each index at its fastest setting that reaches the recall; – where none does. Speed-up over exact search: "
        "single queries, one thread, timed in turns. nDCG@10 kept: what users still get of exact search's nDCG@10; "
        "documents of equal similarity count in the order in which exact search returns them."
    )
    export.downloads(Table(shown, f"{name}: at recall@10 of at least {recall:.2f}"), f"{name}-at-{recall:.2f}")
    with st.expander("All that was measured"):
        _draw_columns(readable(sweep, exact_ndcg), ALL_COLUMNS, "The whole sweep")
        _csv_button(sweep, name)
    return recall


def _draw_columns(table: pd.DataFrame, columns: str, alt: str) -> pd.DataFrame:
    """Draw those of the columns that the table has; return what is drawn."""
    shown = table[[name for name in columns.split() if name in table]]
    st.dataframe(shown, hide_index=True, column_config=COLUMNS, placeholder="–", alt=alt)
    return shown


def _csv_button(table: pd.DataFrame, name: str) -> None:
    made = partial(table_formats.csv, table, index=False)  # when it is asked for
    st.download_button("Table as CSV", made, f"{name}.csv", "text/csv", key=f"download {name}", on_click="ignore")


def lost(opened: data.Opened, system: str, sweep: pd.DataFrame) -> None:
    """Draw which relevant documents of the exact first ten each setting misses, topic by topic.

    One in whose place another document of the same similarity was found is not missed.
    """
    topics = data.judged_topics(opened).topics
    found = [(row["index"], row["value"], json.loads(row["lost"])) for row in sweep.to_dict("records")]
    rows = [
        {
            "index": LABELS[kind],
            "dial": value,
            "topic": topic,
            "query": topics[topic].query if topic in topics else "",
            "lost": ", ".join(documents),
        }
        for kind, value, by_topic in found
        for topic, documents in by_topic.items()
    ]
    widest = {kind: by_topic for kind, _, by_topic in found}  # the last of an index stays
    unmended = {kind: by_topic for kind, by_topic in widest.items() if by_topic}
    if unmended:
        said = [f"{LABELS[kind]}: topics {', '.join(by_topic)}" for kind, by_topic in unmended.items()]
        st.write(escape_markdown("Lost even with the dial at its end: " + "; ".join(said) + "."))
        st.caption(WORDS_OF_LOSS)
    else:
        st.write("With the dial at its end no index loses a relevant document of the exact first ten, on any topic.")
    if rows:
        table = pd.DataFrame(rows)
        st.dataframe(table, hide_index=True, placeholder="–", alt="Relevant documents lost, by index, dial and topic")
        _csv_button(table, export_name(opened, system, "lost"))
    st.caption("A document is not lost where another of equal similarity was found in its place.")


def similarities(opened: data.Opened) -> None:
    """Draw cosine against dot product for every dense system that is measured."""
    found = {}
    for name in opened.labels:
        place = opened.folder.sweep(name)
        if place.path.is_dir():
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
