"""The tables of the Exact vs ANN page: measurements, growth with the collection, missed documents, similarities."""

from collections.abc import Mapping

import streamlit as st

from core.evaluation import ann_figures, ann_tables, table_formats
from core.evaluation.ann_answer import REFERENCE
from core.evaluation.ann_figures import at_size, caption
from core.evaluation.ann_sweep import SWEEP
from core.evaluation.table_formats import Table
from core.indexes.simulation import LEAST_DISTINCT
from core.workspace.artifacts import Manifest, open_artifact
from core.workspace.errors import UserError
from dashboard.shared import data
from dashboard.shared.escaping import escape_markdown, show_error
from dashboard.shared.provenance import downloads_and_provenance
from dashboard.views.ann.question import Asked, own_export_name, size_name

FORMATS = {
    "recall@10": "%.4f",
    "nDCG@10": "%.4f",
    "nDCG@10 vs exact": "%+.4f",
    "90 % CI, lower bound": "%+.4f",
    "90 % CI, upper bound": "%+.4f",
    "speed-up": "%.1f ×",
    "batch speed-up": "%.1f ×",
    "latency, median (ms)": "%.3f",
    "latency, p95 (ms)": "%.3f",
    "latency, p99 (ms)": "%.3f",
    "queries/s": "%.0f",
    "index size (MB)": "%.2f",
    "index file (MB)": "%.2f",
    "build time (s)": "%.2f",
}
"""How the columns of `core.evaluation.ann_tables.SHOWN` are formatted."""

MARGIN = 0.01
"""Margin of equivalence with exact search, in nDCG@10."""
WHY_MISSED = """
Why no setting finds them. **SQ8** and **binary** store each component of a vector in few bits: documents whose
similarities differ by less than the rounding error change places, and one at rank 10 drops out. In a **graph** a search
continues only from documents that are among the best so far: a document whose neighbours are all farther from the query
is never reached. A larger ef makes that rarer but does not rule it out. **IVF** does not see documents in clusters
beyond the nearest nprobe ones.
"""


def measurements(asked: Asked) -> None:
    """Draw each index at the target recall, and the other tables folded."""
    st.markdown(f"**Each index at recall@10 of at least {asked.recall:.2f}, {asked.size:,} documents**")
    sweep, options = at_size(asked.sweeps.table, asked.size), asked.options_at_size
    at = {"recall": f"{asked.recall:.2f}"}
    name = asked.export_name(f"ann-{asked.size}")
    table = ann_tables.matched_table(sweep, asked.recall, asked.about)
    _draw(asked.opened, f"{name}-at-{asked.recall:.2f}", table, "ann-at-recall", options | at, asked.made_from)
    st.caption(
        f"Each index at its fastest setting that reaches the target recall; {table_formats.MISSING} if none does. "
        "Speed-up: median latency of exact search over that of the index; single queries, one thread. nDCG@10 vs "
        "exact: the difference; documents of equal similarity count in the order in which exact search returns them."
    )
    with st.expander("All measurements at this size"):
        _draw(asked.opened, name, ann_tables.sweep_table(sweep, asked.about), "ann-sweep", options, asked.made_from)
    with st.expander("All collection sizes"):
        _sizes(asked)
    if asked.own is None:
        return
    with st.expander("Equivalence with exact search"):
        _equivalence(asked)
    with st.expander("Relevant documents missed by ANN"):
        _missed(asked)
    with st.expander("Cosine and dot product"):
        _similarities(asked.opened)


def _draw(
    opened: data.Opened,
    name: str,
    table: Table,
    figure: str,
    options: Mapping[str, object],
    made_from: Mapping[str, Manifest],
    formats: Mapping[str, str] = FORMATS,
) -> None:
    """Draw a table, its downloads and its provenance.

    Args:
        name: of the files, without ending.
        figure: what `python -m core.compare` calls it.
        options: of the command.
        made_from: the sweeps that the table shows, by name.
        formats: of columns, see `st.column_config.NumberColumn`.
    """
    shown = table.shown.reset_index()
    config = {column: st.column_config.NumberColumn(format=formats[column]) for column in shown if column in formats}
    st.dataframe(shown, hide_index=True, column_config=config, placeholder=table_formats.MISSING, alt=table.caption)
    downloads_and_provenance(opened, name, table, figure, options, made_from=made_from)


def _sizes(asked: Asked) -> None:
    """Draw how latency grows with the collection, where each index overtakes exact search, and what was measured."""
    sweeps, about, recall = asked.sweeps, asked.about_all(), asked.recall
    made_from = {size_name(sweeps, size): manifest for size, manifest in sweeps.manifests.items()}
    name, options = asked.export_name("growth"), asked.options
    at = options | {"recall": f"{recall:.2f}"}
    if len(sweeps.sizes) > 1:
        st.markdown(f"**Median latency (ms) at recall@10 of at least {recall:.2f}**")
        table = ann_tables.growth_table(sweeps.table, recall, about)
        formats = dict.fromkeys(table.figures, "%.3f")
        _draw(asked.opened, f"{name}-latency-{recall:.2f}", table, "ann-latency", at, made_from, formats)
        st.markdown(f"**Search alone is faster than exact search, at recall@10 of at least {recall:.2f}**")
        table = ann_tables.crossings_table(sweeps.table, recall, about)
        formats = {"latency there, median (ms)": "%.3f"}
        _draw(asked.opened, f"{name}-crossings-{recall:.2f}", table, "ann-crossings", at, made_from, formats)
    st.markdown("**Speed-up over exact search, by number of documents and target recall@10**")
    table = ann_tables.speed_ups_table(sweeps.table, about)
    formats = dict.fromkeys(table.figures, "%.1f ×")
    _draw(asked.opened, asked.export_name("speed-ups"), table, "ann-speed-ups", options, made_from, formats)
    st.caption("All indexes of a size are measured in one run; their queries are interleaved.")
    st.markdown("**Measured collection sizes**")
    table = ann_tables.sizes_table(list(sweeps.manifests.values()), about)
    _draw(asked.opened, asked.export_name("sizes"), table, "ann-sizes", options, made_from, {})
    st.caption(
        "Intrinsic dimension: the dimension of the space that the vectors locally occupy; the higher, the harder "
        f"approximate search is. {table_formats.MISSING} if fewer than {LEAST_DISTINCT} vectors are distinct, or the "
        "similarity is not cosine. Simulated: the real vectors, and synthetic ones between neighbouring vectors. "
        "`python -m core.simulate` checks the simulation: it simulates half of the collection to full size and "
        "compares that with the whole."
    )
    if asked.system and sweeps.source != REFERENCE:
        st.caption(f"To measure another size: `{asked.opened.folder.sweep(asked.system, 171332).command}`.")


def _equivalence(asked: Asked) -> None:
    """Draw whether each setting equals exact search in nDCG@10."""
    opened, system, own = asked.opened, asked.system, asked.own
    assert own is not None
    size = next(iter(own.manifests))
    sweep, topics = at_size(own.table, size), list(data.judged_topics(opened).qrels)
    try:
        table = ann_tables.equivalence_table(sweep, topics, MARGIN, caption(opened.folder, system))
    except UserError as error:
        st.caption(f"{str(error).capitalize()} with `{opened.folder.sweep(system).command}`.")
        return
    for sentence in table.sentences:
        st.write(escape_markdown(sentence))
    name, made_from = own_export_name(opened, system, "equivalence"), {size_name(own, size): own.manifests[size]}
    _draw(opened, name, table, "ann-equivalence", {"system": system}, made_from)
    st.caption(
        "Two one-sided paired t-tests (TOST; Schuirmann, 1987): equivalent if the 90 % CI of the difference in nDCG@10 "
        f"lies within {MARGIN:g}. That no significant difference was found would not show equivalence."
    )


def _missed(asked: Asked) -> None:
    """Draw which relevant documents in the top 10 of exact search each setting misses, topic by topic."""
    opened, system, own = asked.opened, asked.system, asked.own
    assert own is not None
    size = next(iter(own.manifests))
    sweep = at_size(own.table, size)
    queries = {name: topic.query for name, topic in data.judged_topics(opened).topics.items()}
    table = ann_tables.missed_table(sweep, queries, caption(opened.folder, system))
    for sentence in table.sentences:
        st.write(escape_markdown(sentence))
    if any(row for row in sweep.groupby("index", sort=False)["missed"].last()):
        st.caption(WHY_MISSED)
    made_from = {size_name(own, size): own.manifests[size]}
    _draw(opened, own_export_name(opened, system, "missed"), table, "ann-missed", {"system": system}, made_from)
    st.caption(
        "Relevant documents in the top 10 of exact search that the index does not return in its top 10. A document is "
        "not missed if another one of equal similarity was returned in its place."
    )


def _similarities(opened: data.Opened) -> None:
    """Draw nDCG@10 by cosine and by dot product for every dense system that has a sweep."""
    figures, made_from = {}, {}
    for system in ann_figures.measured_systems(opened.folder, opened.profile):
        try:
            manifest = open_artifact(opened.folder.sweep(system), SWEEP)
        except UserError as error:
            show_error(error)
            continue
        if recorded := manifest.facts.get("similarities"):
            label = opened.labels[system]
            figures[label], made_from[f"sweep of {label}"] = recorded, manifest
    table = ann_tables.similarities_table(figures, opened.folder.name)
    formats = dict.fromkeys(table.figures, "%.4f")
    _draw(opened, f"{opened.folder.name}-similarities", table, "ann-similarities", {}, made_from, formats)
    st.caption(
        "Vectors of equal length rank alike by both. If lengths differ and the model was trained with cosine "
        "similarity, length carries no meaning, and dot product favours long vectors."
    )
