"""Summary: the answer with its charts, example topics, all systems in one table; robustness and diagnostics."""

from collections.abc import Callable

import streamlit as st

from core.evaluation.fusion_tuning import weight_notes
from core.evaluation.published import far_from_published, published_figures
from core.workspace.errors import UserError
from dashboard.shared import clicks, comparison, data, glossary, left_out, links, results, state, widgets
from dashboard.shared.comparison import View
from dashboard.shared.escaping import escape_markdown, show_error
from dashboard.views.summary import (
    answer,
    baseline,
    checks,
    conclusion,
    configurations,
    cost,
    curve,
    differences,
    examples,
    main_table,
    unjudged,
    weights,
)

SAMPLE = (
    "The documents, topics and judgments of the embedded sample were written for this project (CC0). To build the real "
    "TREC-COVID collection, run `python scripts/build.py --profile trec-covid`, then `python3 scripts/start.py "
    "--profile trec-covid`."
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
        _try(draw)


def _try(draw: Callable[[], None]) -> None:
    """Draw a part of the page, or in its place the problem that keeps it from being drawn."""
    try:
        draw()
    except UserError as error:
        show_error(error)


def page(opened: data.Opened) -> None:
    """Draw the Summary page of a collection.

    Raises:
        UserError: topics or judgments are missing or damaged, or no system is evaluated.
    """
    manifests = results.manifests(opened)
    clicks.reported("summary", lambda system: state.write("a", system))
    about, answered, noticed = (st.container(gap="xsmall") for _ in range(3))
    with noticed:
        tidy = widgets.evaluated(opened)
    view = comparison.choose(opened, tidy)
    with about:
        _draw_collection(view)
    with answered:
        try:
            against = baseline.compared(view.values, view.baseline)
        except UserError as error:
            show_error(error)
        else:
            place = answer.draw_answer(view, against, manifests)
            differences.draw_differences(view, against)
            _try(lambda: examples.draw_examples(view))
            answer.draw_robustness(view, place)
    with noticed:
        _try(lambda: _warn_of_far(view))
        for sentence in weight_notes(opened.profile, opened.folder, opened.labels):
            st.warning(escape_markdown(sentence), icon=":material/warning:")
    cells = main_table.draw_main(view, manifests)
    section("All measures", "measures", lambda: main_table.draw_all(view, manifests, cells))
    section("Effectiveness vs cost", "cost", lambda: cost.draw_cost(view, manifests))
    st.header("Robustness and diagnostics")
    section("Comparison with the baseline", "baseline", lambda: baseline.draw_baseline(view))
    if any(topic.kind for topic in view.content.topics.values()):
        section("Topic types", "types", lambda: baseline.draw_types(view))
    section("Robustness of the ranking", "conclusion", lambda: conclusion.draw_conclusion(view))
    section("Published figures", "published", lambda: configurations.draw_published(view, manifests))
    section("Precision-recall curve", "curve", lambda: curve.draw_curve(view))
    section("Unjudged documents", "unjudged", lambda: unjudged.draw_unjudged(view))
    if any(system.kind == "fusion" for system in opened.profile.system):
        section("Weights of fusions", "weights", lambda: weights.draw_weights(opened))
    section("Configuration of the systems", "systems", lambda: configurations.draw_configurations(opened, manifests))
    section("Cross-check with other libraries", "checks", lambda: checks.draw_checks(view))
    state.choose("Figure format", ["svg", "png"], "picture", "svg", {"svg": "SVG", "png": "PNG"}, width=200)
    links.page_link("artifacts", "Provenance", ":material/inventory_2:")
    glossary.explain_terms(glossary.NDCG, glossary.JUDGED, glossary.SIGNIFICANCE)
    if opened.is_sample:
        st.caption(SAMPLE)


def _draw_collection(view: View) -> None:
    """Draw what the collection is, in a line, and what was left out of it."""
    opened = view.opened
    facts = data.collection_manifest(opened).facts
    systems = f"{len(view.systems)} evaluated system{'s' * (len(view.systems) > 1)}"
    st.caption(f"{escape_markdown(opened.folder.name)}: {data.counts(opened)}, {systems}.")
    if said := left_out.of_collection(facts):
        st.caption(said)


def _warn_of_far(view: View) -> None:
    known = published_figures(data.collection_manifest(view.opened).facts)
    systems = [system for system in view.opened.profile.system if system.name in view.systems]
    for sentence in far_from_published(known, systems, lambda name: results.values(view.opened, name), view.labels):
        st.warning(escape_markdown(sentence), icon=":material/warning:")
