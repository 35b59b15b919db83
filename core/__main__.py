"""The `rankscope` command: `rankscope NAME ...` runs `python -m core.NAME ...`, or scripts/ for `build` and `start`."""

import argparse
import ast
import runpy
import sys
from pathlib import Path

from core import __version__

CORE = Path(__file__).resolve().parent
SCRIPTS = CORE.parent / "scripts"


def commands() -> dict[str, Path]:
    """Return the file of each command by name: `start` and `build` in scripts/, and all files in core/ with a `main`.

    Files are parsed, not imported, as importing torch takes seconds.
    """
    files = [SCRIPTS / "start.py", SCRIPTS / "build.py", *sorted(CORE.glob("[!_]*.py"))]
    by_name: dict[str, Path] = {}
    for file in files:
        if file.is_file() and "\ndef main(" in file.read_text(encoding="utf-8"):
            by_name.setdefault(file.stem, file)
    return by_name


def summary(file: Path) -> str:
    """Return the first line of a module's docstring."""
    docstring = ast.get_docstring(ast.parse(file.read_text(encoding="utf-8"))) or ""
    return docstring.partition("\n")[0]


def main(arguments: list[str] | None = None) -> None:
    """Run the command named by the first argument with the other arguments."""
    known = commands()
    width = max(map(len, known))
    parser = argparse.ArgumentParser(
        prog="rankscope",
        description="Compare retrieval systems topic by topic.",
        epilog="\n".join(
            ["commands:", *(f"  {name:<{width}}  {summary(file)}" for name, file in known.items())]
            + ["", "`rankscope COMMAND --help` lists the options of a command."]
        ),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"RankScope {__version__}")
    parser.add_argument("command", nargs="?", choices=known, metavar="COMMAND", help="one of the commands below")
    parser.add_argument("arguments", nargs=argparse.REMAINDER, metavar="...", help="its arguments")
    options = parser.parse_args(arguments)
    if options.command is None:
        parser.print_help()
        return
    file = known[options.command]
    sys.argv = [str(file), *options.arguments]
    if file.parent == SCRIPTS:
        runpy.run_path(str(file), run_name="__main__")
    else:
        runpy.run_module(f"core.{options.command}", run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
