"""Training: how a fine-tuned model was trained, what that changed topic by topic, and what each choice is worth."""

import streamlit as st

from core.evaluation import topic_tables, training_figures
from core.training.histories import Training, read_training
from core.workspace.errors import UserError
from dashboard.shared import charts, data, export, results, state, widgets
from dashboard.shared.escaping import escape_markdown, show_error
from dashboard.shared.provenance import downloads_and_provenance
from dashboard.shared.widgets import FOUR
from dashboard.views.training import charts as training_charts

WORDS = """
- **Pooling**: a bi-encoder makes one vector of a text, the mean of its tokens' vectors or that of the first, [CLS].
- **In-batch cross-entropy**: each query of a batch must be nearer to its own passage than to the others' passages.
- **Teacher**: a stronger system's scores are learned in place of a yes or no.
- **Two towers**: queries and documents have an encoder each; with one tower they share it.
- **Held-out** queries are never trained on: their loss says whether what is learned holds elsewhere.
- **MRR@10**: the mean over queries of 1 / rank of the first relevant passage, 0 beyond rank 10.
"""


def choose_model(opened: data.Opened) -> Training:
    """Draw the choice among the trained models and return the chosen one.

    Raises:
        UserError: none left a history, or the chosen one's is damaged.
    """
    models = training_figures.all_trained(opened.folder.workspace)
    return read_training(models[state.choose("Model", list(models), "model", next(iter(models)))])


def course(opened: data.Opened, training: Training) -> None:
    """Draw the losses and the held-out MRR over the steps."""
    manifest = training.manifest
    facts, mrr = manifest.facts, manifest.facts.get("held_out_mrr@10", {})
    st.write(
        f"{facts.get('rows', 0):,} rows, {manifest.seconds / 60:.0f} minutes on "
        f"{escape_markdown(str(facts.get('device')))}, "
        f"finished {escape_markdown(manifest.finished)}. MRR@10 of {facts.get('held_out_queries', 0):,} held-out MS "
        f"MARCO queries among {facts.get('held_out_passages', 0):,} passages: {mrr.get('before', 0):.4f} before, "
        f"{mrr.get('after', 0):.4f} after."
    )
    name = training.model.name
    left, right = st.columns(2)
    with left:
        figure = training_charts.curves(training.history, ["loss", "held-out loss"], "loss")
        export.chart(figure, f"{name}-loss", "Training loss and held-out loss over the steps")
    with right:
        figure = training_charts.curves(training.history, ["held-out MRR@10"], "held-out MRR@10")
        export.chart(figure, f"{name}-mrr", "Held-out MRR at 10 over the steps")
    options, made_from = {"model": name}, {training.model.shown: manifest}
    with st.expander("Values of these charts"):
        history = training_figures.history_table(training)
        st.dataframe(history.figures.reset_index(), hide_index=True, placeholder="–", alt=history.caption)
        downloads_and_provenance(opened, f"{name}-history", history, "training-history", options, made_from=made_from)
    with st.expander("Settings of this model"):
        settings = training_figures.settings_table(training)
        st.dataframe(settings.figures.reset_index(), hide_index=True, alt=settings.caption)
        downloads_and_provenance(
            opened, f"{name}-settings", settings, "training-settings", options, made_from=made_from
        )


def against_its_base(opened: data.Opened, training: Training) -> None:
    """Draw which topics of the collection training won and lost."""
    models = {system.model: system.name for system in opened.profile.system if system.kind == "dense"}
    own, base = models.get(training.model.shown), models.get(str(training.manifest.settings.get("base")))
    tidy = widgets.evaluated(opened)
    measured = set(tidy["system"])
    if own not in measured or base not in measured or own is None or base is None:
        st.write("This collection has no runs of both this model and its base to compare.")
        return
    measure = widgets.choose_measure(opened, tidy)
    values = results.values(opened, measure)
    labels = opened.labels
    table = topic_tables.differences(values[own], values[base], data.judged_topics(opened).topics)
    exported = topic_tables.differences_table(table, labels, own, base, measure, 0.0, opened.folder.name)
    for sentence in exported.sentences:
        st.write(escape_markdown(sentence))
    figure = charts.difference_bars(table, labels[own], labels[base], measure, "")
    name = f"{opened.folder.name}-{own}-{base}"
    export.chart(figure, name, f"Difference of {measure} for each topic")
    with st.expander("The figures of this chart"):
        columns = {labels[own]: FOUR, labels[base]: FOUR, "difference": FOUR}
        figures = exported.shown.reset_index()
        st.dataframe(figures, hide_index=True, column_config=columns, alt="Difference for each topic")
        downloads_and_provenance(opened, name, exported, "topics", {"measure": measure, "a": own, "b": base})


def ablations(opened: data.Opened) -> None:
    """Draw the ablations of the fine-tuning.

    Raises:
        UserError: there are none, or the chosen ones are damaged.
    """
    made = training_figures.all_ablations(opened.folder.workspace)
    left, right = st.columns(2)
    with left:
        base = state.choose("Base model of the ablations", list(made), "base", next(iter(made)))
    with right:
        measure = state.choose("Measure", ["nDCG@10", "MRR@10"], "figure", "nDCG@10")
    table, manifest = training_figures.ablations_table(opened.folder.workspace, made[base])
    for sentence in table.sentences:
        show_error(UserError(sentence))
    means = table.figures
    figure = training_charts.gains(means, measure)
    export.chart(figure, f"ablations-{base}-{measure}", f"Mean {measure} of each variant with its standard deviation")
    figures = [name for name in means if name not in ("seeds", "rows", "seconds")]
    config = dict.fromkeys(figures, FOUR)
    st.dataframe(means.reset_index(), hide_index=True, column_config=config, placeholder="–", alt=table.caption)
    downloads_and_provenance(
        opened, f"ablations-{base}", table, "ablations", {"base": base}, made_from={made[base].shown: manifest}
    )
    st.caption(
        f"{escape_markdown(table.caption)}. Each variant changes one setting of the default configuration (recipe). "
        "nDCG@10 on this collection, MRR@10 on held-out MS MARCO queries; spread: standard deviation over seeds."
    )


def page(opened: data.Opened) -> None:
    """Draw the Training page; of the collection only what training changed on it."""
    st.markdown("How a bi-encoder was fine-tuned, and whether that helped.")
    try:
        training = choose_model(opened)
        course(opened, training)
        st.header(f"Won and lost against its base on {escape_markdown(opened.folder.name)}")
        against_its_base(opened, training)
    except UserError as error:
        show_error(error)
    st.header("What each choice is worth")
    try:
        ablations(opened)
    except UserError as error:
        show_error(error)
    st.markdown(WORDS)
