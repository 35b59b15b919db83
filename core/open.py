"""Bring in a collection from an archive that `rankscope pack` wrote on another machine.

    python -m core.open trec-covid.zip
    python -m core.open trec-covid.zip --name trec-covid-gpu

The archive is not trusted: every name, size and SHA-256 is checked, nothing in it is run or unpickled, and nothing that
exists is overwritten, except the collection of the same name with `--replace`. An archive that is refused, and one
whose opening was interrupted, changes nothing.
"""

import argparse
import time
from pathlib import Path

from core.workspace import command_line
from core.workspace.archive import ARTIFACTS, is_trained_here
from core.workspace.artifacts import command_for
from core.workspace.errors import UserError
from core.workspace.models import digest_if_here, how_to_provide
from core.workspace.opening import Brought, open_archive, opened
from core.workspace.workspace import Workspace


def result(brought: Brought) -> list[str]:
    """Return what came in, and what did not and how to get it, one sentence each."""
    folder, index = brought.folder, brought.index
    lines = [f"opened {folder.shown}: {len(list(folder.artifacts()))} artifacts"]
    lines += [f"brought in: {name}" for name in brought.models]
    lines += [f"not brought in: {name}; {why}" for name, why in brought.kept.items()]
    for place, names in index.left_out.items():
        root, _, inside = place.partition("/")
        if root == ARTIFACTS:
            command = command_for(folder.artifact(inside))
            lines.append(f"not included: {folder.shown}/{inside}/{names[0]}; to make it: {command}")
    workspace = folder.workspace
    for name, model in index.models.items():
        try:
            here = digest_if_here(workspace, name)
        except UserError as error:
            lines.append(f"not usable: the model {name} on this machine: {error}")
            continue
        if not here:
            fetch = f"hf download {name}, or " if "/" in name and not is_trained_here(name) else ""
            lines.append(f"not on this machine: the model {name}; {fetch}{how_to_provide(workspace, name)}")
        elif model.sha256 not in (here, ""):
            lines.append(f"not the same model: {name} on this machine has other files than the one that was used")
    return lines


def main(arguments: list[str] | None = None) -> None:
    """Run `python -m core.open`."""
    parser = argparse.ArgumentParser(
        prog="python -m core.open", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("archive", type=Path, help="the archive")
    parser.add_argument("--name", default="", help="name of the collection here (default: its name in the archive)")
    parser.add_argument("--replace", action="store_true", help="replace the collection of that name")
    command_line.add_models_option(parser)
    options = parser.parse_args(arguments)
    command_line.use_models(options.models)
    started = time.perf_counter()
    with opened(options.archive) as checked:
        files = f"{len(checked.index.files)} files, {checked.bytes / 1e6:,.1f} MB"
        print(f"{options.archive}: {checked.index.collection}, {files}, about {checked.seconds:,.0f} s")
        brought = open_archive(Workspace.default(), checked, options.name, options.replace)
    print(*result(brought), sep="\n")
    print(f"{time.perf_counter() - started:,.0f} s")


if __name__ == "__main__":
    command_line.run(main)
