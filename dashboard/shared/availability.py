"""Which pages have nothing to show on a collection, and why."""

from core.training.histories import trained_models
from dashboard.shared import data


def unavailable(opened: data.Opened) -> dict[str, str]:
    """Return why a page has nothing to show, by page; artifacts are looked for and not read."""
    folder, systems = opened.folder, opened.profile.system
    dense = opened.profile.encoded
    reasons = {}
    if all(system.kind == "run" for system in systems):
        reasons["search"] = "Imported runs cannot answer new queries."
    if not trained_models(folder.workspace):
        reasons["training"] = "No model was fine-tuned here."
    if not any(system.expanded for system in systems):
        reasons["expansion"] = "No system of this collection searches predicted queries."
    elif not folder.predicted_queries.path.is_dir():
        reasons["expansion"] = "There are no predicted queries yet."
    if not dense:
        reasons["documents"] = "The map shows vectors, and this collection has no dense system."
    elif not any(folder.vectors(name).path.is_dir() for name in dense):
        reasons["documents"] = "There are no vectors yet."
    return reasons
