"""Training: how a model was fine-tuned, the effect per topic, and ablations of the training settings."""

import streamlit as st

from core.evaluation import topic_tables, training_figures
from core.training.histories import Training, read_training
from core.workspace.errors import UserError
from dashboard.shared import charts, comparison, data, export, results, state, widgets
from dashboard.shared.escaping import escape_markdown, show_error
from dashboard.shared.provenance import downloads_and_provenance
from dashboard.shared.widgets import FOUR
from dashboard.views.training import charts as training_charts

WORDS = """
- **Pooling**: how a bi-encoder makes one vector of the token vectors: their mean, or the vector of the [CLS] token.
- **In-batch cross-entropy**: each query must score its own passage above the others of the batch (the negatives).
- **Teacher**: a stronger model whose scores are the training target, in place of binary labels (distillation).
- **Two towers**: separate encoders for queries and documents; with one tower they share an encoder.
- **Held-out queries** are not used for training: their loss shows how well the model generalises.
- **MRR@10**: the mean over queries of 1 / rank of the first relevant passage; 0 if it is below rank 10.
"""


def choose_model(opened: data.Opened) -> Training:
    """Draw the selector of fine-tuned models and return the chosen one.

    Raises:
        UserError: no model has a training history, or that of the chosen model is damaged.
    """
    models = training_figures.all_trained(opened.folder.workspace)
    return read_training(models[state.choose("Model", list(models), "model", next(iter(models)))])


def course(opened: data.Opened, training: Training) -> None:
    """Draw the losses and the held-out MRR over the steps."""
    manifest = training.manifest
    facts, mrr = manifest.facts, manifest.facts.get("held_out_mrr@10", {})
    st.write(
        f"Trained on {facts.get('rows', 0):,} rows in {manifest.seconds / 60:.0f} minutes on "
        f"{escape_markdown(str(facts.get('device')))}, "
        f"finished {escape_markdown(manifest.finished)}. MRR@10 of {facts.get('held_out_queries', 0):,} held-out MS "
        f"MARCO queries over {facts.get('held_out_passages', 0):,} passages: {mrr.get('before', 0):.4f} before "
        f"fine-tuning, {mrr.get('after', 0):.4f} after."
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
    with st.expander("Training settings"):
        settings = training_figures.settings_table(training)
        st.dataframe(settings.figures.reset_index(), hide_index=True, alt=settings.caption)
        downloads_and_provenance(
            opened, f"{name}-settings", settings, "training-settings", options, made_from=made_from
        )


def against_its_base(opened: data.Opened, training: Training) -> None:
    """Draw the difference that fine-tuning made to each topic of the collection."""
    models = {system.model: system.name for system in opened.profile.system if system.kind == "dense"}
    own, base = models.get(training.model.shown), models.get(str(training.manifest.settings.get("base")))
    tidy = widgets.evaluated(opened)
    measured = set(tidy["system"])
    if own not in measured or base not in measured or own is None or base is None:
        st.write("This collection has no runs of both this model and its base model to compare.")
        return
    measure = comparison.choose_measure(opened, tidy)
    values = results.values(opened, measure)
    labels = opened.labels
    table = topic_tables.differences(values[own], values[base], data.judged_topics(opened).topics)
    exported = topic_tables.differences_table(table, labels, own, base, measure, 0.0, opened.folder.name)
    for sentence in exported.sentences:
        st.write(escape_markdown(sentence))
    figure = charts.difference_bars(table, labels[own], labels[base], measure, "")
    name = f"{opened.folder.name}-{own}-{base}"
    export.chart(figure, name, f"Difference of {measure} for each topic")
    with st.expander("Values of this chart"):
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
        base = state.choose("Base model", list(made), "base", next(iter(made)))
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
        f"{escape_markdown(table.caption)}. Each variant changes one setting of the default configuration. "
        "nDCG@10 on that split, MRR@10 on held-out MS MARCO queries; spread: standard deviation over seeds."
    )


def page(opened: data.Opened) -> None:
    """Draw the Training page; only the effect per topic depends on the collection."""
    st.markdown("How a bi-encoder was fine-tuned, and whether it helped.")
    try:
        training = choose_model(opened)
        course(opened, training)
        st.header(f"Effect of fine-tuning per topic on {escape_markdown(opened.folder.name)}")
        against_its_base(opened, training)
    except UserError as error:
        show_error(error)
    st.header("Ablations")
    try:
        ablations(opened)
    except UserError as error:
        show_error(error)
    st.markdown(WORDS)
