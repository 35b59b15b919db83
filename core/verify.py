"""Repeat every figure of an exported table from the provenance that it carries, and say which differ.

    python -m core.compare table sample --measures nDCG@10,AP --format latex > table.tex
    python -m core.verify table.tex

Exits with status 1 if a figure differs. Run files are looked for where the command that made the table read them, and
beside the table.
"""

import argparse
import shlex
import sys
from contextlib import redirect_stderr, redirect_stdout
from io import StringIO
from pathlib import Path

from core import __version__
from core.compare import figure, parser
from core.evaluation.table_exports import Provenance, differences, export, read_export
from core.workspace import command_line
from core.workspace.errors import UserError


def main(arguments: list[str] | None = None) -> None:
    """Run `python -m core.verify`."""
    made = argparse.ArgumentParser(
        prog="python -m core.verify", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    made.add_argument("tables", nargs="+", type=Path, metavar="TABLE", help="an exported table")
    differing = [path for path in made.parse_args(arguments).tables if not verify(path)]
    if differing:
        sys.exit(1)


def verify(path: Path) -> bool:
    """Print whether an exported table can be repeated, and which of its figures differ; return whether none does.

    Raises:
        UserError: if the file cannot be read or carries no provenance, or the figure cannot be made.
    """
    try:
        text = path.read_bytes().decode()
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror})") from None
    except UnicodeDecodeError:
        raise UserError(f"{path}: no exported table, as it is not UTF-8") from None
    exported = read_export(text, path.name)
    table, _, now = figure(given_options(exported.provenance, path))
    inputs = exported.provenance.inputs
    for name in sorted(inputs.keys() | now.inputs.keys()):
        if inputs.get(name) != now.inputs.get(name):
            had = (
                "changed" if name in inputs and name in now.inputs else "is new" if name in now.inputs else "is missing"
            )
            command_line.note(f"{path.name}: {name} {had} since the table was made")
    found = differences(exported, export(table, exported.form))
    for sentence in found:
        print(f"{path.name}: {sentence}")
    count = len(exported.cells)
    print(
        f"{path.name}: {count - len(found)} of {count} cells are as made again"
        if found
        else f"{path.name}: all {count} cells are as made again"
    )
    return not found


def given_options(provenance: Provenance, path: Path) -> argparse.Namespace:
    """Return the options of `python -m core.compare` that made a table.

    Files that are missing where they were are replaced by those of the same name beside the table.

    Raises:
        UserError: if this version has not all of the options, or a file is in neither place.
    """
    try:
        with redirect_stderr(StringIO()), redirect_stdout(StringIO()):
            options = parser().parse_args(provenance.arguments)
    except SystemExit:
        words = shlex.join(provenance.arguments)
        raise UserError(
            f"{path.name}: made by RankScope {provenance.version}; this version, {__version__}, has no figure with the "
            f"options {words!r}"
        ) from None

    def found(file: str | Path) -> str:
        beside = path.parent / Path(file).name
        if not Path(file).exists() and not beside.is_file():
            raise UserError(f"{path.name}: {file}, of which it was made, is neither there nor beside the table")
        return str(file if Path(file).exists() else beside)

    if getattr(options, "qrels", None):
        options.of = [found(file) for file in options.of]
    for name in ("qrels", "excluded"):
        if file := getattr(options, name, None):
            setattr(options, name, Path(found(file)))
    if references := getattr(options, "reference", None):
        options.reference = [found(file) for file in references]
    return options


if __name__ == "__main__":
    command_line.run(main)
