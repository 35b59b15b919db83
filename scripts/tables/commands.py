#!/usr/bin/env python3
"""Generate docs/commands.md, the reference of all commands, from their argument parsers.

python scripts/tables/commands.py
"""

import argparse
import importlib
import inspect
import runpy
import sys
from pathlib import Path
from unittest import mock

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from core.__main__ import SCRIPTS, commands, summary
from core.workspace.command_line import add_profile_options

ROOT = SCRIPTS.parent
TARGET = ROOT / "docs" / "commands.md"
HEAD = """# Commands

Written by `python scripts/tables/commands.py` from the argument parsers; do not edit it by hand.

With RankScope installed (`pip install -e .`) every command is `rankscope NAME`. Without, those of `core/` are
`python -m core.NAME`, and `start` and `build` are `python scripts/NAME.py`. The options are the same.
"""
COMMON = "Profile options"
"""Title of the section on options shared by all commands of a build."""
ARGUMENTS = "| argument | meaning |\n|---|---|"


class Reached(BaseException):
    """Raised when a command's main function reaches its parser, which is the argument."""


def parser_of(file: Path) -> argparse.ArgumentParser:
    """Return the argument parser of a command, without running the command."""

    def stop(parser: argparse.ArgumentParser, *_: object) -> None:
        raise Reached(parser)

    with mock.patch.object(argparse.ArgumentParser, "parse_args", stop):
        try:
            if file.parent == SCRIPTS:
                runpy.run_path(str(file), run_name=file.stem)["main"]()
            else:
                importlib.import_module(f"core.{file.stem}").main()
        except Reached as reached:
            parser: argparse.ArgumentParser = reached.args[0]
            return parser
    raise ValueError(f"{file} parses no arguments")


def reference() -> str:
    """Return the reference as Markdown."""
    known = commands()
    common = argparse.ArgumentParser(add_help=False)
    add_profile_options(common)
    shared = [row(action) for action in common._actions]
    overview = [f"| [`{name}`](#{name}) | {cell(summary(file))} |" for name, file in known.items()]
    others = sorted(
        file
        for file in SCRIPTS.rglob("*.py")
        if file not in known.values() and "\ndef main(" in file.read_text(encoding="utf-8")
    )
    scripts = [f"| `{file.relative_to(ROOT).as_posix()}` | {cell(summary(file))} |" for file in others]
    parts = [HEAD, "\n".join(["| command | what it does |\n|---|---|", *overview, ""])]
    parts.append("\n".join([f"## {COMMON}\n\n{ARGUMENTS}", *shared, ""]))
    parts += [section(name, parser_of(file), shared) for name, file in known.items()]
    parts.append("## Other scripts\n\nFor work on RankScope itself. Most have `--help`.\n")
    parts.append("\n".join(["| script | what it does |\n|---|---|", *scripts, ""]))
    return "\n".join(parts)


def section(name: str, parser: argparse.ArgumentParser, shared: list[str]) -> str:
    """Return the section of a command: its description and a table of its arguments, without the shared ones."""
    rows = [line for action in parser._actions if action.dest != "help" for line in rows_of(action)]
    own = [line for line in rows if line not in shared]
    lines = [f"## {name}", "", description(parser), ""]
    if len(own) < len(rows):
        lines += [f"Takes the [{COMMON.lower()}](#{COMMON.lower().replace(' ', '-')}){', and:' if own else '.'}", ""]
    return "\n".join([*lines, *([ARGUMENTS, *own, ""] if own else [])])


def rows_of(action: argparse.Action) -> list[str]:
    """Return the table rows of an argument; for subcommands, one row each and one for each of their options."""
    if not isinstance(action, argparse._SubParsersAction):
        return [row(action)]
    rows: list[str] = []
    options: dict[str, None] = {}
    for name, parser in action.choices.items():
        own = [one for one in parser._actions if one.dest != "help"]
        taken = ", ".join(f"`{one.option_strings[0]}`" for one in own if one.option_strings)
        rows.append(f"| `{name}` | {cell(parser.description or '')} {taken} |")
        options |= {row(one): None for one in own}
    return [*rows, *options]


def row(action: argparse.Action) -> str:
    """Return the table row of an argument."""
    words = (action.help or "").replace("%%", "%")
    if action.default and action.default is not argparse.SUPPRESS and "default" not in words:
        words += f" (default: {action.default})"
    return f"| `{written(action)}` | {cell(words)} |"


def description(parser: argparse.ArgumentParser) -> str:
    """Return a parser's description with its example commands as a code block."""
    lines = inspect.cleandoc(parser.description or "").splitlines()
    return "\n".join(f"    {line}" if line.startswith("python") else line for line in lines)


def written(action: argparse.Action) -> str:
    """Return an argument in usage notation, such as `--systems NAMES` or `RUN...`."""
    if action.nargs == 0:
        return ", ".join(action.option_strings)
    value = action.dest.upper() if action.option_strings else action.dest
    if action.choices:
        value = f"{{{','.join(map(str, action.choices))}}}"
    value = str(action.metavar or value)
    value = {"?": f"[{value}]", "*": f"[{value}...]", "+": f"{value}..."}.get(str(action.nargs), value)
    return " ".join([", ".join(action.option_strings), value]).strip()


def cell(text: str) -> str:
    """Return a text escaped for a cell of a Markdown table."""
    return text.replace("|", r"\|")


def main() -> None:
    """Write the reference."""
    TARGET.write_text(reference(), encoding="utf-8", newline="\n")


if __name__ == "__main__":
    main()
