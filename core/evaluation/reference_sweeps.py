"""Reference sweeps: measurements of the indexes at several collection sizes, shipped with the project.

They show what approximate search costs at sizes that a collection does not have. Each is an artifact of figures alone,
named after its number of documents, and made by `scripts/tables/reference_sweeps.py` from a sweep of `python -m
core.ann`. The facts of its manifest say what was measured, where and when (`Sweeps.origin` in
`core.evaluation.ann_answer` has them in words).
"""

import functools
from pathlib import Path

import pandas as pd

from core.evaluation.ann_sweep import read_measurements
from core.evaluation.sweep_rows import as_table
from core.workspace.artifacts import FAILURES, Artifact

FOLDER = Path(__file__).with_name("reference_sweeps")
SHOWN = "core/evaluation/reference_sweeps"
COMMAND = "python scripts/tables/reference_sweeps.py"


def reference_sweep(size: int) -> Artifact:
    """Return the reference sweep of a number of documents, whether or not it exists."""
    return Artifact(FOLDER / str(size), f"{SHOWN}/{size}", functools.partial(str, COMMAND), FOLDER / FAILURES)


def reference_sweeps() -> list[Artifact]:
    """Return the existing reference sweeps, the smallest first."""
    sizes = [path.name for path in FOLDER.glob("*") if path.is_dir() and path.name.isdecimal()]
    return [reference_sweep(size) for size in sorted(map(int, sizes))]


def read_references() -> pd.DataFrame:
    """Read all reference sweeps as one table; see `core.evaluation.sweep_rows.as_table`.

    Raises:
        UserError: if one is damaged.
    """
    return as_table(row for target in reference_sweeps() for row in read_measurements(target))
