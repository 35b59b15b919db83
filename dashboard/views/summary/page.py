"""Summary: all systems, all measures; comparison with the baseline; robustness and diagnostics."""

from collections.abc import Callable

import streamlit as st

from core.workspace.errors import UserError
from dashboard.shared import comparison, data, glossary, left_out, links, results, state, widgets
from dashboard.shared.escaping import escape_markdown, show_error
from dashboard.views.summary import (
    baseline,
    checks,
    conclusion,
    configurations,
    cost,
    curve,
    main_table,
    unjudged,
)


def section(label: str, name: str, draw: Callable[[], None]) -> None:
    """Draw an expander whose content is drawn only while it is open; the URL records which are open."""
    key = f"section {name}"
    opened = [part for part in state.read("open").split(",") if part]

    def write() -> None:
        others = [part for part in opened if part != name]
        state.write("open", ",".join([*others, name] if st.session_state[key] else others))

    st.session_state[key] = name in opened
    box = st.expander(label, key=key, on_change=write)
    if not box.open:
        return
    with box, st.spinner("Computing …"):
        try:
            draw()
        except UserError as error:
            show_error(error)


def page(opened: data.Opened) -> None:
    """Draw the Summary page of a collection."""
    manifests = results.manifests(opened)
    if opened.is_sample:
        st.info(
            "This is the embedded sample: its documents, topics and judgments were written for this project as a "
            "demonstration (CC0) and are not medical evidence. To build the real TREC-COVID collection, run `python "
            "scripts/build.py --profile trec-covid`, then `python3 scripts/start.py --profile trec-covid`."
        )
    facts = data.collection_manifest(opened).facts
    documents = (
        "imported runs without document texts" if opened.is_imported else f"{facts.get('documents', 0):,} documents"
    )
    st.write(
        f"{escape_markdown(opened.folder.name)}: {documents}, {facts.get('topics', 0):,} topics, "
        f"{facts.get('judgments', 0):,} judgments."
    )
    if said := left_out.of_collection(facts):
        st.caption(said)
    tidy = widgets.evaluated(opened)
    main_table.draw_measures(opened, tidy, manifests)
    configurations.draw_published(opened, set(tidy["system"]), manifests)
    section("Configuration of the systems", "systems", lambda: configurations.draw_configurations(opened, manifests))
    st.header("Comparison with the baseline")
    view = comparison.choose(opened, tidy)
    for draw in (baseline.draw_baseline, baseline.draw_kinds):
        try:
            draw(view)
        except UserError as error:
            show_error(error)
    st.header("Robustness and diagnostics")
    section("Robustness of the ranking", "conclusion", lambda: conclusion.draw_conclusion(view))
    section("Precision-recall curve", "curve", lambda: curve.draw_curve(view))
    section("Unjudged documents", "unjudged", lambda: unjudged.draw_unjudged(view))
    section("Effectiveness vs cost", "cost", lambda: cost.draw_cost(view, manifests))
    section("Cross-check with other libraries", "checks", lambda: checks.draw_checks(view))
    state.choose("Figure format", ["svg", "png"], "picture", "svg", {"svg": "SVG", "png": "PNG"}, width=200)
    links.page_link("artifacts", "Provenance", ":material/inventory_2:")
    glossary.explain_terms(glossary.NDCG, glossary.JUDGED)
