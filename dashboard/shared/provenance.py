"""Where a figure comes from: the digests of judgments and runs, and the command that prints it."""

import shlex
from collections.abc import Mapping
from functools import partial

import streamlit as st

from core import __version__
from core.evaluation.freshness import changes
from core.evaluation.table_exports import Provenance, inputs_of
from core.evaluation.table_formats import Table
from core.formats.collections import QRELS
from core.formats.exclusions import EXCLUDED
from core.formats.runs import FILE
from core.workspace.artifacts import Manifest, open_artifact
from core.workspace.errors import UserError
from dashboard.shared import data, export, results


def compare_command(collection: str, figure: str, options: Mapping[str, object]) -> str:
    """Return the `python -m core.compare` command that prints a figure of a collection, quoted for a POSIX shell.

    Args:
        options: values by name; "" and None are left out, lists are joined by commas, a mapping gives an option for
            each entry, and a bool a switch.
    """
    words = ["python", "-m", "core.compare", figure, collection]
    for name, value in options.items():
        if value is None or value == "":
            continue
        if isinstance(value, bool):
            words.append(f"--{name}" if value else f"--no-{name}")
            continue
        if isinstance(value, Mapping):
            words += [word for key, text in value.items() for word in (f"--{name}", f"{key}={text}")]
            continue
        text = ",".join(value) if isinstance(value, (list, tuple)) else str(value)
        # "--a=-median": argparse takes a word that begins with "-" for an option.
        words += [f"--{name}={text}"] if text.startswith("-") else [f"--{name}", text]
    return shlex.join(words)


def downloads_and_provenance(
    opened: data.Opened,
    name: str,
    table: Table,
    figure: str,
    options: Mapping[str, object],
    about: str = "",
    made_from: Mapping[str, Manifest] | None = None,
) -> None:
    """Draw the downloads of a table and the button that opens its provenance.

    Args:
        name: name of the files, without the extension.
        figure: its name in `python -m core.compare`.
        options: options of the command.
        about: a sentence on what else determines the figure.
        made_from: the artifacts that the figure shows, by name; the runs and judgments where None.
    """
    with st.container(horizontal=True, vertical_alignment="center"):
        command = compare_command(opened.folder.name, figure, options)
        export.downloads(table, name, partial(_carried, opened, command))
        provenance(opened, name, command, about, made_from)


def _carried(opened: data.Opened, command: str) -> Provenance:
    """Return the provenance that an exported table carries."""
    digests = [f"{place} {manifest.digest}" for place, manifest in results.manifests(opened).items()]
    return Provenance(shlex.split(command)[3:], __version__, inputs_of(digests))


def provenance(
    opened: data.Opened, name: str, command: str, about: str = "", made_from: Mapping[str, Manifest] | None = None
) -> None:
    """Draw a button that opens the provenance of a figure of a collection.

    Args:
        name: name of the figure, for the button's key.
        command: the command that prints the figure.
        about: a sentence on what else determines the figure.
        made_from: the artifacts that the figure shows, by name; the runs and judgments where None.
    """
    with st.popover("Provenance", type="tertiary", icon=":material/fingerprint:", key=f"provenance {name}"):
        st.text("To print this figure:")
        st.code(command, language=None, wrap_lines=True)
        if made_from is None:
            st.text("\n".join([about, *_origin(opened)]).strip())
        for shown, manifest in (made_from or {}).items():
            st.text(_origin_of(shown, manifest))
            st.code(manifest.command, language=None, wrap_lines=True)


def _origin_of(shown: str, manifest: Manifest) -> str:
    """Return the digests of an artifact and of its inputs."""
    host = ", ".join(f"{name} {value}" for name, value in manifest.host.items())
    made = f"{shown}: SHA-256 {manifest.digest}, finished {manifest.finished} on a machine with {host}"
    return "\n".join([made, *(f"{name}: SHA-256 {digest}" for name, digest in manifest.inputs.items()), "made by:"])


def _origin(opened: data.Opened) -> list[str]:
    """Return the digests of the judgments and of every run, and which runs are older than what they were made from."""
    collection = data.collection_manifest(opened)
    lines = [f"topics: {collection.facts.get('topics')} (all judged topics)"]
    lines.append(f"qrels: SHA-256 {collection.files[QRELS]['sha256']}")
    if EXCLUDED in collection.files:
        lines.append(f"documents excluded from the runs: {EXCLUDED}, SHA-256 {collection.files[EXCLUDED]['sha256']}")
    for system, label in opened.labels.items():
        try:
            digest = open_artifact(opened.folder.run(system)).files[FILE]["sha256"]
        except UserError:
            continue  # a system without a run has no figure
        lines.append(f"run of {label}: SHA-256 {digest}")
        if changed := changes(opened.folder, f"runs/{system}"):
            lines.append(f"  older than the {' and the '.join(changed)}")
    return lines
