"""Discovery of run files in folders."""

import os
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path

from core.formats.qrels import is_qrels_line
from core.formats.runs import first_lines, is_run
from core.formats.text_lines import is_clutter, regular_file
from core.workspace.errors import UserError


def find_runs(paths: Iterable[Path], others: Collection[Path] = ()) -> tuple[list[Path], list[str]]:
    """Return the run files among the paths, and a sentence on each file that was skipped.

    Files are accepted without a check; folders are searched recursively for files whose first line is one of a run.
    Hidden files and `others`, which are used otherwise, are skipped silently.

    Raises:
        UserError: if there is no run file.
    """
    runs: list[Path] = []
    skipped: list[str] = []
    for path in paths:
        if not path.is_dir():
            runs.append(path)
            continue
        for file in _files_under(path):
            if file.exists() and any(file.samefile(other) for other in others if other.exists()):
                continue
            if problem := _no_run(file):
                skipped.append(f"{file.relative_to(path).as_posix()}: {problem}")
            else:
                runs.append(file)
    if not runs:
        why = f"; {skipped[0]}" if skipped else ""
        raise UserError(f"no run found in this folder; expected lines of topic, Q0, document, rank, score, tag{why}")
    return runs, skipped


def _files_under(folder: Path) -> Iterator[Path]:
    for place, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if not is_clutter(Path(name)))
        yield from (Path(place, name) for name in sorted(files) if not is_clutter(Path(name)))


def _no_run(path: Path) -> str:
    """Return why a file is not a run, "" if it is one."""
    if path.suffix == ".gz" and path.with_suffix("").is_file():
        return f"{path.with_suffix('').name} is used instead"
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
        return "looks like qrels; pass it with --qrels"
    return f"not a run (line {number} does not have the columns topic, Q0, document, rank, score, tag)"
