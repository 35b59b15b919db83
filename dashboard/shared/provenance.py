"""Where a figure comes from: measure, topics, digests of judgments and runs, and the command that repeats it."""

from collections.abc import Mapping, Sequence

import streamlit as st

from core.evaluation.freshness import changes
from core.formats.collections import QRELS
from core.formats.exclusions import EXCLUDED
from core.formats.runs import FILE
from core.workspace.artifacts import open_artifact, shown
from dashboard.shared import data


def command(opened: data.Opened, module: str, systems: list[str], *options: str) -> str:
    """Return the command that runs a module of `core` on the runs of some systems and the collection's judgments."""
    runs = " ".join(shown(opened.folder / "runs" / system / FILE) for system in systems)
    collection = opened.folder / "collection"
    excluded = [f"--excluded {shown(collection / EXCLUDED)}"] if (collection / EXCLUDED).is_file() else []
    kept = [] if opened.profile.collection.ignore_identical_ids else ["--keep-identical-ids"]
    return " ".join([f"python -m core.{module} {runs} --qrels {shown(collection / QRELS)}", *excluded, *kept, *options])


def provenance(opened: data.Opened, name: str, measures: str, commands: Mapping[str, str], about: str) -> None:
    """Draw a button that opens the provenance of a figure.

    Args:
        name: of the figure, for the button's key.
        measures: as `python -m core.evaluate` takes them.
        commands: system -> the command that repeats its row.
        about: what else shapes the figure, in a sentence.
    """
    with st.popover("Provenance", type="tertiary", icon=":material/fingerprint:", key=f"provenance {name}"):
        collection = data.collection_manifest(opened)
        lines = [f"measure: {measures}", f"topics: {collection.facts.get('topics')}, all that are judged", about]
        lines.append(f"judgments: SHA-256 {collection.files[QRELS]['sha256']}")
        if EXCLUDED in collection.files:
            lines.append(f"left out of the runs: {EXCLUDED}, SHA-256 {collection.files[EXCLUDED]['sha256']}")
        for system in commands:
            digest = open_artifact(opened.folder / "runs" / system).files[FILE]["sha256"]
            lines.append(f"run of {opened.labels[system]}: SHA-256 {digest}")
            if changed := changes(opened.folder, f"runs/{system}"):
                lines.append(f"  older than the {' and the '.join(changed)}")
        st.text("\n".join(lines))
        st.code("\n".join(commands.values()), language=None, wrap_lines=True)


def figures_origin(opened: data.Opened, measure: str, systems: Sequence[str]) -> None:
    """Draw the button that says where values by topic come from."""
    option = f'--measures "{measure}" --per-topic'
    commands = {system: command(opened, "evaluate", [system], option) for system in systems}
    about = "values by topic, paired by topic id; a judged topic that a run lacks counts 0"
    provenance(opened, "topics", measure, commands, about)
