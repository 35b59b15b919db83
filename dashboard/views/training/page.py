"""Training: how a model was fine-tuned, the effect per topic, and ablations of the training settings."""

import streamlit as st

from core.evaluation import topic_tables, training_figures
from core.evaluation.results import first_baseline
from core.evaluation.verdicts import verdict
from core.training.histories import Training, read_training
from core.workspace.errors import UserError
from dashboard.shared import charts, comparison, data, export, glossary, results, state, widgets
from dashboard.shared.escaping import escape_markdown, show_error
from dashboard.shared.provenance import downloads_and_provenance
from dashboard.shared.verdicts import compare_pair, draw_verdict
from dashboard.shared.widgets import FOUR
from dashboard.views.training import charts as training_charts

WORDS = """
- **Pooling**: how a bi-encoder makes one vector of the token vectors: their mean, or the vector of the [CLS] token.
- **In-batch cross-entropy**: each query must score its own passage above the others of the batch (the negatives).
- **Teacher**: a stronger model whose scores are the training target, in place of binary labels (distillation).
- **Two towers**: separate encoders for queries and documents; with one tower they share an encoder.
- **Overfitting test**: a training on ten pairs only. If it does not learn them by heart, no training will work.
- **Held-out queries** are not used for training: their loss shows how well the model generalises.
- **MRR@10**: the mean over queries of 1 / rank of the first relevant passage; 0 if it is below rank 10.
"""


def choose_model(opened: data.Opened) -> Training:
    """Return a fine-tuned model's training; draw the choice if there are several.

    Raises:
        UserError: no model has a training history, or that of the chosen model is damaged.
    """
    models = training_figures.all_trained(opened.folder.workspace, opened.profile)
    first = next(iter(models))
    return read_training(models[state.choose("Model", list(models), "model", first) if len(models) > 1 else first])


def draw_gain(opened: data.Opened, training: Training) -> None:
    """Draw what fine-tuning changed on the collection: the comparison with its base model, and each topic."""
    # Of several systems with one model, such as that of exact search and those with other backends, the first counts.
    models = {system.model: system.name for system in reversed(opened.profile.system) if system.kind == "dense"}
    own, base = models.get(training.model.shown), models.get(str(training.manifest.settings.get("base")))
    tidy = widgets.evaluated(opened)
    measured = list(dict.fromkeys(tidy["system"]))
    if own not in measured:
        st.info(f"{escape_markdown(opened.folder.name)} has no run of this model, so its gain is not known here.")
        return
    if base not in measured:
        base = first_baseline(opened.profile, [name for name in measured if name != own] or measured)
        name = escape_markdown(opened.labels[base])
        st.caption(f"The base model has no run on this collection; the model is compared with {name}.")
    if own is None or base is None or own == base:
        return
    measure = comparison.choose_measure(opened, tidy)
    values, labels = results.values(opened, measure), opened.labels
    found = compare_pair(values, own, base)
    draw_verdict(verdict(labels[own], labels[base], measure, *found))
    table = topic_tables.differences(values[own], values[base], data.judged_topics(opened).topics)
    exported = topic_tables.differences_table(table, labels, own, base, measure, opened.folder.name, lambda: found)
    figure = charts.difference_bars(table, labels[own], labels[base], measure, "")
    name = f"{opened.folder.name}-{own}-{base}"
    export.chart(figure, name, f"Difference of {measure} for each topic")
    with st.expander("Values of this chart"):
        columns = {labels[own]: FOUR, labels[base]: FOUR, "difference": FOUR}
        figures = exported.shown.reset_index()
        st.dataframe(figures, hide_index=True, column_config=columns, alt="Difference for each topic")
        downloads_and_provenance(opened, name, exported, "topics", {"measure": measure, "a": own, "b": base})


def draw_curves(opened: data.Opened, training: Training) -> None:
    """Draw the losses and the held-out MRR over the steps, with their values and the settings folded."""
    st.write(escape_markdown(training_figures.held_out_sentence(training)))
    name = training.model.name
    left, right = st.columns(2)
    with left:
        figure = training_charts.curves(training.history, ["loss", "held-out loss"], "loss")
        export.chart(figure, f"{name}-loss", "Training loss and held-out loss over the steps")
    with right:
        figure = training_charts.curves(training.history, ["held-out MRR@10"], "held-out MRR@10", height=0.1)
        export.chart(figure, f"{name}-mrr", "Held-out MRR at 10 over the steps")
    options, made_from = {"model": name}, {training.model.shown: training.manifest}
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
        st.caption(f"Finished {escape_markdown(training.manifest.finished)}.")


def draw_checks(opened: data.Opened, training: Training) -> None:
    """Draw what the checks of a training found: the faults, and all that was measured folded."""
    checks = training_figures.checks_of(opened.folder.workspace, training)
    if checks is None:
        st.caption("This model was not checked for common mistakes of fine-tuning. To check it:")
        st.code(training_figures.check_command(training), language=None, wrap_lines=True)
        return
    table = training_figures.checks_table(checks, training)
    first, *others = table.sentences
    shown = st.warning if checks.faults else st.success
    shown(escape_markdown(first), icon=":material/rule:")
    for sentence in [*checks.faults, *others]:
        st.markdown(f"- {escape_markdown(sentence)}")
    with st.expander("All checks"):
        st.dataframe(table.figures.reset_index(), hide_index=True, alt=table.caption)
        made_from = {checks.artifact.shown: checks.manifest}
        options = {"model": training.model.name}
        downloads_and_provenance(
            opened, f"{training.model.name}-checks", table, "training-checks", options, made_from=made_from
        )


def draw_overfitting(opened: data.Opened, training: Training | None) -> None:
    """Draw the overfitting test of the model's base, or else of another base, or how to make one."""
    tests = training_figures.all_overfitting(opened.folder.workspace)
    if not tests:
        st.caption("Ten pairs learned by heart are the shortest test of a training. To make it:")
        st.code("python -m core.finetune --profile ablations --overfit", language=None, wrap_lines=True)
        return
    own = training_figures.short_name(str(training.manifest.settings.get("base"))) if training else ""
    base = own if own in tests else next(iter(tests))
    if len(tests) > 1:
        base = state.choose("Base model of the test", list(tests), "overfitted", base)
    table = training_figures.overfitting_table(tests[base])
    st.write(escape_markdown(f"{base}: {table.sentences[0]}"))
    history = table.figures.reset_index()
    for column, name in zip(st.columns(2), ("loss", "MRR@10"), strict=True):
        with column:
            figure = training_charts.curves(history, [name], f"{name} on the ten pairs")
            if name == "MRR@10":
                figure.update_yaxes(range=[0, 1.05])
            export.chart(figure, f"overfitting-{base}-{name}", f"{name} of the overfitting test over the steps")
    with st.expander("Values of the overfitting test"):
        st.dataframe(history, hide_index=True, placeholder="–", alt=table.caption)
        made_from = {tests[base].model.shown: tests[base].manifest}
        downloads_and_provenance(
            opened, f"overfitting-{base}", table, "overfitting", {"base": base}, made_from=made_from
        )


def ablations(opened: data.Opened, training: Training | None) -> None:
    """Draw the ablations of the fine-tuning, labelled where they are of another base model, or how to make some.

    Args:
        training: the fine-tuned model that the page shows; None if it cannot be read.

    Raises:
        UserError: the chosen ones are damaged.
    """
    workspace = opened.folder.workspace
    if not workspace.all_ablations():
        st.caption("No variants of the training settings have been compared. To compare them:")
        st.code("python -m core.ablations --profile ablations", language=None, wrap_lines=True)
        return
    made = training_figures.all_ablations(workspace)
    base = next(iter(made))
    left, right = st.columns(2)
    if len(made) > 1:
        with left:
            base = state.choose("Base model", list(made), "base", base)
    with right if len(made) > 1 else left:
        measure = state.choose("Measure", ["nDCG@10", "MRR@10"], "figure", "nDCG@10")
    table, manifest = training_figures.ablations_table(workspace, made[base])
    if training and (other := training_figures.other_base_sentence(workspace, manifest, training)):
        st.info(escape_markdown(other), icon=":material/info:")
    for sentence in table.sentences:
        show_error(UserError(sentence))
    means = table.figures
    figure = training_charts.gains(means, measure)
    export.chart(figure, f"ablations-{base}-{measure}", f"Mean {measure} of each variant with its standard deviation")
    st.caption(
        f"{escape_markdown(table.caption)}. Each variant changes one setting of the default configuration. "
        "nDCG@10 on that split, MRR@10 on held-out MS MARCO queries; spread: standard deviation over seeds."
    )
    figures = [name for name in means if name not in ("seeds", "rows", "seconds")]
    config = dict.fromkeys(figures, FOUR)
    with st.expander("Values of this chart"):
        st.dataframe(means.reset_index(), hide_index=True, column_config=config, placeholder="–", alt=table.caption)
        downloads_and_provenance(
            opened, f"ablations-{base}", table, "ablations", {"base": base}, made_from={made[base].shown: manifest}
        )


def page(opened: data.Opened) -> None:
    """Draw the Fine-tuning page; only the gain on topics depends on the collection."""
    training = None
    try:
        training = choose_model(opened)
        st.write(escape_markdown(training_figures.recipe_sentence(training)))
        st.header(f"Gain on the topics of {escape_markdown(opened.folder.name)}")
        draw_gain(opened, training)
    except UserError as error:
        show_error(error)
    if training:
        st.header("Training curves")
        draw_curves(opened, training)
        st.header("Checks")
        try:
            draw_checks(opened, training)
        except UserError as error:
            show_error(error)
    for title, draw in (("Overfitting test", draw_overfitting), ("Ablations", ablations)):
        st.header(title)
        try:
            draw(opened, training)
        except UserError as error:
            show_error(error)
    with st.expander("Glossary", icon=":material/help:"):
        st.markdown(WORDS)
        st.markdown(glossary.SIGNIFICANCE)
