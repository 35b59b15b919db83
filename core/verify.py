"""Repeat every figure of an exported table from the provenance that it carries, and say which differ.

    python -m core.compare table sample --measures nDCG@10,AP --format latex > table.tex
    python -m core.verify table.tex

Exits with status 1 if a figure differs. Run files are looked for where the command that made the table read them, and
beside the table.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from core.compare import figure
from core.evaluation.table_exports import differences, export, read_export
from core.workspace import command_line
from core.workspace.errors import UserError


def main(arguments: list[str] | None = None) -> None:
    """Run `python -m core.verify`."""
    parser = argparse.ArgumentParser(
        prog="python -m core.verify", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("tables", nargs="+", type=Path, metavar="TABLE", help="an exported table")
    differing = [path for path in parser.parse_args(arguments).tables if not verify(path)]
    if differing:
        sys.exit(1)


def verify(path: Path) -> bool:
    """Print whether an exported table can be repeated, and which of its figures differ; return whether none does.

    Raises:
        UserError: if the file cannot be read or carries no provenance, or the figure cannot be made.
    """
    try:
        text = path.read_bytes().decode()
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: cannot be read ({error})") from None
    exported = read_export(text, path.name)
    table, _, now = figure(found_files(exported.provenance.arguments, path.parent))
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


def found_files(arguments: Sequence[str], folder: Path) -> list[str]:
    """Return the arguments with files that are missing here replaced by those of the same name beside the table."""
    if not all(isinstance(word, str) for word in arguments):
        raise UserError("the provenance of the table is damaged")
    found = list(arguments)
    for number, word in enumerate(found):
        beside = folder / Path(word).name
        looks_like_file = "." in Path(word).name and not word.startswith("-")
        if looks_like_file and not Path(word).exists() and beside.is_file():
            found[number] = str(beside)
    return found


if __name__ == "__main__":
    command_line.run(main)
