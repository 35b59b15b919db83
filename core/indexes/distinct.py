"""Detection of equal vectors: duplicate texts have equal vectors, up to the rounding of batched encoding."""

import numpy as np

from core.workspace.compiled import compiled

EQUAL_WITHIN = 4e-6
"""Maximum distance of two vectors that count as equal, relative to the largest norm. A text encoded in two different
batches gives vectors about 1e-6 apart in float32; different texts are orders of magnitude farther apart."""


def group_equal_rows(rows: np.ndarray) -> np.ndarray:
    """Return the group number of each row, int64 [n]; equal rows share a group, numbered in order of first occurrence.

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
    """Return the position of the first vector of each group of equal vectors, int64, ascending."""
    return np.unique(group_equal_rows(vectors), return_index=True)[1]


@compiled()
def _leaders(rows: np.ndarray, order: np.ndarray, along: np.ndarray, within: float) -> np.ndarray:
    """Return the row that represents each row's group.

    Equal rows have nearly equal projections onto any direction, so each row is compared only with the few leaders
    nearby. The tolerance is doubled there because projections are float32 sums.
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
