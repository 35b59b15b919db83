"""Published figures for whole collections (`reference.toml`), and how near ours are to them."""

import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from core.evaluation.configurations import bm25_settings, described
from core.evaluation.measures import mean
from core.evaluation.significance import Values
from core.evaluation.table_formats import Table
from core.formats.mteb_results import read_result
from core.workspace.artifacts import Manifest
from core.workspace.profile import SystemSettings
from core.workspace.workspace import Workspace

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib


FILE = Path(__file__).with_name("reference.toml")
TOLERANCE = 0.002
"""Largest difference between means that counts as agreement: rounding, ties, and the arithmetic of encoding."""
MEASURE = "nDCG@10"
"""Measure by which BM25 systems are compared with published figures of any configuration."""
FAR = 0.25
"""Distance from the nearest published mean, as a share of it, from which a BM25 system is reported as far from it."""
COLUMNS = ["measure", "measured", "published", "difference", "agrees", "published as", "source"]


@dataclass(frozen=True)
class Published:
    """A system's published figures and their source.

    Attributes:
        bm25: the settings of a BM25 index that they hold for.
        dense: the model that they hold for, at its own input limit, with its own prompts and cosine similarity.
        model: the model of a figure without a configuration; "" for that of `dense`.
    """

    system: str
    source: str
    measures: dict[str, float]
    bm25: dict[str, Any] = field(default_factory=dict)
    dense: dict[str, str] = field(default_factory=dict)
    model: str = ""

    def __post_init__(self) -> None:
        """Take the model of the configuration where none is named."""
        object.__setattr__(self, "model", self.model or self.dense.get("model", ""))


def published_figures(facts: Mapping[str, Any]) -> list[Published]:
    """Return the published figures of a collection; none unless it is a complete collection of `reference.toml`.

    Args:
        facts: the facts of the collection's manifest: documents (0 if only runs were imported), topics, judgments.
    """
    return [Published(**figure) for figure in _collection(facts).get("figure", ())]


def exercise_table(facts: Mapping[str, Any], collection: str) -> Table:
    """Return what others reached in the exercise that RankScope grew from; empty for other collections than TREC-COVID.

    Args:
        facts: see `published_figures`.
    """
    known = [Published(**figure) for figure in _collection(facts).get("exercise", ())]
    rows = [(one.system, one.measures[MEASURE], one.source) for one in known]
    table = pd.DataFrame(rows, columns=["system", MEASURE, "source"]).set_index("system")
    about = "What others reached in the exercise that RankScope grew from. Nothing here is held against these figures."
    none = f"Figures of the exercise are known for TREC-COVID as a whole; {collection} is another collection."
    return Table(table, f"{collection}: the exercise by others", sentences=[about if rows else none])


def _collection(facts: Mapping[str, Any]) -> dict[str, Any]:
    """Return the entry of a complete collection in `reference.toml`, {} if there is none."""
    for collection in _collections():
        counts = {name: facts.get(name) for name in ("topics", "judgments")}
        same = all(collection[name] == count for name, count in counts.items())
        if same and facts.get("documents") in (0, collection["documents"]):
            return collection
    return {}


def _collections() -> list[dict[str, Any]]:
    collections: list[dict[str, Any]] = tomllib.loads(FILE.read_text(encoding="utf-8"))["collection"]
    return collections


def of_mteb(path: Path) -> Published:
    """Return a result of MTEB as published figures.

    Raises:
        UserError: if the file is no result of MTEB.
    """
    found = read_result(path)
    source = f"MTEB result {found.task}, {found.split}"
    return Published(found.model, source, found.means, model=found.model)


def has_configuration(
    published: Published, workspace: Workspace, system: SystemSettings, manifests: Mapping[str, Manifest]
) -> bool:
    """Return whether a system's run was made with the configuration that published figures hold for.

    Args:
        manifests: manifests keyed by the artifact's place.
    """
    run = manifests.get(f"runs/{system.name}")
    if run is None or run.settings.get("topic_field") != "question":
        return False
    if published.bm25 and (index := manifests.get(f"bm25/{system.name}")):
        made = bm25_settings(index)
        return not made.get("expanded") and all(made.get(key) == value for key, value in published.bm25.items())
    if published.dense and (vectors := manifests.get(f"vectors/{system.name}")):
        facts = described(workspace, system, vectors.facts)
        return (
            facts.get("model") == published.dense["model"]
            and facts.get("max_tokens", 0) == facts.get("model_max_tokens")
            and not vectors.settings.get("document_prefix")
            and not run.settings.get("query_prefix")
            and run.settings.get("similarity") == "cosine"
            and not run.settings.keys() & {"engine", "backend", "dimensions"}  # approximate search
            and facts.get("precision", vectors.settings.get("precision")) != "int8"
        )
    return False


def agreement_table(
    known: Iterable[Published],
    workspace: Workspace,
    systems: Iterable[SystemSettings],
    manifests: Mapping[str, Manifest],
    values: Callable[[str], Values],
    labels: Mapping[str, str],
    collection: str,
) -> Table:
    """Return each mean that was measured with the configuration of a published figure, with that figure.

    Args:
        known: the collection's published figures, from `published_figures`.
        systems: the evaluated systems.
        manifests: manifests keyed by the artifact's place.
        values: returns a measure's values, system -> topic -> value.
    """
    known, rows = list(known), []
    for system in systems:
        for one in known:
            if not has_configuration(one, workspace, system, manifests):
                continue
            for measure, figure in one.measures.items():
                measured = mean(values(measure)[system.name])
                off = measured - figure
                agrees = "yes" if abs(off) <= TOLERANCE else "no"
                rows.append((labels[system.name], measure, measured, figure, off, agrees, one.system, one.source))
    table = pd.DataFrame(rows, columns=["system", *COLUMNS]).set_index("system")
    return Table(table, f"{collection}: measured and published figures", sentences=[_said(known, table)])


def is_bm25(system: SystemSettings) -> bool:
    """Tell whether a system is BM25, or an imported run that is named so."""
    return system.kind == "bm25" or (system.kind == "run" and "bm25" in system.name.lower())


def is_of(published: Published, system: SystemSettings) -> bool:
    """Tell whether a published figure is of a system's kind: of BM25 (with a configuration), or of its model.

    An imported run is of a model if it has its name.
    """
    if is_bm25(system):
        return bool(published.bm25) and not system.expanded
    model = published.model.rpartition("/")[2].lower()
    own = system.name if system.kind == "run" else system.model.rpartition("/")[2]
    return bool(model) and model == own.lower()


def far_from_published(
    known: Iterable[Published],
    systems: Iterable[SystemSettings],
    values: Callable[[str], Values],
    labels: Mapping[str, str],
) -> list[str]:
    """Return a sentence for each system whose nDCG@10 is far from every published one of its model, or of BM25.

    Published configurations of BM25 differ by a tenth; a larger distance is usually an error in texts or judgments.

    Args:
        known: the collection's published figures, from `published_figures`.
        systems: the evaluated systems.
        values: returns a measure's values, system -> topic -> value.
    """
    published = [one for one in known if MEASURE in one.measures]
    said = []
    for system in systems:
        lexical = is_bm25(system)
        of_system = [one for one in published if ("bm25" in one.system.lower() if lexical else is_of(one, system))]
        figures = [one.measures[MEASURE] for one in of_system]
        if not figures:
            continue
        measured = mean(values(MEASURE)[system.name])
        nearest = min(figures, key=lambda figure: abs(figure - measured))
        if abs(nearest - measured) > FAR * nearest:
            said.append(
                f"{labels[system.name]} has {MEASURE} {measured:.4f}, far from the published {nearest:.4f} of "
                f"{'BM25' if lexical else of_system[0].system} on this collection: check the texts, the topics and the "
                f"judgments. python -m core.diagnose --systems {system.name} says what closes the gap."
            )
    return said


def _said(known: list[Published], table: pd.DataFrame) -> str:
    if not known:
        names = " and ".join(collection["name"] for collection in _collections())
        return f"Published figures are known for {names} as a whole; this collection is compared with none."
    if table.empty:
        return "No system here has the configuration of a published figure, so none is compared."
    agreeing = int((table["agrees"] == "yes").sum())
    return (
        f"{agreeing} of {len(table)} figures agree with the published ones within {TOLERANCE}. Only systems with the "
        "configuration of a published figure are compared."
    )
