"""Runs in folders: which files are runs."""

import os
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path

from core.formats.qrels import is_qrels_line
from core.formats.runs import first_lines, is_run
from core.formats.text_lines import is_clutter, regular_file
from core.workspace.errors import UserError


def find_runs(paths: Iterable[Path], others: Collection[Path] = ()) -> tuple[list[Path], list[str]]:
    """Return the run files among the paths, and a sentence on each file that was left out.

    Files are taken as they are; of folders, with all that is in them, every file whose first line is one of a run.
    Hidden files are passed over without a word, and so are `others`, whose use is known.

    Raises:
        UserError: there is none.
    """
    found: list[Path] = []
    left_out: list[str] = []
    for path in paths:
        if not path.is_dir():
            found.append(path)
            continue
        for file in _files_under(path):
            if file.exists() and any(file.samefile(other) for other in others if other.exists()):
                continue
            if problem := _no_run(file):
                left_out.append(f"{file.relative_to(path).as_posix()}: {problem}")
            else:
                found.append(file)
    if not found:
        why = f"; {left_out[0]}" if left_out else ""
        raise UserError(f"no run in this folder: lines of topic, Q0, document, rank, score, tag are expected{why}")
    return found, left_out


def _files_under(folder: Path) -> Iterator[Path]:
    for place, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if not is_clutter(Path(name)))
        yield from (Path(place, name) for name in sorted(files) if not is_clutter(Path(name)))


def _no_run(path: Path) -> str:
    """Say why a file of a folder is taken for no run, "" where it is one."""
    if path.suffix == ".gz" and path.with_suffix("").is_file():
        return f"{path.with_suffix('').name} is there, too, and is taken"
    try:
        lines = first_lines(regular_file(path), 2)
    except UserError as error:
        return str(error).removeprefix(f"{path}: ").removeprefix(f"{path.name}: ")
    if not lines:
        return "empty"
    if is_run(lines):
        return ""
    number, columns = lines[0]
    if is_qrels_line(columns):
        return "looks like qrels; give them with --qrels"
    return f"not a run (line {number} is not topic, Q0, document, rank, score, tag)"
