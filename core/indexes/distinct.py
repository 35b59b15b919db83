"""Which vectors are equal: texts that occur several times have equal vectors, up to what encoding in batches adds."""

import numpy as np

from core.workspace.compiled import compiled

EQUAL_WITHIN = 4e-6
"""Distance of two vectors that count as equal, as a share of the longest vector's length. One text encoded in two
batches gives vectors about 1e-6 apart in float32; different texts are farther apart by orders of magnitude."""


def group_equal_rows(rows: np.ndarray) -> np.ndarray:
    """Return the group of each row, int64 [n]: rows of a group are equal; groups are numbered by their first rows.

    Args:
        rows: float32 [n, dimension].
    """
    direction = np.random.default_rng(0).normal(size=rows.shape[1])
    along = rows @ (direction / np.linalg.norm(direction)).astype(np.float32)
    longest = float(np.linalg.norm(rows, axis=1).max(initial=0.0))
    leaders = _leaders(rows, np.argsort(along, kind="stable"), along, EQUAL_WITHIN * longest)
    _, first_rows, groups = np.unique(leaders, return_index=True, return_inverse=True)
    numbers = np.empty(len(first_rows), np.int64)
    numbers[np.argsort(first_rows)] = np.arange(len(first_rows))
    return numbers[groups.reshape(-1)]


def distinct_rows(vectors: np.ndarray) -> np.ndarray:
    """Return the positions of the first vectors of each group of equal ones, int64, ascending."""
    return np.unique(group_equal_rows(vectors), return_index=True)[1]


@compiled()
def _leaders(rows: np.ndarray, order: np.ndarray, along: np.ndarray, within: float) -> np.ndarray:
    """Return for each row the one that stands for its group.

    Equal rows lie next to one another along any direction, so a row is compared only with the few leaders there. The
    projections are float32 sums, so they are compared with some room for rounding.
    """
    leader = np.empty(len(rows), np.int64)
    known = np.empty(len(rows), np.int64)
    count = 0
    for row in order:
        leader[row] = row
        place = count - 1
        while place >= 0 and along[row] - along[known[place]] <= 2 * within:
            squares = 0.0
            for i in range(rows.shape[1]):
                squares += (rows[row, i] - rows[known[place], i]) ** 2
                if squares > within * within:
                    break
            if squares <= within * within:
                leader[row] = known[place]
                break
            place -= 1
        if leader[row] == row:
            known[count] = row
            count += 1
    return leader
